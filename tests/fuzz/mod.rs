//! What the shop must withstand from anybody, as functions of bytes: `fuzz/` gives them to libFuzzer, and `main.rs` runs
//! them on what was found before and on changed copies of that.

mod shop;
mod text;

pub mod bodies;
pub mod imports;
pub mod queries;
pub mod records;
pub mod tokens;
pub mod webhooks;

/// Something that is given bytes.
pub struct Target {
    pub name: &'static str,
    /// Panics where the shop did what it must not.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

pub const TARGETS: &[Target] = &[
    Target { name: "bodies", run: bodies::run, seeds: bodies::seeds },
    Target { name: "imports", run: imports::run, seeds: imports::seeds },
    Target { name: "queries", run: queries::run, seeds: queries::seeds },
    Target { name: "records", run: records::run, seeds: records::seeds },
    Target { name: "tokens", run: tokens::run, seeds: tokens::seeds },
    Target { name: "webhooks", run: webhooks::run, seeds: webhooks::seeds },
];
