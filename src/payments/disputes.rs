//! Disputes: a bank, or PayPal, wants a customer's money back. While one is open nothing of the order is sent or
//! refunded; what is decided is the gateway's to say.

use super::model::{Dispute, Disputed, PaymentError, Stand};
use super::ops::{self, tell_order};
use super::returned::send_back;
use super::store::{BY_CHARGE, BY_REFERENCE, DISPUTES, DISPUTES_OF};
use crate::clock::Time;
use crate::id::{OrderId, PaymentId};
use crate::orders::{GivenBack, OrderError, RefundStatus};
use crate::outbox::{self, Cause};
use crate::store::{Reads, StoreError, WriteTx};

/// The disputes about an order, with the gateway's ids.
pub fn of_order(tx: &impl Reads, order: OrderId) -> Result<Vec<(String, Dispute)>, StoreError> {
    let keys = DISPUTES_OF.all(tx, &order)?;
    keys.into_iter().map(|key| Ok((key.1.clone(), DISPUTES.expect(tx, &key)?))).collect()
}

/// Whether an order may be sent; gives what of it was refunded, or is about to be, which may not.
///
/// # Errors
/// [`PaymentError::Disputed`] while a dispute about it is open, and when one was lost: the money is gone. And
/// [`OrderError::NothingToSend`] when all its money went back, or is about to.
pub fn may_send(tx: &impl Reads, order: OrderId) -> Result<GivenBack, PaymentError> {
    let frozen = of_order(tx, order)?.into_iter().find(|(_, dispute)| dispute.stand != Stand::Won);
    if let Some((_, dispute)) = frozen {
        return Err(PaymentError::Disputed { dispute: Box::new(dispute) });
    }
    if ops::is_given_back(tx, order, |status| status != RefundStatus::Failed)? {
        return Err(OrderError::NothingToSend.into());
    }
    let all = ops::refunds_of(tx, order)?;
    let of = |status| {
        let refunds = all.iter().filter(|(_, refund)| refund.status == status);
        refunds.flat_map(|(_, refund)| refund.lines.iter().copied()).collect()
    };
    Ok(GivenBack { done: of(RefundStatus::Succeeded), pending: of(RefundStatus::Pending) })
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

/// Takes over a dispute as the gateway says that it stands, or, where it does not say when it changed, as it stood
/// when it was asked. One that is about no payment of ours is left alone.
pub fn settle_dispute(
    tx: &mut WriteTx,
    provider: &str,
    said: &Disputed,
    asked_at: Time,
) -> Result<(), PaymentError> {
    let Some(payment) = payment_of(tx, provider, said)? else { return Ok(()) };
    let order = ops::get(tx, payment)?.order;
    let key = (provider.to_owned(), said.reference.clone());
    let now = tx.now();
    let known = DISPUTES.get(tx, &key)?;
    let told_at = said.told_at.unwrap_or(asked_at);
    let is_old = |known: &Dispute| {
        let was_decided = known.stand != Stand::Open && said.stand == Stand::Open;
        told_at < known.told_at || (was_decided && told_at == known.told_at)
    };
    if known.as_ref().is_some_and(is_old) {
        return Ok(());
    }
    let ended_at = known.as_ref().and_then(|known| known.ended_at).or(Some(now));
    let dispute = Dispute {
        order,
        payment,
        amount: said.amount,
        reason: said.reason.clone(),
        stand: said.stand,
        status: said.status.clone(),
        due_by: said.due_by,
        told_at,
        ended_at: ended_at.filter(|_| said.stand != Stand::Open),
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
        let (provider, reference) = key.clone();
        outbox::post(tx, Cause::Disputed { provider, reference, stand: dispute.stand.as_str().to_owned() })?;
    }
    DISPUTES.put(tx, &key, &dispute)?;
    if dispute.stand == Stand::Won {
        // What was to go back and could not meanwhile.
        send_back(tx, payment)?;
    }
    tell_order(tx, order)
}

/// The disputes that are open with a provider, by its ids.
pub fn open_with(tx: &impl Reads, provider: &str) -> Result<Vec<String>, StoreError> {
    let mut open = Vec::new();
    DISPUTES.each(tx, |(own, id), dispute| {
        if own == provider && dispute.stand == Stand::Open {
            open.push(id);
        }
    })?;
    Ok(open)
}
