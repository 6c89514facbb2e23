//! `/api/cart/`: the buyer's own.

use super::model::{CartError, MOST_UNITS};
use super::view::{CartView, ItemView};
use super::{ops, view};
use crate::accounts::for_user;
use crate::http::input::{Fields, Input, id, text, whole};
use crate::http::{Answer, ApiError, Reply, Req, Routes, created, get, ok, post, put};
use crate::id::{CartLineId, ProductId, VariantId};

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/cart/",
            get(show, for_user("The cart, with what it costs now").gives::<CartView>().refuses(&[(422, "amount_too_large")]))
                .post(
                    add,
                    for_user("Put a variant into the cart")
                        .more("The same variant again adds to its line. Nothing is held: stock is taken when the order is placed.")
                        .once()
                        .takes::<AddItem>()
                        .creates::<ItemView>()
                        .refuses(&[(409, "insufficient_stock"), (409, "cart_full"), (422, "amount_too_large")]),
                )
                .delete(clear, for_user("Empty the cart").gives_nothing(204)),
        )
        .at(
            "/api/cart/coupon/",
            post(
                apply_coupon,
                for_user("Apply a coupon")
                    .once()
                    .takes::<ApplyCoupon>()
                    .gives::<CartView>()
                    .refuses(&[(422, "coupon_invalid"), (422, "amount_too_large")]),
            )
            .delete(drop_coupon, for_user("Take the coupon off").gives_nothing(204)),
        )
        .at(
            "/api/cart/{id}/",
            put(
                set_quantity,
                for_user("Set a line's quantity")
                    .takes::<SetQuantity>()
                    .gives::<ItemView>()
                    .refuses(&[(409, "insufficient_stock"), (422, "amount_too_large")]),
            )
            .delete(remove, for_user("Take a line out of the cart").gives_nothing(204)),
        )
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
