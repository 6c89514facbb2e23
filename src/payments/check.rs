//! I4, and what I6 says of refunds, over one snapshot.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use super::lifecycle::derive;
use super::model::{Dispute, Payment, Refund, Stand};
use super::store::{DISPUTES, DISPUTES_OF, OF_ORDER, PAYMENTS, REFUNDS, REFUNDS_OF};
use crate::id::{OrderId, PaymentId, RefundId};
use crate::money::Money;
use crate::orders::store::{INVOICE_OF, ORDERS};
use crate::orders::{self, Order, RefundStatus, Status};
use crate::store::{Direction, Index, Key, Look, ReadTx, Record, Span, StoreError, Table};

/// How many orders are looked at together, with what belongs to them.
const TOGETHER: usize = 1000;

/// An order's payments, refunds and disputes.
#[derive(Default)]
struct Own {
    payments: Vec<(PaymentId, Payment)>,
    refunds: Vec<(RefundId, Refund)>,
    disputes: Vec<Dispute>,
}

/// `payment_status` follows from the order's payments and refunds; Σ refunds ≤ Σ captured; one live payment per
/// order; captured money belongs to an order or is on its way back; every refund of invoiced money that
/// succeeded has its credit note.
pub fn check(tx: &ReadTx, look: &Look<'_>) -> Result<(), StoreError> {
    look.begin("payments of orders", ORDERS.count(tx)?);
    let mut some = Vec::with_capacity(TOGETHER);
    let mut from = Bound::Unbounded;
    look.try_each(tx, &ORDERS, |id, order| {
        some.push((id, order));
        if some.len() < TOGETHER {
            return Ok(());
        }
        let to = Bound::Included(id.bytes());
        together(tx, look, &mut some, (from.clone(), to))?;
        from = Bound::Excluded(id.bytes());
        Ok(())
    })?;
    together(tx, look, &mut some, (from, Bound::Unbounded))?;
    super::once::check(tx, look)
}

/// Looks at some orders, and at all that belongs to an order in `ids`, between encoded ids.
fn together(
    tx: &ReadTx,
    look: &Look<'_>,
    orders: &mut Vec<(OrderId, Order)>,
    ids: (Bound<Vec<u8>>, Bound<Vec<u8>>),
) -> Result<(), StoreError> {
    let mut all: BTreeMap<OrderId, Own> = BTreeMap::new();
    of_orders(tx, &OF_ORDER, &PAYMENTS, &ids, |order, id, payment| {
        all.entry(order).or_default().payments.push((id, payment));
    })?;
    of_orders(tx, &REFUNDS_OF, &REFUNDS, &ids, |order, id, refund| {
        all.entry(order).or_default().refunds.push((id, refund));
    })?;
    of_orders(tx, &DISPUTES_OF, &DISPUTES, &ids, |order, _, dispute| {
        all.entry(order).or_default().disputes.push(dispute);
    })?;
    for (id, order) in orders.drain(..) {
        let own = all.remove(&id).unwrap_or_default();
        money(id, &order, &own, look);
        papers(tx, id, &own, look)?;
    }
    for (order, own) in all {
        let payments = own.payments.iter().map(|(id, _)| format!("payment {id}"));
        for subject in payments.chain(own.refunds.iter().map(|(id, _)| format!("refund {id}"))) {
            look.found("I4", subject, format!("its order {order} is not there"));
        }
    }
    Ok(())
}

/// Hands the records to `visit` that an index has under orders in `ids`.
fn of_orders<K: Key, V: Record>(
    tx: &ReadTx,
    index: &Index<K, V, OrderId>,
    table: &Table<K, V>,
    (from, to): &(Bound<Vec<u8>>, Bound<Vec<u8>>),
    mut visit: impl FnMut(OrderId, K, V),
) -> Result<(), StoreError> {
    // An entry goes on after the order's id, so what begins with the last one is within.
    let to = match to {
        Bound::Included(last) => Span::under(last.clone(), Direction::Up).to,
        other => other.clone(),
    };
    let from = match from {
        Bound::Excluded(last) => match Span::under(last.clone(), Direction::Up).to {
            Bound::Excluded(next) => Bound::Included(next),
            other => other,
        },
        other => other.clone(),
    };
    let mut found = Vec::new();
    index.scan(tx, Span { from, to, direction: Direction::Up }, |order, key| {
        found.push((order, key));
        ControlFlow::Continue(())
    })?;
    for (order, key) in found {
        let record = table.expect(tx, &key)?;
        visit(order, key, record);
    }
    Ok(())
}

/// I4.
fn money(id: OrderId, order: &Order, own: &Own, look: &Look<'_>) {
    let fault = |said: String| look.found("I4", format!("order {id}"), said);
    let Own { payments, refunds, disputes } = own;

    // One that is closing beside a payment that was given up and succeeded after all is on its way out.
    let is_live = |p: &Payment| !p.status.is_final() && (p.closing.is_none() || order.paid_at.is_none());
    let live = payments.iter().filter(|(_, payment)| is_live(payment)).count();
    if live > 1 {
        fault(format!("it has {live} live payments"));
    }
    if live == 1 && order.status == Status::Cancelled {
        fault("it is cancelled and has a live payment".into());
    }
    let payment_records: Vec<_> = payments.iter().map(|(_, payment)| payment.clone()).collect();
    let refund_records: Vec<_> = refunds.iter().map(|(_, refund)| refund.clone()).collect();
    let derived = derive(order.total, &payment_records, &refund_records, disputes);
    if derived != order.payment_status {
        fault(format!("its payment_status is {}, but its payments make it {derived}", order.payment_status));
    }
    for (payment_id, payment) in payments {
        let of = || refund_records.iter().filter(|refund| refund.payment == *payment_id);
        let live = || of().filter(|refund| refund.status != RefundStatus::Failed);
        let spoken_for: i64 = live().map(|refund| refund.amount.minor).sum();
        // One that the gateway has not answered may ask for what somebody gave back there meanwhile: it will be
        // refused.
        let given_back: i64 =
            live().filter(|refund| refund.reference.is_some()).map(|refund| refund.amount.minor).sum();
        let captured = payment.captured.minor;
        if given_back > captured {
            fault(format!("payment {payment_id} captured {captured} and has refunds of {given_back}"));
        }
        let failed = of().any(|refund| refund.status == RefundStatus::Failed);
        let homeless = payment.is_surplus || order.status == Status::Cancelled;
        // What a bank decides about, or has taken, can't be given back.
        let is_disputed = disputes.iter().any(|d| d.payment == *payment_id && d.stand != Stand::Won);
        if homeless && captured > spoken_for && !failed && !is_disputed {
            let said = "which belongs to no order and is not on its way back";
            fault(format!("payment {payment_id} captured {captured}, {said}"));
        }
        if captured > 0 && !payment.is_surplus && order.paid_at.is_none() {
            fault(format!("payment {payment_id} captured {captured}, but the order is not paid"));
        }
    }
    let taken = payment_records.iter().filter(|payment| !payment.is_surplus && payment.captured.minor > 0);
    let captured: Vec<Money> = taken.map(|payment| payment.captured).collect();
    if order.paid_at.is_some() && captured != [order.total] && !order.total.is_zero() {
        fault(format!("it is paid, but {captured:?} was captured for its {:?}", order.total));
    }
    for (refund_id, refund) in refunds {
        let noted = order.refunds.iter().find(|note| note.id == *refund_id);
        if noted.is_none_or(|note| note.status != refund.status || note.amount != refund.amount) {
            fault(format!("it does not show refund {refund_id} as it is"));
        }
    }
    for note in &order.refunds {
        if !refunds.iter().any(|(id, _)| *id == note.id) {
            fault(format!("it shows refund {}, which is not there", note.id));
        }
    }
}

/// I6, of refunds: the papers of each are a note, its correction, a note again; the last says what became of it.
fn papers(tx: &ReadTx, order: OrderId, own: &Own, look: &Look<'_>) -> Result<(), StoreError> {
    if own.refunds.is_empty() {
        return Ok(());
    }
    let invoiced = INVOICE_OF.find(tx, &order)?.is_some();
    let notes = orders::credit_notes(tx, order)?;
    for (id, refund) in &own.refunds {
        let fault = |said: &str| look.found("I6", format!("refund {id}"), said);
        let mut counts = None;
        for (number, note) in notes.iter().filter(|(_, note)| note.refund == *id) {
            if note.corrects != counts.take().map(|(number, _)| number) || note.amount != refund.amount {
                fault("its papers are not notes of its amount, each corrected by the next");
            }
            counts = note.corrects.is_none().then_some((*number, note));
        }
        let is_money = !refund.is_surplus && !refund.amount.is_zero();
        let wants_note = refund.status == RefundStatus::Succeeded && is_money && invoiced;
        // An earlier till wrote no corrections.
        let is_old = counts.is_some_and(|(_, note)| note.tax.is_none());
        if wants_note && counts.is_none() {
            fault("it succeeded, and has no credit note that counts");
        }
        if !wants_note && counts.is_some() && (refund.status == RefundStatus::Pending || !is_old) {
            fault("it has a credit note that counts, but has not succeeded");
        }
    }
    Ok(())
}
