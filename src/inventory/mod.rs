//! The stock ledger, by variant. No other room changes a stock figure.
//!
//! - A variant's stock is never below zero and is the sum of its movements; every movement has its cause (I1).
//! - What got low, or is back, is marked in the commit of the movement until somebody was told; what is so no more is
//!   not marked.
//! - Stock is taken when an order is placed and given back when it is cancelled: there are no other holds.

pub mod admin;
mod alerts;
mod check;
mod model;
mod ops;
pub(crate) mod store;

pub use alerts::{alerts, is_marked, told};
pub use check::check;
pub use model::{Alert, Cause, InventoryError, MOST, Movement, Notice, Short, Stock, Want};
pub use ops::{adjust, count_low, give_back, low, open, set, short, stock_of, take, watch};
