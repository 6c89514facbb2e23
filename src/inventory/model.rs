//! The nouns of inventory.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::id::{ImportId, OrderId, ProductId, RefundId, VariantId};
use crate::store::StoreError;

/// Most units of a variant that a shop can have.
pub const MOST: i64 = 1_000_000_000;

/// How much of a variant there is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stock {
    pub product: ProductId,
    /// Units that can be sold. Never below zero.
    pub quantity: i64,
    /// At or below this it is reported as low; `None` for what is not watched.
    pub low_at: Option<i64>,
    /// Units in orders that were not cancelled.
    pub sold: i64,
}

impl Stock {
    pub fn is_low(&self) -> bool {
        self.low_at.is_some_and(|low| self.quantity <= low)
    }
}

/// What is worth telling of a variant's stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It got low, and is.
    Low,
    /// There was none, and there is some again.
    Back,
}

/// A mark on a variant: somebody is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Since when it is so.
    pub since: Time,
}

/// Why stock moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Cause {
    /// As imports were written down before they had records.
    Import,
    Adjustment {
        reason: String,
    },
    Order(OrderId),
    Cancellation(OrderId),
    Refund(RefundId),
    Imported(ImportId),
    /// An import was put back.
    Unimported(ImportId),
}

impl Cause {
    pub fn kind(&self) -> CauseKind {
        match self {
            Cause::Import | Cause::Imported(_) => CauseKind::Import,
            Cause::Adjustment { .. } => CauseKind::Adjustment,
            Cause::Order(_) => CauseKind::Order,
            Cause::Cancellation(_) => CauseKind::Cancellation,
            Cause::Refund(_) => CauseKind::Refund,
            Cause::Unimported(_) => CauseKind::ImportUndo,
        }
    }
}

/// A cause in a word.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum CauseKind {
    Import,
    Adjustment,
    Order,
    Cancellation,
    Refund,
    ImportUndo,
}

/// One entry of the ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Movement {
    pub variant: VariantId,
    pub delta: i64,
    /// The stock after it.
    pub after: i64,
    pub cause: Cause,
    pub by: String,
    pub at: Time,
}

/// So many of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    pub variant: VariantId,
    pub quantity: u32,
}

/// A want that the shelf can't fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Short {
    pub variant_id: VariantId,
    pub requested: u32,
    pub available: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    #[error("There is no such variant.")]
    NotFound,
    #[error("The stock would be {0}; it must be from 0 to {MOST}.")]
    OutOfRange(i64),
    #[error(transparent)]
    Store(#[from] StoreError),
}
