//! Whether the account at Stripe is set up as the shop needs it.

use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::Value;

use super::objects::List;
use super::{EVENTS, Stripe, VERSION};
use crate::advice::{Advice, error, ok, warning};
use crate::clock::Time;
use crate::payments::gateway::{Gateway, GatewayError, Mode, points_at};

/// Where Stripe's events are heard.
const HOOK: &str = "/api/payment/webhook/";
/// What the shop reads, and the right of a restricted key that it takes. What nothing is called answers whether one may
/// ask.
const READS: [(&str, &str); 5] = [
    ("/v1/payment_intents?limit=1", "PaymentIntents"),
    ("/v1/refunds?limit=1", "Refunds"),
    ("/v1/charges/ch_none", "Charges"),
    ("/v1/disputes/dp_none", "Disputes"),
    ("/v1/events?limit=1", "Events"),
];
/// The newest version whose objects the shop is tried on.
const NEWEST: &str = "2026-08-21";
/// How far back undelivered events count, in seconds.
const RECENT: i64 = 24 * 3600;

/// <https://docs.stripe.com/api/webhook_endpoints/object>
#[derive(Deserialize)]
struct Endpoint {
    url: String,
    status: String,
    enabled_events: Vec<String>,
    api_version: Option<String>,
}

impl Stripe {
    pub(super) async fn look_over(&self, shop_url: Option<&str>, now: Time) -> Vec<Advice> {
        let mode = match self.mode() {
            Mode::Live => ok("the key is accepted, and live: it moves real money"),
            Mode::Test => ok("the key is accepted, and a test key: no money moves"),
        };
        let asked = join_all(READS.map(async |(path, right)| (right, self.get::<Value>(path, &[]).await)));
        let mut lacking = Vec::new();
        for (right, answer) in asked.await {
            match answer {
                Ok(_) | Err(GatewayError::Gone(_)) => {}
                Err(GatewayError::Denied(said)) if !self.is_restricted() => {
                    return vec![error(
                        format!("Stripe does not accept payment.stripe.secret_key: {said}"),
                        "put the key of the dashboard (Developers, API keys) into the settings",
                    )];
                }
                Err(GatewayError::Denied(_)) => lacking.push(right),
                Err(failed) => return vec![unreachable(&failed)],
            }
        }
        let rights = if lacking.len() == READS.len() {
            return vec![error(
                "Stripe does not accept payment.stripe.secret_key, or the key may do nothing",
                "give the restricted key the rights to write PaymentIntents and Refunds, and to read Charges, Disputes and Events",
            )];
        } else if lacking.is_empty() {
            mode
        } else {
            let lacking = lacking.join(", ");
            error(
                format!("the restricted key may not read {lacking}"),
                format!("give it the rights for {lacking} in the dashboard (Developers, API keys)"),
            )
        };
        let (hook, undelivered) = tokio::join!(self.look_at_hook(shop_url), self.undelivered(now));
        [rights].into_iter().chain(hook).chain(undelivered).collect()
    }

    fn is_restricted(&self) -> bool {
        self.settings.secret_key.reveal().starts_with("rk_")
    }

    async fn look_at_hook(&self, shop_url: Option<&str>) -> Vec<Advice> {
        if self.settings.webhook_secrets.is_empty() {
            return vec![warning(
                "payment.stripe.webhook_secret is not set, so no event is believed, and payments are found out by asking",
                format!(
                    "have Stripe (Developers, Webhooks) send events to {HOOK}, and put the endpoint's secret into the settings"
                ),
            )];
        }
        let Some(base) = shop_url else {
            return vec![warning(
                "whether a webhook endpoint points here can't be told without server.public_url",
                "set server.public_url",
            )];
        };
        let wanted = format!("{base}{HOOK}");
        let all: Vec<Endpoint> = match self.all("/v1/webhook_endpoints", Vec::new()).await {
            Ok(all) => all,
            Err(GatewayError::Denied(_)) => {
                return vec![warning(
                    "the restricted key may not read webhook endpoints, so whether one points here can't be told",
                    format!("give it that right, or look in the dashboard for an endpoint {wanted}"),
                )];
            }
            Err(failed) => return vec![unreachable(&failed)],
        };
        let here: Vec<_> = all.iter().filter(|endpoint| points_at(&endpoint.url, &wanted)).collect();
        match here.iter().find(|endpoint| endpoint.status == "enabled").or(here.first()) {
            Some(endpoint) => endpoint.judged(),
            None => vec![warning(
                format!("no webhook endpoint at Stripe points at {wanted}"),
                "add one in the dashboard (Developers, Webhooks), and put its secret into payment.stripe.webhook_secret",
            )],
        }
    }

    /// What Stripe could not tell the shop of late.
    async fn undelivered(&self, now: Time) -> Option<Advice> {
        let since = (now.seconds() - RECENT).to_string();
        let query = vec![("delivery_success", "false".to_owned()), ("created[gte]", since)];
        let list: List = self.page("/v1/events", query, None).await.ok()?;
        let count = list.read::<Value>().count();
        (count > 0).then(|| {
            warning(
                format!("{count} events of the last day could not be delivered; the shop asks after what they are about"),
                "look at the endpoint in the dashboard: is it reachable, and its secret the one in payment.stripe.webhook_secret?",
            )
        })
    }
}

impl Endpoint {
    fn judged(&self) -> Vec<Advice> {
        let url = &self.url;
        if self.status != "enabled" {
            return vec![warning(
                format!("the webhook endpoint {url} is {}", self.status),
                "enable it in the dashboard (Developers, Webhooks)",
            )];
        }
        let mut found = Vec::new();
        let is_sent = |kind: &str| self.enabled_events.iter().any(|on| on == "*" || on == kind);
        let missing: Vec<_> = EVENTS.iter().filter(|kind| !is_sent(kind)).copied().collect();
        if !missing.is_empty() {
            let (count, missing) = (missing.len(), missing.join(", "));
            found.push(warning(
                format!(
                    "the webhook endpoint {url} does not send {count} types of events that the shop goes by"
                ),
                format!("add to it: {missing}"),
            ));
        }
        // A version is a day, and since 2024 a name after it. None: the account's own.
        let day = |version: &str| version.get(..10).unwrap_or(version).to_owned();
        if let Some(version) = &self.api_version
            && !(VERSION..=NEWEST).contains(&day(version).as_str())
        {
            found.push(warning(
                format!("the webhook endpoint {url} speaks version {version}, and till is tried on {VERSION} to {NEWEST}"),
                format!("make it anew with a version from there; `stripe webhook_endpoints create -d api_version={VERSION}` can"),
            ));
        }
        if found.is_empty() {
            found.push(ok(format!("its webhook endpoint {url} is on and sends all that the shop goes by")));
        }
        found
    }
}

fn unreachable(failed: &GatewayError) -> Advice {
    error(
        format!("Stripe can't be asked: {failed}"),
        "see that this machine may reach payment.stripe.api_base",
    )
}
