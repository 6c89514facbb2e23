//! `till order`

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::CliError;
use super::client::{Payload, Shop, refusal};
use super::export::Export;
use super::file::OutFile;
use super::output::{Column, Output, text_of};
use super::product::Limit;
use crate::http::input::encode;

#[derive(Subcommand)]
pub enum Options {
    /// Lists orders, newest first
    ///
    /// till order list --status processing
    #[command(verbatim_doc_comment)]
    List(List),
    /// Shows an order: lines, totals, payment, history
    Show {
        /// The order's id, the first column of `till order list`
        id: u64,
    },
    /// Moves an order on: shipped, completed, or cancelled (a paid one is refunded)
    ///
    /// till order set-status 12 shipped
    #[command(verbatim_doc_comment)]
    SetStatus {
        /// The order's id, the first column of `till order list`
        id: u64,
        /// Where it goes
        #[arg(value_parser = ["shipped", "completed", "cancelled"])]
        status: String,
        /// Stands in the order's history
        #[arg(long)]
        note: Option<String>,
    },
    /// Sends a parcel: all that is left of the order, or some lines; its customer is told
    ///
    /// With the last unit the order is shipped. What was sent already is not sent again: then the newest parcel is
    /// changed, or the one that --parcel names.
    ///
    /// till order track 12 --carrier DHL --number JD014600003RU
    /// till order track 12 --carrier UPS --number 1Z999AA10123456784 --line 1=2 --line 3
    /// till order track 12 --parcel 1 --number JD014600004RU
    #[command(verbatim_doc_comment)]
    Track(Track),
    /// Lists the carriers whose parcels have links; shipping.carriers in the settings adds more
    Carriers(Limit),
    /// Refunds an order, all that is left of it or an amount
    ///
    /// till order refund 12 --amount 5.00 --reason "arrived late"
    #[command(verbatim_doc_comment)]
    Refund {
        /// The order's id, the first column of `till order list`
        id: u64,
        #[command(flatten)]
        refund: Back,
    },
    /// Lists the credit notes of an order, and the papers that correct one
    CreditNotes {
        /// The order's id, the first column of `till order list`
        id: u64,
        #[command(flatten)]
        limit: Limit,
    },
    /// Writes a credit note: as a PDF, a page to print, or JSON, by the file's ending
    ///
    /// till order credit-note 12 CN-000001 --out note.pdf
    #[command(verbatim_doc_comment)]
    CreditNote {
        /// The order's id, the first column of `till order list`
        id: u64,
        /// The note's number, as `till order credit-notes` lists it
        number: String,
        #[command(flatten)]
        paper: Paper,
    },
    /// Exports orders, oldest first: a CSV row for each line of an order, or a JSON line for each order
    ///
    /// till order export --since 2026-01-01 --until 2026-02-01 --out january.csv
    /// till order export --payment-status paid --format jsonl | jq .total_price
    #[command(verbatim_doc_comment)]
    Export(ExportOrders),
    /// Writes the invoice of a paid order: as a PDF, a page to print, or JSON, by the file's ending
    ///
    /// till order invoice 12 --out invoice.pdf
    /// till order invoice 12 --format html --out - | less
    #[command(verbatim_doc_comment)]
    Invoice {
        /// The order's id, the first column of `till order list`
        id: u64,
        #[command(flatten)]
        paper: Paper,
    },
}

/// A paper, as a file.
#[derive(Args)]
pub struct Paper {
    /// The file; - is stdout
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What it is written as [default: by the file's ending, else pdf]
    #[arg(long, value_parser = ["pdf", "html", "json"])]
    format: Option<String>,
}

impl Paper {
    fn format(&self) -> &str {
        let ending = self.out.extension().and_then(OsStr::to_str).unwrap_or_default();
        match (&self.format, ending) {
            (Some(format), _) => format,
            (None, "html" | "htm") => "html",
            (None, "json") => "json",
            (None, _) => "pdf",
        }
    }

    /// Writes what is at `path`.
    async fn write(&self, shop: &Shop, path: &str, out: &Output) -> Result<(), CliError> {
        let path = format!("{path}?format={}", self.format());
        let answered = shop.send(Method::GET, &path, Payload::None).await?;
        if answered.status != 200 {
            return Err(CliError::failed(refusal(&answered.json(), answered.status)));
        }
        let mut to = OutFile::create(&self.out, true)?;
        to.write_all(&answered.body)?;
        to.finish()?;
        if self.out != Path::new("-") {
            out.note(&format!("wrote {}", self.out.display()));
        }
        Ok(())
    }
}

/// How a parcel is sent.
#[derive(Args)]
pub struct Track {
    /// The order's id, the first column of `till order list`
    id: u64,
    /// Who carries the parcel
    #[arg(long, required_unless_present = "parcel")]
    carrier: Option<String>,
    /// The parcel's number
    #[arg(long, required_unless_present = "parcel")]
    number: Option<String>,
    /// Where the parcel can be followed, where its carrier is none of `till order carriers`
    #[arg(long, value_name = "URL")]
    link: Option<String>,
    /// A line of the order, and how many of its units go [default: all lines]
    #[arg(long = "line", value_name = "ID=UNITS", value_parser = line)]
    lines: Vec<(u64, u32)>,
    /// Corrects this parcel, and sends none
    #[arg(long, value_name = "PARCEL", conflicts_with = "lines")]
    parcel: Option<u64>,
}

/// Reads `3=2`: two units of line 3; `3` is one.
fn line(text: &str) -> Result<(u64, u32), String> {
    let (id, units) = text.split_once('=').unwrap_or((text, "1"));
    match (id.parse(), units.parse()) {
        (Ok(id), Ok(units)) if units > 0 => Ok((id, units)),
        _ => Err("must be a line's id, and how many of its units, such as 3=2".into()),
    }
}

/// Lines and their units as the shop reads them.
fn lines_json(lines: &[(u64, u32)]) -> Value {
    lines.iter().map(|(id, units)| json!({"line_id": id, "quantity": units})).collect()
}

impl Track {
    async fn run(self, shop: &Shop, out: &Output) -> Result<(), CliError> {
        let mut body = json!({});
        for (name, value) in [("carrier", self.carrier), ("number", self.number), ("url", self.link)] {
            if let Some(value) = value {
                body[name] = value.into();
            }
        }
        let path = format!("/api/admin/orders/{}/", self.id);
        let (method, path, body) = match self.parcel {
            Some(parcel) => (Method::PATCH, format!("{path}fulfilments/{parcel}/"), body),
            None if self.lines.is_empty() => (Method::PATCH, path, json!({"tracking": body})),
            None => {
                body["lines"] = lines_json(&self.lines);
                (Method::POST, format!("{path}fulfilments/"), body)
            }
        };
        let order = shop.call(method, &path, Payload::Json(body)).await?;
        out.document(&order, |order| in_a_line(order) + &parcels(order));
        Ok(())
    }
}

/// What goes back.
#[derive(Args)]
pub struct Back {
    /// So much, such as 5.00; without it all that is left
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    amount: Option<String>,
    /// A line of the order, and how many of its units are refunded; those that were not sent are not sent any more
    #[arg(long = "line", value_name = "ID=UNITS", value_parser = line)]
    lines: Vec<(u64, u32)>,
    /// Puts the units back on the shelf; goes with lines, or with all that is left
    #[arg(long)]
    restock: bool,
    /// Stands in the order and on the credit note
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Args)]
pub struct ExportOrders {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    export: Export,
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    limit: Limit,
}

/// Which orders are wanted.
#[derive(Args)]
pub struct Which {
    /// Only those in this state
    #[arg(long, value_parser = ["pending", "processing", "shipped", "completed", "cancelled"])]
    status: Option<String>,
    /// Only those that are paid so far
    #[arg(long, value_parser = ["unpaid", "processing", "failed", "paid", "partially_refunded", "refunded", "disputed"])]
    payment_status: Option<String>,
    /// Only this customer's
    #[arg(long)]
    email: Option<String>,
    /// Only those with this in number, e-mail, name, product or SKU
    #[arg(long)]
    search: Option<String>,
    /// Only those placed at or after this: a date, or an RFC 3339 time
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only those placed before this
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// What is given, as the rest of a query.
pub fn query<const N: usize>(given: [(&str, Option<String>); N]) -> String {
    let given = given.into_iter().filter_map(|(name, value)| Some(format!("&{name}={}", encode(&value?))));
    given.collect()
}

impl Which {
    fn query(&self) -> String {
        query([
            ("status", self.status.clone()),
            ("payment_status", self.payment_status.clone()),
            ("email", self.email.clone()),
            ("search", self.search.clone()),
            ("created_after", self.since.clone()),
            ("created_before", self.until.clone()),
        ])
    }
}

pub async fn run(options: Options, shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
    match options {
        Options::List(list) => {
            let path = format!("/api/admin/orders/?ordering=-created_at{}", list.which.query());
            let columns = [
                Column("id", "id", true),
                Column("number", "number", false),
                Column("placed", "created_at", false),
                Column("customer", "email", false),
                Column("status", "status", false),
                Column("payment", "payment_status", false),
                Column("total", "total_price", true),
                Column("", "currency", false),
            ];
            list.limit.show(shop, &path, &columns, out).await?;
        }
        Options::Show { id } => {
            let order = shop.get(&format!("/api/admin/orders/{id}/")).await?;
            out.document(&order, |order| people(order, out));
        }
        Options::SetStatus { id, status, note } => {
            let mut body = json!({"status": status});
            if let Some(note) = note {
                body["note"] = note.into();
            }
            let order =
                shop.call(Method::PATCH, &format!("/api/admin/orders/{id}/"), Payload::Json(body)).await?;
            out.document(&order, in_a_line);
        }
        Options::Track(track) => track.run(shop, out).await?,
        Options::Carriers(limit) => {
            let columns = [
                Column("carrier", "name", false),
                Column("own", "is_own", false),
                Column("link", "url", false),
            ];
            limit.show(shop, "/api/admin/carriers/", &columns, out).await?;
        }
        Options::Refund { id, refund: what } => refund(shop, out, id, None, &what).await?,
        Options::Export(ExportOrders { which, export }) => {
            let path = format!("/api/admin/orders/export/?{}", which.query());
            export.run(shop, &path, out).await?;
        }
        Options::CreditNotes { id, limit } => {
            let columns = [
                Column("number", "number", false),
                Column("kind", "kind", false),
                Column("corrects", "corrects", false),
                Column("issued", "issued_at", false),
                Column("total", "total", true),
                Column("", "currency", false),
                Column("reason", "reason", false),
            ];
            limit.show(shop, &format!("/api/orders/{id}/credit-notes/"), &columns, out).await?;
        }
        Options::CreditNote { id, number, paper } => {
            let path = format!("/api/orders/{id}/credit-notes/{}/", encode(&number));
            paper.write(shop, &path, out).await?;
        }
        Options::Invoice { id, paper } => {
            paper.write(shop, &format!("/api/orders/{id}/invoice/"), out).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Refunds an order, and says how it stands then.
pub async fn refund(
    shop: &Shop,
    out: &Output,
    order: u64,
    payment: Option<u64>,
    what: &Back,
) -> Result<(), CliError> {
    let mut body = json!({"restock": what.restock});
    if !what.lines.is_empty() {
        body["lines"] = lines_json(&what.lines);
    }
    if let Some(payment) = payment {
        body["payment_id"] = payment.into();
    }
    for (name, value) in [("amount", &what.amount), ("reason", &what.reason)] {
        if let Some(value) = value {
            body[name] = value.as_str().into();
        }
    }
    let path = format!("/api/admin/orders/{order}/refund/");
    let order = shop.call(Method::POST, &path, Payload::Json(body)).await?;
    out.document(&order, |order| {
        let newest =
            order["refunds"].as_array().and_then(|refunds| refunds.last()).cloned().unwrap_or_default();
        let [amount, status] = ["amount", "status"].map(|name| text_of(&newest, name));
        let goes_on = if status == "pending" {
            "it is journalled, and the shop goes on with it by itself: don't ask for it again\n"
        } else {
            ""
        };
        format!("refund of {amount} {}: {status}\n{goes_on}{}", text_of(order, "currency"), in_a_line(order))
    });
    Ok(())
}

fn in_a_line(order: &Value) -> String {
    let [number, status, payment] = ["number", "status", "payment_status"].map(|name| text_of(order, name));
    format!("order {number}: {status}, {payment}\n")
}

/// A line for each parcel: what is in it, and how it is sent.
fn parcels(order: &Value) -> String {
    let mut text = String::new();
    for parcel in order["fulfilments"].as_array().into_iter().flatten() {
        let lines = parcel["lines"].as_array().into_iter().flatten();
        let lines = lines.map(|line| format!("{} × line {}", line["quantity"], line["line_id"]));
        let lines = lines.collect::<Vec<_>>().join(", ");
        let how = ["carrier", "number", "url"].map(|name| text_of(parcel, name));
        let how =
            how.into_iter().filter(|part| !part.is_empty() && part != "-").collect::<Vec<_>>().join(" ");
        text.push_str(format!("parcel {:<3} {lines}  {how}", text_of(parcel, "id")).trim_end());
        text.push('\n');
    }
    text
}

fn people(order: &Value, out: &Output) -> String {
    let get = |name: &str| text_of(order, name);
    let items = order["items"].as_array().cloned().unwrap_or_default();
    let mut text = format!(
        "order {} (id {})  {}  {}\nplaced {} by {}\n\n",
        get("number"),
        get("id"),
        get("status"),
        get("payment_status"),
        get("created_at"),
        get("email")
    );
    text.push_str(&out.table(
        &items,
        &[
            Column("line", "id", true),
            Column("sku", "sku", false),
            Column("item", "name", false),
            Column("options", "options", false),
            Column("quantity", "quantity", true),
            Column("price", "unit_price", true),
            Column("amount", "total_price", true),
        ],
    ));
    text.push('\n');
    for (label, name) in [
        ("subtotal", "subtotal"),
        ("discount", "discount"),
        ("shipping", "shipping"),
        ("tax", "tax"),
        ("total", "total_price"),
    ] {
        let coupon = order["coupon_code"].as_str().filter(|_| name == "discount");
        let coupon = coupon.map_or_else(String::new, |code| format!(" ({code})"));
        text.push_str(&format!("{label:>10}  {:>12} {}{coupon}\n", get(name), get("currency")));
    }
    let address = &order["shipping_address"];
    let parts = ["name", "line1", "line2", "postal_code", "city", "region", "country"]
        .map(|name| text_of(address, name));
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty() && part != "-").collect();
    text.push_str(&format!("\nship to    {}\n", parts.join(", ")));
    text.push_str(&parcels(order));
    if !order["hold_expires_at"].is_null() {
        text.push_str(&format!("held until {}\n", get("hold_expires_at")));
    }
    if order["payment_status"] == "disputed" {
        text.push_str("disputed   nothing is sent or refunded until it is decided; `till payment list` has the day by which evidence is due\n");
    }
    for refund in order["refunds"].as_array().into_iter().flatten() {
        let [amount, status, mut reason] = ["amount", "status", "reason"].map(|name| text_of(refund, name));
        if reason == "-" {
            reason.clear();
        } else if !reason.is_empty() {
            reason.insert_str(0, ": ");
        }
        let notes = refund["credit_notes"].as_array().into_iter().flatten();
        let notes = notes.map(|note| text_of(note, "number")).collect::<Vec<_>>().join(" ");
        text.push_str(&format!("refund {:<3} {amount} {status}{reason}", text_of(refund, "id")));
        text.push_str(format!("  {notes}").trim_end());
        text.push('\n');
    }
    text.push_str("\nhistory\n");
    for moved in order["history"].as_array().into_iter().flatten() {
        let [at, status, by, note] = ["at", "status", "by", "note"].map(|name| text_of(moved, name));
        text.push_str(format!("  {at}  {status:<10} {by}  {note}").trim_end());
        text.push('\n');
    }
    text
}
