//! The nouns of payments.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lifecycle::Status;
use crate::accounts::AccountError;
use crate::clock::Time;
use crate::hex::hex;
use crate::id::{OrderId, PaymentId, UserId};
use crate::money::Money;
use crate::orders::{OrderError, RefundStatus};
use crate::store::StoreError;

/// Who moves the money of payments that were made by hand: nobody we could ask.
pub const BY_HAND: &str = "manual";

/// How an order is paid that costs nothing.
pub const NOTHING_TO_PAY: &str = "nothing to pay";

/// How long an idempotency key is relied on. Stripe may forget one after 24 hours, PayPal after 6.
const KEY_LASTS: Duration = Duration::from_hours(5);

/// Which of an attempt's idempotency keys is in use. There is one, but for the rare case that its stored answer is
/// no use, or it is so old that the gateway may have forgotten it: then the gateway is asked what became of it,
/// and only when that is nothing is the next key used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// From 0.
    pub n: u32,
    pub since: Time,
}

impl Key {
    /// The one that an attempt begins with.
    pub fn first(now: Time) -> Key {
        Key { n: 0, since: now }
    }

    /// The one after this.
    pub fn next(self, now: Time) -> Key {
        Key { n: self.n.saturating_add(1), since: now }
    }

    /// Whether the gateway still knows what it answered to this key.
    pub fn is_fresh(self, now: Time) -> bool {
        now < self.since.plus(KEY_LASTS)
    }

    /// What is sent: the attempt's nonce, and which key it is.
    pub fn of(self, nonce: &[u8; 16]) -> String {
        match self.n {
            0 => hex(nonce),
            n => format!("{}-{n}", hex(nonce)),
        }
    }
}

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
    pub key: Key,
    /// The gateway's id of its object, once it was heard.
    pub reference: Option<String>,
    /// The gateway's id of the money's movement: Stripe's charge, PayPal's capture.
    pub charge: Option<String>,
    pub client_secret: Option<String>,
    pub approve_url: Option<String>,
    pub last_error: Option<Told>,
    /// When we last asked for a capture whose outcome is unknown.
    pub capturing: Option<Time>,
    /// Which key captures are asked for with: the next one after each that was declined.
    pub capture_key: Key,
    /// What was taken. In the currency that it was taken in, whatever we had asked for.
    pub captured: Money,
    pub captured_at: Option<Time>,
    /// What the gateway kept for itself, where it says so.
    pub fee: Option<Money>,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "GatewayRefusal")]
pub struct Told {
    /// For programs; the gateway's own.
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
    /// The gateway's object is not for what the order costs: nobody may confirm it.
    WrongAmount,
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
    pub key: Key,
    pub reference: Option<String>,
    /// Line ids and units that it is for; empty: for an amount.
    pub lines: Vec<(u64, u32)>,
    /// Whether the units go back to the shelf, when the money has gone back.
    pub restock: bool,
    /// They are out of the order, and on the shelf if they are to be.
    pub is_taken_back: bool,
    /// It gives back money that came on top, or for an order that was cancelled: never invoiced.
    pub is_surplus: bool,
    pub last_error: Option<Told>,
    pub by: String,
    /// When it succeeded, or failed.
    pub ended_at: Option<Time>,
    pub next_look_at: Option<Time>,
    pub looks: u32,
    pub created_at: Time,
    pub updated_at: Time,
}

/// Money at a gateway that was taken in this shop's name, and that no attempt in the journal accounts for. It goes
/// back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stray {
    pub provider: String,
    pub amount: Money,
    /// The order that the gateway's object names; ids may have been given anew since.
    pub order: Option<OrderId>,
    pub nonce: [u8; 16],
    pub key: Key,
    /// Of its refund.
    pub status: RefundStatus,
    /// The gateway's id of its refund.
    pub refund: Option<String>,
    pub next_look_at: Option<Time>,
    pub looks: u32,
    pub found_at: Time,
    pub updated_at: Time,
}

/// How a dispute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "snake_case")]
pub enum Stand {
    Open,
    /// The money stays.
    Won,
    /// The money is gone.
    Lost,
}

impl Stand {
    pub fn as_str(self) -> &'static str {
        match self {
            Stand::Open => "open",
            Stand::Won => "won",
            Stand::Lost => "lost",
        }
    }
}

/// A customer's bank, or PayPal's, wants the money back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dispute {
    pub order: OrderId,
    pub payment: PaymentId,
    pub amount: Money,
    pub reason: String,
    pub stand: Stand,
    /// The gateway's own word for how it stands.
    pub status: String,
    /// Until when the gateway wants to have evidence.
    pub due_by: Option<Time>,
    /// When the gateway changed it last, where it says so, or was asked: what is older changes nothing.
    pub told_at: Time,
    /// When it was decided.
    pub ended_at: Option<Time>,
    pub created_at: Time,
}

impl Dispute {
    /// What it keeps from being done, in words.
    fn bars(&self) -> &'static str {
        match self.stand {
            Stand::Lost => "A dispute about this order was lost: the money is gone, so nothing is sent.",
            Stand::Open | Stand::Won => {
                "A dispute about this order is open: until it is decided nothing can be sent or refunded."
            }
        }
    }

    /// Stripe's inquiries (`warning_…`) are no disputes yet: a refund is what ends them.
    pub fn bars_refunds(&self) -> bool {
        self.stand == Stand::Open && !self.status.starts_with("warning_")
    }
}

/// What an event is about, by the gateway's ids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Subject {
    Payment(String),
    /// A charge or capture, whose payment is to be found.
    Charge(String),
    /// A dispute, which is to be asked after.
    Dispute(String),
    /// A dispute, as the signed event tells it: there is no asking after it.
    Disputed(Box<Disputed>),
}

/// A gateway's dispute object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disputed {
    pub reference: String,
    /// The payment's reference, where it is told.
    pub payment: Option<String>,
    pub charge: Option<String>,
    pub amount: Money,
    pub reason: String,
    pub stand: Stand,
    pub status: String,
    pub due_by: Option<Time>,
    pub told_at: Option<Time>,
}

/// What a gateway told us about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GatewayEvent {
    pub provider: String,
    /// The gateway's word for what happened.
    pub kind: String,
    pub subject: Subject,
    pub received_at: Time,
    /// When it is worked off, or tried again; `None` once it is done.
    pub next_try_at: Option<Time>,
    pub tries: u32,
}

/// Why something can't be done with a payment.
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
    #[error(
        "The payment at the gateway must end first, and has not yet. What was asked for is done by itself as soon as it \
         has, and is not if it turns out to be paid."
    )]
    Ending(PaymentId),
    #[error("There is no captured money to refund.")]
    NothingToRefund,
    #[error("At most {left} can be refunded.")]
    RefundTooLarge { left: Money },
    #[error("{0}")]
    RefundLines(String),
    #[error(
        "Only a refund that failed can be settled by hand, and only while its money is still here and no later refund of \
         its payment stands in for it."
    )]
    NotOpen,
    #[error("{}", dispute.bars())]
    Disputed { dispute: Box<Dispute> },
    #[error("{0}")]
    Account(#[from] AccountError),
    #[error("{0}")]
    Order(#[from] OrderError),
    #[error("{0}")]
    Overflow(#[from] crate::money::Overflow),
    #[error(transparent)]
    Store(#[from] StoreError),
}
