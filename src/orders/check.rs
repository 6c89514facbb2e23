//! The invariants of orders, over one snapshot.

use std::collections::BTreeSet;

use super::invoice::Invoice;
use super::lifecycle::Status;
use super::model::{Order, OrderLine};
use super::store::{CREDIT_NOTES, INVOICE_OF, INVOICES, ORDERS};
use crate::id::{InvoiceId, OrderId, VariantId};
use crate::inventory::Cause;
use crate::inventory::store::MOVEMENTS;
use crate::money::Money;
use crate::promotions::Carried;
use crate::store::{COUNTERS, Direction, Look, ReadTx, Span, StoreError};

/// Stock that moved for an order or refund: few bytes each, because there are millions of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Move {
    /// The order's id, or the refund's.
    of: u64,
    variant: VariantId,
    /// Units that left the shelf; below zero: that came back.
    units: i64,
}

/// The moves of each kind, by whose they are.
#[derive(Default)]
struct Moves {
    taken: Vec<Move>,
    returned: Vec<Move>,
    restocked: Vec<Move>,
}

impl Moves {
    fn read(tx: &ReadTx, look: &Look<'_>) -> Result<Moves, StoreError> {
        let mut moves = Moves::default();
        look.begin("stock of orders", MOVEMENTS.count(tx)?);
        look.each(tx, &MOVEMENTS, |_, movement| {
            let (kind, of) = match movement.cause {
                Cause::Order(id) => (&mut moves.taken, id.0),
                Cause::Cancellation(id) => (&mut moves.returned, id.0),
                Cause::Refund(id) => (&mut moves.restocked, id.0),
                Cause::Import | Cause::Imported(_) | Cause::Unimported(_) | Cause::Adjustment { .. } => {
                    return;
                }
            };
            kind.push(Move { of, variant: movement.variant, units: -movement.delta });
        })?;
        for kind in [&mut moves.taken, &mut moves.returned, &mut moves.restocked] {
            kind.sort_unstable();
        }
        Ok(moves)
    }
}

/// Those of `all`, which are sorted, that are of `id`.
fn of(all: &[Move], id: u64) -> &[Move] {
    let from = all.partition_point(|one| one.of < id);
    let count = all[from..].partition_point(|one| one.of == id);
    &all[from..from + count]
}

fn units(moves: &[Move], variant: VariantId) -> i64 {
    moves.iter().filter(|one| one.variant == variant).map(|one| one.units).sum()
}

/// I2, I3, I6, I7 and I9.
pub fn check(tx: &ReadTx, look: &Look<'_>) -> Result<(), StoreError> {
    let moves = Moves::read(tx, look)?;
    let mut invoiced = invoices(tx, look)?.into_iter().peekable();
    let not_paid = |(_, invoice): (OrderId, InvoiceId)| {
        look.found("I6", format!("invoice {invoice}"), "its order is not paid");
    };
    let (mut taken, mut returned) = (0, 0);
    let mut carried = Carried::default();
    let mut refunds: BTreeSet<u64> = moves.restocked.iter().map(|one| one.of).collect();
    look.begin("orders", ORDERS.count(tx)?);
    look.try_each(tx, &ORDERS, |id, order| {
        totals(id, &order, look);
        history(id, &order, look);
        if let Some(code) = order.coupon_code.as_ref().filter(|_| order.status != Status::Cancelled) {
            carried.add(code, order.user);
        }
        let own = (of(&moves.taken, id.0), of(&moves.returned, id.0));
        (taken, returned) = (taken + own.0.len(), returned + own.1.len());
        stock(id, &order, own, &moves.restocked, look);
        parcels(id, &order, look);
        for refund in &order.refunds {
            refunds.remove(&refund.id.0);
        }

        while let Some(before) = invoiced.next_if(|(order, _)| *order < id) {
            not_paid(before);
        }
        let mut count = 0;
        while let Some(own) = invoiced.next_if(|(order, _)| *order == id) {
            count += 1;
            if order.paid_at.is_none() {
                not_paid(own);
            }
            if !says_what_it_cost(&INVOICES.expect(tx, &own.1)?, &order) {
                look.found(
                    "I6",
                    format!("invoice {}", own.1),
                    format!("it does not say what order {id} cost"),
                );
            }
        }
        if order.paid_at.is_some() && count != 1 {
            look.found("I6", format!("order {id}"), format!("it is paid and has {count} invoices"));
        }
        Ok(())
    })?;
    invoiced.for_each(not_paid);
    carried.check(tx, look)?;
    for refund in refunds {
        look.found("I3", format!("refund {refund}"), "stock moved for it, but no order shows such a refund");
    }
    if (taken, returned) != (moves.taken.len(), moves.returned.len()) {
        let mut ids: Vec<_> = moves.taken.iter().chain(&moves.returned).map(|one| one.of).collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            if ORDERS.get(tx, &OrderId(id))?.is_none() {
                look.found("I3", format!("order {id}"), "stock moved for it, but there is no such order");
            }
        }
    }
    numbers(tx, look)
}

/// What an order costs is settled when it is placed, so that an invoice which says something else was changed.
fn says_what_it_cost(invoice: &Invoice, order: &Order) -> bool {
    let figures = [invoice.subtotal, invoice.discount, invoice.shipping, invoice.tax, invoice.total];
    let lines = |lines: &[OrderLine]| -> Vec<_> {
        lines
            .iter()
            .map(|line| (line.variant, line.quantity, line.unit_price, line.total, line.discount, line.tax))
            .collect()
    };
    figures == [order.subtotal, order.discount, order.shipping, order.tax, order.total]
        && invoice.coupon_code == order.coupon_code
        && lines(&invoice.lines) == lines(&order.lines)
}

/// The invoices by their orders; says which numbers are missing.
fn invoices(tx: &ReadTx, look: &Look<'_>) -> Result<Vec<(OrderId, InvoiceId)>, StoreError> {
    look.begin("invoices", INVOICES.count(tx)?);
    let mut all = Vec::new();
    // Index and records were seen to agree.
    INVOICE_OF.scan(tx, Span::all(Direction::Up), |order, number| {
        all.push((order, number));
        look.row()
    })?;
    let mut numbers: Vec<_> = all.iter().map(|(_, number)| number.0).collect();
    numbers.sort_unstable();
    let mut next = 1;
    for number in numbers {
        if number != next {
            look.found("I6", format!("invoice {number}"), format!("number {next} is missing before it"));
        }
        next = number + 1;
    }
    counted(tx, look, "invoices", next - 1)?;
    Ok(all)
}

/// Says which numbers of credit notes are missing.
fn numbers(tx: &ReadTx, look: &Look<'_>) -> Result<(), StoreError> {
    look.begin("credit notes", CREDIT_NOTES.count(tx)?);
    let mut next = 1;
    look.each(tx, &CREDIT_NOTES, |number, note| {
        let subject = || format!("credit note {number}");
        if note.corrects.is_some_and(|wrong| wrong >= number) {
            look.found("I6", subject(), "it corrects a note that came after it");
        }
        if note.tax.is_some_and(|tax| tax.minor < 0 || tax.minor > note.amount.minor) {
            look.found("I6", subject(), "its tax is not a part of its amount");
        }
        if number.0 != next {
            look.found("I6", format!("credit note {number}"), format!("number {next} is missing before it"));
        }
        next = number.0 + 1;
    })?;
    counted(tx, look, "credit_notes", next - 1)
}

/// The last number that was given is the last there is.
fn counted(tx: &ReadTx, look: &Look<'_>, counter: &str, last: u64) -> Result<(), StoreError> {
    let given = COUNTERS.get(tx, &counter.to_owned())?.unwrap_or(0);
    if given > last {
        look.found("I6", counter, format!("numbers up to {given} were given, but the last is {last}"));
    }
    Ok(())
}

/// I2.
fn totals(id: OrderId, order: &Order, look: &Look<'_>) {
    let subject = || format!("order {id}");
    let minor = |money: Money| i128::from(money.minor);
    let lines: i128 = order.lines.iter().map(|line| minor(line.total)).sum();
    let discounts: i128 = order.lines.iter().map(|line| minor(line.discount)).sum();
    let taxes: i128 = order.lines.iter().map(|line| minor(line.tax)).sum();
    let parts = minor(order.subtotal) - minor(order.discount) + minor(order.shipping) + minor(order.tax);
    for (what, said, sum) in [
        ("subtotal", minor(order.subtotal), lines),
        ("discount", minor(order.discount), discounts),
        ("tax", minor(order.tax), taxes),
        ("total", minor(order.total), parts),
    ] {
        if said != sum {
            look.found("I2", subject(), format!("its {what} is {said}, but its parts add up to {sum}"));
        }
    }
    for line in &order.lines {
        if minor(line.unit_price) * i128::from(line.quantity) != minor(line.total) {
            let said =
                format!("line {} costs {}, not {} × {}", line.id, line.total, line.quantity, line.unit_price);
            look.found("I2", subject(), said);
        }
        if line.discount.minor < 0 || line.discount.minor > line.total.minor {
            let said = format!("line {} has a discount of {} on {}", line.id, line.discount, line.total);
            look.found("I2", subject(), said);
        }
    }
    let figures = [order.subtotal, order.discount, order.shipping, order.tax, order.total];
    if figures.iter().any(|money| money.minor < 0) {
        look.found("I2", subject(), "one of its figures is negative");
    }
}

/// I3. `own`: what was taken for the order, and given back by its cancellation.
fn stock(id: OrderId, order: &Order, own: (&[Move], &[Move]), restocked: &[Move], look: &Look<'_>) {
    let mut variants: Vec<_> = order.lines.iter().map(|line| line.variant).collect();
    variants.extend(own.0.iter().chain(own.1).map(|one| one.variant));
    variants.sort_unstable();
    variants.dedup();
    for variant in variants {
        let lines = || order.lines.iter().filter(|line| line.variant == variant);
        let wanted: i64 = lines().map(|line| i64::from(line.quantity)).sum();
        let back: i64 = lines().map(|line| i64::from(line.restocked)).sum();
        let refunded: i64 =
            order.refunds.iter().map(|refund| -units(of(restocked, refund.id.0), variant)).sum();
        let due = if order.status == Status::Cancelled { wanted - back } else { 0 };
        for (what, is, should) in [
            ("took", units(own.0, variant), wanted),
            ("gave back on its cancellation", -units(own.1, variant), due),
            ("gave back with refunds", refunded, back),
        ] {
            if is != should {
                let said = format!("it {what} {is} of variant {variant}, not {should}");
                look.found("I3", format!("order {id}"), said);
            }
        }
    }
}

/// I3. Units are sent once, and not when they were taken out of the order before; all of a shipped order was sent.
fn parcels(id: OrderId, order: &Order, look: &Look<'_>) {
    let fault = |said: String| look.found("I3", format!("order {id}"), said);
    for line in &order.lines {
        let (sent, withdrawn) = (order.sent(line.id), line.withdrawn);
        if u64::from(sent) + u64::from(withdrawn) > u64::from(line.quantity) {
            fault(format!(
                "of line {} {sent} were sent and {withdrawn} withdrawn, of {}",
                line.id, line.quantity
            ));
        }
        if u64::from(line.restocked) > u64::from(sent) + u64::from(withdrawn) {
            fault(format!(
                "line {} has {} units on the shelf that it is still to send",
                line.id, line.restocked
            ));
        }
    }
    for (parcel, number) in order.fulfilments.iter().zip(1..) {
        let is_line = |(id, units): &(u64, u32)| *units > 0 && order.lines.iter().any(|line| line.id == *id);
        if parcel.id != number || parcel.lines.is_empty() || !parcel.lines.iter().all(is_line) {
            fault(format!("parcel {} is not its {number}., or holds nothing of it", parcel.id));
        }
    }
    let is_sent = !order.fulfilments.is_empty() && order.to_send().is_empty();
    let should = match order.status {
        Status::Pending | Status::Cancelled => order.fulfilments.is_empty(),
        Status::Processing => !is_sent,
        Status::Shipped | Status::Completed => is_sent,
    };
    if !should {
        let count = order.fulfilments.len();
        fault(format!("it is {} with {count} parcels and {:?} to send", order.status, order.to_send()));
    }
}

/// I9.
fn history(id: OrderId, order: &Order, look: &Look<'_>) {
    let fault = |said: String| look.found("I9", format!("order {id}"), said);
    let states: Vec<_> = order.history.iter().map(|moved| moved.status).collect();
    if states.first() != Some(&Status::Pending) {
        fault("its history does not begin with pending".into());
    }
    for pair in states.windows(2) {
        if pair[1].event().and_then(|event| pair[0].after(event)) != Some(pair[1]) {
            fault(format!("its history goes from {} to {}", pair[0], pair[1]));
        }
    }
    if states.last() != Some(&order.status) {
        fault(format!("it is {}, which its history does not end with", order.status));
    }
}
