//! From a backup to a data file, and files that are tried out alone.

use std::fs::{File, Permissions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::format::{Backup, BackupError, Header};
use crate::check::{Report, check_all};
use crate::clock::SystemClock;
use crate::store::{Disk, FileDisk, Options, Rebuild, Store, StoreError, Tell, Upgrade, is_sound};

/// redb's page cache of a file that is made or tried out (bytes).
const CACHE: usize = 64 << 20;

/// Makes a data file of a backup, where there is none yet. `tell` hears how far it is, and ends it by breaking.
pub fn unpack(input: impl Read, into: &Path, tell: &mut Tell<'_>) -> Result<Header, BackupError> {
    let backup = Backup::open(input)?;
    let rows = backup.header.rows();
    let disk = FileDisk::new(into.to_owned(), CACHE);
    let db = disk.open().map_err(|error| StoreError::Disk(error.to_string()))?;
    let mut file = Rebuild::begin(db);
    let mut done = 0;
    let header = backup.each(|table, key, record| {
        file.put(table, key, record)?;
        done += 1;
        if done % 4096 == 0 && tell("reading", done, rows).is_break() {
            return Err(BackupError::Stopped);
        }
        Ok(())
    })?;
    file.finish()?;
    Ok(header)
}

/// A data file of its own, that is gone when this is dropped: what checks may do to a file they do to this one.
pub struct Trial {
    _dir: TempDir,
    path: PathBuf,
    /// What the backup said of itself, where it is made of one.
    pub header: Option<Header>,
}

impl Trial {
    fn begin(scratch: &Path) -> io::Result<Trial> {
        let dir = tempfile::Builder::new()
            .prefix(".till-check-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(scratch)?;
        let path = dir.path().join("trial.redb");
        Ok(Trial { _dir: dir, path, header: None })
    }

    /// A backup, read to its end and made a data file in `scratch`.
    pub fn of_backup(input: impl Read, scratch: &Path, tell: &mut Tell<'_>) -> Result<Trial, BackupError> {
        let mut trial = Trial::begin(scratch)?;
        trial.header = Some(unpack(input, &trial.path, tell)?);
        Ok(trial)
    }

    /// A copy of a stopped shop's data file.
    ///
    /// # Errors
    /// [`BackupError::InUse`] when a shop runs on it.
    pub fn of_file(path: &Path, scratch: &Path) -> Result<Trial, BackupError> {
        let file = File::open(path)?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => return Err(BackupError::InUse),
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Ok(()) => {}
        }
        if file.metadata()?.len() == 0 {
            return Err(BackupError::Unfit("it is empty: no shop was ever in it, or it is damaged".into()));
        }
        let trial = Trial::begin(scratch)?;
        std::fs::copy(path, &trial.path)?;
        Ok(trial)
    }

    /// redb's own look at every page: whether they are as it wrote them.
    pub fn is_sound(&self) -> Result<bool, BackupError> {
        Ok(is_sound(&self.path, CACHE)?)
    }

    /// Runs every check.
    pub fn check(&self, tell: &mut Tell<'_>) -> Result<Report, BackupError> {
        Ok(check_all(&open_alone(&self.path)?, tell)?)
    }
}

/// Opens a data file that nobody else knows of.
pub fn open_alone(path: &Path) -> Result<Store, BackupError> {
    let disk = Box::new(FileDisk { upgrade: Upgrade::Direct, ..FileDisk::new(path.to_owned(), CACHE) });
    let options = Options { disk, clock: Arc::new(SystemClock), seed: [0; 32], threaded: false };
    Store::open(options).map_err(|error| BackupError::Unfit(error.to_string()))
}
