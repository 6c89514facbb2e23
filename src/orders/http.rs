//! `/api/orders/`: reading one's own. Placing and cancelling are checkout's.

use super::model::{Order, OrderError};
use super::papers::http::{invoice_link, note_link};
use super::store::{BY_USER, ORDERS};
use super::tracking::TrackingView;
use super::view::{NoteLink, OrderView};
use super::{credit, ops};
use crate::accounts::{Scope, for_user, for_user_or_token};
use crate::app::App;
use crate::http::{Answer, ApiError, Req, Routes, get, ok};
use crate::id::OrderId;
use crate::page::Paged;
use crate::store::{Direction, Key, Reads, Span, StoreError};

pub fn routes() -> Routes {
    Routes::new()
        .at("/api/orders/", get(list, for_user("One's own orders, newest first").lists::<OrderView>()))
        .at(
            "/api/orders/{id}/",
            get(
                show,
                for_user_or_token(Scope::OrdersRead, "An order")
                    .more("Its customer's, or any for staff.")
                    .gives::<OrderView>(),
            ),
        )
        .at(
            "/api/orders/{id}/tracking/",
            get(
                tracking,
                for_user_or_token(Scope::OrdersRead, "Where an order is")
                    .more("What was sent with whom, what is still to come, and when what happened.")
                    .gives::<TrackingView>(),
            ),
        )
}

impl Req {
    /// An order as JSON.
    pub fn order_view(&self, id: OrderId, order: Order) -> Result<OrderView, StoreError> {
        self.app.store.read(|tx| view(&self.app, &self.absolute(""), tx, id, order))
    }

    /// An order that the one who asks may see: their own, or any for staff.
    pub fn own_order(&self, id: OrderId) -> Result<Order, ApiError> {
        let who = self.someone(Scope::OrdersRead)?;
        let order = self.app.store.read(|tx| ops::get(tx, id))?;
        if who.sees(order.user) { Ok(order) } else { Err(ApiError::not_found()) }
    }
}

/// An order as JSON, with links to its papers. `base` is what the shop's paths follow on.
pub fn view(
    app: &App,
    base: &str,
    tx: &impl Reads,
    id: OrderId,
    order: Order,
) -> Result<OrderView, StoreError> {
    let now = tx.now();
    let invoice = order.paid_at.map(|_| format!("{base}{}", invoice_link(app, id, now)));
    let notes = if order.refunds.is_empty() { Vec::new() } else { ops::credit_notes(tx, id)? };
    let notes = notes.into_iter().map(|(number, note)| {
        let url = format!("{base}{}", note_link(app, id, number, now));
        (note.refund, NoteLink { number: credit::number(number), kind: note.kind(), url })
    });
    let notes: Vec<_> = notes.collect();
    Ok(OrderView::new(id, order, invoice, &notes, &app.config.shipping_carriers))
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
    let views = found.try_map(|(id, order)| req.order_view(id, order))?;
    req.list(page, views)
}

async fn show(req: Req, id: OrderId) -> Answer {
    let order = req.own_order(id)?;
    Ok(ok(&req.order_view(id, order)?))
}

async fn tracking(req: Req, id: OrderId) -> Answer {
    let order = req.own_order(id)?;
    Ok(ok(&TrackingView::new(id, order, &req.app.config.shipping_carriers)))
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
            OrderError::NoParcel => ApiError::new(404, "not_found", error),
            OrderError::Erased => ApiError::new(409, "user_erased", error),
            OrderError::InvoiceNotReady => ApiError::new(404, "invoice_not_ready", error),
            OrderError::Store(error) => error.into(),
        }
    }
}
