//! What a row of a file says, whatever the file's format.

use crate::catalogue::model::ProductOption;
use crate::money::Money;

use super::RowError;

/// One field of a row: `None` where the file has no such column, `Some(None)` where the cell is empty.
pub type Cell<T> = Option<Option<T>>;

/// A row that was read without fault.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// The file's line, from 1.
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
    /// All further pictures. Without it, a row's picture is added to those that are there.
    pub images: Option<Vec<String>>,
    pub variant_image: Cell<String>,
    pub is_active: Cell<bool>,
    /// Names and values as the row has them; a later row of a product may leave out the names.
    pub options: Vec<(Option<String>, Option<String>)>,
    /// It speaks for the product whether it has a name or not: the first of a JSON line.
    pub is_head: bool,
    /// The product's options with all their values, where the file has them in one place.
    pub declared: Option<Vec<ProductOption>>,
}

fn says<T>(cell: Option<&Option<T>>) -> bool {
    matches!(cell, Some(Some(_)))
}

impl Row {
    /// Whether it says anything of a variant.
    pub fn has_variant(&self) -> bool {
        says(self.price.as_ref())
            || says(self.sku.as_ref())
            || says(self.stock.as_ref())
            || says(self.compare_at_price.as_ref())
            || says(self.variant_image.as_ref())
            || self.options.iter().any(|(_, value)| value.is_some())
    }

    /// Whether it speaks of a variant alone: then cells of the product that are empty in it say nothing. Export leaves
    /// them so in all rows of a product but the first, and the rows may have been sorted since.
    pub fn is_variant_only(&self) -> bool {
        let has_value = self.options.iter().any(|(_, value)| value.is_some());
        !self.is_head && has_value && !says(self.name.as_ref())
    }

    /// Whether it has a handle and a picture, and says nothing else: Shopify's way to give a product several.
    pub fn is_picture(&self) -> bool {
        self.handle.is_some()
            && says(self.image.as_ref())
            && self.images.is_none()
            && !self.has_variant()
            && !says(self.name.as_ref())
    }
}

/// A row, or what is wrong with it.
#[derive(Clone, Debug)]
pub enum Read {
    Good(Box<Row>),
    Bad {
        /// How many rows it would have been: one, but for a JSON line with several variants.
        rows: usize,
        errors: Vec<RowError>,
    },
}

/// The rows of one entry of the file: a CSV record is one row, a JSON line one for each of its variants.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place among the entries, in the order of the import.
    pub at: u32,
    pub line: u64,
    pub rows: Vec<Read>,
}
