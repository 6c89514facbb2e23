//! Exporting products, all that are not archived: what import reads, so that the same file changes nothing.

use std::io::{self, Write};
use std::sync::Arc;

use super::import::own_columns;
use super::model::Product;
use super::store::PRODUCTS;
use super::{ops, view};
use crate::accounts::{Scope, for_staff};
use crate::cells::{guarded, joined};
use crate::http::{Answer, ApiError, FileFormat, LINES, Pipe, Req, Routes, get, piped};
use crate::store::{ReadTx, Reads, StoreError};
use crate::telemetry::aside;

pub fn routes() -> Routes {
    let op = for_staff(Scope::ProductsRead, "All products that are not archived, as a file")
        .more("What import reads: the same file changes nothing.")
        .query::<FileFormat>("format", "csv if it is not given.")
        .gives_files(&["text/csv", LINES])
        .with_headers(&["Content-Disposition", "X-Total-Count"]);
    Routes::new().at("/api/admin/products/export/", get(export, op))
}

async fn export(req: Req) -> Answer {
    req.staff(Scope::ProductsRead)?;
    req.query.only(&["format"])?;
    let format = req.query.word::<FileFormat>("format")?.unwrap_or_default();
    let app = Arc::clone(&req.app);
    // So that whoever waits for the file can see how much is to come.
    let total = aside(move || app.store.read(|tx| count(tx, format))).await;
    let total = total.map_err(ApiError::internal)??;
    let app = Arc::clone(&req.app);
    let body = piped(move |pipe| app.store.read(|tx| write(tx, format, pipe)));
    Ok(format.reply("products", total, body))
}

/// How many records the file has, its header not counted.
fn count(tx: &ReadTx, format: FileFormat) -> Result<u64, StoreError> {
    let mut count = 0;
    PRODUCTS.each(tx, |_, product| {
        count += match format {
            _ if product.archived_at.is_some() => 0,
            FileFormat::Csv => product.variants.len() + pictures(&product).count(),
            FileFormat::Lines => 1,
        };
    })?;
    Ok(count as u64)
}

fn write(tx: &ReadTx, format: FileFormat, pipe: &mut Pipe) -> io::Result<()> {
    if format == FileFormat::Lines {
        return PRODUCTS.try_each(tx, |id, product| {
            if product.archived_at.is_some() {
                return Ok(());
            }
            let mut line = view::render(tx, id, &product)?;
            line.push(b'\n');
            pipe.write_all(&line)
        });
    }
    let mut csv = csv::Writer::from_writer(pipe);
    csv.write_record(own_columns())?;
    PRODUCTS.try_each(tx, |_, product| {
        if product.archived_at.is_none() {
            for row in rows(tx, &product)? {
                csv.write_record(&row)?;
            }
        }
        Ok::<_, io::Error>(())
    })?;
    csv.flush()
}

/// The pictures that have no column of their own.
fn pictures(product: &Product) -> impl Iterator<Item = &String> {
    product.images.iter().filter(|image| product.image_url.as_ref() != Some(*image))
}

/// A row for each variant, the product's own fields in the first, then one for each further picture; in the order
/// of [`own_columns`].
fn rows(tx: &impl Reads, product: &Product) -> Result<Vec<Vec<String>>, StoreError> {
    let stocks = ops::stocks(tx, product)?;
    let category = ops::category_name(tx, product)?;
    let text = |text: &str| guarded(text).into_owned();
    let optional = |value: Option<&String>| value.map(|value| text(value)).unwrap_or_default();
    let number = |value: Option<i64>| value.map(|value| value.to_string()).unwrap_or_default();
    let mut rows = Vec::new();
    for (n, (variant, stock)) in product.variants.iter().zip(&stocks).enumerate() {
        let first = |cell: String| if n == 0 { cell } else { String::new() };
        let mut row = vec![
            text(&product.slug),
            first(text(&product.name)),
            first(text(&product.description)),
            first(optional(category.as_ref())),
            first(text(&joined(&product.tags))),
            variant.price.to_string(),
            variant.compare_at_price.map(|price| price.to_string()).unwrap_or_default(),
            optional(variant.sku.as_ref()),
            stock.quantity.to_string(),
            first(number(product.low_stock_threshold)),
            first(number(product.weight_grams)),
            first(optional(product.image_url.as_ref())),
            optional(variant.image_url.as_ref()),
            first(product.is_active.to_string()),
        ];
        for (option, value) in product.options.iter().zip(&variant.choices) {
            row.extend([first(text(&option.name)), text(value)]);
        }
        row.resize(own_columns().count(), String::new());
        rows.push(row);
    }
    let place = |name| own_columns().position(|column| column == name).expect("it is a column");
    for picture in pictures(product) {
        let mut row = vec![String::new(); own_columns().count()];
        row[place("handle")] = text(&product.slug);
        row[place("image_url")] = text(picture);
        rows.push(row);
    }
    Ok(rows)
}
