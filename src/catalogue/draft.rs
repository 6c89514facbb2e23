//! A product as somebody wants it to be: what a client, an import or the demo writes. The rule that turns it
//! into a product's options and variants, or says what is wrong with it, is here.

use super::model::{Product, ProductOption, is_slug, slugify};
use crate::http::Faults;
use crate::id::VariantId;
use crate::inventory::Stock;
use crate::money::Money;

/// Most options of a product, values of an option, and variants.
pub const MOST_OPTIONS: usize = 5;
pub const MOST_VALUES: usize = 250;
pub const MOST_VARIANTS: usize = 250;
/// Most pictures of a product.
pub const MOST_IMAGES: usize = 50;
/// From which stock on a product is reported as low, unless it says otherwise.
pub const LOW_STOCK: i64 = 5;

#[derive(Clone, PartialEq, Debug)]
pub struct Draft {
    /// `None`: made from the name, or left as it is.
    pub slug: Option<String>,
    pub name: String,
    pub description: String,
    /// A category's name or slug.
    pub category: Option<String>,
    pub tags: Vec<String>,
    pub image_url: Option<String>,
    pub images: Vec<String>,
    pub weight_grams: Option<i64>,
    pub low_stock_threshold: Option<i64>,
    pub is_active: bool,
    pub options: Vec<ProductOption>,
    pub variants: Vec<VariantDraft>,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct VariantDraft {
    /// Which variant it is; `None`: the one with the same choices, or a new one.
    pub id: Option<VariantId>,
    pub sku: Option<String>,
    pub choices: Vec<String>,
    pub price: Money,
    pub compare_at_price: Option<Money>,
    /// `None` leaves the stock alone; a new variant begins with none.
    pub stock: Option<i64>,
    pub image_url: Option<String>,
}

impl Default for Draft {
    /// A plain product with nothing filled in.
    fn default() -> Self {
        Draft {
            slug: None,
            name: String::new(),
            description: String::new(),
            category: None,
            tags: Vec::new(),
            image_url: None,
            images: Vec::new(),
            weight_grams: None,
            low_stock_threshold: Some(LOW_STOCK),
            is_active: true,
            options: Vec::new(),
            variants: vec![VariantDraft::default()],
        }
    }
}

impl Draft {
    /// The product as it is now.
    pub fn of(product: &Product, stocks: &[Stock]) -> Draft {
        let variants = product.variants.iter().zip(stocks).map(|(variant, stock)| VariantDraft {
            id: Some(variant.id),
            sku: variant.sku.clone(),
            choices: variant.choices.clone(),
            price: variant.price,
            compare_at_price: variant.compare_at_price,
            stock: Some(stock.quantity),
            image_url: variant.image_url.clone(),
        });
        Draft {
            slug: Some(product.slug.clone()),
            name: product.name.clone(),
            description: product.description.clone(),
            category: product.category.clone(),
            tags: product.tags.clone(),
            image_url: product.image_url.clone(),
            images: product.images.clone(),
            weight_grams: product.weight_grams,
            low_stock_threshold: product.low_stock_threshold,
            is_active: product.is_active,
            options: product.options.clone(),
            variants: variants.collect(),
        }
    }

    /// Says what can't stand in it, by path. What a single field may hold was checked where it was read.
    pub fn check(&self) -> Result<(), Faults> {
        let mut faults = Faults::new();
        let mut fault = |path: String, said: &str| faults.entry(path).or_default().push(said.to_owned());
        if self.slug.as_ref().is_some_and(|slug| !is_slug(slug)) {
            fault("slug".into(), "must have letters, digits, - or _ only, and not digits alone");
        }
        if self.category.as_ref().is_some_and(|category| slugify(category).is_empty()) {
            fault("category".into(), "must have a letter or a digit");
        }
        for (path, count, most) in [
            ("options", self.options.len(), MOST_OPTIONS),
            ("variants", self.variants.len(), MOST_VARIANTS),
            ("images", self.images.len(), MOST_IMAGES),
        ] {
            if count > most {
                fault(path.into(), &format!("must have at most {most} items"));
            }
        }
        for (n, option) in self.options.iter().enumerate() {
            if option.values.len() > MOST_VALUES {
                fault(format!("options.{n}.values"), &format!("must have at most {MOST_VALUES} items"));
            }
            if self.options[..n].iter().any(|other| other.name == option.name) {
                fault(format!("options.{n}.name"), "is given twice");
            }
            if option.values.iter().enumerate().any(|(m, value)| option.values[..m].contains(value)) {
                fault(format!("options.{n}.values"), "has a value twice");
            }
        }
        if self.variants.is_empty() {
            fault("variants".into(), "must not be empty for a product with options");
        }
        for (n, variant) in self.variants.iter().enumerate() {
            if variant.choices.len() != self.options.len() {
                fault(
                    format!("variants.{n}.options"),
                    "must name each of the product's options, and no other",
                );
            } else if let Some((option, value)) = self
                .options
                .iter()
                .zip(&variant.choices)
                .find(|(option, value)| !option.values.contains(value))
            {
                let said = format!("{value:?} is not a value of the option {:?}", option.name);
                fault(format!("variants.{n}.options"), &said);
            }
            if self.variants[..n].iter().any(|other| other.choices == variant.choices) {
                fault(format!("variants.{n}.options"), "are those of another variant too");
            }
            if variant.id.is_some() && self.variants[..n].iter().any(|other| other.id == variant.id) {
                fault(format!("variants.{n}.id"), "is given twice");
            }
            if variant.compare_at_price.is_some_and(|compare| compare.minor < variant.price.minor) {
                let path = if self.options.is_empty() {
                    "compare_at_price".into()
                } else {
                    format!("variants.{n}.compare_at_price")
                };
                fault(path, "must not be below the price");
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// Adds to the options the values that its variants have and its options lack, in their order.
    pub fn complete_options(&mut self) {
        for (n, option) in self.options.iter_mut().enumerate() {
            for value in self.variants.iter().filter_map(|variant| variant.choices.get(n)) {
                if !option.values.contains(value) {
                    option.values.push(value.clone());
                }
            }
        }
    }
}
