//! From rows to what is to be done. A row's key is its SKU, else its handle and options.

use std::collections::{BTreeSet, HashMap};

use super::columns::{Row, Rows};
use super::{Mode, Report, RowError};
use crate::catalogue::draft::{Draft, VariantDraft};
use crate::catalogue::model::{CatalogueError, ProductOption};
use crate::catalogue::ops;
use crate::id::ProductId;
use crate::inventory::Cause;
use crate::store::{Reads, StoreError, WriteTx};

/// What a file would do to the shop.
pub struct Plan {
    products: Vec<(Option<ProductId>, Draft)>,
    pub report: Report,
}

/// Which product a row is of.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Target {
    Known(ProductId),
    /// A new one of this handle.
    New(String),
    /// A new one of its own, without a handle.
    Alone(u64),
}

/// Holds the rows against the shop as it is.
pub fn plan(tx: &impl Reads, rows: &Rows, mode: Mode) -> Result<Plan, StoreError> {
    let mut order = Vec::new();
    let mut groups: HashMap<Target, Vec<&Row>> = HashMap::new();
    for row in &rows.good {
        let target = target(tx, row)?;
        let group = groups.entry(target.clone()).or_default();
        if group.is_empty() {
            order.push(target);
        }
        group.push(row);
    }

    let mut planner =
        Planner { rows, mode, report: Report::default(), bad: BTreeSet::new(), skus: HashMap::new() };
    planner.report.rows = rows.count;
    planner.report.errors.clone_from(&rows.errors);
    planner.bad.extend(rows.errors.iter().map(|error| error.line));
    let mut products = Vec::new();
    for target in order {
        products.extend(planner.product(tx, &target, &groups[&target])?);
    }
    // Handles that the file gives are taken before names are made into others.
    products.sort_by_key(|(_, draft): &(_, Draft)| draft.slug.is_none());
    let Planner { mut report, bad, .. } = planner;
    report.failed = bad.len();
    report.errors.sort();
    if report.failed > 0 {
        // Nothing will be applied, so whatever is not bad stays as it is.
        (report.created, report.updated, report.unchanged) = (0, 0, report.rows - report.failed);
    }
    Ok(Plan { products, report })
}

/// Carries out a plan that was made in this same transaction and has no bad rows.
pub fn apply(tx: &mut WriteTx, plan: &Plan, by: &str) -> Result<(), CatalogueError> {
    for (id, draft) in &plan.products {
        match id {
            Some(id) => drop(ops::update(tx, *id, draft, &Cause::Import, by)?),
            None => drop(ops::create(tx, draft, &Cause::Import, by)?),
        }
    }
    Ok(())
}

fn target(tx: &impl Reads, row: &Row) -> Result<Target, StoreError> {
    if let Some(Some(sku)) = &row.sku
        && let Some((product, _)) = ops::find_sku(tx, sku)?
    {
        return Ok(Target::Known(product));
    }
    let Some(handle) = &row.handle else { return Ok(Target::Alone(row.line)) };
    Ok(ops::find_slug(tx, handle)?.map_or_else(|| Target::New(handle.clone()), Target::Known))
}

struct Planner<'a> {
    rows: &'a Rows,
    mode: Mode,
    report: Report,
    /// Lines with something wrong.
    bad: BTreeSet<u64>,
    /// Which line had a SKU first.
    skus: HashMap<String, u64>,
}

/// What became of a row.
enum Did {
    Created,
    Updated,
    Nothing,
}

impl Planner<'_> {
    fn bad(&mut self, row: &Row, column: &str, message: impl Into<String>) {
        // A picture is no row of its own, until there is something wrong with it.
        if self.bad.insert(row.line) && row.is_picture {
            self.report.rows += 1;
        }
        self.report.errors.push(RowError {
            line: row.line,
            column: column.to_owned(),
            message: message.into(),
        });
    }

    /// The product that a group of rows describes, if it is to be written.
    fn product(
        &mut self,
        tx: &impl Reads,
        target: &Target,
        rows: &[&Row],
    ) -> Result<Option<(Option<ProductId>, Draft)>, StoreError> {
        let names = self.rows.names;
        let first = rows.iter().find(|row| !row.is_picture).unwrap_or(&rows[0]);
        let (id, before) = match target {
            Target::Known(id) => {
                let product = crate::catalogue::store::PRODUCTS.expect(tx, id)?;
                (Some(*id), Draft::of(&product, &ops::stocks(tx, &product)?))
            }
            Target::New(handle) => (None, Draft { slug: Some(handle.clone()), ..blank() }),
            Target::Alone(_) => (None, blank()),
        };
        for row in rows {
            if let (Some(_), Some(handle), Some(own)) = (id, &row.handle, &before.slug)
                && handle != own
            {
                let sku = row.sku.clone().flatten().unwrap_or_default();
                self.bad(
                    row,
                    names.handle,
                    format!("is {handle}, but the SKU {sku} belongs to the product {own}"),
                );
            }
        }
        let mut draft = before.clone();
        set_product(&mut draft, first);
        for picture in rows.iter().filter_map(|row| row.image.clone().flatten()) {
            if draft.image_url.as_ref() != Some(&picture) && !draft.images.contains(&picture) {
                draft.images.push(picture);
            }
        }
        if draft.name.is_empty() {
            let said = match &first.sku {
                Some(Some(sku)) => {
                    format!("is required: no variant has the SKU {sku}, so this is a new product")
                }
                _ => "is required for a new product".into(),
            };
            self.bad(first, names.name, said);
        }

        let option_names: Vec<_> = first.options.iter().filter_map(|(name, _)| name.clone()).collect();
        let own_names: Vec<_> = draft.options.iter().map(|option| option.name.clone()).collect();
        if id.is_none() {
            draft.options = option_names
                .iter()
                .map(|name| ProductOption { name: name.clone(), values: vec![] })
                .collect();
        } else if !option_names.is_empty() && option_names != own_names {
            let said =
                format!("the product has the options {own_names:?} in the shop, and {option_names:?} here");
            self.bad(first, names.option, said);
            return Ok(None);
        }

        let product_changed = id.is_some() && draft != before;
        let mut seen = Vec::new();
        let mut done = Vec::new();
        for row in rows.iter().filter(|row| !row.is_picture) {
            if let Some((at, did)) = self.variant(tx, id, row, &mut draft, &before)? {
                if seen.contains(&at) {
                    self.bad(
                        row,
                        names.option,
                        "is the same variant as a row before it: give it other options",
                    );
                }
                seen.push(at);
                done.push(did);
            }
        }
        draft.complete_options();
        // A product whose rows are bad is not whole, which has been said already.
        let is_whole = rows.iter().all(|row| !self.bad.contains(&row.line));
        if is_whole && let Err(faults) = draft.check() {
            for (path, said) in faults {
                self.bad(first, "", format!("{path} {}", said.join(", ")));
            }
        }
        if product_changed && let Some(did @ Did::Nothing) = done.first_mut() {
            *did = Did::Updated;
        }
        for did in done {
            *match did {
                Did::Created => &mut self.report.created,
                Did::Updated => &mut self.report.updated,
                Did::Nothing => &mut self.report.unchanged,
            } += 1;
        }
        Ok((id.is_none() || draft != before).then_some((id, draft)))
    }

    /// Puts a row's variant into `draft`: its place there, and what that did.
    fn variant(
        &mut self,
        tx: &impl Reads,
        product: Option<ProductId>,
        row: &Row,
        draft: &mut Draft,
        before: &Draft,
    ) -> Result<Option<(usize, Did)>, StoreError> {
        let names = self.rows.names;
        let sku = row.sku.clone().flatten();
        if let Some(sku) = &sku {
            if let Some(line) = self.skus.insert(sku.to_lowercase(), row.line) {
                self.bad(row, names.sku, format!("{sku} is on line {line} too"));
                return Ok(None);
            }
            if ops::find_sku(tx, sku)?.is_some_and(|(owner, _)| Some(owner) != product) {
                self.bad(row, names.sku, format!("{sku} belongs to another product"));
                return Ok(None);
            }
        }
        let values: Vec<_> = row.options.iter().filter_map(|(_, value)| value.clone()).collect();
        let by_sku = |v: &VariantDraft| {
            sku.as_ref().is_some_and(|sku| v.sku.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(sku)))
        };
        let found = draft.variants.iter().position(by_sku);
        let found = found.or_else(|| draft.variants.iter().position(|v| v.choices == values));
        if let Some(at) = found {
            if self.mode == Mode::Create && at < before.variants.len() {
                self.bad(row, names.handle, "is in the shop already, and the import is to create only");
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
            self.bad(row, names.option, said);
            return Ok(None);
        }
        if row.price.flatten().is_none() {
            self.bad(row, names.price, "is required for a new variant");
            return Ok(None);
        }
        let mut variant = VariantDraft { choices: values, ..VariantDraft::default() };
        set_variant(&mut variant, row);
        draft.variants.push(variant);
        Ok(Some((draft.variants.len() - 1, Did::Created)))
    }
}

fn blank() -> Draft {
    Draft { variants: Vec::new(), ..Draft::default() }
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
        let slug = category.as_deref().map(crate::catalogue::model::slugify);
        if slug != draft.category {
            draft.category.clone_from(category);
        }
    }
    over(&mut draft.image_url, row.image.as_ref());
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
