//! Putting back what an import changed, and nothing else: what somebody has changed since stays as it is.

use std::ops::ControlFlow;
use std::time::Duration;

use serde::Serialize;

use super::record::{IMPORTS, KEPT, State, TOUCHED, Touched};
use crate::accounts::{self, Staff};
use crate::catalogue::draft::{Draft, VariantDraft};
use crate::catalogue::model::{CatalogueError, Product, Variant};
use crate::catalogue::ops;
use crate::catalogue::store::PRODUCTS;
use crate::id::{ImportId, ProductId};
use crate::inventory::Cause;
use crate::store::{Direction, Key, Reads, Span, StoreError, WriteTx};

use super::run::ImportError;

/// Products that a commit puts back.
const CHUNK: usize = 50;
/// How long what an import changed is kept.
const KEPT_FOR: Duration = Duration::from_hours(30 * 24);

/// What an undo came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Undone {
    /// Products that are as they were before.
    pub restored: u64,
    /// Products that the import had made, and that are out of the shop again.
    pub archived: u64,
    /// What could not be put back.
    pub left: Vec<Left>,
}

/// Something that stays as it is.
#[derive(Clone, Debug, Serialize)]
pub struct Left {
    pub product_id: ProductId,
    pub slug: String,
    pub message: String,
}

/// Puts a few products back; whether there are more.
pub fn step(tx: &mut WriteTx, id: ImportId, by: &Staff) -> Result<(Undone, bool), ImportError> {
    accounts::confirm(tx, by)?;
    let mut import = IMPORTS.get(tx, &id)?.ok_or(CatalogueError::NotFound)?;
    let touched = some(tx, id, CHUNK + 1)?;
    let mut undone = Undone::default();
    for (product, touched) in touched.iter().take(CHUNK) {
        put_back(tx, id, *product, touched, &by.label(), &mut undone)?;
        TOUCHED.delete(tx, &(id, *product))?;
    }
    let is_more = touched.len() > CHUNK;
    import.state = if is_more { State::Undoing } else { State::Undone };
    IMPORTS.put(tx, &id, &import)?;
    Ok((undone, is_more))
}

/// The first `most` products that an import touched.
fn some(tx: &impl Reads, id: ImportId, most: usize) -> Result<Vec<(ProductId, Touched)>, StoreError> {
    let mut found = Vec::new();
    TOUCHED.scan(tx, Span::under(id.bytes(), Direction::Up), |(_, product), touched| {
        found.push((product, touched));
        if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(found)
}

fn put_back(
    tx: &mut WriteTx,
    import: ImportId,
    id: ProductId,
    touched: &Touched,
    by: &str,
    undone: &mut Undone,
) -> Result<(), CatalogueError> {
    let now = PRODUCTS.expect(tx, &id)?;
    let slug = now.slug.clone();
    let mut left = |message: String| undone.left.push(Left { product_id: id, slug: slug.clone(), message });
    if now.archived_at.is_some() {
        if !touched.created {
            left("was archived since".into());
        }
        return Ok(());
    }
    if touched.created {
        ops::archive(tx, id)?;
        undone.archived += 1;
        return Ok(());
    }
    let mut draft = Draft::of(&now, &ops::stocks(tx, &now)?);
    if let Some((before, after)) = &touched.product {
        for field in revert(&mut draft, before, after, &now) {
            left(format!("{field} was changed since"));
        }
    }
    for (variant, delta) in &touched.stock {
        let Some(variant) = draft.variants.iter_mut().find(|known| known.id == Some(*variant)) else {
            continue;
        };
        let stock = variant.stock.unwrap_or(0) - delta;
        if stock < 0 {
            left(format!("stock: {} of the units that the import brought are gone", -stock));
        }
        variant.stock = Some(stock.clamp(0, crate::inventory::MOST));
    }
    match ops::update(tx, id, &draft, &Cause::Unimported(import), by) {
        Ok(_) => undone.restored += 1,
        Err(CatalogueError::Store(error)) => return Err(error.into()),
        Err(CatalogueError::Invalid(faults)) => {
            let said: Vec<_> =
                faults.iter().map(|(field, said)| format!("{field} {}", said.join(", "))).collect();
            left(format!("can't be as before: {}", said.join("; ")));
        }
        Err(refused) => left(format!("can't be as before: {refused}")),
    }
    Ok(())
}

/// Takes the import's changes out of `draft`, field by field; the names of those that were changed again since.
fn revert(draft: &mut Draft, before: &Product, after: &Product, now: &Product) -> Vec<String> {
    let mut left = Vec::new();
    macro_rules! revert {
        ($($field:ident),+) => {$(
            if before.$field != after.$field {
                if now.$field == after.$field {
                    draft.$field = before.$field.clone();
                } else {
                    left.push(stringify!($field).to_owned());
                }
            }
        )+};
    }
    revert!(
        name,
        description,
        category,
        tags,
        image_url,
        images,
        weight_grams,
        low_stock_threshold,
        is_active,
        options
    );
    for variant in &after.variants {
        let at = draft.variants.iter().position(|known| known.id == Some(variant.id));
        let (Some(at), Some(present)) = (at, now.variant(variant.id)) else { continue };
        match before.variant(variant.id) {
            None if present == variant => drop(draft.variants.remove(at)),
            None => left.push(format!("variant {}", variant.id)),
            Some(old) => revert_variant(&mut draft.variants[at], old, variant, present, &mut left),
        }
    }
    // Values that later variants have stay.
    draft.complete_options();
    left
}

fn revert_variant(
    draft: &mut VariantDraft,
    before: &Variant,
    after: &Variant,
    now: &Variant,
    left: &mut Vec<String>,
) {
    macro_rules! revert {
        ($($field:ident),+) => {$(
            if before.$field != after.$field {
                if now.$field == after.$field {
                    draft.$field = before.$field.clone();
                } else {
                    left.push(format!("variant {}: {}", now.id, stringify!($field)));
                }
            }
        )+};
    }
    revert!(sku, choices, price, compare_at_price, image_url);
}

/// Forgets what old imports changed, at most `limit` products; how many.
pub fn forget(tx: &mut WriteTx, limit: usize) -> Result<usize, StoreError> {
    let end = tx.now().minus(KEPT_FOR);
    let mut count = 0;
    for id in KEPT.below(tx, &end, 1)? {
        let touched = some(tx, id, limit)?;
        count = touched.len();
        for (product, _) in touched {
            TOUCHED.delete(tx, &(id, product))?;
        }
        if count < limit {
            let mut import = IMPORTS.expect(tx, &id)?;
            import.state = State::Forgotten;
            IMPORTS.put(tx, &id, &import)?;
            count = count.max(1);
        }
    }
    Ok(count)
}
