//! Looking around at a gateway: what it told in vain is read, disputes and refunds that were made there are asked
//! after, and what it has that the journal lacks is found.

use std::time::Duration;

use super::disputes::open_with;
use super::drive::{DriveError, look};
use super::events::{claim, look_at_dispute, receive, work_events};
use super::gateway::{Gateway, GatewayError};
use super::model::PaymentError;
use super::reconcile::{Reconciled, stray_row};
use super::store::BY_REFERENCE;
use crate::app::App;
use crate::clock::Time;
use crate::store::{META, StoreError};

/// How far back is looked at most, and at first.
const FIRST_SWEEP: Duration = Duration::from_hours(24 * 30);
/// What was made so long before the last sweep is looked at again: payments can take days.
const OVERLAP: Duration = Duration::from_hours(24 * 3);

/// Looks around at one gateway; what it found, and whether the gateway could not be asked.
pub async fn look_around(app: &App, gateway: &dyn Gateway) -> Result<Vec<Reconciled>, StoreError> {
    let mut sweep = Sweep { app, gateway, found: Vec::new(), failed: None };
    let looked = sweep.run().await;
    work_events(app, gateway.provider()).await?;
    let Err(error) = looked else { return Ok(sweep.found) };
    let provider = gateway.provider();
    match &error {
        DriveError::Payment(PaymentError::Store(error)) => return Err(error.clone()),
        DriveError::Gateway(GatewayError::Denied(_)) => {
            tracing::error!(provider, %error, "put good keys into the settings under [payment], and start till again");
        }
        _ => tracing::warn!(provider, %error, "a gateway could not be asked all it has; tried again later"),
    }
    sweep.found.push(Reconciled {
        kind: "gateway",
        id: None,
        reference: Some(provider.to_owned()),
        order_id: None,
        before: String::new(),
        after: String::new(),
        error: Some(error.to_string()),
        is_down: false,
    });
    Ok(sweep.found)
}

struct Sweep<'a> {
    app: &'a App,
    gateway: &'a dyn Gateway,
    found: Vec<Reconciled>,
    /// What one object was the matter with. It keeps the mark where it is, and no other object from being looked at.
    failed: Option<DriveError>,
}

impl Sweep<'_> {
    async fn run(&mut self) -> Result<(), DriveError> {
        let (app, provider, now) = (self.app, self.gateway.provider(), self.app.clock.now());
        let mark = format!("swept.{provider}");
        let first = now.minus(FIRST_SWEEP);
        let last = app.store.read(|tx| META.get(tx, &mark))?.and_then(|text| text.parse().ok());
        let since = last.map_or(first, |last| Time(last).minus(OVERLAP).max(first));

        for notice in self.gateway.missed(first, since).await? {
            receive(app, provider, notice).await?;
        }
        for id in app.store.read(|tx| open_with(tx, provider))? {
            match look_at_dispute(app, self.gateway, &id).await {
                // Not every gateway can be asked.
                Ok(()) | Err(DriveError::Gateway(GatewayError::Gone(_))) => {}
                Err(error) => self.pass_over("dispute", &id, error),
            }
        }
        for reference in self.gateway.refunded(since).await? {
            let at = (provider.to_owned(), reference);
            if let Some(payment) = app.store.read(|tx| BY_REFERENCE.find(tx, &at))?
                // Its refunds are listed when they are not what we know.
                && let Err(error) = look(app, payment).await
            {
                self.pass_over("payment", &at.1, error);
            }
        }
        self.payments(since).await?;
        match self.failed.take() {
            Some(error) => Err(error),
            None => Ok(app.store.write(move |tx| tx.set_meta(&mark, &now.0.to_string())).await?),
        }
    }

    /// Matches what was made at the gateway since then with the journal.
    async fn payments(&mut self, since: Time) -> Result<(), DriveError> {
        let mut page = None;
        loop {
            let made = self.gateway.made(since, page.as_deref()).await?;
            for intent in made.intents {
                let reference = intent.reference.clone();
                match claim(self.app, self.gateway, intent).await {
                    Ok(Some(stray)) => self.found.push(stray_row(self.app, stray, "", None)?),
                    Ok(None) => {}
                    Err(error) => self.pass_over("payment", &reference, error),
                }
            }
            page = made.next;
            if page.is_none() {
                return Ok(());
            }
        }
    }

    fn pass_over(&mut self, what: &str, reference: &str, error: DriveError) {
        let provider = self.gateway.provider();
        tracing::warn!(provider, what, reference, %error, "it could not be looked at; tried again later");
        self.failed = Some(error);
    }
}
