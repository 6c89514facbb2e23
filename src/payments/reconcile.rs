//! The reconciler: whatever is not final is asked after, at start, on a clock, and by hand.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::Serialize;

use super::beside::{beside, is_down};
use super::drive::{DriveError, drive_refund, look};
use super::failed::{Failed, failed};
use super::model::PaymentError;
use super::restored::{Restored, restored};
use super::returned::look_at_refund_later;
use super::settle::look_later;
use super::store::{OPEN, OPEN_REFUNDS, OPEN_STRAYS, PAYMENTS, REFUNDS, STRAYS};
use super::strays::{StrayId, drive_stray, look_at_stray_later, release, waiting};
use super::sweep::look_around;
use crate::app::App;
use crate::clock::Time;
use crate::id::{OrderId, PaymentId, RefundId};
use crate::orders::RefundStatus;
use crate::store::{Direction, Reads, Span, StoreError};

/// Most payments, and refunds, that one pass asks after.
const MOST: usize = 200;
/// What is due at this moment is due.
const SOON: Duration = Duration::from_millis(1);

/// What the reconciler found, and what became of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Reconciled {
    /// `payment`, `refund`, `stray` (money without an order) or `gateway` (one that could not be asked).
    #[schemars(extend("enum" = ["payment", "refund", "stray", "gateway"]))]
    pub kind: &'static str,
    /// Of a payment or refund of ours.
    pub id: Option<u64>,
    /// What the gateway calls it; of a gateway, its name.
    pub reference: Option<String>,
    pub order_id: Option<OrderId>,
    /// How it stood, and how it stands; empty of a gateway.
    pub before: String,
    pub after: String,
    /// Why it could not be asked after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether that was because its gateway can't be asked at all.
    #[serde(skip)]
    pub is_down: bool,
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

/// Asks a provider after what is due, at most some hundreds; with none, after all that is open. When it does not
/// answer, the rest is left for later.
pub async fn reconcile(app: &App, provider: &str, due: Option<Time>) -> Result<(), StoreError> {
    let (by, most) = due.map_or((Time(i64::MAX), usize::MAX), |due| (due.plus(SOON), MOST));
    let due = app.store.read(|tx| Due::read(tx, provider, by, most))?;
    let rows = ask(app, due, true).await?;
    tell_log(app, provider, &rows);
    Ok(())
}

/// Says once when a provider does not answer any more, and once when it does again; and what else went wrong.
fn tell_log(app: &App, provider: &str, rows: &[Reconciled]) {
    let mut silent = app.silent_gateways.lock().unwrap_or_else(PoisonError::into_inner);
    let error = |is_down| rows.iter().find(|row| row.is_down == is_down && row.error.is_some());
    if let Some(row) = error(true) {
        let error = row.error.as_deref().unwrap_or_default();
        if silent.insert(provider.to_owned()) {
            tracing::error!(
                provider,
                error,
                "a payment gateway can't be asked: what is open with it waits, and goes on by itself when it can"
            );
        }
    } else if rows.iter().any(|row| row.error.is_none()) && silent.remove(provider) {
        tracing::info!(provider, "a payment gateway can be asked again");
    }
    if let Some(Reconciled { kind, id, error, .. }) = error(false) {
        let error = error.as_deref().unwrap_or_default();
        tracing::warn!(provider, kind, id, error, "it could not be asked after; tried again later");
    }
}

/// What reconciling by hand came to.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Reconciliation")]
pub struct Report {
    /// The shop was restored from a backup, and nobody has confirmed: what the backup has was only asked after.
    restored: Option<Restored>,
    /// How many payments, refunds and strays were asked after.
    looked_at: usize,
    /// How many were not, because their gateway does not answer.
    not_asked: usize,
    results: Vec<Reconciled>,
}

/// Asks after everything that is open, due or not, and looks around at every gateway. `by_hand`: money that the journal
/// does not know of goes back, too. In a shop that is marked as restored none does.
pub async fn reconcile_all(app: &App, by_hand: bool) -> Result<Report, PaymentError> {
    let restored = app.store.read(restored)?;
    let by_hand = by_hand && restored.is_none();
    let swept = join_all(app.gateways.all().map(|gateway| look_around(app, &**gateway))).await;
    let mut results = swept.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    if by_hand {
        for id in app.store.read(waiting)? {
            app.store.write(move |tx| release(tx, &id)).await?;
        }
        // Those are told below, with what became of them.
        results.retain(|row| row.kind != "stray" || row.after != RefundStatus::Pending.as_str());
    }
    let (mut looked_at, mut not_asked) = (0, 0);
    for provider in app.store.read(providers)? {
        let due = app.store.read(|tx| Due::read(tx, &provider, Time(i64::MAX), usize::MAX))?;
        let wanted = due.len();
        let rows = ask(app, due, false).await?;
        looked_at += rows.len();
        not_asked += wanted - rows.len();
        results.extend(rows);
    }
    if restored.is_some() {
        results.retain(|row| row.kind != "stray");
        for id in app.store.read(waiting)? {
            let said =
                "taken at the gateway, and this data has no such payment: is its order lost?".to_owned();
            results.push(stray_row(app, id, RefundStatus::Pending.as_str(), Some(said))?);
        }
    }
    results.extend(app.store.read(failed_rows)?);
    Ok(Report { restored, looked_at, not_asked, results })
}

/// Says which providers have something open and are not switched on: nobody can go on with that.
pub fn warn_of_switched_off(app: &App) -> Result<(), StoreError> {
    for provider in app.store.read(providers)? {
        if app.gateways.of(&provider).is_err() {
            tracing::error!(
                provider,
                "payments or refunds of this provider are open, and it is not switched on: put its keys back into the \
                 settings, or end them with `till payment cancel --force`"
            );
        }
    }
    Ok(())
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

/// `scheduled`: those that are still open are looked at later each time. A look by hand changes nothing about that.
async fn ask(app: &App, due: Due, scheduled: bool) -> Result<Vec<Reconciled>, StoreError> {
    let mut report = beside(due.payments, |id| look_at_payment(app, id, scheduled)).await;
    report.extend(beside(due.refunds, |id| look_at_refund(app, id, scheduled)).await);
    report.extend(beside(due.strays, |id| look_at_stray(app, id)).await);
    report.into_iter().collect()
}

/// What a look came to, and whether the gateway is down.
type Looked = (Result<Reconciled, StoreError>, bool);

/// Logs what could not be asked after; whether its gateway is down.
fn noted<T>(what: &str, id: u64, driven: &Result<T, DriveError>) -> bool {
    let Err(error) = driven else { return false };
    tracing::debug!(what, id, %error, "it could not be asked after; tried again later");
    is_down(error)
}

async fn look_at_payment(app: &App, id: PaymentId, scheduled: bool) -> Looked {
    let before = app.store.read(|tx| PAYMENTS.expect(tx, &id));
    // A final one is due for its late look.
    let driven = look(app, id).await;
    let down = noted("payment", id.0, &driven);
    let is_open = driven.as_ref().map_or(true, |payment| !payment.status.is_final());
    if is_open && scheduled {
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
            is_down: down,
        })
    };
    (row(), down)
}

async fn look_at_refund(app: &App, id: RefundId, scheduled: bool) -> Looked {
    let driven = drive_refund(app, id).await;
    let down = noted("refund", id.0, &driven);
    // One that is done by now is left alone.
    if scheduled {
        note_failure("refund", app.store.write(move |tx| look_at_refund_later(tx, id)).await);
    }
    let after = app.store.read(|tx| REFUNDS.expect(tx, &id));
    let row = after.map(|after| Reconciled {
        kind: "refund",
        id: Some(id.0),
        reference: after.reference,
        order_id: Some(after.order),
        before: RefundStatus::Pending.as_str().into(),
        after: after.status.as_str().into(),
        error: driven.err().map(|error| error.to_string()),
        is_down: down,
    });
    (row, down)
}

async fn look_at_stray(app: &App, id: StrayId) -> Looked {
    let driven = drive_stray(app, &id).await;
    let down = driven.as_ref().err().is_some_and(is_down);
    let key = id.clone();
    note_failure("stray", app.store.write(move |tx| look_at_stray_later(tx, &key)).await);
    let error = driven.err().map(|error| error.to_string());
    (stray_row(app, id, RefundStatus::Pending.as_str(), error), down)
}

pub(super) fn stray_row(
    app: &App,
    id: StrayId,
    before: &str,
    error: Option<String>,
) -> Result<Reconciled, StoreError> {
    let after = app.store.read(|tx| STRAYS.expect(tx, &id))?;
    Ok(Reconciled {
        kind: "stray",
        id: None,
        reference: Some(id.1),
        order_id: after.order,
        before: before.into(),
        after: after.status.as_str().into(),
        error,
        is_down: false,
    })
}

fn note_failure(what: &str, result: Result<(), PaymentError>) {
    if let Err(error) = result {
        tracing::error!(what, %error, "the next look could not be put off");
    }
}

/// Refunds that failed, and whose money is still here: those that are tried again by themselves, and those for which
/// a person must pay the customer some other way.
fn failed_rows(tx: &impl Reads) -> Result<Vec<Reconciled>, PaymentError> {
    let row = |Failed { id, refund, again_at }: Failed| {
        let said = refund.last_error.map_or_else(String::new, |told| told.message);
        let error = match again_at {
            Some(at) => format!("failed, and is tried again by itself at {at}: {said}"),
            None => format!("needs a person: {said}"),
        };
        Reconciled {
            kind: "refund",
            id: Some(id.0),
            reference: refund.reference,
            order_id: Some(refund.order),
            before: refund.status.as_str().into(),
            after: refund.status.as_str().into(),
            error: Some(error),
            is_down: false,
        }
    };
    Ok(failed(tx)?.into_iter().map(row).collect())
}
