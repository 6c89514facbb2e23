//! `/api/payment/webhook/`: where gateways tell what happened. Who asks is in the signature.

use schemars::JsonSchema;
use serde::Serialize;

use super::events::receive;
use super::gateway::{Heard, Unheard, paypal, stripe};
use crate::http::{Answer, ApiError, Op, Req, Routes, for_everybody, ok, post};

/// No event is larger (bytes).
const LIMIT: u64 = 1 << 20;

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/payment/webhook/",
            post(
                from_stripe,
                described("Take an event of Stripe's")
                    .looks_at("Stripe-Signature", "Stripe's, over the body."),
            ),
        )
        .at("/api/payment/webhook/paypal/", post(from_paypal, described("Take an event of PayPal's")))
}

fn described(says: &'static str) -> Op {
    for_everybody(says)
        .more("For the gateway, which signs it. An event that is known already changes nothing.")
        .takes_foreign_json()
        .gives::<Acknowledged>()
        .refuses(&[(400, "invalid_signature"), (404, "not_found"), (503, "gateway_error")])
}

/// The event was heard.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EventReceived")]
struct Acknowledged {
    /// True.
    received: bool,
    /// Whether it had come before.
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<bool>,
    /// Why nothing is done about it; absent where something is.
    #[serde(skip_serializing_if = "Option::is_none")]
    ignored: Option<String>,
}

async fn from_stripe(req: Req) -> Answer {
    hear(req, stripe::PROVIDER).await
}

async fn from_paypal(req: Req) -> Answer {
    hear(req, paypal::PROVIDER).await
}

/// Makes sure that the event is genuine, stores it, and answers. It is worked off by the jobs.
async fn hear(mut req: Req, provider: &'static str) -> Answer {
    let gateway = req.app.gateways.find(Some(provider)).cloned().ok_or_else(ApiError::not_found)?;
    let body = req.bytes(LIMIT).await?;
    match gateway.hear(&req.headers, &body, req.now()).await {
        Ok(Heard::Notice(notice)) => {
            let (event, kind) = (notice.id.clone(), notice.kind.clone());
            let is_new = receive(&req.app, provider, notice).await?;
            tracing::info!(provider, event, kind, is_new, "a gateway's event");
            Ok(ok(&Acknowledged { received: true, known: Some(!is_new), ignored: None }))
        }
        Ok(Heard::Nothing(why)) => {
            tracing::info!(provider, why, "a gateway's event is ignored");
            Ok(ok(&Acknowledged { received: true, known: None, ignored: Some(why) }))
        }
        Err(Unheard::Forged(said)) => {
            tracing::warn!(provider, said, "a webhook is not believed");
            let detail = "The signature is not one of this endpoint's.";
            Err(ApiError::new(400, "invalid_signature", detail))
        }
        Err(Unheard::Unverified(said)) => {
            tracing::warn!(provider, said, "a webhook can't be verified now; it will be sent again");
            let detail = "The signature can't be verified now; send the event again.";
            Err(ApiError::new(503, "gateway_error", detail))
        }
    }
}
