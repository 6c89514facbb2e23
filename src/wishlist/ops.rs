//! The acts of wishlists.

use super::model::{MOST_WISHES, Wish, WishError};
use super::store::{BY_AGE, WISHES};
use crate::accounts;
use crate::cart::{self, Line};
use crate::catalogue::{self, CatalogueError};
use crate::id::{ProductId, UserId, VariantId};
use crate::store::{Direction, Key, Reads, Span, StoreError, WriteTx};

/// What somebody wishes for, newest first.
pub fn of_user(tx: &impl Reads, user: UserId) -> Result<Vec<Wish>, StoreError> {
    let mut keys = Vec::new();
    BY_AGE.scan(tx, Span::under(user.bytes(), Direction::Down), |_, key| {
        keys.push(key);
        std::ops::ControlFlow::Continue(())
    })?;
    keys.into_iter().map(|key| WISHES.expect(tx, &key)).collect()
}

/// Puts a product on the list; whether it is new there. If it is not, the wish is for this variant from now on, if
/// one is named.
pub fn add(
    tx: &mut WriteTx,
    user: UserId,
    product: ProductId,
    variant: Option<VariantId>,
) -> Result<(Wish, bool), WishError> {
    accounts::active(tx, user)?;
    let found = catalogue::public(tx, product)?.ok_or(CatalogueError::NotFound)?;
    if variant.is_some_and(|variant| found.variant(variant).is_none()) {
        return Err(CatalogueError::NoSuchVariant.into());
    }
    let key = (user, product);
    if let Some(known) = WISHES.get(tx, &key)? {
        let wish = Wish { variant: variant.or(known.variant), ..known };
        WISHES.put(tx, &key, &wish)?;
        return Ok((wish, false));
    }
    if of_user(tx, user)?.len() >= MOST_WISHES {
        return Err(WishError::Full);
    }

    let wish = Wish { user, product, variant, added_at: tx.now() };
    WISHES.put(tx, &key, &wish)?;
    Ok((wish, true))
}

pub fn remove(tx: &mut WriteTx, user: UserId, product: ProductId) -> Result<(), WishError> {
    let key = (user, product);
    WISHES.get(tx, &key)?.ok_or(WishError::NotFound)?;
    Ok(WISHES.delete(tx, &key)?)
}

/// Takes a wish off the list and puts it into the cart. `variant`: which one, where the wish does not say.
pub fn move_to_cart(
    tx: &mut WriteTx,
    user: UserId,
    product: ProductId,
    variant: Option<VariantId>,
    quantity: u32,
) -> Result<Line, WishError> {
    let wish = WISHES.get(tx, &(user, product))?.ok_or(WishError::NotFound)?;
    let line = cart::add(tx, user, product, variant.or(wish.variant), quantity)?;
    WISHES.delete(tx, &(user, product))?;
    Ok(line)
}

pub fn is_empty(tx: &impl Reads, user: UserId) -> Result<bool, StoreError> {
    Ok(of_user(tx, user)?.is_empty())
}

/// Takes everything off somebody's list.
pub fn forget(tx: &mut WriteTx, user: UserId) -> Result<(), StoreError> {
    for wish in of_user(tx, user)? {
        WISHES.delete(tx, &(user, wish.product))?;
    }
    Ok(())
}
