//! Placing, paying and cancelling, for customers.

use std::sync::Arc;

use super::cancel::{Cancelling, cancel};
use super::pay::{Attempt, Pay, PayError, end, pay};
use super::place::{Basket, Item, PlaceError, Placing, place};
use crate::accounts::for_user;
use crate::http::input::{Fields, Input, Nothing, id, money, object, some, text, whole};
use crate::http::{Answer, ApiError, Req, Routes, Stored, created, ok, post, replayed};
use crate::id::{OrderId, PaymentId, ProductId, VariantId};
use crate::orders::{self, OrderView};
use crate::payments::gateway::{Gateway, GatewayError};
use crate::payments::http::{PaymentView, UNANSWERED};
use crate::payments::{self, NotAdmitted, PaymentError};
use crate::store::Seen;

/// Most items that are bought without a cart.
const MOST_ITEMS: usize = 100;

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/orders/",
            post(
                place_order,
                for_user("Order what is in the cart")
                    .more(
                        "Takes the stock, fixes the prices and empties the cart. total_amount is what the customer was \
                         told that it costs. With payment_id it places nothing: it asks after that payment, and answers \
                         with its order.",
                    )
                    .once()
                    .takes::<PlaceInput>()
                    .answers::<OrderView>(200, "The payment's order.")
                    .creates::<OrderView>()
                    .refuses(&[(404, "not_found")])
                    .refuses(NOT_PLACED)
                    .refuses(UNANSWERED),
            ),
        )
        .at(
            "/api/orders/{id}/cancel/",
            post(
                cancel_order,
                for_user("Cancel one's own order")
                    .more("While nothing of it is sent. What was paid goes back.")
                    .once()
                    .may_take::<Nothing>()
                    .gives::<OrderView>()
                    .refuses(&[(409, "invalid_transition"), (409, "payment_closing"), (409, "order_disputed")]),
            ),
        )
        .at(
            "/api/payment/",
            post(
                pay_now,
                for_user("Pay an order, or order and pay at once")
                    .more(
                        "With order_id it pays an order that was placed. With shipping_address it orders what is in the \
                         cart, or these items whatever is in the cart. An order that has a live payment with this \
                         provider goes on with it. total_amount is what the customer was told that it costs.",
                    )
                    .once()
                    .takes::<PayInput>()
                    .creates::<PaymentView>()
                    .refuses(&[
                        (404, "not_found"),
                        (409, "already_paid"),
                        (409, "order_cancelled"),
                        (409, "payment_closing"),
                        (422, "amount_too_small"),
                        (503, "payments_paused"),
                    ])
                    .refuses(NOT_PLACED)
                    .refuses(UNANSWERED),
            ),
        )
}

/// What an order that is to be placed is refused with.
const NOT_PLACED: &[(u16, &str)] = &[
    (409, "insufficient_stock"),
    (409, "amount_mismatch"),
    (422, "amount_too_large"),
    (422, "cart_empty"),
    (422, "coupon_invalid"),
];

/// The body of `POST /api/orders/`: the cart is ordered, or a payment's order confirmed.
struct PlaceInput {
    placing: Placing,
    payment: Option<PaymentId>,
}

impl Input for PlaceInput {
    fn read(from: &mut Fields<'_>) -> Self {
        from.require_any(&["shipping_address", "payment_id"]);
        let placing = Placing {
            basket: Basket::Cart,
            shipping_address: from.opt("shipping_address", object()).unwrap_or_default(),
            billing_address: from.opt("billing_address", object()),
            note: from.opt("note", text(0..=2000)).unwrap_or_default(),
            total: from.opt("total_amount", money()),
        };
        PlaceInput { placing, payment: from.opt("payment_id", id()).map(PaymentId) }
    }
}

async fn place_order(mut req: Req) -> Answer {
    let buyer = req.user()?.user;
    let PlaceInput { placing, payment } = req.json().await?;
    if let Some(payment) = payment {
        // To ask twice is to ask once, so the key is only held, which refuses one that is none.
        let _held = req.once_key()?;
        return confirm(req, payment).await;
    }
    let rules = req.app.rules();
    let (app, base) = (Arc::clone(&req.app), req.absolute(""));
    req.write_once(move |tx| {
        let (id, order) = place(tx, buyer, &placing, &rules, |_| Ok(()))?;
        let view = orders::http::view(&app, &base, tx, id, order)?;
        Ok(created(&view).location(&format!("/api/orders/{id}/")))
    })
    .await
}

/// The order of a payment, after the gateway was asked about it.
async fn confirm(req: Req, payment: PaymentId) -> Answer {
    let buyer = req.user()?.user;
    let known = req.app.store.read(|tx| payments::get(tx, payment))?;
    if known.user != buyer {
        return Err(ApiError::not_found());
    }
    match payments::look(&req.app, payment).await {
        // What is final is known without the gateway's word.
        Err(payments::DriveError::Gateway(error)) if known.status.is_final() => {
            tracing::warn!(payment = payment.0, %error, "a gateway could not be asked after a final payment");
        }
        looked => drop(looked?),
    }
    let order = req.app.store.read(|tx| orders::get(tx, known.order))?;
    Ok(ok(&req.order_view(known.order, order)?))
}

async fn cancel_order(mut req: Req, id: OrderId) -> Answer {
    let buyer = req.user()?.user;
    req.json_or_nothing::<Nothing>().await?;
    let known = req.app.store.read(|tx| orders::get(tx, id))?;
    if known.user != buyer {
        return Err(ApiError::not_found());
    }
    let (key, _guard) = req.once_key()?.unzip();
    if let Some(before) = req.answered(key.as_ref())? {
        return Ok(before);
    }
    let what = Cancelling { order: id, staff: None, note: String::new(), key: key.clone() };
    cancel(&req.app, what).await?;
    let order = req.app.store.read(|tx| orders::get(tx, id))?;
    let reply = ok(&req.order_view(id, order)?);
    req.remember(key, &reply).await?;
    Ok(reply)
}

/// The body of `POST /api/payment/`.
struct PayInput {
    what: Pay,
    provider: Option<String>,
}

impl Input for Item {
    fn read(from: &mut Fields<'_>) -> Self {
        Item {
            product: ProductId(from.req("product_id", id())),
            variant: from.opt("variant_id", id()).map(VariantId),
            quantity: from.req("quantity", whole(1..=1_000_000)),
        }
    }
}

impl Input for PayInput {
    fn read(from: &mut Fields<'_>) -> Self {
        from.either("order_id", "shipping_address", &["items", "billing_address", "note"]);
        let provider = from.opt("provider", text(1..=20));
        let order = from.opt("order_id", id()).map(OrderId);
        let placing = Placing {
            basket: from.opt("items", some(object(), MOST_ITEMS)).map_or(Basket::Cart, Basket::Items),
            shipping_address: from.opt("shipping_address", object()).unwrap_or_default(),
            billing_address: from.opt("billing_address", object()),
            note: from.opt("note", text(0..=2000)).unwrap_or_default(),
            total: from.opt("total_amount", money()),
        };
        let what = match order {
            Some(order) => Pay::Order(order, placing.total),
            None => Pay::New(Box::new(placing)),
        };
        PayInput { what, provider }
    }
}

async fn pay_now(mut req: Req) -> Answer {
    let buyer = req.user()?.user;
    let PayInput { what, provider } = req.json().await?;
    let gateway = req.app.gateways.find(provider.as_deref()).cloned().ok_or_else(|| {
        let known: Vec<_> = req.app.gateways.all().map(|gateway| gateway.provider()).collect();
        let said = if known.is_empty() {
            "no payment provider is switched on".into()
        } else {
            format!("must be one of: {}", known.join(", "))
        };
        ApiError::field("provider", said)
    })?;
    let (key, _guard) = req.once_key()?.unzip();

    if !goes_on(&req, &what, gateway.provider(), key.as_ref())? {
        let is_known = || req.app.store.read(|tx| payments::is_known_customer(tx, buyer));
        req.app.cards.admit(buyer, req.net(), is_known)?;
    }
    let mut attempt = begin(&req, buyer, &what, &gateway, key.clone()).await?;
    if let Begun::Attempt(Attempt::Blocked(other)) = attempt {
        end(&req.app, other).await.map_err(|error| match error {
            // Nothing is done by itself here: it is the customer who tries again.
            PaymentError::Ending(id) => PaymentError::Closing(id),
            other => other,
        })?;
        attempt = begin(&req, buyer, &what, &gateway, key.clone()).await?;
    }
    let payment = match attempt {
        Begun::Before(stored) => return replayed(stored),
        Begun::Attempt(Attempt::Begun(payment)) => payment,
        Begun::Attempt(Attempt::Blocked(other)) => return Err(PaymentError::Closing(other).into()),
    };
    req.app.cards.began(payment, req.net());
    let mut driven = req.app.store.read(|tx| payments::get(tx, payment))?;
    if driven.reference.is_none() {
        let order = driven.order;
        driven = payments::drive(&req.app, payment).await.map_err(|error| {
            // With these the client goes on from here, key or no key.
            let goes_on = format!("The order is placed: POST {{\"order_id\": {order}}} here to pay it.");
            ApiError::from(error).and_says(&goes_on).with("order_id", order).with("payment_id", payment)
        })?;
    }
    if driven.status == payments::Status::Failed && driven.reference.is_none() {
        let error = refused(driven.last_error);
        return Err(error.with("order_id", driven.order).with("payment_id", payment));
    }
    if driven.closing.as_ref().is_some_and(|closing| closing.why == payments::Why::WrongAmount) {
        let wrong = GatewayError::Failed("its payment is not for what the order costs".into());
        return Err(ApiError::from(wrong).with("order_id", driven.order).with("payment_id", payment));
    }
    let reply = created(&PaymentView::new(payment, driven)).location(&format!("/api/payment/{payment}/"));
    req.remember(key, &reply).await?;
    Ok(reply)
}

/// Whether nothing new is begun: the key has begun a payment, or the order has one with this provider.
fn goes_on(
    req: &Req,
    what: &Pay,
    provider: &str,
    key: Option<&crate::store::OnceKey>,
) -> Result<bool, ApiError> {
    if !matches!(req.seen(key)?, Seen::New) {
        return Ok(true);
    }
    let Pay::Order(order, _) = what else { return Ok(false) };
    let live = req.app.store.read(|tx| payments::live_of(tx, *order))?;
    Ok(live.is_some_and(|(_, live)| live.provider == provider))
}

impl From<NotAdmitted> for ApiError {
    fn from(error: NotAdmitted) -> ApiError {
        match error {
            NotAdmitted::Stopped(stopped) => stopped.into(),
            NotAdmitted::Store(error) => error.into(),
        }
    }
}

/// The gateway refused to make the payment. Only what the customer can do something about is told to them.
fn refused(told: Option<payments::Told>) -> ApiError {
    let code = told.map(|told| told.code).unwrap_or_default();
    let (code, detail) = match code.as_str() {
        "amount_too_small" => {
            ("amount_too_small", "The payment provider does not take amounts as small as this order's.")
        }
        "amount_too_large" => {
            ("amount_too_large", "The payment provider does not take amounts as large as this order's.")
        }
        _ => {
            let detail =
                "The payment provider refused to take this payment. The order stays: pay in another way.";
            return ApiError::new(502, "gateway_error", detail);
        }
    };
    ApiError::new(422, code, detail)
}

enum Begun {
    /// Under the same key, before.
    Before(Stored),
    Attempt(Attempt),
}

/// Journals the attempt, and points the idempotency key at it; a key that began one goes on with it.
async fn begin(
    req: &Req,
    buyer: crate::id::UserId,
    what: &Pay,
    gateway: &Arc<dyn Gateway>,
    key: Option<crate::store::OnceKey>,
) -> Result<Begun, ApiError> {
    let (what, rules, gateway) = (what.clone(), req.app.rules(), Arc::clone(gateway));
    req.write(move |tx| {
        match key.as_ref().map(|key| key.seen(tx)).transpose()?.transpose()? {
            Some(Seen::Done(stored)) => return Ok(Begun::Before(stored)),
            Some(Seen::Began(payment)) => return Ok(Begun::Attempt(Attempt::Begun(PaymentId(payment)))),
            Some(Seen::New) | None => {}
        }
        let attempt = pay(tx, buyer, &what, &*gateway, &rules)?;
        if let (Attempt::Begun(payment), Some(key)) = (&attempt, &key) {
            key.began(tx, payment.0)?;
        }
        Ok(Begun::Attempt(attempt))
    })
    .await
}

impl From<PlaceError> for ApiError {
    fn from(error: PlaceError) -> ApiError {
        match error {
            PlaceError::CartEmpty => ApiError::new(422, "cart_empty", error),
            PlaceError::ShortStock(ref lines) => {
                let lines = lines.clone();
                ApiError::new(409, "insufficient_stock", error).with("lines", lines)
            }
            PlaceError::AmountMismatch { now } => {
                ApiError::new(409, "amount_mismatch", error).with("total", now)
            }
            PlaceError::Catalogue(crate::catalogue::CatalogueError::NotFound) => {
                ApiError::field("items", "there is no such product")
            }
            PlaceError::Account(error) => error.into(),
            PlaceError::Catalogue(error) => error.into(),
            PlaceError::NotTaken(said) => ApiError::field("provider", said),
            PlaceError::Cart(error) => error.into(),
            PlaceError::Order(error) => error.into(),
            PlaceError::Overflow(error) => error.into(),
            PlaceError::Store(error) => error.into(),
        }
    }
}

impl From<PayError> for ApiError {
    fn from(error: PayError) -> ApiError {
        match error {
            PayError::Place(error) => error.into(),
            PayError::Payment(error) => error.into(),
            PayError::Store(error) => error.into(),
        }
    }
}
