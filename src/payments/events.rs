//! What gateways tell us by themselves. An event is stored, once, in a commit of its own, and answered; then the
//! object that it speaks of is fetched, because an event is a hint and the object is the truth; a second commit
//! settles, and marks the event as done.

use std::time::Duration;

use super::beside::{beside, is_down};
use super::disputes::settle_dispute;
use super::drive::{DriveError, adopt, look, look_at_refunds};
use super::gateway::{Gateway, GatewayError, Intent, Notice, Tag};
use super::lifecycle::Status;
use super::model::{Disputed, GatewayEvent, Subject};
use super::ops::{self, next_wait};
use super::restored::restored;
use super::store::{BY_CHARGE, BY_REFERENCE, EVENTS, PAYMENTS, RECEIVED, UNDONE};
use super::strays::{StrayId, drive_stray, note_stray};
use crate::app::App;
use crate::clock::Time;
use crate::hex::hex;
use crate::id::PaymentId;
use crate::store::{Reads, StoreError, WriteTx};

/// Most events that one pass works off.
const MOST: usize = 200;
/// Gateways deliver an event for three days; so long it is tried here.
const GIVEN_UP_AFTER: Duration = Duration::from_hours(24 * 3);
/// Stripe lists an event for 30 days: until then it must be known again.
const KEPT: Duration = Duration::from_hours(24 * 35);

/// Provider and the gateway's id of the event.
type EventId = (String, String);

/// Stores an event; `false` if it is known already.
pub async fn receive(app: &App, provider: &str, notice: Notice) -> Result<bool, StoreError> {
    let key = (provider.to_owned(), notice.id);
    if app.store.read(|tx| EVENTS.get(tx, &key))?.is_some() {
        return Ok(false);
    }
    let (kind, subject) = (notice.kind, notice.subject);
    let is_new = app
        .store
        .write(move |tx| {
            if EVENTS.get(tx, &key)?.is_some() {
                return Ok(false);
            }
            let now = tx.now();
            let event = GatewayEvent {
                provider: key.0.clone(),
                kind: kind.clone(),
                subject: subject.clone(),
                received_at: now,
                next_try_at: Some(now),
                tries: 0,
            };
            EVENTS.put(tx, &key, &event).map(|()| true)
        })
        .await?;
    if is_new {
        app.events_came.notify_waiters();
    }
    Ok(is_new)
}

/// Works off a provider's events that are due. One that can't be worked off now is tried again later; when the
/// gateway is down, so are the others.
pub async fn work_events(app: &App, provider: &str) -> Result<(), StoreError> {
    let at = |time| (provider.to_owned(), time);
    let due = at(app.clock.now().plus(Duration::from_millis(1)));
    let keys = app.store.read(|tx| UNDONE.between(tx, &at(Time(0)), &due, MOST))?;
    beside(keys, |key| work(app, key)).await.into_iter().collect()
}

async fn work(app: &App, key: EventId) -> (Result<(), StoreError>, bool) {
    let event = match app.store.read(|tx| EVENTS.expect(tx, &key)) {
        Ok(event) => event,
        Err(error) => return (Err(error), false),
    };
    let worked = follow(app, &key.0, &event).await;
    let is_hopeless = app.clock.now() > event.received_at.plus(GIVEN_UP_AFTER);
    match &worked {
        Ok(()) => tracing::debug!(event = key.1, kind = event.kind, "an event was worked off"),
        Err(error) if is_hopeless => {
            tracing::error!(event = key.1, kind = event.kind, %error, "an event is given up; `till payment reconcile` asks after all payments");
        }
        Err(error) => {
            tracing::warn!(event = key.1, kind = event.kind, %error, "an event is tried again later");
        }
    }
    let is_done = worked.is_ok() || is_hopeless;
    let mark = move |tx: &mut WriteTx| {
        let mut event = EVENTS.expect(tx, &key)?;
        if event.next_try_at.is_none() {
            return Ok(());
        }
        event.tries = event.tries.saturating_add(1);
        let wait = next_wait(tx, event.tries);
        event.next_try_at = (!is_done).then(|| tx.now().plus(wait));
        EVENTS.put(tx, &key, &event)
    };
    (app.store.write(mark).await, worked.as_ref().err().is_some_and(is_down))
}

/// Removes events that came so long ago that no gateway tells them again; how many they were.
pub fn forget_events(tx: &mut WriteTx, limit: usize) -> Result<usize, StoreError> {
    let end = tx.now().minus(KEPT);
    let old = RECEIVED.below(tx, &end, limit)?;
    for key in &old {
        EVENTS.delete(tx, key)?;
    }
    Ok(old.len())
}

/// Looks at what an event is about.
async fn follow(app: &App, provider: &str, event: &GatewayEvent) -> Result<(), DriveError> {
    let gateway = app.gateways.of(provider)?;
    let asked = match &event.subject {
        Subject::Payment(reference) => follow_payment(app, &*gateway, reference).await,
        Subject::Charge(charge) => match payment_of(app, &*gateway, charge).await {
            Ok(Some(reference)) => follow_payment(app, &*gateway, &reference).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        },
        Subject::Dispute(id) => look_at_dispute(app, &*gateway, id).await,
        Subject::Disputed(said) => follow_dispute(app, &*gateway, (**said).clone()).await,
    };
    match asked {
        // An event may be about what is no longer there, or was another account's.
        Err(DriveError::Gateway(GatewayError::Gone(_))) => Ok(()),
        other => other,
    }
}

/// The payment's reference that a charge belongs to.
async fn payment_of(app: &App, gateway: &dyn Gateway, charge: &str) -> Result<Option<String>, DriveError> {
    let at = (gateway.provider().to_owned(), charge.to_owned());
    let known = app.store.read(|tx| {
        let id = BY_CHARGE.all(tx, &at)?.into_iter().next();
        id.map(|id| PAYMENTS.expect(tx, &id)).transpose()
    })?;
    match known.and_then(|payment| payment.reference) {
        Some(reference) => Ok(Some(reference)),
        None => Ok(gateway.payment_of(charge).await?),
    }
}

async fn follow_payment(app: &App, gateway: &dyn Gateway, reference: &str) -> Result<(), DriveError> {
    let at = (gateway.provider().to_owned(), reference.to_owned());
    match app.store.read(|tx| BY_REFERENCE.find(tx, &at))? {
        Some(id) => {
            let payment = look(app, id).await?;
            if payment.status == Status::Succeeded { look_at_refunds(app, id).await } else { Ok(()) }
        }
        // It may be ours all the same: when our own call was not answered yet, or never was.
        None => claim(app, gateway, gateway.fetch(reference).await?).await.map(drop),
    }
}

/// Asks after a dispute.
pub(super) async fn look_at_dispute(app: &App, gateway: &dyn Gateway, id: &str) -> Result<(), DriveError> {
    let asked_at = app.clock.now();
    let mut said = gateway.dispute(id).await?;
    said.told_at = said.told_at.or(Some(asked_at));
    follow_dispute(app, gateway, said).await
}

async fn follow_dispute(app: &App, gateway: &dyn Gateway, mut said: Disputed) -> Result<(), DriveError> {
    if said.payment.is_none()
        && let Some(charge) = &said.charge
    {
        said.payment = payment_of(app, gateway, charge).await?;
    }
    let provider = gateway.provider();
    let asked_at = app.clock.now();
    Ok(app.store.write(move |tx| settle_dispute(tx, provider, &said, asked_at)).await?)
}

/// Takes over a payment object that no record names, if it was made for one of our attempts. What was taken in this
/// shop's name without any is stray. What is another shop's is left alone.
pub(super) async fn claim(
    app: &App,
    gateway: &dyn Gateway,
    said: Intent,
) -> Result<Option<StrayId>, DriveError> {
    let Some(tag) = said.tag.as_ref().filter(|tag| tag.shop == app.shop) else { return Ok(None) };
    let provider = gateway.provider();
    let attempt = app.store.read(|tx| attempt(tx, tag))?;
    match attempt {
        Some((id, known)) if known.provider == provider && is_of(&known, &said) => {
            let is_news = known.reference.is_none()
                || (known.status.is_final() && known.status.after(said.status).is_some());
            if is_news {
                // What was listed may be old by now, and has less in it.
                let said = gateway.fetch(&said.reference).await?;
                adopt(app, id, said).await?;
            }
            Ok(None)
        }
        _ if said.captured.is_zero() => Ok(None),
        attempt => {
            // An attempt that the journal has never heard of was made by a newer state of this data, or by a copy
            // of it: whether that money is to go back is a person's to say.
            // So it is when the data is known to be older.
            let is_ours = attempt.is_some() && app.store.read(restored)?.is_none();
            let (stray, is_new) = app.store.write(move |tx| note_stray(tx, provider, &said, is_ours)).await?;
            if is_new && is_ours {
                // What fails here is journalled, and the reconciler's.
                let _ = drive_stray(app, &stray).await;
            }
            Ok(is_new.then_some(stray))
        }
    }
}

/// Whether the object is the attempt's, as far as we know.
fn is_of(known: &super::Payment, said: &Intent) -> bool {
    known.reference.as_ref().is_none_or(|reference| *reference == said.reference)
}

/// The attempt that an object was made for: of the order that it names, the one with its nonce. Order ids may have
/// been given anew since; nonces never are.
fn attempt(tx: &impl Reads, tag: &Tag) -> Result<Option<(PaymentId, super::Payment)>, StoreError> {
    let Some(order) = tag.order else { return Ok(None) };
    let all = ops::of_order(tx, order)?;
    Ok(all.into_iter().find(|(_, payment)| hex(&payment.nonce) == tag.payment))
}
