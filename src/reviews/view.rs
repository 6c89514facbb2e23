//! Reviews as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::model::Review;
use super::ops::ids_of_user;
use super::store::REVIEWS;
use crate::accounts;
use crate::clock::Time;
use crate::id::{ProductId, ReviewId, UserId};
use crate::orders;
use crate::store::{Reads, StoreError};

/// What somebody says of a product.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Review")]
pub struct ReviewView {
    id: ReviewId,
    product_id: ProductId,
    user: Writer,
    /// 1 to 5.
    rating: u8,
    title: String,
    comment: String,
    /// Whether its writer has bought the product: an order that is paid, and not cancelled.
    verified_purchase: bool,
    created_at: Time,
    /// When its writer last changed it.
    updated_at: Time,
    /// For staff alone: whether they took it out of sight.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    is_hidden: Option<bool>,
}

/// Who wrote a review.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Reviewer")]
struct Writer {
    id: UserId,
    /// As others are shown it.
    name: String,
}

/// A review as everybody sees it.
pub fn view(tx: &impl Reads, id: ReviewId, review: Review) -> Result<ReviewView, StoreError> {
    Ok(ReviewView {
        id,
        product_id: review.product,
        user: Writer { id: review.user, name: accounts::shown_name(tx, review.user)? },
        rating: review.rating,
        title: review.title,
        comment: review.comment,
        verified_purchase: orders::has_bought(tx, review.user, review.product)?,
        created_at: review.created_at,
        updated_at: review.updated_at,
        is_hidden: None,
    })
}

/// A review as staff see it.
pub fn staff_view(tx: &impl Reads, id: ReviewId, review: Review) -> Result<ReviewView, StoreError> {
    let is_hidden = Some(review.is_hidden);
    Ok(ReviewView { is_hidden, ..view(tx, id, review)? })
}

/// What somebody wrote, as they are told that we have it.
pub fn own(tx: &impl Reads, user: UserId) -> Result<Vec<ReviewView>, StoreError> {
    ids_of_user(tx, user)?.into_iter().map(|id| staff_view(tx, id, REVIEWS.expect(tx, &id)?)).collect()
}
