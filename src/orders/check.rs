//! The invariants of orders, over one snapshot.

use std::collections::HashMap;

use super::lifecycle::Status;
use super::model::Order;
use super::store::{CREDIT_NOTES, INVOICES, ORDERS};
use crate::id::{OrderId, RefundId, VariantId};
use crate::inventory::Cause;
use crate::inventory::store::MOVEMENTS;
use crate::money::Money;
use crate::store::{Finding, ReadTx, StoreError};

/// Units that moved for an order, by variant: taken, and given back by its cancellation.
#[derive(Default)]
struct Moves {
    taken: HashMap<VariantId, i64>,
    returned: HashMap<VariantId, i64>,
}

/// I2, I3, I6 and I9.
pub fn check(tx: &ReadTx, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    let mut moves: HashMap<OrderId, Moves> = HashMap::new();
    let mut restocked: HashMap<RefundId, HashMap<VariantId, i64>> = HashMap::new();
    MOVEMENTS.each(tx, |_, movement| {
        let (variant, delta) = (movement.variant, movement.delta);
        match movement.cause {
            Cause::Order(id) => *moves.entry(id).or_default().taken.entry(variant).or_default() -= delta,
            Cause::Cancellation(id) => {
                *moves.entry(id).or_default().returned.entry(variant).or_default() += delta;
            }
            Cause::Refund(id) => *restocked.entry(id).or_default().entry(variant).or_default() += delta,
            Cause::Import | Cause::Imported(_) | Cause::Unimported(_) | Cause::Adjustment { .. } => {}
        }
    })?;
    let mut invoices = HashMap::new();
    ORDERS.each(tx, |id, order| {
        totals(id, &order, findings);
        let none = Moves::default();
        stock(id, &order, moves.get(&id).unwrap_or(&none), &restocked, findings);
        history(id, &order, findings);
        if order.paid_at.is_some() {
            invoices.insert(id, 0_u32);
        }
        moves.remove(&id);
    })?;
    for (id, _) in moves {
        findings.push(Finding::new(
            "I3",
            format!("order {id}"),
            "stock moved for it, but there is no such order",
        ));
    }

    let mut next = 1;
    INVOICES.each(tx, |number, invoice| {
        if number.0 != next {
            findings.push(Finding::new(
                "I6",
                format!("invoice {number}"),
                format!("number {next} is missing before it"),
            ));
        }
        next = number.0 + 1;
        match invoices.get_mut(&invoice.order) {
            Some(count) => *count += 1,
            None => findings.push(Finding::new("I6", format!("invoice {number}"), "its order is not paid")),
        }
    })?;
    for (id, count) in invoices.into_iter().filter(|(_, count)| *count != 1) {
        findings.push(Finding::new(
            "I6",
            format!("order {id}"),
            format!("it is paid and has {count} invoices"),
        ));
    }
    let mut next = 1;
    CREDIT_NOTES.each(tx, |number, _| {
        if number.0 != next {
            let said = format!("number {next} is missing before it");
            findings.push(Finding::new("I6", format!("credit note {number}"), said));
        }
        next = number.0 + 1;
    })
}

/// I2.
fn totals(id: OrderId, order: &Order, findings: &mut Vec<Finding>) {
    let subject = format!("order {id}");
    let minor = |money: Money| i128::from(money.minor);
    let lines: i128 = order.lines.iter().map(|line| minor(line.total)).sum();
    let taxes: i128 = order.lines.iter().map(|line| minor(line.tax)).sum();
    let parts = minor(order.subtotal) - minor(order.discount) + minor(order.shipping) + minor(order.tax);
    for (what, said, sum) in [
        ("subtotal", minor(order.subtotal), lines),
        ("tax", minor(order.tax), taxes),
        ("total", minor(order.total), parts),
    ] {
        if said != sum {
            findings.push(Finding::new(
                "I2",
                &subject,
                format!("its {what} is {said}, but its parts add up to {sum}"),
            ));
        }
    }
    for line in &order.lines {
        if minor(line.unit_price) * i128::from(line.quantity) != minor(line.total) {
            let said =
                format!("line {} costs {}, not {} × {}", line.id, line.total, line.quantity, line.unit_price);
            findings.push(Finding::new("I2", &subject, said));
        }
    }
    let figures = [order.subtotal, order.discount, order.shipping, order.tax, order.total];
    if figures.iter().any(|money| money.minor < 0) {
        findings.push(Finding::new("I2", &subject, "one of its figures is negative"));
    }
}

/// I3.
fn stock(
    id: OrderId,
    order: &Order,
    moves: &Moves,
    restocked: &HashMap<RefundId, HashMap<VariantId, i64>>,
    findings: &mut Vec<Finding>,
) {
    let mut wanted: HashMap<VariantId, i64> = HashMap::new();
    let mut back: HashMap<VariantId, i64> = HashMap::new();
    for line in &order.lines {
        *wanted.entry(line.variant).or_default() += i64::from(line.quantity);
        *back.entry(line.variant).or_default() += i64::from(line.restocked);
    }
    let refunds = order.refunds.iter().filter_map(|refund| restocked.get(&refund.id));
    let mut by_refund: HashMap<VariantId, i64> = HashMap::new();
    for (variant, units) in refunds.flatten() {
        *by_refund.entry(*variant).or_default() += units;
    }
    for (variant, units) in wanted {
        let of = |map: &HashMap<VariantId, i64>| map.get(&variant).copied().unwrap_or(0);
        let (taken, returned, refunded) = (of(&moves.taken), of(&moves.returned), of(&by_refund));
        let due = if order.status == Status::Cancelled { units - of(&back) } else { 0 };
        for (what, is, should) in [
            ("took", taken, units),
            ("gave back on its cancellation", returned, due),
            ("gave back with refunds", refunded, of(&back)),
        ] {
            if is != should {
                let said = format!("it {what} {is} of variant {variant}, not {should}");
                findings.push(Finding::new("I3", format!("order {id}"), said));
            }
        }
    }
}

/// I9.
fn history(id: OrderId, order: &Order, findings: &mut Vec<Finding>) {
    let mut fault = |said: String| findings.push(Finding::new("I9", format!("order {id}"), said));
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
