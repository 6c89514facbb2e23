//! `till product`

use std::io::Read;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::Value;

use super::CliError;
use super::client::{Payload, Shop, refusal};
use super::output::{Column, Output, text_of};
use crate::http::input::encode;

#[derive(Subcommand)]
pub enum Options {
    /// Imports products from a CSV file, till's own columns or Shopify's
    ///
    /// Nothing is applied unless every row is good; bad rows are told with line and column. The same file again
    /// changes nothing.
    ///
    /// till product import products.csv --dry-run
    /// till product import products_export.csv
    /// zcat products.csv.gz | till product import -
    #[command(verbatim_doc_comment)]
    Import(Import),
    /// Lists products, newest first
    ///
    /// till product list --search shirt
    #[command(verbatim_doc_comment)]
    List(List),
    /// Shows a product with its variants
    Show {
        /// The product's id or slug
        product: String,
    },
    /// Takes a product out of the shop; its orders keep it
    Archive {
        /// The product's id or slug
        product: String,
    },
}

#[derive(Args)]
pub struct Import {
    /// The file; - is stdin
    file: String,
    /// What the file is. Both kinds of CSV are told apart by their header, whatever is said here
    #[arg(long, default_value = "auto")]
    format: Format,
    /// Says what would be done, and does nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Auto,
    Csv,
    Shopify,
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
            Column("slug", "slug", false),
            Column("name", "name", false),
            Column("variant", "variant.id", true),
            Column("options", "variant.options", false),
            Column("sku", "variant.sku", false),
            Column("price", "variant.price", true),
            Column("stock", "variant.stock_quantity", true),
            Column("category", "category", false),
            Column("active", "is_active", false),
        ];
        out.list(if out.json { &products } else { &rows }, &columns);
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
        let (items, count) = shop.list(path, self.limit).await?;
        out.list(&items, columns);
        self.note(items.len(), count, out);
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
        Options::Import(import) => return import_file(&import, shop, out).await,
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

async fn import_file(import: &Import, shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
    let file = if import.file == "-" {
        let mut file = Vec::new();
        std::io::stdin().read_to_end(&mut file)?;
        file
    } else {
        std::fs::read(&import.file).map_err(|error| CliError(format!("{}: {error}", import.file)))?
    };
    let path = format!("/api/admin/products/import/?dry_run={}", import.dry_run);
    let bar = out.bar(file.len() as u64, "importing");
    let payload = Payload::File("text/csv", file.into(), bar.clone());
    let answered = shop.send(Method::POST, &path, payload).await?;
    bar.finish_and_clear();
    let report = answered.json();
    if report["rows"].is_null() {
        return Err(CliError(refusal(&report, answered.status)));
    }
    out.document(&report, |report| people(report, import.dry_run));
    if answered.status == 200 {
        return Ok(ExitCode::SUCCESS);
    }
    for error in report["errors"].as_array().into_iter().flatten().filter(|_| !out.json) {
        let [line, column, message] = ["line", "column", "message"].map(|name| text_of(error, name));
        let column = if column.is_empty() || column == "-" { String::new() } else { format!(", {column}") };
        eprintln!("{}: line {line}{column}: {message}", import.file);
    }
    Err(CliError(
        "some rows are not right, so nothing was imported; mend them and import the file again".into(),
    ))
}

fn people(report: &Value, dry_run: bool) -> String {
    let [rows, created, updated, unchanged, failed] =
        ["rows", "created", "updated", "unchanged", "failed"].map(|name| text_of(report, name));
    let lead = if dry_run { "a dry run: " } else { "" };
    format!(
        "{lead}{rows} rows: {created} created, {updated} updated, {unchanged} unchanged, {failed} failed\n"
    )
}
