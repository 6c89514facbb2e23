//! One person's data: all of it handed out, or erased. It knows every room that keeps some.
//!
//! After an erasure the person stands nowhere but in invoices and credit notes, which the law wants kept. What they
//! ordered stays, as an order of nobody: the shop's figures, stock and books are as they were.

mod check;
mod dealings;
mod erase;
mod export;
pub mod http;
pub mod store;

pub use check::check;
pub use erase::{EraseError, erase, finish};
