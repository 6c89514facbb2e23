//! Putting back what an import changed, and nothing else: what somebody has changed since stays as it is.

use std::ops::{Bound, ControlFlow};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::apply::ImportError;
use super::record::{IMPORTS, KEPT, State, TOUCHED, Touched};
use crate::accounts::{self, Staff};
use crate::audit;
use crate::catalogue::draft::Draft;
use crate::catalogue::model::{CatalogueError, Product};
use crate::catalogue::ops;
use crate::catalogue::store::PRODUCTS;
use crate::id::{ImportId, ProductId};
use crate::inventory::Cause;
use crate::inventory::MOST;
use crate::store::{Direction, Key, Reads, Span, StoreError, WriteTx};

/// Products that a commit puts back at most, and how much work it takes on, in the weights of a plan.
const CHUNK: usize = 50;
const WEIGHT: usize = 200;
/// How long what an import changed is kept.
const KEPT_FOR: Duration = Duration::from_hours(30 * 24);

/// What an undo came to.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Undone {
    /// Products that are as they were before.
    pub restored: u64,
    /// Products that the import had made, and that are out of the shop again.
    pub archived: u64,
    /// What could not be put back, the first thousand.
    pub left: Vec<Left>,
    /// How much that is in all.
    pub left_count: u64,
}

/// Most that is told of what is left.
const MOST_LEFT: usize = 1000;

impl Undone {
    fn leave(&mut self, left: Left) {
        self.left_count += 1;
        if self.left.len() < MOST_LEFT {
            self.left.push(left);
        }
    }

    /// Takes over what a later step came to.
    pub fn add(&mut self, more: Undone) {
        (self.restored, self.archived) = (more.restored, more.archived);
        self.left_count += more.left_count;
        let room = MOST_LEFT.saturating_sub(self.left.len());
        self.left.extend(more.left.into_iter().take(room));
    }
}

/// Something that stays as it is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "ImportLeft")]
pub struct Left {
    pub product_id: ProductId,
    pub slug: String,
    /// What of it, and why.
    pub message: String,
}

/// What a step came to, and after which product the next one begins; none when this was the last.
pub type Stepped = (Undone, Option<ProductId>);

/// Puts a few products back, from after `last` on.
pub fn step(
    tx: &mut WriteTx,
    id: ImportId,
    last: Option<ProductId>,
    by: &Staff,
) -> Result<Stepped, ImportError> {
    accounts::confirm(tx, by)?;
    let mut import = IMPORTS.get(tx, &id)?.ok_or(CatalogueError::NotFound)?;
    if !import.is_undoable() {
        return Err(ImportError::Gone);
    }
    if import.state != State::Undoing {
        let state = |state: State| json!({"state": state.as_str()});
        let (was, becomes) = (state(import.state), state(State::Undoing));
        audit::note(tx, &by.label(), "product.import_undo", &format!("import:{id}"), was, becomes)?;
    }
    let touched = some(tx, id, last, CHUNK + 1)?;
    let mut undone = Undone::default();
    let (mut next, mut count, mut weight) = (None, 0, 0);
    for (product, touched) in touched.iter().take(CHUNK) {
        (next, count) = (Some(*product), count + 1);
        let now = PRODUCTS.expect(tx, product)?;
        weight += 2 + now.variants.len() + now.description.len() / 512;
        if put_back(tx, id, (*product, now), touched, &by.label(), &mut undone)? {
            TOUCHED.delete(tx, &(id, *product))?;
        }
        if weight >= WEIGHT {
            break;
        }
    }
    let is_more = touched.len() > count;
    // What could not be put back can be tried again.
    let is_over = !is_more && some(tx, id, None, 1)?.is_empty();
    import.restored += undone.restored;
    import.archived += undone.archived;
    import.put_back(is_over);
    IMPORTS.put(tx, &id, &import)?;
    // All that was put back so far, in this request or before.
    (undone.restored, undone.archived) = (import.restored, import.archived);
    Ok((undone, next.filter(|_| is_more)))
}

/// The first `most` products after `last` that an import touched.
fn some(
    tx: &impl Reads,
    id: ImportId,
    last: Option<ProductId>,
    most: usize,
) -> Result<Vec<(ProductId, Touched)>, StoreError> {
    let mut found = Vec::new();
    let mut span = Span::under(id.bytes(), Direction::Up);
    if let Some(last) = last {
        span.from = Bound::Excluded((id, last).bytes());
    }
    TOUCHED.scan(tx, span, |(_, product), touched| {
        found.push((product, touched));
        if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(found)
}

/// Whether that is done with, put back or not.
fn put_back(
    tx: &mut WriteTx,
    import: ImportId,
    (id, now): (ProductId, Product),
    touched: &Touched,
    by: &str,
    undone: &mut Undone,
) -> Result<bool, CatalogueError> {
    let slug = now.slug.clone();
    let mut left = |message: String| undone.leave(Left { product_id: id, slug: slug.clone(), message });
    if now.archived_at.is_some() {
        if !touched.created {
            left("was archived since".into());
        }
        return Ok(true);
    }
    if touched.created {
        if now.version > 1 {
            left("was changed after the import made it; it is out of the shop all the same".into());
        }
        ops::archive(tx, id)?;
        undone.archived += 1;
        return Ok(true);
    }
    let mut draft = Draft::of(&now, &ops::stocks(tx, &now)?);
    if let Some((before, after)) = &touched.product {
        for field in revert(&mut draft, before, after, &now) {
            left(format!("{field} was changed since"));
        }
    }
    for (variant, delta) in &touched.stock {
        let Some(variant) = draft.variants.iter_mut().find(|known| known.id == Some(*variant)) else {
            // One that the import made goes with its stock.
            if now.variant(*variant).is_none() {
                left(format!("stock: variant {variant} is gone"));
            }
            continue;
        };
        let stock = variant.stock.unwrap_or(0) - delta;
        if stock > MOST {
            left(format!("stock: there is room for {MOST} units only"));
        }
        if stock < 0 {
            left(format!("stock: {} of the units that the import brought are gone", -stock));
        }
        variant.stock = Some(stock.clamp(0, MOST));
    }
    let said = match ops::update(tx, id, &draft, &Cause::Unimported(import), by) {
        Ok(_) => {
            undone.restored += 1;
            return Ok(true);
        }
        Err(CatalogueError::Store(error)) => return Err(error.into()),
        Err(CatalogueError::Invalid(faults)) => {
            let said = faults.iter().map(|(field, said)| format!("{field} {}", said.join(", ")));
            said.collect::<Vec<_>>().join("; ")
        }
        Err(refused) => refused.to_string(),
    };
    left(format!("can't be as before, mend it and undo once more: {said}"));
    Ok(false)
}

/// Puts these fields of `draft` back to what they were before, where they still are what the import made of them;
/// names those that are not.
macro_rules! revert {
    ($draft:expr, $before:expr, $after:expr, $now:expr, $($field:ident),+ => $left:expr) => {$(
        if $before.$field != $after.$field {
            if $now.$field == $after.$field {
                $draft.$field = $before.$field.clone();
            } else if $now.$field != $before.$field {
                $left(stringify!($field));
            }
        }
    )+};
}

/// Takes the import's changes out of `draft`, field by field; the names of those that were changed again since.
fn revert(draft: &mut Draft, before: &Product, after: &Product, now: &Product) -> Vec<String> {
    let mut left = Vec::new();
    revert!(
        draft, before, after, now,
        name, description, category, tags, image_url, images, weight_grams, low_stock_threshold, is_active, options
        => |field: &str| left.push(field.to_owned())
    );
    for variant in &after.variants {
        let at = draft.variants.iter().position(|known| known.id == Some(variant.id));
        let (Some(at), Some(present)) = (at, now.variant(variant.id)) else {
            if before.variant(variant.id).is_some_and(|old| old != variant) {
                left.push(format!("variant {} (which is gone)", variant.id));
            }
            continue;
        };
        match before.variant(variant.id) {
            None if present == variant => drop(draft.variants.remove(at)),
            None => left.push(format!("variant {}", variant.id)),
            Some(old) => {
                let draft = &mut draft.variants[at];
                revert!(
                    draft, old, variant, present, sku, choices, price, compare_at_price, image_url
                    => |field: &str| left.push(format!("variant {}: {field}", variant.id))
                );
            }
        }
    }
    // Values that later variants have stay.
    draft.complete_options();
    left
}

/// What a product was before the first of two changes by an import, `first` to `last` and `now` to something else,
/// with whatever was changed by somebody else in between.
pub fn rebase(mut first: Product, last: &Product, now: &Product) -> Product {
    macro_rules! take {
        ($to:expr, $last:expr, $now:expr, $($field:ident),+) => {$(
            if $last.$field != $now.$field {
                $to.$field = $now.$field.clone();
            }
        )+};
    }
    take!(
        first,
        last,
        now,
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
    for variant in &mut first.variants {
        if let (Some(last), Some(now)) = (last.variant(variant.id), now.variant(variant.id)) {
            take!(variant, last, now, sku, choices, price, compare_at_price, image_url);
        }
    }
    first
}

/// Forgets what old imports changed, at most `limit` products; how many.
pub fn forget(tx: &mut WriteTx, limit: usize) -> Result<usize, StoreError> {
    let end = tx.now().minus(KEPT_FOR);
    let mut count = 0;
    for id in KEPT.below(tx, &end, 1)? {
        let touched = some(tx, id, None, limit)?;
        count = touched.len();
        for (product, _) in touched {
            TOUCHED.delete(tx, &(id, product))?;
        }
        if count < limit {
            let mut import = IMPORTS.expect(tx, &id)?;
            import.forget();
            IMPORTS.put(tx, &id, &import)?;
            count = count.max(1);
        }
    }
    Ok(count)
}
