//! `till check`: the invariants of the shop, over one snapshot. Nothing waits for it.

mod counters;
pub mod http;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use schemars::JsonSchema;
use serde::Serialize;

use crate::app::App;
use crate::store::{Finding, Look, Store, StoreError, Tell, WriteTx, schema};
use crate::{inventory, mail, orders, payments, privacy, reviews};

/// What is looked at, in this order.
pub const INVARIANTS: &[(&str, &str)] = &[
    ("I5", "records decode, and indexes and counters agree with them"),
    ("I1", "stock is never below zero and is the sum of its movements"),
    ("I2", "orders add up"),
    ("I3", "live orders hold their quantities, cancelled ones gave them back once"),
    ("I4", "payment status follows from payments and refunds; no captured money is lost"),
    ("I6", "invoices and credit notes are numbered without gaps, one invoice per paid order"),
    ("I7", "coupons are used within their limits, and counted as the live orders that carry them"),
    ("I8", "a product's rating is that of its visible reviews"),
    ("I9", "order states moved along the machine's edges, each move in the history"),
    (
        "I10",
        "every gateway object is taken in once, what is open is asked after until it is done, and what calls for a mail has one",
    ),
    ("I11", "who was erased has no account, cart, wish, word or address outside of papers"),
];

/// What a check came to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Report {
    pub ok: bool,
    /// The commit that was looked at.
    pub commit: u64,
    pub invariants: Vec<Verdict>,
    /// At most a thousand of each invariant.
    pub findings: Vec<Finding>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Verdict {
    pub invariant: &'static str,
    pub says: &'static str,
    /// How many findings there are; none said where it was not looked at, because of what was found before.
    pub findings: Option<u64>,
}

/// Looks through one snapshot for everything that is not as it must be. `tell` hears how far it is, and ends it by
/// breaking.
pub fn check_all(store: &Store, tell: &mut Tell<'_>) -> Result<Report, StoreError> {
    store.read(|tx| {
        let look = Look::new(tell);
        for table in schema::tables() {
            table.check(tx, &look)?;
        }
        // The rooms read records by their indexes: what they would say of a file that is not sound is no use.
        let is_sound = look.count("I5") == 0;
        counters::check(tx, &look)?;
        if is_sound {
            inventory::check(tx, &look)?;
            orders::check(tx, &look)?;
            payments::check(tx, &look)?;
            reviews::check(tx, &look)?;
            mail::check(tx, &look)?;
            privacy::check(tx, &look)?;
        }
        let verdict = |&(invariant, says): &(&'static str, &'static str)| Verdict {
            invariant,
            says,
            findings: (is_sound || invariant == "I5").then(|| look.count(invariant)),
        };
        let invariants = INVARIANTS.iter().map(verdict).collect();
        let findings = look.findings();
        Ok(Report { ok: findings.is_empty(), commit: crate::store::commit_of(tx)?, invariants, findings })
    })
}

/// Everything that is not as it must be.
pub fn check(app: &App) -> Result<Vec<Finding>, StoreError> {
    Ok(check_all(&app.store, &mut |_, _, _| ControlFlow::Continue(()))?.findings)
}

/// Makes anew what is derived: indexes and counters. How many rows were wrong. Facts are never touched.
pub fn repair(tx: &mut WriteTx) -> Result<u64, StoreError> {
    let mut mended = 0;
    for table in schema::tables() {
        mended += table.mend_indexes(tx)?;
    }
    mended += counters::mend(tx)?;
    if mended > 0 {
        // An index is in nobody's feed: the count of the repairs is what makes this a commit.
        tx.next_number("repairs")?;
    }
    Ok(mended)
}
