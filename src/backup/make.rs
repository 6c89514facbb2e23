//! A backup that the shop makes by itself: written, proven good, put on the shelf, read back; then what is not to be
//! kept makes room.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::crypt::{Lock, seal};
use super::digest::Digesting;
use super::format::{BackupError, Header, write};
use super::keeping::Keeping;
use super::shelf::{Kept, Shelf, ShelfError};
use super::unpack::Trial;
use crate::app::App;
use crate::clock::Time;
use crate::outbox::{self, Cause};
use crate::store::{META, Reads, StoreError, WriteTx};
use crate::telemetry::aside;

/// What is known of the last backups, among the file's properties.
const NAME: &str = "backups";

/// How the last backup went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// When the last good one was made.
    pub last_at: Option<Time>,
    /// When the last one was made and kept, good or with something wrong in what it shows.
    #[serde(default)]
    pub made_at: Option<Time>,
    /// Why the last try came to nothing, since when; none after a good one.
    pub failed: Option<Failure>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub at: Time,
    pub said: String,
}

/// How the last backup went.
pub fn standing(tx: &impl Reads) -> Result<Standing, StoreError> {
    let text = META.get(tx, &NAME.to_owned())?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Why no backup came about.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    #[error("{0}")]
    Backup(#[from] BackupError),
    #[error("{0}")]
    Shelf(#[from] ShelfError),
    #[error("what was read back is not what was written")]
    Changed,
    #[error("another backup is being made; wait for its end")]
    Running,
    #[error("it was made and kept, and the check finds {0} things wrong in it: see `till check`")]
    Findings(usize),
}

impl From<io::Error> for MakeError {
    fn from(error: io::Error) -> MakeError {
        MakeError::Backup(error.into())
    }
}

/// A file that waits to be put on the shelf.
struct Made {
    header: Header,
    digest: [u8; 32],
    findings: usize,
}

/// Makes a backup, and writes down how that went.
pub async fn make(app: &Arc<App>, keeping: Option<Keeping>) -> Result<Kept, MakeError> {
    let _alone = app.in_flight.enter("backup").map_err(|_| MakeError::Running)?;
    let made = try_to_make(app, keeping).await;
    let now = app.clock.now();
    let mut standing = app.store.read(standing).unwrap_or_default();
    match &made {
        Ok(kept) => {
            standing = Standing { last_at: Some(now), made_at: Some(now), failed: None };
            tracing::info!(name = kept.name, bytes = kept.bytes, "a backup was made and proven good");
        }
        Err(error) => {
            if let MakeError::Findings(_) = error {
                standing.made_at = Some(now);
            }
            standing.failed = Some(Failure { at: now, said: error.to_string() });
            tracing::error!(%error, "no good backup could be made");
        }
    }
    let act = move |tx: &mut WriteTx| {
        if let Some(Failure { at, said }) = standing.failed.clone() {
            outbox::post(tx, Cause::BackupFailed { at, said })?;
        }
        tx.set_meta(NAME, &serde_json::to_string(&standing).expect("plain data"))
    };
    if let Err(error) = app.store.write(act).await {
        tracing::error!(%error, "how the backup went could not be written down");
    }
    made
}

/// What the names of the directories begin with in which this shop's backups are made.
fn scratch_prefix(app: &App) -> String {
    format!(".till-backup-{}-", app.shop)
}

/// Removes what a process that was killed has left of a backup.
pub fn clear_away(app: &App) -> Result<(), MakeError> {
    let shelf = Shelf::of(&app.config)?;
    let dir = if let Shelf::Dir(dir) = &shelf { dir } else { &app.config.data_dir };
    for dir in [dir, &app.config.data_dir] {
        clear(dir, &scratch_prefix(app))?;
    }
    Ok(())
}

fn clear(dir: &Path, prefix: &str) -> Result<(), MakeError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

async fn try_to_make(app: &Arc<App>, keeping: Option<Keeping>) -> Result<Kept, MakeError> {
    let shelf = Shelf::of(&app.config)?;
    let scratch =
        tempfile::Builder::new().prefix(&scratch_prefix(app)).tempdir_in(shelf.workplace(&app.config)?)?;
    let (path, lock) = (scratch.path().join("made"), app.config.backup_lock());
    let is_sealed = lock.is_some();
    let (of, to) = (Arc::clone(app), path.clone());
    let working = aside(move || work(&of, lock.as_ref(), &to));
    let made = working.await.map_err(|error| BackupError::Unfit(error.to_string()))??;

    let mut name = made.header.file_name();
    if is_sealed {
        name.push_str(".age");
    }
    let bytes = path.metadata()?.len();
    shelf.put(path, &name).await?;
    let read_back = shelf.digest(&name).await;
    if !matches!(read_back, Ok(digest) if digest == made.digest) {
        // Under this name nobody would doubt it.
        let _ = shelf.delete(&name).await;
        return Err(read_back.map_or_else(MakeError::from, |_| MakeError::Changed));
    }
    if made.findings > 0 {
        // It makes no room for itself: the good ones are from before.
        return Err(MakeError::Findings(made.findings));
    }
    if let Some(keeping) = keeping
        && let Err(error) = make_room(&shelf, &made.header.shop, keeping).await
    {
        tracing::warn!(%error, "backups that are not to be kept could not be removed");
    }
    let Header { shop, created_at, commit, .. } = made.header;
    Ok(Kept { encrypted: is_sealed, name, shop, created_at, commit, bytes })
}

/// Writes a backup to a file beside `to`, proves it good, and makes it what is kept.
fn work(app: &App, lock: Option<&Lock>, to: &Path) -> Result<Made, BackupError> {
    let going = || {
        let is_stopping = app.stopping.load(Ordering::Relaxed);
        if is_stopping { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let plain = to.with_extension("plain");
    let mut out = Digesting::new(BufWriter::new(File::create(&plain)?));
    let header = app.store.read(|tx| {
        let header = Header::of(tx)?;
        write(tx, &header, &mut out, |_| going())?;
        Ok::<_, BackupError>(header)
    })?;
    let mut digest = finish(out)?;
    // It is proven before it is encrypted: who encrypts for others can't read it again.
    let scratch = to.parent().unwrap_or(Path::new("."));
    let trial = Trial::of_backup(BufReader::new(File::open(&plain)?), scratch, &mut |_, _, _| going())?;
    let report = trial.check(&mut |_, _, _| going())?;
    drop(trial);
    match lock {
        Some(lock) => {
            let mut sealing = seal(lock, Digesting::new(BufWriter::new(File::create(to)?)))?;
            io::copy(&mut File::open(&plain)?, &mut sealing)?;
            digest = finish(sealing.finish()?)?;
            fs::remove_file(&plain)?;
        }
        None => fs::rename(&plain, to)?,
    }
    Ok(Made { header, digest, findings: report.findings.len() })
}

/// Ends a file; the digest of what is in it.
fn finish(file: Digesting<BufWriter<File>>) -> io::Result<[u8; 32]> {
    let (mut out, digest) = file.finish();
    out.flush()?;
    Ok(digest)
}

/// Other shops' backups on the same shelf are not touched.
async fn make_room(shelf: &Shelf, shop: &str, keeping: Keeping) -> Result<(), ShelfError> {
    let mut all = shelf.list().await?;
    all.retain(|kept| kept.shop == shop);
    let times: Vec<_> = all.iter().map(|kept| kept.created_at).collect();
    let spare = keeping.spare(&times);
    for kept in all.iter().filter(|kept| spare.contains(&kept.created_at)) {
        shelf.delete(&kept.name).await?;
        tracing::debug!(name = kept.name, "a backup made room for newer ones");
    }
    Ok(())
}
