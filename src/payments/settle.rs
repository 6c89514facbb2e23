//! Taking over what a gateway says. Reply, event, poll and reconciler all end here; the same word twice, or a
//! late one, changes nothing.

use std::time::Duration;

use super::gateway::{Intent, Returned};
use super::lifecycle::{Status, refund_after};
use super::model::{Closing, Payment, PaymentError, Why};
use super::ops::{self, NewRefund, next_wait, note, tell_order};
use super::store::{PAYMENTS, REFUNDS};
use crate::id::{PaymentId, RefundId};
use crate::orders::{self, RefundStatus, Seller};
use crate::store::{Reads, WriteTx};

/// What settling goes by beside the gateway's word.
#[derive(Clone)]
pub struct Terms {
    pub seller: Seller,
    /// By how long a hold is extended while the customer is at their bank.
    pub hold: Duration,
}

/// Takes over the gateway's payment object as it was seen: the order that it pays is paid, with its invoice; one
/// that it no longer pays is cancelled; and money that nobody asked for goes back.
pub fn settle(
    tx: &mut WriteTx,
    id: PaymentId,
    said: &Intent,
    terms: &Terms,
) -> Result<Payment, PaymentError> {
    let mut payment = ops::get(tx, id)?;
    let before = payment.clone();
    payment.reference = Some(said.reference.clone());
    if !payment.status.is_final() {
        payment.client_secret.clone_from(&said.client_secret);
        payment.approve_url.clone_from(&said.approve_url);
        payment.last_error.clone_from(&said.declined);
    }
    let news = payment.status.after(said.status);
    if let Some(status) = news {
        payment.status = status;
    }
    if payment.status == Status::Succeeded && news.is_some() {
        payment.captured = said.captured;
        let order = orders::get(tx, payment.order)?;
        let is_wanted = order.paid_at.is_none()
            && order.status.after(orders::Event::Pay).is_some()
            && said.captured == order.total;
        payment.is_surplus = !is_wanted;
    }
    if payment.status.is_final() {
        payment.next_look_at = None;
    } else if news.is_some() {
        payment.looks = 0;
        payment.next_look_at = Some(tx.now().plus(next_wait(tx, 0)));
    }
    if payment == before {
        return Ok(payment);
    }
    payment.updated_at = tx.now();
    PAYMENTS.put(tx, &id, &payment)?;
    if let Some(status) = news {
        follow(tx, id, &payment, status, terms)?;
    }
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
        Status::Succeeded if payment.is_surplus => {
            let reason = "paid twice, or after the order was cancelled, or not what it cost";
            let by = "system";
            let new = NewRefund { amount: payment.captured, reason, lines: Vec::new(), is_surplus: true, by };
            ops::begin_refund(tx, id, new)?;
        }
        Status::Succeeded => orders::record_paid(tx, order, &payment.provider, "payment", &terms.seller)?,
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
        Why::OtherProvider | Why::Operator => {}
    }
    Ok(())
}

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
    tell_order(tx, refund.order)
}

/// Puts off the next look at a payment whose gateway could not be asked, or had nothing new.
pub(super) fn look_later(tx: &mut WriteTx, id: PaymentId) -> Result<(), PaymentError> {
    let mut payment = ops::get(tx, id)?;
    if payment.status.is_final() {
        return Ok(());
    }
    payment.looks = payment.looks.saturating_add(1);
    let wait = next_wait(tx, payment.looks);
    payment.next_look_at = Some(tx.now().plus(wait));
    Ok(PAYMENTS.put(tx, &id, &payment)?)
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
