//! `/api/admin/payments/`: seeing payments, for staff; asking after all of them, for administrators.

use serde_json::json;

use super::drive::reconcile;
use super::model::Payment;
use super::store::PAYMENTS;
use super::{events, ops};
use crate::accounts::Scope;
use crate::http::input::Nothing;
use crate::http::{Answer, Req, Routes, get, ok, post};
use crate::id::PaymentId;
use crate::store::Direction;

pub fn routes() -> Routes {
    Routes::new()
        .at("/api/admin/payments/", get(list))
        .at("/api/admin/payments/{id}/", get(show))
        .at("/api/admin/payments/reconcile/", post(reconcile_all))
}

/// A payment as staff see it: without the customer's secret, with the gateway's id.
pub fn view(id: PaymentId, payment: &Payment) -> serde_json::Value {
    json!({
        "id": id,
        "order_id": payment.order,
        "provider": payment.provider,
        "status": payment.status,
        "amount": payment.amount,
        "captured": payment.captured,
        "currency": payment.amount.currency,
        "reference": payment.reference,
        "method": payment.by_hand,
        "last_error": payment.last_error.as_ref().map(|told| json!({"code": told.code, "message": told.message})),
        "is_closing": payment.closing.is_some() && !payment.status.is_final(),
        "is_surplus": payment.is_surplus,
        "created_at": payment.created_at,
        "updated_at": payment.updated_at,
    })
}

async fn list(req: Req) -> Answer {
    req.staff(Scope::PaymentsRead)?;
    let page = req.page()?;
    let found = req.app.store.read(|tx| PAYMENTS.page(tx, page, Direction::Down))?;
    req.list(page, found.map(|(id, payment)| view(id, &payment)))
}

async fn show(req: Req, id: PaymentId) -> Answer {
    req.staff(Scope::PaymentsRead)?;
    let payment = req.app.store.read(|tx| ops::get(tx, id))?;
    Ok(ok(&view(id, &payment)))
}

async fn reconcile_all(mut req: Req) -> Answer {
    req.admin(Scope::PaymentsWrite)?;
    req.json_or_nothing::<Nothing>().await?;
    events::work_events(&req.app).await?;
    let found = reconcile(&req.app, None).await?;
    Ok(ok(&json!({"looked_at": found.len(), "results": found})))
}
