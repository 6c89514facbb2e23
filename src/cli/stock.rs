//! `till stock`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::CliError;
use super::client::{Payload, Shop};
use super::output::{Column, Output, text_of};
use super::product::Limit;
use crate::http::input::encode;

#[derive(Subcommand)]
pub enum Options {
    /// Sets or changes the stock of a variant, and writes down why
    ///
    /// till stock adjust TEA-100 --set 40 --reason "counted"
    /// till stock adjust TEA-100 --delta -2 --reason "broken in transit"
    #[command(verbatim_doc_comment)]
    Adjust(Adjust),
    /// Lists what is at or below its product's threshold, least first
    ///
    /// till stock low --json | jq -r .sku
    #[command(verbatim_doc_comment)]
    Low(Limit),
    /// Lists how a variant's stock moved, and why, newest first
    ///
    /// till stock movements TEA-100
    #[command(verbatim_doc_comment)]
    Movements {
        /// The variant's SKU, or its id
        sku: String,
        #[command(flatten)]
        limit: Limit,
    },
}

#[derive(Args)]
pub struct Adjust {
    /// The variant's SKU, or for one without the variant's id, as `till product list` shows it
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
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(0..))]
    set: Option<i64>,
    /// The stock changes by this
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    delta: Option<i64>,
}

pub async fn run(options: Options, shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
    match options {
        Options::Adjust(change) => adjust(&change, shop, out).await?,
        Options::Low(limit) => {
            let columns = [
                Column("variant", "variant_id", true),
                Column("sku", "sku", false),
                Column("product", "name", false),
                Column("options", "options", false),
                Column("stock", "stock_quantity", true),
                Column("low at", "low_stock_threshold", true),
            ];
            limit.show(shop, "/api/admin/inventory/low-stock/", &columns, out).await?;
        }
        Options::Movements { sku, limit } => {
            let variant = variant(shop, &sku).await?;
            let columns = [
                Column("at", "at", false),
                Column("change", "delta", true),
                Column("stock", "stock_after", true),
                Column("cause", "cause", false),
                Column("order", "order_id", true),
                Column("reason", "reason", false),
                Column("by", "by", false),
            ];
            let path = format!("/api/admin/inventory/movements/?variant_id={variant}");
            limit.show(shop, &path, &columns, out).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn adjust(adjust: &Adjust, shop: &Shop, out: &Output) -> Result<(), CliError> {
    let variant = variant(shop, &adjust.sku).await?;
    let mut body = json!({"variant_id": variant, "reason": adjust.reason});
    match (adjust.change.set, adjust.change.delta) {
        (Some(quantity), _) => body["set"] = quantity.into(),
        (None, delta) => body["delta"] = delta.into(),
    }
    let stock = shop.call(Method::POST, "/api/admin/inventory/adjust/", Payload::Json(body)).await?;
    let product = shop.get(&format!("/api/products/{}/", stock["product_id"])).await.unwrap_or_default();
    let variants = product["variants"].as_array().into_iter().flatten();
    let variant = variants
        .into_iter()
        .find(|variant| variant["id"] == stock["variant_id"])
        .cloned()
        .unwrap_or_default();
    out.document(&stock, |stock| {
        let mut name = text_of(&product, "name");
        for option in variant["options"].as_object().into_iter().flat_map(|options| options.values()) {
            name.push_str(&format!(", {}", text_of(option, "")));
        }
        format!(
            "{name} (variant {}): {} in stock\n",
            text_of(stock, "variant_id"),
            text_of(stock, "stock_quantity")
        )
    });
    Ok(())
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
            CliError::failed(format!(
                "no variant has the SKU {sku}; `till product list` shows SKUs, and the ids of variants without one"
            ))
        }),
    }
}
