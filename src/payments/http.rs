//! `/api/payment/`: asking after a payment, and the test gateway's side of it. Paying is checkout's.

use schemars::JsonSchema;
use serde::Serialize;

use super::drive::{DriveError, drive};
use super::gateway::GatewayError;
use super::gateway::test::{self, Notify, Outcome, TestGateway};
use super::lifecycle::Status;
use super::model::{Payment, PaymentError, Told};
use super::ops;
use crate::accounts::{Identity, Scope, for_user_or_token};
use crate::http::input::{Fields, Input, word};
use crate::http::{Answer, ApiError, Req, Routes, get, ok, post};
use crate::id::{OrderId, PaymentId};
use crate::money::{Currency, Money};

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/payment/{id}/",
            get(
                show,
                for_user_or_token(Scope::PaymentsRead, "A payment")
                    .more("Its customer's, or any for staff. Its gateway is asked while it may still change.")
                    .gives::<PaymentView>()
                    .refuses(UNANSWERED),
            ),
        )
        .at(
            "/api/payment/test/{id}/",
            post(
                decide,
                for_user_or_token(Scope::PaymentsWrite, "Act at the test gateway as the customer would")
                    .more("Where the shop's settings allow that gateway. No money moves.")
                    .once()
                    .takes::<Decision>()
                    .gives::<PaymentView>()
                    .refuses(&[(409, "invalid_transition")])
                    .refuses(UNANSWERED),
            ),
        )
}

/// What an operation is refused with when a gateway does not do what it is asked.
pub const UNANSWERED: &[(u16, &str)] = &[(502, "gateway_error"), (504, "gateway_timeout")];

/// A payment as its customer is shown it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Payment")]
pub struct PaymentView {
    id: PaymentId,
    order_id: OrderId,
    /// A gateway's name, or `manual`.
    provider: String,
    status: Status,
    amount: Money,
    currency: Currency,
    /// What Stripe's elements need; null with other providers, and for everybody but the customer.
    client_secret: Option<String>,
    /// Where PayPal's customers approve; null with other providers, and for everybody but the customer.
    approve_url: Option<String>,
    /// Why it was declined.
    last_error: Option<Told>,
}

impl PaymentView {
    /// As anybody but its customer is shown it: without what it is paid with.
    fn for_others(id: PaymentId, payment: Payment) -> PaymentView {
        PaymentView { client_secret: None, approve_url: None, ..PaymentView::new(id, payment) }
    }

    /// As its customer is shown it. One that is to end is not to be paid.
    pub fn new(id: PaymentId, mut payment: Payment) -> PaymentView {
        if payment.closing.is_some() && !payment.status.is_final() {
            (payment.client_secret, payment.approve_url) = (None, None);
        }
        PaymentView {
            id,
            order_id: payment.order,
            provider: payment.provider,
            status: payment.status,
            amount: payment.amount,
            currency: payment.amount.currency,
            client_secret: payment.client_secret,
            approve_url: payment.approve_url,
            last_error: payment.last_error,
        }
    }
}

/// The payment, if it belongs to the one who asks, or staff ask.
fn own_payment(req: &Req, id: PaymentId, scope: Scope) -> Result<(Payment, Show), ApiError> {
    let who = req.someone(scope)?;
    let payment = req.app.store.read(|tx| ops::get(tx, id))?;
    if !who.sees(payment.user) {
        return Err(ApiError::not_found());
    }
    let is_customer = matches!(who, Identity::User(session) if session.user == payment.user);
    Ok((payment, if is_customer { PaymentView::new } else { PaymentView::for_others }))
}

/// How a payment is shown to whoever asks.
type Show = fn(PaymentId, Payment) -> PaymentView;

/// The payment as its gateway has it now, if our own record is not final.
async fn show(req: Req, id: PaymentId) -> Answer {
    let (_, show) = own_payment(&req, id, Scope::PaymentsRead)?;
    let payment = drive(&req.app, id).await?;
    Ok(ok(&show(id, payment)))
}

struct Decision {
    outcome: Outcome,
    notify: Notify,
}

impl Input for Decision {
    fn read(from: &mut Fields<'_>) -> Self {
        Decision {
            outcome: from.req("outcome", word()),
            notify: from.opt("notify", word()).unwrap_or_default(),
        }
    }
}

/// What the customer does at the test gateway.
async fn decide(mut req: Req, id: PaymentId) -> Answer {
    let (payment, show) = own_payment(&req, id, Scope::PaymentsWrite)?;
    let Decision { outcome, notify } = req.json().await?;
    if payment.provider != test::PROVIDER || req.app.gateways.find(Some(test::PROVIDER)).is_none() {
        return Err(ApiError::not_found());
    }
    let (key, _guard) = req.once_key()?.unzip();
    if let Some(before) = req.answered(key.as_ref())? {
        return Ok(before);
    }
    let payment = if payment.reference.is_none() { drive(&req.app, id).await? } else { payment };
    let reference = payment.reference.ok_or_else(ApiError::not_found)?;
    let event =
        TestGateway::decide(&req.app.store, &reference, outcome, notify).await.map_err(
            |error| match error {
                GatewayError::Refused(told) => ApiError::new(409, "invalid_transition", told.message),
                other => other.into(),
            },
        )?;
    let times = match notify {
        Notify::Once => 1,
        Notify::Twice => 2,
        Notify::Late | Notify::Never => 0,
    };
    for _ in 0..times {
        TestGateway::tell(&req.app, &reference, event).await?;
    }
    let payment = req.app.store.read(|tx| ops::get(tx, id))?;
    let reply = ok(&show(id, payment));
    req.remember(key, &reply).await?;
    Ok(reply)
}

impl From<PaymentError> for ApiError {
    fn from(error: PaymentError) -> ApiError {
        match error {
            PaymentError::NotFound => ApiError::not_found(),
            PaymentError::AlreadyPaid => ApiError::new(409, "already_paid", error),
            PaymentError::OrderCancelled => ApiError::new(409, "order_cancelled", error),
            PaymentError::Closing(id) | PaymentError::Ending(id) => {
                ApiError::new(409, "payment_closing", error).with("payment_id", id)
            }
            PaymentError::NothingToRefund => ApiError::new(409, "nothing_to_refund", error),
            PaymentError::RefundTooLarge { left } => {
                ApiError::new(409, "refund_too_large", error).with("available", left)
            }
            PaymentError::NotOpen => ApiError::new(409, "invalid_transition", error),
            PaymentError::RefundLines(said) => ApiError::field("lines", said),
            PaymentError::Disputed { ref dispute } => {
                let due_by = dispute.due_by;
                ApiError::new(409, "order_disputed", error).with("evidence_due_by", due_by)
            }
            PaymentError::Account(error) => error.into(),
            PaymentError::Order(error) => error.into(),
            PaymentError::Overflow(error) => error.into(),
            PaymentError::Store(error) => error.into(),
        }
    }
}

impl From<GatewayError> for ApiError {
    fn from(error: GatewayError) -> ApiError {
        let again = "Nothing is lost: the same call again goes on from here.";
        match error {
            GatewayError::Timeout => ApiError::new(
                504,
                "gateway_timeout",
                format!("The payment gateway did not answer in time. {again}"),
            ),
            GatewayError::Off(provider) => {
                let detail = format!(
                    "The payment provider {provider} is not switched on in the shop's settings. {again}"
                );
                ApiError::new(502, "gateway_error", detail)
            }
            GatewayError::Denied(ref said) => {
                tracing::error!(
                    said,
                    "the payment gateway does not accept the shop's keys: put good ones into the settings under \
                     [payment] (or the environment, TILL_PAYMENT__…) and start till again"
                );
                let detail = format!("The shop can't take payments with this provider now. {again}");
                ApiError::new(502, "gateway_error", detail)
            }
            GatewayError::Down(_)
            | GatewayError::Failed(_)
            | GatewayError::Refused(_)
            | GatewayError::Gone(_)
            | GatewayError::KeySpent => {
                tracing::warn!(%error, "a gateway call failed");
                ApiError::new(
                    502,
                    "gateway_error",
                    format!("The payment gateway could not do this now. {again}"),
                )
            }
        }
    }
}

impl From<DriveError> for ApiError {
    fn from(error: DriveError) -> ApiError {
        match error {
            DriveError::Gateway(error) => error.into(),
            DriveError::Payment(error) => error.into(),
        }
    }
}
