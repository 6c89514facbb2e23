//! `/api/admin/payments/`: seeing payments, for staff; asking after all of them, for administrators.

use serde_json::{Value, json};

use super::failed::is_unsettled;
use super::model::{Dispute, Payment, PaymentError, Refund, Stand, Told};
use super::ops::refunds_of_payment;
use super::reconcile::reconcile_all;
use super::restored::{confirm, restored};
use super::store::PAYMENTS;
use super::{disputes, ops};
use crate::accounts::{self, Scope, Staff};
use crate::audit;
use crate::clock::Time;
use crate::http::input::{Fields, Input, boolean};
use crate::http::{Answer, Req, Routes, get, ok, post};
use crate::id::{PaymentId, RefundId};
use crate::orders::RefundStatus;
use crate::page::Paged;
use crate::store::{Direction, Reads, StoreError};

pub fn routes() -> Routes {
    Routes::new()
        .at("/api/admin/payments/", get(list))
        .at("/api/admin/payments/{id}/", get(show))
        .at("/api/admin/payments/reconcile/", post(reconcile))
}

/// A payment as staff see it: without the customer's secret, with the gateway's ids, and what is disputed of it.
pub fn view(tx: &impl Reads, id: PaymentId, payment: &Payment) -> Result<Value, StoreError> {
    let all = disputes::of_order(tx, payment.order)?;
    let open = all.iter().filter(|(_, dispute)| dispute.payment == id && dispute.stand == Stand::Open);
    let evidence_due_by = open.filter_map(|(_, dispute)| dispute.due_by).min();
    let about = |(reference, dispute): (String, Dispute)| {
        (dispute.payment == id).then(|| {
            json!({
                "reference": reference,
                "stand": dispute.stand,
                "status": dispute.status,
                "reason": dispute.reason,
                "amount": dispute.amount,
                "due_by": dispute.due_by,
            })
        })
    };
    let disputes: Vec<_> = all.into_iter().filter_map(about).collect();
    let own = refunds_of_payment(tx, id)?;
    let refunds: Vec<_> = own
        .iter()
        .map(|(id, refund)| {
            json!({
                "id": id,
                "amount": refund.amount,
                "status": refund.status,
                "reason": refund.reason,
                "by": refund.by,
                "reference": refund.reference,
                "last_error": refund.last_error.as_ref().map(told),
            })
        })
        .collect();
    let notes = notes(payment, &own, evidence_due_by);
    Ok(json!({
        "id": id,
        "order_id": payment.order,
        "provider": payment.provider,
        "status": payment.status,
        "amount": payment.amount,
        "captured": payment.captured,
        "currency": payment.amount.currency,
        "captured_currency": payment.captured.currency,
        "captured_at": payment.captured_at,
        "fee": payment.fee,
        "reference": payment.reference,
        "charge": payment.charge,
        "method": payment.by_hand,
        "last_error": payment.last_error.as_ref().map(told),
        "is_closing": payment.closing.is_some() && !payment.status.is_final(),
        "is_surplus": payment.is_surplus,
        "disputes": disputes,
        "refunds": refunds,
        "notes": notes,
        "evidence_due_by": evidence_due_by,
        "created_at": payment.created_at,
        "updated_at": payment.updated_at,
    }))
}

fn told(told: &Told) -> Value {
    json!({"code": told.code, "message": told.message})
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
    if is_unsettled(refunds.iter().map(|(_, refund)| refund)) {
        notes.push("refund failed".into());
    } else if refunds.iter().any(|(_, refund)| refund.status == RefundStatus::Pending) {
        notes.push("refund pending".into());
    }
    notes
}

async fn list(req: Req) -> Answer {
    req.staff(Scope::PaymentsRead)?;
    let page = req.page()?;
    let found = req.app.store.read(|tx| {
        let Paged { count, items } = PAYMENTS.page(tx, page, Direction::Down)?;
        let items = items.iter().map(|(id, payment)| view(tx, *id, payment)).collect::<Result<_, _>>()?;
        Ok::<_, StoreError>(Paged { count, items })
    })?;
    req.list(page, found)
}

async fn show(req: Req, id: PaymentId) -> Answer {
    req.staff(Scope::PaymentsRead)?;
    let found = req.app.store.read(|tx| {
        let payment = ops::get(tx, id)?;
        Ok::<_, PaymentError>(view(tx, id, &payment)?)
    })?;
    Ok(ok(&found))
}

#[derive(Default)]
struct Reconciling {
    /// The operator has looked at what the gateways have that the restored data has not.
    after_restore: bool,
}

impl Input for Reconciling {
    fn read(from: &mut Fields<'_>) -> Self {
        Reconciling { after_restore: from.opt("after_restore", boolean).unwrap_or(false) }
    }
}

async fn reconcile(mut req: Req) -> Answer {
    let by: Staff = req.admin(Scope::PaymentsWrite)?.into();
    let asked: Reconciling = req.json_or_nothing().await?;
    if asked.after_restore {
        req.write(move |tx| {
            accounts::confirm(tx, &by)?;
            let mark = restored(tx)?;
            confirm(tx)?;
            Ok(audit::note(tx, &by.label(), "payment.after_restore", "shop", json!(mark), Value::Null)?)
        })
        .await?;
    }
    Ok(ok(&reconcile_all(&req.app, true).await?))
}
