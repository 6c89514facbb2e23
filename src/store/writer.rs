//! The single writer: group commit, poisoned batches, and a disk that fails.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use redb::{Database, ReadableDatabase};

use super::open::Disk;
use super::tx::{ReadTx, WriteTx};
use super::{Commit, StoreError};
use crate::clock::{Clock, Time};

/// The counter that is the sequence number of the newest commit.
pub(super) const SEQ: &str = "commit";
/// Most acts in one commit, so that the last of a flood does not hold up the first.
const MOST: usize = 256;
/// How long the writer waits before it opens a failed file again; in a stepped store it does not wait.
const REOPEN_AFTER: [Duration; 3] =
    [Duration::from_millis(10), Duration::from_millis(100), Duration::from_millis(500)];

pub(super) type Hear = Box<dyn Fn(&Commit) + Send + Sync>;

/// What an act came to, before its commit.
enum Ran {
    Done,
    Refused,
}

/// An act in the queue, without its types.
trait Job: Send {
    fn run(&mut self, tx: &mut WriteTx) -> Ran;
    /// Sends the outcome of the last run, or the failure of its commit.
    fn answer(self: Box<Self>, fate: Result<(), StoreError>);
}

struct Queued<F, T, E, G> {
    act: F,
    outcome: Option<Result<T, E>>,
    answer: G,
}

impl<F, T, E, G> Job for Queued<F, T, E, G>
where
    F: Fn(&mut WriteTx) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
    G: FnOnce(Result<T, E>) + Send,
{
    fn run(&mut self, tx: &mut WriteTx) -> Ran {
        self.outcome = None;
        let outcome = (self.act)(tx);
        let ran = if outcome.is_ok() { Ran::Done } else { Ran::Refused };
        self.outcome = Some(outcome);
        ran
    }

    fn answer(self: Box<Self>, fate: Result<(), StoreError>) {
        let outcome = match (fate, self.outcome) {
            (Err(error), _) => Err(error.into()),
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(StoreError::Unavailable.into()),
        };
        (self.answer)(outcome);
    }
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Box<dyn Job>>,
    closing: bool,
}

/// What only the running of a batch touches.
struct Hand {
    rng: StdRng,
    /// A commit whose sync failed before the file could be opened again: did it get through?
    unresolved: Option<Commit>,
}

/// The store behind its doors.
pub(super) struct Shared {
    disk: Box<dyn Disk>,
    clock: Arc<dyn Clock>,
    threaded: bool,
    db: RwLock<Option<Database>>,
    queue: Mutex<Queue>,
    wake: Condvar,
    hand: Mutex<Hand>,
    hearers: RwLock<Vec<Hear>>,
}

/// How a try to commit a batch ended.
enum Tried {
    Committed,
    /// An act refused after a write, or panicked: nothing may stay.
    Poisoned(Option<StoreError>),
    /// The disk failed; the commit, if it came to one, may have got through.
    Broken(Option<Commit>, StoreError),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(
        disk: Box<dyn Disk>,
        clock: Arc<dyn Clock>,
        seed: [u8; 32],
        threaded: bool,
        db: Database,
    ) -> Self {
        Shared {
            disk,
            clock,
            threaded,
            db: RwLock::new(Some(db)),
            queue: Mutex::default(),
            wake: Condvar::new(),
            hand: Mutex::new(Hand { rng: StdRng::from_seed(seed), unresolved: None }),
            hearers: RwLock::default(),
        }
    }

    pub(super) fn with_db<T>(
        &self,
        f: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        f(db.as_ref().ok_or(StoreError::Unavailable)?)
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(super) fn snapshot(&self) -> Result<ReadTx, StoreError> {
        let inner = self.with_db(|db| Ok(db.begin_read()?))?;
        Ok(ReadTx { inner, now: self.clock.now() })
    }

    /// Queues an act; `answer` is called with its outcome. A queue that is closed drops both.
    pub(super) fn submit<F, T, E>(&self, act: F, answer: impl FnOnce(Result<T, E>) + Send + 'static)
    where
        F: Fn(&mut WriteTx) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let mut queue = lock(&self.queue);
        if !queue.closing {
            queue.waiting.push_back(Box::new(Queued { act, outcome: None, answer }));
            self.wake.notify_one();
        }
    }

    pub(super) fn hear(&self, hear: Hear) {
        self.hearers.write().unwrap_or_else(PoisonError::into_inner).push(hear);
    }

    pub(super) fn close(&self) {
        lock(&self.queue).closing = true;
        self.wake.notify_all();
    }

    /// Closes the file.
    pub(super) fn release(&self) {
        *self.db.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The writer thread: runs batches until the store is closed and the queue is empty.
    pub(super) fn run_until_closed(&self) {
        loop {
            let mut queue = lock(&self.queue);
            while queue.waiting.is_empty() && !queue.closing {
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            if queue.waiting.is_empty() {
                return;
            }
            drop(queue);
            self.run_waiting();
        }
    }

    pub(super) fn run_waiting(&self) -> usize {
        let mut hand = lock(&self.hand);
        let batch: Vec<_> = {
            let mut queue = lock(&self.queue);
            let most = queue.waiting.len().min(MOST);
            queue.waiting.drain(..most).collect()
        };
        let count = batch.len();
        if count > 0 {
            self.run_batch(&mut hand, batch);
        }
        count
    }

    fn run_batch(&self, hand: &mut Hand, mut batch: Vec<Box<dyn Job>>) {
        let tried = match self.ensure_open(hand) {
            Ok(_) => self.try_batch(hand, &mut batch),
            Err(error) => return answer_all(batch, &Err(error)),
        };
        match tried {
            Tried::Committed => answer_all(batch, &Ok(())),
            Tried::Poisoned(_) if batch.len() > 1 => {
                for job in batch {
                    self.run_batch(hand, vec![job]);
                }
            }
            Tried::Poisoned(failure) => answer_all(batch, &failure.map_or(Ok(()), Err)),
            Tried::Broken(commit, error) => {
                tracing::error!(%error, "the disk failed under a write; opening the data file again");
                hand.unresolved = commit;
                self.release();
                let fate = match self.ensure_open(hand) {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(error),
                    Err(_) => Err(StoreError::Unavailable),
                };
                answer_all(batch, &fate);
            }
        }
    }

    /// Runs all of `batch` in one transaction and commits it.
    fn try_batch(&self, hand: &mut Hand, batch: &mut [Box<dyn Job>]) -> Tried {
        let broken = |error| Tried::Broken(None, error);
        let mut tx = match self.begin(hand) {
            Ok(tx) => tx,
            Err(error) => return broken(error),
        };
        for job in batch {
            tx.now = self.clock.now();
            let written = tx.writes;
            let ran = catch_unwind(AssertUnwindSafe(|| job.run(&mut tx)));
            if tx.broken.get() {
                return broken(StoreError::Disk("a read or write failed".into()));
            }
            match ran {
                Ok(Ran::Done) => {}
                Ok(Ran::Refused) if tx.writes == written => {}
                Ok(Ran::Refused) => return Tried::Poisoned(None),
                Err(panic) => return Tried::Poisoned(Some(StoreError::Panicked(said(&*panic)))),
            }
        }
        if tx.changes.is_empty() {
            return Tried::Committed;
        }
        let seq = match tx.next_number(SEQ) {
            Ok(seq) => seq,
            Err(error) => return broken(error),
        };
        let commit = Commit { seq, changes: std::mem::take(&mut tx.changes) };
        match tx.inner.commit() {
            Ok(()) => {
                self.publish(&commit);
                Tried::Committed
            }
            Err(error) => Tried::Broken(Some(commit), error.into()),
        }
    }

    fn begin(&self, hand: &mut Hand) -> Result<WriteTx, StoreError> {
        let mut inner = self.with_db(|db| Ok(db.begin_write()?))?;
        inner.set_quick_repair(true);
        let mut seed = [0; 32];
        hand.rng.fill_bytes(&mut seed);
        Ok(WriteTx::new(inner, self.clock.now(), StdRng::from_seed(seed)))
    }

    fn publish(&self, commit: &Commit) {
        for hear in self.hearers.read().unwrap_or_else(PoisonError::into_inner).iter() {
            hear(commit);
        }
    }

    /// Opens the file if it is closed, and finds out what became of the commit whose sync failed: `true` if it
    /// is in the file after all (it is published then), `false` if it is not or there was none.
    fn ensure_open(&self, hand: &mut Hand) -> Result<bool, StoreError> {
        if self.db.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(false);
        }
        let db = self.reopen()?;
        let newest = ReadTx { inner: db.begin_read()?, now: self.clock.now() };
        let seq = super::commit_of(&newest)?;
        *self.db.write().unwrap_or_else(PoisonError::into_inner) = Some(db);
        tracing::warn!(seq, "the data file is open again");
        let landed = hand.unresolved.take().filter(|commit| commit.seq == seq);
        if let Some(commit) = &landed {
            self.publish(commit);
        }
        Ok(landed.is_some())
    }

    fn reopen(&self) -> Result<Database, StoreError> {
        let waits = if self.threaded { &REOPEN_AFTER[..] } else { &[] };
        for wait in waits {
            match self.disk.open() {
                Ok(db) => return Ok(db),
                Err(error) => tracing::error!(%error, "the data file can't be opened again yet"),
            }
            std::thread::sleep(*wait);
        }
        self.disk.open().map_err(|error| StoreError::Disk(error.to_string()))
    }
}

fn answer_all(batch: Vec<Box<dyn Job>>, fate: &Result<(), StoreError>) {
    for job in batch {
        job.answer(fate.clone());
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}
