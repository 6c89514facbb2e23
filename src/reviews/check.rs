//! I8: a product's rating and stars are those of its visible reviews.

use std::collections::BTreeMap;

use super::model::{BEST, Stars};
use super::store::{REVIEWS, STARS};
use crate::catalogue::store::PRODUCTS;
use crate::id::ProductId;
use crate::store::{Look, ReadTx, StoreError};

pub fn check(tx: &ReadTx, look: &Look<'_>) -> Result<(), StoreError> {
    let mut counted: BTreeMap<ProductId, Stars> = BTreeMap::new();
    look.begin("reviews", REVIEWS.count(tx)?);
    look.each(tx, &REVIEWS, |id, review| {
        if !(1..=BEST).contains(&review.rating) {
            look.found("I8", format!("review {id}"), format!("it gives {} stars", review.rating));
        } else if !review.is_hidden {
            *counted.entry(review.product).or_default().given(review.rating) += 1;
        }
    })?;
    let subject = |product: ProductId| format!("product {product}");
    let mut kept = BTreeMap::new();
    look.begin("stars", STARS.count(tx)?);
    look.each(tx, &STARS, |product, stars| {
        kept.insert(product, stars);
    })?;
    look.begin("ratings", PRODUCTS.count(tx)?);
    look.each(tx, &PRODUCTS, |id, product| {
        let (stars, kept) = (counted.remove(&id).unwrap_or_default(), kept.remove(&id).unwrap_or_default());
        let (said, should) = (product.rating, stars.rating());
        if said != should {
            let said = format!(
                "its rating is {} of {} reviews, but those that are visible give {} of {}",
                said.sum, said.count, should.sum, should.count
            );
            look.found("I8", subject(id), said);
        }
        if kept != stars {
            look.found("I8", subject(id), format!("its stars are {:?}, not {:?}", kept.0, stars.0));
        }
    })?;
    for product in counted.into_keys().chain(kept.into_keys()) {
        look.found("I8", subject(product), "it has reviews, but there is no such product");
    }
    Ok(())
}
