//! The acts that span rooms: placing an order, paying it, moving it on, cancelling it, and letting
//! it expire.

pub mod admin;
mod advance;
mod by_hand;
mod cancel;
mod expire;
pub mod http;
pub mod parcels;
mod pay;
mod place;
mod refund;

pub use cancel::{Cancelling, cancel};
pub use expire::expire_holds;
pub use pay::{Attempt, Pay, PayError, pay};
pub use place::{Basket, Item, PlaceError, Placing, Rules, place};
