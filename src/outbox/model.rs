//! The nouns of the outbox.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::id::{OrderId, PaymentId, ProductId, RefundId, UserId, VariantId};

/// What a mail tells of: ids, and what could not be read any more when it is sent. No address, no name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Cause {
    OrderReceived(OrderId),
    OrderPaid(OrderId),
    /// A payment was declined, or came to nothing after it had been on its way (`late`): each once for a payment.
    PaymentFailed {
        payment: PaymentId,
        late: bool,
        /// What the customer's bank said.
        said: String,
    },
    /// A parcel of an order; once more when it is told how it is sent, if that was not known before (`tracked`).
    Shipped {
        order: OrderId,
        parcel: u64,
        tracked: bool,
    },
    OrderCancelled(OrderId),
    Refunded(RefundId),
    /// A link to choose a new password, asked for at this time.
    PasswordReset {
        user: UserId,
        asked_at: Time,
    },
    /// A link that proves an address, asked for at this time.
    VerifyAddress {
        user: UserId,
        asked_at: Time,
    },
    /// What this person wished for came back at this time.
    BackInStock {
        user: UserId,
        product: ProductId,
        variant: VariantId,
        since: Time,
    },
    /// To the administrators, as all that follow: these are low, and so many more that are not named.
    LowStock {
        at: Time,
        variants: Vec<VariantId>,
        more: u64,
    },
    RefundFailed(RefundId),
    /// Money at a gateway, by its id there, that no order accounts for.
    Stray {
        provider: String,
        reference: String,
    },
    /// A dispute, by its id at the gateway, stands as it says.
    Disputed {
        provider: String,
        reference: String,
        stand: String,
    },
    /// The gateway's payment is not for what the order costs.
    WrongAmount(PaymentId),
    /// No backup came about; told once a day.
    BackupFailed {
        at: Time,
        said: String,
    },
}

/// A cause as the outbox finds it: its kind's place, a number, and what else tells it from others. Numbers of one kind
/// stand in their order.
pub type CauseKey = (u8, (u64, String));

impl Cause {
    /// The kind of [`Cause::OrderReceived`], and what comes after it in the order of kinds.
    pub const ORDER_RECEIVED: u8 = 0;
    pub const ORDER_PAID: u8 = 1;
    pub const PAYMENT_FAILED: u8 = 2;
    const SHIPPED: u8 = 3;
    pub const ORDER_CANCELLED: u8 = 4;
    pub const REFUNDED: u8 = 5;
    const PASSWORD_RESET: u8 = 6;
    const VERIFY_ADDRESS: u8 = 7;
    const BACK_IN_STOCK: u8 = 8;

    /// The kinds whose number is an order's, of mails to whoever ordered.
    pub const TO_BUYERS_OF_ORDERS: [u8; 4] =
        [Self::ORDER_RECEIVED, Self::ORDER_PAID, Self::SHIPPED, Self::ORDER_CANCELLED];
    /// The kinds whose number is that of the user whom they are to.
    pub const TO_USERS: [u8; 3] = [Self::PASSWORD_RESET, Self::VERIFY_ADDRESS, Self::BACK_IN_STOCK];

    /// What makes it the same cause.
    pub fn key(&self) -> CauseKey {
        let of = |kind, number, rest: String| (kind, (number, rest));
        let none = String::new;
        match self {
            Cause::OrderReceived(order) => of(Self::ORDER_RECEIVED, order.0, none()),
            Cause::OrderPaid(order) => of(Self::ORDER_PAID, order.0, none()),
            Cause::PaymentFailed { payment, late, .. } => {
                of(Self::PAYMENT_FAILED, payment.0, if *late { "late".into() } else { none() })
            }
            Cause::Shipped { order, parcel, tracked } => {
                of(Self::SHIPPED, order.0, format!("{parcel}{}", if *tracked { " tracked" } else { "" }))
            }
            Cause::OrderCancelled(order) => of(Self::ORDER_CANCELLED, order.0, none()),
            Cause::Refunded(refund) => of(Self::REFUNDED, refund.0, none()),
            Cause::PasswordReset { user, asked_at } => {
                of(Self::PASSWORD_RESET, user.0, asked_at.0.to_string())
            }
            Cause::VerifyAddress { user, asked_at } => {
                of(Self::VERIFY_ADDRESS, user.0, asked_at.0.to_string())
            }
            Cause::BackInStock { user, variant, since, .. } => {
                of(Self::BACK_IN_STOCK, user.0, format!("{variant} {}", since.0))
            }
            Cause::LowStock { at, .. } => of(9, at.0.cast_unsigned(), none()),
            Cause::RefundFailed(refund) => of(10, refund.0, none()),
            Cause::Stray { provider, reference } => of(11, 0, format!("{provider} {reference}")),
            Cause::Disputed { provider, reference, stand } => {
                of(12, 0, format!("{provider} {reference} {stand}"))
            }
            Cause::WrongAmount(payment) => of(13, payment.0, none()),
            Cause::BackupFailed { at, .. } => of(14, 0, at.date()),
        }
    }

    /// What it is about, as the audit trail names things; empty where its kind says it all.
    pub fn about(&self) -> String {
        match self {
            Cause::OrderReceived(order) | Cause::OrderPaid(order) | Cause::OrderCancelled(order) => {
                format!("order:{order}")
            }
            Cause::Shipped { order, .. } => format!("order:{order}"),
            Cause::PaymentFailed { payment, .. } | Cause::WrongAmount(payment) => {
                format!("payment:{payment}")
            }
            Cause::Refunded(refund) | Cause::RefundFailed(refund) => format!("refund:{refund}"),
            Cause::PasswordReset { user, .. } | Cause::VerifyAddress { user, .. } => format!("user:{user}"),
            Cause::BackInStock { product, .. } => format!("product:{product}"),
            Cause::Stray { provider, reference } | Cause::Disputed { provider, reference, .. } => {
                format!("{provider}:{reference}")
            }
            Cause::LowStock { .. } | Cause::BackupFailed { .. } => String::new(),
        }
    }

    /// Its name, which is its template's.
    pub fn kind(&self) -> &'static str {
        match self {
            Cause::OrderReceived(_) => "order_received",
            Cause::OrderPaid(_) => "order_paid",
            Cause::PaymentFailed { .. } => "payment_failed",
            Cause::Shipped { .. } => "order_shipped",
            Cause::OrderCancelled(_) => "order_cancelled",
            Cause::Refunded(_) => "order_refunded",
            Cause::PasswordReset { .. } => "password_reset",
            Cause::VerifyAddress { .. } => "verify_address",
            Cause::BackInStock { .. } => "back_in_stock",
            Cause::LowStock { .. } => "low_stock",
            Cause::RefundFailed(_) => "refund_failed",
            Cause::Stray { .. } => "stray_money",
            Cause::Disputed { .. } => "dispute",
            Cause::WrongAmount(_) => "wrong_amount",
            Cause::BackupFailed { .. } => "backup_failed",
        }
    }
}

/// Where a mail stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Waiting,
    Sent,
    /// It was refused for good, or tried for days in vain.
    GivenUp,
    /// What it was to tell makes no sense any more.
    Cancelled,
}

impl State {
    pub const ALL: [State; 4] = [State::Waiting, State::Sent, State::GivenUp, State::Cancelled];

    pub fn as_str(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Sent => "sent",
            State::GivenUp => "given_up",
            State::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

crate::words!(State: State::ALL.map(State::as_str));

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = State::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| "must be waiting, sent, given_up or cancelled".to_owned())
    }
}

/// A mail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mail {
    pub cause: Cause,
    pub state: State,
    pub created_at: Time,
    /// When it is due, while it waits; after that, when it stopped to.
    pub at: Time,
    /// How often it was tried to be sent.
    pub tries: u32,
    /// What the server said last, or why the mail was not sent. Without the recipient's address.
    pub last_said: String,
}

/// A person, by what mails to them are about.
#[derive(Clone, Debug)]
pub struct Addressee {
    pub user: UserId,
    pub orders: Vec<OrderId>,
    pub payments: Vec<PaymentId>,
    pub refunds: Vec<RefundId>,
}
