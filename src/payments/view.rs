//! Payments as JSON, for those who see to them.

use schemars::JsonSchema;
use serde::Serialize;

use super::disputes;
use super::failed::unsettled;
use super::lifecycle::Status;
use super::model::{Dispute, Payment, Refund, Stand, Told};
use super::ops::refunds_of_payment;
use crate::clock::Time;
use crate::id::{OrderId, PaymentId, RefundId};
use crate::money::{AnyMoney, Currency, Money};
use crate::orders::RefundStatus;
use crate::store::{Reads, StoreError};

/// A payment as staff see it: without the customer's secret, with the gateway's ids, and what is disputed of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AdminPayment")]
pub struct AdminView {
    id: PaymentId,
    order_id: OrderId,
    /// A gateway's name, or `manual`.
    provider: String,
    status: Status,
    /// What was asked for.
    amount: Money,
    /// What was taken, in the currency that it was taken in.
    #[schemars(with = "AnyMoney")]
    captured: Money,
    currency: Currency,
    captured_currency: Currency,
    captured_at: Option<Time>,
    /// What the gateway kept for itself; null where it does not say.
    #[schemars(with = "Option<AnyMoney>")]
    fee: Option<Money>,
    /// The gateway's id of its object; null until it was heard.
    reference: Option<String>,
    /// The gateway's id of the money's movement.
    charge: Option<String>,
    /// How it was paid by hand; null for others.
    method: Option<String>,
    last_error: Option<Told>,
    /// Whether it is to end, and has not yet.
    is_closing: bool,
    /// Whether its money was not the order's to take, and goes back.
    is_surplus: bool,
    disputes: Vec<DisputeView>,
    /// Oldest first.
    refunds: Vec<RefundView>,
    /// What is out of the ordinary, in a word each.
    notes: Vec<String>,
    /// Until when the gateway wants evidence about an open dispute.
    evidence_due_by: Option<Time>,
    created_at: Time,
    updated_at: Time,
}

/// A customer's bank, or PayPal's, wants the money back.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Dispute")]
struct DisputeView {
    /// The gateway's id of it.
    reference: String,
    stand: Stand,
    /// The gateway's own word for how it stands.
    status: String,
    reason: String,
    #[schemars(with = "AnyMoney")]
    amount: Money,
    /// Until when the gateway wants to have evidence.
    due_by: Option<Time>,
}

/// Money of a payment that goes back.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Refund")]
struct RefundView {
    id: RefundId,
    #[schemars(with = "AnyMoney")]
    amount: Money,
    status: RefundStatus,
    reason: String,
    /// Who asked for it.
    by: String,
    /// The gateway's id of it; null until it was heard.
    reference: Option<String>,
    last_error: Option<Told>,
}

impl RefundView {
    fn of((id, refund): &(RefundId, Refund)) -> RefundView {
        RefundView {
            id: *id,
            amount: refund.amount,
            status: refund.status,
            reason: refund.reason.clone(),
            by: refund.by.clone(),
            reference: refund.reference.clone(),
            last_error: refund.last_error.clone(),
        }
    }
}

/// A payment as staff see it.
pub fn admin_view(tx: &impl Reads, id: PaymentId, payment: &Payment) -> Result<AdminView, StoreError> {
    let all = disputes::of_order(tx, payment.order)?;
    let open = all.iter().filter(|(_, dispute)| dispute.payment == id && dispute.stand == Stand::Open);
    let evidence_due_by = open.filter_map(|(_, dispute)| dispute.due_by).min();
    let about = |(reference, dispute): (String, Dispute)| {
        (dispute.payment == id).then_some(DisputeView {
            reference,
            stand: dispute.stand,
            status: dispute.status,
            reason: dispute.reason,
            amount: dispute.amount,
            due_by: dispute.due_by,
        })
    };
    let own = refunds_of_payment(tx, id)?;
    Ok(AdminView {
        id,
        order_id: payment.order,
        provider: payment.provider.clone(),
        status: payment.status,
        amount: payment.amount,
        captured: payment.captured,
        currency: payment.amount.currency,
        captured_currency: payment.captured.currency,
        captured_at: payment.captured_at,
        fee: payment.fee,
        reference: payment.reference.clone(),
        charge: payment.charge.clone(),
        method: payment.by_hand.clone(),
        last_error: payment.last_error.clone(),
        is_closing: payment.closing.is_some() && !payment.status.is_final(),
        is_surplus: payment.is_surplus,
        disputes: all.into_iter().filter_map(about).collect(),
        refunds: own.iter().map(RefundView::of).collect(),
        notes: notes(payment, &own, evidence_due_by),
        evidence_due_by,
        created_at: payment.created_at,
        updated_at: payment.updated_at,
    })
}

/// What is out of the ordinary about a payment, in a word each.
fn notes(payment: &Payment, refunds: &[(RefundId, Refund)], evidence_due_by: Option<Time>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(due) = evidence_due_by {
        notes.push(format!("disputed, evidence due by {}", due.date()));
    }
    if payment.closing.is_some() && !payment.status.is_final() {
        notes.push("closing".into());
    }
    if payment.is_surplus {
        notes.push("surplus".into());
    }
    if payment.captured.currency != payment.amount.currency {
        notes.push(format!("captured in {}", payment.captured.currency));
    }
    let done = refunds.iter().filter(|(_, refund)| refund.status == RefundStatus::Succeeded);
    if done.map(|(_, refund)| refund.amount.minor).sum::<i64>() > payment.captured.minor {
        notes.push("more refunded than captured".into());
    }
    if !unsettled(payment, refunds).is_empty() {
        notes.push("refund failed".into());
    } else if refunds.iter().any(|(_, refund)| refund.status == RefundStatus::Pending) {
        notes.push("refund pending".into());
    }
    notes
}
