//! The reconciler: whatever is not final is asked after, what was told in vain is read, and what the gateways have
//! that the journal lacks is found. It runs at start, on a clock, and by hand.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::drive::{drive, drive_refund};
use super::events::{AT_ONCE, claim, receive, work_events};
use super::gateway::{Gateway, GatewayError};
use super::model::PaymentError;
use super::returned::look_at_refund_later;
use super::settle::look_later;
use super::store::{OPEN, OPEN_REFUNDS, OPEN_STRAYS, PAYMENTS, REFUNDS, STRAYS};
use super::strays::{StrayId, drive_stray, look_at_stray_later};
use crate::app::App;
use crate::clock::Time;
use crate::id::{OrderId, PaymentId, RefundId};
use crate::orders::RefundStatus;
use crate::store::{META, StoreError};

/// Most payments, and refunds, that one pass asks after.
const MOST: usize = 200;
/// How far back Stripe keeps events, and how far back is looked at first.
const FIRST_SWEEP: Duration = Duration::from_hours(24 * 30);
/// What was made so long before the last sweep is looked at again: payments can take days.
const OVERLAP: Duration = Duration::from_hours(24 * 3);

/// What the reconciler found, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct Reconciled {
    /// `payment`, `refund`, `stray` (money without an order) or `gateway` (one that could not be asked).
    pub kind: &'static str,
    /// Of a payment or refund of ours.
    pub id: Option<u64>,
    /// What the gateway calls it.
    pub reference: Option<String>,
    pub order_id: Option<OrderId>,
    pub before: String,
    pub after: String,
    /// Why it could not be asked after, or what a person must see to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Asks after everything that is due by then, or, with none, after all that is open: at most some hundreds.
pub async fn reconcile(app: &App, due: Option<Time>) -> Result<Vec<Reconciled>, StoreError> {
    let due = due.unwrap_or(Time(i64::MAX));
    let (payments, refunds, strays) = app.store.read(|tx| {
        let payments = OPEN.below(tx, &due, MOST)?;
        Ok::<_, StoreError>((
            payments,
            OPEN_REFUNDS.below(tx, &due, MOST)?,
            OPEN_STRAYS.below(tx, &due, MOST)?,
        ))
    })?;
    let mut report = Vec::new();
    let mut looking = stream::iter(payments).map(|id| look_at_payment(app, id)).buffer_unordered(AT_ONCE);
    while let Some(looked) = looking.next().await {
        report.push(looked?);
    }
    let mut looking = stream::iter(refunds).map(|id| look_at_refund(app, id)).buffer_unordered(AT_ONCE);
    while let Some(looked) = looking.next().await {
        report.push(looked?);
    }
    for id in strays {
        report.push(look_at_stray(app, id).await?);
    }
    Ok(report)
}

async fn look_at_payment(app: &App, id: PaymentId) -> Result<Reconciled, StoreError> {
    let before = app.store.read(|tx| PAYMENTS.expect(tx, &id))?;
    let driven = drive(app, id).await;
    if driven.as_ref().map_or(true, |payment| !payment.status.is_final()) {
        note_failure("payment", app.store.write(move |tx| look_later(tx, id)).await);
    }
    let after = app.store.read(|tx| PAYMENTS.expect(tx, &id))?;
    Ok(Reconciled {
        kind: "payment",
        id: Some(id.0),
        reference: after.reference,
        order_id: Some(before.order),
        before: before.status.as_str().into(),
        after: after.status.as_str().into(),
        error: driven.err().map(|error| error.to_string()),
    })
}

async fn look_at_refund(app: &App, id: RefundId) -> Result<Reconciled, StoreError> {
    let driven = drive_refund(app, id).await;
    // One that is done by now is left alone.
    note_failure("refund", app.store.write(move |tx| look_at_refund_later(tx, id)).await);
    let after = app.store.read(|tx| REFUNDS.expect(tx, &id))?;
    Ok(Reconciled {
        kind: "refund",
        id: Some(id.0),
        reference: after.reference,
        order_id: Some(after.order),
        before: RefundStatus::Pending.as_str().into(),
        after: after.status.as_str().into(),
        error: driven.err().map(|error| error.to_string()),
    })
}

async fn look_at_stray(app: &App, id: StrayId) -> Result<Reconciled, StoreError> {
    let driven = drive_stray(app, &id).await;
    let key = id.clone();
    note_failure("stray", app.store.write(move |tx| look_at_stray_later(tx, &key)).await);
    let after = app.store.read(|tx| STRAYS.expect(tx, &id))?;
    let failed = after.last_error.map(|told| told.message);
    Ok(Reconciled {
        kind: "stray",
        id: None,
        reference: Some(id.1),
        order_id: after.order,
        before: RefundStatus::Pending.as_str().into(),
        after: after.status.as_str().into(),
        error: driven.err().map(|error| error.to_string()).or(failed),
    })
}

fn note_failure(what: &str, result: Result<(), PaymentError>) {
    if let Err(error) = result {
        tracing::error!(what, %error, "the next look could not be put off");
    }
}

/// Reads what the gateways told and could not deliver, and finds what was made in this shop's name that the journal
/// does not know of.
pub async fn sweep(app: &App) -> Result<Vec<Reconciled>, StoreError> {
    let mut report = Vec::new();
    for gateway in app.gateways.all() {
        let before = app.store.read(|tx| STRAYS.count(tx))?;
        if let Err(error) = sweep_one(app, &**gateway).await? {
            let provider = gateway.provider();
            tracing::warn!(provider, %error, "a gateway could not be asked what it has; tried again later");
            report.push(Reconciled {
                kind: "gateway",
                id: None,
                reference: Some(provider.to_owned()),
                order_id: None,
                before: String::new(),
                after: String::new(),
                error: Some(error.to_string()),
            });
        }
        if app.store.read(|tx| STRAYS.count(tx))? > before {
            report.extend(strays_of(app, gateway.provider())?);
        }
    }
    work_events(app).await?;
    Ok(report)
}

fn strays_of(app: &App, provider: &str) -> Result<Vec<Reconciled>, StoreError> {
    let mut found = Vec::new();
    app.store.read(|tx| {
        STRAYS.each(tx, |id, stray| {
            if id.0 == provider {
                found.push(Reconciled {
                    kind: "stray",
                    id: None,
                    reference: Some(id.1),
                    order_id: stray.order,
                    before: String::new(),
                    after: stray.status.as_str().into(),
                    error: stray.last_error.map(|told| told.message),
                });
            }
        })
    })?;
    Ok(found)
}

async fn sweep_one(app: &App, gateway: &dyn Gateway) -> Result<Result<(), GatewayError>, StoreError> {
    let (provider, now) = (gateway.provider(), app.clock.now());
    let missed = match gateway.missed(now.minus(FIRST_SWEEP)).await {
        Ok(missed) => missed,
        Err(error) => return Ok(Err(error)),
    };
    for notice in missed {
        receive(app, provider, notice).await?;
    }
    let mark = format!("swept.{provider}");
    let last = app.store.read(|tx| META.get(tx, &mark))?.and_then(|text| text.parse().ok());
    let since = last.map_or(now.minus(FIRST_SWEEP), |last| Time(last).minus(OVERLAP));
    let mut page = None;
    loop {
        let made = match gateway.made(since, page.as_deref()).await {
            Ok(made) => made,
            Err(error) => return Ok(Err(error)),
        };
        for intent in made.intents {
            let reference = intent.reference.clone();
            if let Err(error) = claim(app, gateway, intent).await {
                tracing::warn!(provider, reference, %error, "a payment could not be matched; tried again later");
            }
        }
        page = made.next;
        if page.is_none() {
            break;
        }
    }
    app.store.write(move |tx| tx.set_meta(&mark, &now.0.to_string())).await?;
    Ok(Ok(()))
}
