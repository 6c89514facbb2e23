//! The shop against a Stripe and a PayPal of the tests' own, over real HTTP. Every request that the shop sends is held
//! against the gateways' published descriptions.

mod failures;
mod paypal;
mod report;
mod restore;
mod stripe;
mod upgrade;
mod webhooks;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use till::clock::{Clock, ManualClock};
use till::config::{Secret, Setting};
use till::mail::Transport;
use till::payments::gateway::Gateway;
use till::payments::gateway::paypal::{PayPal, Settings as PayPalSettings, Trust};
use till::payments::gateway::wire::HttpWire;

use crate::fakes::paypal::FakePayPal;
use crate::fakes::serve::{Served, fixture};
use crate::fakes::stripe::{FakeStripe, Outcome};
use crate::support::{Answer, Person, Settings, Shop, number};

/// A shop that takes payments through the fake Stripe.
pub struct StripeShop {
    // The shop goes first: what it still sends is judged, too.
    shop: Shop,
    pub stripe: Served<FakeStripe>,
}

impl Deref for StripeShop {
    type Target = Shop;

    fn deref(&self) -> &Shop {
        &self.shop
    }
}

impl StripeShop {
    pub async fn open() -> StripeShop {
        StripeShop::with(&[]).await
    }

    pub async fn with(settings: Settings<'_>) -> StripeShop {
        StripeShop::of(settings, None).await
    }

    /// A shop whose mails go to `mail`.
    pub async fn with_mail(settings: Settings<'_>, mail: Arc<dyn Transport>) -> StripeShop {
        StripeShop::of(settings, Some(mail)).await
    }

    async fn of(settings: Settings<'_>, mail: Option<Arc<dyn Transport>>) -> StripeShop {
        let clock = Shop::new_clock();
        let stripe = Served::start(FakeStripe::new(), Arc::clone(&clock)).await;
        let base = stripe.base.clone();
        let mut all = vec![
            ("payment.stripe.secret_key", "sk_test_fake"),
            ("payment.stripe.webhook_secret", "whsec_old,whsec_fake"),
            ("payment.stripe.api_base", base.as_str()),
            ("payment.timeout_seconds", "1"),
        ];
        all.extend(settings);
        let dir = tempfile::tempdir().expect("a directory");
        StripeShop { shop: Shop::of(dir, clock, &all, Vec::new(), mail).await, stripe }
    }

    /// What the customer does in the browser, with the secret that the shop handed on.
    pub fn confirm(&self, payment: &Value, outcome: Outcome) {
        let secret = payment["client_secret"].as_str().expect("a secret");
        self.stripe.fake().confirm(self.stripe.now(), secret, outcome).expect("it can be confirmed");
    }

    /// Stripe tells the shop what happened since.
    pub async fn deliver(&self) -> usize {
        let events = self.stripe.fake().take_events();
        for event in &events {
            self.hook(event).await.status(200);
        }
        self.run_jobs().await;
        events.len()
    }

    /// One event, as Stripe would send it.
    pub async fn hook(&self, event: &str) -> Answer {
        let signature = FakeStripe::signature("whsec_fake", self.stripe.now(), event);
        self.signed(event, &signature).await
    }

    pub async fn signed(&self, event: &str, signature: &str) -> Answer {
        let asking = self.request(Method::POST, "/api/payment/webhook/");
        asking.body("application/json", event.to_owned()).header("Stripe-Signature", signature).send().await
    }
}

/// An order of one product and its payment, begun.
pub async fn begun(who: &Person<'_>, product: u64, quantity: u64) -> (u64, Value) {
    let order = who.ordered(product, quantity).await;
    let payment = who.post("/api/payment/", json!({"order_id": order})).await.status(201).json;
    (order, payment)
}

/// How the order and its payment stand.
pub async fn stand(who: &Person<'_>, order: u64) -> (String, String) {
    let order = who.order(order).await;
    let text = |name: &str| order[name].as_str().expect("text").to_owned();
    (text("status"), text("payment_status"))
}

pub fn pair(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

pub fn decline() -> Outcome {
    Outcome::Decline {
        code: "card_declined".into(),
        decline_code: Some("insufficient_funds".into()),
        message: "Your card has insufficient funds.".into(),
    }
}

/// A shop that takes payments through the fake PayPal. Its certificates come over HTTPS.
pub struct PayPalShop {
    shop: Shop,
    pub paypal: Served<FakePayPal>,
}

impl Deref for PayPalShop {
    type Target = Shop;

    fn deref(&self) -> &Shop {
        &self.shop
    }
}

impl PayPalShop {
    pub async fn open() -> PayPalShop {
        PayPalShop::with(&[]).await
    }

    pub async fn with(settings: Settings<'_>) -> PayPalShop {
        let clock = Shop::new_clock();
        let paypal = Served::start_tls(FakePayPal::new(), Arc::clone(&clock)).await;
        paypal.fake().cert_url = format!("{}/v1/notifications/certs/CERT-1", paypal.base);
        let gateways = vec![PayPalShop::gateway(&paypal, &clock)];
        PayPalShop { shop: Shop::on(clock, settings, gateways).await, paypal }
    }

    /// What asks it.
    pub fn gateway(paypal: &Served<FakePayPal>, clock: &Arc<ManualClock>) -> Arc<dyn Gateway> {
        let root = fixture("root.pem");
        let trusted = reqwest::Certificate::from_pem(&root).expect("a certificate");
        let wire = Arc::new(HttpWire::new(Duration::from_secs(1), vec![trusted]));
        let roots = rustls::pki_types::pem::PemObject::from_pem_slice(&root).expect("a certificate");
        let asked = PayPalSettings {
            client_id: "paypal-client".into(),
            client_secret: Secret::read("paypal-secret").expect("any text"),
            webhook_id: "WH1TEST".into(),
            api_base: paypal.base.clone(),
            cert_hosts: vec!["localhost".into()],
            return_url: Some("https://shop.example.com/thanks".into()),
        };
        let clock = Arc::clone(clock) as Arc<dyn Clock>;
        Arc::new(PayPal::new(asked, wire, clock, Trust::These(vec![roots])))
    }

    pub async fn deliver(&self) -> usize {
        let events = self.paypal.fake().take_events();
        for event in &events {
            self.hook(event).await.status(200);
        }
        self.run_jobs().await;
        events.len()
    }

    /// One event, as PayPal would send it.
    pub async fn hook(&self, event: &str) -> Answer {
        let headers = self.paypal.fake().signed(self.paypal.now(), event);
        self.signed(event, &headers).await
    }

    pub async fn signed(&self, event: &str, headers: &[(&'static str, String)]) -> Answer {
        let asking = self.request(Method::POST, "/api/payment/webhook/paypal/");
        let asking = asking.body("application/json", event.to_owned());
        headers.iter().fold(asking, |asking, (name, value)| asking.header(name, value)).send().await
    }

    /// PayPal's id of a payment's order.
    pub async fn reference(&self, payment: &Value) -> String {
        let path = format!("/api/admin/payments/{}/", number(&payment["id"]));
        let shown = self.staff().await.get(&path).await.status(200).json;
        shown["reference"].as_str().expect("it was made").to_owned()
    }
}
