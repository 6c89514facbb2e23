//! The audit trail: what people in charge changed, written in the commit of the change.
//!
//! An entry says who, when, what, and what the thing was before and is after; of a thing that was changed only the
//! fields that differ. Secrets never stand in it.

mod model;
mod ops;
pub mod store;

pub use model::Entry;
pub use ops::{note, scrub};
