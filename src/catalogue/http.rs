//! `/api/products/`, `/api/categories/`: for everybody.

use std::str::FromStr;

use http::{StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::listing::{Among, By, Filter, Listing, Order, words};
use super::model::{CatalogueError, Category, Product};
use super::ops;
use super::store::{CATEGORIES, PRODUCTS};
use super::view::ProductView;
use crate::accounts::Scope;
use crate::described::Described;
use crate::http::{Answer, ApiError, Reply, Req, Routes, etag, for_everybody, get, ok};
use crate::id::ProductId;
use crate::money::Money;
use crate::page::Paged;
use crate::store::{ReadTx, Reads};

/// Most words of a search; the rest are passed over.
const MOST_WORDS: usize = 10;

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/products/",
            get(
                list,
                for_everybody("Products, by what is looked for")
                    .tells_staff_more()
                    .query_each::<String>("category", "In any of these categories, by name or slug.")
                    .query_each::<String>("tag", "With any of these tags.")
                    .query::<Money>("min_price", "From this price on.")
                    .query::<Money>("max_price", "Up to this price.")
                    .query::<LeastRating>("min_rating", "From this average rating on: 0 to 5, with one decimal at most.")
                    .query::<bool>("in_stock", "Those that are in stock, or those that are not.")
                    .query::<String>(
                        "search",
                        "Words, each of which must be in name, description, SKU or tags, or begin a word there. Those \
                         after the tenth are passed over.",
                    )
                    .query::<Order>(
                        "ordering",
                        "By what, with - for descending; the newest first if it is not given. stock_quantity is for staff.",
                    )
                    .query::<bool>("archived", "For staff: those that are archived, in the place of those that are not.")
                    .lists::<ProductView<'_>>()
                    .tagged()
                    .refuses(&[(403, "permission_denied")]),
            ),
        )
        .at(
            "/api/products/{id}/",
            get(
                show,
                for_everybody("A product").tells_staff_more().gives::<ProductView<'_>>().tagged(),
            ),
        )
        .at(
            "/api/categories/",
            get(categories, for_everybody("All categories").gives::<Vec<CategoryView>>().tagged()),
        )
}

/// A least average rating, in tenths.
struct LeastRating(i64);

impl Described for LeastRating {
    fn schema() -> Value {
        json!({"type": "string", "pattern": r"^([0-4](\.[0-9])?|5(\.0)?)$"})
    }
}

impl FromStr for LeastRating {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (whole, tenth) = text.split_once('.').unwrap_or((text, "0"));
        let digit = |text: &str| Some(text).filter(|text| text.len() == 1)?.parse::<u8>().ok();
        let tenths =
            digit(whole).zip(digit(tenth)).map(|(whole, tenth)| i64::from(whole) * 10 + i64::from(tenth));
        let found = tenths.filter(|tenths| *tenths <= 50).map(LeastRating);
        found.ok_or_else(|| "must be from 0 to 5, with one decimal at most".into())
    }
}

/// A product's id or slug, as a path names it.
pub enum ProductRef {
    Id(ProductId),
    Slug(String),
}

impl Described for ProductRef {
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[^/]+$", "description": "A product's id, or its slug."})
    }
}

impl FromStr for ProductRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(text.parse().map_or_else(|_| ProductRef::Slug(text.to_owned()), ProductRef::Id))
    }
}

impl ProductRef {
    /// The product, archived or not.
    pub fn find(&self, tx: &impl Reads) -> Result<(ProductId, Product), CatalogueError> {
        let id = match self {
            ProductRef::Id(id) => *id,
            ProductRef::Slug(slug) => ops::find_slug(tx, slug)?.ok_or(CatalogueError::NotFound)?,
        };
        Ok((id, PRODUCTS.get(tx, &id)?.ok_or(CatalogueError::NotFound)?))
    }
}

async fn list(req: Req) -> Answer {
    let is_staff = req.is_staff(Scope::ProductsRead)?;
    let filter = filter(&req, is_staff)?;
    let page = req.page()?;
    let found = req.app.listings.page(&req.app.store, &filter, page).await?;
    let envelope = req.envelope(page, Paged { count: found.count, items: Vec::<()>::new() })?;
    let products = found.items.iter().map(|product| &product.json[..]);
    let reply = Reply::bytes(StatusCode::OK, "application/json", envelope.around(products));
    // The tags of its products say all of the list that they are.
    let tags = found.items.iter().map(|product| product.tag.as_bytes());
    let tag = etag(&envelope.around(tags));
    Ok(cached(reply.header(header::ETAG, &tag), is_staff))
}

fn filter(req: &Req, is_staff: bool) -> Result<Filter, ApiError> {
    let query = &req.query;
    let archived = query.flag("archived")?.unwrap_or(false);
    if archived && !is_staff {
        return Err(ApiError::new(403, "permission_denied", "Only staff can list archived products."));
    }
    let ordering = query.word("ordering")?.unwrap_or(Order { by: By::CreatedAt, descending: true });
    if ordering.by == By::StockQuantity && !is_staff {
        return Err(ApiError::new(
            403,
            "permission_denied",
            "Only staff can order products by stock_quantity.",
        ));
    }
    let named = |name| query.all(name).filter(|text| !text.is_empty()).map(str::to_owned).collect();
    Ok(Filter {
        among: match (archived, is_staff) {
            (true, _) => Among::Archived,
            (false, true) => Among::Live,
            (false, false) => Among::Public,
        },
        categories: named("category"),
        tags: named("tag"),
        min_price: query.money("min_price", req.app.currency())?,
        max_price: query.money("max_price", req.app.currency())?,
        min_rating: query.word("min_rating")?.map(|LeastRating(tenths)| tenths),
        in_stock: query.flag("in_stock")?,
        search: words(query.get("search").unwrap_or_default()).take(MOST_WORDS).collect(),
        ordering,
    })
}

async fn show(req: Req, product: ProductRef) -> Answer {
    let is_staff = req.is_staff(Scope::ProductsRead)?;
    let (listings, store) = (&req.app.listings, &req.app.store);
    let found = match product {
        ProductRef::Id(id) => listings.product(store, id).await?,
        ProductRef::Slug(slug) => listings.product_by_slug(store, &slug).await?,
    };
    let found = found.filter(|(_, is_public)| *is_public || is_staff);
    let (product, _) = found.ok_or_else(ApiError::not_found)?;
    let mut reply = Reply::bytes(StatusCode::OK, "application/json", product.json);
    reply.push(header::ETAG, product.tag);
    Ok(cached(reply, is_staff))
}

/// A category: there is one as long as there is a product in it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Category")]
struct CategoryView {
    slug: String,
    name: String,
    /// Of its products, those that customers see.
    product_count: u64,
}

async fn categories(req: Req) -> Answer {
    let look = |listing: &Listing, tx: &ReadTx| {
        let mut all = Vec::new();
        CATEGORIES.each(tx, |slug, Category { name }| {
            // As a category comes with its first product, it goes with its last.
            if let Some(count) = listing.count_in(&slug) {
                all.push(CategoryView { slug, name, product_count: count });
            }
        })?;
        Ok(all)
    };
    let all = req.app.listings.read(&req.app.store, look).await?;
    Ok(cached(ok(&all).tagged(), false))
}

/// May be kept, but must be asked after: stock is part of it.
fn cached(reply: Reply, is_staff: bool) -> Reply {
    let control = if is_staff { "private, no-cache" } else { "no-cache" };
    reply.header(header::CACHE_CONTROL, control).header(header::VARY, "Authorization")
}

impl From<CatalogueError> for ApiError {
    fn from(error: CatalogueError) -> ApiError {
        match error {
            CatalogueError::NotFound => ApiError::not_found(),
            CatalogueError::VariantNeeded | CatalogueError::NoSuchVariant => {
                ApiError::field("variant_id", error)
            }
            CatalogueError::SkuTaken(_) => ApiError::new(409, "sku_taken", error),
            CatalogueError::SlugTaken(_) => ApiError::new(409, "slug_taken", error),
            CatalogueError::Invalid(faults) => ApiError::invalid(faults),
            CatalogueError::VersionConflict => ApiError::new(412, "version_conflict", error),
            CatalogueError::Store(error) => error.into(),
        }
    }
}
