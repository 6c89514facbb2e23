//! Changing the catalogue: for staff.

use http::header;
use serde_json::{Value, json};

use super::draft::Draft;
use super::http::ProductRef;
use super::input::ProductInput;
use super::model::Product;
use super::{ops, view};
use crate::accounts::{self, Scope, Staff};
use crate::audit;
use crate::http::{Answer, ApiError, Reply, Req, Routes, delete, etag, get, post};
use crate::id::ProductId;
use crate::inventory::{self, Cause};
use crate::page::Paged;
use crate::store::{Reads, StoreError, WriteTx};

pub fn routes() -> Routes {
    Routes::new()
        .at("/api/products/", post(create, crate::http::undescribed()))
        .at(
            "/api/products/{id}/",
            delete(archive, crate::http::undescribed())
                .put(replace, crate::http::undescribed())
                .patch(change, crate::http::undescribed()),
        )
        .at("/api/admin/inventory/low-stock/", get(low_stock, crate::http::undescribed()))
}

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
    let input: ProductInput = req.json().await?;
    input.whole()?;
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
async fn rewrite(mut req: Req, product: ProductRef, is_whole: bool) -> Answer {
    let by = req.staff(Scope::ProductsWrite)?;
    let input: ProductInput = req.json().await?;
    if is_whole {
        input.whole()?;
    }
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

async fn replace(req: Req, product: ProductRef) -> Answer {
    rewrite(req, product, true).await
}

async fn change(req: Req, product: ProductRef) -> Answer {
    rewrite(req, product, false).await
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

async fn low_stock(req: Req) -> Answer {
    req.staff(Scope::StockRead)?;
    let page = req.page()?;
    let low = req.app.store.read(|tx| {
        let low = inventory::low(tx, page)?;
        let items = low.items.into_iter().map(|(variant, stock)| {
            let named = ops::describe(tx, variant)?;
            Ok(json!({
                "variant_id": variant,
                "product_id": stock.product,
                "sku": named.sku,
                "name": named.name,
                "options": named.options,
                "stock_quantity": stock.quantity,
                "low_stock_threshold": stock.low_at,
            }))
        });
        Ok::<_, StoreError>(Paged { count: low.count, items: items.collect::<Result<_, StoreError>>()? })
    })?;
    req.list(page, low)
}
