//! The single writer: group commit and poisoned batches. What it does about a disk that fails is in `trouble.rs`.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use redb::{Database, ReadableDatabase};

use super::disk::Disk;
use super::meters::{Meters, Ride};
use super::trouble::TRY_EVERY;
use super::tx::{Change, ReadTx, WriteTx};
use super::{Commit, StoreError};
use crate::clock::{Clock, Time};
use crate::telemetry::{Asked, on_behalf};

/// The counter that is the sequence number of the newest commit.
pub(super) const SEQ: &str = "commit";
/// Most acts in one commit, so that the last of a flood does not hold up the first.
const MOST: usize = 256;

pub(super) type Hear = Box<dyn Fn(&Commit) + Send + Sync>;

/// What an act came to, before its commit.
pub(super) enum Ran {
    Done,
    Refused,
}

/// An act in the queue, without its types.
pub(super) trait Job: Send {
    fn run(&mut self, tx: &mut WriteTx) -> Ran;
    /// Sends the outcome of the last run, or the failure of its commit.
    fn answer(self: Box<Self>, fate: Result<(), StoreError>, ride: Ride);
}

struct Queued<F, T, E, G> {
    /// For which request.
    asked: Option<Arc<Asked>>,
    act: F,
    outcome: Option<Result<T, E>>,
    answer: G,
}

/// An act that waits to be run.
pub(super) fn job<F, T, E>(act: F, answer: impl FnOnce(Result<T, E>, Ride) + Send + 'static) -> Box<dyn Job>
where
    F: Fn(&mut WriteTx) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    Box::new(Queued { asked: Asked::current(), act, outcome: None, answer })
}

impl<F, T, E, G> Job for Queued<F, T, E, G>
where
    F: Fn(&mut WriteTx) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
    G: FnOnce(Result<T, E>, Ride) + Send,
{
    fn run(&mut self, tx: &mut WriteTx) -> Ran {
        self.outcome = None;
        let outcome = on_behalf(self.asked.clone(), || (self.act)(tx));
        let ran = if outcome.is_ok() { Ran::Done } else { Ran::Refused };
        self.outcome = Some(outcome);
        ran
    }

    fn answer(self: Box<Self>, fate: Result<(), StoreError>, ride: Ride) {
        let outcome = match (fate, self.outcome) {
            (Err(error), _) => Err(error.into()),
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(StoreError::Unavailable.into()),
        };
        (self.answer)(outcome, ride);
    }
}

/// An act in the queue, and since when it waits; once its batch was begun, how long it did.
pub(super) struct Rider {
    job: Box<dyn Job>,
    since: Instant,
    waited: Duration,
}

impl Rider {
    pub(super) fn new(job: Box<dyn Job>) -> Rider {
        Rider { job, since: Instant::now(), waited: Duration::ZERO }
    }
}

#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Rider>,
    closing: bool,
    /// A read of this handle of the file failed.
    pub alarm: Option<u64>,
    /// The writer is to let somebody else have the file for a moment.
    pub is_held: bool,
    /// Whether somebody wants to know that the disk has room.
    pub is_probed: bool,
}

/// What only the running of a batch touches.
pub(super) struct Hand {
    rng: StdRng,
    /// The disk failed under the handle that is open, which is of no more use.
    pub is_broken: bool,
    /// The newest commit that took place while this store was open.
    pub newest: u64,
    /// A commit whose sync failed before the file could be opened again: did it get through?
    pub unresolved: Option<Commit>,
    /// When the disk in trouble was last tried.
    pub tried: Option<Instant>,
}

/// The open file, and the how manyth handle of it this is.
#[derive(Default)]
pub(super) struct Handle {
    pub db: Option<Database>,
    pub number: u64,
    pub readers: Readers,
}

/// What all who read through a handle hold. Closing a file cuts off who reads from it, so one whose place was taken
/// stays open in here as long as anybody does.
pub(super) type Readers = Arc<Mutex<Option<Database>>>;

/// The store behind its doors.
pub(super) struct Shared {
    pub disk: Box<dyn Disk>,
    clock: Arc<dyn Clock>,
    pub threaded: bool,
    pub handle: RwLock<Handle>,
    pub queue: Mutex<Queue>,
    pub wake: Condvar,
    pub hand: Mutex<Hand>,
    /// What is committed while a new file is made.
    pub recorded: Mutex<Option<Vec<Commit>>>,
    hearers: RwLock<Vec<Hear>>,
    /// How many bytes of the file something was in, and when.
    pub live: Mutex<Option<(Time, u64)>>,
    /// Held by whoever finds that out.
    pub measuring: Mutex<()>,
    /// Why nothing is written just now.
    pub trouble: Mutex<Option<String>>,
    pub meters: Meters,
}

/// How a try to commit a batch ended.
pub(super) enum Tried {
    Committed,
    /// An act refused after a write, or panicked: nothing may stay.
    Poisoned(Option<StoreError>),
    /// The disk failed; the commit, if it came to one, may have got through.
    Broken(Option<Commit>, StoreError),
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
            handle: RwLock::new(Handle { db: Some(db), ..Handle::default() }),
            queue: Mutex::default(),
            wake: Condvar::new(),
            hand: Mutex::new(Hand {
                rng: StdRng::from_seed(seed),
                is_broken: false,
                newest: 0,
                unresolved: None,
                tried: None,
            }),
            recorded: Mutex::default(),
            hearers: RwLock::default(),
            live: Mutex::default(),
            measuring: Mutex::default(),
            trouble: Mutex::default(),
            meters: Meters::default(),
        }
    }

    pub(super) fn with_db<T>(
        &self,
        f: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let handle = self.handle.read().unwrap_or_else(PoisonError::into_inner);
        f(handle.db.as_ref().ok_or(StoreError::Unavailable)?)
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(super) fn snapshot(&self) -> Result<ReadTx, StoreError> {
        let handle = self.handle.read().unwrap_or_else(PoisonError::into_inner);
        let begun = handle.db.as_ref().ok_or(StoreError::Unavailable)?.begin_read();
        if begun.is_err() {
            self.raise_alarm(handle.number);
        }
        let tx = ReadTx::new(begun?, self.clock.now(), handle.number);
        Ok(tx.among(Arc::clone(&handle.readers)))
    }

    /// Queues an act; `answer` is called with its outcome. A queue that is closed drops both.
    pub(super) fn submit<F, T, E>(&self, act: F, answer: impl FnOnce(Result<T, E>, Ride) + Send + 'static)
    where
        F: Fn(&mut WriteTx) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        // Known to be in vain, so it is refused at once.
        if let Some(why) = self.trouble() {
            return answer(Err(StoreError::ReadOnly(why).into()), Ride::default());
        }
        let mut queue = lock(&self.queue);
        if !queue.closing {
            queue.waiting.push_back(Rider::new(job(act, answer)));
            self.wake.notify_one();
        }
    }

    pub(super) fn waiting(&self) -> usize {
        lock(&self.queue).waiting.len()
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
        self.handle.write().unwrap_or_else(PoisonError::into_inner).db = None;
    }

    /// The writer thread: runs batches until the store is closed and the queue is empty.
    pub(super) fn run_until_closed(&self) {
        loop {
            let mut queue = lock(&self.queue);
            while queue.is_held || (queue.waiting.is_empty() && queue.alarm.is_none()) {
                if queue.closing && !queue.is_held {
                    return;
                }
                if self.trouble().is_none() || queue.is_held {
                    queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
                let (woken, waited) =
                    self.wake.wait_timeout(queue, TRY_EVERY).unwrap_or_else(PoisonError::into_inner);
                queue = woken;
                if waited.timed_out() {
                    break;
                }
            }
            drop(queue);
            self.run_waiting();
        }
    }

    pub(super) fn run_waiting(&self) -> usize {
        let mut hand = lock(&self.hand);
        let (batch, alarm, is_probed) = {
            let mut queue = lock(&self.queue);
            let most = queue.waiting.len().min(MOST);
            let mut batch: Vec<_> = queue.waiting.drain(..most).collect();
            for rider in &mut batch {
                rider.waited = rider.since.elapsed();
                self.meters.waited.took(rider.waited);
            }
            (batch, queue.alarm.take(), std::mem::take(&mut queue.is_probed))
        };
        self.look_after_disk(&mut hand, alarm, is_probed);
        let count = batch.len();
        if count > 0 {
            self.run_batch(&mut hand, batch);
        }
        count
    }

    fn run_batch(&self, hand: &mut Hand, mut batch: Vec<Rider>) {
        if let Some(why) = self.trouble() {
            return answer_all(batch, &Err(StoreError::ReadOnly(why)));
        }
        match self.try_batch(hand, &mut batch) {
            Tried::Committed => answer_all(batch, &Ok(())),
            Tried::Poisoned(_) if batch.len() > 1 => {
                self.meters.undone.add(1);
                for rider in batch {
                    self.run_batch(hand, vec![rider]);
                }
            }
            Tried::Poisoned(failure) => {
                self.meters.undone.add(1);
                answer_all(batch, &failure.map_or(Ok(()), Err));
            }
            Tried::Broken(commit, error) => {
                let fate = self.resolve(hand, commit, error);
                answer_all(batch, &fate);
                self.recover(hand);
            }
        }
    }

    /// Runs all of `batch` in one transaction and commits it.
    pub(super) fn try_batch(&self, hand: &mut Hand, batch: &mut [Rider]) -> Tried {
        let broken = |error| Tried::Broken(None, error);
        let mut tx = match self.begin(hand) {
            Ok(tx) => tx,
            Err(error) => return broken(error),
        };
        let acts = batch.len();
        for Rider { job, .. } in batch {
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
        // redb panics at a page that is not what it wrote, and the writer must outlive that.
        match catch_unwind(AssertUnwindSafe(|| tx.enter())) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return broken(error),
            Err(panic) => return Tried::Poisoned(Some(StoreError::Panicked(said(&*panic)))),
        }
        let commit = Commit { seq, changes: std::mem::take(&mut tx.changes) };
        let began = Instant::now();
        match tx.commit() {
            Ok(()) => {
                self.meters.commit.took(began.elapsed());
                self.meters.batch.note(acts as u64);
                self.publish(&commit);
                hand.newest = commit.seq;
                Tried::Committed
            }
            Err(error) => Tried::Broken(Some(commit), error),
        }
    }

    fn begin(&self, hand: &mut Hand) -> Result<WriteTx, StoreError> {
        let mut seed = [0; 32];
        hand.rng.fill_bytes(&mut seed);
        self.with_db(|db| {
            let mut inner = db.begin_write()?;
            // Not for speed alone: it has redb commit in two phases, which is what `reopen` goes by after a failed sync.
            inner.set_quick_repair(true);
            WriteTx::new(db, inner, self.clock.now(), StdRng::from_seed(seed))
        })
    }

    pub(super) fn publish(&self, commit: &Commit) {
        if let Some(recorded) = &mut *lock(&self.recorded) {
            let without_before = |change: &Change| Change { before: None, ..change.clone() };
            recorded.push(Commit {
                seq: commit.seq,
                changes: commit.changes.iter().map(without_before).collect(),
            });
        }
        for hear in self.hearers.read().unwrap_or_else(PoisonError::into_inner).iter() {
            hear(commit);
        }
    }
}

fn answer_all(batch: Vec<Rider>, fate: &Result<(), StoreError>) {
    let acts = batch.len();
    for Rider { job, waited, .. } in batch {
        job.answer(fate.clone(), Ride { waited, acts });
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}
