//! What the settings say about payment gateways.

use std::time::Duration;

use super::read::Faults;
use super::value::list;
use super::{Config, Secret, Setting};
use crate::payments::gateway::{paypal, stripe};

/// What one setting's check can't see.
pub(super) fn check(config: &Config, faults: &mut Faults) {
    let key = config.payment_stripe_secret_key.reveal();
    faults.of("payment.stripe.secret_key", stripe_key(key));
    let (id, secret) = (&config.payment_paypal_client_id, config.payment_paypal_client_secret.reveal());
    if id.is_empty() != secret.is_empty() {
        let missing = if id.is_empty() { "payment.paypal.client_id" } else { "payment.paypal.client_secret" };
        faults.say(missing, "is missing: PayPal's client_id and client_secret go together");
    }
}

fn stripe_key(key: &str) -> Result<(), &'static str> {
    if key.starts_with("pk_") {
        return Err(
            "is a publishable key (pk_…); the shop needs the secret one (sk_…), and the browser this one",
        );
    }
    if key.starts_with("whsec_") {
        return Err("is a webhook secret (whsec_…); that belongs into payment.stripe.webhook_secret");
    }
    if !(key.is_empty() || key.starts_with("sk_") || key.starts_with("rk_")) {
        return Err("must be a secret key of Stripe's: sk_test_…, sk_live_…, or a restricted one, rk_…");
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be visible ASCII characters, without blanks");
    }
    Ok(())
}

impl Config {
    /// What Stripe is asked with, if there is a key for it.
    pub fn stripe(&self, shop: &str) -> Option<stripe::Settings> {
        let secret = |text| Secret::read(text).ok();
        (!self.payment_stripe_secret_key.reveal().is_empty()).then(|| stripe::Settings {
            secret_key: self.payment_stripe_secret_key.clone(),
            webhook_secrets: list(self.payment_stripe_webhook_secret.reveal()).filter_map(secret).collect(),
            api_base: self.payment_stripe_api_base.trim_end_matches('/').to_owned(),
            shop: shop.to_owned(),
        })
    }

    /// What PayPal is asked with, if there is a key for it.
    pub fn paypal(&self) -> Option<paypal::Settings> {
        let back = [self.payment_paypal_return_url.clone(), self.public_url()];
        (!self.payment_paypal_client_id.is_empty()).then(|| paypal::Settings {
            client_id: self.payment_paypal_client_id.clone(),
            client_secret: self.payment_paypal_client_secret.clone(),
            webhook_id: self.payment_paypal_webhook_id.clone(),
            api_base: self.payment_paypal_api_base.trim_end_matches('/').to_owned(),
            cert_hosts: list(&self.payment_paypal_cert_hosts).map(str::to_owned).collect(),
            return_url: back.into_iter().find(|url| !url.is_empty()),
        })
    }

    /// The settings that webhooks are verified with and that are missing, with the path that they are for.
    pub fn deaf_webhooks(&self) -> Vec<(&'static str, &'static str)> {
        let has_stripe = !self.payment_stripe_secret_key.reveal().is_empty();
        let has_paypal = !self.payment_paypal_client_id.is_empty();
        let mut deaf = Vec::new();
        if has_stripe && self.payment_stripe_webhook_secret.reveal().is_empty() {
            deaf.push(("payment.stripe.webhook_secret", "/api/payment/webhook/"));
        }
        if has_paypal && self.payment_paypal_webhook_id.is_empty() {
            deaf.push(("payment.paypal.webhook_id", "/api/payment/webhook/paypal/"));
        }
        deaf
    }

    pub fn payment_timeout(&self) -> Duration {
        Duration::from_secs(self.payment_timeout_seconds.0)
    }
}
