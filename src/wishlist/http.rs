//! `/api/wishlist/`: one's own.

use super::model::WishError;
use super::store::{BY_AGE, WISHES};
use super::view::WishView;
use super::{ops, view};
use crate::accounts::for_user;
use crate::cart;
use crate::catalogue::CatalogueError;
use crate::http::input::{Fields, Input, id, whole};
use crate::http::{Answer, ApiError, Reply, Req, Routes, created, delete, get, ok, post};
use crate::id::{ProductId, VariantId};
use crate::page::Paged;
use crate::store::{Direction, Key, Span, StoreError};

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/wishlist/",
            get(list, for_user("The wishlist, newest first").lists::<WishView>()).post(
                add,
                for_user("Put a product on the wishlist")
                    .more("When it was sold out and is back, a mail says so. Put there again with another variant, the wish is for that.")
                    .once()
                    .takes::<Add>()
                    .answers::<WishView>(201, "It is on the list now.")
                    .answers::<WishView>(200, "It was on the list before.")
                    .refuses(&[(409, "wishlist_full")]),
            ),
        )
        .at(
            "/api/wishlist/{product}/",
            delete(remove, for_user("Take a product off the wishlist").gives_nothing(204)),
        )
        .at(
            "/api/wishlist/{product}/move-to-cart/",
            post(
                move_to_cart,
                for_user("Move a product from the wishlist to the cart")
                    .more("The variant is to be named where the product has several and the wish does not say which.")
                    .once()
                    .may_take::<Move>()
                    .creates::<cart::ItemView>()
                    .refuses(&[
                        (409, "product_unavailable"),
                        (409, "insufficient_stock"),
                        (409, "cart_full"),
                        (422, "amount_too_large"),
                    ]),
            ),
        )
}

async fn list(req: Req) -> Answer {
    let user = req.user()?.user;
    let page = req.page()?;
    let found = req.app.store.read(|tx| {
        let keys = BY_AGE.page(tx, Span::under(user.bytes(), Direction::Down), page)?;
        let items = keys.items.into_iter().map(|key| view::view(tx, &WISHES.expect(tx, &key)?));
        Ok::<_, StoreError>(Paged { count: keys.count, items: items.collect::<Result<Vec<_>, _>>()? })
    })?;
    req.list(page, found)
}

struct Add {
    product: ProductId,
    variant: Option<VariantId>,
}

impl Input for Add {
    fn read(from: &mut Fields<'_>) -> Self {
        Add {
            product: ProductId(from.req("product_id", id())),
            variant: from.opt("variant_id", id()).map(VariantId),
        }
    }
}

async fn add(mut req: Req) -> Answer {
    let user = req.user()?.user;
    let Add { product, variant } = req.json().await?;
    req.write_once(move |tx| {
        let (wish, is_new) = ops::add(tx, user, product, variant)?;
        let view = view::view(tx, &wish)?;
        Ok(if is_new { created(&view) } else { ok(&view) })
    })
    .await
}

async fn remove(req: Req, product: ProductId) -> Answer {
    let user = req.user()?.user;
    req.write(move |tx| Ok(ops::remove(tx, user, product)?)).await?;
    Ok(Reply::no_content())
}

/// The body of a move to the cart; it may be left out.
struct Move {
    variant: Option<VariantId>,
    quantity: u32,
}

impl Default for Move {
    fn default() -> Move {
        Move { variant: None, quantity: 1 }
    }
}

impl Input for Move {
    fn read(from: &mut Fields<'_>) -> Self {
        Move {
            variant: from.opt("variant_id", id()).map(VariantId),
            quantity: from.opt("quantity", whole(1..=i64::from(cart::MOST_UNITS))).unwrap_or(1),
        }
    }
}

async fn move_to_cart(mut req: Req, product: ProductId) -> Answer {
    let user = req.user()?.user;
    let Move { variant, quantity } = req.json_or_nothing().await?;
    req.write_once(move |tx| {
        let line = ops::move_to_cart(tx, user, product, variant, quantity)?;
        Ok(created(&cart::item(tx, &line)?).location(&format!("/api/cart/{}/", line.id)))
    })
    .await
}

impl From<WishError> for ApiError {
    fn from(error: WishError) -> ApiError {
        match error {
            WishError::NotFound => ApiError::not_found(),
            WishError::Full => ApiError::new(409, "wishlist_full", error),
            // What is named in a body and is not there is a wrong field, not an unknown path.
            WishError::Catalogue(CatalogueError::NotFound) => {
                ApiError::field("product_id", "there is no such product")
            }
            WishError::Account(error) => error.into(),
            WishError::Catalogue(error) => error.into(),
            WishError::Cart(cart::CartError::Catalogue(CatalogueError::NotFound)) => {
                ApiError::new(409, "product_unavailable", "This product is not for sale any more.")
            }
            WishError::Cart(error) => error.into(),
            WishError::Store(error) => error.into(),
        }
    }
}
