//! Refunds that an administrator asks for: by lines, by amount, or all that is left.

use crate::id::{OrderId, PaymentId, RefundId};
use crate::money::{Money, Overflow};
use crate::orders::{self, Order, OrderLine, RefundStatus};
use crate::payments::{self, NewRefund, Payment, PaymentError, Refund};
use crate::store::{Reads, WriteTx};

/// What is to go back.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Line ids and units; empty: not by lines.
    pub lines: Vec<(u64, u32)>,
    /// `None`: what the lines cost, or all that is left.
    pub amount: Option<Money>,
    /// The payment that it is of; `None`: the order's own, or, when that is all given back, one on top of it.
    pub payment: Option<PaymentId>,
    pub reason: String,
    /// Puts the units back on the shelf.
    pub restock: bool,
}

/// Journals the refund. One of units that cost nothing only takes them back: it is done at once, and of no money.
pub fn begin(tx: &mut WriteTx, id: OrderId, asked: &Asked, by: &str) -> Result<RefundId, PaymentError> {
    let order = orders::get(tx, id)?;
    let before: Vec<_> = payments::refunds_of(tx, id)?.into_iter().map(|(_, refund)| refund).collect();
    let mut found = source(tx, id, asked.payment)?;
    let is_enough = |(_, payment, _): &Source| !payment.is_surplus || asked.lines.is_empty();
    if !found.as_ref().is_some_and(is_enough) && is_free(&order, asked, &before)? {
        found = own(tx, id, asked.payment)?;
        if found.is_none() && order.paid_at.is_some() && order.total.is_zero() && asked.payment.is_none() {
            // An order that cost nothing was placed as paid, with no payment to speak of.
            let payment = payments::record_nothing_to_pay(tx, id, &order)?;
            found = Some((payment, payments::get(tx, payment)?, order.total));
        }
    }
    let (payment_id, payment, left) = found.ok_or(PaymentError::NothingToRefund)?;
    if payment.is_surplus && (asked.restock || !asked.lines.is_empty()) {
        let said = "what came on top of the order's money is no line's: leave lines and restock out";
        return Err(PaymentError::RefundLines(said.into()));
    }
    let is_rest = asked.amount.is_none_or(|amount| amount == left);
    let is_all = asked.lines.is_empty() && is_rest && !payment.is_surplus;
    let lines = if is_all { all_left(&order, &before) } else { asked.lines.clone() };
    let amount = match asked.amount {
        Some(amount) => amount,
        None if asked.lines.is_empty() => left,
        None => price_of(&order, &asked.lines, &before)?,
    };
    check_lines(&order, &lines, &before)?;
    if amount.minor > left.minor {
        return Err(PaymentError::RefundTooLarge { left });
    }

    let new = NewRefund {
        amount,
        reason: &asked.reason,
        restock: asked.restock && !lines.is_empty(),
        lines,
        is_surplus: payment.is_surplus,
        by_hand: false,
        by,
    };
    payments::begin_refund(tx, payment_id, new)
}

/// A payment, and what is left of its money.
type Source = (PaymentId, Payment, Money);

/// The payment that has money left: the order's own before one that came on top of it.
fn source(
    tx: &impl Reads,
    order: OrderId,
    wanted: Option<PaymentId>,
) -> Result<Option<Source>, PaymentError> {
    let mut payments = payments::of_order(tx, order)?;
    payments.retain(|(id, _)| wanted.is_none_or(|wanted| *id == wanted));
    payments.sort_by_key(|(_, payment)| payment.is_surplus);
    for (id, payment) in payments {
        let left = payments::left_of(tx, id, &payment)?;
        if left.minor > 0 {
            return Ok(Some((id, payment, left)));
        }
    }
    Ok(None)
}

/// The payment that the order was paid with, whose money need not be there any more.
fn own(tx: &impl Reads, order: OrderId, wanted: Option<PaymentId>) -> Result<Option<Source>, PaymentError> {
    let is_own = |(id, payment): &(PaymentId, Payment)| {
        payment.status == payments::Status::Succeeded
            && !payment.is_surplus
            && wanted.is_none_or(|wanted| *id == wanted)
    };
    let found = payments::of_order(tx, order)?.into_iter().find(is_own);
    let with_left = |(id, payment): (PaymentId, Payment)| {
        let left = payments::left_of(tx, id, &payment)?;
        Ok((id, payment, left))
    };
    found.map(with_left).transpose()
}

/// Whether what is asked for is units, and they cost nothing: with a coupon that makes them free.
fn is_free(order: &Order, asked: &Asked, before: &[Refund]) -> Result<bool, Overflow> {
    let lines = if asked.lines.is_empty() { all_left(order, before) } else { asked.lines.clone() };
    let is_units = asked.amount.is_none() && !lines.is_empty() && check_lines(order, &lines, before).is_ok();
    Ok(is_units && price_of(order, &lines, before)?.is_zero())
}

/// What of the order is not refunded.
fn all_left(order: &Order, before: &[Refund]) -> Vec<(u64, u32)> {
    let left = order.lines.iter().map(|line| (line.id, units_left(line, before)));
    left.filter(|(_, units)| *units > 0).collect()
}

/// Units of a line that earlier refunds gave back.
fn units_before(line: &OrderLine, before: &[Refund]) -> u32 {
    let live = before.iter().filter(|refund| refund.status != RefundStatus::Failed);
    live.map(|refund| orders::units_of(&refund.lines, line.id)).sum()
}

fn units_left(line: &OrderLine, before: &[Refund]) -> u32 {
    line.quantity.saturating_sub(units_before(line, before))
}

fn check_lines(order: &Order, lines: &[(u64, u32)], before: &[Refund]) -> Result<(), PaymentError> {
    for (n, (id, units)) in lines.iter().enumerate() {
        let Some(line) = order.lines.iter().find(|line| line.id == *id) else {
            return Err(PaymentError::RefundLines(format!("the order has no line {id}")));
        };
        if lines[..n].iter().any(|(other, _)| other == id) {
            return Err(PaymentError::RefundLines(format!("line {id} is given twice")));
        }
        let left = units_left(line, before);
        if *units > left {
            return Err(PaymentError::RefundLines(format!(
                "line {id} has {left} units that are not refunded"
            )));
        }
    }
    Ok(())
}

/// What units of lines cost, after their discount and with their tax. Shares are cut from the whole line, so that they sum exactly.
fn price_of(order: &Order, lines: &[(u64, u32)], before: &[Refund]) -> Result<Money, Overflow> {
    let mut sum = order.total.currency.zero();
    for (id, units) in lines {
        if let Some(line) = order.lines.iter().find(|line| line.id == *id) {
            let whole = line.cost()?;
            let (from, of) = (units_before(line, before), line.quantity);
            let to = from.saturating_add(*units).min(of);
            let share = |units: u32| whole.share(i64::from(units), i64::from(of));
            sum = sum.plus(share(to)?.minus(share(from.min(of))?)?)?;
        }
    }
    Ok(sum)
}
