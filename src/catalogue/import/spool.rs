//! A file as it arrives: kept on the disk for as long as it is worked on, and looked at for what it is.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// How a file is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Csv {
        separator: u8,
        /// Whether what is not UTF-8 is Windows-1252, of which Latin-1 is a part.
        is_latin: bool,
    },
    /// JSON lines, one product each.
    Lines,
}

/// A file in the making. It has no name, so nothing is left of it when the process ends.
pub struct Spool {
    file: File,
    length: u64,
    /// The first bytes, as far as the header can reach.
    head: Vec<u8>,
    /// The bytes of a character that the last piece ended in.
    cut: Vec<u8>,
    /// Characters of several bytes in good UTF-8, and bytes that are none.
    good: u64,
    bad: u64,
}

/// A file that is whole.
pub struct Spooled {
    pub file: File,
    /// In bytes.
    pub length: u64,
    head: Vec<u8>,
    is_latin: bool,
}

/// How far a header is looked for (bytes).
const HEAD: usize = 16 << 10;

impl Spool {
    /// Begins a file in `dir`, or, where there is no such directory, in the system's own place for such files.
    pub fn begin(dir: &Path) -> io::Result<Spool> {
        let file = if dir.is_dir() { tempfile::tempfile_in(dir)? } else { tempfile::tempfile()? };
        Ok(Spool { file, length: 0, head: Vec::new(), cut: Vec::new(), good: 0, bad: 0 })
    }

    pub fn add(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all(piece)?;
        self.length += piece.len() as u64;
        let wanted = HEAD.saturating_sub(self.head.len()).min(piece.len());
        self.head.extend_from_slice(&piece[..wanted]);
        self.look_at(piece);
        Ok(())
    }

    /// Counts what is UTF-8 beyond ASCII, and what is not.
    fn look_at(&mut self, piece: &[u8]) {
        let mut whole = std::mem::take(&mut self.cut);
        let piece = if whole.is_empty() {
            piece
        } else {
            whole.extend_from_slice(piece);
            &whole
        };
        let mut chunks = piece.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            self.good += chunk.valid().bytes().filter(|byte| *byte >= 0xC0).count() as u64;
            let invalid = chunk.invalid();
            // A character may go on in the next piece.
            if chunks.peek().is_none() && !invalid.is_empty() && invalid.len() < 4 {
                self.cut = invalid.to_vec();
            } else {
                self.bad += invalid.len() as u64;
            }
        }
    }

    pub fn finish(mut self) -> io::Result<Spooled> {
        self.file.flush()?;
        self.bad += self.cut.len() as u64;
        Ok(Spooled {
            file: self.file,
            length: self.length,
            head: self.head,
            // One bad character in a file of good ones is a fault; a file that has only bad ones is not UTF-8.
            is_latin: self.bad > 0 && self.good == 0,
        })
    }
}

impl Spooled {
    /// How a CSV file is to be read.
    ///
    /// # Errors
    /// What it is instead, if it is none.
    pub fn csv(&self) -> Result<Format, String> {
        if self.head.starts_with(b"\xFF\xFE") || self.head.starts_with(b"\xFE\xFF") || self.head.contains(&0)
        {
            return Err("this is no CSV in UTF-8: a spreadsheet, or UTF-16; save it as CSV UTF-8".into());
        }
        if self.length == 0 {
            return Err("the file is empty".into());
        }
        if self.head.starts_with(b"PK\x03\x04") {
            return Err("this is a spreadsheet or an archive; save the sheet as CSV UTF-8".into());
        }
        Ok(Format::Csv { separator: separator(&self.head), is_latin: self.is_latin })
    }
}

/// What separates the cells of a header: of comma, semicolon and tab, the one that is there most.
fn separator(head: &[u8]) -> u8 {
    let mut in_quotes = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    // Blank lines may come first.
    for &byte in head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start() {
        match byte {
            b'"' => in_quotes = !in_quotes,
            b'\n' | b'\r' if !in_quotes => break,
            _ if !in_quotes => {
                if let Some((_, count)) = counts.iter_mut().find(|(separator, _)| *separator == byte) {
                    *count += 1;
                }
            }
            _ => {}
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    counts.iter().find(|(_, count)| *count == most).map_or(b',', |(separator, _)| *separator)
}
