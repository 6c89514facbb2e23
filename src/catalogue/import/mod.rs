//! Importing products from CSV: the columns of till, and Shopify's, which are recognised by their header.
//!
//! A file is read into rows ([`read`]), the rows are held against the shop ([`plan`]), and only if all are good
//! is the plan carried out ([`apply`]). The same file again changes nothing.

mod columns;
mod plan;

use std::str::FromStr;

use serde::Serialize;

pub use columns::{Rows, read};
pub use plan::{apply, plan};

/// What may be done to products that are there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    #[default]
    Upsert,
    /// A row whose variant exists is bad.
    Create,
}

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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RowError {
    /// The file's line, from 1.
    pub line: u64,
    /// The column as the file's header names it; empty when it is not about one.
    pub column: String,
    pub message: String,
}

/// What came of a file. `rows` are its variants, and always `created + updated + unchanged + failed`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub rows: usize,
    pub created: usize,
    pub updated: usize,
    pub unchanged: usize,
    pub failed: usize,
    pub errors: Vec<RowError>,
}
