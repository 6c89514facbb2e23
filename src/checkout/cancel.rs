//! Cancelling an order. An unpaid one is given up only after its payment is; a paid one is refunded.

use serde_json::{Value, json};

use super::pay::end;
use crate::accounts::{self, Staff};
use crate::app::App;
use crate::audit;
use crate::http::Stored;
use crate::id::{OrderId, PaymentId, RefundId};
use crate::orders::{self, Event, OrderError};
use crate::payments::{self, PaymentError, Why};
use crate::store::{OnceKey, Seen, StoreError, WriteTx};

enum Begun {
    /// The order is cancelled; these refunds are to be sent off.
    Cancelled(Vec<RefundId>),
    /// First this payment must be ended at its gateway.
    MustEnd(PaymentId),
}

/// A cancellation, as somebody wants it.
#[derive(Clone)]
pub struct Cancelling {
    pub order: OrderId,
    /// Who does it, where it is not the customer.
    pub staff: Option<Staff>,
    pub note: String,
    /// The request's idempotency key. It is pointed at the order in the commit that begins the cancellation, so that
    /// the same key goes on with it.
    pub key: Option<OnceKey>,
}

/// Looks, and does as much of it as one commit can.
fn begin(tx: &mut WriteTx, what: &Cancelling) -> Result<Begun, PaymentError> {
    let (id, note) = (what.order, what.note.as_str());
    let by = what.staff.as_ref().map_or_else(|| "customer".to_owned(), Staff::label);
    if let Some(staff) = &what.staff {
        accounts::confirm(tx, staff)?;
    }
    let order = orders::get(tx, id)?;
    let is_begun = match &what.key {
        Some(key) => matches!(key.seen::<Stored>(tx)?, Ok(Seen::Began(_))),
        None => false,
    };
    if is_begun && order.status == orders::Status::Cancelled {
        let refunds = payments::refunds_of(tx, id)?;
        return Ok(Begun::Cancelled(refunds.into_iter().map(|(refund, _)| refund).collect()));
    }
    if order.status.after(Event::Cancel).is_none() || !order.fulfilments.is_empty() {
        return Err(OrderError::InvalidTransition(order.status, Event::Cancel).into());
    }
    let live = if order.paid_at.is_some() { None } else { payments::live_of(tx, id)? };
    let ends_otherwise =
        |closing: &payments::Closing| !matches!(closing.why, Why::Cancelled { .. } | Why::Expired);
    if let Some((payment, live)) = &live
        && live.closing.as_ref().is_some_and(ends_otherwise)
    {
        return Err(PaymentError::Closing(*payment));
    }
    payments::may_refund(tx, id)?;
    if let Some(key) = &what.key {
        key.began(tx, id.0)?;
    }
    if let Some((payment, _)) = live {
        if what.staff.is_some() {
            note_cancel(tx, id, &by, note)?;
        }
        payments::close(tx, payment, Why::Cancelled { note: note.to_owned() }, &by)?;
        return Ok(Begun::MustEnd(payment));
    }
    orders::cancel(tx, id, &by, note)?;
    if what.staff.is_some() {
        note_cancel(tx, id, &by, note)?;
    }
    let reason = if note.is_empty() { "order cancelled" } else { note };
    Ok(Begun::Cancelled(payments::refund_rest(tx, id, reason, &by)?))
}

fn note_cancel(tx: &mut WriteTx, id: OrderId, by: &str, note: &str) -> Result<(), StoreError> {
    audit::note(tx, by, "order.cancel", &format!("order:{id}"), Value::Null, json!({"note": note}))
}

/// Cancels the order, after its payment where it has a live one. If that turns out to be paid, the order is
/// cancelled all the same, and refunded.
pub async fn cancel(app: &App, what: Cancelling) -> Result<(), PaymentError> {
    let id = what.order;
    // A payment can end as paid in between, once: the second look then cancels a paid order.
    for _ in 0..2 {
        let what = what.clone();
        match app.store.write(move |tx| begin(tx, &what)).await? {
            Begun::MustEnd(payment) => {
                end(app, payment).await?;
                if app.store.read(|tx| orders::get(tx, id))?.status == orders::Status::Cancelled {
                    return Ok(());
                }
            }
            Begun::Cancelled(refunds) => {
                for refund in refunds {
                    if let Err(error) = payments::drive_refund(app, refund).await {
                        tracing::warn!(refund = refund.0, %error, "a refund could not be sent off yet; the reconciler goes on");
                    }
                }
                return Ok(());
            }
        }
    }
    Err(OrderError::InvalidTransition(app.store.read(|tx| orders::get(tx, id))?.status, Event::Cancel).into())
}
