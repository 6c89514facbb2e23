//! `till audit`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::CliError;
use super::client::Shop;
use super::export::Export;
use super::output::{Column, Output, text_of};
use super::product::Limit;
use crate::http::input::encode;

#[derive(Subcommand)]
pub enum Options {
    /// Lists changes, newest first: who, when, what, before and after
    ///
    /// till audit list --act order --since 2026-11-01
    /// till audit list --subject product:17
    /// till audit list --by admin:1 --json | jq .after
    #[command(verbatim_doc_comment)]
    List(List),
    /// Exports changes, oldest first: CSV or JSON lines
    ///
    /// till audit export --since 2026-01-01 --until 2027-01-01 --out 2026.csv
    #[command(verbatim_doc_comment)]
    Export(ExportChanges),
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    limit: Limit,
}

#[derive(Args)]
pub struct ExportChanges {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    export: Export,
}

/// Which changes are wanted.
#[derive(Args)]
struct Which {
    /// Only by them: admin:1, staff:7, token:3, operator
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
    /// Only such: an act, as order.refund, or all of a kind, as order
    #[arg(long)]
    act: Option<String>,
    /// Only of this: order:12, product:17, user:3, coupon:SPRING
    #[arg(long)]
    subject: Option<String>,
    /// Only at or after this: a date, or an RFC 3339 time
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only before this
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Which {
    /// As a query, its `?` included.
    fn query(&self) -> String {
        let named = [
            ("by", &self.by),
            ("act", &self.act),
            ("subject", &self.subject),
            ("created_after", &self.since),
            ("created_before", &self.until),
        ];
        let given = named.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        given.fold("?".to_owned(), |query, (name, value)| format!("{query}&{name}={}", encode(value)))
    }
}

/// The most characters of what something was and is that a table shows; `--json` has all of it.
const SHOWN: usize = 60;

fn shortened(mut entry: Value) -> Value {
    for side in ["before", "after"] {
        let text = text_of(&entry, side);
        if text.chars().count() > SHOWN {
            entry[side] = (text.chars().take(SHOWN).collect::<String>() + "…").into();
        }
    }
    entry
}

pub async fn run(options: Options, shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
    match options {
        Options::List(List { which, limit }) => {
            let columns = [
                Column("at", "at", false),
                Column("by", "by", false),
                Column("act", "act", false),
                Column("subject", "subject", false),
                Column("before", "before", false),
                Column("after", "after", false),
            ];
            limit
                .show_as(shop, &format!("/api/admin/audit/{}", which.query()), &columns, shortened, out)
                .await?;
        }
        Options::Export(ExportChanges { which, export }) => {
            export.run(shop, &format!("/api/admin/audit/export/{}", which.query()), out).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
