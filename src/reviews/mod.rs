//! Reviews: what people say of products, once each.
//!
//! - A product's rating is the sum and count of its visible reviews, in the same commit.
//! - A review holds no name and no address: whose it is, is looked up when it is shown, and so is whether they bought
//!   what they write about.
//! - Staff hide a review, show it again, or delete it; they don't change what it says.

pub mod admin;
mod check;
pub mod http;
mod model;
mod ops;
pub(crate) mod store;
mod view;

pub use check::check;
pub use model::{Review, ReviewError, Stars, Text};
pub use ops::{are_nobodys, erase, write};
pub use view::{ReviewView, own};
