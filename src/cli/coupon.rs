//! `till coupon`

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
    /// Makes a coupon, which is good at once unless --starts says otherwise
    ///
    /// till coupon create SPRING10 --percent 10 --ends 2027-04-01
    /// till coupon create WELCOME --amount 5.00 --min-subtotal 20 --max-uses-per-user 1
    /// till coupon create TEATIME --percent 15 --category tea --category mugs --max-uses 500
    #[command(verbatim_doc_comment)]
    Create(Create),
    /// Lists the coupons and how often each was used, newest first
    ///
    /// till coupon list --json | jq 'select(.used > 0)'
    #[command(verbatim_doc_comment)]
    List(List),
    /// Shows a coupon
    ///
    /// till coupon show SPRING10
    #[command(verbatim_doc_comment)]
    Show {
        /// The coupon's code, in upper or lower case
        code: String,
    },
    /// Ends a coupon for now: nobody can use it, orders that carry it keep it
    ///
    /// till coupon disable SPRING10
    #[command(verbatim_doc_comment)]
    Disable {
        /// The coupon's code, in upper or lower case
        code: String,
    },
    /// Makes a disabled coupon good again, within its dates and limits
    ///
    /// till coupon enable SPRING10
    #[command(verbatim_doc_comment)]
    Enable {
        /// The coupon's code, in upper or lower case
        code: String,
    },
}

#[derive(Args)]
pub struct Create {
    /// What customers type in: letters, digits, - and _; upper and lower case are the same
    code: String,
    #[command(flatten)]
    off: Off,
    /// Only for purchases that come to so much, of the goods that it is for
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    min_subtotal: Option<String>,
    /// Good from then on: a date, or an RFC 3339 time
    #[arg(long, value_name = "TIME")]
    starts: Option<String>,
    /// Good until then
    #[arg(long, value_name = "TIME")]
    ends: Option<String>,
    /// So many uses in all; cancelled orders give theirs back
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max_uses: Option<i64>,
    /// So many uses by one person
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max_uses_per_user: Option<i64>,
    /// Only for goods of this category; can be given several times
    #[arg(long = "category", value_name = "CATEGORY")]
    categories: Vec<String>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Off {
    /// Takes off so many per cent of what it is for
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true)]
    percent: Option<String>,
    /// Takes off so much, or all where it costs less
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    amount: Option<String>,
}

#[derive(Args)]
pub struct List {
    /// Those that were deleted after orders carried them
    #[arg(long)]
    archived: bool,
    #[command(flatten)]
    limit: Limit,
}

fn path(code: &str) -> String {
    format!("/api/admin/coupons/{}/", encode(code))
}

pub async fn run(options: Options, shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
    match options {
        Options::Create(create) => {
            let body = Payload::Json(create.terms());
            let made = shop.call(Method::POST, "/api/admin/coupons/", body).await?;
            out.document(&made, describe);
        }
        Options::List(List { archived, limit }) => {
            let columns = [
                Column("code", "code", false),
                Column("kind", "kind", false),
                Column("value", "value", true),
                Column("from", "min_subtotal", true),
                Column("used", "used", true),
                Column("at most", "max_uses", true),
                Column("each", "max_uses_per_user", true),
                Column("starts", "starts_at", false),
                Column("ends", "ends_at", false),
                Column("categories", "categories", false),
                Column("active", "is_active", false),
            ];
            let path = format!("/api/admin/coupons/?archived={archived}");
            limit.show(shop, &path, &columns, out).await?;
        }
        Options::Show { code } => out.document(&shop.get(&path(&code)).await?, describe),
        Options::Disable { code } => switch(&code, false, shop, out).await?,
        Options::Enable { code } => switch(&code, true, shop, out).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn switch(code: &str, is_active: bool, shop: &Shop, out: &Output) -> Result<(), CliError> {
    let body = Payload::Json(json!({"is_active": is_active}));
    let coupon = shop.call(Method::PATCH, &path(code), body).await?;
    out.document(&coupon, |coupon| {
        let (code, used) = (text_of(coupon, "code"), text_of(coupon, "used"));
        let is = if is_active { "is good again" } else { "can't be used any more" };
        format!("coupon {code} {is}; used so far: {used}\n")
    });
    Ok(())
}

impl Create {
    /// The coupon as the shop reads it. What it can hold is for the shop to say.
    fn terms(self) -> Value {
        let (kind, value) = match (self.off.percent, self.off.amount) {
            (Some(percent), _) => ("percent", percent),
            (None, amount) => ("amount", amount.unwrap_or_default()),
        };
        json!({
            "code": self.code,
            "kind": kind,
            "value": value,
            "min_subtotal": self.min_subtotal,
            "starts_at": self.starts,
            "ends_at": self.ends,
            "max_uses": self.max_uses,
            "max_uses_per_user": self.max_uses_per_user,
            "categories": self.categories,
        })
    }
}

fn describe(coupon: &Value) -> String {
    let value = text_of(coupon, "value");
    let off = if coupon["kind"] == "percent" { format!("{value} %") } else { value };
    let mut text = format!("{:<11} {}\n{:<11} {off}\n", "coupon", text_of(coupon, "code"), "takes off");
    for (label, name) in [
        ("from", "min_subtotal"),
        ("categories", "categories"),
        ("starts", "starts_at"),
        ("ends", "ends_at"),
        ("used", "used"),
        ("at most", "max_uses"),
        ("each", "max_uses_per_user"),
        ("last used", "last_used_at"),
        ("active", "is_active"),
        ("created", "created_at"),
        ("changed", "updated_at"),
        ("archived", "archived_at"),
    ] {
        let value = text_of(coupon, name);
        if value != "-" {
            text.push_str(&format!("{label:<11} {value}\n"));
        }
    }
    text
}
