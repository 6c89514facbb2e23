//! From a file's bytes to rows: which column is which field.

use std::collections::HashMap;

use super::RowError;
use crate::catalogue::model::{CatalogueError, SLUG, is_slug};
use crate::http::Faults;
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

/// One field of a row: `None` where the file has no such column, `Some(None)` where the cell is empty.
pub(super) type Cell<T> = Option<Option<T>>;

/// A row that was read without fault.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub line: u64,
    pub handle: Option<String>,
    pub sku: Cell<String>,
    pub name: Cell<String>,
    pub description: Cell<String>,
    pub category: Cell<String>,
    pub tags: Cell<Vec<String>>,
    pub price: Cell<Money>,
    pub compare_at_price: Cell<Money>,
    pub stock: Cell<i64>,
    pub low_stock: Cell<i64>,
    pub weight: Cell<i64>,
    pub image: Cell<String>,
    pub variant_image: Cell<String>,
    pub is_active: Cell<bool>,
    /// Names and values as the row has them; a later row of a product may leave out the names.
    pub options: Vec<(Option<String>, Option<String>)>,
    /// It has a handle and a picture, and says nothing of a variant.
    pub is_picture: bool,
}

/// A file that was read.
pub struct Rows {
    /// Those without fault.
    pub(super) good: Vec<Row>,
    /// Variant rows, the bad ones among them.
    pub(super) count: usize,
    pub(super) errors: Vec<RowError>,
    /// What the header calls the columns that [`plan`](super::plan) finds fault with.
    pub(super) names: Names,
}

/// Column names for messages.
#[derive(Clone, Copy)]
pub(super) struct Names {
    pub name: &'static str,
    pub price: &'static str,
    pub sku: &'static str,
    pub handle: &'static str,
    pub option: &'static str,
}

/// Reads a CSV file (RFC 4180, UTF-8, with or without a byte order mark).
///
/// # Errors
/// 422 when the file as a whole can't be read: no header, a column that is not known, no rows.
pub fn read(file: &[u8], currency: Currency) -> Result<Rows, CatalogueError> {
    let whole = |said: String| CatalogueError::Invalid(Faults::from([("file".to_owned(), vec![said])]));
    let file = file.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(file);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let header =
        reader.headers().map_err(|error| whole(format!("the header can't be read: {error}")))?.clone();
    let names: Vec<_> = header.iter().map(str::trim).collect();
    let is_shopify = ["Handle", "Title", "Variant Price"].iter().all(|name| names.contains(name));
    let known = if is_shopify { SHOPIFY } else { OWN };

    let mut columns = HashMap::new();
    for (n, name) in names.iter().enumerate() {
        let field = known.iter().find(|(column, _)| column == name).map(|(_, field)| *field);
        match field {
            Some(field) if columns.insert(field, n).is_some() => {
                return Err(whole(format!("the column {name} is there twice")));
            }
            None if !is_shopify => {
                return Err(whole(unknown_column(name)));
            }
            _ => {}
        }
    }
    if !columns.contains_key(&F::Handle) && !columns.contains_key(&F::Sku) {
        return Err(whole("a column handle or sku must be there, to tell products by".into()));
    }

    let mut rows = Rows {
        good: Vec::new(),
        count: 0,
        errors: Vec::new(),
        names: if is_shopify {
            Names {
                name: "Title",
                price: "Variant Price",
                sku: "Variant SKU",
                handle: "Handle",
                option: "Option1 Value",
            }
        } else {
            Names { name: "name", price: "price", sku: "sku", handle: "handle", option: "option1_value" }
        },
    };
    for record in reader.into_byte_records() {
        let record = record.map_err(|error| whole(format!("the file can't be read: {error}")))?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.iter().all(|cell| cell.trim_ascii().is_empty()) {
            continue;
        }
        let mut cells =
            Cells { columns: &columns, record: &record, names: &names, line, currency, errors: Vec::new() };
        let row = cells.row(is_shopify);
        if record.len() > names.len() {
            let said = format!("the row has {} cells, the header {}", record.len(), names.len());
            cells.errors.push(RowError { line, column: String::new(), message: said });
        }
        rows.count += usize::from(!row.is_picture || !cells.errors.is_empty());
        if cells.errors.is_empty() {
            rows.good.push(row);
        } else {
            rows.errors.append(&mut cells.errors);
        }
    }
    Ok(rows)
}

fn unknown_column(name: &str) -> String {
    if name.contains(';') {
        return "its cells are separated by semicolons; save it with commas".into();
    }
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
    columns: &'a HashMap<Field, usize>,
    record: &'a csv::ByteRecord,
    names: &'a [&'a str],
    line: u64,
    currency: Currency,
    errors: Vec<RowError>,
}

impl Cells<'_> {
    /// Reads the cell of `field`.
    fn get<T>(&mut self, field: Field, read: impl Fn(&str, Currency) -> Result<T, String>) -> Cell<T> {
        let at = *self.columns.get(&field)?;
        let bytes = self.record.get(at).unwrap_or_default();
        let read = match std::str::from_utf8(bytes) {
            Ok(text) if text.trim().is_empty() => return Some(None),
            Ok(text) => read(text, self.currency),
            Err(_) => Err("is not UTF-8; save the file as CSV in UTF-8".into()),
        };
        match read {
            Ok(value) => Some(Some(value)),
            Err(message) => {
                self.errors.push(RowError { line: self.line, column: self.names[at].to_owned(), message });
                Some(None)
            }
        }
    }

    fn text(&mut self, field: Field, most: usize) -> Cell<String> {
        self.get(field, |value, currency| cell(value.trim(), text(1..=most), currency))
    }

    fn money(&mut self, field: Field) -> Cell<Money> {
        self.get(field, |value, currency| cell(value.trim(), money, currency))
    }

    fn whole(&mut self, field: Field) -> Cell<i64> {
        self.get(field, |value, _| {
            // Shopify writes grams as 100.0.
            let number = value.trim().trim_end_matches(".0").parse().ok().filter(|n| (0..=MOST).contains(n));
            number.ok_or_else(|| format!("must be an integer from 0 to {MOST}"))
        })
    }

    fn url(&mut self, field: Field) -> Cell<String> {
        self.get(field, |value, currency| cell(value.trim(), url, currency))
    }

    fn row(&mut self, is_shopify: bool) -> Row {
        let options = (0..3).map(|n| {
            let name = self.text(F::OptionName(n), 100).flatten();
            (name, self.text(F::OptionValue(n), 100).flatten())
        });
        let mut options: Vec<_> = options.collect();
        // How Shopify writes a product without options.
        if options[0].1.as_deref() == Some("Default Title") {
            options[0] = (None, None);
        }
        let handle = self.get(F::Handle, |value, _| {
            let handle = value.trim().to_lowercase();
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
            description: self.text(F::Description, 50_000),
            category: self.text(F::Category, 100),
            tags: self.get(F::Tags, |value, currency| {
                let tags = value.split(',').map(str::trim).filter(|tag| !tag.is_empty());
                let tags =
                    tags.map(|tag| cell(tag, text(1..=100), currency)).collect::<Result<Vec<_>, _>>()?;
                if tags.len() <= 50 { Ok(tags) } else { Err("must have at most 50 tags".into()) }
            }),
            price: self.money(F::Price),
            compare_at_price: self.money(F::CompareAtPrice),
            stock: self.whole(F::Stock),
            low_stock: self.whole(F::LowStock),
            weight: self.whole(F::Weight),
            image: self.url(F::Image),
            variant_image: self.url(F::VariantImage),
            is_active: self.get(F::IsActive, |value, _| match value.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => Ok(true),
                "false" | "no" | "0" => Ok(false),
                _ => Err("must be true or false".into()),
            }),
            options,
            is_picture: false,
        };
        if let Some(Some(status)) = self.text(F::Status, 20) {
            let shown = status.eq_ignore_ascii_case("active");
            row.is_active = Some(Some(shown && row.is_active.flatten().unwrap_or(true)));
        }
        if is_shopify && row.weight == Some(Some(0)) {
            row.weight = Some(None);
        }
        let says_nothing = row.price.flatten().is_none()
            && row.sku.as_ref().is_none_or(Option::is_none)
            && row.stock.flatten().is_none()
            && row.name.as_ref().is_none_or(Option::is_none)
            && row.options.iter().all(|(_, value)| value.is_none());
        row.is_picture = says_nothing && row.handle.is_some() && matches!(row.image, Some(Some(_)));
        row
    }
}
