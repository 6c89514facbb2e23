//! `till stock`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::CliError;
use super::client::{Payload, Shop};
use super::output::{Output, text_of};
use crate::http::input::encode;

#[derive(Subcommand)]
pub enum Options {
    /// Sets or changes the stock of a variant, and writes down why
    ///
    /// till stock adjust TEA-100 --set 40 --reason "counted"
    /// till stock adjust TEA-100 --delta -2 --reason "broken in transit"
    #[command(verbatim_doc_comment)]
    Adjust(Adjust),
}

#[derive(Args)]
pub struct Adjust {
    /// The variant's SKU, or its id for one without
    sku: String,
    #[command(flatten)]
    change: Change,
    /// Why; it stands in the ledger
    #[arg(long)]
    reason: String,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Change {
    /// The stock is this now
    #[arg(long, value_name = "N")]
    set: Option<i64>,
    /// The stock changes by this
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    delta: Option<i64>,
}

pub async fn run(options: Options, shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
    let Options::Adjust(adjust) = options;
    let variant = variant(shop, &adjust.sku).await?;
    let mut body = json!({"variant_id": variant, "reason": adjust.reason});
    match (adjust.change.set, adjust.change.delta) {
        (Some(quantity), _) => body["set"] = quantity.into(),
        (None, delta) => body["delta"] = delta.into(),
    }
    let stock = shop.call(Method::POST, "/api/admin/inventory/adjust/", Payload::Json(body)).await?;
    out.document(&stock, |stock| format!("{}: {} in stock\n", adjust.sku, text_of(stock, "stock_quantity")));
    Ok(ExitCode::SUCCESS)
}

/// The id of the variant with this SKU, or of this id.
async fn variant(shop: &Shop, sku: &str) -> Result<Value, CliError> {
    let (products, _) = shop.list(&format!("/api/products/?search={}", encode(sku)), 0).await?;
    let variants = products.iter().filter_map(|product| product["variants"].as_array()).flatten();
    let found = variants
        .into_iter()
        .find(|variant| variant["sku"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(sku)));
    match found {
        Some(variant) => Ok(variant["id"].clone()),
        None => sku.parse::<u64>().map(Value::from).map_err(|_| {
            CliError(format!(
                "no variant has the SKU {sku}; `till product list --search …` shows those there are"
            ))
        }),
    }
}
