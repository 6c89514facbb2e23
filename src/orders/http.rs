//! `/api/orders/`: reading one's own. Placing and cancelling are checkout's.

use std::time::Duration;

use http::{StatusCode, header};
use serde_json::json;

use super::lifecycle::Status;
use super::model::{Order, OrderError, Tracking};
use super::papers::Paper;
use super::store::{BY_USER, ORDERS};
use super::view::{OrderView, said};
use super::{invoice, ops};
use crate::accounts::{self, Scope};
use crate::app::App;
use crate::clock::Time;
use crate::http::{Answer, ApiError, Reply, Req, Routes, get, ok};
use crate::id::OrderId;
use crate::page::Paged;
use crate::store::{Direction, Key, Span, StoreError};

/// How long an invoice's link is good.
const LINK_LASTS: Duration = Duration::from_hours(24);

pub fn routes() -> Routes {
    Routes::new()
        .at("/api/orders/", get(list))
        .at("/api/orders/{id}/", get(show))
        .at("/api/orders/{id}/tracking/", get(tracking))
        .at("/api/orders/{id}/invoice/", get(show_invoice))
}

impl Req {
    /// An order as JSON.
    pub fn order_view(&self, id: OrderId, order: Order) -> OrderView {
        view(&self.app, &self.absolute(""), id, order, self.now())
    }

    /// An order that the one who asks may see: their own, or any for staff.
    pub fn own_order(&self, id: OrderId) -> Result<Order, ApiError> {
        let who = self.someone(Scope::OrdersRead)?;
        let order = self.app.store.read(|tx| ops::get(tx, id))?;
        if who.sees(order.user) { Ok(order) } else { Err(ApiError::not_found()) }
    }
}

/// An order as JSON, with the link to its invoice once it has one. `base` is what the shop's paths follow on.
pub fn view(app: &App, base: &str, id: OrderId, order: Order, now: Time) -> OrderView {
    let link = order.paid_at.map(|_| format!("{base}{}", invoice_link(app, id, now)));
    OrderView::new(id, order, link, &app.config.shipping_carriers)
}

async fn list(req: Req) -> Answer {
    let buyer = req.user()?.user;
    let page = req.page()?;
    let found = req.app.store.read(|tx| {
        let keys = BY_USER.page(tx, Span::under(buyer.bytes(), Direction::Down), page)?;
        let items = keys.items.into_iter().map(|id| Ok((id, ORDERS.expect(tx, &id)?)));
        Ok::<_, StoreError>(Paged {
            count: keys.count,
            items: items.collect::<Result<Vec<_>, StoreError>>()?,
        })
    })?;
    let views = found.map(|(id, order)| req.order_view(id, order));
    req.list(page, views)
}

async fn show(req: Req, id: OrderId) -> Answer {
    let order = req.own_order(id)?;
    Ok(ok(&req.order_view(id, order)))
}

/// Where the order is, as its customer sees it: what was sent with whom, what is still to come, and when what
/// happened; who in the shop did it, and their notes, are the shop's.
async fn tracking(req: Req, id: OrderId) -> Answer {
    let order = req.own_order(id)?;
    let linked = |tracking| req.app.config.shipping_carriers.linked(tracking, &order.shipping_address);
    let line = |(id, units): &(u64, u32)| {
        let name = order.lines.iter().find(|line| line.id == *id).map(|line| &line.name);
        json!({"line_id": id, "name": name, "quantity": units})
    };
    let lines = |lines: &[(u64, u32)]| lines.iter().map(line).collect::<Vec<_>>();
    let parcels = order.fulfilments.iter().map(|one| {
        let Tracking { carrier, number, url } = linked(&one.tracking);
        json!({"id": one.id, "lines": lines(&one.lines), "carrier": said(&carrier),
            "number": said(&number), "url": url, "at": one.at})
    });
    let is_open = matches!(order.status, Status::Pending | Status::Processing);
    Ok(ok(&json!({
        "order_id": id,
        "number": order.number,
        "status": order.status,
        "tracking": order.newest_tracking().map(linked),
        "fulfilments": parcels.collect::<Vec<_>>(),
        "to_send": if is_open { lines(&order.to_send()) } else { Vec::new() },
        "history": order.history.iter().map(|moved| json!({"status": moved.status, "at": moved.at}))
            .collect::<Vec<_>>(),
    })))
}

fn signed(id: OrderId, expires: i64) -> String {
    format!("{id} until {expires}")
}

fn invoice_link(app: &App, id: OrderId, now: Time) -> String {
    let expires = now.plus(LINK_LASTS).seconds();
    let signature = accounts::sign(&app.keys, "invoice", &signed(id, expires));
    format!("/api/orders/{id}/invoice/?format=html&expires={expires}&signature={signature}")
}

/// Whether the request carries the code of an invoice's link that is still good.
fn has_link(req: &Req, id: OrderId) -> Result<bool, ApiError> {
    let Some(signature) = req.query.get("signature") else { return Ok(false) };
    let expires = req.query.get("expires").and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    let good = accounts::signed_by(&req.app.keys, "invoice", &signed(id, expires), signature);
    if good && expires > req.now().seconds() {
        return Ok(true);
    }
    Err(ApiError::new(403, "link_invalid", "This link is not valid any more; open the order for a new one."))
}

async fn show_invoice(req: Req, id: OrderId) -> Answer {
    if !has_link(&req, id)? {
        req.own_order(id)?;
    }
    let form = req.form()?;
    let (number, found) = req.app.store.read(|tx| ops::invoice(tx, id))?;
    Ok(match form {
        Form::Json => ok(&found.json(number)),
        form => paper(form, &invoice::number(number), &Paper::of_invoice(number, &found)),
    })
}

/// The forms that a paper comes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Json,
    Html,
    Pdf,
}

impl Form {
    /// In the order in which they are preferred by who does not care.
    const ALL: [(Form, [&str; 3]); 3] = [
        (Form::Json, ["application/json", "application/*", "*/*"]),
        (Form::Html, ["text/html", "text/*", "*/*"]),
        (Form::Pdf, ["application/pdf", "application/*", "*/*"]),
    ];

    /// The one that an `Accept` header prefers (RFC 9110, 12.5.1).
    fn accepted(header: &str) -> Option<Form> {
        if header.trim().is_empty() {
            return Some(Form::Json);
        }
        let weight = |wanted: [&str; 3]| {
            let ranges = header.split(',').map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let name = parts.next().unwrap_or_default();
                let q =
                    parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
                (name, q)
            });
            // The most specific range that fits counts.
            let fits = ranges.filter_map(|(name, q)| Some((wanted.iter().position(|one| *one == name)?, q)));
            fits.min_by_key(|(place, _)| *place).map_or(0.0, |(_, q): (usize, f32)| q)
        };
        let mut best = (None, 0.0);
        for (form, wanted) in Form::ALL {
            let weight = weight(wanted);
            if weight > best.1 {
                best = (Some(form), weight);
            }
        }
        best.0
    }
}

impl Req {
    /// Which form of a paper is asked for: by `?format=`, else by `Accept`.
    fn form(&self) -> Result<Form, ApiError> {
        let form = match self.query.get("format") {
            Some("json") => Some(Form::Json),
            Some("html") => Some(Form::Html),
            Some("pdf") => Some(Form::Pdf),
            Some(_) => None,
            None => Form::accepted(&self.header(header::ACCEPT).unwrap_or_default().to_ascii_lowercase()),
        };
        let said = "A paper can be had as application/json, text/html or application/pdf.";
        form.ok_or_else(|| ApiError::new(406, "not_acceptable", said))
    }
}

/// A paper to look at, in a browser or as a file called by its number.
fn paper(form: Form, number: &str, paper: &Paper) -> Reply {
    let named = |reply: Reply, ending: &str| {
        reply.header(header::CONTENT_DISPOSITION, &format!("inline; filename=\"{number}.{ending}\""))
    };
    if form == Form::Pdf {
        return named(Reply::bytes(StatusCode::OK, "application/pdf", paper.pdf()), "pdf");
    }
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    named(Reply::bytes(StatusCode::OK, "text/html; charset=utf-8", paper.html()), "html")
        .header(header::CONTENT_SECURITY_POLICY, policy)
}

impl From<OrderError> for ApiError {
    fn from(error: OrderError) -> ApiError {
        match error {
            OrderError::NotFound => ApiError::not_found(),
            OrderError::InvalidTransition(..) | OrderError::NoWayBack(_) | OrderError::NothingToSend => {
                ApiError::new(409, "invalid_transition", error)
            }
            OrderError::Returning => ApiError::new(409, "refund_pending", error),
            OrderError::ParcelLines(said) => ApiError::field("lines", said),
            OrderError::InvoiceNotReady => ApiError::new(404, "invoice_not_ready", error),
            OrderError::Store(error) => error.into(),
        }
    }
}
