//! Reading a file's entries, from wherever they are: CSV records and JSON lines, each with its line and its limits.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use super::spool::Format;

/// Most bytes of an entry.
pub const LONGEST: u64 = 1 << 20;
/// How much is read at once (bytes).
const BUFFER: usize = 64 << 10;

/// An entry as it stands in the file.
pub struct Raw {
    /// Where reading it begins (bytes).
    pub offset: u64,
    /// Its first line, from 1.
    pub line: u32,
    pub what: What,
}

pub enum What {
    Record(csv::ByteRecord),
    Line(String),
    Bad(&'static str),
}

impl What {
    /// How much of the file it is, more or less (bytes).
    pub fn length(&self) -> u64 {
        match self {
            What::Record(record) => record.as_slice().len() as u64,
            What::Line(line) => line.len() as u64,
            What::Bad(_) => 0,
        }
    }
}

pub enum Reader {
    Csv(Box<Records>),
    Lines { reader: BufReader<File>, offset: u64, line: u32 },
}

/// A CSV file. The reader's own count of lines is one behind where lines end as Windows ends them, and does not see
/// blank lines in time, so a record's line is counted back from its end.
pub struct Records {
    reader: csv::Reader<Bounded>,
    file: File,
    /// Bytes read since the last record.
    since: Rc<Cell<u64>>,
    separator: u8,
    /// Where the last record begins, and on which line.
    last: (u64, u32),
}

/// Stops a record from going on for ever, as one does whose quotes are left open.
struct Bounded {
    file: File,
    since: Rc<Cell<u64>>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since.get() > LONGEST + BUFFER as u64 {
            let said = format!("a record is over {LONGEST} bytes long; a quote may have been left open");
            return Err(io::Error::new(io::ErrorKind::InvalidData, said));
        }
        let read = self.file.read(buffer)?;
        self.since.set(self.since.get() + read as u64);
        Ok(read)
    }
}

impl Reader {
    /// Reads `file` from its beginning; there is one reader of a file at a time.
    pub fn new(file: &File, format: Format) -> io::Result<Reader> {
        let mut file = file.try_clone()?;
        file.rewind()?;
        let Format::Csv { separator, .. } = format else {
            return Ok(Reader::Lines { reader: BufReader::with_capacity(BUFFER, file), offset: 0, line: 0 });
        };
        let since = Rc::new(Cell::new(0));
        let bounded = Bounded { file: file.try_clone()?, since: Rc::clone(&since) };
        let mut builder = csv::ReaderBuilder::new();
        let reader = builder.flexible(true).delimiter(separator).buffer_capacity(BUFFER).from_reader(bounded);
        Ok(Reader::Csv(Box::new(Records { reader, file, since, separator, last: (0, 1) })))
    }

    /// The first record of a CSV file.
    pub fn header(&mut self) -> io::Result<Option<&csv::ByteRecord>> {
        match self {
            Reader::Csv(records) => Ok(Some(records.reader.byte_headers()?)),
            Reader::Lines { .. } => Ok(None),
        }
    }

    /// The next entry that is not blank.
    pub fn next(&mut self) -> io::Result<Option<Raw>> {
        match self {
            Reader::Csv(records) => records.next(),
            Reader::Lines { reader, offset, line } => next_line(reader, offset, line),
        }
    }

    /// Goes to the entry that begins at `offset`, on `line`, unless it is the next one anyway.
    pub fn seek(&mut self, offset: u64, line: u32) -> io::Result<()> {
        match self {
            Reader::Csv(records) => {
                if records.reader.position().byte() != offset {
                    // The header is read before what comes after it is looked for.
                    records.reader.byte_headers()?;
                    let mut to = csv::Position::new();
                    to.set_byte(offset).set_line(u64::from(line));
                    records.reader.seek(to)?;
                }
            }
            Reader::Lines { reader, offset: at, line: known } => {
                if *at != offset {
                    reader.seek_relative(offset.cast_signed() - at.cast_signed())?;
                    *at = offset;
                }
                *known = line - 1;
            }
        }
        Ok(())
    }
}

impl Seek for Bounded {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl Records {
    fn next(&mut self) -> io::Result<Option<Raw>> {
        let mut record = csv::ByteRecord::new();
        loop {
            let offset = self.reader.position().byte();
            self.since.set(0);
            if !self.reader.read_byte_record(&mut record)? {
                return self.is_closed(offset).map(|()| None);
            }
            let inside = memchr::memchr_iter(b'\n', record.as_slice()).count() as u64;
            let end = self.reader.position();
            let line = (end.line() - inside - u64::from(self.ends_a_line(end.byte())?)) as u32;
            self.last = (offset, line);
            if record.iter().any(|cell| !cell.trim_ascii().is_empty()) {
                return Ok(Some(Raw { offset, line, what: What::Record(record) }));
            }
        }
    }

    /// Whether the last record, which ends with the file at `end`, has closed its quotes. One that has not has
    /// swallowed whatever came after them.
    fn is_closed(&self, end: u64) -> io::Result<()> {
        let (begin, line) = self.last;
        let mut bytes = vec![0; end.saturating_sub(begin) as usize];
        self.file.read_exact_at(&mut bytes, begin)?;
        let ends_open = bytes.ends_with(b"\n");
        let (mut in_quotes, mut begins) = (false, true);
        for byte in bytes {
            match byte {
                // Doubled quotes end and begin them again, which comes to the same.
                b'"' if in_quotes || begins => (in_quotes, begins) = (!in_quotes, in_quotes),
                b'\n' | b'\r' => begins = true,
                byte => begins = byte == self.separator,
            }
        }
        if in_quotes {
            // The line feed at the end was counted as one in the cell, and as the row's own.
            let line = line + u32::from(ends_open);
            let said = format!("a quote is opened in the row of line {line} and never closed");
            return Err(io::Error::new(io::ErrorKind::InvalidData, said));
        }
        Ok(())
    }

    /// Whether the byte before `at` is a line feed: the reader has counted it then.
    fn ends_a_line(&self, at: u64) -> io::Result<bool> {
        let mut last = [0];
        self.file.read_exact_at(&mut last, at.saturating_sub(1))?;
        Ok(last == *b"\n")
    }
}

fn next_line(reader: &mut BufReader<File>, offset: &mut u64, line: &mut u32) -> io::Result<Option<Raw>> {
    loop {
        let mut bytes = Vec::new();
        let read = reader.by_ref().take(LONGEST + 1).read_until(b'\n', &mut bytes)? as u64;
        if read == 0 {
            return Ok(None);
        }
        let (at, of_line) = (*offset, *line + 1);
        *offset += read;
        *line += 1;
        let raw = |what| Ok(Some(Raw { offset: at, line: of_line, what }));
        if read > LONGEST {
            if !bytes.ends_with(b"\n") {
                *offset += pass_line(reader)?;
            }
            return raw(What::Bad("is over 1 MiB long"));
        }
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").filter(|_| at == 0).unwrap_or(&bytes);
        if !bytes.trim_ascii().is_empty() {
            let text = String::from_utf8(bytes.to_owned());
            return raw(text.map_or(What::Bad("is not UTF-8, as JSON is"), What::Line));
        }
    }
}

/// Reads to the end of a line; how many bytes that were.
fn pass_line(reader: &mut BufReader<File>) -> io::Result<u64> {
    let mut all = 0;
    loop {
        let rest = reader.fill_buf()?;
        let end = rest.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
        let passed = end.unwrap_or(rest.len());
        reader.consume(passed);
        all += passed as u64;
        if end.is_some() || passed == 0 {
            return Ok(all);
        }
    }
}
