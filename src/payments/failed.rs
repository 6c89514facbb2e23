//! Refunds that failed, and whose money is still here. Where it is not the order's to keep, it is tried again; else,
//! and after some tries, a person must see to it.

use std::ops::{Bound, ControlFlow};
use std::time::Duration;

use super::model::{Payment, PaymentError, Refund};
use super::ops::{NewRefund, begin_refund, get_refund, left_of, refunds_of_payment};
use super::returned::send_back;
use super::store::{FAILED, PAYMENTS, REFUNDS};
use crate::app::App;
use crate::clock::Time;
use crate::id::RefundId;
use crate::orders::{self, RefundStatus, Status};
use crate::store::{Direction, Key, Reads, Span, WriteTx};

/// How long a failed refund is shown.
const SHOWN: Duration = Duration::from_hours(24 * 90);
/// When money that is not the order's to keep is tried to be given back again, and how often in all.
const NEXT_TRY_AFTER: Duration = Duration::from_hours(24);
const TRIES: usize = 5;

/// A refund that failed, and that none has come after.
pub struct Failed {
    pub id: RefundId,
    pub refund: Refund,
    /// When it is tried again by itself.
    pub again_at: Option<Time>,
}

/// Whether nothing came after a failed refund, so that its money is still to go back. `own` are its payment's refunds,
/// oldest first.
pub fn is_unsettled<'a>(own: impl DoubleEndedIterator<Item = &'a Refund>) -> bool {
    own.map(|refund| refund.status).next_back() == Some(RefundStatus::Failed)
}

/// The failed refunds of the last months whose money is still here.
pub fn failed(tx: &impl Reads) -> Result<Vec<Failed>, PaymentError> {
    let mut ids = Vec::new();
    let from = Bound::Included(tx.now().minus(SHOWN).bytes());
    FAILED.scan(tx, Span { from, to: Bound::Unbounded, direction: Direction::Up }, |_, id| {
        ids.push(id);
        ControlFlow::Continue(())
    })?;
    let mut found = Vec::new();
    for id in ids {
        let refund = REFUNDS.expect(tx, &id)?;
        let payment = PAYMENTS.expect(tx, &refund.payment)?;
        let own = refunds_of_payment(tx, refund.payment)?;
        // Whoever asked for it was told at once that the gateway refused, and nobody was promised anything.
        let is_homeless = is_homeless(tx, &payment)?;
        if refund.reference.is_none() && !is_homeless {
            continue;
        }
        let is_newest = own.last().is_some_and(|(newest, _)| *newest == id);
        if !is_newest || left_of(tx, refund.payment, &payment)?.minor < refund.amount.minor {
            continue;
        }
        let tries = own.iter().filter(|(_, other)| other.status == RefundStatus::Failed).count();
        let is_tried = tries < TRIES && is_homeless;
        let again_at = refund.ended_at.filter(|_| is_tried).map(|ended| ended.plus(NEXT_TRY_AFTER));
        found.push(Failed { id, refund, again_at });
    }
    Ok(found)
}

/// Whether a payment's money is not its order's to keep.
fn is_homeless(tx: &impl Reads, payment: &Payment) -> Result<bool, PaymentError> {
    Ok(payment.is_surplus || orders::get(tx, payment.order)?.status == Status::Cancelled)
}

/// Records that the money of a refund that failed was given back by hand, such as by a transfer: as a refund of its
/// own, which is done.
///
/// # Errors
/// [`PaymentError::NotOpen`] when the refund has not failed, another came after it, or its money is not there any more.
pub fn settle_by_hand(
    tx: &mut WriteTx,
    id: RefundId,
    reference: &str,
    by: &str,
) -> Result<RefundId, PaymentError> {
    let refund = get_refund(tx, id)?;
    let payment = PAYMENTS.expect(tx, &refund.payment)?;
    let own = refunds_of_payment(tx, refund.payment)?;
    let is_open =
        refund.status == RefundStatus::Failed && own.last().is_some_and(|(newest, _)| *newest == id);
    if !is_open || left_of(tx, refund.payment, &payment)?.minor < refund.amount.minor {
        return Err(PaymentError::NotOpen);
    }
    let lead = if refund.reason.is_empty() { String::new() } else { format!("{}; ", refund.reason) };
    let new = NewRefund {
        amount: refund.amount,
        reason: &format!("{lead}given back by hand: {reference}"),
        lines: refund.lines,
        restock: refund.restock,
        is_surplus: refund.is_surplus,
        by_hand: true,
        by,
    };
    begin_refund(tx, refund.payment, new)
}

/// Tries again what is due.
pub async fn try_again(app: &App) -> Result<(), PaymentError> {
    let now = app.clock.now();
    for Failed { refund, again_at, .. } in app.store.read(failed)? {
        if again_at.is_some_and(|at| at <= now) {
            app.store
                .write(move |tx| {
                    let own = refunds_of_payment(tx, refund.payment)?;
                    if is_unsettled(own.iter().map(|(_, other)| other)) {
                        send_back(tx, refund.payment)
                    } else {
                        Ok(())
                    }
                })
                .await?;
        }
    }
    Ok(())
}
