//! The nouns of the cart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::accounts::AccountError;
use crate::catalogue::CatalogueError;
use crate::clock::Time;
use crate::id::{CartLineId, ProductId, VariantId};
use crate::money::{Money, Overflow};
use crate::promotions::{Code, Refusal};
use crate::store::StoreError;

/// Most lines of a cart, and units of a line.
pub const MOST_LINES: usize = 100;
pub const MOST_UNITS: u32 = 1_000_000;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cart {
    pub lines: Vec<Line>,
    /// The coupon that was applied; it may not be good any more.
    pub coupon: Option<Code>,
    /// The day of the last change, as its first moment; `None` if that was before days were noted.
    pub changed_on: Option<Time>,
}

/// Before carts were forgotten.
#[derive(Clone, Serialize, Deserialize)]
pub struct CartV1 {
    pub(super) lines: Vec<Line>,
}

impl From<CartV1> for Cart {
    fn from(old: CartV1) -> Cart {
        Cart { lines: old.lines, ..Cart::default() }
    }
}

/// Before there were coupons.
#[derive(Clone, Serialize, Deserialize)]
pub struct CartV2 {
    pub(super) lines: Vec<Line>,
    pub(super) changed_on: Option<Time>,
}

impl From<CartV2> for Cart {
    fn from(old: CartV2) -> Cart {
        Cart { lines: old.lines, changed_on: old.changed_on, coupon: None }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "CartLine")]
pub struct Line {
    pub id: CartLineId,
    pub product: ProductId,
    pub variant: VariantId,
    pub quantity: u32,
    /// The price when its quantity was last set.
    pub price_seen: Money,
}

/// Why a line can't be bought as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "snake_case")]
pub enum Issue {
    Unavailable,
    OutOfStock,
    InsufficientStock,
    PriceChanged,
}

#[derive(Debug, thiserror::Error)]
pub enum CartError {
    #[error("There is no such line in your cart.")]
    NoSuchLine,
    #[error("Only {available} are in stock.")]
    InsufficientStock { available: i64 },
    #[error("A cart has at most {MOST_LINES} lines.")]
    TooManyLines,
    #[error("A line has at most {MOST_UNITS} units.")]
    TooManyUnits,
    #[error("{0}")]
    Account(#[from] AccountError),
    #[error("{0}")]
    Catalogue(#[from] CatalogueError),
    #[error("{0}")]
    Coupon(#[from] Refusal),
    #[error("{0}")]
    Overflow(#[from] Overflow),
    #[error(transparent)]
    Store(#[from] StoreError),
}
