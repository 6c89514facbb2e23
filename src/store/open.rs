//! Opening a data file: the lock, the format, the first commit.

use std::collections::HashSet;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use redb::{Database, DatabaseError, ReadableDatabase, StorageError, TableDefinition, TableHandle};

use super::writer::Shared;
use super::{AnyTable, META, Reads, Store, StoreError, WriteTx, schema};
use crate::clock::Clock;

/// The version of the file's layout. A file with a higher one is from a newer till. 2: payments at gateways. 3: when
/// a cart was changed.
pub const FORMAT: u32 = 3;

/// Its name among the file's properties.
pub(super) const FORMAT_IS: &str = "format";
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

    /// What to call it in messages.
    fn name(&self) -> String;
}

/// A file on the machine's own disk.
pub struct FileDisk {
    pub path: PathBuf,
    /// redb's page cache (bytes).
    pub cache: usize,
}

impl FileDisk {
    fn dir(&self) -> &Path {
        self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// Makes the file, for this user alone, before redb opens it.
    fn make(&self) -> io::Result<()> {
        let mut how = OpenOptions::new();
        match how.append(true).create_new(true).mode(0o600).open(&self.path) {
            // Its name, too, must be there after a power cut.
            Ok(_) => File::open(self.dir())?.sync_all(),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Disk for FileDisk {
    fn open(&self) -> Result<Database, DatabaseError> {
        self.make().map_err(StorageError::Io)?;
        Database::builder().set_cache_size(self.cache).create(&self.path)
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

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// How a store is run.
pub struct Options {
    pub disk: Box<dyn Disk>,
    pub clock: Arc<dyn Clock>,
    /// Where the ids' randomness and the secrets come from: the system's generator, or a test's seed.
    pub seed: [u8; 32],
    /// Whether the writer has a thread of its own. Without, [`Store::step`] runs what waits.
    pub threaded: bool,
}

/// Why a data file could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it.
    Locked(String),
    /// It was written by a newer till.
    Newer {
        file: String,
        format: u32,
    },
    Failed {
        file: String,
        said: String,
    },
}

impl std::error::Error for OpenError {}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Locked(file) => write!(
                f,
                "{file} is in use by another process: a till that serves this shop, or a command that works on it. \
                 Stop it, or name another data directory with --data-dir"
            ),
            OpenError::Newer { file, format } => write!(
                f,
                "{file} was written by a newer till (file format {format}, this one reads up to {FORMAT}). Run the \
                 newer till, or restore a backup made by this one"
            ),
            OpenError::Failed { file, said } => write!(f, "{file} can't be opened: {said}"),
        }
    }
}

impl Store {
    /// Opens the file, makes sure that every table is there, and starts the writer.
    pub fn open(options: Options) -> Result<Store, OpenError> {
        let Options { disk, clock, seed, threaded } = options;
        let file = disk.name();
        let failed =
            |said: &dyn fmt::Display| OpenError::Failed { file: file.clone(), said: said.to_string() };
        let db = disk.open().map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => OpenError::Locked(file.clone()),
            other => failed(&other),
        })?;
        let shared = Arc::new(Shared::new(disk, clock, seed, threaded, db));

        // Looked at before anything is written: a newer till's file is left as it is.
        let format = shared.format().map_err(|error| failed(&error))?;
        let format = format.and_then(|text| text.parse::<u32>().ok());
        if let Some(format) = format.filter(|format| *format > FORMAT) {
            return Err(OpenError::Newer { file, format });
        }
        shared.ensure_tables().map_err(|error| failed(&error))?;

        let writer = threaded.then(|| {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name("writer".into());
            thread.spawn(move || shared.run_until_closed()).expect("the system can start a thread")
        });
        let store = Store { shared, writer };
        store.first_commit().map_err(|error| failed(&error))?;
        Ok(store)
    }

    /// Marks a new file with its format and the identity of its shop.
    fn first_commit(&self) -> Result<(), StoreError> {
        if self.read(|tx| META.get(tx, &FORMAT_IS.to_owned()))?.is_some() {
            return Ok(());
        }
        self.write_now(|tx| {
            let shop: [u8; 8] = tx.random();
            tx.set_meta(FORMAT_IS, &FORMAT.to_string())?;
            tx.set_meta("shop_id", &format!("{:016x}", u64::from_be_bytes(shop)))
        })
    }
}

impl Shared {
    /// The format that the file says it has; none for a new one.
    fn format(&self) -> Result<Option<String>, StoreError> {
        let tx = self.snapshot()?;
        if tx.has_table(META.name)? { META.get(&tx, &FORMAT_IS.to_owned()) } else { Ok(None) }
    }

    /// Makes the tables that the file lacks, so that no read meets one that is not there, and fills the indexes that
    /// an older till did not keep.
    fn ensure_tables(&self) -> Result<(), StoreError> {
        self.with_db(|db| {
            let have: HashSet<_> =
                db.begin_read()?.list_tables()?.map(|table| table.name().to_owned()).collect();
            let has_all = |table: &&dyn AnyTable| {
                have.contains(table.name()) && table.index_names().iter().all(|name| have.contains(*name))
            };
            if schema::tables().iter().all(has_all) {
                return Ok(());
            }
            let mut inner = db.begin_write()?;
            inner.set_quick_repair(true);
            let mut tx = WriteTx::new(inner, self.now(), StdRng::from_seed([0; 32]));
            for table in schema::tables() {
                let names = table.index_names();
                for name in names.iter().chain([&table.name()]) {
                    tx.inner.open_table(TableDefinition::<&[u8], &[u8]>::new(name))?;
                }
                let new: Vec<_> = names.into_iter().filter(|name| !have.contains(*name)).collect();
                table.fill(&mut tx, &new)?;
            }
            if have.contains(META.name) {
                tx.set_meta(FORMAT_IS, &FORMAT.to_string())?;
            }
            Ok(tx.inner.commit()?)
        })
    }
}

/// The version of the layout of the file that a transaction reads from.
pub fn format_of(tx: &impl Reads) -> Result<u32, StoreError> {
    let text = META.expect(tx, &FORMAT_IS.to_owned())?;
    text.parse().map_err(|_| StoreError::corrupt(META.name, "the file's format is no number"))
}

/// redb's own look at every page of a file that nobody has open: whether all are as it wrote them. What it finds it
/// mends, so this is for copies.
pub fn is_sound(path: &Path, cache: usize) -> Result<bool, StoreError> {
    let disk = FileDisk { path: path.to_owned(), cache };
    let looked = disk.open().and_then(|mut db| db.check_integrity());
    match looked {
        Err(DatabaseError::Storage(StorageError::Corrupted(_))) => Ok(false),
        looked => looked.map_err(|error| StoreError::Disk(error.to_string())),
    }
}
