//! A disk that fails or is full. redb latches the failure until the file is opened anew, and the shop turns
//! read-only: reads go on from the new handle, writes are refused at once, and the writer tries again and again, whether
//! or not anybody writes, until the disk has room and a commit has gone through.

use std::fmt::Display;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use redb::ReadableDatabase;

use super::tx::ReadTx;
use super::writer::{Hand, Rider, Shared, Tried, job, lock};
use super::{COUNTERS, Commit, StoreError, WriteTx};

/// How often a disk in trouble is tried again; a stepped store tries at each step.
pub(super) const TRY_EVERY: Duration = Duration::from_millis(500);

/// Writes for no other reason than to see that it can be done.
pub(super) fn probe(tx: &mut WriteTx) -> Result<(), StoreError> {
    let name = "readiness probe".to_owned();
    let probes = COUNTERS.get(tx, &name)?.unwrap_or(0) + 1;
    COUNTERS.put(tx, &name, &probes)
}

impl Shared {
    /// Why nothing is written just now; none when all is well.
    pub(super) fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    /// A read of the handle with this number failed: the writer is to see to it.
    pub(super) fn raise_alarm(&self, handle: u64) {
        lock(&self.queue).alarm = Some(handle);
        self.wake.notify_one();
    }

    /// Has the writer look, before its next batch, whether the disk has room.
    pub(super) fn ask_for_room(&self) {
        lock(&self.queue).is_probed = true;
    }

    /// What the writer does before it looks at a batch.
    pub(super) fn look_after_disk(&self, hand: &mut Hand, alarm: Option<u64>, is_probed: bool) {
        // A read that was cut off when the file was opened anew says nothing of the handle that is open now.
        let number = self.handle.read().unwrap_or_else(PoisonError::into_inner).number;
        if alarm == Some(number) {
            hand.is_broken = true;
            self.turn_read_only(&"a read failed");
        }
        if is_probed && let Err(error) = self.disk.room() {
            self.turn_read_only(&error);
        }
        self.recover(hand);
    }

    pub(super) fn turn_read_only(&self, why: &dyn Display) {
        let mut trouble = lock(&self.trouble);
        if trouble.is_none() {
            tracing::error!(%why, "the disk fails: the shop is read-only until it takes writes again");
            *trouble = Some(why.to_string());
        }
        drop(trouble);
        // A writer that has nothing to do is to look after the disk now and then, from now on.
        drop(lock(&self.queue));
        self.wake.notify_one();
    }

    /// What became of a batch under which the disk failed: the file is opened anew, and answers.
    pub(super) fn resolve(
        &self,
        hand: &mut Hand,
        commit: Option<Commit>,
        error: StoreError,
    ) -> Result<(), StoreError> {
        hand.unresolved = commit;
        hand.is_broken = true;
        match &error {
            StoreError::Disk(why) => self.turn_read_only(why),
            other => self.turn_read_only(other),
        }
        match self.reopen(hand) {
            Ok(true) => Ok(()),
            Ok(false) => Err(error),
            Err(_) => Err(StoreError::Unavailable),
        }
    }

    /// If the disk is in trouble, looks whether it is over.
    pub(super) fn recover(&self, hand: &mut Hand) {
        let is_early = hand.tried.is_some_and(|at| at.elapsed() < TRY_EVERY) && self.threaded;
        if self.trouble().is_none() || is_early {
            return;
        }
        hand.tried = Some(Instant::now());
        match self.try_to_recover(hand) {
            Ok(()) => {
                *lock(&self.trouble) = None;
                hand.tried = None;
                tracing::warn!("the disk takes writes again: the shop is not read-only any more");
            }
            Err(error @ StoreError::Corrupt { .. }) => {
                let why = Some(error.to_string());
                let mut trouble = lock(&self.trouble);
                if *trouble != why {
                    tracing::error!(%error, "the shop stays read-only until its own data file is back");
                    *trouble = why;
                }
            }
            Err(error) => tracing::debug!(%error, "the disk still fails"),
        }
    }

    /// A small commit may fit where the next order does not, so the disk must have room for more than that.
    fn try_to_recover(&self, hand: &mut Hand) -> Result<(), StoreError> {
        self.reopen(hand)?;
        self.disk.room().map_err(|error| StoreError::Disk(error.to_string()))?;
        match self.try_batch(hand, &mut [Rider::new(job(probe, |_, _| {}))]) {
            Tried::Committed => Ok(()),
            Tried::Poisoned(failure) => Err(failure.unwrap_or(StoreError::Unavailable)),
            Tried::Broken(commit, error) => self.resolve(hand, commit, error),
        }
    }

    /// Opens the file anew if its handle is broken, and finds out what became of the commit whose sync failed: `true`
    /// if it is in the file after all (it is published then), `false` if it is not or there was none.
    ///
    /// What is found is on the disk, and not only in the system's cache of it, though that may show what a failed sync
    /// has left behind: redb writes the header, which decides, once more and syncs it whenever it opens a file, and
    /// what the header leads to was synced before the header was written (quick repair has it commit in two phases).
    fn reopen(&self, hand: &mut Hand) -> Result<bool, StoreError> {
        if !hand.is_broken {
            return Ok(false);
        }
        let failed = |error: &dyn Display| StoreError::Disk(error.to_string());
        // Whoever wants to read waits here for the new handle.
        let mut handle = self.handle.write().unwrap_or_else(PoisonError::into_inner);
        // The old one has to let go of the file first.
        handle.db = None;
        let db = self.disk.open().map_err(|error| failed(&error))?;
        let number = handle.number + 1;
        let newest = ReadTx::new(db.begin_read()?, self.now(), number);
        let seq = super::commit_of(&newest)?;
        drop(newest);
        if seq < hand.newest {
            // Somebody took the file away, or put an older one in its place: nothing may be built on that.
            let said = format!(
                "it ends with commit {seq}, and {} was answered: it is not the file it was",
                hand.newest
            );
            return Err(StoreError::corrupt("the data file", said));
        }
        (handle.db, handle.number) = (Some(db), number);
        drop(handle);
        hand.is_broken = false;
        tracing::info!(seq, "the data file is open again");
        let landed = hand.unresolved.take().filter(|commit| commit.seq == seq);
        if let Some(commit) = &landed {
            hand.newest = commit.seq;
            self.publish(commit);
        }
        Ok(landed.is_some())
    }
}
