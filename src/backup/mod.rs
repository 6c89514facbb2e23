//! Backups: sealed, and taken to where they are kept.

pub mod bucket;
pub mod crypt;
