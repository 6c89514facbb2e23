//! I10, of mail: what calls for a mail has one.

use std::iter::Peekable;
use std::ops::ControlFlow;

use crate::clock::Time;
use crate::id::OrderId;
use crate::orders::store::ORDERS;
use crate::orders::{Order, RefundStatus, Status};
use crate::outbox;
use crate::outbox::{Cause, store::BY_CAUSE, store::MAILS};
use crate::payments::store::REFUNDS;
use crate::store::{Direction, Key, Look, ReadTx, Span, StoreError};

/// The numbers that causes of a kind have mails for, lowest first.
fn mailed(tx: &ReadTx, kind: u8) -> Result<Peekable<std::vec::IntoIter<u64>>, StoreError> {
    let mut numbers = Vec::new();
    BY_CAUSE.scan(tx, Span::under(kind.bytes(), Direction::Up), |(_, (number, _)), _| {
        numbers.push(number);
        ControlFlow::Continue(())
    })?;
    Ok(numbers.into_iter().peekable())
}

fn has(numbers: &mut Peekable<impl Iterator<Item = u64>>, wanted: u64) -> bool {
    while numbers.next_if(|number| *number < wanted).is_some() {}
    numbers.peek() == Some(&wanted)
}

fn cancelled_at(order: &Order) -> Option<Time> {
    let last = order.history.last().filter(|_| order.status == Status::Cancelled);
    last.map(|moved| moved.at)
}

/// Every order that was placed, paid or cancelled, and every refund that succeeded, since mails are kept of: each has
/// its mail, whatever became of that.
pub fn check(tx: &ReadTx, look: &Look<'_>) -> Result<(), StoreError> {
    look.begin("mails", MAILS.count(tx)?);
    look.each(tx, &MAILS, |id, mail| {
        if mail.at < mail.created_at {
            look.found("I10", format!("mail {id}"), "it was done with before its cause was there");
        }
    })?;
    let Some(since) = outbox::complete_since(tx)? else { return Ok(()) };
    let mut received = mailed(tx, Cause::ORDER_RECEIVED)?;
    let mut paid = mailed(tx, Cause::ORDER_PAID)?;
    let mut cancelled = mailed(tx, Cause::ORDER_CANCELLED)?;
    look.begin("mails of orders", ORDERS.count(tx)?);
    look.each(tx, &ORDERS, |id: OrderId, order: Order| {
        let kinds = [
            ("placed", Some(order.created_at), has(&mut received, id.0)),
            ("paid", order.paid_at, has(&mut paid, id.0)),
            ("cancelled", cancelled_at(&order), has(&mut cancelled, id.0)),
        ];
        for (what, at, is_mailed) in kinds {
            if at.is_some_and(|at| at >= since) && !is_mailed {
                look.found("I10", format!("order {id}"), format!("it was {what}, and no mail tells of it"));
            }
        }
    })?;
    let mut refunded = mailed(tx, Cause::REFUNDED)?;
    look.begin("mails of refunds", REFUNDS.count(tx)?);
    look.each(tx, &REFUNDS, |id, refund| {
        let is_told = has(&mut refunded, id.0);
        // Units that cost nothing go back without a word.
        let is_money = refund.status == RefundStatus::Succeeded && !refund.amount.is_zero();
        let ended = refund.ended_at.filter(|_| is_money);
        if ended.is_some_and(|at| at >= since) && !is_told {
            look.found("I10", format!("refund {id}"), "it succeeded, and no mail tells of it");
        }
    })
}
