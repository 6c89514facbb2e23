//! Tables of reviews.

use super::model::{Review, Stars};
use crate::id::{ProductId, ReviewId, UserId};
use crate::store::{Index, Table, record};

record!(Review as StoredReview: V1);
record!(Stars as StoredStars: V1);

/// One person reviews a product once.
pub static BY_WRITER: Index<ReviewId, Review, (UserId, ProductId)> =
    Index::unique("reviews.by_writer", |review| vec![(review.user, review.product)]);
/// A product's, hidden or not.
pub static BY_PRODUCT: Index<ReviewId, Review, ProductId> =
    Index::list("reviews.by_product", |review| vec![review.product]);
/// A product's that everybody sees.
pub static VISIBLE: Index<ReviewId, Review, ProductId> =
    Index::list("reviews.visible", |review| if review.is_hidden { vec![] } else { vec![review.product] });
/// The same, by how they rate it.
pub static BY_RATING: Index<ReviewId, Review, (ProductId, u8)> = Index::list("reviews.by_rating", |review| {
    if review.is_hidden { vec![] } else { vec![(review.product, review.rating)] }
});
/// Those that staff hid, under nothing but their id.
pub static HIDDEN: Index<ReviewId, Review, u8> =
    Index::list("reviews.hidden", |review| if review.is_hidden { vec![0] } else { vec![] });
/// In the order of time.
pub static REVIEWS: Table<ReviewId, Review> =
    Table::new("reviews", &[&BY_WRITER, &BY_PRODUCT, &VISIBLE, &BY_RATING, &HIDDEN]);

/// Of the visible reviews; a product without any may have no row.
pub static STARS: Table<ProductId, Stars> = Table::new("review_stars", &[]);
