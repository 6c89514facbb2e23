//! One file of the simulated disk: what is written to it, and what of that is there when the power is back.

use std::collections::BTreeSet;
use std::ops::Range;

use rand::RngExt;
use rand::rngs::StdRng;

const SECTOR: usize = 512;
/// What the system caches, and gives room on the disk, at once.
pub const PAGE: usize = 4096;

/// What was not synced yet.
#[derive(Debug)]
pub enum Change {
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

#[derive(Debug, Default)]
pub struct Content {
    /// What is there when the power is back.
    pub durable: Vec<u8>,
    /// What the system shows.
    pub shown: Vec<u8>,
    pending: Vec<Change>,
    /// Pages that a failed sync has left in the cache, taken for clean: they are never written, and may be dropped.
    pub forgotten: BTreeSet<usize>,
    /// Pages that have room on the disk. The others are holes, as in a file that was made longer.
    pub backed: BTreeSet<usize>,
    /// How many have it open.
    pub handles: usize,
}

/// The pages that hold these bytes.
pub fn pages(range: &Range<usize>) -> Range<usize> {
    range.start / PAGE..range.end.div_ceil(PAGE)
}

/// Puts `bytes` at `at`, as far as the file reaches.
fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    let end = file.len().min(at + bytes.len());
    if at < end {
        file[at..end].copy_from_slice(&bytes[..end - at]);
    }
}

impl Content {
    pub fn of(bytes: &[u8]) -> Content {
        let used = bytes.chunks(PAGE).enumerate().filter(|(_, page)| page.iter().any(|byte| *byte != 0));
        let backed = used.map(|(page, _)| page).collect();
        Content { durable: bytes.to_vec(), shown: bytes.to_vec(), backed, ..Content::default() }
    }

    pub fn change(&mut self, change: Change) {
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

    /// Writes a change to the disk itself, or what `fate` lets land of it.
    fn land(&mut self, rng: &mut StdRng, change: &Change, fate: Fate) {
        let (at, bytes) = match (fate, change) {
            (Fate::Lost, _) => return,
            // A file has one length or the other.
            (_, Change::Length(len)) => return self.durable.resize(*len, 0),
            (_, Change::Write { at, bytes }) => (*at, bytes),
        };
        let Fate::Torn = fate else { return put(&mut self.durable, at, bytes) };
        let cut = rng.random_range(0..=bytes.len());
        match rng.random_range(0..3) {
            0 => put(&mut self.durable, at, &bytes[..cut]),
            1 => put(&mut self.durable, at + cut, &bytes[cut..]),
            _ => {
                for (n, sector) in bytes.chunks(SECTOR).enumerate() {
                    if rng.random() {
                        put(&mut self.durable, at + n * SECTOR, sector);
                    }
                }
            }
        }
    }

    /// The end of all these changes, which were not synced: lost, kept or torn. How many were not kept.
    fn scatter(&mut self, rng: &mut StdRng, changes: &[Change]) -> u64 {
        let all = rng.random_range(0..6);
        let mut lost = 0;
        for change in changes {
            let fate = match (all, rng.random_range(0..5)) {
                (0, _) => Fate::Kept,
                (1, _) => Fate::Lost,
                (_, 0 | 1) => Fate::Kept,
                (_, 2 | 3) => Fate::Lost,
                _ => Fate::Torn,
            };
            lost += u64::from(!matches!(fate, Fate::Kept));
            self.land(rng, change, fate);
        }
        lost
    }

    /// The power fails: what was not synced is scattered, and the rest is what the system shows from now on. How many
    /// changes were not kept.
    pub fn lose_power(&mut self, rng: &mut StdRng) -> u64 {
        let changes = std::mem::take(&mut self.pending);
        let lost = self.scatter(rng, &changes);
        self.forgotten.clear();
        self.shown = self.durable.clone();
        lost
    }

    /// Some of the pages that a failed sync has left behind are dropped from the cache: reads show what is on the disk.
    pub fn evict(&mut self, rng: &mut StdRng) {
        let dropped: Vec<_> = self.forgotten.iter().copied().filter(|_| rng.random()).collect();
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
    pub fn flush(&mut self, rng: &mut StdRng) {
        for change in std::mem::take(&mut self.pending) {
            self.land(rng, &change, Fate::Kept);
        }
    }

    /// What Linux does when a sync fails: it tells once, and takes the pages for clean, whether or not they came to the
    /// disk. (A length is the file system's own record, and is not forgotten.) How many changes were not kept.
    pub fn forget(&mut self, rng: &mut StdRng) -> u64 {
        let (writes, lengths) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition::<Vec<_>, _>(|change| matches!(change, Change::Write { .. }));
        for length in &lengths {
            self.land(rng, length, Fate::Kept);
        }
        let lost = self.scatter(rng, &writes);
        for write in &writes {
            if let Change::Write { at, bytes } = write {
                self.forgotten.extend(pages(&(*at..at + bytes.len())));
            }
        }
        lost
    }
}
