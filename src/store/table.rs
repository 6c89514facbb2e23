//! Typed tables and their indexes. A record names its indexes; `put` and `delete` keep them in step.

use std::marker::PhantomData;
use std::ops::{Bound, ControlFlow};

use super::StoreError;
use super::codec::{LIMIT, Record};
use super::key::Key;
use super::look::Look;
use super::tx::{Change, Direction, ReadTx, Reads, Span, Visit, WriteTx};
use crate::page::{Page, Paged};

/// Properties of the file: format, shop id, currency.
pub(crate) static META: Table<String, String> = Table::new("meta", &[]);
/// The last number given by each counter.
pub(crate) static COUNTERS: Table<String, u64> = Table::new("counters", &[]);

/// Records of type `V` under keys of type `K`.
pub struct Table<K: 'static, V: 'static> {
    pub(crate) name: &'static str,
    pub(super) indexes: &'static [&'static dyn Indexed<V>],
    key: PhantomData<fn() -> K>,
}

/// An index of `V` records, without its types.
pub trait Indexed<V>: Sync {
    fn name(&self) -> &'static str;
    fn is_unique(&self) -> bool;
    /// The index keys of a record, encoded.
    fn keys_of(&self, record: &V) -> Vec<Vec<u8>>;
    /// The encoded key of the record that an entry leads to; `None` if the entry does not decode.
    fn leads_to<'a>(&self, entry: &'a [u8], target: &'a [u8]) -> Option<&'a [u8]>;
}

/// Finds `K` by `I`. In a unique index an `I` leads to one record at most.
pub struct Index<K: 'static, V: 'static, I: 'static> {
    name: &'static str,
    unique: bool,
    keys: fn(&V) -> Vec<I>,
    key: PhantomData<fn() -> K>,
}

impl<K: Key, V: Record> Table<K, V> {
    pub const fn new(name: &'static str, indexes: &'static [&'static dyn Indexed<V>]) -> Self {
        Table { name, indexes, key: PhantomData }
    }

    pub fn get(&self, tx: &impl Reads, key: &K) -> Result<Option<V>, StoreError> {
        let bytes = tx.get_raw(self.name, &key.bytes())?;
        bytes.map(|bytes| self.decode(&bytes)).transpose()
    }

    /// The record that another record points at. One that is not there is a broken file, not a refusal.
    pub fn expect(&self, tx: &impl Reads, key: &K) -> Result<V, StoreError> {
        self.get(tx, key)?
            .ok_or_else(|| StoreError::corrupt(self.name, "a record that is pointed at is missing"))
    }

    pub fn put(&self, tx: &mut WriteTx, key: &K, record: &V) -> Result<(), StoreError> {
        let key = key.bytes();
        let after = record.encode();
        if after.len() > LIMIT {
            // It could not be read again.
            return Err(StoreError::corrupt(
                self.name,
                format!("a record of {} bytes can't be kept", after.len()),
            ));
        }
        let before = tx.put_raw(self.name, &key, &after)?;
        if before.as_ref() != Some(&after) {
            self.reindex(tx, &key, before.as_deref(), Some(record))?;
            tx.changes.push(Change { table: self.name, key, before, after: Some(after) });
        }
        Ok(())
    }

    pub fn delete(&self, tx: &mut WriteTx, key: &K) -> Result<(), StoreError> {
        let key = key.bytes();
        if let Some(before) = tx.delete_raw(self.name, &key)? {
            self.reindex(tx, &key, Some(&before), None)?;
            tx.changes.push(Change { table: self.name, key, before: Some(before), after: None });
        }
        Ok(())
    }

    fn reindex(
        &self,
        tx: &mut WriteTx,
        key: &[u8],
        before: Option<&[u8]>,
        after: Option<&V>,
    ) -> Result<(), StoreError> {
        if self.indexes.is_empty() {
            return Ok(());
        }
        let before = before.map(|bytes| self.decode(bytes)).transpose()?;
        for index in self.indexes {
            let old = before.as_ref().map_or_else(Vec::new, |record| entries(*index, record, key));
            let new = after.map_or_else(Vec::new, |record| entries(*index, record, key));
            for (entry, _) in old.iter().filter(|entry| !new.contains(entry)) {
                tx.delete_raw(index.name(), entry)?;
            }
            for (entry, target) in new.iter().filter(|entry| !old.contains(entry)) {
                if let Some(other) = tx.put_raw(index.name(), entry, target)?.filter(|other| other != target)
                {
                    let said = format!("two records share a unique key, {other:?} and {target:?}");
                    return Err(StoreError::corrupt(index.name(), said));
                }
            }
        }
        Ok(())
    }

    /// Hands every record in `span` to `visit`.
    pub fn scan(
        &self,
        tx: &impl Reads,
        span: Span,
        mut visit: impl FnMut(K, V) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut failed = None;
        tx.scan_raw(self.name, span, &mut |key, value| match (self.key(key), self.decode(value)) {
            (Ok(key), Ok(value)) => visit(key, value),
            (Err(error), _) | (_, Err(error)) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Every record, by key, to the last.
    pub fn each(&self, tx: &impl Reads, mut visit: impl FnMut(K, V)) -> Result<(), StoreError> {
        self.scan(tx, Span::all(Direction::Up), |key, value| {
            visit(key, value);
            ControlFlow::Continue(())
        })
    }

    /// [`Table::each`], until `visit` fails.
    pub fn try_each<E: From<StoreError>>(
        &self,
        tx: &impl Reads,
        visit: impl FnMut(K, V) -> Result<(), E>,
    ) -> Result<(), E> {
        self.try_scan(tx, Span::all(Direction::Up), visit)
    }

    /// [`Table::scan`], until `visit` fails.
    pub fn try_scan<E: From<StoreError>>(
        &self,
        tx: &impl Reads,
        span: Span,
        mut visit: impl FnMut(K, V) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut failed = None;
        self.scan(tx, span, |key, value| match visit(key, value) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    pub fn count(&self, tx: &impl Reads) -> Result<u64, StoreError> {
        tx.len_raw(self.name)
    }

    /// One page of the table in the order of its keys. What is before the page is passed over unread.
    pub fn page(
        &self,
        tx: &impl Reads,
        page: Page,
        direction: Direction,
    ) -> Result<Paged<(K, V)>, StoreError> {
        let mut keys = Vec::new();
        let mut passed = 0;
        tx.scan_raw(self.name, Span::all(direction), &mut |key, value| {
            passed += 1;
            if passed > page.offset() {
                keys.push((self.key(key), self.decode(value)));
            }
            if keys.len() as u64 == page.size { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let items =
            keys.into_iter().map(|(key, value)| Ok((key?, value?))).collect::<Result<_, StoreError>>()?;
        Ok(Paged { count: self.count(tx)?, items })
    }

    pub(crate) fn key(&self, bytes: &[u8]) -> Result<K, StoreError> {
        K::from_bytes(bytes).ok_or_else(|| StoreError::corrupt(self.name, "a key does not decode"))
    }

    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<V, StoreError> {
        V::decode(bytes).ok_or_else(|| StoreError::corrupt(self.name, "a record does not decode"))
    }
}

/// The rows that `record` has in `index`: entry and what it leads to.
pub(super) fn entries<V>(index: &dyn Indexed<V>, record: &V, key: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let entry = |mut at: Vec<u8>| {
        if index.is_unique() {
            (at, key.to_vec())
        } else {
            at.extend_from_slice(key);
            (at, Vec::new())
        }
    };
    index.keys_of(record).into_iter().map(entry).collect()
}

impl<K: Key, V, I: Key> Index<K, V, I> {
    pub const fn unique(name: &'static str, keys: fn(&V) -> Vec<I>) -> Self {
        Index { name, unique: true, keys, key: PhantomData }
    }

    pub const fn list(name: &'static str, keys: fn(&V) -> Vec<I>) -> Self {
        Index { name, unique: false, keys, key: PhantomData }
    }

    /// Hands what `span` leads to to `visit`, until it fails.
    pub fn try_each<E: From<StoreError>>(
        &self,
        tx: &impl Reads,
        span: Span,
        mut visit: impl FnMut(K) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut failed = None;
        self.scan(tx, span, |_, key| match visit(key) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// What `at` leads to in a unique index.
    pub fn find(&self, tx: &impl Reads, at: &I) -> Result<Option<K>, StoreError> {
        debug_assert!(self.unique, "{} is a list", self.name);
        let target = tx.get_raw(self.name, &at.bytes())?;
        target.map(|bytes| K::from_bytes(&bytes).ok_or_else(|| self.garbled())).transpose()
    }

    fn garbled(&self) -> StoreError {
        StoreError::corrupt(self.name, "an index entry does not decode")
    }

    /// Hands every entry in `span` to `visit`, until it breaks.
    pub fn scan(
        &self,
        tx: &impl Reads,
        span: Span,
        mut visit: impl FnMut(I, K) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut garbled = false;
        tx.scan_raw(self.name, span, &mut |mut entry, mut target| {
            let at = I::take(&mut entry);
            let key = if self.unique { K::take(&mut target) } else { K::take(&mut entry) };
            let (Some(at), Some(key)) = (at, key) else {
                garbled = true;
                return ControlFlow::Break(());
            };
            visit(at, key)
        })?;
        if garbled { Err(self.garbled()) } else { Ok(()) }
    }

    /// How many entries there are in all.
    pub fn count(&self, tx: &impl Reads) -> Result<u64, StoreError> {
        tx.len_raw(self.name)
    }

    /// What the first entry under `at` leads to: in a list, the oldest key.
    pub fn first_of(&self, tx: &impl Reads, at: &I) -> Result<Option<K>, StoreError> {
        Ok(self.first(tx, Span::under(at.bytes(), Direction::Up), 1)?.pop())
    }

    /// How many entries are under `at`; counts no further than `most`.
    pub fn count_of(&self, tx: &impl Reads, at: &I, most: u64) -> Result<u64, StoreError> {
        let mut count = 0;
        tx.scan_raw(self.name, Span::under(at.bytes(), Direction::Up), &mut |_, _| {
            count += 1;
            if count < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(count)
    }

    /// The keys under `at`, oldest key first.
    pub fn all(&self, tx: &impl Reads, at: &I) -> Result<Vec<K>, StoreError> {
        let mut keys = Vec::new();
        self.scan(tx, Span::under(at.bytes(), Direction::Up), |_, key| {
            keys.push(key);
            ControlFlow::Continue(())
        })?;
        Ok(keys)
    }

    /// At most `limit` keys whose index key is below `end`, lowest first.
    pub fn below(&self, tx: &impl Reads, end: &I, limit: usize) -> Result<Vec<K>, StoreError> {
        let span =
            Span { from: Bound::Unbounded, to: Bound::Excluded(end.bytes()), direction: Direction::Up };
        self.first(tx, span, limit)
    }

    /// At most `limit` keys whose index key is at least `from` and below `end`, lowest first.
    pub fn between(&self, tx: &impl Reads, from: &I, end: &I, limit: usize) -> Result<Vec<K>, StoreError> {
        let (from, to) = (Bound::Included(from.bytes()), Bound::Excluded(end.bytes()));
        self.first(tx, Span { from, to, direction: Direction::Up }, limit)
    }

    fn first(&self, tx: &impl Reads, span: Span, limit: usize) -> Result<Vec<K>, StoreError> {
        let mut keys = Vec::new();
        self.scan(tx, span, |_, key| {
            keys.push(key);
            if keys.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(keys)
    }

    /// The keys in `span` that are on one page, where their number is known. What is after the page is not read.
    pub fn part(&self, tx: &impl Reads, span: Span, page: Page) -> Result<Vec<K>, StoreError> {
        let (mut passed, mut items) = (0, Vec::new());
        self.scan(tx, span, |_, key| {
            passed += 1;
            if passed > page.offset() {
                items.push(key);
            }
            if items.len() as u64 == page.size { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(items)
    }

    /// One page of the keys in `span`.
    pub fn page(&self, tx: &impl Reads, span: Span, page: Page) -> Result<Paged<K>, StoreError> {
        let (mut count, mut items) = (0, Vec::new());
        self.scan(tx, span, |_, key| {
            count += 1;
            if count > page.offset() && (items.len() as u64) < page.size {
                items.push(key);
            }
            ControlFlow::Continue(())
        })?;
        Ok(Paged { count, items })
    }
}

impl<K: Key, V, I: Key> Indexed<V> for Index<K, V, I> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn is_unique(&self) -> bool {
        self.unique
    }

    fn keys_of(&self, record: &V) -> Vec<Vec<u8>> {
        (self.keys)(record).iter().map(Key::bytes).collect()
    }

    fn leads_to<'a>(&self, mut entry: &'a [u8], target: &'a [u8]) -> Option<&'a [u8]> {
        I::take(&mut entry)?;
        Some(if self.unique { target } else { entry })
    }
}

/// An encoded key and its encoded record.
pub type Row = (Vec<u8>, Vec<u8>);

/// A table without its types, for what is done to all of them.
pub trait AnyTable: Sync {
    fn name(&self) -> &'static str;
    fn index_names(&self) -> Vec<&'static str>;
    /// Hands every row to `visit`, by key: the encoded key and record.
    fn each_row(&self, tx: &ReadTx, visit: &mut Visit<'_>) -> Result<(), StoreError>;
    /// Writes encoded rows that are new in this file, and their index entries; no feed hears of them.
    fn put_rows(&self, tx: &mut WriteTx, rows: &[Row]) -> Result<(), StoreError>;
    /// Puts or deletes a row as another file's change did, with its index entries; no feed hears of it.
    fn repeat(&self, tx: &mut WriteTx, key: &[u8], after: Option<&[u8]>) -> Result<(), StoreError>;
    /// What these bytes are as a record of this table, encoded as till does now; none if they are none.
    fn recoded(&self, record: &[u8]) -> Option<Vec<u8>>;
    /// The highest key, where keys are numbers.
    fn highest(&self, tx: &dyn Reads) -> Result<Option<u64>, StoreError>;
    /// Enters every record into the indexes of these names, which are new in this file.
    fn fill(&self, tx: &mut WriteTx, new: &[&'static str]) -> Result<(), StoreError>;
    /// I5: every record decodes and has its index entries, and every index entry has its record.
    fn check(&self, tx: &ReadTx, look: &Look<'_>) -> Result<(), StoreError>;
    /// Makes the indexes what the records call for; how many entries were wrong. Two records that share a unique key
    /// are facts that contradict each other: they are left as they are.
    fn mend_indexes(&self, tx: &mut WriteTx) -> Result<u64, StoreError>;
}

impl<K: Key, V: Record> AnyTable for Table<K, V> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn index_names(&self) -> Vec<&'static str> {
        self.indexes.iter().map(|index| index.name()).collect()
    }

    fn each_row(&self, tx: &ReadTx, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        tx.scan_raw(self.name, Span::all(Direction::Up), visit)
    }

    fn put_rows(&self, tx: &mut WriteTx, rows: &[Row]) -> Result<(), StoreError> {
        let mut of_indexes = vec![Vec::new(); self.indexes.len()];
        for (key, record) in rows {
            // One that does not decode is kept as it is, for the check to name.
            let Some(decoded) = V::decode(record) else { continue };
            for (index, all) in self.indexes.iter().zip(&mut of_indexes) {
                all.append(&mut entries(*index, &decoded, key));
            }
        }
        tx.put_new(self.name, rows.iter().map(|(key, record)| (key, record)))?;
        for (index, mut all) in self.indexes.iter().zip(of_indexes) {
            // In order, they go into few pages.
            all.sort_unstable();
            tx.put_new(index.name(), all.into_iter())?;
        }
        Ok(())
    }

    fn repeat(&self, tx: &mut WriteTx, key: &[u8], after: Option<&[u8]>) -> Result<(), StoreError> {
        let before = match after {
            Some(record) => tx.put_raw(self.name, key, record)?,
            None => tx.delete_raw(self.name, key)?,
        };
        let after = after.map(|record| self.decode(record)).transpose()?;
        self.reindex(tx, key, before.as_deref(), after.as_ref())
    }

    fn recoded(&self, record: &[u8]) -> Option<Vec<u8>> {
        V::decode(record).map(|record| record.encode())
    }

    fn highest(&self, tx: &dyn Reads) -> Result<Option<u64>, StoreError> {
        let mut highest = None;
        tx.scan_raw(self.name, Span::all(Direction::Down), &mut |key, _| {
            highest = u64::from_bytes(key);
            ControlFlow::Break(())
        })?;
        Ok(highest)
    }

    fn fill(&self, tx: &mut WriteTx, new: &[&'static str]) -> Result<(), StoreError> {
        for index in self.indexes.iter().filter(|index| new.contains(&index.name())) {
            let mut rows = Vec::new();
            self.each(tx, |key, record| rows.append(&mut entries(*index, &record, &key.bytes())))?;
            rows.sort_unstable();
            tx.put_new(index.name(), rows.into_iter())?;
        }
        Ok(())
    }

    fn check(&self, tx: &ReadTx, look: &Look<'_>) -> Result<(), StoreError> {
        self.agree(tx, look)
    }

    fn mend_indexes(&self, tx: &mut WriteTx) -> Result<u64, StoreError> {
        self.make_agree(tx)
    }
}
