//! What the store promises, on a disk that can fail and a writer that is stepped.

mod compact;
mod held;
mod trouble;

use std::ops::{Bound, ControlFlow};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use proptest::prelude::*;
use redb::{BackendError, Database, DatabaseError, StorageBackend};

use super::*;
use crate::clock::{Clock, ManualClock, Time};

/// What a disk holds: what was written, and what of it was synced.
#[derive(Debug, Default)]
struct Image {
    now: Vec<u8>,
    synced: Vec<u8>,
    /// Writes and syncs so far.
    steps: u64,
    /// The step that fails, and all until the file is opened again.
    fails_at: Option<u64>,
    is_failing: bool,
    /// Whether a failure loses what was not synced.
    loses: bool,
    /// The next read fails.
    read_fails: bool,
    /// How long the file can get; none: as long as it likes.
    capacity: Option<u64>,
    /// The length that it was refused.
    refused: Option<u64>,
    /// How long it takes to open the file.
    opens_in: Duration,
}

#[derive(Clone, Debug, Default)]
struct FlakyDisk(Arc<Mutex<Image>>);

impl FlakyDisk {
    fn image(&self) -> std::sync::MutexGuard<'_, Image> {
        self.0.lock().expect("no test panics inside")
    }

    /// Ends the failure, which may have lost what was not synced.
    fn heal(&self) {
        let mut image = self.image();
        if image.is_failing && image.loses {
            image.now = image.synced.clone();
        }
        image.is_failing = false;
        image.fails_at = None;
    }

    fn step(&self) -> std::io::Result<std::sync::MutexGuard<'_, Image>> {
        let mut image = self.image();
        image.steps += 1;
        if image.fails_at == Some(image.steps) {
            image.is_failing = true;
        }
        if image.is_failing { Err(std::io::Error::other("the disk fails")) } else { Ok(image) }
    }
}

impl StorageBackend for FlakyDisk {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.image().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        let at = offset as usize;
        let mut image = self.image();
        if std::mem::take(&mut image.read_fails) {
            return Err(std::io::Error::other("the disk fails"));
        }
        out.copy_from_slice(&image.now[at..at + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        let mut image = self.step()?;
        if image.capacity.is_some_and(|capacity| len > capacity) {
            image.refused = Some(len);
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        image.now.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> std::io::Result<()> {
        let mut image = self.step()?;
        image.synced = image.now.clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        let at = offset as usize;
        self.step()?.now[at..at + data.len()].copy_from_slice(data);
        Ok(())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }
}

impl Disk for FlakyDisk {
    fn open(&self) -> Result<Database, DatabaseError> {
        if self.image().is_failing {
            self.heal();
        }
        let opens_in = self.image().opens_in;
        std::thread::sleep(opens_in);
        Database::builder().set_cache_size(1 << 20).create_with_backend(self.clone())
    }

    fn room(&self) -> std::io::Result<()> {
        let image = self.image();
        let lacks = |capacity| image.refused.is_some() || image.now.len() as u64 > capacity;
        let is_full = image.capacity.is_some_and(lacks);
        if is_full { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn name(&self) -> String {
        "the flaky disk".into()
    }
}

const START: Time = Time(1_800_000_000_000);

fn open(disk: &FlakyDisk, threaded: bool) -> Store {
    open_at(disk, threaded, Arc::new(ManualClock::at(START)))
}

fn open_at(disk: &FlakyDisk, threaded: bool, clock: Arc<dyn Clock>) -> Store {
    Store::open(Options { disk: Box::new(disk.clone()), clock, seed: [7; 32], threaded }).expect("it opens")
}

/// A refusal, as acts have them.
#[derive(Debug)]
enum No {
    Refused,
    Store(StoreError),
    Reused,
}

impl From<StoreError> for No {
    fn from(error: StoreError) -> No {
        No::Store(error)
    }
}

impl From<KeyReused> for No {
    fn from(_: KeyReused) -> No {
        No::Reused
    }
}

fn number(store: &Store, name: &str) -> u64 {
    let name = name.to_owned();
    store.read(|tx| COUNTERS.get(tx, &name)).expect("it reads").unwrap_or(0)
}

type Waiting<'a, T> = Pin<Box<dyn Future<Output = Result<T, No>> + 'a>>;

/// Queues an act, without waiting for it.
fn queue<'a, T: Send + 'static>(
    store: &'a Store,
    act: impl Fn(&mut WriteTx) -> Result<T, No> + Send + 'static,
) -> Waiting<'a, T> {
    let mut waiting: Waiting<'a, T> = Box::pin(store.write(act));
    assert!(waiting.as_mut().now_or_never().is_none(), "nothing runs before the writer is stepped");
    waiting
}

fn now<T>(waiting: Waiting<'_, T>) -> Result<T, No> {
    waiting.now_or_never().expect("the writer has answered")
}

#[test]
fn acts_that_wait_share_one_commit() {
    let store = open(&FlakyDisk::default(), false);
    let before = store.seq().expect("it reads");
    let waiting: Vec<_> = (0..50).map(|_| queue(&store, |tx| Ok(tx.next_number("tea")?))).collect();
    assert_eq!(store.step(), 50);
    let answers: Vec<_> = waiting.into_iter().map(|one| now(one).expect("each is done")).collect();
    assert_eq!(answers, (1..=50).collect::<Vec<_>>());
    assert_eq!(store.seq().expect("it reads"), before + 1);
}

#[test]
fn an_act_that_fails_late_takes_nothing_of_its_neighbours_with_it() {
    let store = open(&FlakyDisk::default(), false);
    let first = queue(&store, |tx| Ok(tx.next_number("tea")?));
    let late = queue::<()>(&store, |tx| {
        tx.next_number("tea")?;
        Err(No::Refused)
    });
    let early = queue::<()>(&store, |_| Err(No::Refused));
    let last = queue(&store, |tx| Ok(tx.next_number("tea")?));
    store.step();
    assert_eq!(now(first).expect("done"), 1);
    assert!(matches!(now(late), Err(No::Refused)));
    assert!(matches!(now(early), Err(No::Refused)));
    assert_eq!(now(last).expect("done"), 2, "the number that was taken back is given again");
    assert_eq!(number(&store, "tea"), 2);
}

#[test]
fn an_act_that_panics_is_answered_and_the_others_are_kept() {
    let store = open(&FlakyDisk::default(), false);
    let first = queue(&store, |tx| Ok(tx.next_number("tea")?));
    let panics = queue::<()>(&store, |tx| {
        tx.next_number("tea")?;
        panic!("on purpose");
    });
    let last = queue(&store, |tx| Ok(tx.next_number("tea")?));
    store.step();
    assert_eq!((now(first).expect("done"), now(last).expect("done")), (1, 2));
    assert!(matches!(now(panics), Err(No::Store(StoreError::Panicked(said))) if said == "on purpose"));
}

#[test]
fn a_broken_page_fails_the_act_that_meets_it_and_no_other() {
    let store = open(&FlakyDisk::default(), false);
    let first = queue(&store, |tx| Ok(tx.next_number("tea")?));
    let meets = queue::<()>(&store, |tx| {
        tx.next_number("tea")?;
        tx.meet_a_broken_page();
        Ok(())
    });
    let last = queue(&store, |tx| Ok(tx.next_number("tea")?));
    store.step();
    assert_eq!((now(first).expect("done"), now(last).expect("done")), (1, 2));
    assert!(matches!(now(meets), Err(No::Store(StoreError::Panicked(said))) if said == "a broken page"));
    assert_eq!(number(&store, "tea"), 2);
}

#[test]
fn a_batch_that_only_refuses_writes_nothing() {
    let disk = FlakyDisk::default();
    let store = open(&disk, false);
    let before = (store.seq().expect("it reads"), disk.image().steps);
    let refused = queue::<()>(&store, |_| Err(No::Refused));
    store.step();
    assert!(matches!(now(refused), Err(No::Refused)));
    assert_eq!((store.seq().expect("it reads"), disk.image().steps), before);
}

#[test]
fn nothing_is_answered_before_the_feed_has_it() {
    let store = open(&FlakyDisk::default(), false);
    let heard = Arc::new(AtomicU64::new(0));
    let ear = Arc::clone(&heard);
    store.on_commit(move |commit| {
        assert!(commit.changes.iter().any(|change| change.table == "counters" && change.after.is_some()));
        ear.store(commit.seq, Ordering::SeqCst);
    });
    store.write_now(|tx| Ok::<_, No>(tx.next_number("tea")?)).expect("done");
    assert_eq!(heard.load(Ordering::SeqCst), store.seq().expect("it reads"));
}

#[test]
fn a_reader_never_sees_half_a_batch() {
    let store = Arc::new(open(&FlakyDisk::default(), true));
    let is_over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (store, is_over) = (Arc::clone(&store), Arc::clone(&is_over));
            std::thread::spawn(move || {
                let mut looks = 0_u64;
                while !is_over.load(Ordering::SeqCst) {
                    let pair = store.read(|tx| {
                        let of = |name: &str| COUNTERS.get(tx, &name.to_owned()).map(|n| n.unwrap_or(0));
                        Ok::<_, StoreError>((of("left")?, of("right")?))
                    });
                    let (left, right) = pair.expect("it reads");
                    assert_eq!(left, right);
                    looks += 1;
                }
                looks
            })
        })
        .collect();
    for _ in 0..200 {
        store
            .write_now(|tx| {
                tx.next_number("left")?;
                tx.next_number("right")?;
                Ok::<_, No>(())
            })
            .expect("done");
    }
    is_over.store(true, Ordering::SeqCst);
    for reader in readers {
        assert!(reader.join().expect("no reader saw half a batch") > 0);
    }
}

#[test]
fn a_file_that_is_in_use_is_said_plainly() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = || Box::new(FileDisk::new(dir.path().join("till.redb"), 1 << 20));
    let options =
        |disk| Options { disk, clock: Arc::new(ManualClock::at(START)), seed: [1; 32], threaded: false };
    let _first = Store::open(options(disk())).expect("it opens");
    let said = Store::open(options(disk())).err().expect("it is locked").to_string();
    assert!(said.contains("in use by another process") && said.contains("--data-dir"), "{said}");
}

#[test]
fn a_file_from_a_newer_till_is_refused() {
    let disk = FlakyDisk::default();
    let store = open(&disk, false);
    store.write_now(|tx| tx.set_meta("format", "999")).expect("done");
    drop(store);
    let clock = Arc::new(ManualClock::at(START));
    let opened = Store::open(Options { disk: Box::new(disk), clock, seed: [7; 32], threaded: false });
    let said = opened.err().expect("it is newer").to_string();
    assert!(said.contains("newer till") && said.contains("999"), "{said}");
}

#[test]
fn a_key_gives_its_outcome_again_for_a_day() {
    let clock = Arc::new(ManualClock::at(START));
    let store = open_at(&FlakyDisk::default(), false, Arc::clone(&clock) as Arc<dyn Clock>);
    let once = |body: u8| {
        let key = OnceKey { scope: "1 POST /api/cart abc".into(), body: [body; 32], earlier: Vec::new() };
        let mut writing = Box::pin(store.write_once(Some(key), |tx| Ok::<_, No>(tx.next_number("tea")?)));
        assert!(writing.as_mut().now_or_never().is_none());
        store.step();
        writing.now_or_never().expect("answered")
    };
    assert!(matches!(once(1), Ok(Once::Fresh(1))));
    assert!(matches!(once(1), Ok(Once::Replayed(1))));
    assert!(matches!(once(2), Err(No::Reused)));
    clock.advance(Duration::from_secs(24 * 3600));
    assert!(matches!(once(2), Ok(Once::Fresh(2))));
    clock.advance(Duration::from_secs(25 * 3600));
    store.write_now(|tx| forget(tx, 10)).expect("done");
    assert_eq!(store.read(|tx| ONCE.count(tx)).expect("it reads"), 0);
}

#[test]
fn a_refusal_is_not_stored_under_its_key() {
    let store = open(&FlakyDisk::default(), false);
    let once = |refuses: bool| {
        let key = OnceKey { scope: "a".into(), body: [0; 32], earlier: Vec::new() };
        let act = move |tx: &mut WriteTx| if refuses { Err(No::Refused) } else { Ok(tx.next_number("tea")?) };
        let mut writing = Box::pin(store.write_once(Some(key), act));
        assert!(writing.as_mut().now_or_never().is_none());
        store.step();
        writing.now_or_never().expect("answered")
    };
    assert!(matches!(once(true), Err(No::Refused)));
    assert!(matches!(once(false), Ok(Once::Fresh(1))));
}

/// What I5 says of the whole file.
fn findings(store: &Store) -> Vec<Finding> {
    let mut tell = |_: &'static str, _, _| ControlFlow::Continue(());
    let look = Look::new(&mut tell);
    let look_through =
        |tx: &ReadTx| schema::tables().into_iter().try_for_each(|table| table.check(tx, &look));
    store.read(look_through).expect("it reads");
    look.findings()
}

#[test]
fn check_names_index_entries_that_are_lost_or_have_no_record_and_mending_ends_it() {
    let store = open(&FlakyDisk::default(), false);
    let user = crate::accounts::NewUser {
        email: "ann@example.com".parse().expect("an address"),
        name: "Ann".into(),
        role: crate::accounts::Role::Customer,
        password_hash: String::new(),
    };
    store.write_now(move |tx| crate::accounts::create_user(tx, &user).map(drop)).expect("done");
    assert_eq!(findings(&store), []);
    let (ann, ghost) = ("ann@example.com".to_owned().bytes(), "ghost@example.com".to_owned().bytes());
    let entry = ghost.clone();
    store
        .write_now(move |tx| {
            tx.put_raw("users.by_email", &entry, &9_u64.bytes())?;
            tx.delete_raw("users.by_email", &ann)?;
            // A write that no record stands behind is not in the change feed, so a number makes it a commit.
            tx.next_number("tea")
        })
        .expect("done");
    let found = findings(&store);
    let said: Vec<_> = found.iter().map(|f| (f.subject.as_str(), f.detail.as_str())).collect();
    let surplus = format!("users.by_email {}", crate::hex::hex(&ghost));
    assert_eq!(
        said,
        [
            ("users UserId(1)", "the record has no entry of its own in users.by_email"),
            (surplus.as_str(), "no record calls for this entry"),
        ]
    );
    let mend = |tx: &mut WriteTx| {
        let mended =
            schema::tables().into_iter().map(|table| table.mend_indexes(tx)).sum::<Result<u64, _>>()?;
        tx.next_number("tea").map(|_| mended)
    };
    assert_eq!(store.write_now(mend).expect("done"), 2);
    assert_eq!(findings(&store), []);
}

#[test]
fn pages_pass_over_what_is_before_them() {
    let store = open(&FlakyDisk::default(), false);
    store
        .write_now(|tx| {
            for n in 0..25 {
                COUNTERS.put(tx, &format!("n{n:02}"), &n)?;
            }
            Ok::<_, StoreError>(())
        })
        .expect("done");
    let mut seen = Vec::new();
    store
        .read(|tx| {
            COUNTERS.scan(tx, Span::under(b"n".to_vec(), Direction::Down), |key, _| {
                seen.push(key);
                ControlFlow::Continue(())
            })
        })
        .expect("it reads");
    assert_eq!((seen.len(), seen[0].as_str()), (25, "n24"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Whatever step of the disk fails, and whether it loses what was not synced: every answered write is there,
    /// no refused one is, and the shop goes on.
    #[test]
    fn a_disk_that_fails_at_any_step_loses_nothing_that_was_answered(
        fails_after in 1_u64..160,
        loses: bool,
        batches in proptest::collection::vec(1_usize..6, 4..10),
    ) {
        let disk = FlakyDisk::default();
        let store = open(&disk, false);
        {
            let mut image = disk.image();
            image.loses = loses;
            image.fails_at = Some(image.steps + fails_after);
        }
        let mut answered = Vec::new();
        for size in batches {
            let waiting: Vec<_> = (0..size).map(|_| queue(&store, |tx| Ok(tx.next_number("tea")?))).collect();
            store.step();
            for one in waiting {
                match now(one) {
                    Ok(number) => answered.push(number),
                    Err(No::Store(StoreError::Disk(_) | StoreError::Unavailable)) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
        let last = number(&store, "tea");
        prop_assert_eq!(answered.last().copied().unwrap_or(0), last, "answers and data agree");
        prop_assert_eq!(&answered, &(1..=last).collect::<Vec<_>>(), "no answered write was lost, none counted twice");
        drop(store);
        disk.heal();
        let store = open(&disk, false);
        prop_assert_eq!(number(&store, "tea"), last);
        prop_assert_eq!(findings(&store), []);
    }
}
