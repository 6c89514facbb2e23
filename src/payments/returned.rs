//! Taking over what a gateway says of refunds, wherever they were made.

use super::gateway::Returned;
use super::lifecycle::{Status, refund_after};
use super::model::{Key, Payment, PaymentError, Refund, Told};
use super::ops::{self, NewRefund, next_wait, note, tell_order};
use super::store::REFUNDS;
use crate::hex::hex;
use crate::id::{PaymentId, RefundId};
use crate::orders::{self, RefundStatus};
use crate::store::{Reads, WriteTx};

/// Takes over the gateway's refund object as it was seen. The credit note is made when the money has gone back.
pub fn settle_refund(tx: &mut WriteTx, id: RefundId, said: &Returned) -> Result<(), PaymentError> {
    let mut refund = ops::get_refund(tx, id)?;
    let before = refund.clone();
    if !said.reference.is_empty() {
        refund.reference = Some(said.reference.clone());
    }
    refund.last_error.clone_from(&said.error);
    let news = refund_after(refund.status, said.status);
    if let Some(status) = news {
        refund.status = status;
        refund.ended_at = Some(tx.now());
    }
    if refund.status != RefundStatus::Pending {
        refund.next_look_at = None;
    }
    if refund == before {
        return Ok(());
    }
    refund.updated_at = tx.now();
    REFUNDS.put(tx, &id, &refund)?;
    if news.is_some() {
        orders::note_refund(tx, refund.order, note(id, &refund))?;
    }
    if news == Some(RefundStatus::Succeeded) && !refund.is_surplus {
        orders::credit(tx, refund.order, id, refund.amount, &refund.reason)?;
    }
    if news == Some(RefundStatus::Failed) {
        tracing::error!(
            refund = id.0,
            order = refund.order.0,
            "a refund failed: the customer must be paid some other way"
        );
    }
    tell_order(tx, refund.order)?;
    if news == Some(RefundStatus::Failed) { send_back_rest(tx, &refund) } else { Ok(()) }
}

/// Journals that the gateway refused a refund, and did nothing.
pub fn refuse_refund(tx: &mut WriteTx, id: RefundId, told: &Told) -> Result<(), PaymentError> {
    let refund = ops::get_refund(tx, id)?;
    let said = Returned {
        reference: String::new(),
        amount: refund.amount,
        status: RefundStatus::Failed,
        error: Some(told.clone()),
        tag: None,
    };
    if refund.reference.is_some() { Ok(()) } else { settle_refund(tx, id, &said) }
}

/// A refund that asked for more than was left, because somebody had given money back at the gateway meanwhile, does
/// not end the matter for money that is not the order's to keep: the rest of it goes back.
fn send_back_rest(tx: &mut WriteTx, failed: &Refund) -> Result<(), PaymentError> {
    let payment = ops::get(tx, failed.payment)?;
    let is_cancelled = orders::get(tx, failed.order)?.status == orders::Status::Cancelled;
    let left = ops::left_of(tx, failed.payment, &payment)?;
    if !(payment.is_surplus || is_cancelled) || left.minor <= 0 || failed.amount.minor <= left.minor {
        return Ok(());
    }
    let new = NewRefund {
        amount: left,
        reason: &failed.reason,
        lines: Vec::new(),
        is_surplus: failed.is_surplus,
        by: "system",
    };
    match ops::begin_refund(tx, failed.payment, new) {
        // What a bank is to decide is a person's matter first.
        Ok(_) | Err(PaymentError::Disputed { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Takes over a refund as the gateway lists it: one of ours, or one that was made there.
pub fn settle_returned(tx: &mut WriteTx, of: PaymentId, said: &Returned) -> Result<(), PaymentError> {
    let payment = ops::get(tx, of)?;
    if payment.status != Status::Succeeded {
        return Ok(());
    }
    let is_it = |refund: &Refund| {
        refund.payment == of
            && match &refund.reference {
                Some(reference) => *reference == said.reference,
                None => said.tag == Some(hex(&refund.nonce)),
            }
    };
    let known = ops::refunds_of(tx, payment.order)?.into_iter().find(|(_, refund)| is_it(refund));
    let id = match known {
        Some((id, _)) => id,
        None => import_refund(tx, of, payment, said)?,
    };
    settle_refund(tx, id, said)
}

/// Writes down a refund that was made at the gateway.
fn import_refund(
    tx: &mut WriteTx,
    of: PaymentId,
    payment: Payment,
    said: &Returned,
) -> Result<RefundId, PaymentError> {
    let now = tx.now();
    let refund = Refund {
        order: payment.order,
        payment: of,
        by: format!("{} itself", payment.provider),
        provider: payment.provider,
        amount: said.amount,
        status: RefundStatus::Pending,
        reason: "made at the gateway".into(),
        nonce: tx.random(),
        key: Key::first(now),
        reference: Some(said.reference.clone()),
        lines: Vec::new(),
        is_surplus: payment.is_surplus,
        last_error: None,
        ended_at: None,
        next_look_at: Some(now.plus(ops::FIRST_LOOK)),
        looks: 0,
        created_at: now,
        updated_at: now,
    };
    let id = RefundId(tx.next_number("refunds")?);
    REFUNDS.put(tx, &id, &refund)?;
    orders::note_refund(tx, refund.order, note(id, &refund))?;
    Ok(id)
}

/// Puts off the next look at a refund.
pub(super) fn look_at_refund_later(tx: &mut WriteTx, id: RefundId) -> Result<(), PaymentError> {
    let mut refund = ops::get_refund(tx, id)?;
    if refund.status != RefundStatus::Pending {
        return Ok(());
    }
    refund.looks = refund.looks.saturating_add(1);
    let wait = next_wait(tx, refund.looks);
    refund.next_look_at = Some(tx.now().plus(wait));
    Ok(REFUNDS.put(tx, &id, &refund)?)
}
