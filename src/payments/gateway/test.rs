//! The built-in gateway, for trying the shop out without an account anywhere. No money moves.
//!
//! It keeps its own state, as an outside gateway would, in tables of its own that no room looks into. A customer's
//! act at the gateway is [`TestGateway::decide`]: succeed, decline, require action or stay processing; the shop is
//! told of it once, twice, late or never, as asked.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Charge, Gateway, GatewayError, Intent, Mode, Notice, Return, Returned};
use crate::app::App;
use crate::clock::Time;
use crate::money::Money;
use crate::orders::RefundStatus;
use crate::payments::lifecycle::Status;
use crate::payments::model::{Subject, Told};
use crate::payments::{receive, work_events};
use crate::store::{Index, Reads, Store, StoreError, Table, record};

/// Its name.
pub const PROVIDER: &str = "test";
/// How much later a late event comes.
const LATE: Duration = Duration::from_secs(5);
/// Most late events that one pass delivers.
const MOST: usize = 100;

/// An object of this gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestIntent {
    status: Status,
    amount: Money,
    captured: Money,
    declined: Option<Told>,
    /// Counts the events about it.
    events: u64,
    /// When the newest event is told, if it is told late.
    tell_at: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestRefund {
    of: String,
    amount: Money,
}

record!(TestIntent as StoredTestIntent: V1);
record!(TestRefund as StoredTestRefund: V1);

static TO_TELL: Index<String, TestIntent, Time> =
    Index::list("test_gateway_intents.to_tell", |intent| intent.tell_at.into_iter().collect());
/// By reference.
pub static INTENTS: Table<String, TestIntent> = Table::new("test_gateway_intents", &[&TO_TELL]);
static OF_INTENT: Index<String, TestRefund, String> =
    Index::list("test_gateway_refunds.of_intent", |refund| vec![refund.of.clone()]);
pub static REFUNDS: Table<String, TestRefund> = Table::new("test_gateway_refunds", &[&OF_INTENT]);

/// What the customer does at the gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Outcome {
    #[default]
    Succeed,
    Decline,
    RequireAction,
    Process,
}

crate::words!(Outcome: ["succeed", "decline", "require_action", "process"]);

impl FromStr for Outcome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "succeed" => Ok(Outcome::Succeed),
            "decline" => Ok(Outcome::Decline),
            "require_action" => Ok(Outcome::RequireAction),
            "process" => Ok(Outcome::Process),
            _ => Err("must be succeed, decline, require_action or process".into()),
        }
    }
}

/// How the shop is told of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Notify {
    #[default]
    Once,
    Twice,
    Late,
    Never,
}

crate::words!(Notify: ["once", "twice", "late", "never"]);

impl FromStr for Notify {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "once" => Ok(Notify::Once),
            "twice" => Ok(Notify::Twice),
            "late" => Ok(Notify::Late),
            "never" => Ok(Notify::Never),
            _ => Err("must be once, twice, late or never".into()),
        }
    }
}

pub struct TestGateway {
    store: Arc<Store>,
}

impl From<StoreError> for GatewayError {
    fn from(error: StoreError) -> GatewayError {
        GatewayError::Failed(error.to_string())
    }
}

fn intent(reference: &str, known: &TestIntent) -> Intent {
    Intent {
        captured: known.captured,
        client_secret: Some(format!("{reference}_secret")),
        declined: known.declined.clone(),
        fee: Some(known.amount.currency.zero()),
        ..Intent::new(reference, known.status, known.amount)
    }
}

fn returned(reference: &str, amount: Money) -> Returned {
    Returned {
        reference: reference.to_owned(),
        amount,
        status: RefundStatus::Succeeded,
        error: None,
        tag: reference.strip_prefix("test_re_").map(str::to_owned),
        is_inferred: false,
    }
}

impl TestGateway {
    pub fn new(store: Arc<Store>) -> TestGateway {
        TestGateway { store }
    }

    fn find(tx: &impl Reads, reference: &str) -> Result<TestIntent, GatewayError> {
        let found = INTENTS.get(tx, &reference.to_owned())?;
        found.ok_or_else(|| GatewayError::Gone(reference.to_owned()))
    }

    /// The customer acts: the object changes, and has a new event. Returns the event's number.
    ///
    /// # Errors
    /// [`GatewayError::Refused`] when the object is final.
    pub async fn decide(
        store: &Store,
        reference: &str,
        outcome: Outcome,
        notify: Notify,
    ) -> Result<u64, GatewayError> {
        let reference = reference.to_owned();
        store
            .write(move |tx| {
                let mut intent = Self::find(tx, &reference)?;
                if intent.status.is_final() {
                    let said = format!("The payment is {} already.", intent.status.as_str());
                    return Err(GatewayError::refused("invalid_transition", said));
                }
                intent.declined = None;
                match outcome {
                    Outcome::Succeed => {
                        intent.status = Status::Succeeded;
                        intent.captured = intent.amount;
                    }
                    Outcome::Decline => {
                        intent.status = Status::RequiresPayment;
                        let message = "Your card was declined. Try another one.".into();
                        intent.declined = Some(Told { code: "card_declined".into(), message });
                    }
                    Outcome::RequireAction => intent.status = Status::RequiresAction,
                    Outcome::Process => intent.status = Status::Processing,
                }
                intent.events += 1;
                intent.tell_at = (notify == Notify::Late).then(|| tx.now().plus(LATE));
                INTENTS.put(tx, &reference, &intent)?;
                Ok(intent.events)
            })
            .await
    }

    /// Tells the shop of an event, as a webhook would.
    pub async fn tell(app: &App, reference: &str, event: u64) -> Result<(), StoreError> {
        let id = format!("{reference}-{event}");
        let subject = Subject::Payment(reference.to_owned());
        if receive(app, PROVIDER, Notice { id, kind: "test".into(), subject }).await? {
            work_events(app, PROVIDER).await?;
        }
        Ok(())
    }

    /// Tells the shop of the events whose time has come.
    pub async fn tell_late(app: &App) -> Result<(), StoreError> {
        let now = app.clock.now();
        for reference in app.store.read(|tx| TO_TELL.below(tx, &now, MOST))? {
            let known = app.store.read(|tx| INTENTS.expect(tx, &reference))?;
            Self::tell(app, &reference, known.events).await?;
            app.store
                .write(move |tx| {
                    let mut intent = INTENTS.expect(tx, &reference)?;
                    intent.tell_at = None;
                    INTENTS.put(tx, &reference, &intent)
                })
                .await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Gateway for TestGateway {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn mode(&self) -> Mode {
        Mode::Test
    }

    async fn create(&self, charge: &Charge) -> Result<Intent, GatewayError> {
        let reference = format!("test_{}", charge.tag.payment);
        let amount = charge.amount;
        self.store
            .write(move |tx| {
                if let Some(known) = INTENTS.get(tx, &reference)? {
                    return Ok(intent(&reference, &known));
                }
                let new = TestIntent {
                    status: Status::RequiresPayment,
                    amount,
                    captured: amount.currency.zero(),
                    declined: None,
                    events: 0,
                    tell_at: None,
                };
                INTENTS.put(tx, &reference, &new)?;
                Ok(intent(&reference, &new))
            })
            .await
    }

    async fn fetch(&self, reference: &str) -> Result<Intent, GatewayError> {
        self.store.read(|tx| Ok(intent(reference, &Self::find(tx, reference)?)))
    }

    async fn cancel(&self, reference: &str, _key: &str) -> Result<Intent, GatewayError> {
        let reference = reference.to_owned();
        self.store
            .write(move |tx| {
                let mut known = Self::find(tx, &reference)?;
                // As with Stripe, what is processing can't be cancelled.
                if matches!(known.status, Status::RequiresPayment | Status::RequiresAction) {
                    known.status = Status::Canceled;
                    INTENTS.put(tx, &reference, &known)?;
                }
                Ok(intent(&reference, &known))
            })
            .await
    }

    async fn refund(&self, back: &Return) -> Result<Returned, GatewayError> {
        let (reference, of, amount) = (format!("test_re_{}", back.tag), back.of.clone(), back.amount);
        self.store
            .write(move |tx| {
                let done = returned(&reference, amount);
                if REFUNDS.get(tx, &reference)?.is_some() {
                    return Ok(done);
                }
                let known = Self::find(tx, &of)?;
                let mut given = 0;
                for other in OF_INTENT.all(tx, &of)? {
                    given += REFUNDS.expect(tx, &other)?.amount.minor;
                }
                if given + amount.minor > known.captured.minor {
                    let message = "more than was captured".to_owned();
                    let error = Some(Told { code: "amount_too_large".into(), message });
                    return Ok(Returned { status: RefundStatus::Failed, error, ..done });
                }
                REFUNDS.put(tx, &reference, &TestRefund { of: of.clone(), amount })?;
                Ok(done)
            })
            .await
    }

    async fn refunds(&self, reference: &str) -> Result<Vec<Returned>, GatewayError> {
        self.store.read(|tx| {
            let all = OF_INTENT.all(tx, &reference.to_owned())?;
            all.into_iter().map(|id| Ok(returned(&id, REFUNDS.expect(tx, &id)?.amount))).collect()
        })
    }
}
