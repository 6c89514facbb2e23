//! The nouns of wishlists.

use serde::{Deserialize, Serialize};

use crate::accounts::AccountError;
use crate::cart::CartError;
use crate::catalogue::CatalogueError;
use crate::clock::Time;
use crate::id::{ProductId, UserId, VariantId};
use crate::store::StoreError;

/// Most wishes of one person.
pub const MOST_WISHES: usize = 500;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    pub user: UserId,
    pub product: ProductId,
    /// `None`: whichever.
    pub variant: Option<VariantId>,
    pub added_at: Time,
}

/// How far the telling of one variant that is back has got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Of this coming back.
    pub since: Time,
    /// Those up to this one were told.
    pub up_to: UserId,
}

#[derive(Debug, thiserror::Error)]
pub enum WishError {
    #[error("This product is not on your wishlist.")]
    NotFound,
    #[error("A wishlist has at most {MOST_WISHES} products.")]
    Full,
    #[error("{0}")]
    Account(#[from] AccountError),
    #[error("{0}")]
    Catalogue(#[from] CatalogueError),
    #[error("{0}")]
    Cart(#[from] CartError),
    #[error(transparent)]
    Store(#[from] StoreError),
}
