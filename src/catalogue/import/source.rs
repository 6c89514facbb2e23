//! A file, read entry by entry in the order of the import: the entries of a product together, wherever in the file
//! they stand, and those that name their product before those that don't.
//!
//! What is kept in memory is where the entries are, sixteen bytes each.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Read as _, Seek, SeekFrom};
use std::ops::ControlFlow;

use super::columns::{Columns, Names};
use super::row::Entry;
use super::spool::{Format, Spooled};
use super::{RowError, lines, row};
use crate::catalogue::model::CatalogueError;
use crate::http::Faults;
use crate::money::Currency;

/// Most bytes of a JSON line.
const LONGEST: u64 = 4 << 20;

/// Most entries of a product: variants and pictures have lower limits.
const MOST: usize = 1000;

/// Where an entry is in the file, and which product's it is.
#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    line: u32,
    group: u32,
}

/// Entries without a handle are products of their own, and come last.
const ALONE: u32 = 1 << 31;

/// A file that was looked through.
pub struct Source {
    file: File,
    format: Format,
    currency: Currency,
    columns: Option<Columns>,
    places: Vec<Place>,
}

/// The entries of one product.
pub struct Group {
    pub entries: Vec<Entry>,
}

impl Group {
    /// The place after it in the order of the import.
    pub fn end(&self) -> u32 {
        self.entries.last().map_or(0, |entry| entry.at + 1)
    }
}

fn whole(said: impl Into<String>) -> CatalogueError {
    CatalogueError::Invalid(Faults::from([("file".to_owned(), vec![said.into()])]))
}

fn unreadable(error: &io::Error) -> CatalogueError {
    whole(format!("the file can't be read: {error}"))
}

fn bad(line: u64, said: &str) -> row::Read {
    let error = RowError { line, column: String::new(), message: said.to_owned() };
    row::Read::Bad { rows: 1, errors: vec![error] }
}

impl Source {
    /// Looks through a file. `seen` hears how many bytes were.
    ///
    /// # Errors
    /// 422 when the file as a whole can't be read: no header, a column that is not known.
    pub fn open(
        spooled: Spooled,
        format: Format,
        currency: Currency,
        mut seen: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Option<Source>, CatalogueError> {
        let mut source = Source { file: spooled.file, format, currency, columns: None, places: Vec::new() };
        let mut groups: HashMap<u64, u32> = HashMap::new();
        let hasher = RandomState::new();
        let mut alone = ALONE;
        let mut places = Vec::new();
        let mut reader = source.reader()?;
        if let Reader::Csv(csv) = &mut reader {
            let header =
                csv.byte_headers().map_err(|error| whole(format!("the header can't be read: {error}")))?;
            source.columns = Some(Columns::of(header, format, currency).map_err(whole)?);
        }
        while let Some(raw) = reader.next().map_err(|error| unreadable(&error))? {
            let handle = match (&raw.what, &source.columns) {
                (What::Record(record), Some(columns)) => columns.handle_of(record),
                (What::Line(line), _) => lines::slug_of(line),
                (What::Record(_) | What::Bad(_), _) => None,
            };
            let group = match handle {
                Some(handle) => {
                    let new = groups.len() as u32;
                    *groups.entry(hasher.hash_one(handle)).or_insert(new)
                }
                None => {
                    alone += 1;
                    alone
                }
            };
            places.push(Place { offset: raw.offset, line: raw.line, group });
            if places.len() % 1024 == 0 && seen(raw.offset).is_break() {
                return Ok(None);
            }
        }
        if !places.is_sorted_by_key(|place| place.group) {
            places.sort_by_key(|place| place.group);
        }
        source.places = places;
        Ok(Some(source))
    }

    pub fn names(&self) -> Names {
        let json = Names { name: "name", price: "price", sku: "sku", handle: "slug", option: "options" };
        self.columns.as_ref().map_or(json, Columns::names)
    }

    /// What is worth saying about how the file was read.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Format::Csv { separator, is_latin } = self.format {
            if is_latin {
                notes.push("The file is not UTF-8; it was read as Windows-1252 (Latin-1).".into());
            }
            if separator != b',' {
                let name = if separator == b';' { "semicolons" } else { "tabs" };
                notes.push(format!("The file's cells are separated by {name}."));
            }
        }
        notes
    }

    /// How many entries there are.
    pub fn len(&self) -> u32 {
        self.places.len() as u32
    }

    /// Hands each product's entries to `visit`, from the entry `from` on, which begins one.
    pub fn each(
        &self,
        from: u32,
        mut visit: impl FnMut(Group) -> Result<ControlFlow<()>, CatalogueError>,
    ) -> Result<(), CatalogueError> {
        let mut reader = self.reader()?;
        let mut at = from as usize;
        while let Some(first) = self.places.get(at) {
            let of_group = self.places[at..].iter().take_while(|place| place.group == first.group);
            let mut entries = Vec::new();
            for (n, place) in of_group.enumerate() {
                entries.push(if n < MOST {
                    self.entry(&mut reader, at as u32, *place).map_err(|error| unreadable(&error))?
                } else {
                    let line = u64::from(place.line);
                    Entry {
                        at: at as u32,
                        line,
                        rows: vec![bad(line, "is one of too many rows of this product")],
                    }
                });
                at += 1;
            }
            if visit(Group { entries })?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn entry(&self, reader: &mut Reader, at: u32, place: Place) -> io::Result<Entry> {
        reader.seek(place)?;
        let raw = reader.next()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let line = u64::from(place.line);
        let rows = match (raw.what, &self.columns) {
            (What::Record(record), Some(columns)) => vec![columns.row(&record, line)],
            (What::Line(text), _) => lines::rows(&text, line, self.currency),
            (What::Bad(said), _) => vec![bad(line, said)],
            (What::Record(_), None) => unreachable!("a CSV file was opened by its columns"),
        };
        Ok(Entry { at, line, rows })
    }

    /// A reader from the file's beginning; there is one at a time.
    fn reader(&self) -> Result<Reader, CatalogueError> {
        let open = || {
            let mut file = self.file.try_clone()?;
            file.rewind()?;
            Ok(match self.format {
                Format::Csv { separator, .. } => {
                    let mut builder = csv::ReaderBuilder::new();
                    Reader::Csv(Box::new(
                        builder
                            .flexible(true)
                            .delimiter(separator)
                            .buffer_capacity(64 << 10)
                            .from_reader(file),
                    ))
                }
                Format::Lines => {
                    Reader::Lines { reader: BufReader::with_capacity(64 << 10, file), offset: 0, line: 0 }
                }
            })
        };
        open().map_err(|error| unreadable(&error))
    }
}

enum Reader {
    Csv(Box<csv::Reader<File>>),
    Lines { reader: BufReader<File>, offset: u64, line: u32 },
}

struct Raw {
    offset: u64,
    line: u32,
    what: What,
}

enum What {
    Record(csv::ByteRecord),
    Line(String),
    Bad(&'static str),
}

impl Reader {
    /// The next entry that is not blank.
    fn next(&mut self) -> io::Result<Option<Raw>> {
        match self {
            Reader::Csv(reader) => {
                let mut record = csv::ByteRecord::new();
                while reader.read_byte_record(&mut record)? {
                    if record.iter().any(|cell| !cell.trim_ascii().is_empty()) {
                        let at = record.position().cloned().unwrap_or_else(csv::Position::new);
                        let raw =
                            Raw { offset: at.byte(), line: at.line() as u32, what: What::Record(record) };
                        return Ok(Some(raw));
                    }
                }
                Ok(None)
            }
            Reader::Lines { reader, offset, line } => loop {
                let mut bytes = Vec::new();
                let read = reader.by_ref().take(LONGEST + 1).read_until(b'\n', &mut bytes)? as u64;
                if read == 0 {
                    return Ok(None);
                }
                let (at, of_line) = (*offset, *line + 1);
                *offset += read;
                *line += 1;
                if read > LONGEST {
                    loop {
                        let rest = reader.fill_buf()?;
                        let end = rest.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
                        let passed = end.unwrap_or(rest.len());
                        reader.consume(passed);
                        *offset += passed as u64;
                        if end.is_some() || passed == 0 {
                            break;
                        }
                    }
                    return Ok(Some(Raw {
                        offset: at,
                        line: of_line,
                        what: What::Bad("is over 4 MiB long"),
                    }));
                }
                let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").filter(|_| at == 0).unwrap_or(&bytes);
                if !bytes.trim_ascii().is_empty() {
                    let text = String::from_utf8(bytes.to_owned());
                    let what = text.map_or(What::Bad("is not UTF-8, as JSON is"), What::Line);
                    return Ok(Some(Raw { offset: at, line: of_line, what }));
                }
            },
        }
    }

    /// Goes to an entry, unless it is the next one anyway.
    fn seek(&mut self, place: Place) -> io::Result<()> {
        match self {
            Reader::Csv(reader) => {
                if reader.position().byte() != place.offset {
                    // The header is read before what comes after it is looked for.
                    reader.byte_headers()?;
                    let mut to = csv::Position::new();
                    to.set_byte(place.offset).set_line(u64::from(place.line));
                    reader.seek(to)?;
                }
            }
            Reader::Lines { reader, offset, line } => {
                if *offset != place.offset {
                    reader.seek(SeekFrom::Start(place.offset))?;
                    *offset = place.offset;
                }
                *line = place.line - 1;
            }
        }
        Ok(())
    }
}
