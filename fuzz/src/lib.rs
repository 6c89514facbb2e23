//! The targets of `tests/fuzz`, for cargo-fuzz.

#[path = "../../tests/fuzz/mod.rs"]
mod fuzz;

pub use fuzz::*;
