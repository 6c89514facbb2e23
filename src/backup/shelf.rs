//! Where the shop keeps the backups that it makes by itself: a directory, or a bucket.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::bucket::{Bucket, BucketError, BucketUrl};
use crate::clock::Time;
use crate::config::Config;
use crate::telemetry::aside;

/// How much of a file is read at a time (bytes).
const PIECE: usize = 256 << 10;

pub enum Shelf {
    Dir(PathBuf),
    Bucket(Box<Bucket>),
}

/// A backup on the shelf.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Backup")]
pub struct Kept {
    pub name: String,
    /// Whose it is.
    pub shop: String,
    pub created_at: Time,
    /// The commit that it shows.
    pub commit: u64,
    pub bytes: u64,
    pub encrypted: bool,
}

/// In the data directory, where no other place is set.
pub const BACKUPS: &str = "backups";

#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    #[error("{}: {error}", .path.display())]
    Dir { path: PathBuf, error: io::Error },
    #[error("{0}")]
    Bucket(#[from] BucketError),
    #[error("backup.to {0}")]
    Url(String),
}

impl Kept {
    /// What a file's name says of it; `None` for what is no backup of ours.
    pub fn of(name: &str, bytes: u64) -> Option<Kept> {
        let bare = name.strip_suffix(".age");
        let mut parts = bare.unwrap_or(name).strip_suffix(".backup")?.strip_prefix("till-")?.split('-');
        let (shop, at, commit) = (parts.next()?, parts.next()?, parts.next()?);
        let is_id = shop.len() == 16 && shop.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_id || at.len() != 16 || !at.is_ascii() || parts.next().is_some() {
            return None;
        }
        let [year, month, day] = [&at[..4], &at[4..6], &at[6..8]];
        let [hour, minute, second] = [&at[9..11], &at[11..13], &at[13..15]];
        let created_at = Time::parse(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))?;
        let (name, shop, commit) = (name.to_owned(), shop.to_owned(), commit.parse().ok()?);
        Some(Kept { name, shop, created_at, commit, bytes, encrypted: bare.is_some() })
    }
}

/// A file, piece by piece.
pub fn pieces(file: File) -> impl stream::Stream<Item = io::Result<Bytes>> + Send {
    stream::unfold(Some(file), |file| async {
        let mut file = file?;
        let read = aside(move || {
            let mut piece = vec![0; PIECE];
            let read = file.read(&mut piece)?;
            piece.truncate(read);
            Ok((Bytes::from(piece), file))
        });
        match read.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok((piece, _)) if piece.is_empty() => None,
            Ok((piece, file)) => Some((Ok(piece), Some(file))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

impl Shelf {
    /// The one that the settings name.
    pub fn of(config: &Config) -> Result<Shelf, ShelfError> {
        match config.backup_to.as_str() {
            "" => Ok(Shelf::Dir(config.data_dir.join(BACKUPS))),
            url if url.starts_with("s3://") => Shelf::bucket(url.parse().map_err(ShelfError::Url)?, config),
            dir => Ok(Shelf::Dir(dir.into())),
        }
    }

    pub fn bucket(url: BucketUrl, config: &Config) -> Result<Shelf, ShelfError> {
        Ok(Shelf::Bucket(Box::new(Bucket::new(url, config.s3())?)))
    }

    /// Where a file is made that is to go there: beside where it goes, but for what is encrypted, whose plain text must
    /// not leave the data directory.
    pub fn workplace<'a>(&'a self, config: &'a Config) -> Result<&'a Path, ShelfError> {
        let Shelf::Dir(path) = self else { return Ok(&config.data_dir) };
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| ShelfError::Dir { path: path.clone(), error })?;
        Ok(if config.backup_lock().is_some() { &config.data_dir } else { path })
    }

    /// What is there, newest first.
    pub async fn list(&self) -> Result<Vec<Kept>, ShelfError> {
        let mut found = match self {
            Shelf::Dir(path) => {
                let path = path.clone();
                let listed = aside(move || {
                    list_dir(&path).map_err(|error| ShelfError::Dir { path: path.clone(), error })
                });
                listed.await.expect("listing a directory does not panic")?
            }
            Shelf::Bucket(bucket) => {
                let objects = bucket.list().await?;
                objects.into_iter().filter_map(|object| Kept::of(&object.name, object.size)).collect()
            }
        };
        found.sort_by(|a, b| (b.created_at, b.commit, &b.name).cmp(&(a.created_at, a.commit, &a.name)));
        Ok(found)
    }

    /// Puts a finished file there under `name`, whole or not at all. It is taken from where it is.
    pub async fn put(&self, made: PathBuf, name: &str) -> Result<(), ShelfError> {
        match self {
            Shelf::Dir(path) => {
                let (dir, to) = (path.clone(), path.join(name));
                let moved = aside(move || {
                    fs::set_permissions(&made, Permissions::from_mode(0o600))?;
                    File::open(&made)?.sync_all()?;
                    move_to(&made, &dir, &to)?;
                    File::open(&dir)?.sync_all()
                });
                let moved = moved.await.unwrap_or_else(|error| Err(io::Error::other(error)));
                moved.map_err(|error| ShelfError::Dir { path: path.clone(), error })
            }
            Shelf::Bucket(bucket) => {
                let file =
                    File::open(&made).map_err(|error| ShelfError::Dir { path: made.clone(), error })?;
                bucket.put(name, pieces(file), |_| {}).await?;
                Ok(())
            }
        }
    }

    /// The SHA-256 of what is there under `name`, read back to its end.
    pub async fn digest(&self, name: &str) -> Result<[u8; 32], ShelfError> {
        let failed = |error| ShelfError::Dir { path: name.into(), error };
        let mut pieces: std::pin::Pin<Box<dyn stream::Stream<Item = io::Result<Bytes>> + Send>> = match self {
            Shelf::Dir(path) => Box::pin(pieces(File::open(path.join(name)).map_err(failed)?)),
            Shelf::Bucket(bucket) => Box::pin(bucket.get(name).await?),
        };
        let mut digest = Sha256::new();
        while let Some(piece) = pieces.next().await {
            digest.update(&piece.map_err(failed)?);
        }
        Ok(digest.finalize().into())
    }

    pub async fn delete(&self, name: &str) -> Result<(), ShelfError> {
        match self {
            Shelf::Dir(path) => fs::remove_file(path.join(name))
                .map_err(|error| ShelfError::Dir { path: path.join(name), error }),
            Shelf::Bucket(bucket) => Ok(bucket.delete(name).await?),
        }
    }
}

/// Moves a file, across file systems too: whole or not at all.
fn move_to(made: &Path, dir: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(made, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
        moved => return moved,
    }
    let mut copy = tempfile::Builder::new().prefix(".till-moving-").tempfile_in(dir)?;
    io::copy(&mut File::open(made)?, &mut copy)?;
    copy.as_file().sync_all()?;
    copy.persist(to).map_err(|error| error.error)?;
    Ok(())
}

/// No directory yet is an empty one.
fn list_dir(path: &Path) -> io::Result<Vec<Kept>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let about = entry.metadata()?;
        found.extend(
            entry
                .file_name()
                .to_str()
                .filter(|_| about.is_file())
                .and_then(|name| Kept::of(name, about.len())),
        );
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_when_and_of_which_commit() {
        let kept =
            Kept::of("till-0123456789abcdef-20261123T033000Z-4711.backup.age", 9).expect("one of ours");
        assert_eq!(
            (kept.shop.as_str(), kept.created_at.to_string().as_str(), kept.commit, kept.encrypted),
            ("0123456789abcdef", "2026-11-23T03:30:00.000Z", 4711, true)
        );
        for other in [
            "till-0123456789abcdef-20261123T033000Z-4711.backup.part",
            "till-0123456789abcdef-x-1.backup",
            "notes.txt",
            "till-0123456789abcdef-2026é123T03300-1.backup",
            "till-0123456789abcdef-20261123T033000Z-4711-1.backup",
        ] {
            assert_eq!(Kept::of(other, 1), None, "{other}");
        }
    }
}
