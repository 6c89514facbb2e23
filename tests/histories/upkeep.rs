//! What is done for the data file while customers buy: it is compacted, and backed up.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

use rand::RngExt;
use serde_json::json;
use till::backup::{Backup, BackupError, Header, Trial, format};
use till::store::StoreError;

use super::audit;
use super::disk::Doings;
use super::mirror::Records;
use super::shop::Who;
use super::world::World;

pub const COMPACT: &str = "/api/admin/compact/";

/// Most writes and syncs of a compaction that the power fails under, and most pages that it may find room for.
const WRITES: u32 = 250;
const PAGES: usize = 600;

impl World<'_> {
    /// The operator compacts the file: mostly while others go on, on a disk that may not bear it.
    pub fn compact(&mut self) {
        if self.is_rough {
            match self.rng.random_range(0..8) {
                0 => self.disk.light(self.rng.random_range(1..WRITES)),
                1 => self.disk.fill(self.rng.random_range(0..PAGES)),
                2..5 => self.disk.slippery(true),
                _ => {}
            }
        }
        if self.rng.random_ratio(1, 4) {
            return self.request(Who::Operator, COMPACT.into(), json!({}), Vec::new());
        }
        self.note("compacts".into());
        let (app, mut is_stopped) = (Arc::clone(self.app()), false);
        let compacted = app.store.compact(&mut |_, _, _| {
            is_stopped = self.meanwhile().is_break() || self.rng.random_ratio(1, 30);
            if is_stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        self.disk.slippery(false);
        self.note(format!("compacted: {:?}", compacted.as_ref().map(|done| done.bytes_after)));
        match compacted {
            Ok(_) => self.is_compacted(),
            // It is in the middle of one.
            Err(StoreError::Busy) => {}
            Err(error) => {
                self.tally.given_up += 1;
                assert!(is_stopped || !self.is_sound(), "it is not compacted: {error}");
                self.holds_the_same();
            }
        }
    }

    /// The file is another one now.
    pub fn is_compacted(&mut self) {
        self.tally.compactions += 1;
        // What opens the file anew may write, and the power fail under that.
        let can_be_read = !self.disk.is_off() && self.holds_the_same();
        assert!(can_be_read || self.disk.is_off(), "it can be read");
        if can_be_read {
            // Reads may write, too: redb lets go of pages that it has not written yet.
            let left = self.disk.put_out();
            self.disk.calm(true);
            audit::holds(self);
            self.disk.calm(!self.is_rough);
            if let Some(left) = left {
                self.disk.light(left);
            }
        }
    }

    /// Whether the file can be read; then it holds what it held.
    fn holds_the_same(&mut self) -> bool {
        self.disk.calm(true);
        let found = Records::of(self.app());
        self.disk.calm(!self.is_rough);
        let is_read = found.is_ok();
        if let Ok(found) = found {
            assert!(!self.mirror.compare(found), "there is a commit that nobody was told of");
        }
        is_read
    }

    /// A backup is made, of this moment, while others go on.
    pub fn back_up(&mut self) {
        let (app, then) = (Arc::clone(self.app()), self.mirror.records().clone());
        let mut out = Slow { world: self, bytes: Vec::new() };
        let made = app.store.read(|tx| {
            let header = Header::of(tx)?;
            format::write(tx, &header, &mut out, |_| ControlFlow::Continue(()))?;
            Ok::<_, BackupError>(())
        });
        let bytes = out.bytes;
        match made {
            Ok(()) => {
                is_of(&bytes, &then);
                self.note(format!("backup of commit {}, {} bytes", then.seq, bytes.len()));
                self.tally.backups += 1;
                self.backup = Some(bytes);
            }
            Err(error) => {
                self.note(format!("no backup: {error}"));
                assert!(!self.is_sound(), "there is no backup: {error}");
            }
        }
    }

    /// The last backup is a whole shop.
    pub fn prove_backup(&mut self) {
        let Some(backup) = self.backup.take() else { return };
        let going = &mut |_, _, _| ControlFlow::Continue(());
        let trial = Trial::of_backup(&backup[..], &std::env::temp_dir(), going).expect("it can be unpacked");
        let report = trial.check(going).expect("it can be read");
        assert_eq!(report.findings, [], "till check of a backup");
        let header = trial.header.as_ref().expect("it is of a backup");
        assert_eq!(report.commit, header.commit);
        self.tally.unpacked += 1;
    }

    /// Whether the disk has never failed, and there is power.
    fn is_sound(&self) -> bool {
        let Doings { faults, full, .. } = self.disk.doings();
        faults + full == 0 && !self.disk.is_off()
    }

    /// Others go on while something is in the middle of its work. It breaks off when there is no power any more.
    fn meanwhile(&mut self) -> ControlFlow<()> {
        for _ in 0..self.rng.random_range(0..4) {
            match self.rng.random_range(0..14) {
                0..5 => self.race(),
                5..8 => self.adjust(),
                8..10 => self.tell(),
                10 => self.run_jobs(),
                11 => self.import(),
                12 => self.compact(),
                _ => self.back_up(),
            }
            for _ in 0..self.rng.random_range(0..20) {
                if self.disk.is_off() {
                    return ControlFlow::Break(());
                }
                self.move_on();
            }
        }
        ControlFlow::Continue(())
    }
}

/// Holds a backup against the records of the commit that it shows.
fn is_of(bytes: &[u8], then: &Records) {
    let mut found = Vec::new();
    let header = Backup::open(bytes).expect("it is a backup").each(|table, key, record| {
        found.push((table.to_owned(), key.to_vec(), record.to_vec()));
        Ok(())
    });
    assert_eq!(header.expect("it is whole").commit, then.seq);
    found.sort();
    let rows = then.rows.iter().map(|((table, key), record)| (*table, key, record));
    assert!(
        found.iter().map(|(table, key, record)| (table.as_str(), key, record)).eq(rows),
        "a backup of commit {} is not what was answered",
        then.seq
    );
}

/// Where a backup goes, while others go on.
struct Slow<'a, 'b> {
    world: &'a mut World<'b>,
    bytes: Vec<u8>,
}

impl Write for Slow<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.world.rng.random_ratio(1, 3) && self.world.meanwhile().is_break() {
            return Err(io::Error::other("there is no power"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
