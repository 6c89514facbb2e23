//! `till check`

use std::process::ExitCode;

use clap::Args;
use http::Method;
use serde_json::Value;

use super::CliError;
use super::client::{Payload, Shop};
use super::output::{Output, text_of};

/// Proves that the shop's data is as it must be: stock, totals, payments, invoices, indexes
///
/// Exit code 0: all is as it must be. 1: there are findings, one to a line.
///
/// till check || mail -s "till: findings" owner@example.com
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Options {}

pub async fn run(shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
    let report = shop.call(Method::POST, "/api/admin/check/", Payload::None).await?;
    out.document(&report, people);
    Ok(if report["ok"] == Value::Bool(true) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn people(report: &Value) -> String {
    let members = |name: &str| report[name].as_array().cloned().unwrap_or_default();
    let mut text = String::new();
    for invariant in members("invariants") {
        let mark = if invariant["findings"] == 0 { "ok" } else { "NO" };
        text.push_str(&format!(
            "{mark}  {}  {}\n",
            text_of(&invariant, "invariant"),
            text_of(&invariant, "says")
        ));
    }
    for finding in members("findings") {
        let [invariant, subject, detail] =
            ["invariant", "subject", "detail"].map(|name| text_of(&finding, name));
        text.push_str(&format!("{invariant} {subject}: {detail}\n"));
    }
    text
}
