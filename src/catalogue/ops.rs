//! The acts of the catalogue.

use super::draft::{Draft, VariantDraft};
use super::model::{CatalogueError, Category, Named, Product, Rating, Sellable, Variant, slugify};
use super::store::{BY_SKU, BY_SLUG, CATEGORIES, PRODUCTS};
use super::view;
use crate::http::names_tag_strongly;
use crate::id::{ProductId, VariantId};
use crate::inventory::{self, Cause, InventoryError, Stock};
use crate::money::Money;
use crate::store::{Reads, StoreError, WriteTx};

/// The stocks of a product's variants, in their order.
pub fn stocks(tx: &impl Reads, product: &Product) -> Result<Vec<Stock>, StoreError> {
    product.variants.iter().map(|variant| inventory::stock_of(tx, variant.id)).collect()
}

/// The category's name as it was first written.
pub fn category_name(tx: &impl Reads, product: &Product) -> Result<Option<String>, StoreError> {
    let Some(slug) = &product.category else { return Ok(None) };
    Ok(CATEGORIES.get(tx, slug)?.map(|category| category.name))
}

pub fn has_category(tx: &impl Reads, slug: &str) -> Result<bool, StoreError> {
    Ok(CATEGORIES.get(tx, &slug.to_owned())?.is_some())
}

/// The variant of `product` that can be put into a cart now.
pub fn sellable(
    tx: &impl Reads,
    product_id: ProductId,
    variant: Option<VariantId>,
) -> Result<Sellable, CatalogueError> {
    let product = public(tx, product_id)?.ok_or(CatalogueError::NotFound)?;
    let variant = match variant {
        Some(id) => product.variant(id).ok_or(CatalogueError::NoSuchVariant)?,
        None if product.variants.len() == 1 => &product.variants[0],
        None => return Err(CatalogueError::VariantNeeded),
    };
    Ok(Sellable { product: product_id, variant: variant.id, price: variant.price })
}

/// A variant as it is offered now: its product, itself and its stock; `None` when it is not for sale any more.
pub fn offer(
    tx: &impl Reads,
    product: ProductId,
    variant: VariantId,
) -> Result<Option<(Product, Variant, Stock)>, StoreError> {
    let Some(product) = public(tx, product)? else { return Ok(None) };
    let Some(found) = product.variant(variant).cloned() else { return Ok(None) };
    Ok(Some((product, found, inventory::stock_of(tx, variant)?)))
}

/// What a variant is called.
pub fn describe(tx: &impl Reads, variant: VariantId) -> Result<Named, StoreError> {
    let product = PRODUCTS.expect(tx, &inventory::stock_of(tx, variant)?.product)?;
    let found = product.variant(variant);
    Ok(Named {
        sku: found.and_then(|variant| variant.sku.clone()),
        options: found.map(|variant| view::options(&product, variant)).unwrap_or_default(),
        name: product.name,
    })
}

/// The variant that has this SKU.
pub fn find_sku(tx: &impl Reads, sku: &str) -> Result<Option<(ProductId, VariantId)>, StoreError> {
    let sku = sku.to_lowercase();
    let Some(id) = BY_SKU.find(tx, &sku)? else { return Ok(None) };
    let product = PRODUCTS.expect(tx, &id)?;
    let variant =
        product.variants.iter().find(|v| v.sku.as_ref().is_some_and(|own| own.to_lowercase() == sku));
    Ok(variant.map(|variant| (id, variant.id)))
}

/// The product that has a variant of this SKU.
pub fn sku_owner(tx: &impl Reads, sku: &str) -> Result<Option<ProductId>, StoreError> {
    BY_SKU.find(tx, &sku.to_lowercase())
}

/// The product under a slug, if it is not archived.
pub fn find_slug(tx: &impl Reads, slug: &str) -> Result<Option<ProductId>, StoreError> {
    BY_SLUG.find(tx, &slug.to_owned())
}

pub fn create(
    tx: &mut WriteTx,
    draft: &Draft,
    cause: &Cause,
    by: &str,
) -> Result<(ProductId, Product), CatalogueError> {
    draft.check().map_err(CatalogueError::Invalid)?;
    if draft.variants.iter().any(|variant| variant.id.is_some()) {
        return Err(CatalogueError::NoSuchVariant);
    }
    skus_are_free(tx, None, draft)?;
    let slug = free_slug(tx, None, draft)?;

    let id = ProductId(tx.next_number("products")?);
    let now = tx.now();
    let mut product = Product {
        slug,
        name: String::new(),
        description: String::new(),
        category: None,
        tags: Vec::new(),
        image_url: None,
        images: Vec::new(),
        weight_grams: None,
        low_stock_threshold: None,
        is_active: true,
        archived_at: None,
        options: Vec::new(),
        variants: Vec::new(),
        rating: Rating::default(),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    fill(tx, id, &mut product, draft, cause, by)?;
    PRODUCTS.put(tx, &id, &product)?;
    Ok((id, product))
}

/// Makes the product what `draft` says. A draft that changes nothing leaves the record as it is.
pub fn update(
    tx: &mut WriteTx,
    id: ProductId,
    draft: &Draft,
    cause: &Cause,
    by: &str,
) -> Result<Product, CatalogueError> {
    let before = live(tx, id)?;
    draft.check().map_err(CatalogueError::Invalid)?;
    let own = |variant: &VariantDraft| variant.id.is_none_or(|id| before.variant(id).is_some());
    if !draft.variants.iter().all(own) {
        return Err(CatalogueError::NoSuchVariant);
    }
    skus_are_free(tx, Some(id), draft)?;
    let slug = if draft.slug.is_some() { free_slug(tx, Some(id), draft)? } else { before.slug.clone() };

    let mut product = Product { slug, ..before.clone() };
    fill(tx, id, &mut product, draft, cause, by)?;
    if product != before {
        product.version += 1;
        product.updated_at = tx.now();
        PRODUCTS.put(tx, &id, &product)?;
    }
    Ok(product)
}

/// Takes the product out of the shop. Orders keep it; its slug and SKUs are free again.
pub fn archive(tx: &mut WriteTx, id: ProductId) -> Result<(), CatalogueError> {
    let mut product = live(tx, id)?;
    for variant in &product.variants {
        inventory::watch(tx, variant.id, None)?;
    }
    product.archived_at = Some(tx.now());
    product.version += 1;
    product.updated_at = tx.now();
    Ok(PRODUCTS.put(tx, &id, &product)?)
}

/// The product, if customers see it.
pub fn public(tx: &impl Reads, id: ProductId) -> Result<Option<Product>, StoreError> {
    Ok(PRODUCTS.get(tx, &id)?.filter(Product::is_public))
}

/// Sets what a product's reviews add up to. Like stock it moves without the product's version: nobody edited it.
pub fn rate(tx: &mut WriteTx, id: ProductId, rating: Rating) -> Result<(), StoreError> {
    let product = PRODUCTS.expect(tx, &id)?;
    PRODUCTS.put(tx, &id, &Product { rating, ..product })
}

/// A product that is not archived.
pub fn live(tx: &impl Reads, id: ProductId) -> Result<Product, CatalogueError> {
    PRODUCTS.get(tx, &id)?.filter(|product| product.archived_at.is_none()).ok_or(CatalogueError::NotFound)
}

/// Holds a client's `If-Match` against the product as it is in this transaction, stock included.
pub fn must_match(tx: &impl Reads, id: ProductId, if_match: Option<&str>) -> Result<(), CatalogueError> {
    let Some(wanted) = if_match else { return Ok(()) };
    let product = live(tx, id)?;
    if names_tag_strongly(wanted, &view::tag(tx, id, &product)?) {
        Ok(())
    } else {
        Err(CatalogueError::VersionConflict)
    }
}

fn skus_are_free(tx: &impl Reads, id: Option<ProductId>, draft: &Draft) -> Result<(), CatalogueError> {
    let skus: Vec<_> = draft.variants.iter().filter_map(|variant| variant.sku.as_ref()).collect();
    for (n, sku) in skus.iter().enumerate() {
        let lower = sku.to_lowercase();
        let twice = skus[..n].iter().any(|other| other.to_lowercase() == lower);
        if twice || BY_SKU.find(tx, &lower)?.is_some_and(|owner| Some(owner) != id) {
            return Err(CatalogueError::SkuTaken((*sku).clone()));
        }
    }
    Ok(())
}

/// The slug that is asked for, or one made from the name that nobody has.
fn free_slug(tx: &impl Reads, id: Option<ProductId>, draft: &Draft) -> Result<String, CatalogueError> {
    let is_free =
        |slug: &String| Ok::<_, StoreError>(BY_SLUG.find(tx, slug)?.is_none_or(|owner| Some(owner) == id));
    if let Some(slug) = &draft.slug {
        return if is_free(slug)? { Ok(slug.clone()) } else { Err(CatalogueError::SlugTaken(slug.clone())) };
    }
    let mut base = slugify(&draft.name);
    if base.is_empty() || base.bytes().all(|b| b.is_ascii_digit()) {
        base = format!("product-{base}").trim_end_matches('-').to_owned();
    }
    if is_free(&base)? {
        return Ok(base);
    }
    // Doubling, then counting, finds a free number among many products of one name in few looks.
    let mut number = 2_u64;
    while !is_free(&format!("{base}-{number}"))? {
        number = if number < 1 << 20 { number * 2 } else { number + 1 };
    }
    let mut low = number / 2 + 1;
    while low < number {
        let middle = low.midpoint(number);
        if is_free(&format!("{base}-{middle}"))? { number = middle } else { low = middle + 1 }
    }
    Ok(format!("{base}-{number}"))
}

/// Writes a draft that was found good into `product`, its category and its stock.
fn fill(
    tx: &mut WriteTx,
    id: ProductId,
    product: &mut Product,
    draft: &Draft,
    cause: &Cause,
    by: &str,
) -> Result<(), CatalogueError> {
    product.category = draft.category.as_deref().map(|name| enter_category(tx, name)).transpose()?;
    product.name.clone_from(&draft.name);
    product.description.clone_from(&draft.description);
    product.tags.clone_from(&draft.tags);
    product.image_url.clone_from(&draft.image_url);
    product.images.clone_from(&draft.images);
    product.weight_grams = draft.weight_grams;
    product.low_stock_threshold = draft.low_stock_threshold;
    product.is_active = draft.is_active;
    product.options.clone_from(&draft.options);

    let before = std::mem::take(&mut product.variants);
    for wanted in &draft.variants {
        let is_claimed = |id: VariantId| draft.variants.iter().any(|other| other.id == Some(id));
        let same = |variant: &&Variant| match wanted.id {
            Some(id) => variant.id == id,
            None => variant.choices == wanted.choices && !is_claimed(variant.id),
        };
        let variant_id = match before.iter().find(same) {
            Some(known) => {
                if let Some(quantity) = wanted.stock {
                    inventory::set(tx, known.id, quantity, cause, by).map_err(in_range)?;
                }
                inventory::watch(tx, known.id, draft.low_stock_threshold)?;
                known.id
            }
            None => {
                let new = VariantId(tx.next_number("variants")?);
                inventory::open(
                    tx,
                    new,
                    id,
                    wanted.stock.unwrap_or(0),
                    draft.low_stock_threshold,
                    cause,
                    by,
                )?;
                new
            }
        };
        product.variants.push(Variant {
            id: variant_id,
            sku: wanted.sku.clone(),
            choices: wanted.choices.clone(),
            price: wanted.price,
            compare_at_price: wanted.compare_at_price,
            image_url: wanted.image_url.clone(),
        });
    }
    for gone in before.iter().filter(|old| product.variant(old.id).is_none()) {
        inventory::watch(tx, gone.id, None)?;
    }
    Ok(())
}

/// Quantities were checked where they were read, so only the store can fail here.
fn in_range(error: InventoryError) -> CatalogueError {
    match error {
        InventoryError::Store(error) => error.into(),
        InventoryError::NotFound | InventoryError::OutOfRange(_) => {
            CatalogueError::Store(StoreError::corrupt("stock", error.to_string()))
        }
    }
}

/// The slug of a category, which is made if it is new.
fn enter_category(tx: &mut WriteTx, name: &str) -> Result<String, StoreError> {
    let slug = slugify(name);
    if CATEGORIES.get(tx, &slug)?.is_none() {
        CATEGORIES.put(tx, &slug, &Category { name: name.trim().to_owned() })?;
    }
    Ok(slug)
}

/// The figures that a product shows at its own level: price, stock, SKU.
pub fn shown(draft: &Draft) -> (Option<Money>, i64, Option<String>) {
    let price = draft.variants.iter().map(|variant| variant.price).min_by_key(|price| price.minor);
    let stock = draft.variants.iter().filter_map(|variant| variant.stock).sum();
    let sku =
        if draft.options.is_empty() { draft.variants.first().and_then(|v| v.sku.clone()) } else { None };
    (price, stock, sku)
}
