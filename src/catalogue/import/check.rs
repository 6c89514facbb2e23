//! Holding a file against the shop, before anything is written.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;

use super::columns::Names;
use super::plan::{Frame, Stocked, plan};
use super::row::Read;
use super::source::{Group, Source};
use super::{Counts, Errors, Mode, RowError};
use crate::catalogue::model::CatalogueError;
use crate::id::VariantId;
use crate::store::Store;

/// How a file is to be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct How {
    pub mode: Mode,
    /// Whether bad rows are left out instead of stopping the whole.
    pub skip_bad: bool,
    /// Whether the file is JSON lines, and no CSV.
    pub is_lines: bool,
}

/// What was found out of a product's rows.
pub struct Checked {
    pub unchanged: u32,
    pub failed: u32,
    /// How much work it is to write it; none if there is nothing to write.
    pub weight: u32,
    /// The stock, as it was then, of the variants that the rows give a stock: what is sold after it stays sold.
    pub stocks: Box<[(VariantId, i64)]>,
}

/// What a check came to: every product, in the order of the import.
pub struct Check {
    pub checked: Vec<Checked>,
    /// Entries that are left out.
    pub bad: BTreeSet<u32>,
    pub counts: Counts,
    pub errors: Errors,
}

impl Check {
    pub fn is_change(&self) -> bool {
        self.checked.iter().any(|checked| checked.weight > 0)
    }
}

/// Holds the file, from the entry `from` on, against one snapshot of the shop. `seen` hears of every product's end;
/// when it says so there is an early end, and no outcome.
pub fn check(
    store: &Store,
    source: &Source,
    from: u32,
    how: How,
    mut seen: impl FnMut(u32) -> ControlFlow<()>,
) -> Result<Option<Check>, CatalogueError> {
    let frame = Frame { names: source.names(), mode: how.mode };
    let mut check = Check {
        checked: Vec::new(),
        bad: BTreeSet::new(),
        counts: Counts::default(),
        errors: Errors::default(),
    };
    let mut once = Once::default();
    let mut stopped = false;
    store.read(|tx| {
        source.each(0, |group| {
            let mut bad = BTreeSet::new();
            // What was dealt with before has its SKUs all the same.
            let twice = once.skus(&group, frame.names, &mut bad);
            if group.end() <= from {
                return Ok(ControlFlow::Continue(()));
            }
            check.errors.append(twice);
            let mut planned = plan(tx, &group, frame, &bad, &[])?;
            check.errors.append(std::mem::take(&mut planned.errors));
            let twice = once.stocks(&planned.stocks, frame.names, &mut planned.bad);
            if !twice.is_empty() {
                check.errors.append(twice);
                planned = plan(tx, &group, frame, &planned.bad, &[])?;
                check.errors.append(std::mem::take(&mut planned.errors));
            }
            let weight = planned.weight();
            let stocks = planned.stocks.iter().map(|stocked| (stocked.variant, stocked.quantity));
            check.checked.push(Checked {
                unchanged: planned.counts.unchanged as u32,
                failed: planned.counts.failed as u32,
                weight,
                stocks: if weight > 0 { stocks.collect() } else { Box::default() },
            });
            check.counts += planned.counts;
            check.bad.extend(planned.bad);
            let next = seen(group.end());
            stopped = next.is_break();
            Ok(next)
        })
    })?;
    Ok((!stopped).then_some(check))
}

/// What a file may say once only, and on which line it does. SKUs are known by their hash, which two share less often
/// than disks fail.
#[derive(Default)]
struct Once {
    skus: HashMap<u64, u32>,
    stocks: HashMap<VariantId, u32>,
    hasher: RandomState,
}

impl Once {
    /// The faults of SKUs that were given before; their entries go to `bad`.
    fn skus(&mut self, group: &Group, names: Names, bad: &mut BTreeSet<u32>) -> Vec<RowError> {
        let mut twice = Vec::new();
        for entry in &group.entries {
            for read in &entry.rows {
                let Read::Good(row) = read else { continue };
                let Some(Some(sku)) = &row.sku else { continue };
                let hash = self.hasher.hash_one(sku.to_lowercase());
                if let Some(line) = self.skus.insert(hash, row.line as u32) {
                    bad.insert(entry.at);
                    twice.push(RowError::new(row.line, names.sku, format!("{sku} is on line {line} too")));
                }
            }
        }
        twice
    }

    /// The faults of variants, found once by SKU and once by handle, whose stock was given before.
    fn stocks(&mut self, stocks: &[Stocked], names: Names, bad: &mut BTreeSet<u32>) -> Vec<RowError> {
        let mut twice = Vec::new();
        for stocked in stocks {
            if let Some(line) = self.stocks.insert(stocked.variant, stocked.line as u32) {
                bad.insert(stocked.entry);
                let said = format!("the stock of this variant is on line {line} too");
                twice.push(RowError::new(stocked.line, names.stock, said));
            }
        }
        twice
    }
}
