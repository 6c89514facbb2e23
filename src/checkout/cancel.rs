//! Cancelling an order. An unpaid one is given up only after its payment is; a paid one is refunded.

use super::pay::end;
use crate::app::App;
use crate::id::{OrderId, PaymentId, RefundId};
use crate::orders::{self, Event, OrderError};
use crate::payments::{self, PaymentError, Why};
use crate::store::WriteTx;

enum Begun {
    /// The order is cancelled; these refunds are to be sent off.
    Cancelled(Vec<RefundId>),
    /// First this payment must be ended at its gateway.
    MustEnd(PaymentId),
}

/// Looks, and does as much of it as one commit can.
fn begin(tx: &mut WriteTx, id: OrderId, by: &str, note: &str) -> Result<Begun, PaymentError> {
    let order = orders::get(tx, id)?;
    if order.status.after(Event::Cancel).is_none() || !order.fulfilments.is_empty() {
        return Err(OrderError::InvalidTransition(order.status, Event::Cancel).into());
    }
    if order.paid_at.is_some() {
        orders::cancel(tx, id, by, note)?;
        let reason = if note.is_empty() { "order cancelled" } else { note };
        return Ok(Begun::Cancelled(payments::refund_rest(tx, id, reason, by)?));
    }
    let Some((payment, live)) = payments::live_of(tx, id)? else {
        orders::cancel(tx, id, by, note)?;
        return Ok(Begun::Cancelled(Vec::new()));
    };
    match live.closing.map(|closing| closing.why) {
        None => payments::close(tx, payment, Why::Cancelled { note: note.to_owned() }, by)?,
        // These end in the cancellation that is asked for.
        Some(Why::Cancelled { .. } | Why::Expired) => {}
        Some(_) => return Err(PaymentError::Closing(payment)),
    }
    Ok(Begun::MustEnd(payment))
}

/// Cancels the order, after its payment where it has a live one. If that turns out to be paid, the order is
/// cancelled all the same, and refunded.
pub async fn cancel(app: &App, id: OrderId, by: &str, note: &str) -> Result<(), PaymentError> {
    // A payment can end as paid in between, once: the second look then cancels a paid order.
    for _ in 0..2 {
        let (who, said) = (by.to_owned(), note.to_owned());
        match app.store.write(move |tx| begin(tx, id, &who, &said)).await? {
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
