//! Carrying out what was checked, a few products a commit.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde_json::{Value, json};

use super::check::{Check, Checked, How};
use super::plan::{Frame, Plan, plan};
use super::record::{IMPORTS, Import, State, TOUCHED, Touched};
use super::source::{Group, Source};
use super::undo::rebase;
use super::{Counts, Errors, RowError};
use crate::accounts::{self, AccountError, Staff};
use crate::audit;
use crate::catalogue::model::CatalogueError;
use crate::catalogue::ops;
use crate::id::{ImportId, VariantId};
use crate::inventory::{self, Cause};
use crate::store::{OnceKey, Reads, Store, StoreError, WriteTx};

/// How much work a commit takes on, in the weights of its products (a plain one is 2): little enough that a checkout
/// that comes behind it does not notice.
const CHUNK: u32 = 200;
/// How many products that need no change are passed over between two words about how far it is.
const PASSED: u32 = 1024;

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
    pub errors: Errors,
}

/// What is to be applied, and in whose name.
pub struct Apply<'a> {
    pub store: &'a Store,
    pub source: &'a Source,
    pub how: How,
    pub by: Staff,
    pub digest: [u8; 32],
    /// The import that is gone on with, and from which entry on.
    pub resumes: Option<(ImportId, u32)>,
    /// The key that leads to this import from now on.
    pub key: Option<OnceKey>,
}

/// Why an import did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("The import that was to be gone on with was finished or put back meanwhile.")]
    Gone,
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The stock of variants, as it was when their rows were checked.
type Stocks = Box<[(VariantId, i64)]>;

/// What is applied in one commit.
#[derive(Default)]
struct Chunk {
    products: Vec<(Group, Stocks)>,
    weight: u32,
    /// The place where it begins, and the one after it.
    begin: u32,
    end: u32,
    /// Of the products in between that need no change.
    counts: Counts,
}

impl Chunk {
    fn add(&mut self, group: Group, checked: Checked) {
        self.end = group.end();
        if checked.weight > 0 {
            self.weight += checked.weight;
            self.products.push((group, checked.stocks));
        } else {
            let (unchanged, failed) = (checked.unchanged.into(), checked.failed.into());
            self.counts += Counts { rows: unchanged + failed, unchanged, failed, ..Counts::default() };
        }
    }
}

/// Carries out what was checked. `seen` hears of each commit, and can have it stop there: then the import is not
/// done, and can be gone on with.
pub fn apply(
    asked: Apply<'_>,
    check: Check,
    mut seen: impl FnMut(Step) -> ControlFlow<()>,
) -> Result<Applied, ImportError> {
    let Apply { store, source, how, by, digest, resumes, key } = asked;
    let Check { checked, bad, mut errors, .. } = check;
    let (bad, entries) = (Arc::new(bad), source.len());
    let frame = Frame { names: source.names(), mode: how.mode };
    let begin = Begin { resumes, key, how, digest, entries, errors: errors.first(), by: by.clone() };
    let (id, mut import) = store.write_now(move |tx| begin.act(tx))?;
    if resumes.is_some() {
        errors.append(import.errors.clone());
    }

    let commit = |chunk: Chunk| -> Result<(Import, Vec<RowError>), ImportError> {
        let (by, bad, chunk) = (by.clone(), Arc::clone(&bad), Arc::new(chunk));
        store.write_now(move |tx| carry_out(tx, id, &chunk, frame, &bad, &by))
    };
    let mut checked = checked.into_iter();
    let from = |done| Chunk { begin: done, end: done, ..Chunk::default() };
    let mut chunk = from(import.done);
    let mut passed = 0;
    let mut failed = None;
    let mut next = seen(Step { id, done: import.done, entries });
    if next.is_continue() {
        source.each(import.done, |group| {
            chunk.add(group, checked.next().expect("what is applied was checked"));
            passed += 1;
            if chunk.weight >= CHUNK {
                match commit(std::mem::take(&mut chunk)) {
                    Ok((now, more)) => {
                        import = now;
                        chunk = from(import.done);
                        errors.append(more);
                        next = seen(Step { id, done: import.done, entries });
                    }
                    Err(error) => {
                        failed = Some(error);
                        next = ControlFlow::Break(());
                    }
                }
            } else if passed % PASSED == 0 {
                next = seen(Step { id, done: import.done, entries });
            }
            Ok(next)
        })?;
    }
    if let Some(error) = failed {
        return Err(error);
    }
    if next.is_continue() && import.state == State::Begun {
        chunk.end = entries;
        let (now, more) = commit(chunk)?;
        import = now;
        errors.append(more);
    }
    Ok(Applied { id, import, errors })
}

/// The first commit of an import.
struct Begin {
    resumes: Option<(ImportId, u32)>,
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
        if let Some((id, done)) = self.resumes {
            let import = IMPORTS.expect(tx, &id)?;
            if (import.state, import.done) != (State::Begun, done) {
                return Err(ImportError::Gone);
            }
            if let Some(key) = &self.key {
                key.began(tx, id.0)?;
            }
            return Ok((id, import));
        }
        let import = Import {
            by: self.by.label(),
            at: tx.now(),
            digest: self.digest,
            mode: self.how.mode,
            is_lines: self.how.is_lines,
            skip_bad: self.how.skip_bad,
            entries: self.entries,
            done: 0,
            counts: Counts::default(),
            errors: self.errors.clone(),
            state: State::Begun,
            finished_at: None,
            restored: 0,
            archived: 0,
        };
        let id = ImportId(tx.next_number("imports")?);
        IMPORTS.put(tx, &id, &import)?;
        let what = json!({"mode": self.how.mode.as_str(), "products": self.entries});
        audit::note(tx, &import.by, "product.import", &format!("import:{id}"), Value::Null, what)?;
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
    frame: Frame,
    bad: &BTreeSet<u32>,
    by: &Staff,
) -> Result<(Import, Vec<RowError>), ImportError> {
    accounts::confirm(tx, by)?;
    let mut import = IMPORTS.expect(tx, &id)?;
    if (import.state, import.done) != (State::Begun, chunk.begin) {
        return Err(ImportError::Gone);
    }
    let mut errors = Vec::new();
    import.counts += chunk.counts;
    for (group, stocks) in &chunk.products {
        let own = group.entries.iter().map(|entry| entry.at).filter(|at| bad.contains(at)).collect();
        let mut plan = plan(tx, group, frame, &own, stocks)?;
        if let Err(error) = write(tx, id, &plan, by) {
            let said = match error {
                CatalogueError::Store(error) => return Err(error.into()),
                other => other.to_string(),
            };
            plan.errors.push(RowError::new(group.entries[0].line, "", said));
            let failed = plan.counts.rows;
            plan.counts = Counts { rows: failed, failed, ..Counts::default() };
        }
        // What the check has told is left out by now; what is told here came of a change since.
        errors.append(&mut plan.errors);
        import.counts += plan.counts;
    }
    import.advance(chunk.end, tx.now());
    import.keep(&errors);
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
        let old = before.variants.iter().position(|old| old.id == variant.id);
        let old = old.map_or(0, |at| stock_before[at].quantity);
        let delta = inventory::stock_of(tx, variant.id)?.quantity - old;
        if delta != 0 {
            match touched.stock.iter_mut().find(|(known, _)| *known == variant.id) {
                Some((_, sum)) => *sum += delta,
                None => touched.stock.push((variant.id, delta)),
            }
        }
    }
    if *before != after {
        let first = match touched.product.take() {
            None => before.clone(),
            // What somebody changed between two touches is theirs.
            Some((first, last)) => rebase(first, &last, before),
        };
        touched.product = Some((first, after));
    }
    Ok(TOUCHED.put(tx, &(id, *product), &touched)?)
}
