//! Wishes as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::model::Wish;
use super::ops::of_user;
use crate::catalogue::{self, Summary};
use crate::clock::Time;
use crate::id::{ProductId, UserId, VariantId};
use crate::store::{Reads, StoreError};

/// A product that somebody wishes for.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Wish")]
pub struct WishView {
    product_id: ProductId,
    /// Null where any of its variants will do.
    variant_id: Option<VariantId>,
    /// Null when it is not for sale any more.
    product: Option<Summary>,
    added_at: Time,
}

pub fn view(tx: &impl Reads, wish: &Wish) -> Result<WishView, StoreError> {
    Ok(WishView {
        product_id: wish.product,
        variant_id: wish.variant,
        product: catalogue::overview(tx, wish.product, wish.variant)?,
        added_at: wish.added_at,
    })
}

/// All that somebody wishes for, as they are told that we have it.
pub fn all(tx: &impl Reads, user: UserId) -> Result<Vec<WishView>, StoreError> {
    of_user(tx, user)?.iter().map(|wish| view(tx, wish)).collect()
}
