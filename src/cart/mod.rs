//! The cart: what somebody means to buy. It holds no stock; that is taken when the order is placed.
//!
//! Prices always come from the catalogue. A line remembers the price it was put in at only to say when it has
//! changed, and the coupon is held against the basket anew each time that it is looked at.

pub mod http;
mod model;
mod ops;
pub(crate) mod store;
pub mod totals;
mod view;

pub use model::{Cart, CartError, Line, MOST_UNITS};
pub use ops::{add, apply_coupon, clear, forget, get, price};
pub use view::{ItemView, item};
