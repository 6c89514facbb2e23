//! Exporting orders: a CSV row for each line, or a JSON line for each order, oldest first.

use std::io::{self, Write};
use std::sync::Arc;

use super::admin::Filter;
use super::http::view;
use super::model::Order;
use super::store::ORDERS;
use crate::accounts::{Scope, for_staff};
use crate::cells::guarded;
use crate::http::{Answer, ApiError, FileFormat, LINES, Pipe, Req, Routes, get, piped};
use crate::id::OrderId;
use crate::promotions::Code;
use crate::store::{ReadTx, StoreError};
use crate::telemetry::aside;

pub fn routes() -> Routes {
    let op = Filter::described(for_staff(Scope::OrdersRead, "Export orders, oldest first"))
        .more("As CSV with a row for each line, or as JSON lines with one for each order, as the API has it.")
        .query::<FileFormat>("format", "csv if nothing is said.")
        .gives_files(&["text/csv", LINES])
        .with_headers(&["Content-Disposition", "X-Total-Count"]);
    Routes::new().at("/api/admin/orders/export/", get(export, op))
}

const COLUMNS: [&str; 34] = [
    "order_id",
    "number",
    "created_at",
    "paid_at",
    "status",
    "payment_status",
    "email",
    "line_id",
    "product_id",
    "variant_id",
    "sku",
    "name",
    "options",
    "unit_price",
    "quantity",
    "line_total",
    "line_discount",
    "subtotal",
    "discount",
    "shipping",
    "tax",
    "total_price",
    "refunded",
    "currency",
    "coupon_code",
    "ship_name",
    "ship_line1",
    "ship_line2",
    "ship_city",
    "ship_region",
    "ship_postal_code",
    "ship_country",
    "ship_phone",
    "note",
];

async fn export(req: Req) -> Answer {
    req.staff(Scope::OrdersRead)?;
    req.query.only(&[
        "format",
        "status",
        "payment_status",
        "email",
        "search",
        "created_after",
        "created_before",
    ])?;
    let format = req.query.word::<FileFormat>("format")?.unwrap_or_default();
    let filter = Arc::new(Filter::of(&req)?);
    let (app, counted) = (Arc::clone(&req.app), Arc::clone(&filter));
    let total = aside(move || app.store.read(|tx| count(tx, &counted, format))).await;
    let total = total.map_err(ApiError::internal)??;
    let (app, base) = (Arc::clone(&req.app), req.absolute(""));
    let body = piped(move |pipe| {
        app.store.read(|tx| match format {
            FileFormat::Csv => write_rows(tx, &filter, pipe),
            FileFormat::Lines => each(tx, &filter, |id, order| {
                let view = view(&app, &base, tx, id, order).map_err(io::Error::other)?;
                let mut line = serde_json::to_vec(&view)?;
                line.push(b'\n');
                pipe.write_all(&line)
            }),
        })
    });
    Ok(format.reply("orders", total, body))
}

fn each(
    tx: &ReadTx,
    filter: &Filter,
    mut visit: impl FnMut(OrderId, Order) -> io::Result<()>,
) -> io::Result<()> {
    ORDERS.try_each(tx, |id, order| if filter.lets_through(&order) { visit(id, order) } else { Ok(()) })
}

/// How many records the file has, its header not counted.
fn count(tx: &ReadTx, filter: &Filter, format: FileFormat) -> Result<u64, StoreError> {
    let mut count = 0;
    ORDERS.each(tx, |_, order| {
        if filter.lets_through(&order) {
            count += if format == FileFormat::Csv { order.lines.len() } else { 1 };
        }
    })?;
    Ok(count as u64)
}

fn write_rows(tx: &ReadTx, filter: &Filter, pipe: &mut Pipe) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(pipe);
    csv.write_record(COLUMNS)?;
    each(tx, filter, |id, order| {
        for row in rows(id, &order) {
            csv.write_record(&row)?;
        }
        Ok(())
    })?;
    csv.flush()
}

/// The order's rows, in the order of [`COLUMNS`]: what is the order's own stands in each of them.
fn rows(id: OrderId, order: &Order) -> Vec<[String; COLUMNS.len()]> {
    let text = |text: &str| guarded(text).into_owned();
    let refunded = order.refunded();
    let row = |line: &super::model::OrderLine| {
        let options: Vec<_> =
            line.options.iter().map(|choice| format!("{}: {}", choice.option, choice.value)).collect();
        let ship = &order.shipping_address;
        [
            id.to_string(),
            text(&order.number),
            order.created_at.to_string(),
            order.paid_at.map(|at| at.to_string()).unwrap_or_default(),
            order.status.to_string(),
            order.payment_status.to_string(),
            text(order.email.as_str()),
            line.id.to_string(),
            line.product.to_string(),
            line.variant.to_string(),
            text(line.sku.as_deref().unwrap_or_default()),
            text(&line.name),
            text(&options.join(", ")),
            line.unit_price.to_string(),
            line.quantity.to_string(),
            line.total.to_string(),
            line.discount.to_string(),
            order.subtotal.to_string(),
            order.discount.to_string(),
            order.shipping.to_string(),
            order.tax.to_string(),
            order.total.to_string(),
            refunded.to_string(),
            order.total.currency.to_string(),
            text(order.coupon_code.as_ref().map_or("", Code::as_str)),
            text(&ship.name),
            text(&ship.line1),
            text(&ship.line2),
            text(&ship.city),
            text(&ship.region),
            text(&ship.postal_code),
            text(&ship.country),
            text(&ship.phone),
            text(&order.note),
        ]
    };
    order.lines.iter().map(row).collect()
}
