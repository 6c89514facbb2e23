//! From a product's rows to what is to be done with it. A row's key is its SKU, else its handle and options.

use std::collections::BTreeSet;

use super::columns::Names;
use super::row::{Read, Row};
use super::source::Group;
use super::{Counts, Mode, RowError};
use crate::catalogue::draft::{Draft, VariantDraft};
use crate::catalogue::model::{Product, ProductOption, slugify};
use crate::catalogue::ops;
use crate::catalogue::store::PRODUCTS;
use crate::id::ProductId;
use crate::store::{Reads, StoreError};

/// What a product's rows would do to it.
pub struct Plan {
    /// The product as it is, if it is there.
    pub known: Option<(ProductId, Product)>,
    /// The product as it is to be, if that is another.
    pub draft: Option<Draft>,
    pub counts: Counts,
    pub errors: Vec<RowError>,
    /// The entries that are left out.
    pub bad: BTreeSet<u32>,
}

/// Holds a product's rows against the shop as it is. Those in `bad`, and those that turn out to be, are left out.
pub fn plan(
    tx: &impl Reads,
    group: &Group,
    names: Names,
    mode: Mode,
    bad: &BTreeSet<u32>,
) -> Result<Plan, StoreError> {
    let (mut bad, mut errors) = (bad.clone(), Vec::new());
    for entry in &group.entries {
        for read in &entry.rows {
            if let Read::Bad { errors: own, .. } = read
                && bad.insert(entry.at)
            {
                errors.extend_from_slice(own);
            }
        }
    }
    loop {
        let rows = group.entries.iter().filter(|entry| !bad.contains(&entry.at)).flat_map(|entry| {
            entry.rows.iter().filter_map(move |read| match read {
                Read::Good(row) => Some((entry.at, &**row)),
                Read::Bad { .. } => None,
            })
        });
        let rows: Vec<_> = rows.collect();
        let begins = begins(group).filter(|at| !bad.contains(at));
        let mut planner =
            Planner { names, mode, errors: Vec::new(), bad: BTreeSet::new(), counts: Counts::default() };
        let known = if rows.is_empty() { None } else { planner.find(tx, &rows)? };
        let draft = planner.product(tx, known.as_ref(), &rows, begins)?;
        errors.append(&mut planner.errors);
        if planner.bad.is_empty() {
            let mut counts = planner.counts;
            counts.failed = group.entries.iter().filter(|entry| bad.contains(&entry.at)).map(weight).sum();
            counts.rows = counts.created + counts.updated + counts.unchanged + counts.failed;
            return Ok(Plan { known, draft, counts, errors, bad });
        }
        bad.append(&mut planner.bad);
    }
}

/// How many rows an entry counts for when it is bad. A picture is no row of its own, until there is something wrong
/// with it.
fn weight(entry: &super::row::Entry) -> u64 {
    entry.rows.iter().map(|read| if let Read::Bad { rows, .. } = read { *rows as u64 } else { 1 }).sum()
}

/// The entry that has the product's own fields: the first that is no picture.
fn begins(group: &Group) -> Option<u32> {
    let is_picture = |read: &Read| matches!(read, Read::Good(row) if row.is_picture());
    let first = group.entries.iter().find(|entry| !entry.rows.iter().any(is_picture));
    first.or(group.entries.first()).map(|entry| entry.at)
}

/// A row and its entry.
type Placed<'a> = (u32, &'a Row);

struct Planner {
    names: Names,
    mode: Mode,
    errors: Vec<RowError>,
    bad: BTreeSet<u32>,
    counts: Counts,
}

/// What became of a row.
#[derive(Clone, Copy, PartialEq)]
enum Did {
    Created,
    Updated,
    Nothing,
}

impl Planner {
    fn bad(&mut self, (at, row): Placed<'_>, column: &str, message: impl Into<String>) {
        self.bad.insert(at);
        self.errors.push(RowError { line: row.line, column: column.to_owned(), message: message.into() });
    }

    /// Something is wrong with the product as a whole: all its rows are left out.
    fn all_bad(&mut self, rows: &[Placed<'_>], column: &str, message: impl Into<String>) {
        self.bad.extend(rows.iter().map(|(at, _)| *at));
        self.errors.push(RowError {
            line: rows[0].1.line,
            column: column.to_owned(),
            message: message.into(),
        });
    }

    /// The product that the rows are of, if it is there: the one of their SKUs, else of their handle.
    fn find(
        &mut self,
        tx: &impl Reads,
        rows: &[Placed<'_>],
    ) -> Result<Option<(ProductId, Product)>, StoreError> {
        let handle = rows[0].1.handle.as_ref();
        let mut known = match handle {
            Some(handle) => ops::find_slug(tx, handle)?,
            None => None,
        };
        for (at, row) in rows {
            let Some(Some(sku)) = &row.sku else { continue };
            let Some((owner, _)) = ops::find_sku(tx, sku)? else { continue };
            if known.is_some_and(|known| known != owner) || (known.is_none() && handle.is_some()) {
                let (own, handle) = (PRODUCTS.expect(tx, &owner)?.slug, handle.map_or("", String::as_str));
                let said = format!("is {handle}, but the SKU {sku} belongs to the product {own}");
                self.bad((*at, row), self.names.handle, said);
            } else {
                known = Some(owner);
            }
        }
        known.map(|id| Ok((id, PRODUCTS.expect(tx, &id)?))).transpose()
    }

    /// The product that the rows describe, if it is to be written.
    fn product(
        &mut self,
        tx: &impl Reads,
        known: Option<&(ProductId, Product)>,
        rows: &[Placed<'_>],
        begins: Option<u32>,
    ) -> Result<Option<Draft>, StoreError> {
        if rows.is_empty() || !self.bad.is_empty() {
            return Ok(None);
        }
        let names = self.names;
        let before = match known {
            Some((_, product)) => Draft::of(product, &ops::stocks(tx, product)?),
            None => Draft { slug: rows[0].1.handle.clone(), variants: Vec::new(), ..Draft::default() },
        };
        let mut draft = before.clone();
        // The product's own fields stand in its first row; where that is left out, so are they.
        let first = rows.iter().find(|(at, _)| Some(*at) == begins).map(|(_, row)| *row);
        if let Some(first) = first {
            set_product(&mut draft, first);
        } else if known.is_none() {
            self.all_bad(rows, "", "the row that begins this new product is left out, so the product is");
            return Ok(None);
        }
        for picture in rows
            .iter()
            .filter(|(_, row)| row.images.is_none())
            .filter_map(|(_, row)| row.image.clone().flatten())
        {
            if draft.image_url.as_ref() != Some(&picture) && !draft.images.contains(&picture) {
                draft.images.push(picture);
            }
        }
        if draft.name.is_empty() {
            let said = match &rows[0].1.sku {
                Some(Some(sku)) => {
                    format!("is required: no variant has the SKU {sku}, so this is a new product")
                }
                _ => "is required for a new product".into(),
            };
            self.all_bad(rows, names.name, said);
        }
        if !self.options(&mut draft, known.is_some(), rows, first) {
            return Ok(None);
        }

        let product_changed = known.is_some() && draft != before;
        let mut done: Vec<(Option<usize>, Did)> = Vec::new();
        for placed in rows.iter().filter(|(_, row)| !row.is_picture()) {
            if known.is_some() && !placed.1.has_variant() && !draft.options.is_empty() {
                done.push((None, Did::Nothing));
            } else if let Some((at, did)) = self.variant(tx, known, *placed, &mut draft, &before)? {
                if done.iter().any(|(seen, _)| *seen == Some(at)) {
                    let said = "is the same variant as a row before it: give it other options";
                    self.bad(*placed, names.option, said);
                }
                done.push((Some(at), did));
            }
        }
        draft.complete_options();
        // A product whose rows are bad is not whole, which has been said already.
        if self.bad.is_empty()
            && let Err(faults) = draft.check()
        {
            for (path, said) in faults {
                self.all_bad(rows, "", format!("{path} {}", said.join(", ")));
            }
        }
        if product_changed && let Some((_, did @ Did::Nothing)) = done.first_mut() {
            *did = Did::Updated;
        }
        for (_, did) in done {
            *match did {
                Did::Created => &mut self.counts.created,
                Did::Updated => &mut self.counts.updated,
                Did::Nothing => &mut self.counts.unchanged,
            } += 1;
        }
        Ok((known.is_none() || draft != before).then_some(draft))
    }

    /// Gives a new product the options of its rows; whether those of a known one are the same.
    fn options(
        &mut self,
        draft: &mut Draft,
        is_known: bool,
        rows: &[Placed<'_>],
        first: Option<&Row>,
    ) -> bool {
        let Some(first) = first else { return true };
        let given: Vec<_> = first.options.iter().filter_map(|(name, _)| name.clone()).collect();
        let own: Vec<_> = draft.options.iter().map(|option| option.name.clone()).collect();
        if !is_known {
            draft.options =
                given.into_iter().map(|name| ProductOption { name, values: Vec::new() }).collect();
            if let Some(declared) = &first.declared {
                draft.options.clone_from(declared);
            }
        } else if !given.is_empty() && given != own {
            let said = format!("the product has the options {own:?} in the shop, and {given:?} here");
            self.all_bad(rows, self.names.option, said);
            return false;
        } else if let Some(declared) = &first.declared {
            for (option, declared) in draft.options.iter_mut().zip(declared) {
                let more: Vec<_> =
                    declared.values.iter().filter(|value| !option.values.contains(value)).cloned().collect();
                option.values.extend(more);
            }
        }
        true
    }

    /// Puts a row's variant into `draft`: its place there, and what that did.
    fn variant(
        &mut self,
        tx: &impl Reads,
        known: Option<&(ProductId, Product)>,
        placed: Placed<'_>,
        draft: &mut Draft,
        before: &Draft,
    ) -> Result<Option<(usize, Did)>, StoreError> {
        let (names, row) = (self.names, placed.1);
        let sku = row.sku.clone().flatten();
        if let Some(sku) = &sku
            && ops::find_sku(tx, sku)?.is_some_and(|(owner, _)| Some(owner) != known.map(|(id, _)| *id))
        {
            self.bad(placed, names.sku, format!("{sku} belongs to another product"));
            return Ok(None);
        }
        let values: Vec<_> = row.options.iter().filter_map(|(_, value)| value.clone()).collect();
        let by_sku = |v: &VariantDraft| {
            let own = v.sku.as_ref().map(|own| own.to_lowercase());
            own.is_some() && own == sku.as_ref().map(|sku| sku.to_lowercase())
        };
        let found = draft.variants.iter().position(by_sku);
        let found = found.or_else(|| draft.variants.iter().position(|v| v.choices == values));
        if let Some(at) = found {
            if self.mode == Mode::Create && at < before.variants.len() {
                let said = "is in the shop already, and the import is to create only";
                self.bad(placed, names.handle, said);
            }
            let variant = &mut draft.variants[at];
            let old = variant.clone();
            if values.len() == variant.choices.len() && !values.is_empty() {
                variant.choices = values;
            }
            set_variant(variant, row);
            let did = if *variant == old { Did::Nothing } else { Did::Updated };
            return Ok(Some((at, did)));
        }
        if values.len() != draft.options.len() {
            let wanted: Vec<_> = draft.options.iter().map(|option| option.name.as_str()).collect();
            let said = match wanted.as_slice() {
                [] => "the product has no options, so it can have one variant only".to_owned(),
                wanted => format!("a value is wanted for each of the options {wanted:?}"),
            };
            self.bad(placed, names.option, said);
            return Ok(None);
        }
        if row.price.flatten().is_none() {
            self.bad(placed, names.price, "is required for a new variant");
            return Ok(None);
        }
        let mut variant = VariantDraft { choices: values, ..VariantDraft::default() };
        set_variant(&mut variant, row);
        draft.variants.push(variant);
        Ok(Some((draft.variants.len() - 1, Did::Created)))
    }
}

/// Takes over a cell; a column that is not there leaves the field alone.
fn over<T: Clone>(to: &mut Option<T>, from: Option<&Option<T>>) {
    if let Some(value) = from {
        to.clone_from(value);
    }
}

fn set_product(draft: &mut Draft, row: &Row) {
    if let Some(Some(name)) = &row.name {
        draft.name.clone_from(name);
    }
    if let Some(description) = &row.description {
        draft.description = description.clone().unwrap_or_default();
    }
    if let Some(tags) = &row.tags {
        draft.tags = tags.clone().unwrap_or_default();
    }
    // A category is kept under its slug, so the same name again is no change.
    if let Some(category) = &row.category {
        let slug = category.as_deref().map(slugify);
        if slug != draft.category {
            draft.category.clone_from(category);
        }
    }
    over(&mut draft.image_url, row.image.as_ref());
    if let Some(images) = &row.images {
        draft.images.clone_from(images);
    }
    over(&mut draft.weight_grams, row.weight.as_ref());
    over(&mut draft.low_stock_threshold, row.low_stock.as_ref());
    if let Some(Some(is_active)) = row.is_active {
        draft.is_active = is_active;
    }
}

fn set_variant(variant: &mut VariantDraft, row: &Row) {
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
