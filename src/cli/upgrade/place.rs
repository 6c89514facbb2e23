//! Where the program and the data are, what is put where, and the note by which an upgrade that was cut off is ended.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::CliError;
use crate::app::DATA_FILE;
use crate::store::{Formats, formats};

/// What an upgrade has set out to do. It is written before anything is changed, and removed when all is done.
#[derive(Serialize, Deserialize)]
pub struct Note {
    pub from: String,
    pub to: String,
    /// The format of the data before.
    format: u64,
    /// Copies of the data file in older formats that were there before.
    copies: BTreeSet<PathBuf>,
    /// The new program's file, whatever its name is.
    new: FileId,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub fn of(path: &Path) -> io::Result<FileId> {
        let file = path.metadata()?;
        Ok(FileId { device: file.dev(), inode: file.ino() })
    }
}

/// What became of the data when the old program was put back.
pub enum Data {
    /// The old program can read it as it is.
    Same,
    /// It was brought to a newer format, nobody was told anything out of that, and as it was before it is back.
    Back,
    /// Somebody was told something out of the newer format: going back would lose it.
    Taken,
    /// A process still has it.
    InUse,
}

pub struct Place {
    pub binary: PathBuf,
    data_dir: PathBuf,
    /// Nobody else upgrades meanwhile; the system lets go of it when the process ends, however it does.
    _alone: File,
}

impl Place {
    pub fn take(binary: &Path, data_dir: &Path) -> Result<Place, CliError> {
        let binary = binary.canonicalize().map_err(|error| {
            CliError::failed(format!("{}: {error}; --binary names the installed till", binary.display()))
        })?;
        if !data_dir.is_dir() {
            return Err(CliError::failed(format!(
                "there is no shop in {}; --config or --data-dir says where it is. Where none was begun yet, copy the new \
                 program to {}",
                data_dir.display(),
                binary.display()
            )));
        }
        let alone = File::open(binary.parent().unwrap_or(Path::new("/")))?;
        match alone.try_lock() {
            Err(TryLockError::WouldBlock) => Err(CliError::failed("another `till upgrade` is at work")),
            Err(TryLockError::Error(error)) => Err(error.into()),
            Ok(()) => Ok(Place { binary, data_dir: data_dir.to_owned(), _alone: alone }),
        }
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut path = OsString::from(&self.binary);
        path.push(ending);
        path.into()
    }

    /// The program that was there before.
    pub fn previous(&self) -> PathBuf {
        self.beside(".previous")
    }

    /// The new one, while it waits.
    pub fn waiting(&self) -> PathBuf {
        self.beside(".new")
    }

    /// The new one, when it has failed.
    fn failed(&self) -> PathBuf {
        self.beside(".failed")
    }

    fn note(&self) -> PathBuf {
        self.beside(".upgrade")
    }

    fn data(&self) -> PathBuf {
        self.data_dir.join(DATA_FILE)
    }

    /// What an upgrade that was cut off had set out to do.
    pub fn cut_off(&self) -> Result<Option<Note>, CliError> {
        match fs::read(self.note()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => Ok(Some(serde_json::from_slice(&read?)?)),
        }
    }

    /// Puts a copy of `from` where it can be run, and waits.
    pub fn bring(&self, from: &Path) -> Result<(), CliError> {
        let failed = |error: io::Error| CliError::failed(format!("{}: {error}", from.display()));
        if FileId::of(from).map_err(failed)? == FileId::of(&self.binary)? {
            return Err(CliError::usage(format!(
                "{} is the installed program itself; --from names the new one",
                from.display()
            )));
        }
        let mut program = File::open(from).map_err(failed)?;
        if !program.metadata().map_err(failed)?.is_file() {
            return Err(CliError::failed(format!("{} is no file", from.display())));
        }
        let said = |error: io::Error| CliError::failed(format!("{}: {error}", self.waiting().display()));
        let mut copy = || {
            let mut copy = self.temporary()?;
            io::copy(&mut program, &mut copy)?;
            copy.as_file().set_permissions(Permissions::from_mode(0o755))?;
            copy.as_file().sync_all()?;
            copy.persist(self.waiting())?;
            Ok(())
        };
        copy().map_err(said)
    }

    /// Takes away what waits.
    pub fn drop_waiting(&self) {
        let _ = fs::remove_file(self.waiting());
    }

    /// Writes down what is about to be done, and does it: what waits takes the program's place, which is kept.
    /// `format`: of the shop's data, and of what the program that is there can read.
    pub fn swap(&self, from: &str, to: &str, format: u64) -> Result<Note, CliError> {
        let note = Note {
            from: from.to_owned(),
            to: to.to_owned(),
            format,
            copies: self.copies()?,
            new: FileId::of(&self.waiting())?,
        };
        let mut file = self.temporary()?;
        serde_json::to_writer(&mut file, &note)?;
        file.as_file().sync_all()?;
        file.persist(self.note())?;
        self.sync()?;
        self.link(&self.binary, &self.previous())?;
        fs::rename(self.waiting(), &self.binary)?;
        self.sync()?;
        Ok(note)
    }

    /// Whether the program is the new one.
    pub fn is_new(&self, note: &Note) -> bool {
        FileId::of(&self.binary).is_ok_and(|id| id == note.new)
    }

    /// Puts the old program back, if it is not there.
    pub fn put_back(&self, note: &Note) -> Result<(), CliError> {
        if self.is_new(note) {
            self.link(&self.binary, &self.failed())?;
            fs::rename(self.previous(), &self.binary)?;
            self.sync()?;
        }
        Ok(())
    }

    /// Puts the new program there again.
    pub fn put_forward(&self) -> Result<(), CliError> {
        self.link(&self.binary, &self.previous())?;
        fs::rename(self.failed(), &self.binary)?;
        Ok(self.sync()?)
    }

    /// Gives the old program its data back, where the new one has changed its format. The old program never changes a
    /// file of a newer format, and the new one is not started any more: once it has let go of the file, nobody writes.
    pub fn put_data_back(&self, note: &Note) -> Result<Data, CliError> {
        let data = self.data();
        let Some(Formats { format, answered }) = formats(&data)? else { return Ok(Data::InUse) };
        if u64::from(format) <= note.format {
            return Ok(Data::Same);
        }
        match self.new_copy(note)? {
            Some(copy) if answered.is_none_or(|answered| answered < format) => {
                fs::rename(copy, &data)?;
                File::open(&self.data_dir)?.sync_all()?;
                Ok(Data::Back)
            }
            _ => Ok(Data::Taken),
        }
    }

    /// Whether the data file was brought to a newer format since.
    pub fn has_new_copy(&self, note: &Note) -> Result<bool, CliError> {
        Ok(self.new_copy(note)?.is_some())
    }

    /// The copy that was made of the data file before it was.
    fn new_copy(&self, note: &Note) -> io::Result<Option<PathBuf>> {
        let ending = format!("{DATA_FILE}.format-{}", note.format);
        let is_it =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&ending));
        Ok(self.copies()?.into_iter().find(|path| is_it(path) && !note.copies.contains(path)))
    }

    /// The upgrade is over.
    pub fn done(&self) -> Result<(), CliError> {
        let _ = fs::remove_file(self.failed());
        match fs::remove_file(self.note()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(self.sync()?),
        }
    }

    fn copies(&self) -> io::Result<BTreeSet<PathBuf>> {
        let is_copy = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.strip_prefix(DATA_FILE).is_some_and(|rest| rest.starts_with(".format-"))
        };
        let entries = fs::read_dir(&self.data_dir)?.collect::<Result<Vec<_>, _>>()?;
        Ok(entries.into_iter().map(|entry| entry.path()).filter(is_copy).collect())
    }

    /// Gives a file a second name, which may be another's.
    fn link(&self, file: &Path, name: &Path) -> io::Result<()> {
        let beside = self.beside(".link");
        let _ = fs::remove_file(&beside);
        fs::hard_link(file, &beside)?;
        fs::rename(&beside, name)?;
        // Where both were the same file, rename(2) leaves both names.
        let _ = fs::remove_file(&beside);
        Ok(())
    }

    fn temporary(&self) -> io::Result<tempfile::NamedTempFile> {
        tempfile::Builder::new().prefix(".till-").tempfile_in(self.binary.parent().unwrap_or(Path::new("/")))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(self.binary.parent().unwrap_or(Path::new("/")))?.sync_all()
    }
}
