//! Wishlists: what people would like to have, and telling them when it is back.
//!
//! - A product is on somebody's list once; a wish may name the variant that is meant.
//! - A wish holds nothing, and outlives its product: what is not for sale any more is listed as such.
//! - When what is wished for comes back in stock, each who wishes for it gets one mail, however often the work is cut
//!   short.

pub mod http;
mod model;
mod ops;
pub(crate) mod store;
mod tell;
mod view;

pub use ops::{add, forget, is_empty};
pub use tell::tell_of_one;
pub use view::{WishView, all};
