//! The nouns of the audit trail.

use serde::{Deserialize, Serialize};

use crate::clock::Time;

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub at: Time,
    /// Who, as histories name them: `admin:1`, `token:4`, `operator`.
    pub by: String,
    /// What was done, such as `coupon.change`.
    pub act: String,
    /// To what, such as `coupon:SPRING` or `order:17`.
    pub subject: String,
    /// JSON; empty where there was nothing before.
    pub before: String,
    /// JSON; empty where there is nothing after.
    pub after: String,
}
