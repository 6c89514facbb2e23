//! Looking through a file for what is not as it must be.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;

use super::{Key, ReadTx, Record, StoreError, Table};

/// Most findings that are kept of each invariant; the others are counted.
const MOST_KEPT: u64 = 1000;
/// After how many rows it is told how far the look is.
const TELL_EVERY: u64 = 4096;

/// Something that `till check` found to be untrue.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Finding {
    /// Which invariant of the shop, `I1` to `I10`.
    pub invariant: &'static str,
    /// The record it is about.
    pub subject: String,
    /// What disagrees, with the figures.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.invariant, self.subject, self.detail)
    }
}

/// How far a look is: what it looks at, rows done, and of how many.
pub type Tell<'a> = dyn FnMut(&'static str, u64, u64) -> ControlFlow<()> + 'a;

/// One look through one snapshot. It is told of what it passes, and keeps what it finds.
pub struct Look<'a> {
    tell: RefCell<&'a mut Tell<'a>>,
    stage: Cell<&'static str>,
    done: Cell<u64>,
    of: Cell<u64>,
    findings: RefCell<Vec<Finding>>,
    counts: RefCell<BTreeMap<&'static str, u64>>,
}

impl<'a> Look<'a> {
    /// `tell` hears how far it is, and ends it by breaking.
    pub fn new(tell: &'a mut Tell<'a>) -> Look<'a> {
        Look {
            tell: RefCell::new(tell),
            stage: Cell::new(""),
            done: Cell::default(),
            of: Cell::default(),
            findings: RefCell::default(),
            counts: RefCell::default(),
        }
    }

    /// Begins to look at something that has so many rows.
    pub fn begin(&self, stage: &'static str, rows: u64) {
        self.stage.set(stage);
        self.done.set(0);
        self.of.set(rows);
    }

    /// A row was looked at.
    pub fn row(&self) -> ControlFlow<()> {
        let done = self.done.get() + 1;
        self.done.set(done);
        if !done.is_multiple_of(TELL_EVERY) {
            return ControlFlow::Continue(());
        }
        (self.tell.borrow_mut())(self.stage.get(), done, self.of.get().max(done))
    }

    /// Hands every record of `table` to `visit`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when whoever is told does not want to go on.
    pub fn each<K: Key, V: Record>(
        &self,
        tx: &ReadTx,
        table: &Table<K, V>,
        mut visit: impl FnMut(K, V),
    ) -> Result<(), StoreError> {
        self.try_each(tx, table, |key, value| {
            visit(key, value);
            Ok(())
        })
    }

    /// [`Look::each`], until `visit` fails.
    pub fn try_each<K: Key, V: Record>(
        &self,
        tx: &ReadTx,
        table: &Table<K, V>,
        mut visit: impl FnMut(K, V) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        table.try_each(tx, |key, value| {
            visit(key, value)?;
            if self.row().is_break() { Err(StoreError::Unavailable) } else { Ok(()) }
        })
    }

    pub fn found(&self, invariant: &'static str, subject: impl Into<String>, detail: impl Into<String>) {
        let mut counts = self.counts.borrow_mut();
        let count = counts.entry(invariant).or_default();
        *count += 1;
        if *count <= MOST_KEPT {
            let finding = Finding { invariant, subject: subject.into(), detail: detail.into() };
            self.findings.borrow_mut().push(finding);
        }
    }

    /// How many findings there are of an invariant; the first thousand are among [`Look::findings`].
    pub fn count(&self, invariant: &str) -> u64 {
        self.counts.borrow().get(invariant).copied().unwrap_or(0)
    }

    pub fn findings(self) -> Vec<Finding> {
        self.findings.into_inner()
    }
}
