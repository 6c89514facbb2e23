//! `/api/admin/reviews/`: for staff.

use std::sync::Arc;

use serde_json::{Value, json};

use super::model::Review;
use super::ops;
use super::store::{BY_PRODUCT, HIDDEN, REVIEWS};
use super::view::{ReviewView, staff_view};
use crate::accounts::{self, Scope, Staff, for_staff};
use crate::audit;
use crate::http::input::{Fields, Input, boolean};
use crate::http::{Answer, ApiError, Reply, Req, Routes, get, ok};
use crate::id::{ProductId, ReviewId, UserId};
use crate::page::{Matches, Page, Paged};
use crate::store::{Direction, Key, ReadTx, Span, StoreError, WriteTx};
use crate::telemetry::aside;

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/admin/reviews/",
            get(
                list,
                for_staff(Scope::ReviewsWrite, "All reviews, newest first")
                    .query::<ProductId>("product_id", "Of this product.")
                    .query::<UserId>("user_id", "Of this writer.")
                    .query::<bool>("is_hidden", "Those that are hidden, or those that are not.")
                    .lists::<ReviewView>(),
            ),
        )
        .at(
            "/api/admin/reviews/{id}/",
            get(show, for_staff(Scope::ReviewsWrite, "A review").gives::<ReviewView>())
                .patch(
                    change,
                    for_staff(Scope::ReviewsWrite, "Hide a review, or show it again")
                        .more("What is hidden does not count in the product's rating.")
                        .takes::<Change>()
                        .gives::<ReviewView>(),
                )
                .delete(delete, for_staff(Scope::ReviewsWrite, "Delete a review").gives_nothing(204)),
        )
}

/// Which reviews are wanted.
struct Filter {
    product: Option<ProductId>,
    user: Option<UserId>,
    is_hidden: Option<bool>,
}

impl Filter {
    fn lets_through(&self, review: &Review) -> bool {
        self.product.is_none_or(|product| review.product == product)
            && self.user.is_none_or(|user| review.user == user)
            && self.is_hidden.is_none_or(|is_hidden| review.is_hidden == is_hidden)
    }
}

async fn list(req: Req) -> Answer {
    req.staff(Scope::ReviewsWrite)?;
    let page = req.page()?;
    let said = "must be an id";
    let filter = Filter {
        product: req.query.read("product_id", said, |text| text.parse::<ProductId>().ok())?,
        user: req.query.read("user_id", said, |text| text.parse::<UserId>().ok())?,
        is_hidden: req.query.flag("is_hidden")?,
    };
    // It may read every review, so it is done off the async threads.
    let app = Arc::clone(&req.app);
    let found = aside(move || app.store.read(|tx| find(tx, &filter, page)));
    req.list(page, found.await.map_err(ApiError::internal)??)
}

/// One page, newest first. The narrowest index answers; other conditions are tried on its records.
fn find(tx: &ReadTx, filter: &Filter, page: Page) -> Result<Paged<ReviewView>, StoreError> {
    let mut found = Matches::of(page);
    let mut offer = |id, review: Review| {
        if filter.lets_through(&review) {
            found.add((id, review));
        }
        Ok::<_, StoreError>(())
    };
    let by = |id: &ReviewId| REVIEWS.expect(tx, id);
    let down = || Span::all(Direction::Down);
    match (filter.user, filter.product, filter.is_hidden) {
        (Some(user), ..) => {
            ops::ids_of_user(tx, user)?.into_iter().try_for_each(|id| offer(id, by(&id)?))?;
        }
        (None, Some(product), _) => {
            let span = Span::under(product.bytes(), Direction::Down);
            BY_PRODUCT.try_each(tx, span, |id| offer(id, by(&id)?))?;
        }
        (None, None, Some(true)) => HIDDEN.try_each(tx, down(), |id| offer(id, by(&id)?))?,
        (None, None, Some(false)) => REVIEWS.try_scan(tx, down(), offer)?,
        (None, None, None) => {
            return REVIEWS
                .page(tx, page, Direction::Down)?
                .try_map(|(id, review)| staff_view(tx, id, review));
        }
    }
    found.done().try_map(|(id, review)| staff_view(tx, id, review))
}

async fn show(req: Req, id: ReviewId) -> Answer {
    req.staff(Scope::ReviewsWrite)?;
    let view = req.app.store.read(|tx| Ok::<_, ApiError>(staff_view(tx, id, ops::get(tx, id)?)?))?;
    Ok(ok(&view))
}

struct Change {
    is_hidden: bool,
}

impl Input for Change {
    fn read(from: &mut Fields<'_>) -> Self {
        Change { is_hidden: from.req("is_hidden", boolean()) }
    }
}

async fn change(mut req: Req, id: ReviewId) -> Answer {
    let by = req.staff(Scope::ReviewsWrite)?;
    let Change { is_hidden } = req.json().await?;
    req.write(move |tx| {
        accounts::confirm(tx, &by)?;
        let before = noted(&ops::get(tx, id)?);
        let review = ops::hide(tx, id, is_hidden)?;
        audit::note(tx, &by.label(), "review.change", &subject(id), before, noted(&review))?;
        Ok(ok(&staff_view(tx, id, review)?))
    })
    .await
}

async fn delete(req: Req, id: ReviewId) -> Answer {
    let by = req.staff(Scope::ReviewsWrite)?;
    req.write(move |tx| delete_as(tx, id, &by)).await?;
    Ok(Reply::no_content())
}

/// Staff delete a review that somebody wrote.
pub fn delete_as(tx: &mut WriteTx, id: ReviewId, by: &Staff) -> Result<(), ApiError> {
    accounts::confirm(tx, by)?;
    let before = noted(&ops::get(tx, id)?);
    ops::delete(tx, id)?;
    Ok(audit::note(tx, &by.label(), "review.delete", &subject(id), before, Value::Null)?)
}

fn subject(id: ReviewId) -> String {
    format!("review:{id}")
}

/// What the audit trail keeps of a review: not what a person wrote, which they may want to be gone.
fn noted(review: &Review) -> Value {
    json!({
        "product_id": review.product,
        "user_id": review.user,
        "rating": review.rating,
        "is_hidden": review.is_hidden,
    })
}
