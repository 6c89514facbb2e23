//! A data file made from rows: what was backed up, or what another file holds.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::rngs::StdRng;
use redb::{Database, Durability};

use super::open::{FORMAT, FORMAT_IS};
use super::table::Row;
use super::{AnyTable, StoreError, WriteTx, schema};
use crate::clock::Time;

/// Bytes that are entered together, and how often that is committed.
const TOGETHER: usize = 4 << 20;
const IN_A_COMMIT: u32 = 16;

/// A new file in the making. It is of no use until it is finished.
pub struct Rebuild {
    db: Database,
    tx: Option<WriteTx>,
    tables: BTreeMap<&'static str, &'static dyn AnyTable>,
    /// Rows of one table that wait to be entered, and how many bytes they have.
    waiting: Vec<Row>,
    table: Option<&'static dyn AnyTable>,
    bytes: usize,
    entered: u32,
}

impl Rebuild {
    /// Begins in a file that has no tables yet.
    pub fn begin(db: Database) -> Rebuild {
        let tables = schema::tables().into_iter().map(|table| (table.name(), table)).collect();
        Rebuild { db, tx: None, tables, waiting: Vec::new(), table: None, bytes: 0, entered: 0 }
    }

    /// Takes a row. Those of one table are best brought one after the other, by key.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when there is no such table.
    pub fn put(&mut self, table: &str, key: &[u8], record: &[u8]) -> Result<(), StoreError> {
        let is_another = self.table.is_none_or(|current| current.name() != table);
        if is_another || self.bytes > TOGETHER {
            self.enter()?;
        }
        if is_another {
            let unknown = || StoreError::corrupt("schema", format!("there is no table {table}"));
            self.table = Some(*self.tables.get(table).ok_or_else(unknown)?);
        }
        self.bytes += key.len() + record.len();
        self.waiting.push((key.to_vec(), record.to_vec()));
        Ok(())
    }

    /// Enters the rows that wait, and what their table's indexes have of them.
    fn enter(&mut self) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        let (Some(table), false) = (self.table, rows.is_empty()) else { return Ok(()) };
        table.put_rows(self.tx()?, &rows)?;
        self.entered += 1;
        if self.entered.is_multiple_of(IN_A_COMMIT) { self.commit() } else { Ok(()) }
    }

    fn tx(&mut self) -> Result<&mut WriteTx, StoreError> {
        if self.tx.is_none() {
            let mut inner = self.db.begin_write()?;
            inner.set_durability(Durability::None).map_err(|error| StoreError::Disk(error.to_string()))?;
            self.tx = Some(WriteTx::new(&self.db, inner, Time(0), StdRng::from_seed([0; 32]))?);
        }
        Ok(self.tx.as_mut().expect("it was made"))
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.tx.take().map_or(Ok(()), WriteTx::commit)
    }

    /// Makes it a file of this till's format, safe on the disk.
    pub fn finish(mut self) -> Result<Database, StoreError> {
        self.enter()?;
        let tables: Vec<_> = self.tables.values().copied().collect();
        // Empty ones, too: no read may meet a table that is not there.
        for table in tables {
            let names = table.index_names();
            for name in names.into_iter().chain([table.name()]) {
                self.tx()?.make_table(name)?;
            }
        }
        self.commit()?;
        self.tx()?.set_meta(FORMAT_IS, &FORMAT.to_string())?;
        self.commit()?;
        // The commits before this one are safe with it.
        let mut last = self.db.begin_write()?;
        last.set_quick_repair(true);
        last.commit()?;
        Ok(self.db)
    }
}
