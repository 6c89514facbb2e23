//! `till payment`

use std::process::ExitCode;

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::CliError;
use super::client::{Payload, Shop};
use super::order::{self, Back};
use super::output::{Column, Output, text_of};
use super::product::Limit;

#[derive(Subcommand)]
pub enum Options {
    /// Lists payments, newest first
    ///
    /// till payment list --limit 10
    #[command(verbatim_doc_comment)]
    List(Limit),
    /// Shows a payment
    ///
    /// till payment show 12
    #[command(verbatim_doc_comment)]
    Show {
        /// The payment's id, the first column of `till payment list`
        id: u64,
    },
    /// Asks the gateways after every payment and refund that is not final, and says what it found and did
    ///
    /// till payment reconcile
    #[command(verbatim_doc_comment)]
    Reconcile,
    /// Ends a payment that is not final; its order can be paid anew
    ///
    /// till payment cancel 12
    #[command(verbatim_doc_comment)]
    Cancel {
        /// The payment's id
        id: u64,
    },
    /// Refunds a payment, all that is left of it or an amount
    ///
    /// till payment refund 12 --amount 5.00 --reason "arrived late"
    #[command(verbatim_doc_comment)]
    Refund {
        /// The payment's id
        id: u64,
        #[command(flatten)]
        refund: Back,
    },
}

pub async fn run(options: Options, shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
    match options {
        Options::List(limit) => {
            let columns = [
                Column("id", "id", true),
                Column("begun", "created_at", false),
                Column("order", "order_id", true),
                Column("provider", "provider", false),
                Column("status", "status", false),
                Column("amount", "amount", true),
                Column("captured", "captured", true),
                Column("", "currency", false),
            ];
            limit.show(shop, "/api/admin/payments/", &columns, out).await?;
        }
        Options::Show { id } => {
            let payment = shop.get(&format!("/api/admin/payments/{id}/")).await?;
            out.document(&payment, people);
        }
        Options::Reconcile => {
            let report = shop.call(Method::POST, "/api/admin/payments/reconcile/", Payload::None).await?;
            out.document(&report, |report| {
                let results = report["results"].as_array().cloned().unwrap_or_default();
                if results.is_empty() {
                    return "nothing is open: every payment and refund is final\n".into();
                }
                let columns = [
                    Column("kind", "kind", false),
                    Column("id", "id", true),
                    Column("order", "order_id", true),
                    Column("before", "before", false),
                    Column("after", "after", false),
                    Column("error", "error", false),
                ];
                out.table(&results, &columns)
            });
            let has_failed = |result: &Value| !result["error"].is_null();
            if report["results"].as_array().is_some_and(|results| results.iter().any(has_failed)) {
                return Err(CliError(
                    "some could not be asked after; they are tried again by themselves".into(),
                ));
            }
        }
        Options::Cancel { id } => {
            let path = format!("/api/admin/payments/{id}/cancel/");
            let payment = shop.call(Method::POST, &path, Payload::Json(json!({}))).await?;
            out.document(&payment, people);
        }
        Options::Refund { id, refund } => {
            let payment = shop.get(&format!("/api/admin/payments/{id}/")).await?;
            let order =
                payment["order_id"].as_u64().ok_or_else(|| CliError("the payment has no order".into()))?;
            order::refund(shop, out, order, &refund).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn people(payment: &Value) -> String {
    let mut text = String::new();
    for (label, name) in [
        ("payment", "id"),
        ("order", "order_id"),
        ("provider", "provider"),
        ("status", "status"),
        ("amount", "amount"),
        ("captured", "captured"),
        ("currency", "currency"),
        ("reference", "reference"),
        ("by hand", "method"),
        ("declined", "last_error.message"),
        ("begun", "created_at"),
        ("changed", "updated_at"),
    ] {
        let value = text_of(payment, name);
        if value != "-" {
            text.push_str(&format!("{label:<10} {value}\n"));
        }
    }
    text
}
