//! The nouns of the catalogue.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::http::Faults;
use crate::id::{ProductId, VariantId};
use crate::money::Money;
use crate::store::StoreError;

/// Most characters of a slug or a category's name.
pub const SLUG: usize = 200;

/// An option of a product and the values it can have, such as Size: S, M, L.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProductOption {
    pub name: String,
    pub values: Vec<String>,
}

/// One option's value, as chosen by a variant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Choice {
    pub option: String,
    pub value: String,
}

/// What is sold.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Variant {
    pub id: VariantId,
    pub sku: Option<String>,
    /// A value for each of the product's options, in their order.
    pub choices: Vec<String>,
    pub price: Money,
    pub compare_at_price: Option<Money>,
    pub image_url: Option<String>,
}

/// The sum and number of a product's visible ratings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Rating {
    pub sum: u64,
    pub count: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Product {
    pub slug: String,
    pub name: String,
    pub description: String,
    /// A category's slug.
    pub category: Option<String>,
    pub tags: Vec<String>,
    pub image_url: Option<String>,
    pub images: Vec<String>,
    pub weight_grams: Option<i64>,
    pub low_stock_threshold: Option<i64>,
    /// Whether customers see it.
    pub is_active: bool,
    pub archived_at: Option<Time>,
    pub options: Vec<ProductOption>,
    /// Never empty.
    pub variants: Vec<Variant>,
    pub rating: Rating,
    /// Counts the changes of this record; stock and rating move without it.
    pub version: u64,
    pub created_at: Time,
    pub updated_at: Time,
}

impl Product {
    /// Whether customers can see and buy it.
    pub fn is_public(&self) -> bool {
        self.is_active && self.archived_at.is_none()
    }

    pub fn is_plain(&self) -> bool {
        self.options.is_empty()
    }

    pub fn variant(&self, id: VariantId) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.id == id)
    }

    /// The cheapest variant's price: what the product costs "from".
    pub fn lowest_price(&self) -> Money {
        self.variants.iter().map(|variant| variant.price).min_by_key(|price| price.minor).unwrap_or_default()
    }

    pub fn choices(&self, variant: &Variant) -> Vec<Choice> {
        let named = self.options.iter().zip(&variant.choices);
        named.map(|(option, value)| Choice { option: option.name.clone(), value: value.clone() }).collect()
    }
}

/// A category. It comes into being with its first product.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Category {
    pub name: String,
}

/// A variant that can be put into a cart, and what it is called.
#[derive(Clone, Debug)]
pub struct Sellable {
    pub product: ProductId,
    pub variant: VariantId,
    pub price: Money,
}

/// What a variant is called, sellable or not.
#[derive(Clone, Debug)]
pub struct Named {
    pub sku: Option<String>,
    pub name: String,
    pub options: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    #[error("There is no such product.")]
    NotFound,
    #[error("This product has several variants; say which with variant_id.")]
    VariantNeeded,
    #[error("There is no such variant of this product.")]
    NoSuchVariant,
    #[error("The SKU {0} belongs to another variant.")]
    SkuTaken(String),
    #[error("The slug {0} belongs to another product.")]
    SlugTaken(String),
    #[error("Some fields are not right.")]
    Invalid(Faults),
    #[error("The product was changed, or sold, since you read it; read it again.")]
    VersionConflict,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A name as it stands in a path: lower-case letters and digits of any script, joined by single hyphens. Empty
/// for a name that has none.
pub fn slugify(name: &str) -> String {
    let mut slug = String::with_capacity(name.len());
    for c in name.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') && c != '\'' && c != '’' {
            slug.push('-');
        }
    }
    let cut = slug.char_indices().nth(SLUG - 20).map_or(slug.len(), |(at, _)| at);
    slug.truncate(cut);
    slug.trim_end_matches('-').to_owned()
}

/// Whether `slug` can be told from an id and stand in a path.
pub fn is_slug(slug: &str) -> bool {
    !slug.is_empty()
        && slug.chars().count() <= SLUG
        && slug.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
        && !slug.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_made_of_any_script() {
        for (name, slug) in [
            ("Ocean Blue Shirt", "ocean-blue-shirt"),
            ("  Crème brûlée -- 2er ", "crème-brûlée-2er"),
            ("Men's Tee", "mens-tee"),
            ("寿司", "寿司"),
            ("!!!", ""),
        ] {
            assert_eq!(slugify(name), slug);
        }
    }

    #[test]
    fn a_slug_is_never_all_digits() {
        assert!(!is_slug("2024"));
        assert!(is_slug("2024-tea"));
        assert!(!is_slug("a/b"));
        assert!(!is_slug(""));
    }
}
