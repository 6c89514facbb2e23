//! Tables of the cart.

use super::model::{Cart, CartV1, CartV2};
use crate::clock::Time;
use crate::id::UserId;
use crate::store::{Index, Table, record};

record!(Cart as StoredCart: V3, was V1(CartV1), was V2(CartV2));

/// By the day of the last change; those of which it is not known come first.
pub static BY_DAY: Index<UserId, Cart, Time> =
    Index::list("carts.by_day", |cart| vec![cart.changed_on.unwrap_or_default()]);
pub static CARTS: Table<UserId, Cart> = Table::new("carts", &[&BY_DAY]);
