//! Products as JSON.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderValue;
use schemars::JsonSchema;
use serde::Serialize;

use super::model::{Product, ProductOption, Variant};
use super::ops;
use crate::clock::Time;
use crate::http::etag;
use crate::id::{ProductId, VariantId};
use crate::inventory::Stock;
use crate::money::{Currency, Money};
use crate::store::{Reads, StoreError};

/// A product. Price and stock stand on its variants; at its own level are the lowest price and the sum.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Product")]
pub struct ProductView<'a> {
    id: ProductId,
    slug: &'a str,
    name: &'a str,
    description: &'a str,
    /// Of the cheapest variant.
    price: Money,
    /// What the cheapest variant cost before, or costs elsewhere.
    compare_at_price: Option<Money>,
    currency: Currency,
    image_url: Option<&'a str>,
    images: &'a [String],
    /// The category's name.
    category: Option<String>,
    tags: &'a [String],
    /// Of a product without options; else null.
    sku: Option<&'a str>,
    /// Units that can be sold, of all variants.
    stock_quantity: i64,
    in_stock: bool,
    /// At or below this a variant is reported as low; null: never.
    low_stock_threshold: Option<i64>,
    weight_grams: Option<i64>,
    /// Whether customers see it.
    is_active: bool,
    options: &'a [ProductOption],
    /// Never empty: a product without options has one.
    variants: Vec<VariantView<'a>>,
    rating: RatingView,
    /// Counts the edits; stock and rating move without it.
    version: u64,
    created_at: Time,
    /// When it was last edited.
    updated_at: Time,
    /// Not there unless it is archived.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time")]
    archived_at: Option<Time>,
}

/// What is sold: a product with a value chosen for each of its options.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ProductVariant")]
struct VariantView<'a> {
    id: VariantId,
    sku: Option<&'a str>,
    /// The values chosen, by option.
    options: BTreeMap<String, String>,
    price: Money,
    /// What it cost before, or costs elsewhere.
    compare_at_price: Option<Money>,
    /// Units that can be sold.
    stock_quantity: i64,
    in_stock: bool,
    image_url: Option<&'a str>,
}

/// What a product's visible reviews come to.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ProductRating")]
struct RatingView {
    /// 1 to 5, to one decimal; null while nobody has rated.
    average: Option<f64>,
    count: u64,
}

/// A variant's options by name.
pub fn options(product: &Product, variant: &Variant) -> BTreeMap<String, String> {
    product
        .options
        .iter()
        .zip(&variant.choices)
        .map(|(option, value)| (option.name.clone(), value.clone()))
        .collect()
}

/// A product as it is sent.
#[derive(Clone)]
pub struct Rendered {
    pub json: Bytes,
    /// Its strong ETag.
    pub tag: HeaderValue,
}

impl Rendered {
    /// # Errors
    /// What the store says.
    pub fn of(tx: &impl Reads, id: ProductId, product: &Product) -> Result<Rendered, StoreError> {
        let json = render(tx, id, product)?;
        let tag = HeaderValue::try_from(etag(&json)).expect("tags are letters and digits");
        // It is kept: without the room that it grew with.
        Ok(Rendered { json: json.into_boxed_slice().into(), tag })
    }
}

/// The whole representation, as bytes.
pub fn render(tx: &impl Reads, id: ProductId, product: &Product) -> Result<Vec<u8>, StoreError> {
    let stocks = ops::stocks(tx, product)?;
    let category = ops::category_name(tx, product)?;
    let view = view(id, product, &stocks, category);
    Ok(serde_json::to_vec(&view).expect("products are plain data"))
}

/// The ETag of the whole representation.
pub fn tag(tx: &impl Reads, id: ProductId, product: &Product) -> Result<String, StoreError> {
    Ok(etag(&render(tx, id, product)?))
}

fn view<'a>(
    id: ProductId,
    product: &'a Product,
    stocks: &[Stock],
    category: Option<String>,
) -> ProductView<'a> {
    let cheapest = product.variants.iter().min_by_key(|variant| variant.price.minor);
    let total = stocks.iter().map(|stock| stock.quantity).sum();
    let price = product.lowest_price();
    let rating = product.rating;
    ProductView {
        id,
        slug: &product.slug,
        name: &product.name,
        description: &product.description,
        price,
        compare_at_price: cheapest.and_then(|variant| variant.compare_at_price),
        currency: price.currency,
        image_url: product.image_url.as_deref(),
        images: &product.images,
        category,
        tags: &product.tags,
        sku: product
            .variants
            .first()
            .filter(|_| product.is_plain())
            .and_then(|variant| variant.sku.as_deref()),
        stock_quantity: total,
        in_stock: total > 0,
        low_stock_threshold: product.low_stock_threshold,
        weight_grams: product.weight_grams,
        is_active: product.is_active,
        options: &product.options,
        variants: product.variants.iter().zip(stocks).map(|(v, s)| variant_view(product, v, s)).collect(),
        rating: RatingView { average: average(rating.sum, rating.count), count: rating.count },
        version: product.version,
        created_at: product.created_at,
        updated_at: product.updated_at,
        archived_at: product.archived_at,
    }
}

fn variant_view<'a>(product: &Product, variant: &'a Variant, stock: &Stock) -> VariantView<'a> {
    VariantView {
        id: variant.id,
        sku: variant.sku.as_deref(),
        options: options(product, variant),
        price: variant.price,
        compare_at_price: variant.compare_at_price,
        stock_quantity: stock.quantity,
        in_stock: stock.quantity > 0,
        image_url: variant.image_url.as_deref(),
    }
}

fn average(sum: u64, count: u64) -> Option<f64> {
    let tenths = (sum * 20 + count).checked_div(count * 2)?;
    u32::try_from(tenths).ok().map(|tenths| f64::from(tenths) / 10.0)
}

/// A product in a few words, as carts show it.
#[derive(Serialize, Clone, Debug, JsonSchema)]
#[schemars(rename = "ProductSummary")]
pub struct Summary {
    pub id: ProductId,
    pub slug: String,
    pub name: String,
    pub image_url: Option<String>,
    pub sku: Option<String>,
    pub options: BTreeMap<String, String>,
    pub price: Money,
    pub in_stock: bool,
}

pub fn summary(id: ProductId, product: &Product, variant: &Variant, stock: &Stock) -> Summary {
    Summary {
        id,
        slug: product.slug.clone(),
        name: product.name.clone(),
        image_url: variant.image_url.clone().or_else(|| product.image_url.clone()),
        sku: variant.sku.clone(),
        options: options(product, variant),
        price: variant.price,
        in_stock: stock.quantity > 0,
    }
}

/// A product that customers see in a few words, or the variant of it that is meant: `None` when either is not for sale
/// any more. Where none is meant of several, it costs what the cheapest does, and is in stock when any is.
pub fn overview(
    tx: &impl Reads,
    id: ProductId,
    variant: Option<VariantId>,
) -> Result<Option<Summary>, StoreError> {
    let Some(product) = ops::public(tx, id)? else { return Ok(None) };
    let stocks = ops::stocks(tx, &product)?;
    let mut offers = product.variants.iter().zip(&stocks);
    if let Some(wanted) = variant {
        let found = offers.find(|(variant, _)| variant.id == wanted);
        return Ok(found.map(|(variant, stock)| summary(id, &product, variant, stock)));
    }
    let Some((cheapest, stock)) = offers.min_by_key(|(variant, _)| variant.price.minor) else {
        return Ok(None);
    };
    let one = summary(id, &product, cheapest, stock);
    if product.is_plain() {
        return Ok(Some(one));
    }
    let in_stock = stocks.iter().any(|stock| stock.quantity > 0);
    let image_url = product.image_url.or(one.image_url);
    Ok(Some(Summary { sku: None, options: BTreeMap::new(), image_url, in_stock, ..one }))
}
