//! I4, and what I6 says of refunds, over one snapshot.

use std::collections::{HashMap, HashSet};

use super::lifecycle::derive;
use super::model::{Dispute, Payment, Refund, Stand};
use super::store::{DISPUTES, PAYMENTS, REFUNDS};
use crate::id::{OrderId, PaymentId, RefundId};
use crate::orders::store::{CREDIT_NOTES, INVOICES, ORDERS};
use crate::orders::{RefundStatus, Status};
use crate::store::{Finding, ReadTx, StoreError};

/// `payment_status` follows from the order's payments and refunds; Σ refunds ≤ Σ captured; one live payment per
/// order; captured money belongs to an order or is on its way back; every refund of invoiced money that
/// succeeded has its credit note.
pub fn check(tx: &ReadTx, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    let mut payments: HashMap<OrderId, Vec<(PaymentId, Payment)>> = HashMap::new();
    let mut refunds: HashMap<OrderId, Vec<(RefundId, Refund)>> = HashMap::new();
    PAYMENTS.each(tx, |id, payment| payments.entry(payment.order).or_default().push((id, payment)))?;
    REFUNDS.each(tx, |id, refund| refunds.entry(refund.order).or_default().push((id, refund)))?;
    let mut disputes: HashMap<OrderId, Vec<Dispute>> = HashMap::new();
    DISPUTES.each(tx, |_, dispute| disputes.entry(dispute.order).or_default().push(dispute))?;
    let mut credited = HashMap::new();
    CREDIT_NOTES.each(tx, |_, note| {
        credited.insert(note.refund, note.amount);
    })?;
    let mut invoiced = HashSet::new();
    INVOICES.each(tx, |_, invoice| {
        invoiced.insert(invoice.order);
    })?;

    ORDERS.each(tx, |id, order| {
        let own = payments.remove(&id).unwrap_or_default();
        let back = refunds.remove(&id).unwrap_or_default();
        let mut faults = Vec::new();
        let mut fault = |said: String| faults.push(Finding::new("I4", format!("order {id}"), said));

        // One that is closing beside a payment that was given up and succeeded after all is on its way out.
        let is_live = |payment: &Payment| !payment.status.is_final() && (payment.closing.is_none() || order.paid_at.is_none());
        let live = own.iter().filter(|(_, payment)| is_live(payment)).count();
        if live > 1 {
            fault(format!("it has {live} live payments"));
        }
        if live == 1 && order.status == Status::Cancelled {
            fault("it is cancelled and has a live payment".into());
        }
        let records: Vec<_> = own.iter().map(|(_, payment)| payment.clone()).collect();
        let refund_records: Vec<_> = back.iter().map(|(_, refund)| refund.clone()).collect();
        let disputed = disputes.remove(&id).unwrap_or_default();
        let derived = derive(order.total, &records, &refund_records, &disputed);
        if derived != order.payment_status {
            fault(format!("its payment_status is {}, but its payments make it {derived}", order.payment_status));
        }
        for (payment_id, payment) in &own {
            let live = |refund: &&Refund| refund.payment == *payment_id && refund.status != RefundStatus::Failed;
            let of = |refunds: Vec<&Refund>| refunds.iter().map(|refund| refund.amount.minor).sum::<i64>();
            let spoken_for = of(refund_records.iter().filter(live).collect());
            // One that the gateway has not answered may ask for what somebody gave back there meanwhile: it will
            // be refused.
            let at_gateway = |refund: &&Refund| live(refund) && refund.reference.is_some();
            let given_back = of(refund_records.iter().filter(at_gateway).collect());
            let captured = payment.captured.minor;
            if given_back > captured {
                fault(format!("payment {payment_id} captured {captured} and has refunds of {given_back}"));
            }
            let failed = back.iter().any(|(_, r)| r.payment == *payment_id && r.status == RefundStatus::Failed);
            let homeless = payment.is_surplus || order.status == Status::Cancelled;
            // What a bank decides about, or has taken, can't be given back.
            let is_disputed = disputed.iter().any(|d| d.payment == *payment_id && d.stand != Stand::Won);
            if homeless && captured > spoken_for && !failed && !is_disputed {
                fault(format!("payment {payment_id} captured {captured}, which belongs to no order and is not on its way back"));
            }
            if captured > 0 && !payment.is_surplus && order.paid_at.is_none() {
                fault(format!("payment {payment_id} captured {captured}, but the order is not paid"));
            }
        }
        let own = records.iter().filter(|payment| !payment.is_surplus && payment.captured.minor > 0);
        let captured: Vec<_> = own.map(|payment| payment.captured).collect();
        if order.paid_at.is_some() && captured != [order.total] && !order.total.is_zero() {
            fault(format!("it is paid, but {captured:?} was captured for its {:?}", order.total));
        }
        for (refund_id, refund) in &back {
            let noted = order.refunds.iter().find(|note| note.id == *refund_id);
            if noted.is_none_or(|note| note.status != refund.status || note.amount != refund.amount) {
                fault(format!("it does not show refund {refund_id} as it is"));
            }
            let wants_note = refund.status == RefundStatus::Succeeded && !refund.is_surplus && invoiced.contains(&id);
            if wants_note && credited.get(refund_id) != Some(&refund.amount) {
                findings.push(Finding::new("I6", format!("refund {refund_id}"), "it succeeded, and has no credit note of its amount"));
            }
            if !wants_note && refund.status == RefundStatus::Pending && credited.contains_key(refund_id) {
                findings.push(Finding::new("I6", format!("refund {refund_id}"), "it has a credit note, but has not succeeded"));
            }
        }
        findings.append(&mut faults);
    })?;
    for (order, own) in payments {
        for (id, _) in own {
            findings.push(Finding::new(
                "I4",
                format!("payment {id}"),
                format!("its order {order} is not there"),
            ));
        }
    }
    for (order, own) in refunds {
        for (id, _) in own {
            findings.push(Finding::new(
                "I4",
                format!("refund {id}"),
                format!("its order {order} is not there"),
            ));
        }
    }
    Ok(())
}
