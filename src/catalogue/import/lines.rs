//! From a JSON line to rows: a product as the API writes it, one row for each of its variants.

use serde_json::Value;

use super::RowError;
use super::row::{Read, Row};
use crate::catalogue::input::{ProductInput, VariantInput};
use crate::catalogue::model::is_slug;
use crate::http::input::{BadJson, read_text};
use crate::money::Currency;

/// Most faults that are told of one line.
const MOST_FAULTS: usize = 20;

/// Reads a line. What stands under a product's own price, SKU or stock where it lists its variants must agree with
/// theirs.
pub fn rows(text: &str, line: u64, currency: Currency) -> Vec<Read> {
    let bad = |rows, errors: Vec<(String, String)>| {
        let errors = errors.into_iter().take(MOST_FAULTS);
        let errors = errors.map(|(column, message)| RowError::new(line, column, message)).collect();
        vec![Read::Bad { rows, errors }]
    };
    let input: ProductInput = match read_text(text, currency) {
        Ok(input) => input,
        Err(BadJson::Malformed(said)) => {
            // The parser's own place in the line says no more than the line's number.
            let said = said.split(" at line ").next().unwrap_or_default();
            return bad(1, vec![(String::new(), format!("is not JSON: {said}"))]);
        }
        Err(BadJson::Faults(faults)) => {
            let errors = faults.into_iter().map(|(field, said)| (field, said.join(", "))).collect();
            return bad(1, errors);
        }
    };
    if input.slug.as_ref().is_some_and(|slug| !is_slug(slug)) {
        let said = "must have letters, digits, - or _ only, and not digits alone";
        return bad(1, vec![("slug".into(), said.into())]);
    }
    let variants = input.variants.clone().unwrap_or_default();
    let has_sku = |sku: &Option<Option<String>>| matches!(sku, Some(Some(_)));
    if input.slug.is_none() && !has_sku(&input.sku) && !variants.iter().any(|variant| has_sku(&variant.sku)) {
        let said = "or a SKU is required, so that the product is known again";
        return bad(variants.len().max(1), vec![("slug".into(), said.into())]);
    }
    let mut names: Vec<_> = input.options.iter().flatten().map(|option| option.name.clone()).collect();
    if input.options.is_none() {
        for (name, _) in variants.iter().flat_map(|variant| &variant.options) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    let strangers = variants.iter().enumerate().flat_map(|(n, variant)| {
        let strange = variant.options.iter().filter(|(name, _)| !names.contains(name));
        strange.map(move |(name, _)| {
            (format!("variants.{n}.options.{name}"), "is not an option of this product".into())
        })
    });
    let strangers: Vec<_> = strangers.collect();
    let faults = if strangers.is_empty() { disagreements(&input, &variants) } else { strangers };
    if !faults.is_empty() {
        return bad(variants.len().max(1), faults);
    }

    let (price, sku, stock, compare) = (input.price, input.sku.clone(), input.stock, input.compare_at_price);
    let head = of_product(line, input);
    if variants.is_empty() {
        let options = names.into_iter().map(|name| (Some(name), None)).collect();
        let only = Row {
            price: price.map(Some),
            sku,
            stock: stock.map(Some),
            compare_at_price: compare,
            options,
            ..head
        };
        return vec![Read::Good(Box::new(only))];
    }
    let rows = variants.into_iter().enumerate().map(|(n, variant)| {
        let head =
            if n == 0 { head.clone() } else { Row { line, handle: head.handle.clone(), ..Row::default() } };
        Read::Good(Box::new(of_variant(variant, &names, head)))
    });
    rows.collect()
}

/// Where a product says of itself what its variants say otherwise: which is meant can't be known.
fn disagreements(input: &ProductInput, variants: &[VariantInput]) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    let mut fault = |field: &str, theirs: String| {
        let said = format!("stands on the variants, where it comes to {theirs}; change it there");
        faults.push((field.to_owned(), said));
    };
    let prices = variants.iter().map(|variant| variant.price).collect::<Option<Vec<_>>>();
    let lowest = prices.and_then(|prices| prices.into_iter().min_by_key(|price| price.minor));
    if let (Some(own), Some(lowest)) = (input.price, lowest)
        && own != lowest
    {
        fault("price", lowest.to_string());
    }
    let stocks = variants.iter().map(|variant| variant.stock).collect::<Option<Vec<_>>>();
    let sum = stocks.filter(|stocks| !stocks.is_empty()).map(|stocks| stocks.iter().sum::<i64>());
    if let (Some(own), Some(sum)) = (input.stock, sum)
        && own != sum
    {
        fault("stock_quantity", sum.to_string());
    }
    if let [only] = variants {
        if let (Some(own @ Some(_)), Some(theirs)) = (&input.sku, &only.sku)
            && own != theirs
        {
            fault("sku", theirs.clone().unwrap_or_else(|| "none".into()));
        }
        if let (Some(own), Some(theirs)) = (&input.compare_at_price, &only.compare_at_price)
            && own != theirs
        {
            fault("compare_at_price", theirs.map_or_else(|| "none".into(), |price| price.to_string()));
        }
    } else if let (Some(Some(_)), false) = (&input.sku, variants.is_empty()) {
        fault("sku", "one for each".into());
    }
    faults
}

/// The slug that a line names, if it can be read at all.
pub fn slug_of(text: &str) -> Option<String> {
    // As it is read in earnest: of a member that is there twice, the last counts.
    let value: Value = serde_json::from_str(text).ok()?;
    value.get("slug")?.as_str().map(str::to_owned)
}

fn of_product(line: u64, input: ProductInput) -> Row {
    Row {
        line,
        handle: input.slug,
        name: input.name.map(Some),
        description: input.description.map(Some),
        category: input.category,
        tags: input.tags.map(Some),
        low_stock: input.low_stock_threshold,
        weight: input.weight_grams,
        image: input.image_url,
        images: input.images,
        is_active: input.is_active.map(Some),
        declared: input.options,
        is_head: true,
        ..Row::default()
    }
}

fn of_variant(variant: VariantInput, names: &[String], head: Row) -> Row {
    let chosen = |name: &String| {
        let value = variant.options.iter().find(|(named, _)| named == name).map(|(_, value)| value.clone());
        (Some(name.clone()), value)
    };
    Row {
        options: names.iter().map(chosen).collect(),
        sku: variant.sku,
        price: variant.price.map(Some),
        compare_at_price: variant.compare_at_price,
        stock: variant.stock.map(Some),
        variant_image: variant.image_url,
        ..head
    }
}
