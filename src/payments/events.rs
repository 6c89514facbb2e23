//! What gateways tell us by themselves. An event is stored, once, in a commit of its own, and answered; then the
//! object that it speaks of is fetched, because an event is a hint and the object is the truth; a second commit
//! settles, and marks the event as done.

use super::drive::{DriveError, drive};
use super::model::GatewayEvent;
use super::store::{BY_REFERENCE, EVENTS, UNDONE};
use crate::app::App;
use crate::clock::Time;
use crate::store::StoreError;

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
            let event = GatewayEvent {
                reference: reference.clone(),
                received_at: crate::store::Reads::now(tx),
                done_at: None,
            };
            EVENTS.put(tx, &key, &event).map(|()| true)
        })
        .await
}

/// Works off the events that are stored and not done. One whose gateway can't be asked now stays.
pub async fn work_events(app: &App) -> Result<(), DriveError> {
    for key in app.store.read(|tx| UNDONE.below(tx, &Time(i64::MAX), MOST))? {
        let event = app.store.read(|tx| EVENTS.expect(tx, &key))?;
        let about = (key.0.clone(), event.reference.clone());
        // An event may speak of an object whose making was not answered yet; the reconciler will match it.
        if let Some(payment) = app.store.read(|tx| BY_REFERENCE.find(tx, &about))? {
            drive(app, payment).await?;
        }
        app.store
            .write(move |tx| {
                let mut event = EVENTS.expect(tx, &key)?;
                event.done_at = Some(crate::store::Reads::now(tx));
                EVENTS.put(tx, &key, &event)
            })
            .await?;
    }
    Ok(())
}
