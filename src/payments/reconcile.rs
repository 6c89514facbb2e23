//! The reconciler: whatever is not final is asked after, what was told in vain is read, and what the gateways have
//! that the journal lacks is found. It runs at start, on a clock, and by hand.

use std::ops::{Bound, ControlFlow};
use std::time::Duration;

use serde::Serialize;

use super::beside::{beside, is_down};
use super::disputes::open_with;
use super::drive::{DriveError, drive, drive_refund};
use super::events::{claim, look_at_dispute, receive, work_events};
use super::gateway::{Gateway, GatewayError};
use super::model::PaymentError;
use super::ops::left_of;
use super::returned::look_at_refund_later;
use super::settle::look_later;
use super::store::{ENDED, OPEN, OPEN_REFUNDS, OPEN_STRAYS, PAYMENTS, REFUNDS, STRAYS};
use super::strays::{StrayId, drive_stray, look_at_stray_later};
use crate::app::App;
use crate::clock::Time;
use crate::id::{OrderId, PaymentId, RefundId};
use crate::orders::RefundStatus;
use crate::store::{Direction, Key, META, Reads, Span, StoreError};

/// Most payments, and refunds, that one pass asks after.
const MOST: usize = 200;
/// How far back is looked at first.
const FIRST_SWEEP: Duration = Duration::from_hours(24 * 30);
/// How long a failed refund is shown to whoever reconciles by hand.
const SHOWN: Duration = Duration::from_hours(24 * 90);
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
    /// Why it could not be asked after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Payments and refunds that are due, with their providers.
struct Due {
    payments: Vec<(String, PaymentId)>,
    refunds: Vec<(String, RefundId)>,
    strays: Vec<(String, StrayId)>,
}

impl Due {
    fn read(tx: &impl Reads, by: Time) -> Result<Due, StoreError> {
        let payments = OPEN.below(tx, &by, MOST)?;
        let refunds = OPEN_REFUNDS.below(tx, &by, MOST)?;
        let strays = OPEN_STRAYS.below(tx, &by, MOST)?;
        Ok(Due {
            payments: payments
                .into_iter()
                .map(|id| Ok((PAYMENTS.expect(tx, &id)?.provider, id)))
                .collect::<Result<_, StoreError>>()?,
            refunds: refunds
                .into_iter()
                .map(|id| Ok((REFUNDS.expect(tx, &id)?.provider, id)))
                .collect::<Result<_, StoreError>>()?,
            strays: strays.into_iter().map(|id| (id.0.clone(), id)).collect(),
        })
    }
}

/// Asks after everything that is due by then, or, with none, after all that is open: at most some hundreds. What is
/// a provider's that does not answer is left for later.
pub async fn reconcile(app: &App, due: Option<Time>) -> Result<Vec<Reconciled>, StoreError> {
    let due = app.store.read(|tx| Due::read(tx, due.unwrap_or(Time(i64::MAX))))?;
    let mut report = beside(due.payments, |id| look_at_payment(app, id)).await;
    report.extend(beside(due.refunds, |id| look_at_refund(app, id)).await);
    report.extend(beside(due.strays, |id| look_at_stray(app, id)).await);
    report.into_iter().collect()
}

/// What a look came to, and whether the gateway is down.
type Looked = (Result<Reconciled, StoreError>, bool);

fn is_gateway_down<T>(driven: &Result<T, DriveError>) -> bool {
    driven.as_ref().err().is_some_and(is_down)
}

async fn look_at_payment(app: &App, id: PaymentId) -> Looked {
    let before = app.store.read(|tx| PAYMENTS.expect(tx, &id));
    let driven = drive(app, id).await;
    let down = is_gateway_down(&driven);
    if driven.as_ref().map_or(true, |payment| !payment.status.is_final()) {
        note_failure("payment", app.store.write(move |tx| look_later(tx, id)).await);
    }
    let row = || {
        let (before, after) = (before?, app.store.read(|tx| PAYMENTS.expect(tx, &id))?);
        Ok(Reconciled {
            kind: "payment",
            id: Some(id.0),
            reference: after.reference,
            order_id: Some(before.order),
            before: before.status.as_str().into(),
            after: after.status.as_str().into(),
            error: driven.err().map(|error| error.to_string()),
        })
    };
    (row(), down)
}

async fn look_at_refund(app: &App, id: RefundId) -> Looked {
    let driven = drive_refund(app, id).await;
    let down = is_gateway_down(&driven);
    // One that is done by now is left alone.
    note_failure("refund", app.store.write(move |tx| look_at_refund_later(tx, id)).await);
    let after = app.store.read(|tx| REFUNDS.expect(tx, &id));
    let row = after.map(|after| Reconciled {
        kind: "refund",
        id: Some(id.0),
        reference: after.reference,
        order_id: Some(after.order),
        before: RefundStatus::Pending.as_str().into(),
        after: after.status.as_str().into(),
        error: driven.err().map(|error| error.to_string()),
    });
    (row, down)
}

async fn look_at_stray(app: &App, id: StrayId) -> Looked {
    let driven = drive_stray(app, &id).await;
    let down = is_gateway_down(&driven);
    let key = id.clone();
    note_failure("stray", app.store.write(move |tx| look_at_stray_later(tx, &key)).await);
    let error = driven.err().map(|error| error.to_string());
    (stray_row(app, id, RefundStatus::Pending.as_str(), error), down)
}

fn stray_row(app: &App, id: StrayId, before: &str, error: Option<String>) -> Result<Reconciled, StoreError> {
    let after = app.store.read(|tx| STRAYS.expect(tx, &id))?;
    Ok(Reconciled {
        kind: "stray",
        id: None,
        reference: Some(id.1),
        order_id: after.order,
        before: before.into(),
        after: after.status.as_str().into(),
        error,
    })
}

fn note_failure(what: &str, result: Result<(), PaymentError>) {
    if let Err(error) = result {
        tracing::error!(what, %error, "the next look could not be put off");
    }
}

/// Refunds that failed, and whose money the shop still has: a person must pay the customer some other way.
pub fn for_a_person(tx: &impl Reads) -> Result<Vec<Reconciled>, PaymentError> {
    let (mut ids, mut found) = (Vec::new(), Vec::new());
    let from = Bound::Included(tx.now().minus(SHOWN).bytes());
    ENDED.scan(tx, Span { from, to: Bound::Unbounded, direction: Direction::Up }, |_, id| {
        ids.push(id);
        ControlFlow::Continue(())
    })?;
    for id in ids {
        let refund = REFUNDS.expect(tx, &id)?;
        let payment = PAYMENTS.expect(tx, &refund.payment)?;
        let is_kept = left_of(tx, refund.payment, &payment)?.minor >= refund.amount.minor;
        if refund.status == RefundStatus::Failed && is_kept {
            let said = refund.last_error.map_or_else(String::new, |told| told.message);
            found.push(Reconciled {
                kind: "refund",
                id: Some(id.0),
                reference: refund.reference,
                order_id: Some(refund.order),
                before: refund.status.as_str().into(),
                after: refund.status.as_str().into(),
                error: Some(format!("needs a person: {said}")),
            });
        }
    }
    Ok(found)
}

/// Reads what the gateways told and could not deliver, asks after disputes, and finds what was made in this shop's
/// name that the journal does not know of. Says what it found, and which gateway could not be asked.
pub async fn sweep(app: &App) -> Result<Vec<Reconciled>, StoreError> {
    let all: Vec<_> = app.gateways.all().map(|gateway| (gateway.provider().to_owned(), &**gateway)).collect();
    let swept = beside(all, async |gateway: &dyn Gateway| (sweep_one(app, gateway).await, false)).await;
    work_events(app).await?;
    Ok(swept.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

async fn sweep_one(app: &App, gateway: &dyn Gateway) -> Result<Vec<Reconciled>, StoreError> {
    let mut found = Vec::new();
    if let Err(error) = look_around(app, gateway, &mut found).await {
        let error = match error {
            DriveError::Gateway(error) => error.to_string(),
            DriveError::Payment(PaymentError::Store(error)) => return Err(error),
            DriveError::Payment(error) => error.to_string(),
        };
        let provider = gateway.provider();
        tracing::warn!(provider, error, "a gateway could not be asked what it has; tried again later");
        found.push(Reconciled {
            kind: "gateway",
            id: None,
            reference: Some(provider.to_owned()),
            order_id: None,
            before: String::new(),
            after: String::new(),
            error: Some(error),
        });
    }
    Ok(found)
}

async fn look_around(
    app: &App,
    gateway: &dyn Gateway,
    found: &mut Vec<Reconciled>,
) -> Result<(), DriveError> {
    let (provider, now) = (gateway.provider(), app.clock.now());
    let mark = format!("swept.{provider}");
    let last = app.store.read(|tx| META.get(tx, &mark))?.and_then(|text| text.parse().ok());
    let since = last.map_or(now.minus(FIRST_SWEEP), |last| Time(last).minus(OVERLAP));
    for notice in gateway.missed(now.minus(FIRST_SWEEP), since).await? {
        receive(app, provider, notice).await?;
    }
    for id in app.store.read(|tx| open_with(tx, provider))? {
        match look_at_dispute(app, gateway, &id).await {
            // Not every gateway can be asked.
            Ok(()) | Err(DriveError::Gateway(GatewayError::Gone(_))) => {}
            Err(error) => return Err(error),
        }
    }
    let mut page = None;
    let mut failed = None;
    loop {
        let made = gateway.made(since, page.as_deref()).await?;
        for intent in made.intents {
            let reference = intent.reference.clone();
            match claim(app, gateway, intent).await {
                Ok(Some(stray)) => found.push(stray_row(app, stray, "", None)?),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(provider, reference, %error, "a payment could not be matched; tried again later");
                    failed = Some(error);
                }
            }
        }
        page = made.next;
        if page.is_none() {
            break;
        }
    }
    match failed {
        // What could not be matched is looked at again.
        Some(error) => Err(error),
        None => Ok(app.store.write(move |tx| tx.set_meta(&mark, &now.0.to_string())).await?),
    }
}
