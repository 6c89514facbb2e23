//! The file of a backup: what is in the shop's data file, without what can be made anew from it.
//!
//! | part | |
//! | --- | --- |
//! | `till backup 1\n` | says what it is |
//! | length of the header (u32, big-endian), header | JSON: [`Header`] |
//! | rows | one zstd frame: `01` length (u8) and name of a table, `02` lengths (u32, big-endian) of key and record, key and record; `00` ends them |
//! | SHA-256 | of all bytes before it |

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::digest::Digesting;
use crate::clock::Time;
use crate::store::{META, ReadTx, Reads, StoreError, commit_of, format_of, schema};

/// What every backup begins with.
pub const MAGIC: &[u8; 14] = b"till backup 1\n";
/// Bytes of the digest at the end.
const DIGEST: usize = 32;
/// Most bytes of a header, of a key and of a record: what is larger is no backup of a shop.
const LONGEST_HEADER: u32 = 1 << 20;
const LONGEST_KEY: u32 = 1 << 20;
const LONGEST_RECORD: u32 = 64 << 20;
/// How hard zstd tries: more costs time that the shop could sell in, and saves little.
const LEVEL: i32 = 3;

const END: u8 = 0;
const TABLE: u8 = 1;
const ROW: u8 = 2;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Of the data file; a till reads those up to its own.
    pub format: u32,
    /// Which till made it.
    pub version: String,
    /// The shop's own id.
    pub shop: String,
    /// The number of the commit that it shows.
    pub commit: u64,
    pub created_at: Time,
    /// Rows of each table.
    pub tables: BTreeMap<String, u64>,
}

impl Header {
    pub fn of(tx: &ReadTx) -> Result<Header, StoreError> {
        let mut tables = BTreeMap::new();
        for table in schema::tables() {
            tables.insert(table.name().to_owned(), tx.len_raw(table.name())?);
        }
        Ok(Header {
            format: format_of(tx)?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            shop: META.expect(tx, &"shop_id".to_owned())?,
            commit: commit_of(tx)?,
            created_at: tx.now(),
            tables,
        })
    }

    /// What the file is called unless somebody says otherwise: whose it is, when it was made, and the commit it shows.
    pub fn file_name(&self) -> String {
        let at: String = self.created_at.to_string().chars().filter(|c| !"-:".contains(*c)).collect();
        format!("till-{}-{}Z-{}.backup", self.shop, &at[..15], self.commit)
    }

    /// Rows in all.
    pub fn rows(&self) -> u64 {
        self.tables.values().fold(0, |sum, rows| sum.saturating_add(*rows))
    }
}

/// Why a backup can't be read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("this is no backup of till")]
    NotOne,
    #[error("this backup is damaged: {0}")]
    Damaged(String),
    #[error(
        "this backup was made by a newer till (version {version}, file format {format}); restore it with that one"
    )]
    Newer { version: String, format: u32 },
    #[error("it was stopped")]
    Stopped,
    #[error("a till that runs has this file")]
    InUse,
    #[error("{0}")]
    Unfit(String),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Store(#[from] StoreError),
}

fn damaged(said: impl Into<String>) -> BackupError {
    BackupError::Damaged(said.into())
}

/// Writes a backup of one snapshot. Nobody waits for it. `tell` hears how many rows are written, and ends it by
/// breaking.
pub fn write(
    tx: &ReadTx,
    header: &Header,
    out: impl Write,
    mut tell: impl FnMut(u64) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut out = Digesting::new(out);
    out.write_all(MAGIC)?;
    let text = serde_json::to_vec(header)?;
    out.write_all(&length(&text)?)?;
    out.write_all(&text)?;

    let mut rows = zstd::Encoder::new(&mut out, LEVEL)?;
    let mut done = 0;
    for table in schema::tables() {
        let name = table.name().as_bytes();
        rows.write_all(&[TABLE, u8::try_from(name.len()).expect("tables have short names")])?;
        rows.write_all(name)?;
        let mut failed = None;
        table.each_row(tx, &mut |key, record| {
            let mut put = || {
                rows.write_all(&[ROW])?;
                rows.write_all(&length(key)?)?;
                rows.write_all(&length(record)?)?;
                rows.write_all(key)?;
                rows.write_all(record)
            };
            if let Err(error) = put() {
                failed = Some(error);
                return ControlFlow::Break(());
            }
            done += 1;
            if done % 1024 == 0 && tell(done).is_break() {
                failed = Some(io::Error::new(io::ErrorKind::Interrupted, "it was stopped"));
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
    }
    rows.write_all(&[END])?;
    rows.finish()?;
    let (mut out, digest) = out.finish();
    out.write_all(&digest)?;
    out.flush()
}

fn length(bytes: &[u8]) -> io::Result<[u8; 4]> {
    let length =
        u32::try_from(bytes.len()).map_err(|_| io::Error::other("a row is too long for a backup"))?;
    Ok(length.to_be_bytes())
}

/// All but the last bytes of a file, which are its digest.
struct HeldBack<R> {
    input: R,
    digest: Sha256,
    /// What was read and is not handed on: at least the last bytes, once as many were read.
    held: Vec<u8>,
    at_end: bool,
}

impl<R: Read> HeldBack<R> {
    fn new(input: R) -> Self {
        HeldBack { input, digest: Sha256::new(), held: Vec::new(), at_end: false }
    }

    /// Whether all that was read is what was written.
    fn ends_well(self) -> bool {
        self.at_end && self.held == self.digest.finalize()[..]
    }
}

impl<R: Read> Read for HeldBack<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.at_end && self.held.len() < DIGEST + out.len().max(1) {
            let before = self.held.len();
            self.held.resize(before + (64 << 10), 0);
            let read = self.input.read(&mut self.held[before..]);
            self.held.truncate(before + *read.as_ref().unwrap_or(&0));
            self.at_end = read? == 0;
        }
        let count = self.held.len().saturating_sub(DIGEST).min(out.len());
        out[..count].copy_from_slice(&self.held[..count]);
        self.digest.update(&out[..count]);
        self.held.drain(..count);
        Ok(count)
    }
}

/// A backup that is read, row by row.
pub struct Backup<R: Read> {
    pub header: Header,
    rows: zstd::Decoder<'static, io::BufReader<HeldBack<R>>>,
}

impl<R: Read> Backup<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is no backup, or one of a newer till.
    pub fn open(input: R) -> Result<Backup<R>, BackupError> {
        let mut input = HeldBack::new(input);
        let mut magic = [0; MAGIC.len()];
        input.read_exact(&mut magic).map_err(|_| BackupError::NotOne)?;
        if magic != *MAGIC {
            return Err(BackupError::NotOne);
        }
        let text = take(&mut input, LONGEST_HEADER, "the header")?;
        let header: Header =
            serde_json::from_slice(&text).map_err(|error| damaged(format!("its header: {error}")))?;
        if header.format > crate::store::FORMAT {
            return Err(BackupError::Newer { version: header.version, format: header.format });
        }
        let rows = zstd::Decoder::with_buffer(io::BufReader::with_capacity(128 << 10, input))?.single_frame();
        Ok(Backup { header, rows })
    }

    /// Hands every row to `visit`, and holds counts and digest against what was written.
    ///
    /// # Errors
    /// [`BackupError::Damaged`] when anything is not as it was written: what was visited is no use then.
    pub fn each(
        mut self,
        mut visit: impl FnMut(&str, &[u8], &[u8]) -> Result<(), BackupError>,
    ) -> Result<Header, BackupError> {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let (mut table, mut key, mut record) = (String::new(), Vec::new(), Vec::new());
        loop {
            match self.byte()? {
                END => break,
                TABLE => {
                    let mut name = vec![0; usize::from(self.byte()?)];
                    self.fill(&mut name)?;
                    table = String::from_utf8(name).map_err(|_| damaged("a table's name"))?;
                    if !self.header.tables.contains_key(&table) || counts.insert(table.clone(), 0).is_some() {
                        return Err(damaged("a table that it does not say it has"));
                    }
                }
                ROW => {
                    let lengths = (self.length(LONGEST_KEY)?, self.length(LONGEST_RECORD)?);
                    key.resize(lengths.0, 0);
                    record.resize(lengths.1, 0);
                    self.fill(&mut key)?;
                    self.fill(&mut record)?;
                    *counts.get_mut(&table).ok_or_else(|| damaged("a row without a table"))? += 1;
                    visit(&table, &key, &record)?;
                }
                _ => return Err(damaged("what is no row")),
            }
        }
        for (table, said) in &self.header.tables {
            let found = counts.get(table).copied().unwrap_or(0);
            if found != *said {
                return Err(damaged(format!("{said} rows of {table} were written, and it has {found}")));
            }
        }
        let over = self.rows.read(&mut [0]).map_err(cut_off)?;
        let mut rest = self.rows.finish();
        if over > 0 || rest.read(&mut [0])? > 0 {
            return Err(damaged("it goes on after its end"));
        }
        if !rest.into_inner().ends_well() {
            return Err(damaged("its digest is not that of its bytes"));
        }
        Ok(self.header)
    }

    fn byte(&mut self) -> Result<u8, BackupError> {
        let mut byte = [0];
        self.fill(&mut byte)?;
        Ok(byte[0])
    }

    fn length(&mut self, longest: u32) -> Result<usize, BackupError> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes)?;
        let length = u32::from_be_bytes(bytes);
        if length > longest { Err(damaged("a row that is too long")) } else { Ok(length as usize) }
    }

    fn fill(&mut self, out: &mut [u8]) -> Result<(), BackupError> {
        self.rows.read_exact(out).map_err(cut_off)
    }
}

/// What can't be unpacked was not written like that.
fn cut_off(error: io::Error) -> BackupError {
    match error.kind() {
        _ if error.raw_os_error().is_some() => error.into(),
        io::ErrorKind::UnexpectedEof => damaged("it is cut off"),
        _ => damaged(error.to_string()),
    }
}

fn take(input: &mut impl Read, longest: u32, what: &str) -> Result<Vec<u8>, BackupError> {
    let mut bytes = [0; 4];
    input.read_exact(&mut bytes).map_err(cut_off)?;
    let length = u32::from_be_bytes(bytes);
    if length > longest {
        return Err(damaged(format!("{what} is too long")));
    }
    let mut taken = vec![0; length as usize];
    input.read_exact(&mut taken).map_err(cut_off)?;
    Ok(taken)
}
