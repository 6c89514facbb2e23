//! What got low, gathered into one mail to the administrators.

use std::time::Duration;

use crate::clock::Time;
use crate::id::VariantId;
use crate::inventory::{self, Notice};
use crate::outbox::{self, Cause};
use crate::store::{META, Reads, StoreError, WriteTx};

/// How long what got low is left alone: it may be filled up at once, and others may follow.
const SETTLES: Duration = Duration::from_secs(300);
/// Most variants that one mail names, and most that one commit looks at.
const NAMED: usize = 100;
const TOGETHER: usize = 500;
/// When the last such mail was written, among the file's properties.
const LAST: &str = "low_stock_mailed_at";

/// Writes a mail of what got low and stayed so for some minutes, if the last one is not younger than `every`.
pub fn gather_low_stock(tx: &mut WriteTx, every: Duration) -> Result<(), StoreError> {
    let now = tx.now();
    let last = META.get(tx, &LAST.to_owned())?.and_then(|at| Time::parse(&at));
    if last.is_some_and(|last| now < last.plus(every)) {
        return Ok(());
    }
    let marked = inventory::alerts(tx, Notice::Low, TOGETHER)?;
    if !marked.iter().any(|(_, alert)| alert.since.plus(SETTLES) <= now) {
        return Ok(());
    }
    let variants: Vec<VariantId> = marked.into_iter().map(|(variant, _)| variant).collect();
    for variant in &variants {
        inventory::told(tx, Notice::Low, *variant)?;
    }
    let more = variants.len().saturating_sub(NAMED) as u64;
    let variants = variants.into_iter().take(NAMED).collect();
    outbox::post(tx, Cause::LowStock { at: now, variants, more })?;
    tx.set_meta(LAST, &now.to_string())
}
