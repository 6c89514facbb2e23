//! The reconciler: whatever is not final is asked after, what was told in vain is read, and what the gateways have
//! that the journal lacks is found. It runs at start, on a clock, and by hand.

use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;

use super::beside::{beside, is_down};
use super::disputes::open_with;
use super::drive::{DriveError, drive, drive_refund, look};
use super::events::{claim, look_at_dispute, receive, work_events};
use super::gateway::{Gateway, GatewayError};
use super::model::{PaymentError, Refund};
use super::ops::{left_of, refunds_of};
use super::returned::{look_at_refund_later, send_back};
use super::settle::look_later;
use super::store::{BY_REFERENCE, ENDED, OPEN, OPEN_REFUNDS, OPEN_STRAYS, PAYMENTS, REFUNDS, STRAYS};
use super::strays::{StrayId, drive_stray, look_at_stray_later, release, waiting};
use crate::app::App;
use crate::clock::Time;
use crate::id::{OrderId, PaymentId, RefundId};
use crate::orders::RefundStatus;
use crate::store::{Direction, Key, META, Reads, Span, StoreError, WriteTx};

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

/// Payments, refunds and strays of one provider that are due.
struct Due {
    payments: Vec<PaymentId>,
    refunds: Vec<RefundId>,
    strays: Vec<StrayId>,
}

impl Due {
    fn read(tx: &impl Reads, provider: &str, by: Time, most: usize) -> Result<Due, StoreError> {
        let at = |time| (provider.to_owned(), time);
        let (from, end) = (at(Time(0)), at(by));
        Ok(Due {
            payments: OPEN.between(tx, &from, &end, most)?,
            refunds: OPEN_REFUNDS.between(tx, &from, &end, most)?,
            strays: OPEN_STRAYS.between(tx, &from, &end, most)?,
        })
    }

    fn len(&self) -> usize {
        self.payments.len() + self.refunds.len() + self.strays.len()
    }
}

/// Asks a provider after what is due: at most some hundreds. When it does not answer, the rest is left for later.
pub async fn reconcile(app: &App, provider: &str) -> Result<(), StoreError> {
    let now = app.clock.now();
    let due = app.store.read(|tx| Due::read(tx, provider, now, MOST))?;
    ask(app, due).await.map(drop)
}

/// What reconciling by hand came to.
#[derive(Serialize)]
pub struct Report {
    looked_at: usize,
    /// Because their gateway does not answer.
    not_asked: usize,
    results: Vec<Reconciled>,
}

/// Asks after everything that is open, due or not, and looks around at every gateway. `by_hand`: money that the journal
/// does not know of goes back, too.
pub async fn reconcile_all(app: &App, by_hand: bool) -> Result<Report, PaymentError> {
    let mut results = sweep(app).await?;
    if by_hand {
        for id in app.store.read(waiting)? {
            app.store.write(move |tx| release(tx, &id)).await?;
        }
        // What is new among them is told with what became of it.
        results.retain(|row| row.kind != "stray");
    }
    let (mut looked_at, mut not_asked) = (0, 0);
    for provider in app.store.read(providers)? {
        let due = app.store.read(|tx| Due::read(tx, &provider, Time(i64::MAX), usize::MAX))?;
        let wanted = due.len();
        let rows = ask(app, due).await?;
        looked_at += rows.len();
        not_asked += wanted - rows.len();
        results.extend(rows);
    }
    results.extend(app.store.read(for_a_person)?);
    Ok(Report { looked_at, not_asked, results })
}

/// The providers that have something open, switched on or not.
fn providers(tx: &impl Reads) -> Result<BTreeSet<String>, StoreError> {
    let mut found = BTreeSet::new();
    let mut note = |(provider, _): (String, Time)| {
        found.insert(provider);
        ControlFlow::Continue(())
    };
    OPEN.scan(tx, Span::all(Direction::Up), |at, _| note(at))?;
    OPEN_REFUNDS.scan(tx, Span::all(Direction::Up), |at, _| note(at))?;
    OPEN_STRAYS.scan(tx, Span::all(Direction::Up), |at, _| note(at))?;
    Ok(found)
}

async fn ask(app: &App, due: Due) -> Result<Vec<Reconciled>, StoreError> {
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

/// How long after a refund of money that is not the order's failed it is tried again, and how often.
const AGAIN_AFTER: Duration = Duration::from_hours(24);
const AGAIN: usize = 5;

/// Money that is not the order's to keep, and whose refund failed, is tried to be given back again: for some days.
fn try_again(tx: &mut WriteTx) -> Result<(), PaymentError> {
    for id in failed(tx)? {
        let refund = REFUNDS.expect(tx, &id)?;
        let of_payment = |other: &Refund| other.payment == refund.payment;
        let all = refunds_of(tx, refund.order)?;
        let own: Vec<_> = all.iter().filter(|(_, other)| of_payment(other)).collect();
        let tries = own.iter().filter(|(_, other)| other.status == RefundStatus::Failed).count();
        let is_newest = own.last().is_some_and(|(newest, _)| *newest == id);
        let is_due = refund.ended_at.is_some_and(|ended| tx.now() > ended.plus(AGAIN_AFTER));
        if is_newest && is_due && tries < AGAIN {
            send_back(tx, refund.payment)?;
        }
    }
    Ok(())
}

/// Refunds that failed, of the last months.
fn failed(tx: &impl Reads) -> Result<Vec<RefundId>, StoreError> {
    let mut found = Vec::new();
    let from = Bound::Included(tx.now().minus(SHOWN).bytes());
    ENDED.scan(tx, Span { from, to: Bound::Unbounded, direction: Direction::Up }, |_, id| {
        found.push(id);
        ControlFlow::Continue(())
    })?;
    let mut failed = Vec::new();
    for id in found {
        if REFUNDS.expect(tx, &id)?.status == RefundStatus::Failed {
            failed.push(id);
        }
    }
    Ok(failed)
}

/// Refunds that failed, and whose money the shop still has: a person must pay the customer some other way.
fn for_a_person(tx: &impl Reads) -> Result<Vec<Reconciled>, PaymentError> {
    let mut found = Vec::new();
    for id in failed(tx)? {
        let refund = REFUNDS.expect(tx, &id)?;
        let payment = PAYMENTS.expect(tx, &refund.payment)?;
        let is_kept = left_of(tx, refund.payment, &payment)?.minor >= refund.amount.minor;
        if is_kept {
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

/// Reads what the gateways told and could not deliver, asks after disputes, and finds refunds that were made there and
/// payments that the journal does not know of. Says what it found, and which gateway could not be asked.
async fn sweep(app: &App) -> Result<Vec<Reconciled>, StoreError> {
    let all = join_all(app.gateways.all().map(|gateway| look_around(app, &**gateway))).await;
    Ok(all.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
}

/// Looks around at one gateway: see [`sweep`].
pub async fn look_around(app: &App, gateway: &dyn Gateway) -> Result<Vec<Reconciled>, StoreError> {
    let mut found = Vec::new();
    let looked = look_through(app, gateway, &mut found).await;
    work_events(app, gateway.provider()).await?;
    if let Err(error) = looked {
        let provider = gateway.provider();
        match &error {
            DriveError::Payment(PaymentError::Store(error)) => return Err(error.clone()),
            DriveError::Gateway(GatewayError::Denied(_)) => {
                tracing::error!(provider, %error, "put good keys into the settings under [payment], and start till again");
            }
            _ => {
                tracing::warn!(provider, %error, "a gateway could not be asked what it has; tried again later");
            }
        }
        found.push(Reconciled {
            kind: "gateway",
            id: None,
            reference: Some(provider.to_owned()),
            order_id: None,
            before: String::new(),
            after: String::new(),
            error: Some(error.to_string()),
        });
    }
    Ok(found)
}

async fn look_through(
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
    for reference in gateway.refunded(since).await? {
        let at = (provider.to_owned(), reference);
        if let Some(payment) = app.store.read(|tx| BY_REFERENCE.find(tx, &at))? {
            // Its refunds are listed when they are not what we know.
            look(app, payment).await?;
        }
    }
    app.store.write(try_again).await?;
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
