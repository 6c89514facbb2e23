//! Making the data file anew, without the pages that nothing is in any more, while the shop goes on.
//!
//! A new file is filled from one snapshot, and catches up with what was committed meanwhile. Only for the last of that,
//! and for the change of files, does the writer wait. Until the new file has the old one's name, the old one is the
//! shop's and has everything; from then on the new one is, and has the same.

use std::ops::ControlFlow;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use redb::Database;

use super::writer::{Shared, lock};
use super::{Commit, Reads, Rebuild, Store, StoreError, Tell, WriteTx, commit_of, schema};
use crate::clock::Time;

/// How often the new file catches up at most before the writer is made to wait for it.
const ROUNDS: usize = 20;
/// So few changes are caught up with in some milliseconds.
const FEW: usize = 500;

/// What became of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Compacted {
    pub bytes_before: u64,
    pub bytes_after: u64,
    /// How long writers waited (milliseconds).
    pub paused_ms: u64,
}

/// What is committed while a new file is made. Dropping it ends the recording.
struct Recording<'a>(&'a Shared);

impl<'a> Recording<'a> {
    fn begin(shared: &'a Shared) -> Result<Recording<'a>, StoreError> {
        let mut recorded = lock(&shared.recorded);
        if recorded.is_some() {
            return Err(StoreError::Busy);
        }
        *recorded = Some(Vec::new());
        Ok(Recording(shared))
    }

    fn take(&self) -> Vec<Commit> {
        lock(&self.0.recorded).as_mut().map(std::mem::take).unwrap_or_default()
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        *lock(&self.0.recorded) = None;
    }
}

impl Store {
    /// Makes the file as small as what is in it. `tell` hears how far it is, and ends it by breaking: then, as when
    /// it fails, all is as it was. The disk must have room for a second file meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while another compaction runs.
    pub fn compact(&self, tell: &mut Tell<'_>) -> Result<Compacted, StoreError> {
        let shared = &*self.shared;
        let recording = Recording::begin(shared)?;
        let bytes_before = shared.disk.size().map_err(disk)?;
        tracing::info!(
            bytes_before,
            "compaction begins; orders will wait a moment when the files change places"
        );
        let made = self.copy(&recording, tell);
        let paused_ms = match made.and_then(|(db, seq)| shared.change_files(&recording, db, seq)) {
            Ok(paused) => paused.as_millis() as u64,
            Err(error) => {
                shared.disk.give_up_beside();
                return Err(error);
            }
        };
        // It is done, whatever can be found out of it.
        let bytes_after = shared.disk.size().unwrap_or(0);
        let compacted = Compacted { bytes_before, bytes_after, paused_ms };
        tracing::info!(bytes_before, bytes_after, paused_ms, "the data file was compacted");
        Ok(compacted)
    }

    /// A new file with nearly all that this one has, and the commit that it has caught up with.
    fn copy(&self, recording: &Recording<'_>, tell: &mut Tell<'_>) -> Result<(Database, u64), StoreError> {
        let mut file = Rebuild::begin(self.shared.disk.open_beside().map_err(disk)?);
        let mut seq = self.read(|tx| {
            let (mut done, mut stopped) = (0, false);
            let mut of = 0;
            for table in schema::tables() {
                of += tx.len_raw(table.name())?;
            }
            for table in schema::tables() {
                let mut failed = None;
                table.each_row(tx, &mut |key, record| {
                    done += 1;
                    // The first one, too: however short it is, it can be ended.
                    stopped = done % 4096 == 1 && tell("copying", done, of).is_break();
                    failed = file.put(table.name(), key, record).err();
                    if stopped || failed.is_some() {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                })?;
                match failed {
                    Some(error) => return Err(error),
                    None if stopped => return Err(StoreError::Unavailable),
                    None => {}
                }
            }
            commit_of(tx)
        })?;
        let mut db = file.finish()?;
        // What the filling itself has left over.
        db.compact().map_err(disk)?;
        for _ in 0..ROUNDS {
            let recorded = recording.take();
            let changes: usize = recorded.iter().map(|commit| commit.changes.len()).sum();
            seq = catch_up(&db, seq, &recorded)?;
            if tell("catching up", changes as u64, changes as u64).is_break() {
                return Err(StoreError::Unavailable);
            }
            if changes <= FEW {
                break;
            }
        }
        Ok((db, seq))
    }
}

impl Shared {
    /// Holds the writer up while the new file takes the place of the old one; how long that was.
    fn change_files(
        &self,
        recording: &Recording<'_>,
        db: Database,
        seq: u64,
    ) -> Result<Duration, StoreError> {
        let _held = Held::begin(self);
        let mut hand = lock(&self.hand);
        let began = Instant::now();
        if let Some(why) = self.trouble() {
            return Err(StoreError::ReadOnly(why));
        }
        let seq = catch_up(&db, seq, &recording.take())?;
        if commit_of(&self.snapshot()?)? != seq {
            return Err(StoreError::Unavailable);
        }
        // Whoever wants to read waits here for the new file; who reads already goes on with the old one.
        let mut handle = self.handle.write().unwrap_or_else(PoisonError::into_inner);
        self.disk.replace().map_err(disk)?;
        handle.number += 1;
        let old = handle.db.replace(db);
        // It is closed when the last who reads from it is done.
        let readers = std::mem::take(&mut handle.readers);
        *lock(&readers) = old;
        drop(handle);
        if let Err(error) = self.disk.keep_place() {
            // Nothing may be written before it is known that it will be found again.
            hand.is_broken = true;
            self.turn_read_only(&error);
        }
        let paused = began.elapsed();
        drop(hand);
        *lock(&self.live) = None;
        // Closing it takes a while, and nobody need wait for that.
        drop(readers);
        Ok(paused)
    }
}

/// Keeps the writer from its next batch: without this, one that always has something to do would never let go of the
/// file.
struct Held<'a>(&'a Shared);

impl<'a> Held<'a> {
    fn begin(shared: &'a Shared) -> Held<'a> {
        lock(&shared.queue).is_held = true;
        Held(shared)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        lock(&self.0.queue).is_held = false;
        self.0.wake.notify_one();
    }
}

/// Does in the new file what was done in the old one after the commit `seq`; the commit that it has then.
fn catch_up(db: &Database, seq: u64, recorded: &[Commit]) -> Result<u64, StoreError> {
    let missed: Vec<_> = recorded.iter().filter(|commit| commit.seq > seq).collect();
    let Some(last) = missed.last().map(|commit| commit.seq) else { return Ok(seq) };
    let mut inner = db.begin_write()?;
    inner.set_quick_repair(true);
    let mut tx = WriteTx::new(db, inner, Time(0), StdRng::from_seed([0; 32]))?;
    let tables = schema::tables();
    for change in missed.iter().flat_map(|commit| &commit.changes) {
        let table = tables.iter().find(|table| table.name() == change.table);
        let table = table.ok_or_else(|| StoreError::corrupt(change.table, "a change of no table"))?;
        table.repeat(&mut tx, &change.key, change.after.as_deref())?;
    }
    tx.commit()?;
    Ok(last)
}

fn disk(error: impl std::fmt::Display) -> StoreError {
    StoreError::Disk(error.to_string())
}
