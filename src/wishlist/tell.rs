//! Telling people that what they wish for is back.

use std::ops::{Bound, ControlFlow};

use super::model::{Told, Wish};
use super::store::{BY_PRODUCT, TOLD, WISHES};
use crate::catalogue::{self, Product};
use crate::id::{ProductId, UserId, VariantId};
use crate::inventory::{self, Alert, Notice};
use crate::outbox::{self, Cause};
use crate::store::{Direction, Key, Reads, Span, StoreError, WriteTx};

/// Tells at most `limit` of those who wish for one of the variants that are back; whether there may be more to tell.
/// Each of them has one mail for each time that it comes back. Who wishes for a product and names no variant is told
/// when the product is back, not when there is one variant more of it.
pub fn tell_of_one(tx: &mut WriteTx, limit: usize) -> Result<bool, StoreError> {
    let Some((variant, alert)) = inventory::alerts(tx, Notice::Back, 1)?.pop() else { return Ok(false) };
    let product = inventory::stock_of(tx, variant)?.product;
    let found = catalogue::public(tx, product)?.filter(|found| found.variant(variant).is_some());
    let Some(found) = found else {
        // Nobody can buy it.
        end(tx, variant)?;
        return Ok(true);
    };
    let told = TOLD.get(tx, &variant)?.filter(|told| told.since == alert.since);
    let wishes = after(tx, product, told.map(|told| told.up_to), limit)?;
    let is_product_back = was_out(tx, &found, variant)?;
    for wish in &wishes {
        let is_meant = wish.variant.map_or(is_product_back, |wanted| wanted == variant);
        if is_meant {
            let Alert { since } = alert;
            outbox::post(tx, Cause::BackInStock { user: wish.user, product, variant, since })?;
        }
    }
    match wishes.last() {
        Some(last) if wishes.len() == limit => {
            TOLD.put(tx, &variant, &Told { since: alert.since, up_to: last.user })?;
        }
        _ => end(tx, variant)?,
    }
    Ok(true)
}

/// Everybody was told.
fn end(tx: &mut WriteTx, variant: VariantId) -> Result<(), StoreError> {
    inventory::told(tx, Notice::Back, variant)?;
    if TOLD.get(tx, &variant)?.is_some() {
        TOLD.delete(tx, &variant)?;
    }
    Ok(())
}

/// The next wishes for a product, after those of `user`.
fn after(
    tx: &impl Reads,
    product: ProductId,
    user: Option<UserId>,
    limit: usize,
) -> Result<Vec<Wish>, StoreError> {
    let mut span = Span::under(product.bytes(), Direction::Up);
    if let Some(UserId(user)) = user {
        span.from = Bound::Included((product, UserId(user + 1)).bytes());
    }
    let mut keys = Vec::new();
    BY_PRODUCT.scan(tx, span, |_, key| {
        keys.push(key);
        if keys.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    keys.into_iter().map(|key| WISHES.expect(tx, &key)).collect()
}

/// Whether the product was out of stock before `variant` came back: whatever else of it is there came back as well, and
/// nobody was told yet.
fn was_out(tx: &impl Reads, product: &Product, variant: VariantId) -> Result<bool, StoreError> {
    for other in product.variants.iter().filter(|other| other.id != variant) {
        let is_there = inventory::stock_of(tx, other.id)?.quantity > 0;
        if is_there && !inventory::is_marked(tx, Notice::Back, other.id)? {
            return Ok(false);
        }
    }
    Ok(true)
}
