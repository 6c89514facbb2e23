//! `till stats`

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::CliError;
use super::client::Shop;
use super::output::{Column, Output, text_of};

/// The shop's figures: sales by day, orders by status, best sellers, low stock
///
/// Orders count for the day (UTC) on which they were placed.
///
/// till stats --days 7
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// How many days, today the last of them (1 to 366)
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=366))]
    days: u32,
}

pub async fn run(options: &Options, shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
    let stats = shop.get(&format!("/api/admin/stats/?days={}", options.days)).await?;
    out.document(&stats, |stats| people(stats, out));
    Ok(ExitCode::SUCCESS)
}

fn people(stats: &Value, out: &Output) -> String {
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let columns = [
        Column("day", "date", false),
        Column("orders", "orders", true),
        Column("paid", "paid", true),
        Column("sales", "sales", true),
        Column("refunded", "refunded", true),
    ];
    let mut days: Vec<_> = items(&stats["days"]).into_iter().filter(|day| day["orders"] != 0).collect();
    let quiet = items(&stats["days"]).len() - days.len();
    let mut total = stats["total"].clone();
    total["date"] = "in all".into();
    days.push(total);
    let mut text = format!("Sales, in {}\n{}", text_of(stats, "currency"), out.table(&days, &columns));
    if quiet > 0 {
        text.push_str(&format!("{quiet} days without orders\n"));
    }
    text.push_str(&format!("\nOrders by status: {}\n", text_of(stats, "orders_by_status")));
    for (title, list, columns) in [
        (
            "Best sellers",
            &stats["best_sellers"],
            vec![
                Column("product", "product_id", true),
                Column("name", "name", false),
                Column("sku", "sku", false),
                Column("sold", "quantity", true),
                Column("sales", "sales", true),
            ],
        ),
        (
            "Low stock",
            &stats["low_stock"]["items"],
            vec![
                Column("product", "product_id", true),
                Column("name", "name", false),
                Column("sku", "sku", false),
                Column("stock", "stock_quantity", true),
            ],
        ),
    ] {
        let items = items(list);
        if !items.is_empty() {
            text.push_str(&format!("\n{title}\n{}", out.table(&items, &columns)));
        }
    }
    let low = stats["low_stock"]["count"].as_u64().unwrap_or(0);
    if low > 10 {
        text.push_str(&format!("{low} variants are low; till stock low lists them all\n"));
    }
    text
}
