//! `/api/admin/payments/`: seeing payments, for staff; asking after all of them, for administrators.

use serde_json::{Value, json};

use super::failed::settle_by_hand;
use super::list::{Filter, find};
use super::model::PaymentError;
use super::ops;
use super::reconcile::{Report, reconcile_all};
use super::restored::{confirm, restored};
use super::view::{AdminView, admin_view};
use crate::accounts::{self, Scope, Staff, for_admin, for_staff};
use crate::audit;
use crate::http::input::{Fields, Input, boolean, text};
use crate::http::{Answer, ApiError, Req, Routes, created, get, ok, post};
use crate::id::{PaymentId, RefundId};
use crate::telemetry::aside;

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/admin/payments/",
            get(
                list,
                Filter::described(for_staff(Scope::PaymentsRead, "All payments, newest first")).lists::<AdminView>(),
            ),
        )
        .at(
            "/api/admin/payments/{id}/",
            get(show, for_staff(Scope::PaymentsRead, "Any payment").gives::<AdminView>()),
        )
        .at(
            "/api/admin/refunds/{id}/settle/",
            post(
                settle,
                for_admin(Scope::PaymentsWrite, "Record that a failed refund's money was given back by hand")
                    .more("As a refund of its own, which is done.")
                    .once()
                    .takes::<Settling>()
                    .answers::<AdminView>(201, "The refund's payment.")
                    .refuses(&[(409, "invalid_transition"), (409, "order_disputed")]),
            ),
        )
        .at(
            "/api/admin/payments/reconcile/",
            post(
                reconcile,
                for_admin(Scope::PaymentsWrite, "Ask the gateways after everything that is open")
                    .more(
                        "Money of no order that they took in the shop's name goes back. After a restore only what is \
                         there is told, until after_restore says that somebody has looked at it.",
                    )
                    .may_take::<Reconciling>()
                    .gives::<Report>(),
            ),
        )
}

async fn list(req: Req) -> Answer {
    req.staff(Scope::PaymentsRead)?;
    let (page, filter) = (req.page()?, Filter::of(&req)?);
    // Times alone may make it look at every payment, so it is done off the async threads.
    let app = std::sync::Arc::clone(&req.app);
    let found = aside(move || {
        app.store.read(|tx| find(tx, &filter, page)?.try_map(|(id, payment)| admin_view(tx, id, &payment)))
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
        Ok(created(&admin_view(tx, refund.payment, &payment)?))
    })
    .await
}

async fn show(req: Req, id: PaymentId) -> Answer {
    req.staff(Scope::PaymentsRead)?;
    let found = req.app.store.read(|tx| {
        let payment = ops::get(tx, id)?;
        Ok::<_, PaymentError>(admin_view(tx, id, &payment)?)
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
