//! What till asks of a payment gateway. Each provider is one file that says how it is asked.

pub mod test;

use std::sync::Arc;

use async_trait::async_trait;

use super::lifecycle::Status;
use super::model::{Payment, Refund, Told};
use crate::hex::hex;
use crate::id::{OrderId, PaymentId, RefundId};
use crate::money::Money;
use crate::orders::RefundStatus;

/// Whether a gateway moves real money.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// No money moves.
    Test,
}

/// What a gateway is asked to collect. `key` is the same for every try of the same attempt.
#[derive(Clone, Debug)]
pub struct Charge {
    pub payment: PaymentId,
    pub order: OrderId,
    pub amount: Money,
    pub key: String,
}

impl Charge {
    pub fn of(id: PaymentId, payment: &Payment) -> Charge {
        Charge { payment: id, order: payment.order, amount: payment.amount, key: hex(&payment.nonce) }
    }
}

/// What a gateway is asked to give back.
#[derive(Clone, Debug)]
pub struct Return {
    pub refund: RefundId,
    /// The gateway's id of the payment.
    pub of: String,
    pub amount: Money,
    pub key: String,
}

impl Return {
    pub fn of(id: RefundId, refund: &Refund, payment_reference: String) -> Return {
        Return { refund: id, of: payment_reference, amount: refund.amount, key: hex(&refund.nonce) }
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
    pub client_secret: Option<String>,
    pub approve_url: Option<String>,
    /// Why the last try was declined.
    pub declined: Option<Told>,
}

/// A gateway's refund object, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Returned {
    pub reference: String,
    pub status: RefundStatus,
    pub error: Option<Told>,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GatewayError {
    /// No answer in time: what was asked may or may not have been done. Ask again with the same key.
    #[error("the payment gateway did not answer in time")]
    Timeout,
    /// It is not switched on in the settings.
    #[error("the payment provider {0} is not switched on in the settings")]
    Off(String),
    /// It could not be reached, or failed.
    #[error("the payment gateway failed: {0}")]
    Failed(String),
    /// It said no.
    #[error("the payment gateway refused: {0}")]
    Refused(String),
}

/// A payment provider. Calls may be made any number of times.
#[async_trait]
pub trait Gateway: Send + Sync {
    /// Its name in the API: `stripe`, `paypal`, `test`.
    fn provider(&self) -> &'static str;
    fn mode(&self) -> Mode;
    /// Makes the payment object, or finds the one that this key made.
    async fn create(&self, charge: &Charge) -> Result<Intent, GatewayError>;
    async fn fetch(&self, reference: &str) -> Result<Intent, GatewayError>;
    /// Asks for the payment to be cancelled and says what it is then: a payment that can't be cancelled is
    /// returned as it is.
    async fn cancel(&self, reference: &str) -> Result<Intent, GatewayError>;
    /// Gives money back, or finds the refund that this key made.
    async fn refund(&self, back: &Return) -> Result<Returned, GatewayError>;
}

/// The gateways that the configuration switched on, the default first.
#[derive(Clone, Default)]
pub struct Gateways(Vec<Arc<dyn Gateway>>);

impl Gateways {
    pub fn new(gateways: Vec<Arc<dyn Gateway>>) -> Gateways {
        Gateways(gateways)
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Gateway>> {
        self.0.iter()
    }

    /// The gateway of this name; `None`: the default.
    pub fn find(&self, provider: Option<&str>) -> Option<&Arc<dyn Gateway>> {
        self.0.iter().find(|gateway| provider.is_none_or(|name| gateway.provider() == name))
    }
}
