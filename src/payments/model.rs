//! The nouns of payments.

use serde::{Deserialize, Serialize};

use super::lifecycle::Status;
use crate::accounts::AccountError;
use crate::clock::Time;
use crate::id::{OrderId, PaymentId, UserId};
use crate::money::Money;
use crate::orders::{OrderError, RefundStatus};
use crate::store::StoreError;

/// Who moves the money of payments that were made by hand: nobody we could ask.
pub const BY_HAND: &str = "manual";

/// How an order is paid that costs nothing.
pub const NOTHING_TO_PAY: &str = "nothing to pay";

/// One attempt to pay an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Payment {
    pub order: OrderId,
    pub user: UserId,
    /// A gateway's name, or [`BY_HAND`].
    pub provider: String,
    pub status: Status,
    pub amount: Money,
    /// Random, and never used again, even after a restore: what the gateway's idempotency keys are made of.
    pub nonce: [u8; 16],
    /// The gateway's id of its object, once it was heard.
    pub reference: Option<String>,
    pub client_secret: Option<String>,
    pub approve_url: Option<String>,
    pub last_error: Option<Told>,
    pub captured: Money,
    /// The money was not the order's to take: it is on its way back.
    pub is_surplus: bool,
    pub closing: Option<Closing>,
    /// How it was paid by hand: cash, transfer, with a reference.
    pub by_hand: Option<String>,
    /// When the reconciler asks after it, while it is not final.
    pub next_look_at: Option<Time>,
    pub looks: u32,
    pub created_at: Time,
    pub updated_at: Time,
}

/// What a gateway says to a customer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    pub code: String,
    pub message: String,
}

/// A live payment that is to end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Closing {
    pub why: Why,
    pub by: String,
    pub at: Time,
}

/// What takes place once the gateway says that the payment is cancelled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Why {
    /// The hold ran out: the order is cancelled.
    Expired,
    /// Somebody cancels the order.
    Cancelled { note: String },
    /// The customer pays with another provider.
    OtherProvider,
    /// The order was paid by hand.
    PaidByHand { how: String },
    /// An operator ends this attempt; the order can be paid anew.
    Operator,
}

/// Money that goes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refund {
    pub order: OrderId,
    pub payment: PaymentId,
    pub provider: String,
    pub amount: Money,
    pub status: RefundStatus,
    pub reason: String,
    pub nonce: [u8; 16],
    pub reference: Option<String>,
    /// Line ids and units that it is for; empty: for an amount.
    pub lines: Vec<(u64, u32)>,
    /// It gives back money that came on top, or for an order that was cancelled: never invoiced.
    pub is_surplus: bool,
    pub last_error: Option<Told>,
    pub by: String,
    pub next_look_at: Option<Time>,
    pub looks: u32,
    pub created_at: Time,
    pub updated_at: Time,
}

/// What a gateway told us about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GatewayEvent {
    /// The gateway's id of the object that it is about.
    pub reference: String,
    pub received_at: Time,
    /// When it is worked off, or tried again; `None` once it is done.
    pub next_try_at: Option<Time>,
    pub tries: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    #[error("There is no such payment.")]
    NotFound,
    #[error("The order is paid already.")]
    AlreadyPaid,
    #[error("The order is cancelled and can't be paid.")]
    OrderCancelled,
    #[error("A payment of this order is being closed at its gateway; try again when that is done.")]
    Closing(PaymentId),
    #[error("There is no captured money to refund.")]
    NothingToRefund,
    #[error("At most {left} can be refunded.")]
    RefundTooLarge { left: Money },
    #[error("{0}")]
    RefundLines(String),
    #[error("{0}")]
    Account(#[from] AccountError),
    #[error("{0}")]
    Order(#[from] OrderError),
    #[error("{0}")]
    Overflow(#[from] crate::money::Overflow),
    #[error(transparent)]
    Store(#[from] StoreError),
}
