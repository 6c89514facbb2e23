//! The acts of payments. What a gateway said is taken over by [`settle`](super::settle).

use std::time::Duration;

use super::disputes;
use super::lifecycle::{Status, derive};
use super::model::{BY_HAND, Closing, Key, NOTHING_TO_PAY, Payment, PaymentError, Refund, Stand, Why};
use super::store::{OF_ORDER, PAYMENTS, REFUNDS, REFUNDS_OF};
use crate::hex::hex;
use crate::id::{OrderId, PaymentId, RefundId};
use crate::money::Money;
use crate::orders::{self, Order, RefundNote, RefundStatus, Seller};
use crate::store::{Reads, StoreError, WriteTx};

/// How long the reconciler leaves a new attempt to the request that makes it.
pub(super) const FIRST_LOOK: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// After a decline the customer is given this long before the same approval is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// An attempt to pay.
pub fn get(tx: &impl Reads, id: PaymentId) -> Result<Payment, PaymentError> {
    PAYMENTS.get(tx, &id)?.ok_or(PaymentError::NotFound)
}

/// A refund.
pub fn get_refund(tx: &impl Reads, id: RefundId) -> Result<Refund, PaymentError> {
    REFUNDS.get(tx, &id)?.ok_or(PaymentError::NotFound)
}

/// The attempts to pay an order, oldest first.
pub fn of_order(tx: &impl Reads, order: OrderId) -> Result<Vec<(PaymentId, Payment)>, StoreError> {
    OF_ORDER.all(tx, &order)?.into_iter().map(|id| Ok((id, PAYMENTS.expect(tx, &id)?))).collect()
}

/// The refunds of an order, oldest first.
pub fn refunds_of(tx: &impl Reads, order: OrderId) -> Result<Vec<(RefundId, Refund)>, StoreError> {
    REFUNDS_OF.all(tx, &order)?.into_iter().map(|id| Ok((id, REFUNDS.expect(tx, &id)?))).collect()
}

/// The refunds of a payment, oldest first.
pub fn refunds_of_payment(tx: &impl Reads, id: PaymentId) -> Result<Vec<(RefundId, Refund)>, StoreError> {
    let all = refunds_of(tx, PAYMENTS.expect(tx, &id)?.order)?;
    Ok(all.into_iter().filter(|(_, refund)| refund.payment == id).collect())
}

/// The attempt that is not final; an order has one at most.
pub fn live_of(tx: &impl Reads, order: OrderId) -> Result<Option<(PaymentId, Payment)>, StoreError> {
    Ok(of_order(tx, order)?.into_iter().find(|(_, payment)| !payment.status.is_final()))
}

/// Tells the order what its payments and refunds add up to.
pub(super) fn tell_order(tx: &mut WriteTx, id: OrderId) -> Result<(), PaymentError> {
    let total = orders::get(tx, id)?.total;
    let payments: Vec<_> = of_order(tx, id)?.into_iter().map(|(_, payment)| payment).collect();
    let refunds: Vec<_> = refunds_of(tx, id)?.into_iter().map(|(_, refund)| refund).collect();
    let disputes: Vec<_> = disputes::of_order(tx, id)?.into_iter().map(|(_, dispute)| dispute).collect();
    Ok(orders::note_payment_status(tx, id, derive(total, &payments, &refunds, &disputes))?)
}

/// How long to wait before the next look: longer each time, and not in step with the others.
pub(super) fn next_wait(tx: &mut WriteTx, looks: u32) -> Duration {
    let wait = FIRST_LOOK.saturating_mul(1 << looks.min(10)).min(LONGEST_WAIT);
    tx.jittered(wait)
}

/// Journals a new attempt to pay `order`, which has no live one.
pub fn begin(
    tx: &mut WriteTx,
    id: OrderId,
    order: &Order,
    provider: &str,
) -> Result<(PaymentId, Payment), StoreError> {
    let now = tx.now();
    let payment = Payment {
        order: id,
        user: order.user,
        provider: provider.to_owned(),
        status: Status::RequiresPayment,
        amount: order.total,
        nonce: tx.random(),
        key: Key::first(now),
        reference: None,
        charge: None,
        client_secret: None,
        approve_url: None,
        last_error: None,
        capturing: None,
        capture_key: Key::first(now),
        captured: order.total.currency.zero(),
        captured_at: None,
        fee: None,
        is_surplus: false,
        closing: None,
        by_hand: None,
        next_look_at: Some(now.plus(FIRST_LOOK)),
        looks: 0,
        created_at: now,
        updated_at: now,
    };
    let payment_id = PaymentId(tx.next_number("payments")?);
    PAYMENTS.put(tx, &payment_id, &payment)?;
    Ok((payment_id, payment))
}

/// [`begin`], for an order that may have attempts already: if they failed, it has not failed any more.
pub fn begin_anew(
    tx: &mut WriteTx,
    id: OrderId,
    order: &Order,
    provider: &str,
) -> Result<PaymentId, PaymentError> {
    let (payment, _) = begin(tx, id, order, provider)?;
    tell_order(tx, id)?;
    Ok(payment)
}

/// Journals that the next of the attempt's idempotency keys is in use: nothing was made under those up to `spent`.
/// Whoever comes second goes on with the key that the first took.
pub fn renew_key(tx: &mut WriteTx, id: PaymentId, spent: Key) -> Result<Payment, PaymentError> {
    let mut payment = get(tx, id)?;
    if payment.key == spent {
        payment.key = spent.next(tx.now());
        PAYMENTS.put(tx, &id, &payment)?;
    }
    Ok(payment)
}

/// [`renew_key`], for a refund.
pub fn renew_refund_key(tx: &mut WriteTx, id: RefundId, spent: Key) -> Result<Refund, PaymentError> {
    let mut refund = get_refund(tx, id)?;
    if refund.key == spent {
        refund.key = spent.next(tx.now());
        REFUNDS.put(tx, &id, &refund)?;
    }
    Ok(refund)
}

/// Journals that the money of an approved payment is asked for, and returns the key to ask with. A payment that is
/// closing, that its order does not want, or whose customer was just told of a decline, is left alone.
pub fn begin_capture(tx: &mut WriteTx, id: PaymentId) -> Result<Option<String>, PaymentError> {
    let mut payment = get(tx, id)?;
    let now = tx.now();
    let was_declined = payment.last_error.is_some() && now < payment.updated_at.plus(AGAIN_AFTER);
    let is_wanted = orders::get(tx, payment.order)?.status == orders::Status::Pending;
    if payment.status.is_final() || payment.closing.is_some() || was_declined || !is_wanted {
        return Ok(None);
    }
    // One whose outcome is unknown is asked for under the same key, for as long as the gateway knows it.
    if payment.capturing.is_none() || !payment.capture_key.is_fresh(now) {
        payment.capture_key = payment.capture_key.next(now);
    }
    payment.capturing = Some(now);
    PAYMENTS.put(tx, &id, &payment)?;
    Ok(Some(format!("{}-capture-{}", hex(&payment.nonce), payment.capture_key.n)))
}

/// Journals that the capture that was asked for has an outcome.
pub fn end_capture(tx: &mut WriteTx, id: PaymentId) -> Result<(), PaymentError> {
    let mut payment = get(tx, id)?;
    payment.capturing = None;
    // After a decline, the customer gets a moment from now on.
    payment.updated_at = tx.now();
    Ok(PAYMENTS.put(tx, &id, &payment)?)
}

/// Journals that a live payment is to end. What it is closed for stays what it was closed for first.
pub fn close(tx: &mut WriteTx, id: PaymentId, why: Why, by: &str) -> Result<(), PaymentError> {
    let mut payment = get(tx, id)?;
    if payment.status.is_final() || payment.closing.is_some() {
        return Ok(());
    }
    let now = tx.now();
    payment.closing = Some(Closing { why, by: by.to_owned(), at: now });
    // The reconciler ends what nobody waits for, and goes on soon where whoever closes it does not get to the end.
    payment.looks = 0;
    let is_waited_for = !matches!(payment.closing, Some(Closing { why: Why::Expired, .. }));
    payment.next_look_at = Some(if is_waited_for { now.plus(FIRST_LOOK) } else { now });
    payment.updated_at = now;
    Ok(PAYMENTS.put(tx, &id, &payment)?)
}

/// Records money that was taken by hand for an order that has no live payment, and what follows.
pub fn pay_by_hand(
    tx: &mut WriteTx,
    id: OrderId,
    how: &str,
    by: &str,
    seller: &Seller,
) -> Result<(), PaymentError> {
    let order = orders::get(tx, id)?;
    let (payment_id, mut payment) = begin(tx, id, &order, BY_HAND)?;
    payment.status = Status::Succeeded;
    payment.captured = payment.amount;
    payment.captured_at = Some(tx.now());
    payment.by_hand = Some(how.to_owned());
    payment.next_look_at = None;
    PAYMENTS.put(tx, &payment_id, &payment)?;
    orders::record_paid(tx, id, how, by, seller)?;
    tell_order(tx, id)
}

/// Records that an order which was placed as paid, because it cost nothing, needed no payment.
pub fn record_nothing_to_pay(tx: &mut WriteTx, id: OrderId, order: &Order) -> Result<PaymentId, StoreError> {
    let (payment_id, mut payment) = begin(tx, id, order, BY_HAND)?;
    payment.status = Status::Succeeded;
    payment.by_hand = Some(NOTHING_TO_PAY.to_owned());
    payment.next_look_at = None;
    PAYMENTS.put(tx, &payment_id, &payment)?;
    Ok(payment_id)
}

/// What is to be refunded.
pub struct NewRefund<'a> {
    pub amount: Money,
    pub reason: &'a str,
    pub lines: Vec<(u64, u32)>,
    pub restock: bool,
    pub is_surplus: bool,
    /// A person gives it back, whoever took it: its refund is done.
    pub by_hand: bool,
    pub by: &'a str,
}

impl<'a> NewRefund<'a> {
    /// Of all that is left of a payment, for no lines in particular.
    pub(super) fn of_rest(payment: &Payment, left: Money, reason: &'a str, by: &'a str) -> NewRefund<'a> {
        NewRefund {
            amount: left,
            reason,
            lines: Vec::new(),
            restock: false,
            is_surplus: payment.is_surplus,
            by_hand: false,
            by,
        }
    }
}

/// What of a payment's captured money is not refunded, nor on its way.
pub fn not_refunded(tx: &impl Reads, id: PaymentId, payment: &Payment) -> Result<Money, PaymentError> {
    let spoken_for = refunds_of(tx, payment.order)?
        .into_iter()
        .filter(|(_, refund)| refund.payment == id && refund.status != RefundStatus::Failed)
        .map(|(_, refund)| refund.amount);
    Ok(payment.captured.minus(Money::sum(payment.captured.currency, spoken_for)?)?)
}

/// What of a payment's captured money can be given back: what is not refunded, and was not taken by a bank.
pub fn left_of(tx: &impl Reads, id: PaymentId, payment: &Payment) -> Result<Money, PaymentError> {
    let left = not_refunded(tx, id, payment)?;
    let disputes = disputes::of_order(tx, payment.order)?.into_iter().map(|(_, dispute)| dispute);
    let lost = disputes.filter(|dispute| dispute.payment == id && dispute.stand == Stand::Lost);
    let minor = left.minor - lost.map(|dispute| dispute.amount.minor).sum::<i64>();
    // Some gateways list what a bank took as a refund, too.
    Ok(Money { minor: minor.max(0).min(left.minor), ..left })
}

/// Whether the refunds of an order whose status `counts` give back all that was captured for it.
pub(super) fn is_given_back(
    tx: &impl Reads,
    order: OrderId,
    counts: impl Fn(RefundStatus) -> bool,
) -> Result<bool, StoreError> {
    let own = of_order(tx, order)?.into_iter().filter(|(_, payment)| !payment.is_surplus);
    let captured: i64 = own.map(|(_, payment)| payment.captured.minor).sum();
    let refunds = refunds_of(tx, order)?.into_iter().map(|(_, refund)| refund);
    let counted = refunds.filter(|refund| !refund.is_surplus && counts(refund.status));
    Ok(captured > 0 && counted.map(|refund| refund.amount.minor).sum::<i64>() >= captured)
}

/// Whether money of an order may be given back.
///
/// # Errors
/// [`PaymentError::Disputed`] while its bank decides about it.
pub fn may_refund(tx: &impl Reads, order: OrderId) -> Result<(), PaymentError> {
    let barring = disputes::of_order(tx, order)?.into_iter().find(|(_, dispute)| dispute.bars_refunds());
    match barring {
        Some((_, dispute)) => Err(PaymentError::Disputed { dispute: Box::new(dispute) }),
        None => Ok(()),
    }
}

/// Journals a refund of captured money. Money that was taken by hand is given back by hand: its refund is done.
pub fn begin_refund(tx: &mut WriteTx, id: PaymentId, new: NewRefund<'_>) -> Result<RefundId, PaymentError> {
    let payment = get(tx, id)?;
    // A gateway refuses it anyway, and what the bank decides may make it needless.
    let open = disputes::of_order(tx, payment.order)?.into_iter().map(|(_, dispute)| dispute);
    if let Some(dispute) = open.into_iter().find(|d| d.payment == id && d.bars_refunds()) {
        return Err(PaymentError::Disputed { dispute: Box::new(dispute) });
    }
    let left = left_of(tx, id, &payment)?;
    if new.amount.minor > left.minor {
        return Err(PaymentError::RefundTooLarge { left });
    }
    let now = tx.now();
    // Of no money, there is nothing for a gateway to do.
    let by_hand = new.by_hand || new.amount.is_zero() || payment.provider == BY_HAND;
    let refund = Refund {
        order: payment.order,
        payment: id,
        provider: if by_hand { BY_HAND.to_owned() } else { payment.provider },
        amount: new.amount,
        status: RefundStatus::Pending,
        reason: new.reason.to_owned(),
        nonce: tx.random(),
        key: Key::first(now),
        reference: None,
        lines: new.lines,
        restock: new.restock,
        is_taken_back: false,
        is_surplus: new.is_surplus,
        last_error: None,
        by: new.by.to_owned(),
        ended_at: None,
        next_look_at: Some(now.plus(FIRST_LOOK)),
        looks: 0,
        created_at: now,
        updated_at: now,
    };
    let refund_id = RefundId(tx.next_number("refunds")?);
    REFUNDS.put(tx, &refund_id, &refund)?;
    orders::note_refund(tx, refund.order, note(refund_id, &refund))?;
    if by_hand {
        let done = super::gateway::Returned {
            reference: String::new(),
            amount: new.amount,
            status: RefundStatus::Succeeded,
            error: None,
            tag: None,
            is_inferred: false,
        };
        super::settle_refund(tx, refund_id, &done)?;
    }
    Ok(refund_id)
}

/// A refund as its order shows it.
pub(super) fn note(id: RefundId, refund: &Refund) -> RefundNote {
    RefundNote {
        id,
        amount: refund.amount,
        status: refund.status,
        reason: refund.reason.clone(),
        at: refund.created_at,
    }
}

/// Journals the refund of all that is left of an order's money.
pub fn refund_rest(
    tx: &mut WriteTx,
    order: OrderId,
    reason: &str,
    by: &str,
) -> Result<Vec<RefundId>, PaymentError> {
    let mut refunds = Vec::new();
    for (id, payment) in of_order(tx, order)? {
        let left = left_of(tx, id, &payment)?;
        if left.minor > 0 {
            refunds.push(begin_refund(tx, id, NewRefund::of_rest(&payment, left, reason, by))?);
        }
    }
    Ok(refunds)
}
