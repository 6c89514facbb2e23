//! Holding a file against the shop, before anything is written.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;

use super::columns::Names;
use super::plan::{Frame, plan};
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
    let mut skus = Skus::default();
    let mut stopped = false;
    store.read(|tx| {
        source.each(0, |group| {
            let (mut bad, mut twice) = (BTreeSet::new(), Errors::default());
            skus.claim(&group, frame.names, &mut bad, &mut twice);
            if group.end() <= from {
                // It was dealt with, but its SKUs are taken.
                return Ok(ControlFlow::Continue(()));
            }
            check.errors.append(twice.first());
            let plan = plan(tx, &group, frame, &bad, &[])?;
            let weight = plan.weight();
            check.checked.push(Checked {
                unchanged: plan.counts.unchanged as u32,
                failed: plan.counts.failed as u32,
                weight,
                stocks: if weight > 0 { plan.stocks.into() } else { Box::default() },
            });
            check.errors.append(plan.errors);
            check.counts += plan.counts;
            check.bad.extend(plan.bad);
            let next = seen(group.end());
            stopped = next.is_break();
            Ok(next)
        })
    })?;
    Ok((!stopped).then_some(check))
}

/// The SKUs that the file gives, and the line where each stands. They are known by their hash, which two share less
/// often than disks fail.
#[derive(Default)]
struct Skus {
    lines: HashMap<u64, u32>,
    hasher: RandomState,
}

impl Skus {
    fn claim(&mut self, group: &Group, names: Names, bad: &mut BTreeSet<u32>, errors: &mut Errors) {
        for entry in &group.entries {
            for read in &entry.rows {
                let Read::Good(row) = read else { continue };
                let Some(Some(sku)) = &row.sku else { continue };
                let hash = self.hasher.hash_one(sku.to_lowercase());
                if let Some(line) = self.lines.insert(hash, row.line as u32) {
                    bad.insert(entry.at);
                    errors.push(RowError::new(row.line, names.sku, format!("{sku} is on line {line} too")));
                }
            }
        }
    }
}
