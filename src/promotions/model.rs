//! The nouns of promotions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Time;
use crate::described::Described;
use crate::money::{Money, Rate};
use crate::store::{Key, StoreError};

/// Most characters of a code.
const LONGEST: usize = 50;

/// What customers type in, in capitals.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(String);

impl Code {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

crate::answered_as!(Code: json!({"type": "string"}));

impl Described for Code {
    fn schema() -> Value {
        json!({"type": "string", "pattern": format!("^[A-Za-z0-9_-]{{1,{LONGEST}}}$")})
    }
}

impl FromStr for Code {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let code = text.trim().to_ascii_uppercase();
        let is_good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if (1..=LONGEST).contains(&code.len()) && code.chars().all(is_good) {
            Ok(Code(code))
        } else {
            Err(format!("must be 1 to {LONGEST} of the letters A to Z, digits, - and _"))
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Key for Code {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        String::take(from).map(Code)
    }
}

/// What is taken off: more than nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Kind {
    Percent(Rate),
    /// So much, or all there is where that is less.
    Amount(Money),
}

/// What staff say of a coupon.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Terms {
    pub kind: Kind,
    /// What the lines that it is for must come to.
    pub min_subtotal: Option<Money>,
    /// From then on it is good.
    pub starts_at: Option<Time>,
    /// From then on it is not.
    pub ends_at: Option<Time>,
    /// Never below what is used.
    pub max_uses: Option<u64>,
    /// Never below what anybody used.
    pub max_uses_per_user: Option<u64>,
    /// The slugs of the categories that it is for; none: for everything.
    pub categories: Vec<String>,
    pub is_active: bool,
}

impl Terms {
    /// Good for everything, for everybody, for ever.
    pub fn new(kind: Kind) -> Terms {
        Terms {
            kind,
            min_subtotal: None,
            starts_at: None,
            ends_at: None,
            max_uses: None,
            max_uses_per_user: None,
            categories: Vec::new(),
            is_active: true,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Coupon {
    pub terms: Terms,
    /// How many orders carry it that are not cancelled.
    pub used: u64,
    /// When it was last used; orders carry it for ever, cancelled or not.
    pub last_used_at: Option<Time>,
    pub archived_at: Option<Time>,
    pub created_at: Time,
    /// When its terms were last changed.
    pub updated_at: Time,
}

/// How often one person used a coupon.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Use {
    pub coupon: Code,
    /// Orders that are not cancelled; above zero.
    pub times: u64,
}

/// Why a coupon takes nothing off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    #[error("There is no coupon with this code.")]
    Unknown,
    #[error("This coupon is not good at the moment.")]
    Inactive,
    #[error("This coupon is not good before {0}.")]
    NotStarted(Time),
    #[error("This coupon has expired.")]
    Expired,
    #[error("This coupon has been used as often as it may.")]
    UsedUp,
    #[error("You have used this coupon as often as you may.")]
    AlreadyUsed,
    #[error("This coupon takes nothing off what is in the basket.")]
    NotApplicable,
    #[error("This coupon is for purchases from {0} on, of the goods that it is for.")]
    BelowMinimum(Money),
}

impl Refusal {
    /// For machines.
    pub fn reason(self) -> &'static str {
        match self {
            Refusal::Unknown => "unknown",
            Refusal::Inactive => "inactive",
            Refusal::NotStarted(_) => "not_started",
            Refusal::Expired => "expired",
            Refusal::UsedUp => "used_up",
            Refusal::AlreadyUsed => "already_used",
            Refusal::NotApplicable => "not_applicable",
            Refusal::BelowMinimum(_) => "below_minimum",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum PromotionError {
    #[error("There is no such coupon.")]
    NotFound,
    #[error("The code {0} belongs to another coupon, or did: orders carry it.")]
    CodeTaken(Code),
    #[error("Some fields are not right.")]
    Invalid(crate::http::Faults),
    #[error("The coupon was changed, or used, since you read it; read it again.")]
    VersionConflict,
    #[error(transparent)]
    Store(#[from] StoreError),
}
