//! A data file made from rows: what was backed up, or what another file holds.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::rngs::StdRng;
use redb::{Database, Durability};

use super::open::{FORMAT, FORMAT_IS};
use super::{AnyTable, StoreError, WriteTx, schema};
use crate::clock::Time;

/// Rows in one commit.
const TOGETHER: u64 = 50_000;

/// A new file in the making. It is of no use until it is finished.
pub struct Rebuild {
    db: Database,
    tx: Option<WriteTx>,
    tables: BTreeMap<&'static str, &'static dyn AnyTable>,
    rows: u64,
}

impl Rebuild {
    /// Begins in a file that has no tables yet.
    pub fn begin(db: Database) -> Result<Rebuild, StoreError> {
        let tables = schema::tables().into_iter().map(|table| (table.name(), table)).collect();
        Ok(Rebuild { db, tx: None, tables, rows: 0 })
    }

    fn tx(&mut self) -> Result<&mut WriteTx, StoreError> {
        if self.tx.is_none() {
            let mut inner = self.db.begin_write()?;
            inner.set_durability(Durability::None).map_err(|error| StoreError::Disk(error.to_string()))?;
            self.tx = Some(WriteTx::new(inner, Time(0), StdRng::from_seed([0; 32])));
        }
        Ok(self.tx.as_mut().expect("it was made"))
    }

    /// Enters a row, and what its table's indexes have of it.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is no row of that table.
    pub fn put(&mut self, table: &str, key: &[u8], record: &[u8]) -> Result<(), StoreError> {
        let unknown = || StoreError::corrupt("schema", format!("there is no table {table}"));
        let table = *self.tables.get(table).ok_or_else(unknown)?;
        table.put_row(self.tx()?, key, record)?;
        self.rows += 1;
        if self.rows.is_multiple_of(TOGETHER)
            && let Some(tx) = self.tx.take()
        {
            tx.inner.commit()?;
        }
        Ok(())
    }

    /// Makes it a file of this till's format, safe on the disk.
    pub fn finish(mut self) -> Result<(), StoreError> {
        self.tx()?.set_meta(FORMAT_IS, &FORMAT.to_string())?;
        if let Some(tx) = self.tx.take() {
            tx.inner.commit()?;
        }
        // The commits before this one are safe with it.
        let mut last = self.db.begin_write()?;
        last.set_quick_repair(true);
        Ok(last.commit()?)
    }
}
