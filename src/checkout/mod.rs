//! The acts that span rooms: placing an order, paying it, cancelling it, and letting it expire.

pub mod admin;
mod cancel;
mod expire;
pub mod http;
mod pay;
mod place;
mod refund;

pub use cancel::{Cancelling, cancel};
pub use expire::expire_holds;
pub use pay::{Attempt, Pay, PayError, pay};
pub use place::{Basket, Item, PlaceError, Placing, Rules, place};
