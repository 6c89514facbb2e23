//! `till product`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::CliError;
use super::client::{Payload, Shop};
use super::export::Export;
use super::import::Import;
use super::output::{Column, Output, text_of};
use crate::http::input::encode;

#[derive(Subcommand)]
pub enum Options {
    /// Imports products from CSV, till's own columns or Shopify's, or from JSON lines
    ///
    /// Nothing is applied unless every row is good, or --skip-bad is given; bad rows are
    /// told with line and column. Only the columns that the file has are touched, and the
    /// same file again changes nothing. One that was stopped goes on with --resume; --undo
    /// puts back what an import changed, and nothing else.
    ///
    /// till product import products.csv --dry-run
    /// till product import products_export.csv
    /// zcat products.jsonl.gz | till product import - --format jsonl
    /// till product import stock.csv --skip-bad
    /// till product import --undo 12
    #[command(verbatim_doc_comment)]
    Import(Import),
    /// Lists the imports, newest first: how far each got, what it did, its number for --undo
    Imports(Limit),
    /// Exports all products that are not archived, as import reads them
    ///
    /// till product export --out products.csv
    /// till product export --format jsonl | gzip > products.jsonl.gz
    #[command(verbatim_doc_comment)]
    Export(Export),
    /// Lists products, newest first
    ///
    /// till product list --search shirt
    #[command(verbatim_doc_comment)]
    List(List),
    /// Shows a product with its variants
    ///
    /// till product show ocean-blue-shirt
    #[command(verbatim_doc_comment)]
    Show {
        /// The product's id or slug
        product: String,
    },
    /// Takes a product out of the shop; its orders keep it
    ///
    /// till product archive ocean-blue-shirt
    #[command(verbatim_doc_comment)]
    Archive {
        /// The product's id or slug
        product: String,
    },
}

#[derive(Args)]
pub struct List {
    /// Only those with these words in name, description, SKU or tags
    #[arg(long)]
    search: Option<String>,
    /// Only those of this category
    #[arg(long)]
    category: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

impl List {
    /// Prints products, in a table with a row for each variant.
    async fn show(&self, shop: &Shop, path: &str, out: &Output) -> Result<(), CliError> {
        if out.json {
            return self.limit.lines(shop, path, out).await;
        }
        let (products, count) = shop.list(path, self.limit.limit).await?;
        let mut rows = Vec::new();
        for product in &products {
            for variant in product["variants"].as_array().into_iter().flatten() {
                let mut row = product.clone();
                row["variant"] = variant.clone();
                rows.push(row);
            }
        }
        let columns = [
            Column("id", "id", true),
            Column("name", "name", false),
            Column("variant", "variant.id", true),
            Column("options", "variant.options", false),
            Column("sku", "variant.sku", false),
            Column("price", "variant.price", true),
            Column("stock", "variant.stock_quantity", true),
            Column("category", "category", false),
            Column("active", "is_active", false),
        ];
        out.list(&rows, &columns);
        self.limit.note(products.len(), count, out);
        Ok(())
    }
}

fn describe(product: &Value, out: &Output) -> String {
    let mut text = String::new();
    for (label, name) in [
        ("product", "id"),
        ("name", "name"),
        ("slug", "slug"),
        ("category", "category"),
        ("price", "price"),
        ("in stock", "stock_quantity"),
        ("low at", "low_stock_threshold"),
        ("active", "is_active"),
        ("changed", "updated_at"),
        ("archived", "archived_at"),
    ] {
        let value = text_of(product, name);
        if value != "-" {
            text.push_str(&format!("{label:<10} {value}\n"));
        }
    }
    let tags: Vec<_> = product["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !tags.is_empty() {
        text.push_str(&format!("{:<10} {}\n", "tags", tags.join(", ")));
    }
    let description = text_of(product, "description");
    if !description.is_empty() {
        text.push_str(&format!("\n{description}\n"));
    }
    text.push('\n');
    let variants = product["variants"].as_array().cloned().unwrap_or_default();
    let columns = [
        Column("variant", "id", true),
        Column("options", "options", false),
        Column("sku", "sku", false),
        Column("price", "price", true),
        Column("was", "compare_at_price", true),
        Column("stock", "stock_quantity", true),
    ];
    text + &out.table(&variants, &columns)
}

/// How much of a list is shown.
#[derive(Args)]
pub struct Limit {
    /// Shows at most so many; 0: all
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
}

impl Limit {
    /// Prints a list of the API.
    pub async fn show(
        &self,
        shop: &Shop,
        path: &str,
        columns: &[Column],
        out: &Output,
    ) -> Result<(), CliError> {
        self.show_as(shop, path, columns, |item| item, out).await
    }

    /// [`Limit::show`], each item as people are to see it.
    pub async fn show_as(
        &self,
        shop: &Shop,
        path: &str,
        columns: &[Column],
        seen: impl Fn(Value) -> Value,
        out: &Output,
    ) -> Result<(), CliError> {
        if out.json {
            return self.lines(shop, path, out).await;
        }
        let (items, count) = shop.list(path, self.limit).await?;
        let items: Vec<_> = items.into_iter().map(seen).collect();
        out.list(&items, columns);
        self.note(items.len(), count, out);
        Ok(())
    }

    /// Prints a list as JSON lines, as they come.
    async fn lines(&self, shop: &Shop, path: &str, out: &Output) -> Result<(), CliError> {
        let mut shown = 0;
        let count = shop.pages(path, self.limit, |items| {
            shown += items.len();
            out.list(&items, &[]);
        });
        let count = count.await?;
        self.note(shown, count, out);
        Ok(())
    }

    /// Says what is not shown.
    fn note(&self, shown: usize, count: u64, out: &Output) {
        if self.limit > 0 && (shown as u64) < count {
            out.note(&format!("{shown} of {count} shown; --limit 0 shows all"));
        }
    }
}

pub async fn run(options: Options, shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
    match options {
        Options::Import(import) => return import.run(shop, out).await,
        Options::Imports(limit) => {
            let columns = [
                Column("id", "id", true),
                Column("state", "state", false),
                Column("when", "created_at", false),
                Column("by", "by", false),
                Column("rows", "rows", true),
                Column("created", "created", true),
                Column("updated", "updated", true),
                Column("unchanged", "unchanged", true),
                Column("failed", "failed", true),
            ];
            limit.show(shop, "/api/admin/products/imports/", &columns, out).await?;
        }
        Options::Export(export) => export.run(shop, "/api/admin/products/export/?", out).await?,
        Options::List(list) => {
            let mut path = "/api/products/?ordering=-created_at".to_owned();
            for (name, value) in [("search", &list.search), ("category", &list.category)] {
                if let Some(value) = value {
                    path.push_str(&format!("&{name}={}", encode(value)));
                }
            }
            list.show(shop, &path, out).await?;
        }
        Options::Show { product } => {
            let product = shop.get(&format!("/api/products/{}/", encode(&product))).await?;
            out.document(&product, |product| describe(product, out));
        }
        Options::Archive { product } => {
            let path = format!("/api/products/{}/", encode(&product));
            let known = shop.get(&path).await?;
            shop.call(Method::DELETE, &path, Payload::None).await?;
            out.document(&known, |known| format!("{} is archived\n", text_of(known, "name")));
        }
    }
    Ok(ExitCode::SUCCESS)
}
