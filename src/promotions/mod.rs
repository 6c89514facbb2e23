//! Coupons: what they take off, for whom and how often.
//!
//! - A coupon is used at most `max_uses` times, and at most `max_uses_per_user` times by one person: a use is counted
//!   in the commit that places the order, and given back in the one that cancels it. No limit is set below what is used.
//! - Codes don't mind upper and lower case. The code of a coupon that was used is never another's: it is archived, not
//!   deleted.
//! - What a coupon takes off is rounded once, and its shares on the lines sum to it exactly.

pub mod admin;
mod check;
mod coupon;
mod input;
mod model;
mod ops;
pub(crate) mod store;

pub use check::Carried;
pub use coupon::{Claim, Line, discounts};
pub use model::{Code, Coupon, Kind, PromotionError, Refusal, Terms, Use};
pub use ops::{claim, create, give_back, take};
