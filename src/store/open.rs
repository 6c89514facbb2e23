//! Opening a data file: the lock, the format, the first commit.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use redb::{Database, DatabaseError, ReadableDatabase, StorageError, TableHandle};

use super::disk::Disk;
use super::writer::Shared;
use super::{AnyTable, META, ReadTx, Reads, Store, StoreError, WriteTx, schema};
use crate::clock::{Clock, Time};

/// The version of the file's layout. A file with a higher one is from a newer till. 2: payments at gateways. 3: when
/// a cart was changed.
pub const FORMAT: u32 = 4;

/// Its name among the file's properties.
pub(super) const FORMAT_IS: &str = "format";

/// Among the file's properties: the format in which somebody was last answered.
pub const ANSWERED_FORMAT: &str = "answered_format";

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
        let open = || {
            disk.open().map_err(|error| match error {
                DatabaseError::DatabaseAlreadyOpen => OpenError::Locked(file.clone()),
                other => failed(&other),
            })
        };
        let mut db = open()?;
        // Looked at before anything is written: a newer till's file is left as it is.
        match format_in(&db).map_err(|error| failed(&error))? {
            Some(format) if format > FORMAT => return Err(OpenError::Newer { file, format }),
            Some(format) if format < FORMAT => {
                // Whoever copies it has it alone.
                drop(db);
                disk.before_upgrade(format).map_err(|error| failed(&error))?;
                db = open()?;
            }
            _ => {}
        }
        // What a compaction that was cut off has left takes room for nothing.
        disk.give_up_beside();
        let shared = Arc::new(Shared::new(disk, clock, seed, threaded, db));
        shared.ensure_tables().map_err(|error| failed(&error))?;

        let is_new =
            shared.snapshot().and_then(|tx| super::commit_of(&tx)).map_err(|error| failed(&error))? == 0;
        if is_new {
            tracing::warn!(file, "a new shop begins: there was no data here");
        }
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

/// The format that a file says it has; none for a new one.
fn format_in(db: &Database) -> Result<Option<u32>, StoreError> {
    let tx = ReadTx::new(db.begin_read()?, Time(0), 0);
    let is_new = !tx.has_table(META.name)? || META.get(&tx, &FORMAT_IS.to_owned())?.is_none();
    if is_new { Ok(None) } else { format_of(&tx).map(Some) }
}

impl Shared {
    /// Makes the tables that the file lacks, so that no read meets one that is not there, and fills the indexes that
    /// an older till did not keep.
    fn ensure_tables(&self) -> Result<(), StoreError> {
        self.with_db(|db| {
            let have: HashSet<_> =
                db.begin_read()?.list_tables()?.map(|table| table.name().to_owned()).collect();
            let has_all = |table: &&dyn AnyTable| {
                have.contains(table.name()) && table.index_names().iter().all(|name| have.contains(*name))
            };
            let is_current = format_in(db)?.is_none_or(|format| format == FORMAT);
            if is_current && schema::tables().iter().all(has_all) {
                return Ok(());
            }
            let mut inner = db.begin_write()?;
            inner.set_quick_repair(true);
            let mut tx = WriteTx::new(db, inner, self.now(), StdRng::from_seed([0; 32]))?;
            for table in schema::tables() {
                let names = table.index_names();
                for name in names.iter().chain([&table.name()]) {
                    tx.make_table(name)?;
                }
                // A table that is new has nothing that an index could lead to.
                if have.contains(table.name()) {
                    let new: Vec<_> = names.into_iter().filter(|name| !have.contains(*name)).collect();
                    table.fill(&mut tx, &new)?;
                }
            }
            if have.contains(META.name) {
                tx.set_meta(FORMAT_IS, &FORMAT.to_string())?;
            }
            tx.commit()
        })
    }
}

/// The version of the layout of the file that a transaction reads from.
pub fn format_of(tx: &impl Reads) -> Result<u32, StoreError> {
    let text = META.expect(tx, &FORMAT_IS.to_owned())?;
    text.parse().map_err(|_| StoreError::corrupt(META.name, "the file's format is no number"))
}

/// The format in which somebody was last answered out of the file; none where that was before it was noted.
pub fn answered_format(tx: &impl Reads) -> Result<Option<u32>, StoreError> {
    Ok(META.get(tx, &ANSWERED_FORMAT.to_owned())?.and_then(|text| text.parse().ok()))
}

/// What a data file says of itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Formats {
    pub format: u32,
    /// See [`answered_format`].
    pub answered: Option<u32>,
}

/// Looks into a data file of any format; none while another process has it.
pub fn formats(path: &Path) -> Result<Option<Formats>, StoreError> {
    let failed = |error: DatabaseError| StoreError::Disk(format!("{}: {error}", path.display()));
    let db = match Database::open(path) {
        Err(DatabaseError::DatabaseAlreadyOpen) => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let tx = ReadTx::new(db.begin_read()?, Time(0), 0);
    Ok(Some(Formats { format: format_of(&tx)?, answered: answered_format(&tx)? }))
}

/// redb's own look at every page of a file that nobody has open: whether all are as it wrote them. What it finds it
/// mends, so this is for copies.
pub fn is_sound(path: &Path, cache: usize) -> Result<bool, StoreError> {
    let mut how = Database::builder();
    // Looked at from the beginning: what was changed behind redb's back is not to be trusted anywhere.
    how.set_cache_size(cache).set_check_integrity_on_open(true);
    let looked = how.open(path).and_then(|mut db| db.check_integrity());
    match looked {
        Err(DatabaseError::Storage(StorageError::Corrupted(_))) => Ok(false),
        looked => looked.map_err(|error| StoreError::Disk(error.to_string())),
    }
}
