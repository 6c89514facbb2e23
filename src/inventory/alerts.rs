//! Marks on what got low or is back, for whoever tells people of it.

use std::ops::ControlFlow;

use super::model::{Alert, Notice, Stock};
use super::store::{ALERTS, place};
use crate::id::VariantId;
use crate::store::{Direction, Key, Reads, Span, StoreError, WriteTx};

/// Marks a variant by what became of its stock, and takes away the mark of what is so no more. Nothing is written for
/// stock that crosses neither line.
pub(super) fn note_change(
    tx: &mut WriteTx,
    variant: VariantId,
    before: &Stock,
    after: &Stock,
) -> Result<(), StoreError> {
    let is_back = |stock: &Stock| stock.quantity > 0;
    for (notice, was, is) in
        [(Notice::Low, before.is_low(), after.is_low()), (Notice::Back, is_back(before), is_back(after))]
    {
        let key = (place(notice), variant);
        match (was, is) {
            (false, true) => ALERTS.put(tx, &key, &Alert { since: tx.now() })?,
            (true, false) => ALERTS.delete(tx, &key)?,
            _ => {}
        }
    }
    Ok(())
}

/// At most `limit` variants that are marked so, and since when.
pub fn alerts(tx: &impl Reads, notice: Notice, limit: usize) -> Result<Vec<(VariantId, Alert)>, StoreError> {
    let mut found = Vec::new();
    let span = Span::under(place(notice).bytes(), Direction::Up);
    ALERTS.scan(tx, span, |(_, variant), alert| {
        if found.len() == limit {
            return ControlFlow::Break(());
        }
        found.push((variant, alert));
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

pub fn is_marked(tx: &impl Reads, notice: Notice, variant: VariantId) -> Result<bool, StoreError> {
    Ok(ALERTS.get(tx, &(place(notice), variant))?.is_some())
}

/// Takes a variant's mark away: whoever is to know of it was told.
pub fn told(tx: &mut WriteTx, notice: Notice, variant: VariantId) -> Result<(), StoreError> {
    ALERTS.delete(tx, &(place(notice), variant))
}
