//! The stock ledger, by variant. No other room changes a stock figure.
//!
//! - A variant's stock is never below zero and is the sum of its movements; every movement has its cause (I1).
//! - Stock is taken when an order is placed and given back when it is cancelled: there are no other holds.

pub mod admin;
mod check;
mod model;
mod ops;
pub(crate) mod store;

pub use check::check;
pub use model::{Cause, InventoryError, MOST, Movement, Short, Stock, Want};
pub use ops::{adjust, give_back, low, open, set, short, stock_of, take, watch};
