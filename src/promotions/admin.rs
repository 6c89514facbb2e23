//! `/api/admin/coupons/`: for staff.

use http::header;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::input::{Change, New, Whole, Word};
use super::model::{Code, Coupon, Kind, PromotionError, Refusal};
use super::ops;
use super::store::{BY_AGE, COUPONS};
use crate::accounts::{self, Scope, Staff, for_staff};
use crate::audit;
use crate::clock::Time;
use crate::http::{Answer, ApiError, Reply, Req, Routes, created, etag, get, names_tag_strongly, ok};
use crate::money::Money;
use crate::page::Paged;
use crate::store::{Direction, Key, Span, StoreError};

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/admin/coupons/",
            get(
                list,
                for_staff(Scope::CouponsRead, "Coupons, newest first")
                    .query::<bool>("archived", "Those that are archived, in the place of those that are not.")
                    .lists::<CouponView<'_>>(),
            )
            .post(
                create,
                for_staff(Scope::CouponsWrite, "Make a coupon")
                    .once()
                    .takes::<New>()
                    .creates::<CouponView<'_>>()
                    .tagged()
                    .refuses(&[(409, "code_taken")]),
            ),
        )
        .at(
            "/api/admin/coupons/{code}/",
            get(
                show,
                for_staff(Scope::CouponsRead, "A coupon, archived or not").gives::<CouponView<'_>>().tagged(),
            )
            .put(
                replace,
                for_staff(Scope::CouponsWrite, "Replace a coupon's terms")
                    .more("They hold for orders that are placed from then on. What is not given is as in a new coupon.")
                    .if_match()
                    .takes::<Whole>()
                    .gives::<CouponView<'_>>()
                    .tagged(),
            )
            .patch(
                change,
                for_staff(Scope::CouponsWrite, "Change some of a coupon's terms")
                    .more("They hold for orders that are placed from then on. Another kind needs its value, too.")
                    .if_match()
                    .takes::<Change>()
                    .gives::<CouponView<'_>>()
                    .tagged(),
            )
            .delete(
                remove,
                for_staff(Scope::CouponsWrite, "Take a coupon out of the shop")
                    .more("One that an order carried is archived, and its code is never another's.")
                    .if_match()
                    .gives_nothing(204),
            ),
        )
}

/// A coupon.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Coupon")]
struct CouponView<'a> {
    code: &'a Code,
    kind: Word,
    /// A percentage such as 12.5, or an amount.
    value: String,
    /// What the goods that it is for must come to; null: whatever.
    min_subtotal: Option<Money>,
    /// From then on it is good.
    starts_at: Option<Time>,
    /// From then on it is not.
    ends_at: Option<Time>,
    /// Null: as often as one likes.
    max_uses: Option<u64>,
    /// Null: as often as one likes.
    max_uses_per_user: Option<u64>,
    /// The slugs of the categories that it is for; none: for everything.
    categories: &'a [String],
    is_active: bool,
    /// Orders that carry it and are not cancelled.
    used: u64,
    last_used_at: Option<Time>,
    created_at: Time,
    /// When its terms were last changed.
    updated_at: Time,
    /// Not there unless it is archived.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time")]
    archived_at: Option<Time>,
}

fn view<'a>(code: &'a Code, coupon: &'a Coupon) -> CouponView<'a> {
    let terms = &coupon.terms;
    let (kind, value) = match terms.kind {
        Kind::Percent(rate) => (Word::Percent, rate.to_string()),
        Kind::Amount(amount) => (Word::Amount, amount.to_string()),
    };
    CouponView {
        code,
        kind,
        value,
        min_subtotal: terms.min_subtotal,
        starts_at: terms.starts_at,
        ends_at: terms.ends_at,
        max_uses: terms.max_uses,
        max_uses_per_user: terms.max_uses_per_user,
        categories: &terms.categories,
        is_active: terms.is_active,
        used: coupon.used,
        last_used_at: coupon.last_used_at,
        created_at: coupon.created_at,
        updated_at: coupon.updated_at,
        archived_at: coupon.archived_at,
    }
}

/// How the audit trail names a coupon.
fn subject(code: &Code) -> String {
    format!("coupon:{code}")
}

/// Holds a client's `If-Match` against the coupon as it is in this transaction, its uses included.
fn must_match(code: &Code, coupon: &Coupon, if_match: Option<&str>) -> Result<(), PromotionError> {
    let is_same = |wanted| names_tag_strongly(wanted, &etag(ok(&view(code, coupon)).body.whole()));
    if if_match.is_none_or(is_same) { Ok(()) } else { Err(PromotionError::VersionConflict) }
}

async fn list(req: Req) -> Answer {
    req.staff(Scope::CouponsRead)?;
    let page = req.page()?;
    let archived = u8::from(req.query.flag("archived")?.unwrap_or(false));
    let found = req.app.store.read(|tx| {
        let codes = BY_AGE.page(tx, Span::under(archived.bytes(), Direction::Down), page)?;
        let items = codes.items.into_iter().map(|code| {
            let coupon = COUPONS.expect(tx, &code)?;
            Ok(json!(view(&code, &coupon)))
        });
        Ok::<_, StoreError>(Paged {
            count: codes.count,
            items: items.collect::<Result<Vec<_>, StoreError>>()?,
        })
    })?;
    req.list(page, found)
}

async fn create(mut req: Req) -> Answer {
    let by = req.staff(Scope::CouponsWrite)?;
    let New { code, coupon: Whole(input) } = req.json().await?;
    req.write_once(move |tx| {
        accounts::confirm(tx, &by)?;
        let terms = input.clone().onto(None, &code).map_err(ApiError::invalid)?;
        let coupon = ops::create(tx, &code, &terms)?;
        let view = view(&code, &coupon);
        audit::note(tx, &by.label(), "coupon.create", &subject(&code), Value::Null, json!(view))?;
        Ok(created(&view).tagged().location(&format!("/api/admin/coupons/{code}/")))
    })
    .await
}

async fn show(req: Req, code: Code) -> Answer {
    req.staff(Scope::CouponsRead)?;
    let coupon = req.app.store.read(|tx| ops::get(tx, &code))?;
    Ok(ok(&view(&code, &coupon)).tagged())
}

/// One change of a coupon, from what it is to what the client wants.
async fn rewrite(req: &Req, by: Staff, code: Code, input: Change, is_whole: bool) -> Answer {
    let if_match = req.header(header::IF_MATCH).map(str::to_owned);
    req.write(move |tx| {
        accounts::confirm(tx, &by)?;
        let before = ops::live(tx, &code)?;
        must_match(&code, &before, if_match.as_deref())?;
        let base = (!is_whole).then_some(&before.terms);
        let terms = input.clone().onto(base, &code).map_err(ApiError::invalid)?;
        let coupon = ops::change(tx, &code, &terms)?;
        let (before, after) = (json!(view(&code, &before)), json!(view(&code, &coupon)));
        audit::note(tx, &by.label(), "coupon.change", &subject(&code), before, after)?;
        Ok(ok(&view(&code, &coupon)).tagged())
    })
    .await
}

async fn replace(mut req: Req, code: Code) -> Answer {
    let by = req.staff(Scope::CouponsWrite)?;
    let Whole(input) = req.json().await?;
    rewrite(&req, by, code, input, true).await
}

async fn change(mut req: Req, code: Code) -> Answer {
    let by = req.staff(Scope::CouponsWrite)?;
    let input = req.json().await?;
    rewrite(&req, by, code, input, false).await
}

async fn remove(req: Req, code: Code) -> Answer {
    let by = req.staff(Scope::CouponsWrite)?;
    let if_match = req.header(header::IF_MATCH).map(str::to_owned);
    req.write(move |tx| {
        accounts::confirm(tx, &by)?;
        let before = ops::live(tx, &code)?;
        must_match(&code, &before, if_match.as_deref())?;
        ops::remove(tx, &code)?;
        let before = json!(view(&code, &before));
        Ok(audit::note(tx, &by.label(), "coupon.delete", &subject(&code), before, Value::Null)?)
    })
    .await?;
    Ok(Reply::no_content())
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> ApiError {
        let error = ApiError::new(422, "coupon_invalid", refusal).with("reason", refusal.reason());
        match refusal {
            Refusal::NotStarted(at) => error.with("starts_at", at),
            Refusal::BelowMinimum(least) => error.with("min_subtotal", least),
            _ => error,
        }
    }
}

impl From<PromotionError> for ApiError {
    fn from(error: PromotionError) -> ApiError {
        match error {
            PromotionError::NotFound => ApiError::not_found(),
            PromotionError::CodeTaken(_) => ApiError::new(409, "code_taken", error),
            PromotionError::Invalid(faults) => ApiError::invalid(faults),
            PromotionError::VersionConflict => ApiError::new(412, "version_conflict", error),
            PromotionError::Store(error) => error.into(),
        }
    }
}
