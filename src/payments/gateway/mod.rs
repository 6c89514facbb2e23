//! What till asks of a payment gateway. Each provider is one room that says how it is asked.

mod amount;
pub mod paypal;
pub mod stripe;
pub mod test;
pub mod watched;
pub mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use schemars::JsonSchema;
use serde::Serialize;

use super::lifecycle::Status;
use super::model::{Disputed, Payment, Refund, Stray, Subject, Told};
use crate::advice::Advice;
use crate::clock::Time;
use crate::hex::hex;
use crate::id::OrderId;
use crate::money::Money;
use crate::orders::{Order, RefundStatus};

/// Whether a gateway moves real money.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// No money moves.
    Test,
    Live,
}

/// What is written on a gateway's object, so that it is known again whoever tells of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tag {
    /// This shop, among others that use the same account.
    pub shop: String,
    /// The attempt's nonce, in hexadecimal.
    pub payment: String,
    pub order: Option<OrderId>,
}

/// What a gateway is asked to collect.
#[derive(Clone, Debug)]
pub struct Charge {
    pub tag: Tag,
    pub amount: Money,
    /// What the customer reads: which order it is.
    pub description: String,
    /// The shop's name.
    pub shop_name: String,
    /// Where the gateway may send a receipt.
    pub email: String,
    /// The idempotency key: the same for every try of the same attempt.
    pub key: String,
    /// When the attempt was journalled: nothing was made for it before.
    pub since: Time,
}

impl Charge {
    pub fn of(payment: &Payment, order: &Order, shop: &str, shop_name: &str) -> Charge {
        Charge {
            tag: Tag { shop: shop.to_owned(), payment: hex(&payment.nonce), order: Some(payment.order) },
            amount: payment.amount,
            description: format!("{shop_name}: order {}", order.number),
            shop_name: shop_name.to_owned(),
            email: order.email.to_string(),
            key: payment.key.of(&payment.nonce),
            since: payment.created_at,
        }
    }
}

/// What a gateway is asked to give back.
#[derive(Clone, Debug)]
pub struct Return {
    /// The gateway's id of the payment.
    pub of: String,
    pub amount: Money,
    /// The refund's nonce, in hexadecimal: written on the gateway's object.
    pub tag: String,
    /// The idempotency key.
    pub key: String,
}

impl Return {
    pub fn of(refund: &Refund, payment_reference: String) -> Return {
        let key = format!("{}-refund", refund.key.of(&refund.nonce));
        Return { of: payment_reference, amount: refund.amount, tag: hex(&refund.nonce), key }
    }

    pub fn of_stray(stray: &Stray, payment_reference: String, amount: Money) -> Return {
        let key = format!("{}-refund", stray.key.of(&stray.nonce));
        Return { of: payment_reference, amount, tag: hex(&stray.nonce), key }
    }
}

/// A gateway's payment object, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    pub reference: String,
    pub status: Status,
    pub amount: Money,
    /// Money that was taken from the customer.
    pub captured: Money,
    /// The customer has agreed, and the money is there for the taking.
    pub is_approved: bool,
    pub client_secret: Option<String>,
    pub approve_url: Option<String>,
    /// Why the last try was declined.
    pub declined: Option<Told>,
    pub charge: Option<String>,
    pub fee: Option<Money>,
    /// What was given back of it, where the object says so.
    pub refunded: Option<Money>,
    pub tag: Option<Tag>,
}

impl Intent {
    /// An object that nobody has paid yet.
    pub fn new(reference: impl Into<String>, status: Status, amount: Money) -> Intent {
        Intent {
            reference: reference.into(),
            status,
            amount,
            captured: amount.currency.zero(),
            is_approved: false,
            client_secret: None,
            approve_url: None,
            declined: None,
            charge: None,
            fee: None,
            refunded: None,
            tag: None,
        }
    }
}

/// A gateway's refund object, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Returned {
    pub reference: String,
    pub amount: Money,
    pub status: RefundStatus,
    pub error: Option<Told>,
    /// The nonce of our refund that it is, if we made it.
    pub tag: Option<String>,
    /// The gateway does not list it: the money is gone, so it must have been.
    pub is_inferred: bool,
}

/// Something that a gateway tells by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The gateway's id of the event.
    pub id: String,
    /// Its word for what happened.
    pub kind: String,
    pub subject: Subject,
}

/// What came in over a webhook.
#[derive(Debug, PartialEq)]
pub enum Heard {
    Notice(Notice),
    /// Genuine, and nothing that till goes by; why.
    Nothing(String),
}

/// Why a webhook is not believed.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Unheard {
    /// It is not genuine.
    #[error("{0}")]
    Forged(String),
    /// It may be genuine, but that can't be found out now: the gateway should send it again.
    #[error("{0}")]
    Unverified(String),
}

/// Why a gateway did not do what it was asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GatewayError {
    /// No answer in time: what was asked may or may not have been done. Ask again with the same key.
    #[error("the payment gateway did not answer in time")]
    Timeout,
    /// It is not switched on in the settings.
    #[error("the payment provider {0} is not switched on in the settings")]
    Off(String),
    /// It could not be reached, or has no time.
    #[error("the payment gateway can't be reached: {0}")]
    Down(String),
    /// It answered something that can't be right.
    #[error("the payment gateway failed: {0}")]
    Failed(String),
    /// It does not accept the shop's keys.
    #[error("the payment gateway does not accept the shop's keys: {0}")]
    Denied(String),
    /// What it has stored under this idempotency key is no answer. What was asked may or may not have been done.
    #[error("the payment gateway keeps a failure under this idempotency key")]
    KeySpent,
    /// It has no such object.
    #[error("the payment gateway has no such object: {0}")]
    Gone(String),
    /// It said no, and did nothing.
    #[error("the payment gateway refused: {} ({})", .0.message, .0.code)]
    Refused(Told),
}

impl GatewayError {
    /// A refusal of our own, in the gateway's name.
    pub fn refused(code: &str, message: impl Into<String>) -> GatewayError {
        GatewayError::Refused(Told { code: code.to_owned(), message: message.into() })
    }
}

/// One page of what was made at a gateway, and where the next begins.
#[derive(Default)]
pub struct Made {
    pub intents: Vec<Intent>,
    pub next: Option<String>,
}

/// A payment provider. Calls may be made any number of times.
#[async_trait]
pub trait Gateway: Send + Sync {
    /// Its name in the API: `stripe`, `paypal`, `test`.
    fn provider(&self) -> &'static str;
    fn mode(&self) -> Mode;
    /// Whether an unpaid payment can be cancelled there. Where it can't, it is enough not to take the money.
    fn cancels(&self) -> bool {
        true
    }
    /// Whether it takes just this amount.
    ///
    /// # Errors
    /// Why not, in words for the customer.
    fn takes(&self, _amount: Money) -> Result<(), String> {
        Ok(())
    }

    /// Makes the payment object, or finds the one that this key made.
    async fn create(&self, charge: &Charge) -> Result<Intent, GatewayError>;
    /// The payment object that was made for this attempt, found by its tag, whatever the key was.
    async fn find(&self, _charge: &Charge) -> Result<Option<Intent>, GatewayError> {
        Ok(None)
    }
    async fn fetch(&self, reference: &str) -> Result<Intent, GatewayError>;
    /// Takes the money of a payment that the customer has approved; a decline is an intent that says so.
    async fn capture(&self, reference: &str, _key: &str) -> Result<Intent, GatewayError> {
        self.fetch(reference).await
    }
    /// Asks for the payment to be cancelled and says what it is then: a payment that can't be cancelled is
    /// returned as it is.
    async fn cancel(&self, reference: &str, key: &str) -> Result<Intent, GatewayError>;

    /// Gives money back, or finds the refund that this key made.
    async fn refund(&self, back: &Return) -> Result<Returned, GatewayError>;
    /// Every refund of a payment, wherever it was made.
    async fn refunds(&self, reference: &str) -> Result<Vec<Returned>, GatewayError>;

    /// Reads what came in over the webhook, and makes sure that it is genuine.
    async fn hear(&self, _headers: &HeaderMap, _body: &Bytes, _now: Time) -> Result<Heard, Unheard> {
        Err(Unheard::Forged("this provider has no webhook".into()))
    }
    /// The payment that a charge belongs to.
    async fn payment_of(&self, _charge: &str) -> Result<Option<String>, GatewayError> {
        Ok(None)
    }
    async fn dispute(&self, id: &str) -> Result<Disputed, GatewayError> {
        Err(GatewayError::Gone(id.to_owned()))
    }
    /// What it told since `first` and could not deliver; or, where it does not know, all that it told since `last`.
    async fn missed(&self, _first: Time, _last: Time) -> Result<Vec<Notice>, GatewayError> {
        Ok(Vec::new())
    }
    /// The payments that refunds were made of since then, wherever; where that can be listed.
    async fn refunded(&self, _since: Time) -> Result<Vec<String>, GatewayError> {
        Ok(Vec::new())
    }
    /// What was made there since then, page by page.
    async fn made(&self, _since: Time, _page: Option<&str>) -> Result<Made, GatewayError> {
        Ok(Made::default())
    }

    /// Whether the account there is set up as the shop needs it: its keys and rights, and whether its webhook leads to
    /// the shop at `shop_url`. Nothing is changed.
    async fn examine(&self, _shop_url: Option<&str>, _now: Time) -> Vec<Advice> {
        Vec::new()
    }
}

/// Whether a webhook's URL is the one that is wanted: a slash at its end makes no difference here.
fn points_at(url: &str, wanted: &str) -> bool {
    let (url, wanted) = (url.trim_end_matches('/'), wanted.trim_end_matches('/'));
    url.eq_ignore_ascii_case(wanted)
}

/// The gateways that there are.
#[derive(Clone)]
pub struct Gateways {
    /// Those that the configuration switched on, the default first.
    on: Vec<Arc<dyn Gateway>>,
    /// The built-in one: payments that were begun with it can be ended when it is off.
    test: Arc<dyn Gateway>,
}

impl Gateways {
    pub fn new(on: Vec<Arc<dyn Gateway>>, test: Arc<dyn Gateway>) -> Gateways {
        Gateways { on, test }
    }

    /// Those that are switched on.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Gateway>> {
        self.on.iter()
    }

    /// The gateway of this name, if it is switched on; `None`: the default.
    pub fn find(&self, provider: Option<&str>) -> Option<&Arc<dyn Gateway>> {
        self.on.iter().find(|gateway| provider.is_none_or(|name| gateway.provider() == name))
    }

    /// The gateway that a payment was begun with.
    ///
    /// # Errors
    /// [`GatewayError::Off`]
    pub fn of(&self, provider: &str) -> Result<Arc<dyn Gateway>, GatewayError> {
        let found = self.find(Some(provider)).or((provider == self.test.provider()).then_some(&self.test));
        found.cloned().ok_or_else(|| GatewayError::Off(provider.to_owned()))
    }
}
