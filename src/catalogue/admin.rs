//! Changing the catalogue: for staff.

use std::collections::BTreeMap;

use http::header;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::draft::Draft;
use super::http::ProductRef;
use super::input::{ProductInput, WholeProduct};
use super::model::Product;
use super::view::ProductView;
use super::{ops, view};
use crate::accounts::{self, Scope, Staff, for_staff};
use crate::audit;
use crate::http::{Answer, ApiError, Reply, Req, Routes, etag, get, post, put};
use crate::id::{ProductId, VariantId};
use crate::inventory::{self, Cause};
use crate::page::Paged;
use crate::store::{Reads, StoreError, WriteTx};

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/products/",
            post(
                create,
                for_staff(Scope::ProductsWrite, "Make a product")
                    .more("Without options and variants it has one variant, made of its own price, sku and stock_quantity.")
                    .once()
                    .takes::<WholeProduct>()
                    .creates::<ProductView<'_>>()
                    .tagged()
                    .refuses(TAKEN),
            ),
        )
        .at(
            "/api/products/{id}/",
            put(
                replace,
                for_staff(Scope::ProductsWrite, "Replace a product")
                    .more(
                        "What is not given is as in a new product; the slug, and what is not said of variants that \
                         it has already, stay.",
                    )
                    .if_match()
                    .takes::<WholeProduct>()
                    .gives::<ProductView<'_>>()
                    .tagged()
                    .refuses(TAKEN),
            )
            .patch(
                change,
                for_staff(Scope::ProductsWrite, "Change some of a product")
                    .more(
                        "A stock_quantity that differs from what there is, is a movement; If-Match makes sure that no \
                         sale came between.",
                    )
                    .if_match()
                    .takes::<ProductInput>()
                    .gives::<ProductView<'_>>()
                    .tagged()
                    .refuses(TAKEN),
            )
            .delete(
                archive,
                for_staff(Scope::ProductsWrite, "Take a product out of the shop")
                    .more("It is archived: orders keep it; its slug and SKUs are free again.")
                    .if_match()
                    .gives_nothing(204),
            ),
        )
        .at(
            "/api/admin/inventory/low-stock/",
            get(
                low_stock,
                for_staff(Scope::StockRead, "Variants that are low, least first").lists::<LowView>(),
            ),
        )
}

/// Refusals of a product that has what is another's.
const TAKEN: &[(u16, &str)] = &[(409, "sku_taken"), (409, "slug_taken")];

fn product_reply(
    tx: &impl Reads,
    status: u16,
    id: ProductId,
    product: &Product,
) -> Result<Reply, StoreError> {
    let body = view::render(tx, id, product)?;
    let tag = etag(&body);
    let status = http::StatusCode::from_u16(status).expect("statuses are written in the code");
    Ok(Reply::bytes(status, "application/json", body).header(header::ETAG, &tag))
}

/// A product as the audit trail keeps it.
fn seen(tx: &impl Reads, id: ProductId, product: &Product) -> Result<Value, StoreError> {
    Ok(serde_json::from_slice(&view::render(tx, id, product)?).expect("it was rendered as JSON"))
}

fn note(
    tx: &mut WriteTx,
    by: &Staff,
    act: &str,
    id: ProductId,
    before: Value,
    after: Value,
) -> Result<(), StoreError> {
    audit::note(tx, &by.label(), act, &format!("product:{id}"), before, after)
}

async fn create(mut req: Req) -> Answer {
    let by = req.staff(Scope::ProductsWrite)?;
    let WholeProduct(input) = req.json().await?;
    req.write_once(move |tx| {
        accounts::confirm(tx, &by)?;
        let draft = input.clone().onto(Draft::default(), &[]).map_err(ApiError::invalid)?;
        let (id, product) = ops::create(tx, &draft, &first_stock(), &by.label())?;
        let after = seen(tx, id, &product)?;
        note(tx, &by, "product.create", id, Value::Null, after)?;
        Ok(product_reply(tx, 201, id, &product)?.location(&format!("/api/products/{id}/")))
    })
    .await
}

fn first_stock() -> Cause {
    Cause::Adjustment { reason: "first stock".into() }
}

/// One change of a product, from what it is to what the client wants.
async fn rewrite(req: &Req, by: Staff, product: ProductRef, input: ProductInput, is_whole: bool) -> Answer {
    let if_match = req.header(header::IF_MATCH).map(str::to_owned);
    req.write(move |tx| {
        accounts::confirm(tx, &by)?;
        let (id, _) = product.find(tx)?;
        let now = ops::live(tx, id)?;
        ops::must_match(tx, id, if_match.as_deref())?;
        let known = Draft::of(&now, &ops::stocks(tx, &now)?);
        let variants = known.variants.clone();
        let base = if is_whole { Draft::default() } else { known };
        let draft = input.clone().onto(base, &variants).map_err(ApiError::invalid)?;
        let cause = Cause::Adjustment { reason: "edited".into() };
        let before = seen(tx, id, &now)?;
        let product = ops::update(tx, id, &draft, &cause, &by.label())?;
        let after = seen(tx, id, &product)?;
        note(tx, &by, "product.change", id, before, after)?;
        Ok(product_reply(tx, 200, id, &product)?)
    })
    .await
}

async fn replace(mut req: Req, product: ProductRef) -> Answer {
    let by = req.staff(Scope::ProductsWrite)?;
    let WholeProduct(input) = req.json().await?;
    rewrite(&req, by, product, input, true).await
}

async fn change(mut req: Req, product: ProductRef) -> Answer {
    let by = req.staff(Scope::ProductsWrite)?;
    let input = req.json().await?;
    rewrite(&req, by, product, input, false).await
}

async fn archive(req: Req, product: ProductRef) -> Answer {
    let by = req.staff(Scope::ProductsWrite)?;
    let if_match = req.header(header::IF_MATCH).map(str::to_owned);
    req.write(move |tx| {
        accounts::confirm(tx, &by)?;
        let (id, _) = product.find(tx)?;
        ops::must_match(tx, id, if_match.as_deref())?;
        ops::archive(tx, id)?;
        Ok(note(tx, &by, "product.archive", id, json!({"archived": false}), json!({"archived": true}))?)
    })
    .await?;
    Ok(Reply::no_content())
}

/// A variant that is low.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LowStockVariant")]
struct LowView {
    variant_id: VariantId,
    product_id: ProductId,
    sku: Option<String>,
    /// The product's.
    name: String,
    /// The values chosen, by option.
    options: BTreeMap<String, String>,
    /// Units that can be sold.
    stock_quantity: i64,
    /// At or below this it is low.
    low_stock_threshold: Option<i64>,
}

async fn low_stock(req: Req) -> Answer {
    req.staff(Scope::StockRead)?;
    let page = req.page()?;
    let low = req.app.store.read(|tx| {
        let low = inventory::low(tx, page)?;
        let items = low.items.into_iter().map(|(variant, stock)| {
            let named = ops::describe(tx, variant)?;
            Ok(LowView {
                variant_id: variant,
                product_id: stock.product,
                sku: named.sku,
                name: named.name,
                options: named.options,
                stock_quantity: stock.quantity,
                low_stock_threshold: stock.low_at,
            })
        });
        Ok::<_, StoreError>(Paged { count: low.count, items: items.collect::<Result<_, StoreError>>()? })
    })?;
    req.list(page, low)
}
