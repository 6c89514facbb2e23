//! Who may read the shop's files, and whose they are.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::disk::TRIAL;
use super::patient::{Here, Patient};
use crate::advice::{Advice, error, ok, warning};
use crate::config::{SETTINGS, Source};

/// Most files of the data directory that are looked at.
const MOST: usize = 10_000;

pub fn look(patient: &Patient, settings: Option<&Path>) -> Vec<Advice> {
    let config = patient.config();
    let dir = &config.data_dir;
    let shown = dir.display();
    let mut found = Vec::new();
    if let Some(file) = settings {
        let shown = config.shown();
        let secrets = shown.iter().filter(|(key, value, source)| {
            let is_secret = SETTINGS.iter().any(|setting| setting.key == *key && setting.is_secret);
            is_secret && !value.is_empty() && matches!(source, Source::File { .. })
        });
        let is_open = fs::metadata(file).is_ok_and(|file| file.mode() & 0o007 != 0);
        if is_open && secrets.count() > 0 {
            let file = file.display();
            found.push(error(
                format!("{file} has secrets in it, and everybody on this machine can read it"),
                format!("chmod 600 {file}, or 640 with the group that the shop runs in"),
            ));
        }
    }
    let own = match fs::metadata(dir) {
        Ok(own) if own.is_dir() => own,
        Ok(_) => {
            found.push(error(format!("{shown} is no directory"), "have data.dir name one"));
            return found;
        }
        Err(_) if matches!(patient.shop, Here::None) => {
            found.push(ok(format!("{shown} is not there yet; it will be made for its user alone")));
            return found;
        }
        Err(fault) => {
            found.push(error(
                format!("{shown} can't be looked into: {fault}"),
                "run this as the user whose shop it is",
            ));
            return found;
        }
    };
    if own.mode() & 0o077 != 0 {
        found.push(error(
            format!("{shown} is open to others on this machine (mode {:o})", own.mode() & 0o777),
            format!("chmod 700 {shown}"),
        ));
    }
    found.extend(within(dir, &own));
    let us = rustix::process::geteuid().as_raw();
    if own.uid() != us && us != 0 {
        found.push(warning(
            format!("{shown} belongs to user {}, and this runs as {us}", own.uid()),
            "run the commands of the shop as its user",
        ));
    }
    if found.is_empty() {
        found.push(ok(format!("what is in {shown} is for its user alone")));
    }
    found
}

/// What is not its user's alone in the directory.
fn within(dir: &Path, own: &Metadata) -> Vec<Advice> {
    let (mut open, mut foreign, mut waiting, mut seen) = (Vec::new(), Vec::new(), vec![dir.to_owned()], 0);
    let is_reachable = own.mode() & 0o077 != 0;
    while let Some(place) = waiting.pop() {
        for entry in fs::read_dir(&place).into_iter().flatten().flatten() {
            let Ok(file) = entry.metadata() else { continue };
            if entry.file_name().to_string_lossy().starts_with(TRIAL) {
                continue;
            }
            seen += 1;
            if seen > MOST {
                break;
            }
            if file.is_dir() {
                waiting.push(entry.path());
            } else if file.is_file() && file.mode() & 0o077 != 0 && (is_reachable || is_key(&entry.path())) {
                open.push(entry.path());
            }
            if file.uid() != own.uid() {
                foreign.push(entry.path());
            }
        }
    }
    let first = |paths: &[std::path::PathBuf]| {
        let more = if paths.len() > 1 { format!(" and {} more", paths.len() - 1) } else { String::new() };
        format!("{}{more}", paths[0].display())
    };
    let mut found = Vec::new();
    if !open.is_empty() {
        found.push(error(
            format!("{}: others on this machine can read or change it", first(&open)),
            format!("chmod -R go= {}", dir.display()),
        ));
    }
    if !foreign.is_empty() {
        found.push(error(
            format!(
                "{} belongs to another user than the directory does: the shop may not get at it",
                first(&foreign)
            ),
            format!(
                "chown -R {}:{} {}, and run the commands of the shop as that user",
                own.uid(),
                own.gid(),
                dir.display()
            ),
        ));
    }
    found
}

fn is_key(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "key")
}
