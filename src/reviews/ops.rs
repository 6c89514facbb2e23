//! The acts of reviews.

use std::cmp::Reverse;
use std::ops::ControlFlow;

use super::model::{Change, Review, ReviewError, Stars, Text};
use super::store::{BY_WRITER, REVIEWS, STARS};
use crate::accounts;
use crate::catalogue::{self, CatalogueError};
use crate::id::{ProductId, ReviewId, UserId};
use crate::store::{Direction, Key, Reads, Span, StoreError, WriteTx};

pub fn get(tx: &impl Reads, id: ReviewId) -> Result<Review, ReviewError> {
    REVIEWS.get(tx, &id)?.ok_or(ReviewError::NotFound)
}

/// A review of this product.
pub fn of_product(tx: &impl Reads, product: ProductId, id: ReviewId) -> Result<Review, ReviewError> {
    REVIEWS.get(tx, &id)?.filter(|review| review.product == product).ok_or(ReviewError::NotFound)
}

/// All that somebody wrote, newest first.
pub fn ids_of_user(tx: &impl Reads, user: UserId) -> Result<Vec<ReviewId>, StoreError> {
    let mut ids = Vec::new();
    BY_WRITER.scan(tx, Span::under(user.bytes(), Direction::Up), |_, id| {
        ids.push(id);
        ControlFlow::Continue(())
    })?;
    // There they stand by product.
    ids.sort_unstable_by_key(|id| Reverse(*id));
    Ok(ids)
}

/// Writes a review of a product that customers see.
pub fn write(
    tx: &mut WriteTx,
    user: UserId,
    product: ProductId,
    text: &Text,
) -> Result<(ReviewId, Review), ReviewError> {
    accounts::active(tx, user)?;
    catalogue::public(tx, product)?.ok_or(CatalogueError::NotFound)?;
    if BY_WRITER.find(tx, &(user, product))?.is_some() {
        return Err(ReviewError::AlreadyReviewed);
    }

    let id = ReviewId(tx.next_number("reviews")?);
    let now = tx.now();
    let review = Review {
        product,
        user,
        rating: text.rating,
        title: text.title.clone(),
        comment: text.comment.clone(),
        is_hidden: false,
        created_at: now,
        updated_at: now,
    };
    REVIEWS.put(tx, &id, &review)?;
    recount(tx, None, Some(&review))?;
    Ok((id, review))
}

/// Its writer says it anew. A hidden one stays hidden.
pub fn change(
    tx: &mut WriteTx,
    user: UserId,
    product: ProductId,
    id: ReviewId,
    change: &Change,
) -> Result<Review, ReviewError> {
    accounts::active(tx, user)?;
    let before = of_product(tx, product, id)?;
    if before.user != user {
        return Err(ReviewError::NotYours);
    }
    let kept = before.clone();
    let review = Review {
        rating: change.rating.unwrap_or(kept.rating),
        title: change.title.clone().unwrap_or(kept.title),
        comment: change.comment.clone().unwrap_or(kept.comment),
        ..kept
    };
    if review == before {
        return Ok(before);
    }
    let review = Review { updated_at: tx.now(), ..review };
    REVIEWS.put(tx, &id, &review)?;
    recount(tx, Some(&before), Some(&review))?;
    Ok(review)
}

/// Whether somebody's reviews have no words.
pub fn are_nobodys(tx: &impl Reads, user: UserId) -> Result<bool, StoreError> {
    for id in ids_of_user(tx, user)? {
        let Review { title, comment, .. } = REVIEWS.expect(tx, &id)?;
        if !title.is_empty() || !comment.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes a person out of what they wrote: what stays is how many stars they gave.
pub fn erase(tx: &mut WriteTx, user: UserId) -> Result<(), StoreError> {
    for id in ids_of_user(tx, user)? {
        let review = REVIEWS.expect(tx, &id)?;
        REVIEWS.put(tx, &id, &Review { title: String::new(), comment: String::new(), ..review })?;
    }
    Ok(())
}

/// Takes a review out of everybody's sight, or puts it back.
pub fn hide(tx: &mut WriteTx, id: ReviewId, is_hidden: bool) -> Result<Review, ReviewError> {
    let before = get(tx, id)?;
    let review = Review { is_hidden, ..before.clone() };
    if review != before {
        REVIEWS.put(tx, &id, &review)?;
        recount(tx, Some(&before), Some(&review))?;
    }
    Ok(review)
}

pub fn delete(tx: &mut WriteTx, id: ReviewId) -> Result<(), ReviewError> {
    let before = get(tx, id)?;
    REVIEWS.delete(tx, &id)?;
    Ok(recount(tx, Some(&before), None)?)
}

/// Keeps the product's stars and its rating in step with one review of it, as it was and as it is.
fn recount(tx: &mut WriteTx, before: Option<&Review>, after: Option<&Review>) -> Result<(), StoreError> {
    let Some(product) = after.or(before).map(|review| review.product) else { return Ok(()) };
    let old = STARS.get(tx, &product)?.unwrap_or_default();
    let mut stars: Stars = old;
    if let Some(review) = before.filter(|review| !review.is_hidden) {
        *stars.given(review.rating) -= 1;
    }
    if let Some(review) = after.filter(|review| !review.is_hidden) {
        *stars.given(review.rating) += 1;
    }
    if stars == old {
        return Ok(());
    }
    STARS.put(tx, &product, &stars)?;
    catalogue::rate(tx, product, stars.rating())
}
