//! From a CSV record to a row: which column is which field.

use std::borrow::Cow;
use std::collections::HashMap;

use super::RowError;
use super::row::{Cell, Read, Row};
use super::spool::Format;
use crate::catalogue::draft::MOST_OPTIONS;
use crate::catalogue::model::{SLUG, is_slug};
use crate::cells::{from_latin, split, unguarded};
use crate::http::input::{cell, money, text, url};
use crate::inventory::MOST;
use crate::money::{Currency, Money};

/// What a cell can stand for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Field {
    Handle,
    Name,
    Description,
    Category,
    Tags,
    Price,
    CompareAtPrice,
    Sku,
    Stock,
    LowStock,
    Weight,
    Image,
    VariantImage,
    IsActive,
    Status,
    OptionName(usize),
    OptionValue(usize),
}
use Field as F;

/// till's own columns, in the order of an export.
const OWN: &[(&str, Field)] = &[
    ("handle", F::Handle),
    ("name", F::Name),
    ("description", F::Description),
    ("category", F::Category),
    ("tags", F::Tags),
    ("price", F::Price),
    ("compare_at_price", F::CompareAtPrice),
    ("sku", F::Sku),
    ("stock_quantity", F::Stock),
    ("low_stock_threshold", F::LowStock),
    ("weight_grams", F::Weight),
    ("image_url", F::Image),
    ("variant_image_url", F::VariantImage),
    ("is_active", F::IsActive),
    ("option1_name", F::OptionName(0)),
    ("option1_value", F::OptionValue(0)),
    ("option2_name", F::OptionName(1)),
    ("option2_value", F::OptionValue(1)),
    ("option3_name", F::OptionName(2)),
    ("option3_value", F::OptionValue(2)),
    ("option4_name", F::OptionName(3)),
    ("option4_value", F::OptionValue(3)),
    ("option5_name", F::OptionName(4)),
    ("option5_value", F::OptionValue(4)),
];

/// Shopify's product CSV; its other columns say nothing that a product here has.
const SHOPIFY: &[(&str, Field)] = &[
    ("Handle", F::Handle),
    ("Title", F::Name),
    ("Body (HTML)", F::Description),
    ("Type", F::Category),
    ("Tags", F::Tags),
    ("Published", F::IsActive),
    ("Status", F::Status),
    ("Option1 Name", F::OptionName(0)),
    ("Option1 Value", F::OptionValue(0)),
    ("Option2 Name", F::OptionName(1)),
    ("Option2 Value", F::OptionValue(1)),
    ("Option3 Name", F::OptionName(2)),
    ("Option3 Value", F::OptionValue(2)),
    ("Variant SKU", F::Sku),
    ("Variant Grams", F::Weight),
    ("Variant Inventory Qty", F::Stock),
    ("Variant Price", F::Price),
    ("Variant Compare At Price", F::CompareAtPrice),
    ("Image Src", F::Image),
    ("Variant Image", F::VariantImage),
];

/// What the file calls the columns that the plan finds fault with.
#[derive(Clone, Copy)]
pub struct Names {
    pub name: &'static str,
    pub price: &'static str,
    pub sku: &'static str,
    pub handle: &'static str,
    pub option: &'static str,
    pub stock: &'static str,
}

/// Which column is which field, as the file's header says.
pub struct Columns {
    names: Vec<String>,
    places: HashMap<Field, usize>,
    is_shopify: bool,
    /// Whether numbers may have a comma for the decimal point, as where something else separates cells.
    decimal_comma: bool,
    is_latin: bool,
    currency: Currency,
}

impl Columns {
    /// Reads a header.
    ///
    /// # Errors
    /// What is wrong with it: a column that is not known, or twice there, or nothing to tell products by.
    pub fn of(header: &csv::ByteRecord, how: Format, currency: Currency) -> Result<Columns, String> {
        let Format::Csv { separator, is_latin } = how else { unreachable!("JSON lines have no header") };
        let names: Vec<_> =
            header.iter().map(|name| text_of(name, is_latin).map(|n| n.trim().to_owned())).collect();
        let names: Vec<_> = names.into_iter().map(|name| name.unwrap_or_else(|_| "?".into())).collect();
        let is_shopify =
            ["Handle", "Title", "Variant Price"].iter().all(|name| names.iter().any(|n| n == name));
        let known = if is_shopify { SHOPIFY } else { OWN };
        let mut places = HashMap::new();
        for (n, name) in names.iter().enumerate() {
            let field = known.iter().find(|(column, _)| column == name).map(|(_, field)| *field);
            match field {
                Some(field) if places.insert(field, n).is_some() => {
                    return Err(format!("the column {name} is there twice"));
                }
                // Spreadsheets leave empty columns at the end.
                None if !is_shopify && !name.is_empty() => return Err(unknown_column(name)),
                _ => {}
            }
        }
        if !places.contains_key(&F::Handle) && !places.contains_key(&F::Sku) {
            return Err("a column handle or sku must be there, to tell products by".into());
        }
        Ok(Columns { names, places, is_shopify, decimal_comma: separator != b',', is_latin, currency })
    }

    pub fn names(&self) -> Names {
        if self.is_shopify {
            Names {
                name: "Title",
                price: "Variant Price",
                sku: "Variant SKU",
                handle: "Handle",
                option: "Option1 Value",
                stock: "Variant Inventory Qty",
            }
        } else {
            Names {
                name: "name",
                price: "price",
                sku: "sku",
                handle: "handle",
                option: "option1_value",
                stock: "stock_quantity",
            }
        }
    }

    /// The handle in a record, whether it is good or not.
    pub fn handle_of(&self, record: &csv::ByteRecord) -> Option<String> {
        let cell = record.get(*self.places.get(&F::Handle)?)?;
        let text = text_of(cell, self.is_latin).ok()?;
        let handle = unguarded(&text);
        let handle = if self.is_shopify { handle.to_lowercase() } else { handle.to_owned() };
        Some(handle).filter(|handle| !handle.is_empty())
    }

    /// Reads a record.
    pub fn row(&self, record: &csv::ByteRecord, line: u64) -> Read {
        let mut cells = Cells { columns: self, record, line, errors: Vec::new() };
        let row = cells.row();
        if record.len() != self.names.len() {
            let message = format!("the row has {} cells, the header {}", record.len(), self.names.len());
            cells.errors.push(RowError::new(line, "", message));
        }
        let has_key = |row: &Row| row.handle.is_some() || matches!(row.sku, Some(Some(_)));
        if cells.errors.is_empty() && !has_key(&row) {
            let message = "a row needs a handle or a SKU, so that its product is known again";
            cells.errors.push(RowError::new(line, self.names().handle, message));
        }
        let errors = cells.errors;
        if errors.is_empty() { Read::Good(Box::new(row)) } else { Read::Bad { rows: 1, errors } }
    }
}

fn text_of(cell: &[u8], is_latin: bool) -> Result<Cow<'_, str>, String> {
    match std::str::from_utf8(cell) {
        Ok(text) => Ok(text.into()),
        Err(_) if is_latin => Ok(from_latin(cell).into()),
        Err(_) => Err("is not UTF-8; save the file as CSV in UTF-8".into()),
    }
}

/// The header of an export.
pub fn own() -> impl Iterator<Item = &'static str> {
    OWN.iter().map(|(name, _)| *name)
}

fn unknown_column(name: &str) -> String {
    let near = OWN.iter().map(|(own, _)| (strsim::jaro_winkler(own, name), *own));
    match near.filter(|(near, _)| *near > 0.85).max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((_, own)) => format!("the column {name:?} is not known; did you mean {own}?"),
        None => {
            let all: Vec<_> = OWN.iter().map(|(own, _)| *own).collect();
            format!("the column {name:?} is not known; the columns are {}", all.join(", "))
        }
    }
}

/// One record, and what was found wrong with it.
struct Cells<'a> {
    columns: &'a Columns,
    record: &'a csv::ByteRecord,
    line: u64,
    errors: Vec<RowError>,
}

impl Cells<'_> {
    /// Reads the cell of `field`.
    fn get<T>(&mut self, field: Field, read: impl Fn(&str, Currency) -> Result<T, String>) -> Cell<T> {
        let at = *self.columns.places.get(&field)?;
        let read = match text_of(self.record.get(at).unwrap_or_default(), self.columns.is_latin) {
            Ok(text) if text.trim().is_empty() => return Some(None),
            Ok(text) => read(unguarded(&text), self.columns.currency),
            Err(said) => Err(said),
        };
        match read {
            Ok(value) => Some(Some(value)),
            Err(message) => {
                let column = self.columns.names[at].clone();
                self.errors.push(RowError::new(self.line, column, message));
                Some(None)
            }
        }
    }

    fn text(&mut self, field: Field, most: usize) -> Cell<String> {
        self.get(field, |value, currency| cell(value, text(1..=most), currency))
    }

    fn money(&mut self, field: Field) -> Cell<Money> {
        let decimal_comma = self.columns.decimal_comma;
        self.get(field, |value, currency| {
            let is_comma = decimal_comma && value.matches(',').count() == 1 && !value.contains('.');
            let value: Cow<'_, str> = if is_comma { value.replace(',', ".").into() } else { value.into() };
            cell(&value, money(), currency)
        })
    }

    fn whole(&mut self, field: Field) -> Cell<i64> {
        let is_shopify = self.columns.is_shopify;
        self.get(field, |value, _| {
            // Shopify writes grams as 100.0, and units that it sold without having them as less than none.
            let whole = value.strip_suffix(".0").unwrap_or(value).parse::<i64>().ok();
            let whole = whole.map(|number| if is_shopify { number.max(0) } else { number });
            let number = whole.filter(|number| (0..=MOST).contains(number));
            number.ok_or_else(|| format!("must be an integer from 0 to {MOST}"))
        })
    }

    fn url(&mut self, field: Field) -> Cell<String> {
        self.get(field, |value, currency| cell(value, url(), currency))
    }

    fn row(&mut self) -> Row {
        let is_shopify = self.columns.is_shopify;
        let options = (0..MOST_OPTIONS).map(|n| {
            let name = self.text(F::OptionName(n), 100).flatten();
            (name, self.text(F::OptionValue(n), 100).flatten())
        });
        let mut options: Vec<_> = options.collect();
        // How Shopify writes a product without options.
        if is_shopify && options[0].1.as_deref() == Some("Default Title") {
            options[0] = (None, None);
        }
        let handle = self.get(F::Handle, |value, _| {
            let handle = if is_shopify { value.to_lowercase() } else { value.to_owned() };
            let said = format!(
                "must have letters, digits, - or _ only, not digits alone, and at most {SLUG} characters"
            );
            if is_slug(&handle) { Ok(handle) } else { Err(said) }
        });
        let mut row = Row {
            line: self.line,
            handle: handle.flatten(),
            sku: self.text(F::Sku, 100),
            name: self.text(F::Name, 200),
            description: self.get(F::Description, |value, currency| cell(value, text(0..=50_000), currency)),
            category: self.text(F::Category, 100),
            tags: self.get(F::Tags, |value, currency| {
                let tags = split(value).into_iter();
                let tags =
                    tags.map(|tag| cell(&tag, text(1..=100), currency)).collect::<Result<Vec<_>, _>>()?;
                if tags.len() <= 50 { Ok(tags) } else { Err("must have at most 50 tags".into()) }
            }),
            price: self.money(F::Price),
            compare_at_price: self.money(F::CompareAtPrice).map(|price| {
                // How Shopify writes that there is none.
                price.filter(|price| !(is_shopify && price.is_zero()))
            }),
            stock: self.whole(F::Stock),
            low_stock: self.whole(F::LowStock),
            weight: self.whole(F::Weight),
            image: self.url(F::Image),
            variant_image: self.url(F::VariantImage),
            is_active: self.get(F::IsActive, |value, _| match value.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => Ok(true),
                "false" | "no" | "0" => Ok(false),
                _ => Err("must be true or false".into()),
            }),
            options,
            images: None,
            declared: None,
            is_head: false,
        };
        if let Some(Some(status)) = self.text(F::Status, 20) {
            let shown = status.eq_ignore_ascii_case("active");
            row.is_active = Some(Some(shown && row.is_active.flatten().unwrap_or(true)));
        }
        if is_shopify && row.weight == Some(Some(0)) {
            row.weight = Some(None);
        }
        row
    }
}
