//! Webhooks: who is believed, and what is done with what they say.

use reqwest::Method;
use serde_json::{Value, json};

use super::{PayPalShop, StripeShop, begun, pair, stand};
use crate::fakes::paypal::Instrument;
use crate::fakes::stripe::{FakeStripe, Outcome};
use crate::support::number;

#[tokio::test]
async fn a_webhook_that_is_not_stripes_is_refused_and_changes_nothing() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let (order, payment) = begun(&ann, tea.id, 1).await;
    shop.confirm(&payment, Outcome::Succeed);
    let events = shop.stripe.fake().take_events();
    let event =
        events.iter().find(|event| event.contains("\"payment_intent.succeeded\"")).expect("it was told");
    let now = shop.stripe.now();
    let good = FakeStripe::signature("whsec_fake", now, event);
    let before = shop.app.store.seq().expect("readable");

    let changed = event.replacen("400", "401", 1);
    assert_ne!(&changed, event);
    let parsed: Value = serde_json::from_str(event).expect("JSON");
    let old = FakeStripe::signature("whsec_fake", now - 301, event);
    let wrong = FakeStripe::signature("whsec_other", now, event);
    for (body, signature) in [
        (&changed, &good),
        (&parsed.to_string(), &good),
        (event, &old),
        (event, &wrong),
        (event, &String::new()),
    ] {
        shop.signed(body, signature).await.refused(400, "invalid_signature");
    }
    let asking =
        || shop.request(Method::POST, "/api/payment/webhook/").body("application/json", event.clone());
    asking().send().await.refused(400, "invalid_signature");
    let two = asking().header("Stripe-Signature", &good).header("Stripe-Signature", &good);
    two.send().await.refused(400, "invalid_signature");
    shop.request(Method::POST, "/api/payment/webhook/paypal/").send().await.refused(404, "not_found");
    shop.run_jobs().await;
    assert_eq!(shop.app.store.seq().expect("readable"), before, "nothing was written");
    assert_eq!(stand(&ann, order).await, pair("pending", "unpaid"));

    assert_eq!(shop.hook(event).await.status(200).json["known"], false);
    // With the secret that is being replaced, and as JSON by no name.
    let old_secret = FakeStripe::signature("whsec_old", now, event);
    assert_eq!(shop.signed(event, &old_secret).await.status(200).json["known"], true);
    shop.run_jobs().await;
    assert_eq!(stand(&ann, order).await, pair("processing", "paid"));
}

#[tokio::test]
async fn events_in_any_order_and_number_end_the_same() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "4", 99).await;
    let ann = shop.buyer().await;
    for seed in 0..12_usize {
        let (order, payment) = begun(&ann, tea.id, 1).await;
        shop.confirm(&payment, super::decline());
        shop.confirm(&payment, Outcome::RequireAction);
        let intents = shop.stripe.fake().intents();
        let intent = intents.last().expect("it was made")["id"].as_str().expect("an id").to_owned();
        shop.stripe.fake().finish(shop.stripe.now(), &intent, Outcome::Succeed).expect("it can end");
        shop.stripe.fake().refund_from_dashboard(shop.stripe.now(), &intent, Some(150)).expect("enough");
        let mut events = shop.stripe.fake().take_events();
        let turn = seed % events.len();
        events.rotate_left(turn);
        if seed % 2 == 1 {
            events.reverse();
        }
        for (n, event) in events.iter().enumerate() {
            for _ in 0..(seed + n) % 3 {
                shop.hook(event).await.status(200);
                shop.run_jobs().await;
            }
        }
        shop.later(std::time::Duration::from_secs(90));
        shop.run_jobs().await;
        let shown = ann.order(order).await;
        assert_eq!(
            (&shown["status"], &shown["payment_status"], shown["history"].as_array().map(Vec::len)),
            (&json!("processing"), &json!("partially_refunded"), Some(2)),
            "turn {seed}"
        );
        assert_eq!(shown["refunds"].as_array().map(Vec::len), Some(1), "turn {seed}");
    }
}

#[tokio::test]
async fn what_is_not_this_shops_is_accepted_and_ignored() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let (order, _) = begun(&ann, tea.id, 1).await;
    let now = shop.stripe.now();
    // No metadata, another shop's, and an order id that happens to be one of ours.
    shop.stripe.fake().foreign_intent(now, 400, "usd", &[], true);
    let id = order.to_string();
    let theirs = [("order_id", id.as_str()), ("till_shop", "ffffffffffffffff"), ("till_payment", "00")];
    shop.stripe.fake().foreign_intent(now, 400, "usd", &theirs, true);
    shop.deliver().await;
    shop.admin().await.post("/api/admin/payments/reconcile/", json!({})).await.status(200);
    assert_eq!(stand(&ann, order).await, pair("pending", "unpaid"));
    assert_eq!(shop.stripe.fake().refunds().len(), 0, "others' money is theirs");

    let unknown = json!({"id": "evt_x", "object": "event", "type": "till.made_up", "livemode": false,
        "data": {"object": {"object": "surprise"}}, "created": now, "something": {"new": 1.5}});
    assert!(shop.hook(&unknown.to_string()).await.status(200).json["ignored"].is_string());
    let mut live = unknown.clone();
    live["type"] = json!("payment_intent.succeeded");
    live["livemode"] = json!(true);
    let said = shop.hook(&live.to_string()).await.status(200).json;
    assert!(said["ignored"].as_str().is_some_and(|why| why.contains("mode")), "{said}");
    assert!(shop.hook("[]").await.status(200).json["ignored"].is_string());
    let gone = json!({"id": "evt_g", "object": "event", "type": "payment_intent.succeeded", "livemode": false,
        "data": {"object": {"object": "payment_intent", "id": "pi_nowhere"}}, "created": now});
    shop.hook(&gone.to_string()).await.status(200);
    shop.run_jobs().await;
    let report = shop.admin().await.post("/api/admin/payments/reconcile/", json!({})).await.status(200).json;
    assert!(report["results"].as_array().expect("rows").iter().all(|row| row["error"].is_null()), "{report}");
}

#[tokio::test]
async fn what_stripe_could_not_deliver_is_read_and_money_without_an_order_goes_back() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let (order, payment) = begun(&ann, tea.id, 1).await;
    shop.confirm(&payment, Outcome::Succeed);
    shop.deliver().await;
    let intent = shop.stripe.fake().intents()[0]["id"].as_str().expect("an id").to_owned();
    shop.stripe.fake().refund_from_dashboard(shop.stripe.now(), &intent, Some(100)).expect("there is enough");
    // Of an attempt that this shop's journal has never heard of.
    let (ours, now) = (shop.app.shop.clone(), shop.stripe.now());
    let tag = [
        ("till_shop", ours.as_str()),
        ("till_payment", "0123456789abcdef0123456789abcdef"),
        ("order_id", "1"),
    ];
    let stray = shop.stripe.fake().foreign_intent(now, 1234, "usd", &tag, true);
    // By itself the shop only tells: its data may be an older copy of itself.
    till::payments::reconcile_all(&shop.app, false).await.expect("readable");
    assert_eq!(shop.stripe.fake().refunds().len(), 1);
    let told = admin.mails_of("stray_money").await;
    assert_eq!((told.len(), &told[0]["to"]), (1, &json!([admin.email])));
    assert!(told[0]["text"].as_str().expect("text").contains("12.34 USD came to stripe"), "{}", told[0]);
    let report = admin.post("/api/admin/payments/reconcile/", json!({})).await.status(200).json;
    let rows = report["results"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["kind"] == "stray").expect("it was found");
    assert_eq!(
        (&row["reference"], &row["after"], &row["order_id"]),
        (&json!(stray), &json!("succeeded"), &json!(1))
    );
    let refunds = shop.stripe.fake().refunds();
    assert!(refunds.iter().any(|refund| refund["payment_intent"] == stray && refund["amount"] == 1234));
    assert_eq!(stand(&ann, order).await, pair("processing", "partially_refunded"));
    admin.post("/api/admin/payments/reconcile/", json!({})).await.status(200);
    assert_eq!(shop.stripe.fake().refunds().len(), 2, "once");
}

#[tokio::test]
async fn paypals_webhooks_are_believed_by_certificate_or_by_paypal_itself() {
    let shop = PayPalShop::open().await;
    let tea = shop.product("Tea", "4", 99).await;
    let ann = shop.buyer().await;
    let approved = async || {
        let (order, payment) = begun(&ann, tea.id, 1).await;
        let reference = shop.reference(&payment).await;
        let now = shop.paypal.now();
        shop.paypal.fake().approve(now, &reference, Instrument::Good).expect("approved");
        let events = shop.paypal.fake().take_events();
        (order, events.into_iter().next_back().expect("it was told"))
    };
    let (order, event) = approved().await;
    let now = shop.paypal.now();
    let good = shop.paypal.fake().signed(now, &event);
    let url = shop.paypal.fake().cert_url.clone();
    let stranger = shop.paypal.fake().signed_by("stranger.key.pem", &url, now, &event);
    let elsewhere =
        shop.paypal.fake().signed_by("leaf.key.pem", &url.replace("localhost", "127.0.0.1"), now, &event);
    let plain = shop.paypal.fake().signed_by("leaf.key.pem", &url.replace("https", "http"), now, &event);
    let user = shop.paypal.fake().signed_by(
        "leaf.key.pem",
        &url.replace("https://localhost", "https://localhost@evil.example"),
        now,
        &event,
    );
    let before = shop.app.store.seq().expect("readable");
    for headers in [&stranger, &elsewhere, &plain, &user] {
        shop.signed(&event, headers).await.refused(400, "invalid_signature");
    }
    shop.signed(&event.replacen("CHECKOUT", "CHECKOUX", 1), &good).await.refused(400, "invalid_signature");
    for missing in 0..good.len() {
        let mut some = good.clone();
        some.remove(missing);
        shop.signed(&event, &some).await.refused(400, "invalid_signature");
    }
    let mut other = good.clone();
    for header in &mut other {
        if header.0 == "paypal-auth-algo" {
            header.1 = "SHA1withRSA".into();
        }
    }
    shop.signed(&event, &other).await.refused(400, "invalid_signature");
    assert_eq!(shop.app.store.seq().expect("readable"), before, "nothing was written");
    assert_eq!(shop.signed(&event, &good).await.status(200).json["known"], false);
    assert_eq!(shop.signed(&event, &good).await.status(200).json["known"], true);
    shop.run_jobs().await;
    assert_eq!(stand(&ann, order).await, pair("processing", "paid"));

    // A certificate that nobody whom we trust vouches for, or that ran out: PayPal itself is asked.
    for file in ["stranger-chain.pem", "expired-chain.pem"] {
        let url = format!("{}/v1/notifications/certs/{file}", shop.paypal.base);
        shop.paypal.fake().cert_url = url;
        shop.paypal.fake().cert_file = file.into();
        let (order, event) = approved().await;
        // As PayPal writes it, which is not as we would: the signature is over every blank.
        let event = event.replacen('{', "{ \n\t", 1).replacen("\":", "\" : ", 3);
        let forged = event.replacen("CHECKOUT", "CHECKOUX", 1);
        let headers = shop.paypal.fake().signed(now, &event);
        shop.signed(&forged, &headers).await.refused(400, "invalid_signature");
        shop.signed(&event, &headers).await.status(200);
        shop.run_jobs().await;
        assert_eq!(stand(&ann, order).await, pair("processing", "paid"), "{file}");
    }
    let list = shop.admin().await.get("/api/admin/payments/").await.json;
    assert!(list["results"].as_array().expect("rows").iter().all(|row| number(&row["id"]) > 0));
}
