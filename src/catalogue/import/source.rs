//! A file, entry by entry in the order of the import: the entries of a product together, wherever in the file they
//! stand, and those that name their product before those that don't.
//!
//! What is kept in memory is where the entries are, and while that is found out, the hashes of their handles.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::ops::ControlFlow;

use super::columns::{Columns, Names};
use super::reader::{Reader, What};
use super::row::{Entry, Read};
use super::spool::{Format, Spooled};
use super::{RowError, lines};
use crate::catalogue::model::CatalogueError;
use crate::http::Faults;
use crate::money::Currency;

/// Most entries of a file, and of one product: variants and pictures have lower limits.
const MOST: usize = 5_000_000;
const MOST_OF_ONE: u32 = 1000;
/// JSON lines have a product on each, so that a second one is a fault already.
const MOST_LINES: u32 = 20;
/// Most bytes of a product's entries.
const LARGEST: u64 = 8 << 20;

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
    let said = RowError::new(0, "", said).message;
    CatalogueError::Invalid(Faults::from([("file".to_owned(), vec![said])]))
}

fn unreadable(error: &io::Error) -> CatalogueError {
    whole(format!("the file can't be read: {error}"))
}

/// The products of a file while it is looked through: how many entries each has, and how large they are.
#[derive(Default)]
struct Products {
    known: HashMap<u64, u32>,
    sizes: Vec<(u32, u64)>,
    hasher: RandomState,
    alone: u32,
}

impl Products {
    /// The group of an entry.
    ///
    /// # Errors
    /// When its product has too many, which a file can't be right with.
    fn group_of(
        &mut self,
        handle: Option<String>,
        length: u64,
        line: u32,
        most: u32,
    ) -> Result<u32, CatalogueError> {
        let Some(handle) = handle else {
            self.alone += 1;
            return Ok(ALONE + self.alone);
        };
        let new = self.sizes.len() as u32;
        let group = *self.known.entry(self.hasher.hash_one(&handle)).or_insert(new);
        if group == new {
            self.sizes.push((0, 0));
        }
        let (count, size) = &mut self.sizes[group as usize];
        *count += 1;
        *size += length;
        if *count > most || *size > LARGEST {
            let said = format!("has more than {most} rows, or {LARGEST} bytes of them");
            return Err(whole(format!("line {line}: the product {handle:.100} {said}")));
        }
        Ok(group)
    }
}

impl Source {
    /// Looks through a file. `seen` hears how many bytes were, and can put an end to it.
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
        let (mut products, mut places) = (Products::default(), Vec::new());
        let most = if format == Format::Lines { MOST_LINES } else { MOST_OF_ONE };
        let mut reader = source.reader()?;
        let header = reader.header().map_err(|error| whole(format!("the header can't be read: {error}")))?;
        if let Some(header) = header {
            source.columns = Some(Columns::of(header, format, currency).map_err(whole)?);
        }
        while let Some(raw) = reader.next().map_err(|error| unreadable(&error))? {
            let handle = match (&raw.what, &source.columns) {
                (What::Record(record), Some(columns)) => columns.handle_of(record),
                (What::Line(line), _) => lines::slug_of(line),
                (What::Record(_) | What::Bad(_), _) => None,
            };
            let group = products.group_of(handle, raw.what.length(), raw.line, most)?;
            places.push(Place { offset: raw.offset, line: raw.line, group });
            if places.len() > MOST {
                return Err(whole(format!("the file has more than {MOST} rows; split it")));
            }
            if places.len().is_multiple_of(1024) && seen(raw.offset).is_break() {
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
        let json = Names {
            name: "name",
            price: "price",
            sku: "sku",
            handle: "slug",
            option: "options",
            stock: "stock_quantity",
        };
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
            for place in of_group {
                entries.push(self.entry(&mut reader, at as u32, *place).map_err(|error| unreadable(&error))?);
                at += 1;
            }
            if visit(Group { entries })?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn entry(&self, reader: &mut Reader, at: u32, place: Place) -> io::Result<Entry> {
        reader.seek(place.offset, place.line)?;
        let raw = reader.next()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let line = u64::from(place.line);
        let rows = match (raw.what, &self.columns) {
            (What::Record(record), Some(columns)) => vec![columns.row(&record, line)],
            (What::Line(text), _) => lines::rows(&text, line, self.currency),
            (What::Bad(said), _) => vec![Read::Bad { rows: 1, errors: vec![RowError::new(line, "", said)] }],
            (What::Record(_), None) => unreachable!("a CSV file was opened by its columns"),
        };
        Ok(Entry { at, line, rows })
    }

    /// A reader from the file's beginning; there is one at a time.
    fn reader(&self) -> Result<Reader, CatalogueError> {
        Reader::new(&self.file, self.format).map_err(|error| unreadable(&error))
    }
}
