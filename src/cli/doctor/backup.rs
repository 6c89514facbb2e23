//! Backups: made, kept where a broken disk or a burnt house does not take them, sealed.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::patient::Patient;
use super::{not_asked, size};
use crate::advice::{Advice, error, ok, warning};
use crate::backup::shelf::{Kept, Shelf};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;

/// A daily backup that is older than this was missed (hours); one that is older than that, for days.
const MISSED: i64 = 26;
const LONG_MISSED: i64 = 72;
/// How long a bucket may take to list what is in it.
const PATIENCE: Duration = Duration::from_secs(20);

pub async fn look(patient: &Patient) -> Vec<Advice> {
    let config = patient.config();
    let mut found = Vec::new();
    if config.schedule().is_none() {
        found.push(warning(
            "the shop makes no backups by itself (backup.daily_at is not set)",
            "set backup.daily_at to a time such as 03:30, and backup.to to a place that is not on this disk",
        ));
    } else if let Some((_, ready)) = &patient.ready {
        found.extend(last(ready));
    }
    if config.schedule().is_some() || !config.backup_to.is_empty() {
        found.extend(place(config, patient.is_offline).await);
    }
    found
}

/// How the last one went.
fn last(ready: &serde_json::Value) -> Option<Advice> {
    let backup = &ready["backup"];
    if let Some(said) = backup["failed"]["said"].as_str() {
        return Some(error(
            format!("the last try to make one failed: {said}"),
            "mend that; `till backup create` tries at once",
        ));
    }
    let Some(seconds) = backup["age_seconds"].as_i64() else {
        return backup
            .is_object()
            .then(|| warning("none was made yet", "the shop makes one when it has run for a moment"));
    };
    let hours = seconds / 3600;
    let says = format!("the last good one was made {hours} hours ago");
    let todo = "see that the shop runs, and look at its log; `till backup create` makes one at once";
    Some(match hours {
        LONG_MISSED.. => error(says, todo),
        MISSED.. => warning(says, todo),
        _ => ok(says),
    })
}

/// Whether the place where they are kept will do.
pub async fn place(config: &Config, is_offline: bool) -> Vec<Advice> {
    let mut found = Vec::new();
    let shelf = match Shelf::of(config) {
        Ok(shelf) => shelf,
        Err(fault) => return vec![error(fault.to_string(), "mend backup.to")],
    };
    let is_elsewhere = matches!(shelf, Shelf::Bucket(_));
    if let Shelf::Dir(dir) = &shelf {
        found.push(directory(dir, &config.data_dir));
    }
    if is_elsewhere && is_offline {
        return not_asked();
    }
    match timeout(PATIENCE, shelf.list()).await {
        Ok(Ok(kept)) => found.push(listed(&kept, config)),
        Ok(Err(fault)) => found.push(error(
            format!("what is kept can't be listed: {fault}"),
            "look at backup.to and at the keys under backup.s3_",
        )),
        Err(_) => {
            found.push(error("the bucket does not answer", "look at backup.s3_endpoint and at the network"));
        }
    }
    if is_elsewhere && config.backup_lock().is_none() {
        found.push(warning(
            "they are not encrypted, and leave this machine: whoever reads the bucket reads all customers' data",
            "set backup.passphrase or backup.recipients; keep the passphrase elsewhere, too",
        ));
    }
    found
}

fn listed(kept: &[Kept], config: &Config) -> Advice {
    let place = if config.backup_to.is_empty() { "the data directory" } else { &config.backup_to };
    match kept.first() {
        Some(newest) => {
            let hours = (SystemClock.now().0 - newest.created_at.0) / 3_600_000;
            ok(format!("{place} has {}, the newest {hours} hours old, of {}", kept.len(), size(newest.bytes)))
        }
        None => ok(format!("{place} can be read, and has none yet")),
    }
}

/// A directory that they are kept in.
fn directory(dir: &Path, data: &Path) -> Advice {
    // It is made with the first.
    let there = dir.ancestors().find(|place| place.is_dir()).unwrap_or(Path::new("."));
    if let Err(fault) = tempfile::tempfile_in(there) {
        return error(
            format!("nothing can be written to {}: {fault}", there.display()),
            "let the shop's user write there",
        );
    }
    let device = |path: &Path| path.metadata().ok().map(|found| found.dev());
    let data = data.ancestors().find(|place| place.is_dir()).unwrap_or(Path::new("."));
    if device(there) == device(data) {
        return warning(
            format!("they are kept in {}, on the data's own disk: what breaks it takes both", dir.display()),
            "have backup.to name a bucket (s3://…) or another disk",
        );
    }
    ok(format!("they are kept in {}, on another disk than the data", dir.display()))
}
