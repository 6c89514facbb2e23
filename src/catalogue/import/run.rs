//! Holding a file against the shop, and carrying it out.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::columns::Names;
use super::plan::{Plan, plan};
use super::record::{IMPORTS, Import, KEPT_ERRORS, State, TOUCHED, Touched};
use super::row::Read;
use super::source::{Group, Source};
use super::{Counts, Mode, RowError};
use crate::accounts::{self, AccountError, Staff};
use crate::catalogue::model::CatalogueError;
use crate::catalogue::ops;
use crate::id::ImportId;
use crate::inventory::Cause;
use crate::store::{OnceKey, Reads, Store, StoreError, WriteTx};

/// How many rows a commit takes, more or less: few enough that a checkout that comes behind it does not notice.
const CHUNK: usize = 100;

/// How a file is to be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct How {
    pub mode: Mode,
    /// Whether bad rows are left out instead of stopping the whole.
    pub skip_bad: bool,
}

/// What of a product's rows was found out before anything is written.
#[derive(Clone, Copy)]
struct Checked {
    /// The place after its last entry.
    end: u32,
    counts: SmallCounts,
    /// Whether there is anything to write.
    is_change: bool,
}

/// A product has a thousand entries at most, and each of those few rows.
#[derive(Clone, Copy)]
struct SmallCounts {
    unchanged: u16,
    failed: u16,
}

/// What a check came to.
pub struct Check {
    checked: Vec<Checked>,
    /// Entries that are left out.
    bad: BTreeSet<u32>,
    pub counts: Counts,
    pub errors: Vec<RowError>,
}

impl Check {
    pub fn is_change(&self) -> bool {
        self.checked.iter().any(|checked| checked.is_change)
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
    let mut check =
        Check { checked: Vec::new(), bad: BTreeSet::new(), counts: Counts::default(), errors: Vec::new() };
    let mut skus = Skus::default();
    let mut stopped = false;
    store.read(|tx| {
        source.each(from, |group| {
            let mut bad = BTreeSet::new();
            skus.claim(&group, source.names(), &mut bad, &mut check.errors);
            let mut plan = plan(tx, &group, source.names(), how.mode, &bad)?;
            check.errors.append(&mut plan.errors);
            check.counts += plan.counts;
            check.bad.append(&mut plan.bad);
            let small = |count: u64| u16::try_from(count).unwrap_or(u16::MAX);
            check.checked.push(Checked {
                end: group.end(),
                counts: SmallCounts {
                    unchanged: small(plan.counts.unchanged),
                    failed: small(plan.counts.failed),
                },
                is_change: plan.draft.is_some(),
            });
            stopped = seen(group.end()).is_break();
            Ok(if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
    })?;
    Ok((!stopped).then_some(check))
}

/// The SKUs that the file gives, and the line where each stands. They are known by their hash, which two share less
/// often than disks fail.
#[derive(Default)]
struct Skus {
    lines: HashMap<u64, u64>,
    hasher: RandomState,
}

impl Skus {
    fn claim(&mut self, group: &Group, names: Names, bad: &mut BTreeSet<u32>, errors: &mut Vec<RowError>) {
        for entry in &group.entries {
            for read in &entry.rows {
                let Read::Good(row) = read else { continue };
                let Some(Some(sku)) = &row.sku else { continue };
                if let Some(line) = self.lines.insert(self.hasher.hash_one(sku.to_lowercase()), row.line) {
                    bad.insert(entry.at);
                    let message = format!("{sku} is on line {line} too");
                    errors.push(RowError { line: row.line, column: names.sku.to_owned(), message });
                }
            }
        }
    }
}

/// How far an import has come.
pub struct Step {
    pub id: ImportId,
    pub done: u32,
    pub entries: u32,
}

/// What applying came to.
pub struct Applied {
    pub id: ImportId,
    pub import: Import,
    pub errors: Vec<RowError>,
    /// It was told to stop before its end.
    pub stopped: bool,
}

/// What is to be applied, and in whose name.
pub struct Apply<'a> {
    pub store: &'a Store,
    pub source: &'a Source,
    pub how: How,
    pub by: Staff,
    pub digest: [u8; 32],
    /// The import that is gone on with.
    pub resumes: Option<ImportId>,
    /// The key that leads to this import from now on.
    pub key: Option<OnceKey>,
}

/// Rows that are applied in one commit.
#[derive(Default)]
struct Chunk {
    groups: Vec<Group>,
    rows: usize,
    /// The place after it.
    end: u32,
    /// Of the products in between that need no change.
    counts: Counts,
}

/// Carries out what was checked, in commits of a few rows. `seen` hears of each, and can have it stop there.
pub fn apply(
    asked: Apply<'_>,
    check: Check,
    mut seen: impl FnMut(Step) -> ControlFlow<()>,
) -> Result<Applied, ImportError> {
    let Apply { store, source, how, by, digest, resumes, key } = asked;
    let Check { checked, bad, mut errors, .. } = check;
    let (bad, names, entries) = (Arc::new(bad), source.names(), source.len());
    let first = errors.iter().take(KEPT_ERRORS).cloned().collect();
    let begin = Begin { resumes, key, how, digest, entries, errors: first, by: by.clone() };
    let (id, mut import) = store.write_now(move |tx| begin.act(tx))?;
    errors.extend(import.errors.iter().cloned());

    let mut known = checked.iter();
    let mut chunk = Chunk { end: import.done, ..Chunk::default() };
    let mut stopped = seen(Step { id, done: import.done, entries }).is_break();
    let mut failed = None;
    let commit = |chunk: Chunk| -> Result<(Import, Vec<RowError>), ImportError> {
        let (by, bad, chunk) = (by.clone(), Arc::clone(&bad), Arc::new(chunk));
        store.write_now(move |tx| carry_out(tx, id, &chunk, names, how.mode, &bad, &by))
    };
    if !stopped {
        source.each(import.done, |group| {
            let checked = known.next().expect("what is applied was checked");
            chunk.end = checked.end;
            if checked.is_change {
                chunk.rows += group.entries.iter().map(|entry| entry.rows.len()).sum::<usize>();
                chunk.groups.push(group);
            } else {
                let (unchanged, failed) = (checked.counts.unchanged.into(), checked.counts.failed.into());
                chunk.counts += Counts { rows: unchanged + failed, unchanged, failed, ..Counts::default() };
            }
            if chunk.rows < CHUNK {
                return Ok(ControlFlow::Continue(()));
            }
            match commit(std::mem::take(&mut chunk)) {
                Ok((now, mut more)) => {
                    import = now;
                    errors.append(&mut more);
                    stopped = seen(Step { id, done: import.done, entries }).is_break();
                }
                Err(error) => failed = Some(error),
            }
            let goes_on = !stopped && failed.is_none();
            Ok(if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
    }
    if let Some(error) = failed {
        return Err(error);
    }
    if !stopped && import.state == State::Begun {
        chunk.end = entries;
        let (now, mut more) = commit(chunk)?;
        import = now;
        errors.append(&mut more);
    }
    Ok(Applied { id, import, errors, stopped })
}

/// Why an import did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The first commit of an import.
struct Begin {
    resumes: Option<ImportId>,
    key: Option<OnceKey>,
    how: How,
    digest: [u8; 32],
    entries: u32,
    errors: Vec<RowError>,
    by: Staff,
}

impl Begin {
    fn act(&self, tx: &mut WriteTx) -> Result<(ImportId, Import), ImportError> {
        accounts::confirm(tx, &self.by)?;
        if let Some(id) = self.resumes {
            return Ok((id, IMPORTS.expect(tx, &id)?));
        }
        let import = Import {
            by: self.by.label(),
            at: tx.now(),
            digest: self.digest,
            mode: self.how.mode,
            skip_bad: self.how.skip_bad,
            entries: self.entries,
            done: 0,
            counts: Counts::default(),
            errors: self.errors.clone(),
            state: State::Begun,
            finished_at: None,
        };
        let id = ImportId(tx.next_number("imports")?);
        IMPORTS.put(tx, &id, &import)?;
        if let Some(key) = &self.key {
            key.began(tx, id.0)?;
        }
        Ok((id, import))
    }
}

/// Applies a chunk. Each product is held against the shop once more, as it is now: what was changed since the check
/// costs the rows that it touches, and no others.
fn carry_out(
    tx: &mut WriteTx,
    id: ImportId,
    chunk: &Chunk,
    names: Names,
    mode: Mode,
    bad: &BTreeSet<u32>,
    by: &Staff,
) -> Result<(Import, Vec<RowError>), ImportError> {
    accounts::confirm(tx, by)?;
    let mut import = IMPORTS.expect(tx, &id)?;
    let mut errors = Vec::new();
    import.counts += chunk.counts;
    for group in &chunk.groups {
        let own = group.entries.iter().map(|entry| entry.at).filter(|at| bad.contains(at)).collect();
        let mut plan = plan(tx, group, names, mode, &own)?;
        if let Err(error) = write(tx, id, &plan, by) {
            let said = match error {
                CatalogueError::Store(error) => return Err(error.into()),
                other => other.to_string(),
            };
            let line = group.entries[0].line;
            plan.errors.push(RowError { line, column: String::new(), message: said });
            let failed = plan.counts.rows;
            plan.counts = Counts { rows: failed, failed, ..Counts::default() };
        }
        // What the check has told is left out by now; what is told here came of a change since.
        errors.append(&mut plan.errors);
        import.counts += plan.counts;
    }
    import.done = chunk.end;
    let room = KEPT_ERRORS.saturating_sub(import.errors.len());
    import.errors.extend(errors.iter().take(room).cloned());
    if import.done == import.entries {
        import.state = State::Done;
        import.finished_at = Some(tx.now());
    }
    IMPORTS.put(tx, &id, &import)?;
    Ok((import, errors))
}

/// Writes what a plan wants, and what that changed.
fn write(tx: &mut WriteTx, id: ImportId, plan: &Plan, by: &Staff) -> Result<(), CatalogueError> {
    let Some(draft) = &plan.draft else { return Ok(()) };
    let (cause, by) = (Cause::Imported(id), by.label());
    let Some((product, before)) = &plan.known else {
        let (product, _) = ops::create(tx, draft, &cause, &by)?;
        TOUCHED.put(tx, &(id, product), &Touched { created: true, ..Touched::default() })?;
        return Ok(());
    };
    let stock_before = ops::stocks(tx, before)?;
    let after = ops::update(tx, *product, draft, &cause, &by)?;
    let mut touched = TOUCHED.get(tx, &(id, *product))?.unwrap_or_default();
    if touched.created {
        return Ok(());
    }
    for variant in &after.variants {
        let old = before
            .variants
            .iter()
            .position(|old| old.id == variant.id)
            .map_or(0, |at| stock_before[at].quantity);
        let delta = crate::inventory::stock_of(tx, variant.id)?.quantity - old;
        if delta != 0 {
            match touched.stock.iter_mut().find(|(known, _)| *known == variant.id) {
                Some((_, sum)) => *sum += delta,
                None => touched.stock.push((variant.id, delta)),
            }
        }
    }
    if *before != after {
        let first = touched.product.take().map_or_else(|| before.clone(), |(first, _)| first);
        touched.product = Some((first, after));
    }
    Ok(TOUCHED.put(tx, &(id, *product), &touched)?)
}

/// The unfinished import of a file that was to be done just so.
pub fn unfinished(
    tx: &impl Reads,
    digest: &[u8; 32],
    how: How,
) -> Result<Option<(ImportId, Import)>, StoreError> {
    let found = super::record::UNFINISHED.all(tx, &crate::hex::hex(digest))?;
    for id in found.into_iter().rev() {
        let import = IMPORTS.expect(tx, &id)?;
        if (import.mode, import.skip_bad) == (how.mode, how.skip_bad) {
            return Ok(Some((id, import)));
        }
    }
    Ok(None)
}
