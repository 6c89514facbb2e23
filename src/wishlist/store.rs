//! Tables of wishlists.

use super::model::{Told, Wish};
use crate::clock::Time;
use crate::id::{ProductId, UserId, VariantId};
use crate::store::{Index, Table, record};

record!(Wish as StoredWish: V1);
record!(Told as StoredTold: V1);

pub static BY_AGE: Index<(UserId, ProductId), Wish, (UserId, Time)> =
    Index::list("wishes.by_age", |wish| vec![(wish.user, wish.added_at)]);
/// Who wishes for a product, by their ids.
pub static BY_PRODUCT: Index<(UserId, ProductId), Wish, (ProductId, UserId)> =
    Index::list("wishes.by_product", |wish| vec![(wish.product, wish.user)]);
pub static WISHES: Table<(UserId, ProductId), Wish> = Table::new("wishes", &[&BY_AGE, &BY_PRODUCT]);

/// Variants that are back, while people are told.
pub static TOLD: Table<VariantId, Told> = Table::new("wishes_told", &[]);
