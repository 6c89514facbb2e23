//! Tables of the catalogue.

use super::model::{Category, Product};
use crate::id::ProductId;
use crate::store::{Index, Table, record};

record!(Product as StoredProduct: V1);
record!(Category as StoredCategory: V1);

/// Slugs; an archived product has given up its own.
pub static BY_SLUG: Index<ProductId, Product, String> = Index::unique("products.by_slug", |product| {
    if product.archived_at.is_some() { vec![] } else { vec![product.slug.clone()] }
});
/// SKUs in lower case; an archived product has given up its own.
pub static BY_SKU: Index<ProductId, Product, String> = Index::unique("products.by_sku", |product| {
    let skus = product.variants.iter().filter_map(|variant| variant.sku.as_deref());
    if product.archived_at.is_some() { vec![] } else { skus.map(str::to_lowercase).collect() }
});
pub static PRODUCTS: Table<ProductId, Product> = Table::new("products", &[&BY_SLUG, &BY_SKU]);

/// By slug.
pub static CATEGORIES: Table<String, Category> = Table::new("categories", &[]);
