//! Importing products: CSV in till's own columns or Shopify's, which are recognised by their header, and JSON lines.
//!
//! A file is kept on the disk while it is worked on (`spool`), looked through once for where each product's rows are
//! (`source`), held against the shop as it is in one snapshot (`check`), and only if all is good, or what is bad may be
//! left out, applied in chunks (`apply`), each a commit of its own that leaves whole products. In memory is where the
//! rows are and what was found out of each product, never the rows themselves.
//!
//! An import that changes something has a record of how far it got and of what it changed: it can be gone on with
//! after it was cut short, and put back (`undo`). The same file again changes nothing.

mod apply;
mod check;
mod columns;
mod fill;
pub mod http;
mod job;
mod lines;
mod plan;
mod reader;
pub mod record;
mod row;
mod source;
mod spool;
mod undo;

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::ImportId;

pub use columns::own as own_columns;
pub use undo::forget;

/// What may be done to products that are there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Mode {
    #[default]
    Upsert,
    /// A row whose variant exists is bad.
    Create,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Upsert => "upsert",
            Mode::Create => "create",
        }
    }
}

crate::words!(Mode: ["upsert", "create"]);

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "upsert" => Ok(Mode::Upsert),
            "create" => Ok(Mode::Create),
            _ => Err("must be upsert or create".into()),
        }
    }
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct RowError {
    /// The file's line, from 1.
    pub line: u64,
    /// The column as the file's header names it; empty when it is not about one.
    pub column: String,
    pub message: String,
}

/// Most characters of a fault's column and message: they may quote the file.
const MOST_SAID: usize = 300;

impl RowError {
    pub fn new(line: u64, column: impl Into<String>, message: impl Into<String>) -> RowError {
        let short = |text: String| match text.char_indices().nth(MOST_SAID) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text,
        };
        RowError { line, column: short(column.into()), message: short(message.into()) }
    }
}

/// Most faults that are kept and told.
const MOST_ERRORS: usize = 1000;

/// The faults of a file, as many as are worth telling.
#[derive(Clone, Debug, Default)]
pub struct Errors {
    told: Vec<RowError>,
    /// How many more there were.
    more: u64,
}

impl Errors {
    pub fn push(&mut self, error: RowError) {
        if self.told.len() < MOST_ERRORS {
            self.told.push(error);
        } else {
            self.more += 1;
        }
    }

    pub fn append(&mut self, errors: Vec<RowError>) {
        for error in errors {
            self.push(error);
        }
    }

    /// Those that a record keeps.
    pub fn first(&self) -> Vec<RowError> {
        self.told.iter().take(record::KEPT_ERRORS).cloned().collect()
    }
}

/// What came of rows, which are a file's variants. `rows` is always `created + updated + unchanged + failed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// All of them.
    pub rows: u64,
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub failed: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Counts) {
        self.rows += more.rows;
        self.created += more.created;
        self.updated += more.updated;
        self.unchanged += more.unchanged;
        self.failed += more.failed;
    }
}

/// What came of a file.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "ImportReport")]
pub struct Report {
    /// What it can be put back by; null when nothing was changed.
    pub id: Option<ImportId>,
    #[serde(flatten)]
    pub counts: Counts,
    /// The first thousand that were found, by line.
    pub errors: Vec<RowError>,
    /// What is worth saying about how the file was read.
    pub notes: Vec<String>,
}

impl Report {
    fn new(id: Option<ImportId>, counts: Counts, errors: Errors, mut notes: Vec<String>) -> Report {
        let Errors { told: mut errors, more } = errors;
        errors.sort();
        errors.dedup();
        if more > 0 {
            notes.push(format!("{more} more faults are not listed."));
        }
        Report { id, counts, errors, notes }
    }
}
