//! The nouns of reviews.

use serde::{Deserialize, Serialize};

use crate::accounts::AccountError;
use crate::catalogue::{CatalogueError, Rating};
use crate::clock::Time;
use crate::id::{ProductId, UserId};
use crate::store::StoreError;

/// The most that a product can be given.
pub const BEST: u8 = 5;
/// Most characters of a title and of a comment.
pub const TITLE: usize = 200;
pub const COMMENT: usize = 5_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    pub product: ProductId,
    pub user: UserId,
    /// 1 to [`BEST`].
    pub rating: u8,
    pub title: String,
    pub comment: String,
    /// Whether staff took it out of sight.
    pub is_hidden: bool,
    pub created_at: Time,
    /// When its writer last changed it.
    pub updated_at: Time,
}

/// What its writer says.
#[derive(Clone, Debug)]
pub struct Text {
    pub rating: u8,
    pub title: String,
    pub comment: String,
}

/// What its writer says anew.
#[derive(Clone, Debug)]
pub struct Change {
    pub rating: Option<u8>,
    pub title: Option<String>,
    pub comment: Option<String>,
}

/// How many visible reviews give a product one star, two stars, and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stars(pub [u64; BEST as usize]);

impl Stars {
    /// Those who gave so many stars.
    pub fn given(&mut self, rating: u8) -> &mut u64 {
        &mut self.0[usize::from(rating) - 1]
    }

    pub fn rating(&self) -> Rating {
        let sum = (1..).zip(self.0).map(|(stars, count)| stars * count).sum();
        Rating { sum, count: self.0.iter().sum() }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    #[error("There is no such review.")]
    NotFound,
    #[error("You have reviewed this product already; change that review instead.")]
    AlreadyReviewed,
    #[error("This review is somebody else's.")]
    NotYours,
    #[error("{0}")]
    Account(#[from] AccountError),
    #[error("{0}")]
    Catalogue(#[from] CatalogueError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rating_is_the_sum_and_count_of_the_stars() {
        let mut stars = Stars::default();
        assert_eq!(stars.rating(), Rating { sum: 0, count: 0 });
        *stars.given(5) += 2;
        *stars.given(1) += 1;
        assert_eq!((stars.0, stars.rating()), ([1, 0, 0, 0, 2], Rating { sum: 11, count: 3 }));
    }
}
