//! Taking over what a gateway says. Reply, event, poll and reconciler all end here; the same word twice, or a
//! late one, changes nothing.

use std::time::Duration;

use super::gateway::Intent;
use super::lifecycle::Status;
use super::model::{Closing, Payment, PaymentError, Told, Why};
use super::ops::{self, next_wait, tell_order};
use super::returned;
use super::store::PAYMENTS;
use crate::clock::Time;
use crate::id::PaymentId;
use crate::orders::{self, Seller};
use crate::outbox::{self, Cause};
use crate::store::{Reads, WriteTx};

/// What settling goes by beside the gateway's word.
#[derive(Clone)]
pub struct Terms {
    pub seller: Seller,
    /// By how long a hold is extended while the customer is at their bank.
    pub hold: Duration,
}

/// When a payment that was given up is looked at once more, and how often that is tried.
const LATE_LOOK: Duration = Duration::from_hours(1);
const LATE_LOOKS: u32 = 5;

/// Takes over the gateway's payment object as it was seen: the order that it pays is paid, with its invoice; one
/// that it no longer pays is cancelled; and money that nobody asked for goes back.
pub fn settle(
    tx: &mut WriteTx,
    id: PaymentId,
    said: &Intent,
    terms: &Terms,
) -> Result<Payment, PaymentError> {
    let mut payment = ops::get(tx, id)?;
    if payment.reference.as_ref().is_some_and(|known| *known != said.reference) {
        // Another object that was made for the same attempt: its money, if it ever has any, is a stray.
        return Ok(payment);
    }
    let before = payment.clone();
    let now = tx.now();
    take_details(&mut payment, said, now);
    let news = payment.status.after(said.status);
    if let Some(status) = news {
        payment.status = status;
    }
    if payment.status == Status::Succeeded && news.is_some() {
        payment.captured = said.captured;
        payment.captured_at = Some(now);
        let order = orders::get(tx, payment.order)?;
        let is_wanted = order.paid_at.is_none()
            && order.status.after(orders::Event::Pay).is_some()
            && said.captured == order.total;
        payment.is_surplus = !is_wanted;
    }
    if payment.status.is_final() {
        // Where a capture was asked for, it may have been done in spite of all: one late look says so.
        let may_come = payment.status != Status::Succeeded && payment.capture_key.n > 0;
        payment.looks = 0;
        payment.next_look_at = (may_come && news.is_some()).then(|| now.plus(LATE_LOOK));
        payment.capturing = None;
    } else if news.is_some() {
        payment.looks = 0;
        payment.next_look_at = Some(now.plus(next_wait(tx, 0)));
    }
    if payment == before {
        return Ok(payment);
    }
    payment.updated_at = now;
    PAYMENTS.put(tx, &id, &payment)?;
    tell_of_failure(tx, id, &before, &payment)?;
    if let Some(status) = news {
        follow(tx, id, &payment, status, terms)?;
    }
    tell_order(tx, payment.order)?;
    Ok(payment)
}

/// Has the customer told that a payment of an order that is still to be paid failed, and the administrators that one
/// at the gateway is not what was asked for.
fn tell_of_failure(
    tx: &mut WriteTx,
    id: PaymentId,
    before: &Payment,
    payment: &Payment,
) -> Result<(), PaymentError> {
    let is_wrong = |payment: &Payment| {
        payment.closing.as_ref().is_some_and(|closing| matches!(closing.why, Why::WrongAmount))
    };
    if is_wrong(payment) && !is_wrong(before) {
        outbox::post(tx, Cause::WrongAmount(id))?;
    }
    let late = before.status == Status::Processing || payment.status == Status::Failed;
    let is_new = payment.last_error != before.last_error || payment.status != before.status;
    let has_failed = payment.last_error.is_some() || payment.status == Status::Failed;
    let is_over = matches!(payment.status, Status::Succeeded | Status::Canceled | Status::Processing);
    if has_failed && is_new && !is_over && payment.closing.is_none() {
        let said = payment.last_error.as_ref().map_or_else(String::new, |told| told.message.clone());
        outbox::post(tx, Cause::PaymentFailed { payment: id, late, said })?;
    }
    Ok(())
}

/// What the gateway says beside the status.
fn take_details(payment: &mut Payment, said: &Intent, now: Time) {
    payment.reference = Some(said.reference.clone());
    if said.charge.is_some() {
        payment.charge.clone_from(&said.charge);
    }
    if said.fee.is_some() {
        payment.fee = said.fee;
    }
    if payment.status.is_final() {
        return;
    }
    payment.client_secret.clone_from(&said.client_secret);
    if said.approve_url.is_some() {
        payment.approve_url.clone_from(&said.approve_url);
    }
    // A decline is told until something new is tried.
    if said.declined.is_some() || !(said.status == Status::RequiresPayment || said.is_approved) {
        payment.last_error.clone_from(&said.declined);
    }
    if said.amount != payment.amount && !said.status.is_final() {
        tracing::error!(
            order = payment.order.0,
            reference = said.reference,
            wanted = %payment.amount,
            is = %said.amount,
            "a payment at the gateway is not for what its order costs; it is ended"
        );
        (payment.client_secret, payment.approve_url) = (None, None);
        payment.closing.get_or_insert(Closing { why: Why::WrongAmount, by: "system".into(), at: now });
    }
}

/// Journals that the gateway refused to make the payment: this attempt is over, and the order can be paid anew.
pub fn refuse(tx: &mut WriteTx, id: PaymentId, told: &Told, terms: &Terms) -> Result<Payment, PaymentError> {
    if_unmade(tx, id, |tx| end(tx, id, Status::Failed, Some(told), terms))
}

/// Journals that nothing was made at the gateway for a payment that is closing.
pub fn drop_unmade(tx: &mut WriteTx, id: PaymentId, terms: &Terms) -> Result<Payment, PaymentError> {
    if_unmade(tx, id, |tx| end(tx, id, Status::Canceled, None, terms))
}

/// Whoever made the payment at the gateway meanwhile knows better.
fn if_unmade(
    tx: &mut WriteTx,
    id: PaymentId,
    act: impl FnOnce(&mut WriteTx) -> Result<Payment, PaymentError>,
) -> Result<Payment, PaymentError> {
    let payment = ops::get(tx, id)?;
    if payment.reference.is_some() { Ok(payment) } else { act(tx) }
}

/// Ends a payment without its gateway's word, because an operator says so. Should its money come all the same, it
/// goes back.
pub fn give_up(tx: &mut WriteTx, id: PaymentId, terms: &Terms) -> Result<Payment, PaymentError> {
    end(tx, id, Status::Canceled, None, terms)
}

/// Ends a payment here.
fn end(
    tx: &mut WriteTx,
    id: PaymentId,
    status: Status,
    told: Option<&Told>,
    terms: &Terms,
) -> Result<Payment, PaymentError> {
    let mut payment = ops::get(tx, id)?;
    let before = payment.clone();
    let Some(status) = payment.status.after(status).filter(|_| !payment.status.is_final()) else {
        return Ok(payment);
    };
    payment.status = status;
    payment.last_error = told.cloned();
    payment.next_look_at = None;
    payment.updated_at = tx.now();
    PAYMENTS.put(tx, &id, &payment)?;
    tell_of_failure(tx, id, &before, &payment)?;
    follow(tx, id, &payment, status, terms)?;
    tell_order(tx, payment.order)?;
    Ok(payment)
}

/// What a payment's new status means for its order.
fn follow(
    tx: &mut WriteTx,
    id: PaymentId,
    payment: &Payment,
    status: Status,
    terms: &Terms,
) -> Result<(), PaymentError> {
    let order = payment.order;
    match status {
        Status::Succeeded if payment.is_surplus => returned::send_back(tx, id)?,
        Status::Succeeded => {
            orders::record_paid(tx, order, &payment.provider, "payment", &terms.seller)?;
            // A payment that was given up and succeeded after all: the one that took its place is to end.
            if let Some((other, _)) = ops::live_of(tx, order)? {
                ops::close(tx, other, Why::OtherProvider, "system")?;
            }
        }
        Status::Failed | Status::Canceled => {
            if let Some(Closing { why, by, .. }) = &payment.closing {
                closed(tx, payment, why, by, terms)?;
            }
        }
        Status::RequiresAction => {
            let until = tx.now().plus(terms.hold);
            orders::extend_hold(tx, order, until)?;
        }
        Status::RequiresPayment | Status::Processing => {}
    }
    Ok(())
}

/// Does what the payment was closed for.
fn closed(
    tx: &mut WriteTx,
    payment: &Payment,
    why: &Why,
    by: &str,
    terms: &Terms,
) -> Result<(), PaymentError> {
    if orders::get(tx, payment.order)?.status != orders::Status::Pending {
        return Ok(());
    }
    match why {
        Why::Expired => orders::cancel(tx, payment.order, by, "not paid in time")?,
        Why::Cancelled { note } => orders::cancel(tx, payment.order, by, note)?,
        Why::PaidByHand { how } => ops::pay_by_hand(tx, payment.order, how, by, &terms.seller)?,
        Why::OtherProvider | Why::Operator | Why::WrongAmount => {}
    }
    Ok(())
}

/// Puts off the next look at a payment whose gateway could not be asked, or had nothing new. After some late looks in
/// vain, one that was given up is let be.
pub(super) fn look_later(tx: &mut WriteTx, id: PaymentId) -> Result<(), PaymentError> {
    let mut payment = ops::get(tx, id)?;
    payment.looks = payment.looks.saturating_add(1);
    let wait = next_wait(tx, payment.looks);
    let is_over = payment.next_look_at.is_none() || (payment.status.is_final() && payment.looks > LATE_LOOKS);
    payment.next_look_at = (!is_over).then(|| tx.now().plus(wait));
    Ok(PAYMENTS.put(tx, &id, &payment)?)
}
