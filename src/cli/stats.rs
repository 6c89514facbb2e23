//! `till stats`

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::CliError;
use super::client::Shop;
use super::output::{Column, Output, text_of};

/// The shop's figures: sales by day, orders by status, best sellers, stock and its value, low stock
///
/// Orders count for the day (UTC) on which they were placed. Bars show each day's sales beside the best day's.
///
/// till stats --days 7
/// till stats --json | jq .total.sales
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
        Column("", "bar", false),
    ];
    let mut days: Vec<_> = items(&stats["days"]).into_iter().filter(|day| day["orders"] != 0).collect();
    let quiet = items(&stats["days"]).len() - days.len();
    let most = days.iter().map(|day| amount(day, "sales")).fold(0.0, f64::max);
    for day in &mut days {
        day["bar"] = bar(amount(day, "sales"), most).into();
    }
    let mut total = stats["total"].clone();
    (total["date"], total["bar"]) = ("in all".into(), String::new().into());
    days.push(total);
    let mut text = format!("Sales, in {}\n{}", text_of(stats, "currency"), out.table(&days, &columns));
    if quiet > 0 {
        text.push_str(&format!("{quiet} days without orders\n"));
    }
    text.push_str("\nOrders by status\n");
    text.push_str(&out.table(
        &by_status(stats),
        &[Column("status", "status", false), Column("orders", "orders", true), Column("", "bar", false)],
    ));
    let stock = |member: &str| text_of(&stats["stock"], member);
    text.push_str(&format!(
        "\nStock: {} units of {} variants, worth {} {} at today's prices\n",
        stock("units"),
        stock("variants"),
        stock("value"),
        text_of(stats, "currency")
    ));
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

/// How wide the longest bar is, in characters.
const WIDEST: f64 = 24.0;

/// A bar of eighths of a character: as long beside the widest as `value` is beside `most`.
fn bar(value: f64, most: f64) -> String {
    if value <= 0.0 || most <= 0.0 {
        return String::new();
    }
    // What is there at all shows.
    let eighths = ((value / most * WIDEST * 8.0).round() as usize).max(1);
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    format!("{}{rest}", "█".repeat(eighths / 8))
}

/// A member that is an amount, as a number: for the eye alone.
fn amount(of: &Value, member: &str) -> f64 {
    of[member].as_str().and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

#[expect(clippy::cast_precision_loss, reason = "a bar is no exact figure")]
fn by_status(stats: &Value) -> Vec<Value> {
    let counts = stats["orders_by_status"].as_object().cloned().unwrap_or_default();
    let count = |value: &Value| value.as_u64().unwrap_or(0) as f64;
    let most = counts.values().map(count).fold(0.0, f64::max);
    // In the order of an order's life, not of the alphabet.
    let lines = ["pending", "processing", "shipped", "completed", "cancelled"].into_iter().map(|status| {
        let orders = &counts[status];
        json!({"status": status, "orders": orders, "bar": bar(count(orders), most)})
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!(bar(10.0, 10.0).chars().count(), 24);
        assert_eq!(bar(5.0, 10.0), "█".repeat(12));
        assert_eq!(bar(1.0, 1_000_000.0), "▏");
        assert_eq!(bar(0.0, 10.0), "");
        assert_eq!(bar(0.0, 0.0), "");
    }
}
