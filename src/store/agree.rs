//! I5: records decode, and indexes and records agree.
//!
//! The sums of the hashes of what the records call for and of what the indexes hold are compared first, in two passes
//! without a single look-up. Only where they differ is each entry looked up, to name it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;

use super::look::Look;
use super::table::{Indexed, Table, entries};
use super::tx::{Direction, ReadTx, Reads, Span, WriteTx};
use super::{Key, Record, StoreError};
use crate::hex::hex;

/// What many rows add up to, whatever their order.
#[derive(Clone, Copy, Default, PartialEq)]
struct Sum {
    rows: u64,
    hash: u64,
}

impl Sum {
    fn add(&mut self, entry: &[u8], target: &[u8]) {
        let mut hasher = DefaultHasher::new();
        (entry, target).hash(&mut hasher);
        self.rows += 1;
        self.hash = self.hash.wrapping_add(hasher.finish());
    }
}

/// How an index differs from its table's records.
#[derive(Default)]
struct Rift {
    /// Entries that records call for, and that are not there: the record's key with each.
    missing: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>,
    /// Entries that no record calls for.
    surplus: Vec<Vec<u8>>,
}

impl<K: Key, V: Record> Table<K, V> {
    pub(super) fn agree(&self, tx: &ReadTx, look: &Look<'_>) -> Result<(), StoreError> {
        let mut rows = tx.len_raw(self.name)?;
        for index in self.indexes {
            rows += tx.len_raw(index.name())?;
        }
        look.begin(self.name, rows);

        let mut wanted = vec![Sum::default(); self.indexes.len()];
        let mut stopped = false;
        tx.scan_raw(self.name, Span::all(Direction::Up), &mut |key, value| {
            if let (true, Some(record)) = (K::from_bytes(key).is_some(), V::decode(value)) {
                for (index, sum) in self.indexes.iter().zip(&mut wanted) {
                    for (entry, target) in distinct(*index, &record, key) {
                        sum.add(&entry, &target);
                    }
                }
            } else {
                look.found("I5", self.subject(key), "the row does not decode");
            }
            stopped = look.row().is_break();
            if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if stopped {
            return Err(StoreError::Unavailable);
        }
        for (index, wanted) in self.indexes.iter().zip(wanted) {
            let mut found = Sum::default();
            tx.scan_raw(index.name(), Span::all(Direction::Up), &mut |entry, target| {
                found.add(entry, target);
                stopped |= look.row().is_break();
                if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            if stopped {
                return Err(StoreError::Unavailable);
            }
            if found != wanted {
                self.name_rift(&self.rift(tx, *index)?, index.name(), look);
            }
        }
        Ok(())
    }

    fn name_rift(&self, rift: &Rift, index: &str, look: &Look<'_>) {
        for (key, ..) in &rift.missing {
            look.found("I5", self.subject(key), format!("the record has no entry of its own in {index}"));
        }
        for entry in &rift.surplus {
            let said = "no record calls for this entry".to_owned();
            look.found("I5", format!("{index} {}", hex(entry)), said);
        }
    }

    fn rift(&self, tx: &impl Reads, index: &dyn Indexed<V>) -> Result<Rift, StoreError> {
        let mut rift = Rift::default();
        let mut failed = None;
        tx.scan_raw(self.name, Span::all(Direction::Up), &mut |key, value| {
            let Some(record) = V::decode(value) else { return ControlFlow::Continue(()) };
            for (entry, target) in distinct(index, &record, key) {
                match tx.get_raw(index.name(), &entry) {
                    Ok(Some(found)) if found == target => {}
                    Ok(_) => rift.missing.push((key.to_vec(), entry, target)),
                    Err(error) => {
                        failed = Some(error);
                        return ControlFlow::Break(());
                    }
                }
            }
            ControlFlow::Continue(())
        })?;
        tx.scan_raw(index.name(), Span::all(Direction::Up), &mut |entry, target| {
            let record = index.leads_to(entry, target).map(|key| tx.get_raw(self.name, key));
            let called_for = match record {
                // Of a record that does not decode nobody knows.
                Some(Ok(Some(value))) => V::decode(&value).is_none_or(|record| {
                    let key = index.leads_to(entry, target).unwrap_or_default();
                    distinct(index, &record, key).contains(&(entry.to_vec(), target.to_vec()))
                }),
                Some(Ok(None)) | None => false,
                Some(Err(error)) => {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            };
            if !called_for {
                rift.surplus.push(entry.to_vec());
            }
            ControlFlow::Continue(())
        })?;
        failed.map_or(Ok(rift), Err)
    }

    pub(super) fn make_agree(&self, tx: &mut WriteTx) -> Result<u64, StoreError> {
        let mut mended = 0;
        for index in self.indexes {
            let rift = self.rift(tx, *index)?;
            for entry in &rift.surplus {
                tx.delete_raw(index.name(), entry)?;
                mended += 1;
            }
            let mut claims: BTreeMap<&[u8], u32> = BTreeMap::new();
            for (_, entry, _) in &rift.missing {
                *claims.entry(entry).or_default() += 1;
            }
            for (_, entry, target) in &rift.missing {
                if claims[entry.as_slice()] == 1 && tx.get_raw(index.name(), entry)?.is_none() {
                    tx.put_raw(index.name(), entry, target)?;
                    mended += 1;
                }
            }
        }
        Ok(mended)
    }

    fn subject(&self, key: &[u8]) -> String {
        let shown = K::from_bytes(key).map_or_else(|| hex(key), |key| format!("{key:?}"));
        format!("{} {shown}", self.name)
    }
}

fn distinct<V>(index: &dyn Indexed<V>, record: &V, key: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = entries(index, record, key);
    rows.sort();
    rows.dedup();
    rows
}
