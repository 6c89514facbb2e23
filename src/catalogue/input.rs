//! A product as a client writes it in JSON: the body of a request, a line of an import.

use std::ops::RangeInclusive;

use serde_json::json;

use super::draft::{Draft, MOST_IMAGES, MOST_OPTIONS, MOST_VALUES, MOST_VARIANTS, VariantDraft};
use super::model::{ProductOption, SLUG};
use super::ops;
use crate::http::Faults;
use crate::http::input::{
    Fields, Input, Rule, boolean, id, integer, list, money, object, rule, text, text_map, url,
};
use crate::id::VariantId;
use crate::inventory::MOST;
use crate::money::Money;

/// A product's fields as a client sends them: all optional, because `PATCH` takes any of them.
#[derive(Clone)]
pub struct ProductInput {
    pub slug: Option<String>,
    pub name: Option<String>,
    pub description: Option<String>,
    pub category: Option<Option<String>>,
    pub price: Option<Money>,
    pub compare_at_price: Option<Option<Money>>,
    pub image_url: Option<Option<String>>,
    pub images: Option<Vec<String>>,
    pub tags: Option<Vec<String>>,
    pub sku: Option<Option<String>>,
    pub stock: Option<i64>,
    pub low_stock_threshold: Option<Option<i64>>,
    pub weight_grams: Option<Option<i64>>,
    pub is_active: Option<bool>,
    pub options: Option<Vec<ProductOption>>,
    pub variants: Option<Vec<VariantInput>>,
}

#[derive(Clone)]
pub struct VariantInput {
    pub id: Option<VariantId>,
    pub sku: Option<Option<String>>,
    pub options: Vec<(String, String)>,
    pub price: Option<Money>,
    pub compare_at_price: Option<Option<Money>>,
    pub stock: Option<i64>,
    pub image_url: Option<Option<String>>,
}

/// Fields of a product that only the shop writes. They may come back as they were read, and are passed over.
const READ_ONLY: [&str; 8] =
    ["id", "currency", "in_stock", "rating", "version", "created_at", "updated_at", "archived_at"];

impl Input for ProductInput {
    fn read(from: &mut Fields<'_>) -> Self {
        from.passes_over(&READ_ONLY);
        let stock = from.change("stock_quantity", integer(0..=MOST * MOST_VARIANTS as i64));
        let variants: Option<Vec<_>> = from.change("variants", list(object(), MOST_VARIANTS));
        // A product with variants shows the sum of theirs.
        from.says_any(|| {
            vec![
                json!({"properties": {"stock_quantity": {"maximum": MOST}}}),
                json!({"required": ["variants"], "properties": {"variants": {"minItems": 1}}}),
            ]
        });
        if stock > Some(MOST) && variants.as_ref().is_none_or(Vec::is_empty) {
            from.fault("stock_quantity", &format!("must be an integer from 0 to {MOST}"));
        }
        ProductInput {
            slug: from.change("slug", text_as(1..=SLUG, r"^(?![0-9]+$)[\p{L}\p{N}_-]+$")),
            name: from.change("name", text(1..=200)),
            description: from.change("description", text(0..=50_000)),
            category: from.change_or_null("category", text_as(1..=100, NAME)),
            price: from.change("price", money()),
            compare_at_price: from.change_or_null("compare_at_price", money()),
            image_url: from.change_or_null("image_url", url()),
            images: from.change("images", list(url(), MOST_IMAGES)),
            tags: from.change("tags", list(text(1..=100), 50)),
            sku: from.change_or_null("sku", text(1..=100)),
            stock,
            low_stock_threshold: from.change_or_null("low_stock_threshold", integer(0..=MOST)),
            weight_grams: from.change_or_null("weight_grams", integer(0..=1_000_000_000)),
            is_active: from.change("is_active", boolean()),
            options: from.change("options", list(object(), MOST_OPTIONS)),
            variants,
        }
    }
}

/// All of a product: what `POST` and `PUT` take.
#[derive(Clone)]
pub struct WholeProduct(pub ProductInput);

impl Input for WholeProduct {
    fn read(from: &mut Fields<'_>) -> Self {
        from.require(&["name"]);
        let product = ProductInput::read(from);
        from.says_any(|| {
            let priced = json!({"minItems": 1, "items": {"required": ["price"]}});
            vec![
                json!({"required": ["price"]}),
                json!({"required": ["variants"], "properties": {"variants": priced}}),
            ]
        });
        let is_priced = match &product.variants {
            Some(variants) => !variants.is_empty() && variants.iter().all(|variant| variant.price.is_some()),
            // Those that can't be read may have prices.
            None => from.given("variants"),
        };
        if !from.given("price") && !is_priced {
            from.fault("price", "is required");
        }
        WholeProduct(product)
    }
}

/// With a letter or a digit, and without control characters.
const NAME: &str = r"^[^\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F]*[\p{L}\p{N}][^\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F]*$";

/// A text that [`Draft::check`] will want to be as `pattern` says.
fn text_as(length: RangeInclusive<usize>, pattern: &'static str) -> impl Rule<String> {
    let (least, most) = (*length.start(), *length.end());
    rule(
        move || json!({"type": "string", "minLength": least, "maxLength": most, "pattern": pattern}),
        move |value, at| text(least..=most).read(value, at),
    )
}

impl Input for ProductOption {
    fn read(from: &mut Fields<'_>) -> Self {
        ProductOption {
            name: from.req("name", text(1..=100)),
            values: from.opt("values", list(text(1..=100), MOST_VALUES)).unwrap_or_default(),
        }
    }
}

impl Input for VariantInput {
    fn read(from: &mut Fields<'_>) -> Self {
        from.passes_over(&["in_stock"]);
        VariantInput {
            id: from.opt("id", id()).map(VariantId),
            sku: from.change_or_null("sku", text(1..=100)),
            options: from.opt("options", text_map(MOST_OPTIONS, 100)).unwrap_or_default(),
            price: from.change("price", money()),
            compare_at_price: from.change_or_null("compare_at_price", money()),
            stock: from.change("stock_quantity", integer(0..=MOST)),
            image_url: from.change_or_null("image_url", url()),
        }
    }
}

impl ProductInput {
    /// `base` with these fields in it. `known` is the product as it is, whose variants keep what is not said
    /// of them.
    pub fn onto(self, mut base: Draft, known: &[VariantDraft]) -> Result<Draft, Faults> {
        let mut faults = Faults::new();
        let mut fault =
            |path: &str, said: &str| faults.entry(path.to_owned()).or_default().push(said.to_owned());
        let shown = ops::shown(&base);

        let over = |to: &mut Option<String>, from: Option<Option<String>>| {
            if let Some(value) = from {
                *to = value;
            }
        };
        if self.slug.is_some() {
            base.slug = self.slug;
        }
        base.name = self.name.unwrap_or(base.name);
        base.description = self.description.unwrap_or(base.description);
        over(&mut base.category, self.category);
        over(&mut base.image_url, self.image_url);
        base.images = self.images.unwrap_or(base.images);
        base.tags = self.tags.unwrap_or(base.tags);
        base.low_stock_threshold = self.low_stock_threshold.unwrap_or(base.low_stock_threshold);
        base.weight_grams = self.weight_grams.unwrap_or(base.weight_grams);
        base.is_active = self.is_active.unwrap_or(base.is_active);
        base.options = self.options.unwrap_or(base.options);

        let variants = self.variants.filter(|variants| !variants.is_empty());
        if let Some(variants) = variants {
            if base.options.is_empty() {
                let names = variants.iter().flat_map(|variant| variant.options.iter().map(|(name, _)| name));
                for name in names {
                    if !base.options.iter().any(|option| option.name == *name) {
                        base.options.push(ProductOption { name: name.clone(), values: Vec::new() });
                    }
                }
            }
            let default_price = self.price;
            let claimed: Vec<_> = variants.iter().map(|variant| variant.id).collect();
            base.variants = Vec::new();
            for (n, variant) in variants.into_iter().enumerate() {
                let names: Vec<_> = base.options.iter().map(|option| &option.name).collect();
                if let Some((name, _)) = variant.options.iter().find(|(name, _)| !names.contains(&name)) {
                    fault(&format!("variants.{n}.options.{name}"), "is not an option of this product");
                }
                let chosen =
                    |name: &String| variant.options.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
                let choices: Vec<_> = names.into_iter().filter_map(chosen).collect();
                let is_claimed = |id: Option<VariantId>| id.is_some() && claimed.contains(&id);
                let same = |old: &&VariantDraft| match variant.id {
                    Some(id) => old.id == Some(id),
                    None => old.choices == choices && !is_claimed(old.id),
                };
                let old = known.iter().find(same);
                let price = variant.price.or(old.map(|old| old.price)).or(default_price);
                if price.is_none() {
                    fault(&format!("variants.{n}.price"), "is required, here or on the product");
                }
                let kept = |given: Option<Option<String>>, of: fn(&VariantDraft) -> &Option<String>| {
                    given.unwrap_or_else(|| old.and_then(|old| of(old).clone()))
                };
                base.variants.push(VariantDraft {
                    id: variant.id.or(old.and_then(|old| old.id)),
                    sku: kept(variant.sku, |old| &old.sku),
                    choices,
                    price: price.unwrap_or_default(),
                    compare_at_price: variant
                        .compare_at_price
                        .unwrap_or_else(|| old.and_then(|old| old.compare_at_price)),
                    stock: variant.stock,
                    image_url: kept(variant.image_url, |old| &old.image_url),
                });
            }
            base.complete_options();
            if let Some(Some(sku)) = self.sku.filter(|_| base.variants.len() > 1)
                && !sku.is_empty()
            {
                fault("sku", "stands on the variants of a product that has options");
            }
        } else if base.options.is_empty() && base.variants.len() == 1 {
            let only = &mut base.variants[0];
            only.price = self.price.unwrap_or(only.price);
            only.compare_at_price = self.compare_at_price.unwrap_or(only.compare_at_price);
            over(&mut only.sku, self.sku);
            only.stock = self.stock.or(only.stock);
        } else {
            let on_variants = "stands on the variants of a product that has options; change it there";
            if self.price.is_some_and(|price| Some(price) != shown.0) {
                fault("price", on_variants);
            }
            if self.stock.is_some_and(|stock| stock != shown.1) {
                fault("stock_quantity", on_variants);
            }
            if self.sku.flatten().is_some() {
                fault("sku", on_variants);
            }
        }
        if faults.is_empty() { Ok(base) } else { Err(faults) }
    }
}
