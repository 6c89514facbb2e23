//! A disk that can do what disks do: lose, keep or tear what was not synced when the power fails, fail for a while, get
//! full, and forget after a failed sync what it was to write; and when the power fails after a rename that was not
//! synced, show the old name or the new one.
//!
//! redb's design document (docs/design.md, "Assumptions about underlying media") takes three things for granted, and so
//! does this disk: a byte is written or not, never something else; what was synced stays; bytes beside those that are
//! written don't change. So a write is torn between any two bytes, and sectors of it land in any order.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redb::{BackendError, Database, DatabaseError, StorageBackend, StorageError};
use till::store::Disk;

use super::file::{Change, Content, pages};

/// Small, so that pages are read again and written early.
const CACHE: usize = 256 << 10;

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

/// Which file is the shop's, and which is beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Names {
    first: u32,
    beside: Option<u32>,
}

#[derive(Debug)]
struct Platter {
    /// By their inodes.
    files: BTreeMap<u32, Content>,
    /// Whose names are what: as the system shows it, and as it is when the power is back.
    names: Names,
    kept: Names,
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
    /// Whether something is likely to happen while files change places.
    is_slippery: bool,
    is_off: bool,
    rng: StdRng,
    doings: Doings,
}

#[derive(Clone, Debug)]
pub struct SimDisk(Arc<Mutex<Platter>>);

/// A file that is open.
#[derive(Debug)]
struct Handle {
    disk: SimDisk,
    inode: u32,
}

fn broken() -> Error {
    Error::other("input/output error")
}

fn span(at: u64, len: usize) -> Range<usize> {
    let at = usize::try_from(at).expect("it is in memory");
    at..at + len
}

impl Platter {
    /// Remembers what happened: two histories are the same only if their disks did the same.
    fn note(&mut self, what: u64, more: usize) {
        for word in [what, more as u64] {
            self.doings.digest =
                (self.doings.digest.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn file(&mut self, inode: u32) -> &mut Content {
        self.files.get_mut(&inode).expect("what has a name or a handle is there")
    }

    /// Whether an operation that may fail goes well.
    fn attempt(&mut self, kind: u64, more: usize) -> Result<()> {
        self.doings.operations += 1;
        self.note(kind, more);
        if self.is_off {
            return Err(broken());
        }
        let has_forgotten = self.files.values().any(|file| !file.forgotten.is_empty());
        if !self.is_calm && has_forgotten && self.rng.random_ratio(1, 16) {
            self.files.values_mut().for_each(|file| file.evict(&mut self.rng));
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
    fn burns(&mut self) -> Result<()> {
        if let Some(left) = &mut self.fuse {
            *left = left.saturating_sub(1);
            self.is_off = *left == 0;
        }
        if self.is_off { Err(broken()) } else { Ok(()) }
    }

    /// Before files change places, and before that is synced.
    fn slip(&mut self) {
        if self.is_slippery && !self.is_calm {
            match self.rng.random_range(0..6) {
                0 => self.is_off = true,
                1 => self.failing = 1,
                2 => self.failing = self.rng.random_range(2..12),
                _ => {}
            }
        }
    }

    /// Finds room for the pages of a write.
    fn back(&mut self, inode: u32, range: &Range<usize>) -> Result<()> {
        for page in pages(range) {
            if self.file(inode).backed.contains(&page) {
                continue;
            }
            if self.room == Some(0) && !self.is_calm {
                self.doings.full += 1;
                return Err(ErrorKind::StorageFull.into());
            }
            self.room = self.room.map(|room| room.saturating_sub(1));
            self.file(inode).backed.insert(page);
        }
        Ok(())
    }

    /// What has no name and no handle any more is gone, and its room is free.
    fn clear_away(&mut self) {
        let named = [Some(self.names.first), self.names.beside, Some(self.kept.first), self.kept.beside];
        let room = &mut self.room;
        self.files.retain(|inode, file| {
            let stays = file.handles > 0 || named.contains(&Some(*inode));
            if !stays {
                *room = room.map(|room| room + file.backed.len());
            }
            stays
        });
    }

    /// What has which name is so after a power cut, too.
    fn sync_names(&mut self) -> Result<()> {
        self.slip();
        self.attempt(7, 0)?;
        self.burns()?;
        self.kept = self.names;
        self.clear_away();
        Ok(())
    }
}

impl SimDisk {
    /// A disk that holds `bytes`. What happens to it is up to `seed`.
    pub fn of(bytes: &[u8], seed: u64) -> SimDisk {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x6469_736b);
        // Most disks are sound, and lose no more than what was not synced.
        let rarity = if rng.random() { None } else { Some(rng.random_range(100..3000)) };
        SimDisk(Arc::new(Mutex::new(Platter {
            files: BTreeMap::from([(0, Content::of(bytes))]),
            names: Names::default(),
            kept: Names::default(),
            room: None,
            rarity,
            is_calm: true,
            failing: 0,
            fuse: None,
            is_slippery: false,
            is_off: false,
            rng,
            doings: Doings::default(),
        })))
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in the shop's file.
    pub fn image(&self) -> Vec<u8> {
        let mut platter = self.platter();
        let first = platter.names.first;
        platter.file(first).durable.clone()
    }

    /// Whether there is a second file.
    pub fn has_beside(&self) -> bool {
        self.platter().names.beside.is_some()
    }

    pub fn doings(&self) -> Doings {
        self.platter().doings
    }

    /// Whether it behaves from now on, or is what it is.
    pub fn calm(&self, is_calm: bool) {
        self.platter().is_calm = is_calm;
    }

    /// Has the power hold for now; after how many writes and syncs it would have failed, for [`SimDisk::light`].
    pub fn put_out(&self) -> Option<u32> {
        self.platter().fuse.take()
    }

    /// The power fails under the write or sync after so many.
    pub fn light(&self, fuse: u32) {
        self.platter().fuse = Some(fuse.max(1));
    }

    pub fn is_lit(&self) -> bool {
        self.platter().fuse.is_some()
    }

    /// Whether the power may well fail, or the disk, when files change places.
    pub fn slippery(&self, is_slippery: bool) {
        self.platter().is_slippery = is_slippery;
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
        let mut guard = self.platter();
        let platter = &mut *guard;
        if after == End::PowerCut {
            for file in platter.files.values_mut() {
                platter.doings.lost += file.lose_power(&mut platter.rng);
            }
            // What was renamed or removed and not synced is so, or as it was.
            if platter.rng.random() {
                platter.names = platter.kept;
            }
            platter.kept = platter.names;
            platter.clear_away();
        }
        platter.is_off = false;
        platter.fuse = None;
        platter.failing = 0;
        platter.is_slippery = false;
        platter.note(8, 0);
    }

    fn open_file(&self, inode: u32) -> std::result::Result<Database, DatabaseError> {
        self.platter().file(inode).handles += 1;
        let handle = Handle { disk: self.clone(), inode };
        Database::builder().set_cache_size(CACHE).create_with_backend(handle)
    }
}

impl Disk for SimDisk {
    fn open(&self) -> std::result::Result<Database, DatabaseError> {
        self.keep_place().map_err(StorageError::Io)?;
        let first = self.platter().names.first;
        self.open_file(first)
    }

    fn room(&self) -> Result<()> {
        let mut platter = self.platter();
        platter.attempt(1, 0)?;
        let is_full = platter.room.is_some_and(|room| room < 256) && !platter.is_calm;
        if is_full { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn size(&self) -> Result<u64> {
        let mut platter = self.platter();
        platter.attempt(10, 0)?;
        let first = platter.names.first;
        Ok(platter.file(first).shown.len() as u64)
    }

    fn open_beside(&self) -> std::result::Result<Database, DatabaseError> {
        self.give_up_beside();
        let mut platter = self.platter();
        platter.attempt(11, 0).map_err(StorageError::Io)?;
        let inode = platter.files.keys().max().map_or(0, |last| last + 1);
        platter.files.insert(inode, Content::default());
        platter.names.beside = Some(inode);
        platter.sync_names().map_err(StorageError::Io)?;
        drop(platter);
        self.open_file(inode)
    }

    fn replace(&self) -> Result<()> {
        let mut platter = self.platter();
        platter.slip();
        platter.attempt(6, 0)?;
        let beside = platter.names.beside.ok_or(ErrorKind::NotFound)?;
        platter.names = Names { first: beside, beside: None };
        platter.burns()
    }

    fn keep_place(&self) -> Result<()> {
        self.platter().sync_names()
    }

    fn give_up_beside(&self) {
        let mut platter = self.platter();
        if platter.names.beside.is_some() && platter.attempt(12, 0).is_ok() {
            platter.names.beside = None;
            platter.clear_away();
        }
    }

    fn name(&self) -> String {
        "a simulated disk".into()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut platter = self.disk.platter();
        platter.file(self.inode).handles -= 1;
        platter.clear_away();
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> Result<u64> {
        Ok(self.disk.platter().file(self.inode).shown.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let mut platter = self.disk.platter();
        platter.attempt(2, out.len())?;
        out.copy_from_slice(&platter.file(self.inode).shown[span(offset, out.len())]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let mut platter = self.disk.platter();
        let len = usize::try_from(len).expect("it is in memory");
        platter.attempt(3, len)?;
        platter.file(self.inode).change(Change::Length(len));
        platter.burns()
    }

    fn sync_data(&self) -> Result<()> {
        let mut guard = self.disk.platter();
        let platter = &mut *guard;
        platter.doings.syncs += 1;
        let attempted = platter.attempt(4, 0);
        let file = platter.files.get_mut(&self.inode).expect("it is open");
        if attempted.is_err() && !platter.is_off {
            platter.doings.lost += file.forget(&mut platter.rng);
        }
        attempted?;
        platter.burns()?;
        let file = platter.files.get_mut(&self.inode).expect("it is open");
        file.flush(&mut platter.rng);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let mut platter = self.disk.platter();
        let range = span(offset, data.len());
        platter.attempt(5, range.start)?;
        platter.back(self.inode, &range)?;
        platter.file(self.inode).change(Change::Write { at: range.start, bytes: data.to_vec() });
        platter.burns()
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> std::result::Result<bool, BackendError> {
        Ok(true)
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> std::result::Result<(), BackendError> {
        Ok(())
    }
}
