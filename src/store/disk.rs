//! Where the data file is.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, StorageError};

use super::open::FORMAT;

/// How many bytes a commit may need: many orders, or a chunk of an import.
const ROOM: usize = 1 << 20;

/// Where the file is. The simulation has one of its own.
pub trait Disk: Send + Sync {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// [`DatabaseError::DatabaseAlreadyOpen`] when another process has it.
    fn open(&self) -> Result<Database, DatabaseError>;

    /// Whether it has room for the commits that come next.
    ///
    /// # Errors
    /// What the disk says when it has not.
    fn room(&self) -> io::Result<()> {
        Ok(())
    }

    /// Bytes that the file takes.
    fn size(&self) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes a second file, which is empty.
    fn open_beside(&self) -> Result<Database, DatabaseError> {
        Err(StorageError::Io(io::ErrorKind::Unsupported.into()).into())
    }

    /// Puts the second file, which stays open, in the place of the first.
    fn replace(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Has what [`Disk::replace`] did outlast a power cut. Opening the file does as much.
    fn keep_place(&self) -> io::Result<()> {
        Ok(())
    }

    /// Removes the second file.
    fn give_up_beside(&self) {}

    /// Told before a file of an older format is changed.
    ///
    /// # Errors
    /// Why it may not be.
    fn before_upgrade(&self, _from: u32) -> io::Result<()> {
        Ok(())
    }

    /// What to call it in messages.
    fn name(&self) -> String;
}

/// A file on the machine's own disk.
pub struct FileDisk {
    pub path: PathBuf,
    /// redb's page cache (bytes).
    pub cache: usize,
    pub upgrade: Upgrade,
}

/// What is done with a file that an older till wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upgrade {
    /// A copy of it is kept, which the older till can open; then it is brought up to date.
    #[default]
    Snapshot,
    /// It is brought up to date, and no copy is kept.
    Direct,
    /// It is left as it is, and not opened.
    Refuse,
}

impl FileDisk {
    /// A file that is copied before it is brought up to date.
    pub fn new(path: PathBuf, cache: usize) -> FileDisk {
        FileDisk { path, cache, upgrade: Upgrade::default() }
    }

    fn dir(&self) -> &Path {
        self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// Keeps a copy under another name: whole, or not at all.
    fn keep_copy(&self, from: u32) -> io::Result<()> {
        let mut file = File::open(&self.path)?;
        // Nobody may write to it meanwhile.
        file.try_lock().map_err(|_| io::Error::other("another process has the file"))?;
        let mut copy = tempfile::Builder::new().prefix(".till-copy-").tempfile_in(self.dir())?;
        io::copy(&mut file, &mut copy)?;
        copy.as_file().sync_all()?;
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".format-{from}"));
        for n in 1.. {
            match copy.persist_noclobber(&name) {
                // One that is there is from another time.
                Err(taken) if taken.error.kind() == io::ErrorKind::AlreadyExists => {
                    copy = taken.file;
                    name = self.path.clone().into_os_string();
                    name.push(format!(".format-{from}-{n}"));
                }
                kept => {
                    kept.map_err(|error| error.error)?;
                    break;
                }
            }
        }
        self.sync_dir()?;
        let kept = Path::new(&name).display();
        tracing::info!(%kept, from, to = FORMAT, "the data file is brought up to date; as it was, it is kept");
        Ok(())
    }

    /// Where the second file is.
    fn beside(&self) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(".compacting");
        path.into()
    }

    /// Makes the file where there is none, for this user alone. It gets its name once it is a whole one: a process that
    /// is killed before leaves none behind that can't be opened.
    fn make(&self) -> Result<Option<Database>, DatabaseError> {
        if self.path.exists() {
            return Ok(None);
        }
        let mine = Permissions::from_mode(0o600);
        let made = tempfile::Builder::new().prefix(".till-").permissions(mine).tempfile_in(self.dir());
        let made = made.map_err(StorageError::Io)?;
        let db = Database::builder().set_cache_size(self.cache).create(made.path())?;
        match made.persist_noclobber(&self.path) {
            // Another process was faster.
            Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(failed) => Err(StorageError::Io(failed.error).into()),
            Ok(_) => {
                // What has this name must have it after a power cut, too.
                self.sync_dir().map_err(StorageError::Io)?;
                Ok(Some(db))
            }
        }
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(self.dir())?.sync_all()
    }
}

impl Disk for FileDisk {
    fn open(&self) -> Result<Database, DatabaseError> {
        match self.make()? {
            Some(db) => Ok(db),
            None => Database::builder().set_cache_size(self.cache).create(&self.path),
        }
    }

    /// The system promises room when a page is written, so nothing need be synced, and what is thrown away at once
    /// does not come to the disk.
    fn room(&self) -> io::Result<()> {
        match tempfile::tempfile_in(self.dir()) {
            Ok(mut file) => file.write_all(&vec![0; ROOM]),
            // This user may write the data file and nothing beside it: that is no matter of room.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.path.metadata()?.len())
    }

    fn open_beside(&self) -> Result<Database, DatabaseError> {
        // One that is there was left by a process that was killed.
        self.give_up_beside();
        FileDisk::new(self.beside(), self.cache).open()
    }

    fn replace(&self) -> io::Result<()> {
        fs::rename(self.beside(), &self.path)
    }

    fn keep_place(&self) -> io::Result<()> {
        self.sync_dir()
    }

    fn give_up_beside(&self) {
        if let Err(error) = fs::remove_file(self.beside())
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "a file that is not needed could not be removed");
        }
    }

    fn before_upgrade(&self, from: u32) -> io::Result<()> {
        match self.upgrade {
            Upgrade::Snapshot => self.keep_copy(from).map_err(|error| {
                let said = "the copy that is kept before it is brought up to date can't be made";
                io::Error::other(format!("{said}: {error}; data.upgrade = direct does without"))
            }),
            Upgrade::Direct => Ok(()),
            Upgrade::Refuse => Err(io::Error::other(format!(
                "it is of format {from}, this till writes {FORMAT}, and data.upgrade is refuse; set it to snapshot, \
                 which keeps a copy, or run the till that wrote it"
            ))),
        }
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}
