//! What gateways tell us by themselves. An event is stored, once, in a commit of its own, and answered; then the
//! object that it speaks of is fetched, because an event is a hint and the object is the truth; a second commit
//! settles, and marks the event as done.

use std::time::Duration;

use super::drive::look;
use super::model::GatewayEvent;
use super::ops::next_wait;
use super::store::{BY_REFERENCE, EVENTS, UNDONE};
use crate::app::App;
use crate::store::{Reads, StoreError};

/// Most events that one pass works off.
const MOST: usize = 200;

/// Stores an event; `false` if it is known already.
pub async fn receive(app: &App, provider: &str, event: &str, reference: &str) -> Result<bool, StoreError> {
    let key = (provider.to_owned(), event.to_owned());
    let reference = reference.to_owned();
    app.store
        .write(move |tx| {
            if EVENTS.get(tx, &key)?.is_some() {
                return Ok(false);
            }
            let now = tx.now();
            let event = GatewayEvent {
                reference: reference.clone(),
                received_at: now,
                next_try_at: Some(now),
                tries: 0,
            };
            EVENTS.put(tx, &key, &event).map(|()| true)
        })
        .await
}

/// Works off the events that are due. One whose gateway can't be asked now is tried again later, and holds up no
/// other.
pub async fn work_events(app: &App) -> Result<(), StoreError> {
    let due = app.clock.now().plus(Duration::from_millis(1));
    for key in app.store.read(|tx| UNDONE.below(tx, &due, MOST))? {
        let event = app.store.read(|tx| EVENTS.expect(tx, &key))?;
        let about = (key.0.clone(), event.reference.clone());
        // An event may speak of an object whose making was not answered yet; the reconciler will match it.
        let looked = match app.store.read(|tx| BY_REFERENCE.find(tx, &about))? {
            Some(payment) => look(app, payment).await.map(drop),
            None => Ok(()),
        };
        if let Err(error) = &looked {
            tracing::warn!(event = key.1, %error, "an event is tried again later");
        }
        let is_done = looked.is_ok();
        app.store
            .write(move |tx| {
                let mut event = EVENTS.expect(tx, &key)?;
                event.tries = event.tries.saturating_add(1);
                let wait = next_wait(tx, event.tries);
                event.next_try_at = (!is_done).then(|| tx.now().plus(wait));
                EVENTS.put(tx, &key, &event)
            })
            .await?;
    }
    Ok(())
}
