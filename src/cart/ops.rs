//! The acts of the cart.

use super::model::{Cart, CartError, Line, MOST_LINES, MOST_UNITS};
use super::store::CARTS;
use crate::catalogue;
use crate::id::{CartLineId, ProductId, UserId, VariantId};
use crate::inventory;
use crate::store::{Reads, StoreError, WriteTx};

/// A buyer's cart; an empty one until they put something in.
pub fn get(tx: &impl Reads, buyer: UserId) -> Result<Cart, StoreError> {
    Ok(CARTS.get(tx, &buyer)?.unwrap_or_default())
}

/// Puts so many units of a variant into the buyer's cart; the same variant again adds to its line. Refuses more
/// than the shelf has now, but holds nothing.
pub fn add(
    tx: &mut WriteTx,
    buyer: UserId,
    product: ProductId,
    variant: Option<VariantId>,
    quantity: u32,
) -> Result<Line, CartError> {
    let variant = catalogue::sellable(tx, product, variant)?;
    let available = inventory::stock_of(tx, variant.variant)?.quantity;
    let mut cart = get(tx, buyer)?;
    let at = cart.lines.iter().position(|line| line.variant == variant.variant);
    let wanted = at.map_or(0, |at| cart.lines[at].quantity).saturating_add(quantity);
    if wanted > MOST_UNITS {
        return Err(CartError::TooManyUnits);
    }
    if i64::from(wanted) > available {
        return Err(CartError::InsufficientStock { available });
    }
    if at.is_none() && cart.lines.len() >= MOST_LINES {
        return Err(CartError::TooManyLines);
    }
    variant.price.times(wanted)?;

    let line = match at {
        Some(at) => {
            let line = &mut cart.lines[at];
            line.quantity = wanted;
            line.price_seen = variant.price;
            line.clone()
        }
        None => {
            let id = CartLineId(tx.next_number("cart_lines")?);
            let line = Line { id, product, variant: variant.variant, quantity, price_seen: variant.price };
            cart.lines.push(line.clone());
            line
        }
    };
    CARTS.put(tx, &buyer, &cart)?;
    Ok(line)
}

/// Sets a line's quantity, under the same limits, and takes note of today's price.
pub fn set_quantity(
    tx: &mut WriteTx,
    buyer: UserId,
    id: CartLineId,
    quantity: u32,
) -> Result<Line, CartError> {
    let mut cart = get(tx, buyer)?;
    let line = cart.lines.iter_mut().find(|line| line.id == id).ok_or(CartError::NoSuchLine)?;
    let variant = catalogue::sellable(tx, line.product, Some(line.variant))?;
    let available = inventory::stock_of(tx, line.variant)?.quantity;
    if i64::from(quantity) > available {
        return Err(CartError::InsufficientStock { available });
    }
    variant.price.times(quantity)?;

    line.quantity = quantity;
    line.price_seen = variant.price;
    let line = line.clone();
    CARTS.put(tx, &buyer, &cart)?;
    Ok(line)
}

pub fn remove(tx: &mut WriteTx, buyer: UserId, id: CartLineId) -> Result<(), CartError> {
    let mut cart = get(tx, buyer)?;
    let at = cart.lines.iter().position(|line| line.id == id).ok_or(CartError::NoSuchLine)?;
    cart.lines.remove(at);
    Ok(CARTS.put(tx, &buyer, &cart)?)
}

/// Empties the cart.
pub fn clear(tx: &mut WriteTx, buyer: UserId) -> Result<(), StoreError> {
    CARTS.delete(tx, &buyer)
}
