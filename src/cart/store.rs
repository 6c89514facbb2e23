//! Tables of the cart.

use super::model::Cart;
use crate::id::UserId;
use crate::store::{Table, record};

record!(Cart as StoredCart: V1);

pub static CARTS: Table<UserId, Cart> = Table::new("carts", &[]);
