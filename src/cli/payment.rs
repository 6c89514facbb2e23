//! `till payment`

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::CliError;
use super::client::{Payload, Shop, refusal};
use super::file::OutFile;
use super::order::{self, Back};
use super::output::{Column, Output, text_of};
use super::product::Limit;
use crate::http::input::encode;

#[derive(Subcommand)]
pub enum Options {
    /// Lists payments, newest first
    ///
    /// till payment list --limit 10
    /// till payment list --provider stripe --status succeeded --since 2026-11-01
    #[command(verbatim_doc_comment)]
    List(List),
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
    /// It also reads what Stripe told in vain, and finds money that was taken without an order, which goes back.
    /// The shop does all this by itself, too: at its start, and every few minutes.
    ///
    /// till payment reconcile
    /// till payment reconcile --after-restore
    #[command(verbatim_doc_comment)]
    Reconcile {
        /// The shop was restored from a backup, and you have seen what its gateways have that the backup has not: from
        /// now on all goes on by itself, and money without an order goes back
        #[arg(long)]
        after_restore: bool,
    },
    /// Sums what was taken and given back, by day and provider, and holds it against the orders
    ///
    /// till payment report --from 2026-11-01 --to 2026-11-30
    /// till payment report --from 2026-11-01 --format csv --out november.csv
    #[command(verbatim_doc_comment)]
    Report(Report),
    /// Lists the new payments that were not let begin, as when stolen cards are tried out: by hour, reason and network
    ///
    /// till payment stopped
    #[command(verbatim_doc_comment)]
    Stopped {
        #[command(flatten)]
        limit: Limit,
    },
    /// Ends a payment that is not final; its order can be paid anew
    ///
    /// till payment cancel 12
    /// till payment cancel 12 --force
    #[command(verbatim_doc_comment)]
    Cancel {
        /// The payment's id
        id: u64,
        /// Ends it here when its gateway can't be asked any more: its keys are gone, or another account's. Money that
        /// comes all the same goes back
        #[arg(long)]
        force: bool,
    },
    /// Records that the money of a refund that failed was given back by hand, such as by a transfer
    ///
    /// till payment settle-refund 3 --reference "SEPA 2026-11-23/17"
    #[command(verbatim_doc_comment)]
    SettleRefund {
        /// The refund's id, as `till payment show` and `till order show` have it
        refund: u64,
        /// By which it can be found in the bank's papers; it stands on the credit note
        #[arg(long)]
        reference: String,
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

#[derive(Args)]
pub struct List {
    /// Only those that stand so
    #[arg(long, value_parser = ["requires_payment", "requires_action", "processing", "succeeded", "failed", "canceled"])]
    status: Option<String>,
    /// Only this gateway's, such as stripe; manual is money by hand
    #[arg(long)]
    provider: Option<String>,
    /// Only this order's
    #[arg(long, value_name = "ID")]
    order: Option<u64>,
    /// Only those begun at or after this: a date, or an RFC 3339 time
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only those begun before this
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

#[derive(Args)]
pub struct Report {
    /// The first day (UTC) [default: 30 days up to --to]
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// The last day (UTC), which is summed too [default: today]
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// A table, or rows of CSV; --json is for scripts
    #[arg(long, value_parser = ["table", "csv"], default_value = "table", conflicts_with = "json")]
    format: String,
    /// Where the CSV goes; - is stdout
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,
}

pub async fn run(options: Options, shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
    match options {
        Options::List(List { status, provider, order, since, until, limit }) => {
            let columns = [
                Column("id", "id", true),
                Column("begun", "created_at", false),
                Column("order", "order_id", true),
                Column("provider", "provider", false),
                Column("status", "status", false),
                Column("amount", "amount", true),
                Column("captured", "captured", true),
                Column("", "currency", false),
                Column("notes", "notes", false),
            ];
            let given = order::query([
                ("status", status),
                ("provider", provider),
                ("order", order.map(|id| id.to_string())),
                ("created_after", since),
                ("created_before", until),
            ]);
            let path = format!("/api/admin/payments/?{}", given.trim_start_matches('&'));
            limit.show(shop, path.trim_end_matches('?'), &columns, out).await?;
        }
        Options::SettleRefund { refund, reference } => {
            let body = Payload::Json(json!({"reference": reference}));
            let path = format!("/api/admin/refunds/{refund}/settle/");
            let payment = shop.call(Method::POST, &path, body).await?;
            out.document(&payment, people);
        }
        Options::Show { id } => {
            let payment = shop.get(&format!("/api/admin/payments/{id}/")).await?;
            out.document(&payment, people);
        }
        Options::Reconcile { after_restore } => {
            let asked = Payload::Json(json!({"after_restore": after_restore}));
            let report = shop.call(Method::POST, "/api/admin/payments/reconcile/", asked).await?;
            out.document(&report, |report| {
                let results = report["results"].as_array().cloned().unwrap_or_default();
                if results.is_empty() && report["not_asked"] == 0 && report["restored"].is_null() {
                    return "nothing is open: every payment and refund is final\n".into();
                }
                let columns = [
                    Column("kind", "kind", false),
                    Column("id", "id", true),
                    Column("order", "order_id", true),
                    Column("at the gateway", "reference", false),
                    Column("before", "before", false),
                    Column("after", "after", false),
                    Column("error", "error", false),
                ];
                let mut text = if results.is_empty() { String::new() } else { out.table(&results, &columns) };
                if !report["restored"].is_null() {
                    let at = text_of(report, "restored.backup_of");
                    text.push_str(&format!(
                        "The shop was restored from a backup of {at}. What the backup has of payments is asked after and otherwise\n\
                         left alone, and no money goes back, until you have seen to what is above:\n\
                         till payment reconcile --after-restore\n"
                    ));
                } else if report["not_asked"] != 0 {
                    let n = text_of(report, "not_asked");
                    text.push_str(&format!("{n} more were not asked after: their gateway does not answer\n"));
                }
                text
            });
            let errors =
                || report["results"].as_array().into_iter().flatten().filter_map(|row| row["error"].as_str());
            if errors().any(|error| error.starts_with("needs a person")) {
                return Err(CliError::failed(
                    "refunds that need a person failed at their gateway: pay the customer some other way, or refund again",
                ));
            }
            if errors().next().is_some() && report["restored"].is_null() {
                return Err(CliError::failed(
                    "some could not be asked after; they are tried again by themselves",
                ));
            }
        }
        Options::Stopped { limit } => stopped(&limit, shop, out).await?,
        Options::Report(what) => report(&what, shop, out).await?,
        Options::Cancel { id, force } => {
            let path = format!("/api/admin/payments/{id}/cancel/");
            let payment = shop.call(Method::POST, &path, Payload::Json(json!({"force": force}))).await?;
            out.document(&payment, people);
        }
        Options::Refund { id, refund } => {
            let payment = shop.get(&format!("/api/admin/payments/{id}/")).await?;
            let order =
                payment["order_id"].as_u64().ok_or_else(|| CliError::failed("the payment has no order"))?;
            order::refund(shop, out, order, Some(id), &refund).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn stopped(limit: &Limit, shop: &Shop, out: &Output) -> Result<(), CliError> {
    let path = "/api/admin/payments/stopped/";
    let columns = [
        Column("hour", "hour", false),
        Column("reason", "reason", false),
        Column("network", "network", false),
        Column("stopped", "count", true),
    ];
    limit.show(shop, path, &columns, out).await?;
    if !out.json {
        let now = shop.get(&format!("{path}?page_size=1")).await?;
        let [declined, succeeded, until] =
            ["declined", "succeeded", "paused_until"].map(|name| text_of(&now, name));
        out.note(&format!("in the last hour {declined} payments were declined and {succeeded} succeeded"));
        if !now["paused_until"].is_null() {
            out.note(&format!("until {until} only customers who have paid before begin new payments"));
        }
    }
    Ok(())
}

/// A report's day, or days, as a query.
fn days(what: &Report) -> String {
    let pairs = [("from", &what.from), ("to", &what.to)];
    let given =
        pairs.iter().filter_map(|(name, day)| day.as_ref().map(|day| format!("&{name}={}", encode(day))));
    given.collect()
}

async fn report(what: &Report, shop: &Shop, out: &Output) -> Result<(), CliError> {
    let path = format!("/api/admin/payments/report/?{}", days(what).trim_start_matches('&'));
    if what.format == "csv" {
        let lead = if path.ends_with('?') { "" } else { "&" };
        let answered = shop.send(Method::GET, &format!("{path}{lead}format=csv"), Payload::None).await?;
        if answered.status != 200 {
            return Err(CliError::failed(refusal(&answered.json(), answered.status)));
        }
        let mut file = OutFile::create(&what.out, false)?;
        file.write_all(&answered.body)?;
        return file.finish();
    }
    let report = shop.get(path.trim_end_matches('?')).await?;
    out.document(&report, |report| {
        let mut rows = report["days"].as_array().cloned().unwrap_or_default();
        if rows.is_empty() {
            return format!(
                "nothing was paid from {} to {}\n",
                text_of(report, "from"),
                text_of(report, "to")
            );
        }
        let mut total = report["total"].clone();
        total["date"] = "total".into();
        rows.push(total);
        let columns = [
            Column("day", "date", false),
            Column("provider", "provider", false),
            Column("payments", "payments", true),
            Column("captured", "captured", true),
            Column("refunded", "refunded", true),
            Column("charged back", "charged_back", true),
            Column("fees", "fees", true),
            Column("net", "net", true),
            Column("", "currency", false),
        ];
        out.table(&rows, &columns) + &balance(report)
    });
    Ok(())
}

/// Whether the gateways' money and the orders agree, in words.
fn balance(report: &Value) -> String {
    let get = |name: &str| text_of(report, name);
    let is_zero = |name: &str| get(name).bytes().all(|byte| byte == b'0' || byte == b'.');
    let mut text = format!(
        "\n{} orders were paid: {} {}, of which {} was given back\n",
        get("orders.paid"),
        get("orders.total"),
        get("currency"),
        get("orders.refunded")
    );
    if is_zero("balance.captured") && is_zero("balance.refunded") {
        text.push_str("payments and orders agree to the last cent\n");
    } else {
        text.push_str(&format!(
            "payments and orders DISAGREE: captured {} more than the orders cost, refunded {} more than the orders say\n",
            get("balance.captured"),
            get("balance.refunded")
        ));
    }
    if !is_zero("balance.surplus") {
        text.push_str(&format!("{} that no order wanted is not given back yet\n", get("balance.surplus")));
    }
    let unknown = get("total.fees_unknown");
    if unknown != "0" {
        text.push_str(&format!("the fees of {unknown} payments are not known\n"));
    }
    text
}

fn people(payment: &Value) -> String {
    let mut text = String::new();
    for (label, name) in [
        ("payment", "id"),
        ("order", "order_id"),
        ("provider", "provider"),
        ("status", "status"),
        ("amount", "amount"),
        ("currency", "currency"),
        ("captured", "captured"),
        ("fee", "fee"),
        ("notes", "notes"),
        ("reference", "reference"),
        ("charge", "charge"),
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
    for refund in payment["refunds"].as_array().into_iter().flatten() {
        let [amount, status, by] = ["amount", "status", "by"].map(|name| text_of(refund, name));
        let id = text_of(refund, "id");
        text.push_str(&format!("refund {id:<3} {amount} {status}, by {by}"));
        match refund["last_error"]["message"].as_str() {
            Some(said) => text.push_str(&format!(": {said}\n")),
            None => text.push('\n'),
        }
    }
    for dispute in payment["disputes"].as_array().into_iter().flatten() {
        let get = |name: &str| text_of(dispute, name);
        text.push_str(&format!(
            "dispute    {} {} ({}): {}, evidence due by {}\n",
            get("stand"),
            get("reference"),
            get("reason"),
            get("amount"),
            get("due_by")
        ));
    }
    text
}
