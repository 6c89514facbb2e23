//! Whether the application at PayPal is set up as the shop needs it.

use serde::Deserialize;

use super::{PayPal, safe};
use crate::advice::{Advice, error, ok, warning};
use crate::payments::gateway::{Gateway, GatewayError, Mode, points_at};

/// Where PayPal's events are heard.
const HOOK: &str = "/api/payment/webhook/paypal/";
/// The types of events that the shop goes by (`EventObject::into_notice`) and that PayPal has.
const EVENTS: [&str; 12] = [
    "CHECKOUT.ORDER.APPROVED",
    "PAYMENT.CAPTURE.COMPLETED",
    "PAYMENT.CAPTURE.PENDING",
    "PAYMENT.CAPTURE.DECLINED",
    "PAYMENT.CAPTURE.DENIED",
    "PAYMENT.CAPTURE.REFUNDED",
    "PAYMENT.CAPTURE.REVERSED",
    "PAYMENT.REFUND.PENDING",
    "PAYMENT.REFUND.FAILED",
    "CUSTOMER.DISPUTE.CREATED",
    "CUSTOMER.DISPUTE.UPDATED",
    "CUSTOMER.DISPUTE.RESOLVED",
];

/// <https://developer.paypal.com/docs/api/webhooks/v1/#webhooks_get>
#[derive(Deserialize)]
struct Webhook {
    id: String,
    url: String,
    #[serde(default)]
    event_types: Vec<EventType>,
}

#[derive(Deserialize)]
struct EventType {
    name: String,
}

#[derive(Deserialize)]
struct Webhooks {
    #[serde(default)]
    webhooks: Vec<Webhook>,
}

impl PayPal {
    pub(super) async fn look_over(&self, shop_url: Option<&str>) -> Vec<Advice> {
        match self.token().await {
            Ok(_) => {}
            Err(GatewayError::Denied(said)) => {
                return vec![error(
                    format!("PayPal does not accept the shop's keys: {said}"),
                    "take client id and secret of the application (developer.paypal.com), and look whether \
                     payment.paypal.api_base is for the same of live and sandbox",
                )];
            }
            Err(failed) => return vec![unreachable(&failed)],
        }
        let keys = match self.mode() {
            Mode::Live => ok("the keys are accepted, and live: they move real money"),
            Mode::Test => ok("the keys are accepted, by PayPal's sandbox: no money moves"),
        };
        [keys].into_iter().chain(self.look_at_hook(shop_url).await).collect()
    }

    async fn look_at_hook(&self, shop_url: Option<&str>) -> Vec<Advice> {
        let wanted = shop_url.map(|base| format!("{base}{HOOK}"));
        let configured = match safe(&self.settings.webhook_id) {
            Ok(id) => self.get::<Webhook>(&format!("/v1/notifications/webhooks/{id}")).await,
            Err(none) => Err(none),
        };
        match configured {
            Ok(webhook) => webhook.judged(wanted.as_deref()),
            Err(GatewayError::Gone(_) | GatewayError::Refused(_)) => {
                let said = match self.settings.webhook_id.as_str() {
                    "" => "payment.paypal.webhook_id is not set, so no event is believed, and payments are found out by asking".into(),
                    id => format!("PayPal has no webhook {id}, as payment.paypal.webhook_id says; no event is believed"),
                };
                vec![warning(said, self.what_to_set(wanted.as_deref()).await)]
            }
            Err(failed) => vec![unreachable(&failed)],
        }
    }

    /// Which id belongs into the settings, where there is one.
    async fn what_to_set(&self, wanted: Option<&str>) -> String {
        let all = self.get::<Webhooks>("/v1/notifications/webhooks").await.map(|all| all.webhooks);
        let here = all
            .unwrap_or_default()
            .into_iter()
            .find(|one| wanted.is_some_and(|url| points_at(&one.url, url)));
        match here {
            Some(webhook) => format!("set payment.paypal.webhook_id to {}: it points here", webhook.id),
            None => format!(
                "add a webhook for {} to the application (developer.paypal.com), and set payment.paypal.webhook_id to its id",
                wanted.unwrap_or(HOOK)
            ),
        }
    }
}

impl Webhook {
    fn judged(&self, wanted: Option<&str>) -> Vec<Advice> {
        let url = &self.url;
        let Some(wanted) = wanted else {
            return vec![warning(
                format!(
                    "the webhook points at {url}; whether that is here can't be told without server.public_url"
                ),
                "set server.public_url",
            )];
        };
        if !points_at(url, wanted) {
            return vec![warning(
                format!("the webhook {} points at {url}, and not at {wanted}", self.id),
                "change its URL at developer.paypal.com, or payment.paypal.webhook_id",
            )];
        }
        let is_sent = |kind: &str| self.event_types.iter().any(|on| on.name == "*" || on.name == kind);
        let missing: Vec<_> = EVENTS.iter().filter(|kind| !is_sent(kind)).copied().collect();
        if missing.is_empty() {
            return vec![ok(format!("its webhook {url} sends all that the shop goes by"))];
        }
        vec![warning(
            format!(
                "the webhook {url} does not send {} types of events that the shop goes by",
                missing.len()
            ),
            format!("subscribe it to {}", missing.join(", ")),
        )]
    }
}

fn unreachable(failed: &GatewayError) -> Advice {
    error(
        format!("PayPal can't be asked: {failed}"),
        "see that this machine may reach payment.paypal.api_base",
    )
}
