//! Refunds that failed, and whose money is still here. Where it is not the order's to keep, it is tried again; else,
//! and after some tries, a person must see to it.

use std::ops::{Bound, ControlFlow};
use std::time::Duration;

use super::model::{Payment, PaymentError, Refund};
use super::ops::{NewRefund, begin_refund, get_refund, left_of, refunds_of, refunds_of_payment};
use super::returned::send_back;
use super::store::{FAILED, PAYMENTS, REFUNDS};
use crate::app::App;
use crate::clock::Time;
use crate::id::RefundId;
use crate::money::Money;
use crate::orders::{self, RefundStatus, Status, units_of};
use crate::store::{Direction, Key, Reads, Span, WriteTx};

/// How long a failed refund is shown.
const SHOWN: Duration = Duration::from_hours(24 * 90);
/// When money that is not the order's to keep is tried to be given back again, and how often in all.
const NEXT_TRY_AFTER: Duration = Duration::from_hours(24);
const TRIES: usize = 5;

/// A refund that failed, and whose money no later one gives back.
pub struct Failed {
    pub id: RefundId,
    pub refund: Refund,
    /// When it is tried again by itself.
    pub again_at: Option<Time>,
}

/// The failed refunds of a payment whose money is still to go back, with how much of it, in minor units. Those that
/// were asked for since one failed stand in for it: one for the same sum and lines for that one, any other for the
/// oldest, as far as its sum goes. One that failed in its turn is what is still to be done. `own` are the payment's
/// refunds, oldest first.
pub fn unsettled(payment: &Payment, own: &[(RefundId, Refund)]) -> Vec<(RefundId, i64)> {
    let mut owed: Vec<(RefundId, &Refund, i64)> = Vec::new();
    let failed = own.iter().filter(|(_, refund)| refund.status == RefundStatus::Failed);
    owed.extend(failed.map(|(id, refund)| (*id, refund, refund.amount.minor)));
    for (id, later) in own {
        let is_after = |failed: &Refund| failed.ended_at.is_some_and(|ended| ended <= later.created_at);
        let is_same = |failed: &Refund| (failed.amount, &failed.lines) == (later.amount, &later.lines);
        let mut open: Vec<_> = owed
            .iter_mut()
            .filter(|(other, failed, left)| other < id && *left > 0 && is_after(failed))
            .collect();
        if let Some((_, _, left)) = open.iter_mut().find(|(_, failed, _)| is_same(failed)) {
            *left = 0;
            continue;
        }
        let mut sum = later.amount.minor;
        for (_, _, left) in open {
            let part = sum.min(*left);
            (sum, *left) = (sum - part, *left - part);
        }
    }
    let live = own.iter().filter(|(_, refund)| refund.status != RefundStatus::Failed);
    let here = payment.captured.minor - live.map(|(_, refund)| refund.amount.minor).sum::<i64>();
    let owed = owed.into_iter().map(|(id, _, left)| (id, left));
    owed.filter(|(_, left)| *left > 0 && *left <= here).collect()
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
        let owed = unsettled(&payment, &own).into_iter().find(|(open, _)| *open == id);
        let left = left_of(tx, refund.payment, &payment)?.minor;
        if owed.is_none_or(|(_, owed)| left < owed) {
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
/// [`PaymentError::NotOpen`] when the refund has not failed, others stand in for it, or its money is not there any more.
pub fn settle_by_hand(
    tx: &mut WriteTx,
    id: RefundId,
    reference: &str,
    by: &str,
) -> Result<RefundId, PaymentError> {
    let refund = get_refund(tx, id)?;
    let payment = PAYMENTS.expect(tx, &refund.payment)?;
    let own = refunds_of_payment(tx, refund.payment)?;
    let owed = unsettled(&payment, &own).into_iter().find(|(open, _)| *open == id);
    let left = left_of(tx, refund.payment, &payment)?;
    if owed.is_none_or(|(_, owed)| left.minor < owed) {
        return Err(PaymentError::NotOpen);
    }
    // Of a line no more can go back than there is.
    let order = orders::get(tx, refund.order)?;
    let all = refunds_of(tx, refund.order)?;
    let live = all.iter().filter(|(_, other)| other.status != RefundStatus::Failed);
    let live: Vec<_> = live.flat_map(|(_, other)| other.lines.iter().copied()).collect();
    let rest = |(line, units): &(u64, u32)| {
        let ordered = order.lines.iter().find(|one| one.id == *line).map_or(0, |one| one.quantity);
        (*line, (*units).min(ordered.saturating_sub(units_of(&live, *line))))
    };
    let lines = refund.lines.iter().map(rest).filter(|(_, units)| *units > 0).collect();
    let lead = if refund.reason.is_empty() { String::new() } else { format!("{}; ", refund.reason) };
    let new = NewRefund {
        amount: Money { minor: refund.amount.minor.min(left.minor), ..left },
        reason: &format!("{lead}given back by hand: {reference}"),
        lines,
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
    for Failed { id, refund, again_at } in app.store.read(failed)? {
        if again_at.is_some_and(|at| at <= now) {
            app.store
                .write(move |tx| {
                    let payment = PAYMENTS.expect(tx, &refund.payment)?;
                    let own = refunds_of_payment(tx, refund.payment)?;
                    let is_open = unsettled(&payment, &own).iter().any(|(open, _)| *open == id);
                    if is_open { send_back(tx, refund.payment) } else { Ok(()) }
                })
                .await?;
        }
    }
    Ok(())
}
