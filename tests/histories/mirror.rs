//! Every record that the shop has answered for, kept beside it: what its file must hold when it is opened again.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use till::app::App;
use till::inventory::Stock;
use till::store::{Commit, Record, StoreError, commit_of, schema};

/// By table and key.
pub type Rows = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

#[derive(Clone, Debug, Default)]
pub struct Records {
    pub rows: Rows,
    /// The number of the newest commit.
    pub seq: u64,
}

impl Records {
    /// All that is in the file.
    pub fn of(app: &App) -> Result<Records, StoreError> {
        app.store.read(|tx| {
            let mut rows = Rows::new();
            for table in schema::tables() {
                table.each_row(tx, &mut |key, value| {
                    rows.insert((table.name(), key.to_vec()), value.to_vec());
                    ControlFlow::Continue(())
                })?;
            }
            Ok(Records { rows, seq: commit_of(tx)? })
        })
    }

    fn hear(&mut self, commit: &Commit) {
        assert_eq!(commit.seq, self.seq + 1, "commits are told one after the other");
        self.seq = commit.seq;
        for change in &commit.changes {
            let key = (change.table, change.key.clone());
            let before = match &change.after {
                Some(after) => self.rows.insert(key, after.clone()),
                None => self.rows.remove(&key),
            };
            assert_eq!(before, change.before, "{} {:02x?} was something else", change.table, change.key);
            if change.table == "stock"
                && let Some(after) = &change.after
            {
                let stock = Stock::decode(after).expect("a stock");
                assert!(stock.quantity >= 0, "{stock:?}");
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Mirror(Arc<Mutex<Records>>);

impl Mirror {
    pub fn of(records: &Records) -> Mirror {
        Mirror(Arc::new(Mutex::new(records.clone())))
    }

    pub fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears of every commit from now on, before those who wait for it are answered.
    pub fn follow(&self, app: &App) {
        let heard = self.clone();
        app.store.on_commit(move |commit| heard.records().hear(commit));
    }

    /// Holds what is in the file against what was answered. A commit that was cut off may be there, whole, or not at all; `true`
    /// if it is.
    pub fn compare(&self, found: Records) -> bool {
        let mut records = self.records();
        let landed = found.seq == records.seq + 1;
        assert!(
            landed || found.seq == records.seq,
            "commit {} is there, {} was answered",
            found.seq,
            records.seq
        );
        if landed {
            *records = found;
        } else {
            for (key, value) in &records.rows {
                assert_eq!(found.rows.get(key), Some(value), "what was answered: {key:02x?}");
            }
            assert_eq!(found.rows.len(), records.rows.len(), "there is more than was answered");
        }
        landed
    }
}
