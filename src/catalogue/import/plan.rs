//! From a product's rows to what is to be done with it. A row's key is its SKU, else its handle and options.

use std::collections::BTreeSet;

use super::columns::Names;
use super::fill::{are_same, choices, set_product, set_variant};
use super::row::{Read, Row};
use super::source::Group;
use super::{Counts, Mode, RowError};
use crate::catalogue::draft::{Draft, VariantDraft};
use crate::catalogue::model::{Product, ProductOption};
use crate::catalogue::ops;
use crate::catalogue::store::PRODUCTS;
use crate::id::{ProductId, VariantId};
use crate::inventory::MOST;
use crate::store::{Reads, StoreError};

/// What holds for all products of an import.
#[derive(Clone, Copy)]
pub struct Frame {
    pub names: Names,
    pub mode: Mode,
}

/// A variant that is there already and that a row gives a stock.
pub struct Stocked {
    pub entry: u32,
    pub line: u64,
    pub variant: VariantId,
    /// The stock as it is.
    pub quantity: i64,
}

/// What a product's rows would do to it.
pub struct Plan {
    /// The product as it is, if it is there.
    pub known: Option<(ProductId, Product)>,
    /// The product as it is to be, if that is another.
    pub draft: Option<Draft>,
    /// The stock, as it is, of the variants that are there already and that the rows give a stock.
    pub stocks: Vec<Stocked>,
    pub counts: Counts,
    pub errors: Vec<RowError>,
    /// The entries that are left out.
    pub bad: BTreeSet<u32>,
}

impl Plan {
    /// How much work it is to write: more for many variants, and for long texts, whose words are all listed.
    pub fn weight(&self) -> u32 {
        let of = |draft: &Draft| 1 + draft.variants.len() + draft.description.len() / 512;
        self.draft.as_ref().map_or(0, |draft| of(draft) as u32)
    }
}

/// Holds a product's rows against the shop as it is. Those in `bad`, and those that turn out to be, are left out.
/// `before` is the stock of variants as it was when the rows were checked: a stock in the file is a change from that,
/// so that what was sold since stays sold.
pub fn plan(
    tx: &impl Reads,
    group: &Group,
    frame: Frame,
    bad: &BTreeSet<u32>,
    before: &[(VariantId, i64)],
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
        let mut planner = Planner {
            frame,
            before,
            errors: Vec::new(),
            bad: BTreeSet::new(),
            counts: Counts::default(),
            stocks: Vec::new(),
            notes: Vec::new(),
        };
        let known = if rows.is_empty() { None } else { planner.find(tx, &rows)? };
        let draft = planner.product(tx, known.as_ref(), &rows, bad.is_empty())?;
        errors.append(&mut planner.errors);
        if planner.bad.is_empty() {
            let mut counts = planner.counts;
            counts.failed = group.entries.iter().filter(|entry| bad.contains(&entry.at)).map(weight).sum();
            counts.rows = counts.created + counts.updated + counts.unchanged + counts.failed;
            errors.append(&mut planner.notes);
            return Ok(Plan { known, draft, stocks: planner.stocks, counts, errors, bad });
        }
        bad.append(&mut planner.bad);
    }
}

/// How many rows an entry counts for when it is bad. A picture is no row of its own, until there is something wrong
/// with it.
fn weight(entry: &super::row::Entry) -> u64 {
    entry.rows.iter().map(|read| if let Read::Bad { rows, .. } = read { *rows as u64 } else { 1 }).sum()
}

/// A row and its entry.
type Placed<'a> = (u32, &'a Row);

struct Planner<'a> {
    frame: Frame,
    before: &'a [(VariantId, i64)],
    errors: Vec<RowError>,
    bad: BTreeSet<u32>,
    counts: Counts,
    stocks: Vec<Stocked>,
    /// What is worth telling of rows that are good.
    notes: Vec<RowError>,
}

/// What became of a row.
#[derive(Clone, Copy, PartialEq)]
enum Did {
    Created,
    Updated,
    Nothing,
}

impl Planner<'_> {
    fn bad(&mut self, (at, row): Placed<'_>, column: &str, message: impl Into<String>) {
        self.bad.insert(at);
        self.errors.push(RowError::new(row.line, column, message));
    }

    /// Something is wrong with the product as a whole: all its rows are left out.
    fn all_bad(&mut self, rows: &[Placed<'_>], column: &str, message: impl Into<String>) {
        self.bad.extend(rows.iter().map(|(at, _)| *at));
        self.errors.push(RowError::new(rows[0].1.line, column, message));
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
            let Some(owner) = ops::sku_owner(tx, sku)? else { continue };
            if known.is_some_and(|known| known != owner) || (known.is_none() && handle.is_some()) {
                let (own, handle) = (PRODUCTS.expect(tx, &owner)?.slug, handle.map_or("", String::as_str));
                let said = format!("is {handle}, but the SKU {sku} belongs to the product {own}");
                self.bad((*at, row), self.frame.names.handle, said);
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
        is_whole: bool,
    ) -> Result<Option<Draft>, StoreError> {
        if rows.is_empty() || !self.bad.is_empty() {
            return Ok(None);
        }
        let names = self.frame.names;
        if self.frame.mode == Mode::Create && known.is_some() {
            self.all_bad(rows, names.handle, "is in the shop already, and the import is to create only");
            return Ok(None);
        }
        let before = match known {
            Some((_, product)) => Draft::of(product, &ops::stocks(tx, product)?),
            None => Draft { slug: rows[0].1.handle.clone(), variants: Vec::new(), ..Draft::default() },
        };
        let mut draft = before.clone();
        // The product's own fields stand in one of its rows; where that is left out, so are they.
        let mut heads = rows.iter().filter(|(_, row)| !row.is_picture() && !row.is_variant_only());
        let head = heads.next();
        let line = head.map_or(0, |(_, row)| row.line);
        for twice in heads.filter(|(_, row)| row.is_head) {
            self.bad(*twice, names.handle, format!("is on line {line} too"));
        }
        if !self.bad.is_empty() {
            return Ok(None);
        }
        let first = match head {
            Some((_, row)) => {
                set_product(&mut draft, row, true);
                Some(*row)
            }
            None if is_whole => {
                set_product(&mut draft, rows[0].1, false);
                Some(rows[0].1)
            }
            None if known.is_none() => {
                self.all_bad(rows, "", "the row that begins this new product is left out, so the product is");
                return Ok(None);
            }
            None => None,
        };
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
        let Some(order) = self.options(&mut draft, known.is_some(), rows, first) else { return Ok(None) };

        let product_changed = known.is_some() && draft != before;
        let mut done: Vec<(Option<usize>, Did)> = Vec::new();
        for placed in rows.iter().filter(|(_, row)| !row.is_picture()) {
            if known.is_some() && !placed.1.has_variant() && !draft.options.is_empty() {
                done.push((None, Did::Nothing));
            } else if let Some((at, did)) = self.variant(tx, known, *placed, &mut draft, &order)? {
                if done.iter().any(|(seen, _)| *seen == Some(at)) {
                    let said = "is the same variant as a row before it: give it other options";
                    self.bad(*placed, names.option, said);
                }
                done.push((Some(at), did));
            }
        }
        if done.is_empty() {
            // Pictures alone count for one row.
            done.push((None, Did::Nothing));
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

    /// Gives a new product the options of its rows, and holds those of a known one against them. What comes back are
    /// the options in the order in which the file's rows have them; none if they are others.
    fn options(
        &mut self,
        draft: &mut Draft,
        is_known: bool,
        rows: &[Placed<'_>],
        first: Option<&Row>,
    ) -> Option<Vec<String>> {
        let own: Vec<_> = draft.options.iter().map(|option| option.name.clone()).collect();
        let Some(first) = first else { return Some(own) };
        let given: Vec<_> = first.options.iter().filter_map(|(name, _)| name.clone()).collect();
        let declared = first.declared.iter().flatten();
        if !is_known {
            draft.options =
                given.iter().map(|name| ProductOption { name: name.clone(), values: Vec::new() }).collect();
        } else if given.is_empty() {
            return Some(own);
        } else if !are_same(&given, &own) {
            let said = format!("the product has the options {own:?} in the shop, and {given:?} here");
            self.all_bad(rows, self.frame.names.option, said);
            return None;
        }
        for (name, values) in declared.map(|option| (&option.name, &option.values)) {
            let Some(option) = draft.options.iter_mut().find(|option| option.name == *name) else { continue };
            let more: Vec<_> =
                values.iter().filter(|value| !option.values.contains(value)).cloned().collect();
            option.values.extend(more);
        }
        Some(given)
    }

    /// Puts a row's variant into `draft`: its place there, and what that did. `order` is how the file has the options.
    fn variant(
        &mut self,
        tx: &impl Reads,
        known: Option<&(ProductId, Product)>,
        placed: Placed<'_>,
        draft: &mut Draft,
        order: &[String],
    ) -> Result<Option<(usize, Did)>, StoreError> {
        let (names, row) = (self.frame.names, placed.1);
        let sku = row.sku.as_ref().and_then(Option::as_ref);
        if let Some(sku) = sku
            && ops::sku_owner(tx, sku)?.is_some_and(|owner| Some(owner) != known.map(|(id, _)| *id))
        {
            self.bad(placed, names.sku, format!("{sku} belongs to another product"));
            return Ok(None);
        }
        let values = match choices(row, draft, order) {
            Ok(values) => values,
            Err(said) => {
                self.bad(placed, names.option, said);
                return Ok(None);
            }
        };
        let lower = sku.map(|sku| sku.to_lowercase());
        let by_sku =
            |v: &VariantDraft| lower.is_some() && v.sku.as_ref().map(|own| own.to_lowercase()) == lower;
        let found = draft.variants.iter().position(by_sku);
        let is_plain = values.is_none() && draft.options.is_empty();
        let by_choices = |v: &VariantDraft| {
            if is_plain { v.choices.is_empty() } else { Some(&v.choices) == values.as_ref() }
        };
        if let Some(at) = found.or_else(|| draft.variants.iter().position(by_choices)) {
            let old = draft.variants[at].clone();
            let variant = &mut draft.variants[at];
            if let Some(values) = values {
                variant.choices = values;
            }
            set_variant(variant, row);
            if let (Some(Some(wanted)), Some(id), Some(now)) = (row.stock, old.id, old.stock) {
                self.stocks.push(Stocked { entry: placed.0, line: row.line, variant: id, quantity: now });
                variant.stock = Some(self.stock(id, now, wanted, row));
            }
            let did = if draft.variants[at] == old { Did::Nothing } else { Did::Updated };
            return Ok(Some((at, did)));
        }
        if values.is_none() && !draft.options.is_empty() {
            let own: Vec<_> = draft.options.iter().map(|option| &option.name).collect();
            self.bad(placed, names.option, format!("a value is wanted for each of the options {own:?}"));
            return Ok(None);
        }
        if row.price.flatten().is_none() {
            self.bad(placed, names.price, "is required for a new variant");
            return Ok(None);
        }
        let values = values.unwrap_or_default();
        let mut variant = VariantDraft { choices: values, ..VariantDraft::default() };
        set_variant(&mut variant, row);
        draft.variants.push(variant);
        Ok(Some((draft.variants.len() - 1, Did::Created)))
    }

    /// What a variant's stock is to be, of which there is `now`.
    fn stock(&mut self, id: VariantId, now: i64, wanted: i64, row: &Row) -> i64 {
        let Some((_, before)) = self.before.iter().find(|(known, _)| *known == id) else { return wanted };
        let stock = now + (wanted - before);
        if stock < 0 {
            let said = format!(
                "is {wanted} here, but {} were sold since the file was checked; it is 0 now",
                before - now
            );
            self.notes.push(RowError::new(row.line, self.frame.names.stock, said));
        }
        stock.clamp(0, MOST)
    }
}
