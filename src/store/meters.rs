//! How the writer and the file's cache do.

use std::time::Duration;

use crate::meters::{COUNTS, Counter, Histogram, SECONDS};

/// Counted since the store was opened.
pub struct Meters {
    /// How long acts waited for the writer.
    pub waited: Histogram,
    /// How many acts a commit holds.
    pub batch: Histogram,
    /// How long a commit took to be on the disk, its acts not counted in.
    pub commit: Histogram,
    /// Batches that were rolled back, because an act failed after it had written, or panicked.
    pub undone: Counter,
}

impl Default for Meters {
    fn default() -> Self {
        Meters {
            waited: Histogram::new(&SECONDS),
            batch: Histogram::new(&COUNTS),
            commit: Histogram::new(&SECONDS),
            undone: Counter::default(),
        }
    }
}

/// What an act went through, for whoever handed it in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ride {
    /// How long it waited for the writer.
    pub waited: Duration,
    /// How many acts were in its commit.
    pub acts: usize,
}

/// What the cache of the data file's pages did since the file was opened.
#[derive(Clone, Copy, Debug)]
pub struct Cache {
    pub hits: u64,
    pub misses: u64,
    pub evictions: u64,
    pub bytes: u64,
}
