//! Money that was taken by hand: cash, a transfer. A live payment at a gateway is ended before it is recorded.

use serde_json::{Value, json};

use super::pay::end;
use crate::accounts::{self, Staff};
use crate::app::App;
use crate::audit;
use crate::http::Stored;
use crate::id::{OrderId, PaymentId};
use crate::orders::{self, Seller, Status};
use crate::payments::{self, Closing, PaymentError, Why};
use crate::store::{OnceKey, Reads, Seen, StoreError, WriteTx};

/// Money by hand, as staff record it.
#[derive(Clone)]
pub struct ByHand {
    pub order: OrderId,
    /// Cash or transfer, with a reference; it stands on the invoice.
    pub how: String,
    pub staff: Staff,
    /// The request's idempotency key: the same key goes on with what it began.
    pub key: Option<OnceKey>,
}

/// Whether just this is recorded for the order.
fn is_recorded(tx: &impl Reads, what: &ByHand) -> Result<bool, StoreError> {
    let payments = payments::of_order(tx, what.order)?;
    Ok(payments.iter().any(|(_, payment)| payment.by_hand.as_ref() == Some(&what.how)))
}

/// Looks, and records the money, or journals that a live payment is to end first.
fn begin(tx: &mut WriteTx, what: &ByHand, seller: &Seller) -> Result<Option<PaymentId>, PaymentError> {
    let (id, by) = (what.order, what.staff.label());
    accounts::confirm(tx, &what.staff)?;
    let order = orders::get(tx, id)?;
    let is_begun = match &what.key {
        Some(key) => matches!(key.seen::<Stored>(tx)?, Ok(Seen::Began(_))),
        None => false,
    };
    if is_begun && is_recorded(tx, what)? {
        return Ok(None);
    }
    if order.paid_at.is_some() {
        return Err(PaymentError::AlreadyPaid);
    }
    if order.status == Status::Cancelled {
        return Err(PaymentError::OrderCancelled);
    }
    let live = payments::live_of(tx, id)?;
    let why = Why::PaidByHand { how: what.how.clone() };
    let ends_otherwise = |closing: &Closing| closing.why != why;
    if let Some((payment, live)) = &live
        && live.closing.as_ref().is_some_and(ends_otherwise)
    {
        return Err(PaymentError::Closing(*payment));
    }
    if let Some(key) = &what.key {
        key.began(tx, id.0)?;
    }
    let after = json!({"method": what.how});
    audit::note(tx, &by, "order.mark_paid", &format!("order:{id}"), Value::Null, after)?;
    if let Some((payment, _)) = live {
        payments::close(tx, payment, why, &by)?;
        return Ok(Some(payment));
    }
    payments::pay_by_hand(tx, id, &what.how, &by, seller)?;
    Ok(None)
}

/// Records the money.
///
/// # Errors
/// [`PaymentError::AlreadyPaid`] when the customer paid at the gateway meanwhile: then it is not recorded.
pub async fn record_by_hand(app: &App, what: ByHand) -> Result<(), PaymentError> {
    let seller = app.seller.clone();
    let must_end = app.store.write(move |tx| begin(tx, &what, &seller)).await?;
    let Some(payment) = must_end else { return Ok(()) };
    let ended = end(app, payment).await?;
    match ended.status {
        // What came is not what the order costs: it goes back, and the order is still to be paid.
        payments::Status::Succeeded if ended.is_surplus => Err(PaymentError::Closing(payment)),
        payments::Status::Succeeded => Err(PaymentError::AlreadyPaid),
        _ => Ok(()),
    }
}
