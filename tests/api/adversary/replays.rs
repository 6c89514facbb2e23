//! Events of gateways that are sent again, by somebody else, or to another door.

use reqwest::Method;
use serde_json::{Value, json};

use crate::fakes::stripe::{FakeStripe, Outcome};
use crate::gateways::{PayPalShop, StripeShop, begun, pair, stand};

#[tokio::test]
async fn an_event_that_is_sent_again_after_the_refund_makes_nothing_paid() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "4.00", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let (order, payment) = begun(&ann, tea.id, 1).await;
    shop.confirm(&payment, Outcome::Succeed);
    let events = shop.stripe.fake().take_events();
    for event in &events {
        shop.hook(event).await.status(200);
    }
    shop.run_jobs().await;
    assert_eq!(stand(&ann, order).await, pair("processing", "paid"));
    admin.post(&format!("/api/admin/orders/{order}/refund/"), json!({"restock": true})).await.status(201);
    shop.deliver().await;
    let after = ann.order(order).await;
    assert_eq!(after["payment_status"], "refunded");
    let stock = shop.stock_of(tea.id).await;

    for event in &events {
        // As it was, and as an attacker who has the secret would: under another name, and as a later one.
        let mut parsed: Value = serde_json::from_str(event).expect("JSON");
        parsed["id"] = json!(format!("evt_new_{}", parsed["type"].as_str().unwrap_or_default()));
        parsed["created"] = json!(shop.stripe.now() + 60);
        for event in [event.clone(), parsed.to_string()] {
            shop.hook(&event).await.status(200);
            shop.run_jobs().await;
        }
    }
    let mut again = ann.order(order).await;
    again["updated_at"] = after["updated_at"].clone();
    assert_eq!(again["payment_status"], "refunded");
    assert_eq!(
        (&again["status"], &again["refunds"], &again["history"]),
        (&after["status"], &after["refunds"], &after["history"])
    );
    assert_eq!(shop.stock_of(tea.id).await, stock);
}

#[tokio::test]
async fn a_signature_is_good_for_its_body_its_time_and_its_door() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "4.00", 9).await;
    let ann = shop.buyer().await;
    let (first, first_payment) = begun(&ann, tea.id, 1).await;
    let (second, _) = begun(&ann, tea.id, 1).await;
    shop.confirm(&first_payment, Outcome::Succeed);
    let events = shop.stripe.fake().take_events();
    let event = events
        .iter()
        .find(|event| event.contains("\"payment_intent.succeeded\""))
        .expect("it was told")
        .clone();
    let now = shop.stripe.now();
    let good = FakeStripe::signature("whsec_fake", now, &event);
    let signature = good.split_once("v1=").expect("a signature").1.to_owned();
    let before = shop.app.store.seq().expect("readable");
    for header in [
        format!("t={},v1={signature}", now + 1),
        format!("t={now},v0={signature}"),
        format!("t={now},v1={}", signature.to_uppercase()),
        format!("t={now},v1={}", &signature[..32]),
        format!("t={now},v1="),
        format!("t=,v1={signature}"),
        format!("t={now},t={},v1={signature}", now + 1).replacen(&now.to_string(), &(now + 1).to_string(), 1),
        format!("v1={signature}"),
        FakeStripe::signature("", now, &event),
        FakeStripe::signature("sk_test_fake", now, &event),
        FakeStripe::signature("whsec_fake,whsec_old", now, &event),
        FakeStripe::signature("whsec_fake", now - 301, &event),
    ] {
        shop.signed(&event, &header).await.refused(400, "invalid_signature");
    }
    // Another event under this one's signature; this one with a body that means the same, or more.
    let other = event.replace(&first.to_string(), &second.to_string());
    for body in [other, format!("{event} "), event.replacen('{', "{\"livemode\":true,", 1), String::new()] {
        shop.signed(&body, &good).await.refused(400, "invalid_signature");
    }
    let door =
        shop.request(Method::POST, "/api/payment/webhook/paypal/").body("application/json", event.clone());
    door.header("Stripe-Signature", &good).send().await.refused(404, "not_found");
    shop.run_jobs().await;
    assert_eq!(shop.app.store.seq().expect("readable"), before, "nothing was written");
    // Real money's events mean nothing to a shop of test keys.
    let mut live: Value = serde_json::from_str(&event).expect("JSON");
    live["livemode"] = json!(true);
    assert!(shop.hook(&live.to_string()).await.status(200).json["ignored"].is_string());
    assert_eq!(shop.app.store.seq().expect("readable"), before, "nothing was written");
    assert_eq!(stand(&ann, second).await, pair("pending", "unpaid"));
}

#[tokio::test]
async fn paypals_door_opens_for_nobodys_key_and_for_no_other_webhook() {
    let shop = PayPalShop::open().await;
    let tea = shop.product("Tea", "4.00", 9).await;
    let ann = shop.buyer().await;
    let (order, payment) = begun(&ann, tea.id, 1).await;
    let reference = shop.reference(&payment).await;
    let event = json!({
        "id": "WH-1", "event_type": "PAYMENT.CAPTURE.COMPLETED", "resource_type": "capture", "create_time": "2026-11-23T10:00:00Z",
        "resource": {"id": "CAP1", "status": "COMPLETED", "amount": {"currency_code": "USD", "value": "4.00"},
            "supplementary_data": {"related_ids": {"order_id": reference}}},
    })
    .to_string();
    let now = shop.paypal.now();
    let good = shop.paypal.fake().signed(now, &event);
    let before = shop.app.store.seq().expect("readable");
    for (name, value) in [
        ("paypal-transmission-sig", "AAAA"),
        ("paypal-transmission-id", "another"),
        ("paypal-transmission-time", "2026-11-23T10:00:01Z"),
        ("paypal-auth-algo", "none"),
        ("paypal-auth-algo", "SHA1withRSA"),
        ("paypal-cert-url", "https://evil.example/v1/notifications/certs/CERT-1"),
        ("paypal-cert-url", "https://localhost.evil.example/v1/notifications/certs/CERT-1"),
        ("paypal-cert-url", "https://localhost@evil.example/v1/notifications/certs/CERT-1"),
        ("paypal-cert-url", "http://localhost/v1/notifications/certs/CERT-1"),
        ("paypal-cert-url", "file:///etc/passwd"),
    ] {
        let mut headers = good.clone();
        headers.retain(|(known, _)| *known != name);
        headers.push((name, value.to_owned()));
        let answer = shop.signed(&event, &headers).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json["code"]),
            (400, &json!("invalid_signature")),
            "{name}: {value}"
        );
    }
    shop.signed(&event.replace("4.00", "0.04"), &good).await.refused(400, "invalid_signature");
    assert_eq!(shop.app.store.seq().expect("readable"), before, "nothing was written");
    // Well signed, it is a hint: PayPal, which is asked, knows of no such capture.
    shop.signed(&event, &good).await.status(200);
    shop.run_jobs().await;
    assert_eq!(stand(&ann, order).await, pair("pending", "unpaid"));
}
