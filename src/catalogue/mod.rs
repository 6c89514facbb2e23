//! The catalogue: products, their variants, categories, search and import.
//!
//! - A product has at least one variant, and price and SKU stand on variants. One without options is plain: it
//!   has exactly one variant. Stock is inventory's.
//! - Slugs and SKUs are unique among products that are not archived. A slug is never all digits.
//! - Nothing is deleted: an archived product stays for the orders that name it.
//! - Lists are answered from a read model that the store's change feed keeps, never older than the last
//!   answered write.

pub mod admin;
mod draft;
pub mod export;
pub mod http;
pub(crate) mod import;
mod input;
mod listing;
mod model;
mod ops;
pub(crate) mod store;
mod view;

pub use draft::{Draft, VariantDraft};
pub use import::forget as forget_imports;
pub use listing::Listings;
pub use model::{CatalogueError, Choice, Named, Product, ProductOption, Rating, Sellable, Variant, slugify};
pub use ops::{create, describe, find_sku, has_category, offer, public, rate, sellable};
pub use view::{Summary, overview, summary};
