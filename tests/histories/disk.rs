//! A disk that can do what disks do: lose, keep or tear what was not synced when the power fails, fail for a while, get
//! full, and forget after a failed sync what it was to write.
//!
//! redb's design document (docs/design.md, "Assumptions about underlying media") takes three things for granted, and so
//! does this disk: a byte is written or not, never something else; what was synced stays; bytes beside those that are
//! written don't change. So a write is torn between any two bytes, and sectors of it land in any order.

use std::collections::BTreeSet;
use std::io::{Error, ErrorKind, Result};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redb::{BackendError, Database, DatabaseError, StorageBackend};
use till::store::Disk;

const SECTOR: usize = 512;
/// What the system caches, and gives room on the disk, at once.
const PAGE: usize = 4096;
/// Small, so that pages are read again and written early.
const CACHE: usize = 256 << 10;

/// What was not synced yet.
#[derive(Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
}

/// What became of a change when the power failed.
#[derive(Clone, Copy)]
enum Fate {
    Lost,
    Kept,
    Torn,
}

/// How a shop ends without being asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The process is killed; the system goes on and forgets nothing.
    Killed,
    /// The power fails.
    PowerCut,
}

/// What a disk went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doings {
    pub operations: u64,
    pub syncs: u64,
    pub faults: u64,
    pub full: u64,
    /// Changes that were lost or torn.
    pub lost: u64,
    /// Of all that it did, in order.
    pub digest: u64,
}

#[derive(Debug)]
struct Platter {
    /// What is there when the power is back.
    durable: Vec<u8>,
    /// What the system shows.
    shown: Vec<u8>,
    pending: Vec<Change>,
    /// Pages that a failed sync has left in the cache, taken for clean: they are never written, and may be dropped.
    forgotten: BTreeSet<usize>,
    /// Pages that have room on the disk. The others are holes, as in a file that was made longer.
    backed: BTreeSet<usize>,
    /// How many more pages find room; none: as many as want it.
    room: Option<usize>,
    /// One of so many operations fails; none: the disk is sound.
    rarity: Option<u32>,
    /// Whether it behaves just now, however unsound.
    is_calm: bool,
    /// So many more operations fail.
    failing: u32,
    /// The power fails under the write or sync after so many.
    fuse: Option<u32>,
    is_off: bool,
    rng: StdRng,
    doings: Doings,
}

#[derive(Clone, Debug)]
pub struct SimDisk(Arc<Mutex<Platter>>);

fn broken() -> Error {
    Error::other("input/output error")
}

fn span(at: u64, len: usize) -> std::ops::Range<usize> {
    let at = usize::try_from(at).expect("it is in memory");
    at..at + len
}

/// The pages that hold these bytes.
fn pages(range: &std::ops::Range<usize>) -> std::ops::Range<usize> {
    range.start / PAGE..range.end.div_ceil(PAGE)
}

/// Puts `bytes` at `at`, as far as the file reaches.
fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    let end = file.len().min(at + bytes.len());
    if at < end {
        file[at..end].copy_from_slice(&bytes[..end - at]);
    }
}

impl Platter {
    /// Remembers what happened: two histories are the same only if their disks did the same.
    fn note(&mut self, what: u64, more: usize) {
        for word in [what, more as u64] {
            self.doings.digest =
                (self.doings.digest.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    /// Whether an operation that may fail goes well.
    fn attempt(&mut self, kind: u64, more: usize) -> Result<()> {
        self.doings.operations += 1;
        self.note(kind, more);
        if self.is_off {
            return Err(broken());
        }
        if !self.is_calm && !self.forgotten.is_empty() && self.rng.random_ratio(1, 16) {
            self.evict();
        }
        if !self.is_calm
            && self.failing == 0
            && let Some(rarity) = self.rarity
            && self.rng.random_ratio(1, rarity)
        {
            // Once, or for a while.
            self.failing = if self.rng.random() { 1 } else { self.rng.random_range(2..60) };
        }
        if self.failing > 0 && !self.is_calm {
            self.failing -= 1;
            self.doings.faults += 1;
            self.note(9, 0);
            return Err(broken());
        }
        Ok(())
    }

    /// Whether the power fails under this write or sync.
    fn burns(&mut self) -> bool {
        if let Some(left) = &mut self.fuse {
            *left = left.saturating_sub(1);
            self.is_off = *left == 0;
        }
        self.is_off
    }

    fn change(&mut self, change: Change) {
        match &change {
            Change::Write { at, bytes } => {
                put(&mut self.shown, *at, bytes);
                // What is written again is written, whatever was forgotten.
                for page in pages(&(*at..at + bytes.len())) {
                    if bytes.len() >= PAGE {
                        self.forgotten.remove(&page);
                    }
                }
            }
            Change::Length(len) => self.shown.resize(*len, 0),
        }
        self.pending.push(change);
    }

    /// Finds room for the pages of a write.
    fn back(&mut self, range: &std::ops::Range<usize>) -> Result<()> {
        for page in pages(range) {
            if self.backed.contains(&page) {
                continue;
            }
            if self.room == Some(0) && !self.is_calm {
                self.doings.full += 1;
                return Err(ErrorKind::StorageFull.into());
            }
            self.room = self.room.map(|room| room.saturating_sub(1));
            self.backed.insert(page);
        }
        Ok(())
    }

    /// Writes a change to the disk itself, or what `fate` lets land of it.
    fn land(&mut self, change: &Change, fate: Fate) {
        let (at, bytes) = match (fate, change) {
            (Fate::Lost, _) => return,
            // A file has one length or the other.
            (_, Change::Length(len)) => return self.durable.resize(*len, 0),
            (_, Change::Write { at, bytes }) => (*at, bytes),
        };
        let Fate::Torn = fate else { return put(&mut self.durable, at, bytes) };
        let cut = self.rng.random_range(0..=bytes.len());
        match self.rng.random_range(0..3) {
            0 => put(&mut self.durable, at, &bytes[..cut]),
            1 => put(&mut self.durable, at + cut, &bytes[cut..]),
            _ => {
                for (n, sector) in bytes.chunks(SECTOR).enumerate() {
                    if self.rng.random() {
                        put(&mut self.durable, at + n * SECTOR, sector);
                    }
                }
            }
        }
    }

    /// The end of all changes that were not synced: lost, kept or torn.
    fn scatter(&mut self, changes: &[Change]) {
        let all = self.rng.random_range(0..6);
        for change in changes {
            let fate = match (all, self.rng.random_range(0..5)) {
                (0, _) => Fate::Kept,
                (1, _) => Fate::Lost,
                (_, 0 | 1) => Fate::Kept,
                (_, 2 | 3) => Fate::Lost,
                _ => Fate::Torn,
            };
            if !matches!(fate, Fate::Kept) {
                self.doings.lost += 1;
            }
            self.land(change, fate);
        }
    }

    /// Some of the pages that a failed sync has left behind are dropped from the cache: reads show what is on the disk.
    fn evict(&mut self) {
        let dropped: Vec<_> = self.forgotten.iter().copied().filter(|_| self.rng.random()).collect();
        for page in dropped {
            self.forgotten.remove(&page);
            let range = page * PAGE..((page + 1) * PAGE).min(self.shown.len()).min(self.durable.len());
            if range.start < range.end {
                self.shown[range.clone()].copy_from_slice(&self.durable[range.clone()]);
            }
            for change in &self.pending {
                if let Change::Write { at, bytes } = change
                    && pages(&(*at..at + bytes.len())).contains(&page)
                {
                    put(&mut self.shown, *at, bytes);
                }
            }
        }
    }

    /// All that was written comes to the disk.
    fn flush(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            self.land(&change, Fate::Kept);
        }
    }

    /// What Linux does when a sync fails: it tells once, and takes the pages for clean, whether or not they came to the
    /// disk. (A length is the file system's own record, and is not forgotten.)
    fn forget(&mut self) {
        let (writes, lengths) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition::<Vec<_>, _>(|change| matches!(change, Change::Write { .. }));
        for length in &lengths {
            self.land(length, Fate::Kept);
        }
        self.scatter(&writes);
        for write in &writes {
            if let Change::Write { at, bytes } = write {
                self.forgotten.extend(pages(&(*at..at + bytes.len())));
            }
        }
    }
}

impl SimDisk {
    /// A disk that holds `bytes`. What happens to it is up to `seed`.
    pub fn of(bytes: &[u8], seed: u64) -> SimDisk {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x6469_736b);
        // Most disks are sound, and lose no more than what was not synced.
        let rarity = if rng.random() { None } else { Some(rng.random_range(100..3000)) };
        let used = bytes.chunks(PAGE).enumerate().filter(|(_, page)| page.iter().any(|byte| *byte != 0));
        SimDisk(Arc::new(Mutex::new(Platter {
            backed: used.map(|(page, _)| page).collect(),
            durable: bytes.to_vec(),
            shown: bytes.to_vec(),
            pending: Vec::new(),
            forgotten: BTreeSet::new(),
            room: None,
            rarity,
            is_calm: true,
            failing: 0,
            fuse: None,
            is_off: false,
            rng,
            doings: Doings::default(),
        })))
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is on it.
    pub fn image(&self) -> Vec<u8> {
        self.platter().durable.clone()
    }

    pub fn doings(&self) -> Doings {
        self.platter().doings
    }

    /// Whether it behaves from now on, or is what it is.
    pub fn calm(&self, is_calm: bool) {
        self.platter().is_calm = is_calm;
    }

    /// The power fails under the write or sync after so many.
    pub fn light(&self, fuse: u32) {
        self.platter().fuse = Some(fuse.max(1));
    }

    pub fn is_lit(&self) -> bool {
        self.platter().fuse.is_some()
    }

    /// Leaves room for so many pages.
    pub fn fill(&self, pages: usize) {
        self.platter().room = Some(pages);
    }

    /// Somebody makes room.
    pub fn free(&self) {
        self.platter().room = None;
    }

    /// The process reaches it no more.
    pub fn cut(&self) {
        self.platter().is_off = true;
    }

    pub fn is_off(&self) -> bool {
        self.platter().is_off
    }

    /// It can be used again, by another process.
    pub fn come_back(&self, after: End) {
        let mut platter = self.platter();
        if after == End::PowerCut {
            let changes = std::mem::take(&mut platter.pending);
            platter.scatter(&changes);
            platter.forgotten.clear();
            platter.shown = platter.durable.clone();
        }
        platter.is_off = false;
        platter.fuse = None;
        platter.failing = 0;
        platter.note(8, 0);
    }
}

impl Disk for SimDisk {
    fn open(&self) -> std::result::Result<Database, DatabaseError> {
        Database::builder().set_cache_size(CACHE).create_with_backend(self.clone())
    }

    fn room(&self) -> Result<()> {
        let mut platter = self.platter();
        platter.attempt(1, 0)?;
        let is_full = platter.room.is_some_and(|room| room < 256) && !platter.is_calm;
        if is_full { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn name(&self) -> String {
        "a simulated disk".into()
    }
}

impl StorageBackend for SimDisk {
    fn len(&self) -> Result<u64> {
        Ok(self.platter().shown.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let mut platter = self.platter();
        platter.attempt(2, out.len())?;
        out.copy_from_slice(&platter.shown[span(offset, out.len())]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let mut platter = self.platter();
        let len = usize::try_from(len).expect("it is in memory");
        platter.attempt(3, len)?;
        platter.change(Change::Length(len));
        if platter.burns() { Err(broken()) } else { Ok(()) }
    }

    fn sync_data(&self) -> Result<()> {
        let mut platter = self.platter();
        platter.doings.syncs += 1;
        if let Err(error) = platter.attempt(4, 0) {
            if !platter.is_off {
                platter.forget();
            }
            return Err(error);
        }
        if platter.burns() {
            return Err(broken());
        }
        platter.flush();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let mut platter = self.platter();
        let range = span(offset, data.len());
        platter.attempt(5, range.start)?;
        platter.back(&range)?;
        platter.change(Change::Write { at: range.start, bytes: data.to_vec() });
        if platter.burns() { Err(broken()) } else { Ok(()) }
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> std::result::Result<bool, BackendError> {
        Ok(true)
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> std::result::Result<(), BackendError> {
        Ok(())
    }
}
