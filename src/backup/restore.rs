//! Putting a backup in the place of a stopped shop's data.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::format::{BackupError, Header};
use super::unpack::{open_alone, unpack};
use crate::accounts;
use crate::app::DATA_FILE;
use crate::check::{Report, check_all};
use crate::clock::Time;
use crate::money::Currency;
use crate::payments::{self, Restored};
use crate::store::{META, Tell};

/// What the directory's name begins with in which the new file is made.
const MAKING: &str = ".till-restore-";

/// Where a backup is to be put.
pub struct Place<'a> {
    pub dir: &'a Path,
    /// The currency of the shop that it is to be.
    pub currency: Currency,
    /// Takes the place of a shop that is there, and of a backup's word that all is well.
    pub force: bool,
    /// The moment of the restore.
    pub now: Time,
}

/// What was restored.
pub struct Done {
    pub header: Header,
    pub report: Report,
    /// Where the data is that was there before.
    pub aside: Option<PathBuf>,
}

/// Why nothing was restored. What was there before is there still.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("a till runs on {}; stop it first", .0.display())]
    InUse(PathBuf),
    #[error("there is a shop in {} already; --force puts the backup in its place, and keeps what was there beside it", .0.display())]
    Occupied(PathBuf),
    #[error("the backup is of a shop in {has}, and shop.currency is {wanted}: set it to {has} first")]
    Currency { has: String, wanted: Currency },
    #[error("the backup is whole, but the check finds {} things wrong in it; --force restores it all the same", .0.findings.len())]
    Findings(Box<Report>),
    #[error("{0}")]
    Backup(#[from] BackupError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Reads the backup to its end, makes a data file of it in `dir`, checks that, marks it as restored, and puts it in
/// its place in one step: whatever happens on the way, there is the old data or the new.
///
/// # Errors
/// When a shop runs there; without `force`, when there is one, or when the check has findings.
pub fn restore(input: impl Read, place: &Place<'_>, tell: &mut Tell<'_>) -> Result<Done, RestoreError> {
    let Place { dir, currency, force, now } = *place;
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let target = dir.join(DATA_FILE);
    // Held to the end, so that no till begins to run on what is replaced, and no other restore replaces it.
    let old = match File::open(&target) {
        Ok(old) => {
            match old.try_lock() {
                Err(TryLockError::WouldBlock) => return Err(RestoreError::InUse(target)),
                Err(TryLockError::Error(error)) => return Err(error.into()),
                Ok(()) => {}
            }
            if !force {
                return Err(RestoreError::Occupied(dir.to_owned()));
            }
            Some(old)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };

    if old.is_some() {
        clear_away(dir)?;
    }
    // In the same directory, so that it only needs another name in the end.
    let mode = Permissions::from_mode(0o700);
    let making = tempfile::Builder::new().prefix(MAKING).permissions(mode).tempdir_in(dir)?;
    let new = making.path().join(DATA_FILE);
    let header = unpack(input, &new, tell)?;
    let report = {
        let store = open_alone(&new)?;
        let has = store.read(|tx| META.get(tx, &"currency".to_owned())).map_err(BackupError::from)?;
        if let Some(has) = has.filter(|has| has != currency.code()) {
            return Err(RestoreError::Currency { has, wanted: currency });
        }
        let report = check_all(&store, tell).map_err(BackupError::from)?;
        if !report.ok && !force {
            return Err(RestoreError::Findings(Box::new(report)));
        }
        let (backup_of, commit) = (header.created_at, header.commit);
        let mark = move |tx: &mut crate::store::WriteTx| {
            accounts::pass_over_sessions(tx)?;
            payments::mark(tx, &Restored { backup_of, commit, restored_at: now })
        };
        store.write_now(mark).map_err(BackupError::from)?;
        report
    };

    let aside = if old.is_some() {
        let aside = set_aside(dir, &target)?;
        fs::rename(&new, &target)?;
        Some(aside)
    } else {
        put_in_place(&new, &target)?;
        None
    };
    File::open(dir)?.sync_all()?;
    Ok(Done { header, report, aside })
}

/// Removes what a restore that was killed has left. Nobody else restores here just now.
fn clear_away(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(MAKING) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Gives the file its name, unless a shop has begun there meanwhile.
fn put_in_place(new: &Path, target: &Path) -> Result<(), RestoreError> {
    let occupied = || RestoreError::Occupied(target.parent().unwrap_or(target).to_owned());
    match fs::hard_link(new, target) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(occupied()),
        // Not every file system has such links.
        Err(_) if target.exists() => Err(occupied()),
        Err(_) => Ok(fs::rename(new, target)?),
    }
}

/// Gives the data that is there a second name, which it keeps when the first becomes another's.
fn set_aside(dir: &Path, target: &Path) -> io::Result<PathBuf> {
    for n in 1.. {
        let aside = dir.join(format!("{DATA_FILE}.before-restore-{n}"));
        match fs::hard_link(target, &aside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(_) if !aside.exists() => {
                let copy = tempfile::NamedTempFile::new_in(dir)?;
                fs::copy(target, copy.path())?;
                copy.as_file().sync_all()?;
                return copy.persist(&aside).map(|_| aside).map_err(|error| error.error);
            }
            linked => return linked.map(|()| aside),
        }
    }
    unreachable!("there are more numbers than files")
}
