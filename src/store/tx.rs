//! Transactions: a read sees one commit, whole; a write is the writer's alone.

use std::cell::{Cell, RefCell};
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use redb::{
    Database, ReadOnlyTable, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    TableHandle,
};

use super::StoreError;
use super::held::Held;
use super::table::{COUNTERS, META};
use super::writer::Readers;
use crate::clock::Time;

/// Which way a range is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    Up,
    Down,
}

type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// The redb table of this name. All are bytes to bytes; [`Table`](super::Table) gives them their types.
pub(super) fn raw(name: &'static str) -> Bytes {
    TableDefinition::new(name)
}

/// What reading a table hands each row to: key, value, and whether to go on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// The rows between two keys, in one direction.
pub struct Span {
    pub from: Bound<Vec<u8>>,
    pub to: Bound<Vec<u8>>,
    pub direction: Direction,
}

impl Span {
    pub fn all(direction: Direction) -> Span {
        Span { from: Bound::Unbounded, to: Bound::Unbounded, direction }
    }

    pub(super) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (self.from.as_ref().map(Vec::as_slice), self.to.as_ref().map(Vec::as_slice))
    }

    /// Whether its end is before its beginning.
    pub(super) fn is_empty(&self) -> bool {
        match self.bounds() {
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
                from >= to
            }
            _ => false,
        }
    }

    /// The rows whose key begins with `prefix`.
    pub fn under(prefix: Vec<u8>, direction: Direction) -> Span {
        let end = prefix.iter().rposition(|&byte| byte != 0xFF).map(|last| {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            end
        });
        Span { from: Bound::Included(prefix), to: end.map_or(Bound::Unbounded, Bound::Excluded), direction }
    }
}

/// What can be read from, inside either kind of transaction.
pub trait Reads {
    fn get_raw(&self, table: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    fn scan_raw(&self, table: &'static str, span: Span, visit: &mut Visit<'_>) -> Result<(), StoreError>;
    fn len_raw(&self, table: &'static str) -> Result<u64, StoreError>;
    /// The moment of this transaction.
    fn now(&self) -> Time;
}

fn scan(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    span: &Span,
    visit: &mut Visit<'_>,
) -> Result<(), StoreError> {
    let mut rows = table.range::<&[u8]>(span.bounds())?;
    loop {
        let row = match span.direction {
            Direction::Up => rows.next(),
            Direction::Down => rows.next_back(),
        };
        let Some(row) = row else { return Ok(()) };
        let (key, value) = row?;
        if visit(key.value(), value.value()).is_break() {
            return Ok(());
        }
    }
}

/// A view of one commit. It waits for nobody and nobody waits for it.
pub struct ReadTx {
    inner: redb::ReadTransaction,
    now: Time,
    /// The number of the handle of the file that it reads from.
    pub(super) handle: u64,
    /// The disk failed under it.
    pub(super) is_broken: Cell<bool>,
    /// Tables that were read from before: opening one is a look-up of its own.
    open: RefCell<Vec<(&'static str, Arc<Opened>)>>,
    /// Let go of last: it may be what keeps the file open.
    _readers: Readers,
}

type Opened = ReadOnlyTable<&'static [u8], &'static [u8]>;

impl ReadTx {
    pub(super) fn new(inner: redb::ReadTransaction, now: Time, handle: u64) -> ReadTx {
        let (is_broken, open, readers) = (Cell::new(false), RefCell::default(), Readers::default());
        ReadTx { inner, now, handle, is_broken, open, _readers: readers }
    }

    /// Reads from a file that is open as long as any of these read.
    pub(super) fn among(self, readers: Readers) -> ReadTx {
        ReadTx { _readers: readers, ..self }
    }

    fn table(&self, name: &'static str) -> Result<Arc<Opened>, StoreError> {
        if let Some((_, table)) = self.open.borrow().iter().find(|(known, _)| *known == name) {
            return Ok(Arc::clone(table));
        }
        let table = Arc::new(self.inner.open_table(raw(name))?);
        self.open.borrow_mut().push((name, Arc::clone(&table)));
        Ok(table)
    }

    fn note<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if result.is_err() {
            self.is_broken.set(true);
        }
        result
    }

    /// Bytes of the pages that rows are in, and of those that lead to them.
    pub(super) fn live_bytes(&self) -> Result<u64, StoreError> {
        let mut bytes = 0;
        for table in super::schema::tables() {
            for name in table.index_names().into_iter().chain([table.name()]) {
                let stats = self.table(name)?.stats()?;
                bytes += stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes();
            }
        }
        Ok(bytes)
    }

    /// Whether the file has this table at all: a new one has none.
    pub(super) fn has_table(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.inner.list_tables()?.any(|table| table.name() == name))
    }
}

impl Reads for ReadTx {
    fn get_raw(&self, table: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let get = || Ok(self.table(table)?.get(key)?.map(|value| value.value().to_vec()));
        self.note(get())
    }

    fn scan_raw(&self, table: &'static str, span: Span, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut rows = || scan(&*self.table(table)?, &span, visit);
        self.note(rows())
    }

    fn len_raw(&self, table: &'static str) -> Result<u64, StoreError> {
        let len = || Ok(self.table(table)?.len()?);
        self.note(len())
    }

    fn now(&self) -> Time {
        self.now
    }
}

/// A row that a commit changed.
#[derive(Clone, Debug)]
pub struct Change {
    pub table: &'static str,
    pub key: Vec<u8>,
    pub before: Option<Vec<u8>>,
    pub after: Option<Vec<u8>>,
}

/// The writer's transaction, lent to one act after the other. Time, ids and random bytes come from it.
pub struct WriteTx {
    inner: redb::WriteTransaction,
    /// The commit that it builds on.
    base: ReadTx,
    /// What it has changed of that.
    held: Held,
    pub(super) now: Time,
    rng: StdRng,
    pub(super) changes: Vec<Change>,
    /// Rows written so far, indexes and counters included.
    pub(super) writes: u64,
    /// The disk failed under this transaction: it can't be committed.
    pub(super) broken: Cell<bool>,
}

impl WriteTx {
    /// Begins in `db`, with `inner` as its transaction.
    pub(super) fn new(
        db: &Database,
        inner: redb::WriteTransaction,
        now: Time,
        rng: StdRng,
    ) -> Result<WriteTx, StoreError> {
        // What is read must not change while it is written: nobody else commits before this does.
        let base = ReadTx::new(db.begin_read()?, now, 0);
        let (held, changes, broken) = (Held::default(), Vec::new(), Cell::new(false));
        Ok(WriteTx { inner, base, held, now, rng, changes, writes: 0, broken })
    }

    /// Makes sure that there is such a table.
    pub(super) fn make_table(&self, name: &'static str) -> Result<(), StoreError> {
        self.inner.open_table(raw(name))?;
        Ok(())
    }

    /// Hands redb what was changed. Nothing can be read or changed after that.
    pub(super) fn enter(&mut self) -> Result<(), StoreError> {
        std::mem::take(&mut self.held).enter(&self.inner)
    }

    pub(super) fn commit(mut self) -> Result<(), StoreError> {
        self.enter()?;
        // Pages of older commits are free when nobody reads from them.
        drop(self.base);
        Ok(self.inner.commit()?)
    }

    /// Has redb panic when it is handed what was changed, as it does at a page that is not what it wrote.
    #[cfg(test)]
    pub(super) fn meet_a_broken_page(&mut self) {
        self.held.meets_a_broken_page = true;
    }

    fn note<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if result.is_err() {
            self.broken.set(true);
        }
        result
    }

    fn set_raw(
        &mut self,
        table: &'static str,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.writes += 1;
        let set = self.held.set(table, key, value, || self.base.get_raw(table, key));
        self.note(set)
    }

    pub(super) fn put_raw(
        &mut self,
        table: &'static str,
        key: &[u8],
        value: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.set_raw(table, key, Some(value))
    }

    pub(super) fn delete_raw(
        &mut self,
        table: &'static str,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.set_raw(table, key, None)
    }

    /// Writes rows that are new in this file, without asking what was there before. This transaction does not see
    /// them.
    pub(super) fn put_new(
        &mut self,
        table: &'static str,
        rows: impl Iterator<Item = (impl AsRef<[u8]>, impl AsRef<[u8]>)>,
    ) -> Result<(), StoreError> {
        self.writes += 1;
        let put = || {
            let mut open = self.inner.open_table(raw(table))?;
            for (key, value) in rows {
                open.insert(key.as_ref(), value.as_ref())?;
            }
            Ok(())
        };
        self.note(put())
    }

    /// The next number of the counter `name`, from 1, without gaps: a number taken by an act that is rolled
    /// back is given again.
    pub fn next_number(&mut self, name: &str) -> Result<u64, StoreError> {
        let name = name.to_owned();
        let next = COUNTERS.get(self, &name)?.unwrap_or(0) + 1;
        COUNTERS.put(self, &name, &next)?;
        Ok(next)
    }

    /// Random bytes, fit for secrets.
    pub fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// `span`, more or less by a quarter, so that what is repeated does not march in step.
    pub fn jittered(&mut self, span: Duration) -> Duration {
        span.mul_f64(self.rng.random_range(0.75..1.25))
    }

    /// Fixes a property of the file at its first use.
    pub(crate) fn set_meta(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        META.put(self, &name.to_owned(), &value.to_owned())
    }
}

impl Reads for WriteTx {
    fn get_raw(&self, table: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.held.of(table).and_then(|rows| rows.get(key)) {
            Some(held) => Ok(held.map(<[u8]>::to_vec)),
            None => self.note(self.base.get_raw(table, key)),
        }
    }

    fn scan_raw(&self, table: &'static str, span: Span, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let Some(rows) = self.held.of(table) else {
            return self.note(self.base.scan_raw(table, span, visit));
        };
        let mut scan = || rows.scan_over(&*self.base.table(table)?, &span, visit);
        self.note(scan())
    }

    fn len_raw(&self, table: &'static str) -> Result<u64, StoreError> {
        let stored = self.note(self.base.len_raw(table))?;
        Ok(self.held.of(table).map_or(stored, |rows| rows.len_over(stored)))
    }

    fn now(&self) -> Time {
        self.now
    }
}
