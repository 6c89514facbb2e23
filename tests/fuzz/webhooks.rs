//! Events from gateways, genuine and not: what is not signed does nothing; what is signed, and whatever the gateway then
//! says of the payment, leaves everything true that must be.
//!
//! An input is `stripe` or `paypal`, and headers after a blank each, on lines up to an empty one, and a body. Of `signed`
//! ones the test makes the signature.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use till::clock::Time;

use super::shop::{self, NOW, STRIPE_SECRET, Who};
use super::text::line;

pub fn run(data: &[u8]) {
    let (kind, mut rest) = line(data);
    let mut headers = Vec::new();
    loop {
        let (head, after) = line(rest);
        let text = std::str::from_utf8(head).ok().and_then(|text| text.split_once(": "));
        let Some((name, value)) = text else { break };
        headers.push((name.to_owned(), value.to_owned()));
        rest = after;
    }
    let body = rest.strip_prefix(b"\n").unwrap_or(rest);
    let is_signed = kind.ends_with(b"signed");
    let path = if kind.starts_with(b"paypal") {
        if is_signed {
            headers = paypal();
        }
        "/api/payment/webhook/paypal/"
    } else {
        if is_signed {
            headers = vec![("Stripe-Signature".into(), stripe(body))];
        }
        "/api/payment/webhook/"
    };
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let event: Value = serde_json::from_slice(body).unwrap_or_default();
    let object = if event["resource"].is_null() { &event["data"]["object"] } else { &event["resource"] };
    shop::with(|shop| {
        shop::gateways_tell(object.to_string().as_bytes());
        shop.ask(Who::Nobody, "POST", path, &headers, body);
        if shop.has_changed() {
            shop.run_jobs();
            shop.check();
        }
    });
}

/// By the shop's own secret.
fn stripe(body: &[u8]) -> String {
    let now = Time::parse(NOW).expect("a time").seconds();
    let mut mac = Hmac::<Sha256>::new_from_slice(STRIPE_SECRET.as_bytes()).expect("any length will do");
    mac.update(format!("{now}.").as_bytes());
    mac.update(body);
    let mac = till::hex::hex(&mac.finalize().into_bytes());
    format!("t={now},v1={mac}")
}

/// With a certificate that can't be had, so that PayPal is asked, which says yes.
fn paypal() -> Vec<(String, String)> {
    [
        ("paypal-transmission-id", "fuzz"),
        ("paypal-transmission-time", NOW),
        ("paypal-transmission-sig", "AAAA"),
        ("paypal-cert-url", "https://certificates.test/v1/notifications/certs/one"),
        ("paypal-auth-algo", "SHA256withRSA"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut intent = shop::intent();
    intent["amount_received"] = intent["amount"].clone();
    intent["status"] = "succeeded".into();
    intent["latest_charge"] =
        json!({"id": "ch_1", "amount_refunded": 0, "balance_transaction": {"fee": 30, "currency": "eur"}});
    let intent = &intent.to_string();
    let dispute = r#"{"id":"dp_1","object":"dispute","charge":"ch_1","payment_intent":"pi_1","amount":400,"currency":"eur","status":"needs_response","reason":"fraudulent","created":1795600000,"balance_transactions":[]}"#;
    let refund = r#"{"id":"re_1","object":"refund","amount":100,"currency":"eur","status":"succeeded","charge":"ch_1","payment_intent":"pi_1","created":1795600000,"metadata":{}}"#;
    let stripe = |kind: &str, object: &str| {
        format!(
            "stripe signed\n\n{{\"id\":\"evt_1\",\"object\":\"event\",\"type\":\"{kind}\",\"created\":1795600000,\"livemode\":false,\"data\":{{\"object\":{object}}}}}"
        )
    };
    let capture = r#"{"id":"CAP1","status":"COMPLETED","amount":{"currency_code":"EUR","value":"4.00"},"custom_id":"till.shop.1.1","supplementary_data":{"related_ids":{"order_id":"ORD1"}},"create_time":"2026-11-23T10:00:00Z"}"#;
    let order = r#"{"id":"ORD1","status":"APPROVED","intent":"CAPTURE","purchase_units":[{"amount":{"currency_code":"EUR","value":"4.00"},"custom_id":"till.shop.1.1","payments":{"captures":[]}}]}"#;
    let paypal = |kind: &str, resource_type: &str, resource: &str| {
        format!(
            "paypal signed\n\n{{\"id\":\"WH-1\",\"event_type\":\"{kind}\",\"resource_type\":\"{resource_type}\",\"create_time\":\"2026-11-23T10:00:00Z\",\"resource\":{resource}}}"
        )
    };
    [
        stripe("payment_intent.succeeded", intent),
        stripe("payment_intent.payment_failed", intent),
        stripe("charge.refunded", r#"{"id":"ch_1","object":"charge","payment_intent":"pi_1"}"#),
        stripe("refund.updated", refund),
        stripe("charge.dispute.created", dispute),
        paypal("CHECKOUT.ORDER.APPROVED", "checkout-order", order),
        paypal("PAYMENT.CAPTURE.COMPLETED", "capture", capture),
        paypal("PAYMENT.CAPTURE.REFUNDED", "refund", capture),
        paypal("CUSTOMER.DISPUTE.CREATED", "dispute", r#"{"dispute_id":"PP-D-1","status":"OPEN","disputed_transactions":[{"seller_transaction_id":"CAP1"}],"dispute_amount":{"currency_code":"EUR","value":"4.00"}}"#),
        "stripe\nStripe-Signature: t=1795600000,v1=00,v0=1\n\n{}".into(),
        "paypal\npaypal-transmission-id: a\npaypal-transmission-time: 2026-11-23T10:00:00Z\npaypal-transmission-sig: AAAA\npaypal-cert-url: https://api.paypal.com/v1/notifications/certs/CERT\npaypal-auth-algo: SHA256withRSA\n\n{}".into(),
    ]
    .map(String::into_bytes)
    .to_vec()
}
