//! Taking over what a gateway says of refunds, wherever they were made.

use std::time::Duration;

use super::gateway::Returned;
use super::lifecycle::{Status, refund_after};
use super::model::{Key, Payment, PaymentError, Refund, Told};
use super::ops::{self, NewRefund, next_wait, note, tell_order};
use super::store::REFUNDS;
use crate::hex::hex;
use crate::id::{PaymentId, RefundId};
use crate::orders::{self, Crediting, RefundStatus, TakenBack, units_of};
use crate::outbox::{self, Cause};
use crate::store::{Reads, WriteTx};

/// Who gives back money that is not the order's to keep.
pub const BY_ITSELF: &str = "system";

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
    if news == Some(RefundStatus::Succeeded) {
        if !refund.is_surplus && !refund.amount.is_zero() {
            let (lines, reason) = (&refund.lines, &refund.reason);
            orders::credit(
                tx,
                refund.order,
                &Crediting { refund: id, amount: refund.amount, lines, reason },
            )?;
        }
        take_back(tx, id, refund.clone())?;
        if !refund.amount.is_zero() {
            outbox::post(tx, Cause::Refunded(id))?;
        }
    }
    if news == Some(RefundStatus::Failed) {
        orders::uncredit(tx, refund.order, id)?;
        outbox::post(tx, Cause::RefundFailed(id))?;
        tracing::error!(
            refund = id.0,
            order = refund.order.0,
            "a refund failed: `till payment reconcile` says whether it is tried again by itself, or needs a person"
        );
    }
    tell_order(tx, refund.order)?;
    if news == Some(RefundStatus::Failed) { send_back_rest(tx, &refund) } else { Ok(()) }
}

/// Takes the units of a refund that succeeded out of the order, and back to the shelf, if they are to go there. The
/// units of one that a bank sent back stayed where they were: those, a later one finds there.
fn take_back(tx: &mut WriteTx, id: RefundId, mut refund: Refund) -> Result<(), PaymentError> {
    let order = orders::get(tx, refund.order)?;
    if order.status == orders::Status::Cancelled {
        // It has given back all it held.
        return Ok(());
    }
    if !refund.lines.is_empty() {
        let all: Vec<_> = ops::refunds_of(tx, refund.order)?.into_iter().map(|(_, one)| one).collect();
        let lines_of = |counts: &dyn Fn(&Refund) -> bool| -> Vec<(u64, u32)> {
            all.iter().filter(|one| counts(one)).flat_map(|one| one.lines.iter().copied()).collect()
        };
        let gone = lines_of(&|one| one.status == RefundStatus::Succeeded);
        let was_shelved = |one: &Refund| one.restock && one.is_taken_back;
        let others = lines_of(&|one| {
            was_shelved(one) && one.status == RefundStatus::Succeeded && one.nonce != refund.nonce
        });
        let bounced = lines_of(&|one| {
            was_shelved(one) && (one.status == RefundStatus::Failed || one.nonce == refund.nonce)
        });
        let to_shelf = |(line, units): &(u64, u32)| {
            let restocked = order.lines.iter().find(|one| one.id == *line).map_or(0, |one| one.restocked);
            let there = restocked.saturating_sub(units_of(&others, *line)).min(units_of(&bounced, *line));
            (*line, units.saturating_sub(there))
        };
        let wanted = refund.lines.iter().filter(|_| refund.restock);
        let to_shelf: Vec<_> = wanted.map(to_shelf).collect();
        let what = TakenBack { gone: &gone, to_shelf: &to_shelf };
        orders::take_back(tx, refund.order, &what, id, &refund.by)?;
        refund.is_taken_back = true;
        REFUNDS.put(tx, &id, &refund)?;
    }
    if ops::is_given_back(tx, refund.order, |status| status == RefundStatus::Succeeded)? {
        orders::withdraw_rest(tx, refund.order, &refund.by)?;
    }
    Ok(())
}

/// Journals that the gateway refused a refund, and did nothing; `false` if it turned out to have been made.
pub fn refuse_refund(tx: &mut WriteTx, id: RefundId, told: &Told) -> Result<bool, PaymentError> {
    let refund = ops::get_refund(tx, id)?;
    let said = Returned {
        reference: String::new(),
        amount: refund.amount,
        status: RefundStatus::Failed,
        error: Some(told.clone()),
        tag: None,
        is_inferred: false,
    };
    if refund.reference.is_some() {
        return Ok(false);
    }
    settle_refund(tx, id, &said)?;
    Ok(true)
}

/// Journals the refund of money that is not the order's to keep: it came on top, or for an order that is cancelled.
/// While a bank is to decide about it, it waits for that.
pub fn send_back(tx: &mut WriteTx, id: PaymentId) -> Result<(), PaymentError> {
    let payment = ops::get(tx, id)?;
    let is_cancelled = orders::get(tx, payment.order)?.status == orders::Status::Cancelled;
    let left = ops::left_of(tx, id, &payment)?;
    if !(payment.is_surplus || is_cancelled) || left.minor <= 0 {
        return Ok(());
    }
    let reason = if payment.is_surplus {
        "paid twice, or after the order was cancelled, or not what it cost"
    } else {
        "order cancelled"
    };
    match ops::begin_refund(tx, id, NewRefund::of_rest(&payment, left, reason, BY_ITSELF)) {
        Ok(_) | Err(PaymentError::Disputed { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A refund that asked for more than was left, because somebody had given money back at the gateway meanwhile, does
/// not end the matter. One that failed for another reason is a person's to see to.
fn send_back_rest(tx: &mut WriteTx, failed: &Refund) -> Result<(), PaymentError> {
    let payment = ops::get(tx, failed.payment)?;
    let left = ops::left_of(tx, failed.payment, &payment)?;
    if failed.amount.minor > left.minor { send_back(tx, failed.payment) } else { Ok(()) }
}

/// How long a gateway may take to list a refund that it has made.
const LISTED_AFTER: Duration = Duration::from_hours(1);

/// Takes over a refund as the gateway lists it: one of ours, or one that was made there.
pub fn settle_returned(tx: &mut WriteTx, of: PaymentId, said: &Returned) -> Result<(), PaymentError> {
    let payment = ops::get(tx, of)?;
    if payment.status != Status::Succeeded {
        return Ok(());
    }
    if said.amount.currency != payment.captured.currency {
        tracing::error!(
            reference = said.reference,
            "a gateway lists a refund in another currency than its payment's; it is not believed"
        );
        return Ok(());
    }
    let now = tx.now();
    let is_young = |refund: &Refund| {
        refund.payment == of && refund.ended_at.is_none_or(|ended| now < ended.plus(LISTED_AFTER))
    };
    // What is only inferred may be a refund of ours that is not listed yet.
    if said.is_inferred && ops::refunds_of(tx, payment.order)?.iter().any(|(_, refund)| is_young(refund)) {
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
        restock: false,
        is_taken_back: false,
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
