//! The store: one redb file, many readers, one writer.
//!
//! - A read ([`Store::read`]) is a view of one commit. It takes no lock and waits for nobody.
//! - A write ([`Store::write`]) hands an *act* to the writer, which runs all acts that wait in one durable
//!   commit and answers each only after it. An act is all or nothing.
//! - Tables hold typed records ([`Table`]); a record names its indexes and the store keeps them in step.
//! - Every commit has a sequence number, and [`Store::on_commit`] hands out what it changed before the acts
//!   of that commit are answered.

mod agree;
mod codec;
mod compact;
mod disk;
mod held;
mod key;
mod look;
mod meters;
mod once;
mod open;
mod rebuild;
pub mod schema;
mod table;
#[cfg(test)]
mod tests;
mod trouble;
mod tx;
mod writer;

use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use redb::ReadableDatabase;
use tokio::sync::oneshot;

pub(crate) use codec::record;
pub use codec::{Record, decode, encode};
pub use compact::Compacted;
pub use disk::{Disk, FileDisk, Upgrade};
pub use key::Key;
pub use look::{Finding, Look, Tell};
pub use meters::{Cache, Meters, Ride};
pub use once::{KeyReused, Once, OnceKey, Seen};
pub(crate) use once::{ONCE, answers_with, forget, forget_answers_of, replace_answer};
pub use open::{
    ANSWERED_FORMAT, FORMAT, Formats, OpenError, Options, answered_format, format_of, formats, is_sound,
};
pub use rebuild::Rebuild;
pub use table::{AnyTable, Index, Indexed, Table};
pub(crate) use table::{COUNTERS, META};
pub use tx::{Change, Direction, ReadTx, Reads, Span, WriteTx};
use writer::Shared;

use crate::telemetry::trace::{self, Kind};

/// Why the store could not do what it was asked. None of these is a refusal of the shop's rules.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The disk failed, or is full. Nothing was changed.
    #[error("the data file can't be read or written: {0}")]
    Disk(String),
    /// The disk failed or was full a moment ago, and has not taken a write since. Nothing was changed.
    #[error("the shop is read-only: {0}")]
    ReadOnly(String),
    /// The store is closed or the file can't be opened again. What was asked may or may not have been saved.
    #[error("the store is not available")]
    Unavailable,
    #[error(
        "the data file is damaged at {table}: {said}. `till check --deep` on the stopped shop says where; `till restore` puts a backup in its place"
    )]
    Corrupt { table: &'static str, said: String },
    /// The file is being made anew already.
    #[error("the data file is being compacted already")]
    Busy,
    /// An act panicked; it changed nothing.
    #[error("an operation failed inside: {0}")]
    Panicked(String),
}

impl StoreError {
    pub(crate) fn corrupt(table: &'static str, said: impl Into<String>) -> StoreError {
        StoreError::Corrupt { table, said: said.into() }
    }
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> StoreError {
                StoreError::Disk(error.to_string())
            }
        }
    )*};
}
from_redb!(redb::StorageError, redb::TableError, redb::TransactionError, redb::CommitError);

/// For what is written out while it is read.
impl From<StoreError> for std::io::Error {
    fn from(error: StoreError) -> std::io::Error {
        std::io::Error::other(error)
    }
}

/// How long a measure of the live pages is good.
const MEASURED_EVERY: Duration = Duration::from_hours(1);

/// How large the data file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub file_bytes: u64,
    /// How much of that something was in when it was last measured; none before the first time.
    pub live_bytes: Option<u64>,
}

impl Size {
    /// The part of the file that something is in.
    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    pub fn live_ratio(self) -> Option<f64> {
        self.live_bytes.map(|live| live as f64 / self.file_bytes.max(1) as f64)
    }
}

/// A commit that took place: its sequence number and the rows it changed.
#[derive(Clone)]
pub struct Commit {
    pub seq: u64,
    pub changes: Vec<Change>,
}

/// The sequence number of the commit that a transaction sees.
pub fn commit_of(tx: &impl Reads) -> Result<u64, StoreError> {
    Ok(COUNTERS.get(tx, &writer::SEQ.to_owned())?.unwrap_or(0))
}

/// The open data file.
pub struct Store {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl Store {
    /// Reads from the newest commit.
    pub fn read<T, E: From<StoreError>>(&self, look: impl FnOnce(&ReadTx) -> Result<T, E>) -> Result<T, E> {
        let tx = self.shared.snapshot()?;
        let seen = look(&tx);
        if tx.is_broken.get() {
            self.shared.raise_alarm(tx.handle);
        }
        seen
    }

    /// Has the writer run `act`, and answers when the commit that holds it is on the disk. The act may be run
    /// more than once, and only its last run counts; an act that returns `Err` has changed nothing.
    pub async fn write<T, E>(
        &self,
        act: impl Fn(&mut WriteTx) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (send, answer) = oneshot::channel();
        let span = trace::child("commit", Kind::Internal);
        let answer_with = move |outcome, ride: Ride| {
            if let Some(mut span) = span {
                span.note("till.writer.wait", ride.waited);
                span.note("till.writer.batch.size", ride.acts);
                span.end();
            }
            // Nobody is waiting any more when the request was cut off; what was committed stays.
            drop(send.send(outcome));
        };
        self.shared.submit(act, answer_with);
        answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable.into()))
    }

    /// Hands the writer an act that nobody waits for, and that may be lost.
    pub fn write_later(&self, act: impl Fn(&mut WriteTx) -> Result<(), StoreError> + Send + 'static) {
        self.shared.submit(act, |_, _| {});
    }

    /// How many acts wait for the writer.
    pub fn waiting(&self) -> usize {
        self.shared.waiting()
    }

    /// [`Store::write`] for threads that may wait: the start of the shop, imports, and tests.
    pub fn write_now<T, E>(&self, act: impl Fn(&mut WriteTx) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (send, answer) = mpsc::sync_channel(1);
        self.shared.submit(act, move |outcome, _| drop(send.send(outcome)));
        if self.writer.is_none() {
            self.step();
        }
        answer.recv().unwrap_or_else(|_| Err(StoreError::Unavailable.into()))
    }

    /// Runs the acts that wait, in one commit, on this thread; how many they were. For a store that was opened
    /// without a writer thread.
    pub fn step(&self) -> usize {
        self.shared.run_waiting()
    }

    /// Why nothing can be written just now, for whoever runs the shop; none when all is well.
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble()
    }

    /// Has the writer see whether the disk has room and takes a commit.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.shared.ask_for_room();
        self.write(trouble::probe).await
    }

    /// Has `hear` told of every commit, in order, before its acts are answered. It runs on the writer's
    /// thread, must be quick and must not write.
    pub fn on_commit(&self, hear: impl Fn(&Commit) + Send + Sync + 'static) {
        self.shared.hear(Box::new(hear));
    }

    /// What the file takes, and how much of that is known to be in use.
    pub fn size(&self) -> Result<Size, StoreError> {
        let file_bytes = self.shared.disk.size().map_err(|error| StoreError::Disk(error.to_string()))?;
        let live_bytes = writer::lock(&self.shared.live).map(|(_, bytes)| bytes);
        Ok(Size { file_bytes, live_bytes })
    }

    /// Finds out how much of the file is in use, for which every page is read: at most once an hour, and by one at a time.
    pub fn measure(&self) -> Result<(), StoreError> {
        let Ok(_one) = self.shared.measuring.try_lock() else { return Ok(()) };
        let now = self.shared.now();
        let known = *writer::lock(&self.shared.live);
        if known.is_none_or(|(at, _)| now >= at.plus(MEASURED_EVERY)) {
            let bytes = self.read(ReadTx::live_bytes)?;
            *writer::lock(&self.shared.live) = Some((now, bytes));
        }
        Ok(())
    }

    pub fn meters(&self) -> &Meters {
        &self.shared.meters
    }

    /// What the cache of the file's pages did; it begins anew with each opening of the file.
    pub fn cache(&self) -> Result<Cache, StoreError> {
        self.shared.with_db(|db| {
            let stats = db.cache_stats();
            Ok(Cache {
                hits: stats.read_hits() + stats.write_hits(),
                misses: stats.read_misses() + stats.write_misses(),
                evictions: stats.evictions(),
                bytes: stats.used_bytes() as u64,
            })
        })
    }

    /// The sequence number of the newest commit.
    pub fn seq(&self) -> Result<u64, StoreError> {
        self.read(commit_of)
    }
}

impl Drop for Store {
    /// Runs what waits, then closes the file.
    fn drop(&mut self) {
        self.shared.close();
        if let Some(writer) = self.writer.take()
            && writer.thread().id() != std::thread::current().id()
            && writer.join().is_err()
        {
            tracing::error!("the writer thread had panicked");
        }
        self.shared.release();
    }
}
