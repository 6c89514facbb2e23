//! The nouns of orders.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lifecycle::{Event, Status};
use crate::accounts::Email;
use crate::address::Address;
use crate::catalogue::Choice;
use crate::clock::Time;
use crate::id::{ProductId, RefundId, UserId, VariantId};
use crate::money::{Money, Overflow};
use crate::promotions::Code;
use crate::store::StoreError;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// What customers call it. Given at the commit, without gaps.
    pub number: String,
    pub user: UserId,
    pub email: Email,
    pub status: Status,
    /// Derived from the order's payments and refunds, which tell it.
    pub payment_status: PaymentStatus,
    pub lines: Vec<OrderLine>,
    pub subtotal: Money,
    pub discount: Money,
    pub shipping: Money,
    pub tax: Money,
    pub total: Money,
    /// What took the discount off.
    pub coupon_code: Option<Code>,
    pub shipping_address: Address,
    pub billing_address: Option<Address>,
    pub note: String,
    pub fulfilments: Vec<Fulfilment>,
    /// What the refunds room told, oldest first.
    pub refunds: Vec<RefundNote>,
    pub history: Vec<Moved>,
    /// Until when an unpaid order keeps its stock.
    pub hold_until: Option<Time>,
    /// A hold is extended once, while the customer is at their bank.
    pub hold_extended: bool,
    pub paid_at: Option<Time>,
    pub created_at: Time,
    pub updated_at: Time,
}

impl Order {
    /// What was given back of it.
    pub fn refunded(&self) -> Money {
        // Money that came in another currency was never the order's, and goes back in its own.
        let ours = |refund: &&RefundNote| {
            refund.status == RefundStatus::Succeeded && refund.amount.currency == self.total.currency
        };
        let back = self.refunds.iter().filter(ours);
        Money { minor: back.map(|refund| refund.amount.minor).sum(), currency: self.total.currency }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderLine {
    /// From 1, within the order.
    pub id: u64,
    pub product: ProductId,
    pub variant: VariantId,
    pub sku: Option<String>,
    pub name: String,
    pub options: Vec<Choice>,
    pub unit_price: Money,
    pub quantity: u32,
    /// Before the discount.
    pub total: Money,
    /// Its share of what the coupon took off: at most `total`.
    pub discount: Money,
    /// Of what is left after the discount.
    pub tax: Money,
    /// Units that went back to the shelf with a refund.
    pub restocked: u32,
    /// Units that are not to be sent, because their money went back before they were.
    pub withdrawn: u32,
}

impl OrderLine {
    /// What all its units cost: after the discount, with the tax.
    pub fn cost(&self) -> Result<Money, Overflow> {
        self.total.minus(self.discount)?.plus(self.tax)
    }
}

/// A parcel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fulfilment {
    pub id: u64,
    /// Line ids and units.
    pub lines: Vec<(u64, u32)>,
    pub tracking: Tracking,
    pub at: Time,
}

/// How a parcel is sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tracking {
    pub carrier: String,
    /// Empty where the customer was erased.
    pub number: String,
    /// Where the parcel can be followed; null for a carrier that the shop doesn't know.
    pub url: Option<String>,
}

/// What an order shows of a refund.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefundNote {
    pub id: RefundId,
    pub amount: Money,
    pub status: RefundStatus,
    pub reason: String,
    pub at: Time,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    Pending,
    Succeeded,
    Failed,
}

impl RefundStatus {
    pub const ALL: [RefundStatus; 3] = [RefundStatus::Pending, RefundStatus::Succeeded, RefundStatus::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            RefundStatus::Pending => "pending",
            RefundStatus::Succeeded => "succeeded",
            RefundStatus::Failed => "failed",
        }
    }
}

/// A move of the order's status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "StatusChange")]
pub struct Moved {
    pub status: Status,
    pub at: Time,
    /// `customer`, `system`, a gateway's name, or who in the shop.
    pub by: String,
    pub note: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    Unpaid,
    Processing,
    Failed,
    Paid,
    PartiallyRefunded,
    Refunded,
    /// The customer's bank wants the money back, and nobody has decided yet.
    Disputed,
}

impl PaymentStatus {
    pub const ALL: [PaymentStatus; 7] = [
        PaymentStatus::Unpaid,
        PaymentStatus::Processing,
        PaymentStatus::Failed,
        PaymentStatus::Paid,
        PaymentStatus::PartiallyRefunded,
        PaymentStatus::Refunded,
        PaymentStatus::Disputed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            PaymentStatus::Unpaid => "unpaid",
            PaymentStatus::Processing => "processing",
            PaymentStatus::Failed => "failed",
            PaymentStatus::Paid => "paid",
            PaymentStatus::PartiallyRefunded => "partially_refunded",
            PaymentStatus::Refunded => "refunded",
            PaymentStatus::Disputed => "disputed",
        }
    }
}

impl fmt::Display for PaymentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

crate::words!(PaymentStatus: PaymentStatus::ALL.map(PaymentStatus::as_str));

impl FromStr for PaymentStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = PaymentStatus::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| {
            "must be unpaid, processing, failed, paid, partially_refunded, refunded or disputed".to_owned()
        })
    }
}

/// What is placed. Stock was taken for it in the same act.
pub struct NewOrder {
    pub user: UserId,
    pub email: Email,
    pub lines: Vec<OrderLine>,
    pub subtotal: Money,
    pub discount: Money,
    pub shipping: Money,
    pub tax: Money,
    pub total: Money,
    pub coupon_code: Option<Code>,
    pub shipping_address: Address,
    pub billing_address: Option<Address>,
    pub note: String,
    pub hold_until: Time,
}

#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error("There is no such order.")]
    NotFound,
    #[error("The order is {0}, so this can't happen to it now.")]
    InvalidTransition(Status, Event),
    #[error("The order is {0}, and no order goes back to pending.")]
    NoWayBack(Status),
    #[error("Nothing of this order is left to send: what was not sent was refunded, or is about to be.")]
    NothingToSend,
    #[error(
        "A refund of units that were not sent is on its way: the order is shipped when that is done. What else there is \
         can go out in a parcel."
    )]
    Returning,
    #[error("{0}")]
    ParcelLines(String),
    #[error("The order has no such parcel.")]
    NoParcel,
    #[error("Whose order it was has been erased; nothing is noted on it any more.")]
    Erased,
    #[error("There is an invoice once the order is paid.")]
    InvoiceNotReady,
    #[error(transparent)]
    Store(#[from] StoreError),
}
