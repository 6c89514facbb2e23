//! `/api/cart/`: the buyer's own.

use super::model::{CartError, MOST_UNITS};
use super::{ops, view};
use crate::http::input::{Fields, Input, id, text, whole};
use crate::http::{Answer, ApiError, Reply, Req, Routes, created, get, ok, post, put};
use crate::id::{CartLineId, ProductId, VariantId};

pub fn routes() -> Routes {
    Routes::new()
        .at("/api/cart/", get(show).post(add).delete(clear))
        .at("/api/cart/coupon/", post(apply_coupon).delete(drop_coupon))
        .at("/api/cart/{id}/", put(set_quantity).delete(remove))
}

async fn show(req: Req) -> Answer {
    let buyer = req.user()?.user;
    let cart = req.app.store.read(|tx| view::cart(tx, buyer, &req.app.charges))?;
    Ok(ok(&cart))
}

struct AddItem {
    product: ProductId,
    variant: Option<VariantId>,
    quantity: u32,
}

impl Input for AddItem {
    fn read(from: &mut Fields<'_>) -> Self {
        AddItem {
            product: ProductId(from.req("product_id", id())),
            variant: from.opt("variant_id", id()).map(VariantId),
            quantity: from.req("quantity", whole(1..=i64::from(MOST_UNITS))),
        }
    }
}

async fn add(mut req: Req) -> Answer {
    let buyer = req.user()?.user;
    let AddItem { product, variant, quantity } = req.json().await?;
    req.write_once(move |tx| {
        let line = ops::add(tx, buyer, product, variant, quantity)?;
        Ok(created(&view::item(tx, &line)?).location(&format!("/api/cart/{}/", line.id)))
    })
    .await
}

struct SetQuantity {
    quantity: u32,
}

impl Input for SetQuantity {
    fn read(from: &mut Fields<'_>) -> Self {
        SetQuantity { quantity: from.req("quantity", whole(1..=i64::from(MOST_UNITS))) }
    }
}

async fn set_quantity(mut req: Req, line: CartLineId) -> Answer {
    let buyer = req.user()?.user;
    let SetQuantity { quantity } = req.json().await?;
    req.write(move |tx| {
        let line = ops::set_quantity(tx, buyer, line, quantity)?;
        Ok(ok(&view::item(tx, &line)?))
    })
    .await
}

async fn remove(req: Req, line: CartLineId) -> Answer {
    let buyer = req.user()?.user;
    req.write(move |tx| Ok(ops::remove(tx, buyer, line)?)).await?;
    Ok(Reply::no_content())
}

async fn clear(req: Req) -> Answer {
    let buyer = req.user()?.user;
    req.write(move |tx| Ok(ops::clear(tx, buyer)?)).await?;
    Ok(Reply::no_content())
}

struct ApplyCoupon {
    code: String,
}

impl Input for ApplyCoupon {
    fn read(from: &mut Fields<'_>) -> Self {
        ApplyCoupon { code: from.req("code", text(1..=200)) }
    }
}

async fn apply_coupon(mut req: Req) -> Answer {
    let buyer = req.user()?.user;
    let ApplyCoupon { code } = req.json().await?;
    let charges = req.app.charges.clone();
    req.write_once(move |tx| {
        ops::apply_coupon(tx, buyer, &code, &charges)?;
        Ok(ok(&view::cart(tx, buyer, &charges)?))
    })
    .await
}

async fn drop_coupon(req: Req) -> Answer {
    let buyer = req.user()?.user;
    req.write(move |tx| Ok(ops::drop_coupon(tx, buyer)?)).await?;
    Ok(Reply::no_content())
}

impl From<CartError> for ApiError {
    fn from(error: CartError) -> ApiError {
        match error {
            CartError::NoSuchLine => ApiError::not_found(),
            CartError::InsufficientStock { available } => {
                ApiError::new(409, "insufficient_stock", error).with("available", available)
            }
            CartError::TooManyLines => ApiError::new(409, "cart_full", error),
            CartError::TooManyUnits => ApiError::field("quantity", error),
            // What is named in a body and is not there is a wrong field, not an unknown path.
            CartError::Catalogue(crate::catalogue::CatalogueError::NotFound) => {
                ApiError::field("product_id", "there is no such product")
            }
            CartError::Catalogue(error) => error.into(),
            CartError::Account(error) => error.into(),
            CartError::Coupon(refusal) => refusal.into(),
            CartError::Overflow(error) => error.into(),
            CartError::Store(error) => error.into(),
        }
    }
}
