//! Parcels, for staff: an order goes out in one or several.

use serde_json::{Value, json};

use super::admin::LineInput;
use crate::accounts::{self, Scope, Staff, for_staff};
use crate::audit;
use crate::http::input::{Fields, Input, object, some, text, url};
use crate::http::{Answer, Req, Routes, created, get, ok, patch, post};
use crate::id::OrderId;
use crate::orders::{self, CarrierView, Order, OrderView, Parcel, Tracking};
use crate::page::Paged;
use crate::payments::{self, PaymentError};
use crate::store::WriteTx;

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/admin/orders/{id}/fulfilments/",
            post(
                send,
                for_staff(Scope::OrdersWrite, "Send a parcel")
                    .more(
                        "With units of lines, or with all that is left to send. The customer is told. With the last one \
                         the order is shipped.",
                    )
                    .once()
                    .takes::<Parcel>()
                    .answers::<OrderView>(201, "The order, with the parcel.")
                    .refuses(&[(409, "invalid_transition"), (409, "order_disputed")]),
            ),
        )
        .at(
            "/api/admin/orders/{id}/fulfilments/{number}/",
            patch(
                correct,
                for_staff(Scope::OrdersWrite, "Correct how a parcel is sent").takes::<Correction>().gives::<OrderView>(),
            ),
        )
        .at(
            "/api/admin/carriers/",
            get(carriers, for_staff(Scope::OrdersRead, "The carriers whose parcels have links").lists::<CarrierView>()),
        )
}

impl Input for Tracking {
    fn read(from: &mut Fields<'_>) -> Self {
        Tracking {
            carrier: from.req("carrier", text(1..=100)),
            number: from.req("number", text(1..=100)),
            url: from.opt("url", url()),
        }
    }
}

impl Input for Parcel {
    fn read(from: &mut Fields<'_>) -> Self {
        let lines = LineInput::pairs(from.change("lines", some(object(), 100)));
        Parcel { lines, tracking: Tracking::read(from) }
    }
}

/// A parcel as the audit trail keeps it.
fn seen(order: &Order, parcel: u64) -> Value {
    let found = order.fulfilments.iter().find(|one| one.id == parcel);
    found.map_or(Value::Null, |one| {
        let Tracking { carrier, number, url } = &one.tracking;
        json!({"fulfilment": one.id, "lines": one.lines, "carrier": carrier, "number": number, "url": url})
    })
}

/// The parcel goes out, with the note that it did.
fn send_by(tx: &mut WriteTx, id: OrderId, parcel: &Parcel, by: &Staff) -> Result<(), PaymentError> {
    accounts::confirm(tx, by)?;
    let back = payments::may_send(tx, id)?;
    let number = orders::send(tx, id, parcel, &back, &by.label(), "")?;
    let after = seen(&orders::get(tx, id)?, number);
    Ok(audit::note(tx, &by.label(), "order.send", &format!("order:{id}"), Value::Null, after)?)
}

async fn send(mut req: Req, id: OrderId) -> Answer {
    let by = req.staff(Scope::OrdersWrite)?;
    let parcel: Parcel = req.json().await?;
    let (app, base) = (std::sync::Arc::clone(&req.app), req.absolute(""));
    req.write_once(move |tx| {
        send_by(tx, id, &parcel, &by)?;
        let order = orders::get(tx, id)?;
        Ok(created(&orders::http::view(&app, &base, tx, id, order)?))
    })
    .await
}

/// What is to be different about a parcel.
struct Correction {
    carrier: Option<String>,
    number: Option<String>,
    url: Option<Option<String>>,
}

impl Input for Correction {
    fn read(from: &mut Fields<'_>) -> Self {
        Correction {
            carrier: from.change("carrier", text(1..=100)),
            number: from.change("number", text(1..=100)),
            url: from.change_or_null("url", url()),
        }
    }
}

impl Correction {
    fn apply(&self, tracking: &mut Tracking) {
        if let Some(carrier) = &self.carrier {
            tracking.carrier.clone_from(carrier);
        }
        if let Some(number) = &self.number {
            tracking.number.clone_from(number);
        }
        if let Some(url) = &self.url {
            tracking.url.clone_from(url);
        }
    }
}

async fn correct(mut req: Req, id: OrderId, parcel: u64) -> Answer {
    let by = req.staff(Scope::OrdersWrite)?;
    let correction: Correction = req.json().await?;
    let order = req
        .write(move |tx| {
            accounts::confirm(tx, &by)?;
            let before = seen(&orders::get(tx, id)?, parcel);
            orders::correct(tx, id, Some(parcel), |tracking| correction.apply(tracking))?;
            let order = orders::get(tx, id)?;
            let (act, subject) = ("order.correct_parcel", format!("order:{id}"));
            audit::note(tx, &by.label(), act, &subject, before, seen(&order, parcel))?;
            Ok(order)
        })
        .await?;
    Ok(ok(&req.order_view(id, order)?))
}

/// The carriers whose parcels have links.
async fn carriers(req: Req) -> Answer {
    req.staff(Scope::OrdersRead)?;
    let page = req.page()?;
    let all = req.app.config.shipping_carriers.all();
    let count = all.len() as u64;
    let items = all.into_iter().skip(page.offset() as usize).take(page.size as usize).collect();
    req.list(page, Paged { count, items })
}
