//! Disputes: a bank, or PayPal, wants a customer's money back. While one is open nothing of the order is sent or
//! refunded; what is decided is the gateway's to say.

use super::model::{Dispute, Disputed, PaymentError, Stand};
use super::ops::{self, tell_order};
use super::store::{BY_CHARGE, BY_REFERENCE, DISPUTES, DISPUTES_OF};
use crate::id::{OrderId, PaymentId};
use crate::store::{Reads, StoreError, WriteTx};

/// The disputes about an order, with the gateway's ids.
pub fn of_order(tx: &impl Reads, order: OrderId) -> Result<Vec<(String, Dispute)>, StoreError> {
    let keys = DISPUTES_OF.all(tx, &order)?;
    keys.into_iter().map(|key| Ok((key.1.clone(), DISPUTES.expect(tx, &key)?))).collect()
}

/// Whether an order may be sent.
///
/// # Errors
/// [`PaymentError::Disputed`] while a dispute about it is open, and when one was lost: the money is gone.
pub fn may_send(tx: &impl Reads, order: OrderId) -> Result<(), PaymentError> {
    let frozen = of_order(tx, order)?.into_iter().find(|(_, dispute)| dispute.stand != Stand::Won);
    match frozen {
        Some((_, dispute)) => Err(PaymentError::Disputed { dispute: Box::new(dispute) }),
        None => Ok(()),
    }
}

/// The payment that a dispute is about, if it is one of ours.
fn payment_of(tx: &impl Reads, provider: &str, said: &Disputed) -> Result<Option<PaymentId>, StoreError> {
    let at = |id: &String| (provider.to_owned(), id.clone());
    if let Some(reference) = &said.payment
        && let Some(payment) = BY_REFERENCE.find(tx, &at(reference))?
    {
        return Ok(Some(payment));
    }
    match &said.charge {
        Some(charge) => Ok(BY_CHARGE.all(tx, &at(charge))?.into_iter().next()),
        None => Ok(None),
    }
}

/// Takes over a dispute as the gateway says that it stands; the order that it is about, if it is one of ours.
pub fn settle_dispute(
    tx: &mut WriteTx,
    provider: &str,
    said: &Disputed,
) -> Result<Option<OrderId>, PaymentError> {
    let Some(payment) = payment_of(tx, provider, said)? else { return Ok(None) };
    let order = ops::get(tx, payment)?.order;
    let key = (provider.to_owned(), said.reference.clone());
    let now = tx.now();
    let known = DISPUTES.get(tx, &key)?;
    let told_at = said.told_at.unwrap_or(now);
    if known.as_ref().is_some_and(|known| told_at < known.told_at) {
        return Ok(Some(order));
    }
    let dispute = Dispute {
        order,
        payment,
        amount: said.amount,
        reason: said.reason.clone(),
        stand: said.stand,
        status: said.status.clone(),
        due_by: said.due_by,
        told_at,
        created_at: known.as_ref().map_or(now, |known| known.created_at),
    };
    if known.is_none_or(|known| known.stand != dispute.stand) {
        let due_by = dispute.due_by.map_or_else(|| "-".to_owned(), |time| time.to_string());
        tracing::warn!(
            order = order.0,
            dispute = said.reference,
            stand = dispute.stand.as_str(),
            reason = dispute.reason,
            due_by,
            "a payment is disputed: while it is open, answer it at the gateway in time; the order is not sent"
        );
    }
    DISPUTES.put(tx, &key, &dispute)?;
    tell_order(tx, order)?;
    Ok(Some(order))
}
