//! `/api/products/{id}/reviews/`: reading them for everybody, one's own to write.

use std::collections::BTreeMap;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

use super::model::{BEST, COMMENT, Change, ReviewError, TITLE, Text};
use super::store::{BY_RATING, REVIEWS, STARS, VISIBLE};
use super::view::{ReviewView, view};
use super::{admin, ops};
use crate::accounts::{Identity, Scope, for_user, for_user_or_token};
use crate::catalogue::CatalogueError;
use crate::catalogue::http::ProductRef;
use crate::http::input::{Fields, Input, text, whole};
use crate::http::{Answer, ApiError, ListBody, Reply, Req, Routes, created, for_everybody, get, ok, patch};
use crate::id::{ProductId, ReviewId};
use crate::page::{Page, Paged};
use crate::store::{Direction, Key, Reads, Span, StoreError};

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/products/{id}/reviews/",
            get(
                list,
                for_everybody("What people say of a product")
                    .more("Reviews that staff have hidden are not among them.")
                    .tells_staff_more()
                    .query::<Ordering>(
                        "ordering",
                        "By what, with - for descending; the newest first if it is not given.",
                    )
                    .pages()
                    .gives::<Reviews>(),
            )
            .post(
                write,
                for_user("Review a product")
                    .more("Once; it need not be bought before, but the review shows whether it was.")
                    .once()
                    .takes::<Text>()
                    .creates::<ReviewView>()
                    .refuses(&[(409, "already_reviewed")]),
            ),
        )
        .at(
            "/api/products/{id}/reviews/{review}/",
            patch(change, for_user("Change one's own review").takes::<Change>().gives::<ReviewView>())
                .delete(
                    delete,
                    for_user_or_token(Scope::ReviewsWrite, "Delete a review: one's own, or as staff any")
                        .gives_nothing(204),
                ),
        )
}

#[derive(Clone, Copy)]
enum Ordering {
    Time(Direction),
    Rating(Direction),
}

crate::words!(Ordering: ["created_at", "-created_at", "rating", "-rating"]);

impl FromStr for Ordering {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "created_at" => Ordering::Time(Direction::Up),
            "-created_at" => Ordering::Time(Direction::Down),
            "rating" => Ordering::Rating(Direction::Up),
            "-rating" => Ordering::Rating(Direction::Down),
            _ => return Err("must be created_at or rating, with - for descending".into()),
        })
    }
}

/// One page of a product's visible reviews, and all its stars.
#[derive(Serialize, JsonSchema)]
struct Reviews {
    #[serde(flatten)]
    page: ListBody<ReviewView>,
    /// How many of all visible reviews give it one star, two stars, and so on to five.
    stars: BTreeMap<u8, u64>,
}

async fn list(req: Req, product: ProductRef) -> Answer {
    let is_staff = req.is_staff(Scope::ProductsRead)?;
    let page = req.page()?;
    let order = req.query.word("ordering")?.unwrap_or(Ordering::Time(Direction::Down));
    let (found, stars) = req.app.store.read(|tx| {
        let (id, product) = product.find(tx)?;
        if !is_staff && !product.is_public() {
            return Err(ReviewError::from(CatalogueError::NotFound));
        }
        let stars = STARS.get(tx, &id)?.unwrap_or_default();
        let reviews = ids(tx, id, order, page)?.into_iter().map(|id| view(tx, id, REVIEWS.expect(tx, &id)?));
        let items = reviews.collect::<Result<Vec<_>, StoreError>>()?;
        Ok((Paged { count: stars.rating().count, items }, stars))
    })?;
    let stars = (1..=BEST).zip(stars.0).collect();
    Ok(ok(&Reviews { page: req.envelope(page, found)?, stars }))
}

fn ids(
    tx: &impl Reads,
    product: ProductId,
    order: Ordering,
    page: Page,
) -> Result<Vec<ReviewId>, StoreError> {
    match order {
        Ordering::Time(direction) => VISIBLE.part(tx, Span::under(product.bytes(), direction), page),
        Ordering::Rating(direction) => BY_RATING.part(tx, Span::under(product.bytes(), direction), page),
    }
}

impl Input for Text {
    fn read(from: &mut Fields<'_>) -> Self {
        Text {
            rating: from.req("rating", whole(1..=i64::from(BEST))),
            title: from.opt("title", text(0..=TITLE)).unwrap_or_default(),
            comment: from.opt("comment", text(0..=COMMENT)).unwrap_or_default(),
        }
    }
}

async fn write(mut req: Req, product: ProductRef) -> Answer {
    let user = req.user()?.user;
    let text: Text = req.json().await?;
    req.write_once(move |tx| {
        let (product, _) = product.find(tx)?;
        let (id, review) = ops::write(tx, user, product, &text)?;
        let path = format!("/api/products/{product}/reviews/{id}/");
        Ok(created(&view(tx, id, review)?).location(&path))
    })
    .await
}

impl Input for Change {
    fn read(from: &mut Fields<'_>) -> Self {
        Change {
            rating: from.change("rating", whole(1..=i64::from(BEST))),
            title: from.change("title", text(0..=TITLE)),
            comment: from.change("comment", text(0..=COMMENT)),
        }
    }
}

async fn change(mut req: Req, product: ProductRef, id: ReviewId) -> Answer {
    let user = req.user()?.user;
    let change: Change = req.json().await?;
    req.write(move |tx| {
        let (product, _) = product.find(tx)?;
        let review = ops::change(tx, user, product, id, &change)?;
        Ok(ok(&view(tx, id, review)?))
    })
    .await
}

/// By its writer, or by staff.
async fn delete(req: Req, product: ProductRef, id: ReviewId) -> Answer {
    let who = req.someone(Scope::ReviewsWrite)?;
    req.write(move |tx| {
        let (product, _) = product.find(tx)?;
        let review = ops::of_product(tx, product, id)?;
        if matches!(&who, Identity::User(session) if session.user == review.user) {
            return Ok(ops::delete(tx, id)?);
        }
        let staff = who.clone().staff().ok_or(ReviewError::NotYours)?;
        admin::delete_as(tx, id, &staff)
    })
    .await?;
    Ok(Reply::no_content())
}

impl From<ReviewError> for ApiError {
    fn from(error: ReviewError) -> ApiError {
        match error {
            ReviewError::NotFound => ApiError::not_found(),
            ReviewError::AlreadyReviewed => ApiError::new(409, "already_reviewed", error),
            ReviewError::NotYours => ApiError::new(403, "permission_denied", error),
            ReviewError::Account(error) => error.into(),
            ReviewError::Catalogue(error) => error.into(),
            ReviewError::Store(error) => error.into(),
        }
    }
}
