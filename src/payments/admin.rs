//! `/api/admin/payments/`: seeing payments, for staff; asking after all of them, for administrators.

use serde_json::{Value, json};

use super::failed::{settle_by_hand, unsettled};
use super::list::{Filter, find};
use super::model::{Dispute, Payment, PaymentError, Refund, Stand, Told};
use super::ops::refunds_of_payment;
use super::reconcile::reconcile_all;
use super::restored::{confirm, restored};
use super::{disputes, ops};
use crate::accounts::{self, Scope, Staff};
use crate::audit;
use crate::clock::Time;
use crate::http::input::{Fields, Input, boolean, text};
use crate::http::{Answer, ApiError, Req, Routes, created, get, ok, post};
use crate::id::{PaymentId, RefundId};
use crate::orders::RefundStatus;
use crate::store::{Reads, StoreError};

pub fn routes() -> Routes {
    Routes::new()
        .at("/api/admin/payments/", get(list, crate::http::undescribed()))
        .at("/api/admin/payments/{id}/", get(show, crate::http::undescribed()))
        .at("/api/admin/refunds/{id}/settle/", post(settle, crate::http::undescribed()))
        .at("/api/admin/payments/reconcile/", post(reconcile, crate::http::undescribed()))
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

async fn list(req: Req) -> Answer {
    req.staff(Scope::PaymentsRead)?;
    let (page, filter) = (req.page()?, Filter::of(&req)?);
    // Times alone may make it look at every payment, so it is done off the async threads.
    let app = std::sync::Arc::clone(&req.app);
    let found = tokio::task::spawn_blocking(move || {
        app.store.read(|tx| find(tx, &filter, page)?.try_map(|(id, payment)| view(tx, id, &payment)))
    });
    let found = found.await.map_err(ApiError::internal)??;
    req.list(page, found)
}

/// How money was given back by hand.
struct Settling {
    reference: String,
}

impl Input for Settling {
    fn read(from: &mut Fields<'_>) -> Self {
        Settling { reference: from.req("reference", text(1..=200)) }
    }
}

/// Records that the money of a failed refund was given back by hand.
async fn settle(mut req: Req, id: RefundId) -> Answer {
    let by: Staff = req.admin(Scope::PaymentsWrite)?.into();
    let Settling { reference } = req.json().await?;
    req.write_once(move |tx| {
        accounts::confirm(tx, &by)?;
        let made = settle_by_hand(tx, id, &reference, &by.label())?;
        let refund = ops::get_refund(tx, made)?;
        let after = json!({"settled_by": made, "amount": refund.amount, "reference": reference});
        audit::note(tx, &by.label(), "refund.settle", &format!("refund:{id}"), Value::Null, after)?;
        let payment = ops::get(tx, refund.payment)?;
        Ok(created(&view(tx, refund.payment, &payment)?))
    })
    .await
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
        Reconciling { after_restore: from.opt("after_restore", boolean()).unwrap_or(false) }
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
