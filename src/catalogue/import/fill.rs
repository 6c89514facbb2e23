//! What a row says, put into a product: its own fields, a variant's, and which variant is meant.

use super::row::Row;
use crate::catalogue::draft::{Draft, VariantDraft};
use crate::catalogue::model::slugify;

/// The values of a row in the order of the product's options; `Ok(None)` where it says nothing of them.
pub fn choices(row: &Row, draft: &Draft, order: &[String]) -> Result<Option<Vec<String>>, String> {
    if row.options.iter().all(|(_, value)| value.is_none()) {
        return Ok(None);
    }
    let own: Vec<_> = draft.options.iter().map(|option| option.name.clone()).collect();
    let given: Vec<_> = row.options.iter().filter_map(|(name, _)| name.clone()).collect();
    let order = if given.is_empty() { order } else { &given };
    if !are_same(order, &own) {
        return Err(format!("the product has the options {own:?}, and {given:?} here"));
    }
    let beyond = row.options.iter().skip(order.len()).any(|(_, value)| value.is_some());
    let value_of = |name: &String| {
        let at = order.iter().position(|known| known == name)?;
        row.options.get(at).and_then(|(_, value)| value.clone())
    };
    let values: Option<Vec<_>> = own.iter().map(value_of).collect();
    match values.filter(|_| !beyond) {
        Some(values) => Ok(Some(values)),
        None if own.is_empty() => Err("the product has no options, so it can have one variant only".into()),
        None => Err(format!("a value is wanted for each of the options {own:?}, and for no other")),
    }
}

/// Whether two lists have the same names, in whatever order.
pub fn are_same(one: &[String], other: &[String]) -> bool {
    one.len() == other.len() && one.iter().all(|name| other.contains(name))
}

/// Takes over a cell; a column that is not there leaves the field alone.
fn over<T: Clone>(to: &mut Option<T>, from: Option<&Option<T>>) {
    if let Some(value) = from {
        to.clone_from(value);
    }
}

/// Takes over the product's own cells; `clears`: those that are empty, too.
pub fn set_product(draft: &mut Draft, row: &Row, clears: bool) {
    fn given<T>(cell: Option<&Option<T>>, clears: bool) -> Option<&Option<T>> {
        cell.filter(|value| clears || value.is_some())
    }
    if let Some(Some(name)) = &row.name {
        draft.name.clone_from(name);
    }
    if let Some(description) = given(row.description.as_ref(), clears) {
        draft.description = description.clone().unwrap_or_default();
    }
    if let Some(tags) = given(row.tags.as_ref(), clears) {
        draft.tags = tags.clone().unwrap_or_default();
    }
    // A category is kept under its slug, so the same name again is no change.
    if let Some(category) = given(row.category.as_ref(), clears) {
        let slug = category.as_deref().map(slugify);
        if slug != draft.category {
            draft.category.clone_from(category);
        }
    }
    over(&mut draft.image_url, given(row.image.as_ref(), clears));
    if let Some(images) = &row.images {
        draft.images.clone_from(images);
    }
    over(&mut draft.weight_grams, given(row.weight.as_ref(), clears));
    over(&mut draft.low_stock_threshold, given(row.low_stock.as_ref(), clears));
    if let Some(Some(is_active)) = row.is_active {
        draft.is_active = is_active;
    }
}

pub fn set_variant(variant: &mut VariantDraft, row: &Row) {
    over(&mut variant.sku, row.sku.as_ref());
    over(&mut variant.compare_at_price, row.compare_at_price.as_ref());
    over(&mut variant.image_url, row.variant_image.as_ref());
    if let Some(Some(price)) = row.price {
        variant.price = price;
    }
    if let Some(Some(stock)) = row.stock {
        variant.stock = Some(stock);
    }
}
