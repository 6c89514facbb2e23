//! A walk through every operation. What it sends and what is answered are the samples of the API's description
//! (`src/http/samples.json`); this test holds them against a running shop.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Map, Value, json};
use till::accounts::Role;
use till::id::UserId;

use crate::fakes::paypal::Instrument;
use crate::fakes::serve::Served;
use crate::fakes::sinks::{FakeSentry, dsn};
use crate::fakes::stripe::Outcome;
use crate::gateways::{PayPalShop, StripeShop, begun};
use crate::mail::Post;
use crate::support::{PASSWORD, Person, Shop, address, number};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/samples.json");
/// For the operator's socket alone.
const UNSAMPLED: &[&str] = &["GET /metrics"];
const NEW_PASSWORD: &str = "another fine password";

#[tokio::test]
async fn every_sample_of_the_description_is_what_the_shop_answers() {
    let post = Post::new();
    let sentry = Served::start(FakeSentry::default(), Shop::new_clock()).await;
    let dsn = dsn(&sentry.base);
    let settings = [
        ("errors.sentry_dsn", dsn.as_str()),
        ("server.public_url", "https://shop.example.com"),
        ("shop.name", "Ann's Teas"),
        ("mail.from", "a@example.com"),
    ];
    let shop = StripeShop::with_mail(&settings, post.transport()).await;
    let paypal = PayPalShop::with(&settings).await;
    shop.keeps_samples();
    paypal.keeps_samples();

    for path in ["/healthz", "/readyz", "/api/openapi.json", "/api/docs/", "/api/docs/init.js"] {
        shop.get(path).await.status(200);
    }
    let admin = shop.named("owner@example.com", Role::Admin).await;
    accounts(&shop).await;
    let tea = catalogue(&shop, &admin).await;
    coupons(&admin).await;
    let ann = shop.named("ann@example.com", Role::Customer).await;
    shopping(&ann, tea).await;
    orders(&shop, &ann, &admin, tea).await;
    payments(&shop, &ann, &admin, tea).await;
    told_by_paypal(&paypal).await;
    people(&shop, &admin).await;
    shop_keeping(&admin).await;

    let mut found = shop.samples();
    for (operation, sample) in paypal.samples() {
        found.entry(operation).or_insert(sample);
    }
    let missing: Vec<_> = till::http::operations()
        .into_iter()
        .map(|(verb, path)| format!("{verb} {path}"))
        .filter(|operation| !UNSAMPLED.contains(&operation.as_str()) && !found.contains_key(operation))
        .collect();
    assert_eq!(missing, Vec::<String>::new(), "operations that this walk leaves out");
    if std::env::var_os("TILL_WRITE_SAMPLES").is_some() {
        let text = serde_json::to_string_pretty(&found).expect("JSON");
        std::fs::write(FILE, text + "\n").expect("written");
    }
    let kept: BTreeMap<String, Value> =
        serde_json::from_str(&std::fs::read_to_string(FILE).expect("the samples")).expect("JSON");
    let shapes = |all: &BTreeMap<String, Value>| -> BTreeMap<String, Value> {
        all.iter().map(|(operation, sample)| (operation.clone(), shape(sample))).collect()
    };
    let (kept, found) = (shapes(&kept), shapes(&found));
    for (operation, sample) in &found {
        assert_eq!(
            kept.get(operation),
            Some(sample),
            "the sample of {operation} is another now: TILL_WRITE_SAMPLES=1 cargo test --test api samples"
        );
    }
    assert_eq!(kept.len(), found.len(), "samples of what is not there any more");
}

/// What a sample is made of: names and types, without the values, which differ from one shop to the next.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), shape(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::String(_) => "string".into(),
        Value::Number(_) => "number".into(),
        Value::Bool(_) => "boolean".into(),
        Value::Null => Value::Null,
    }
}

async fn post(shop: &Shop, path: &str, body: Value) -> Value {
    let answer = shop.request(Method::POST, path).json(&body).send().await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text);
    answer.json
}

async fn accounts(shop: &Shop) {
    let new = json!({"email": "bob@example.com", "password": PASSWORD, "name": "Bob"});
    let made = post(shop, "/api/auth/register/", new).await;
    let id = UserId(number(&made["user"]["id"]));
    let (keys, now) = (&shop.app.keys, shop.app.clock.now());
    let proof = shop.app.store.read(|tx| till::accounts::proof_token(tx, keys, id, now)).expect("readable");
    post(shop, "/api/auth/verify/", json!({"token": proof.expect("it is not proven").0})).await;

    let credentials = json!({"email": "bob@example.com", "password": PASSWORD});
    let login = post(shop, "/api/auth/login/", credentials).await;
    let fresh = post(shop, "/api/auth/token/refresh/", json!({"refresh": login["refresh"]})).await;
    let bearer = fresh["access"].as_str().expect("a token").to_owned();
    let ask = |method: Method, path: &str| shop.request(method, path).token(&bearer);
    ask(Method::GET, "/api/auth/me/").send().await.status(200);
    let home = json!({"name": "Bob Lee", "default_address": address()});
    ask(Method::PATCH, "/api/auth/me/").json(&home).send().await.status(200);
    ask(Method::POST, "/api/auth/verify/resend/").send().await.status(202);
    ask(Method::GET, "/api/auth/me/export/").send().await.status(200);
    let change = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
    ask(Method::POST, "/api/auth/password/").json(&change).send().await.status(204);
    post(shop, "/api/auth/logout/", json!({"refresh": fresh["refresh"]})).await;

    post(shop, "/api/auth/password/reset/", json!({"email": "bob@example.com"})).await;
    shop.run_jobs().await;
    let reset = shop.app.store.read(|tx| till::accounts::reset_token(tx, keys, id, shop.app.clock.now()));
    let (token, _) = reset.expect("readable").expect("it was asked for");
    post(shop, "/api/auth/password/reset/confirm/", json!({"token": token, "new_password": PASSWORD})).await;
    let bob = post(shop, "/api/auth/login/", json!({"email": "bob@example.com", "password": PASSWORD})).await;
    let bearer = bob["access"].as_str().expect("a token");
    let asking = shop.request(Method::DELETE, "/api/auth/me/").token(bearer);
    asking.json(&json!({"password": PASSWORD})).send().await.status(204);
}

/// A product, and all that is done with products; its id.
async fn catalogue(shop: &Shop, admin: &Person<'_>) -> u64 {
    let tea = json!({
        "name": "Assam", "price": "4.00", "description": "Strong.", "category": "Black tea", "tags": ["tea"],
        "sku": "ASSAM", "stock_quantity": 40, "low_stock_threshold": 50, "weight_grams": 120,
    });
    let tea = number(&admin.post("/api/products/", tea).await.status(201).json["id"]);
    let path = format!("/api/products/{tea}/");
    let whole = json!({
        "name": "Assam", "price": "4.50", "description": "Strong.", "category": "Black tea", "tags": ["tea"], "sku": "ASSAM",
    });
    admin.put(&path, whole).await.status(200);
    admin.patch(&path, json!({"compare_at_price": "5.00"})).await.status(200);
    let shirt = json!({
        "name": "Shirt", "price": "20.00", "options": [{"name": "Size", "values": ["S", "M"]}],
        "variants": [{"options": {"Size": "S"}, "stock_quantity": 3}, {"options": {"Size": "M"}, "stock_quantity": 5}],
    });
    let shirt = admin.post("/api/products/", shirt).await.status(201).json["id"].clone();
    admin.delete(&format!("/api/products/{shirt}/")).await.status(204);
    shop.get("/api/products/?category=black-tea&in_stock=true&ordering=-price").await.status(200);
    shop.get(&path).await.status(200);
    shop.get("/api/categories/").await.status(200);

    let variant = admin.get(&path).await.json["variants"][0]["id"].clone();
    admin
        .post("/api/admin/inventory/adjust/", json!({"variant_id": variant, "delta": -2, "reason": "broken"}))
        .await
        .status(200);
    admin.get("/api/admin/inventory/low-stock/").await.status(200);
    admin.get(&format!("/api/admin/inventory/movements/?variant_id={variant}")).await.status(200);

    let file = "name,price,sku,stock_quantity\nDarjeeling,6.00,DARJ,12\n";
    admin.asks(Method::POST, "/api/admin/products/import/").body("text/csv", file).send().await.status(200);
    let imports = admin.get("/api/admin/products/imports/").await.status(200).json;
    let import = number(&imports["results"][0]["id"]);
    admin.get(&format!("/api/admin/products/imports/{import}/")).await.status(200);
    admin.get("/api/admin/products/export/?format=csv").await.status(200);
    admin.post(&format!("/api/admin/products/imports/{import}/undo/"), json!({})).await.status(200);
    tea
}

async fn coupons(admin: &Person<'_>) {
    let spring = json!({"code": "SPRING10", "kind": "percent", "value": "10", "max_uses": 500});
    admin.post("/api/admin/coupons/", spring).await.status(201);
    admin.get("/api/admin/coupons/").await.status(200);
    admin.get("/api/admin/coupons/SPRING10/").await.status(200);
    let whole = json!({"kind": "percent", "value": "10", "min_subtotal": "5.00"});
    admin.put("/api/admin/coupons/SPRING10/", whole).await.status(200);
    admin.patch("/api/admin/coupons/SPRING10/", json!({"max_uses_per_user": 1})).await.status(200);
    let gone = json!({"code": "AUTUMN", "kind": "amount", "value": "2.00"});
    admin.post("/api/admin/coupons/", gone).await.status(201);
    admin.delete("/api/admin/coupons/AUTUMN/").await.status(204);
}

/// Wishes and a cart, in the end with two of the tea in it and a coupon.
async fn shopping(ann: &Person<'_>, tea: u64) {
    ann.post("/api/wishlist/", json!({"product_id": tea})).await.status(201);
    ann.get("/api/wishlist/").await.status(200);
    ann.post(&format!("/api/wishlist/{tea}/move-to-cart/"), json!({})).await.status(201);
    ann.post("/api/wishlist/", json!({"product_id": tea})).await.status(201);
    ann.delete(&format!("/api/wishlist/{tea}/")).await.status(204);
    ann.delete("/api/cart/").await.status(204);
    let line = number(&ann.puts_in_cart(tea, 1).await.status(201).json["id"]);
    ann.delete(&format!("/api/cart/{line}/")).await.status(204);
    let line = number(&ann.puts_in_cart(tea, 1).await.status(201).json["id"]);
    ann.put(&format!("/api/cart/{line}/"), json!({"quantity": 2})).await.status(200);
    ann.post("/api/cart/coupon/", json!({"code": "spring10"})).await.status(200);
    ann.delete("/api/cart/coupon/").await.status(204);
    ann.post("/api/cart/coupon/", json!({"code": "spring10"})).await.status(200);
    ann.get("/api/cart/").await.status(200);
}

async fn orders(shop: &StripeShop, ann: &Person<'_>, admin: &Person<'_>, tea: u64) {
    let order = number(&ann.orders().await.status(201).json["id"]);
    let admins = format!("/api/admin/orders/{order}/");
    ann.get("/api/orders/").await.status(200);
    let paying = json!({"order_id": order, "provider": "test"});
    let payment = number(&ann.post("/api/payment/", paying).await.status(201).json["id"]);
    ann.decides(payment, json!({"outcome": "succeed"})).await.status(200);
    ann.get(&format!("/api/payment/{payment}/")).await.status(200);
    ann.order(order).await;
    ann.get(&format!("/api/orders/{order}/invoice/")).await.status(200);

    admin.get("/api/admin/orders/?status=processing").await.status(200);
    admin.patch(&admins, json!({"note": "a gift"})).await.status(200);
    let parcel =
        json!({"lines": [{"line_id": 1, "quantity": 1}], "carrier": "DHL", "number": "00340434161094042557"});
    admin.post(&format!("{admins}fulfilments/"), parcel).await.status(201);
    let right = json!({"number": "00340434161094042558"});
    admin.patch(&format!("{admins}fulfilments/1/"), right).await.status(200);
    admin.get("/api/admin/carriers/").await.status(200);
    ann.get(&format!("/api/orders/{order}/tracking/")).await.status(200);
    let back =
        json!({"lines": [{"line_id": 1, "quantity": 1}], "reason": "a tin was dented", "restock": true});
    admin.post(&format!("{admins}refund/"), back).await.status(201);
    shop.run_jobs().await;
    admin.get(&admins).await.status(200);
    let notes = ann.get(&format!("/api/orders/{order}/credit-notes/")).await.status(200).json;
    let number_of = notes["results"][0]["number"].as_str().expect("a number");
    ann.get(&format!("/api/orders/{order}/credit-notes/{number_of}/")).await.status(200);
    admin.get("/api/admin/orders/export/?format=jsonl").await.status(200);

    let stars = json!({"rating": 5, "title": "Strong", "comment": "As it should be."});
    let review =
        ann.post(&format!("/api/products/{tea}/reviews/"), stars).await.status(201).json["id"].clone();
    let own = format!("/api/products/{tea}/reviews/{review}/");
    ann.patch(&own, json!({"rating": 4})).await.status(200);
    ann.get(&format!("/api/products/{tea}/reviews/")).await.status(200);
    let staffs = format!("/api/admin/reviews/{review}/");
    admin.get("/api/admin/reviews/").await.status(200);
    admin.get(&staffs).await.status(200);
    admin.patch(&staffs, json!({"is_hidden": true})).await.status(200);
    ann.delete(&own).await.status(204);
    let again = json!({"rating": 4});
    let review =
        ann.post(&format!("/api/products/{tea}/reviews/"), again).await.status(201).json["id"].clone();
    admin.delete(&format!("/api/admin/reviews/{review}/")).await.status(204);

    let order = ann.ordered(tea, 1).await;
    ann.post(&format!("/api/orders/{order}/cancel/"), json!({})).await.status(200);
    let order = ann.ordered(tea, 1).await;
    let cash = json!({"method": "cash", "reference": "receipt 17"});
    admin.post(&format!("/api/admin/orders/{order}/mark-paid/"), cash).await.status(200);
}

async fn payments(shop: &StripeShop, ann: &Person<'_>, admin: &Person<'_>, tea: u64) {
    let order = ann.ordered(tea, 1).await;
    let paying = json!({"order_id": order, "provider": "stripe"});
    let payment = ann.post("/api/payment/", paying).await.status(201).json;
    shop.confirm(&payment, Outcome::Succeed);
    shop.deliver().await;
    admin.get("/api/admin/payments/?status=succeeded").await.status(200);
    admin.get(&format!("/api/admin/payments/{}/", payment["id"])).await.status(200);
    admin.post(&format!("/api/admin/orders/{order}/refund/"), json!({})).await.status(201);
    let refunds = shop.stripe.fake().refunds();
    let refund = refunds.last().expect("a refund")["id"].as_str().expect("an id").to_owned();
    shop.stripe.fake().finish_refund(shop.stripe.now(), &refund, "failed").expect("a bank sent it back");
    shop.deliver().await;
    let shown = admin.get(&format!("/api/admin/orders/{order}/")).await.status(200).json;
    let settle = format!("/api/admin/refunds/{}/settle/", shown["refunds"][0]["id"]);
    admin.post(&settle, json!({"reference": "SEPA 17"})).await.status(201);

    let order = ann.ordered(tea, 1).await;
    let paying = json!({"order_id": order, "provider": "test"});
    let payment = ann.post("/api/payment/", paying).await.status(201).json["id"].clone();
    admin.post(&format!("/api/admin/payments/{payment}/cancel/"), json!({})).await.status(200);
    admin.post("/api/admin/payments/reconcile/", json!({})).await.status(200);
    admin.get("/api/admin/payments/report/?from=2026-11-01&to=2026-11-30").await.status(200);
    admin.get("/api/admin/payments/stopped/").await.status(200);
}

async fn told_by_paypal(shop: &PayPalShop) {
    let tea = shop.product("Assam", "4.00", 9).await;
    let ann = shop.buyer().await;
    let (_, payment) = begun(&ann, tea.id, 1).await;
    let reference = shop.reference(&payment).await;
    shop.paypal.fake().approve(shop.paypal.now(), &reference, Instrument::Good).expect("it can be approved");
    shop.deliver().await;
}

async fn people(shop: &StripeShop, admin: &Person<'_>) {
    let new = json!({"email": "cid@example.com", "password": PASSWORD, "name": "Cid", "role": "staff"});
    let cid = admin.post("/api/admin/users/", new).await.status(201).json["id"].clone();
    let path = format!("/api/admin/users/{cid}/");
    admin.get("/api/admin/users/?role=staff").await.status(200);
    admin.get(&path).await.status(200);
    admin.patch(&path, json!({"role": "customer"})).await.status(200);
    admin.post(&format!("{path}password/"), json!({"password": NEW_PASSWORD})).await.status(204);
    admin.get(&format!("{path}export/")).await.status(200);
    admin.post(&format!("{path}erase/"), json!({})).await.status(204);
    let token = json!({"name": "warehouse", "scopes": ["orders:write", "stock:write"]});
    let token = admin.post("/api/admin/tokens/", token).await.status(201).json["id"].clone();
    admin.get("/api/admin/tokens/").await.status(200);
    admin.delete(&format!("/api/admin/tokens/{token}/")).await.status(204);
    admin.get("/api/admin/keys/").await.status(200);
    admin.post("/api/admin/keys/rotate/", json!({})).await.status(201);

    shop.later(Duration::from_mins(1));
    shop.run_jobs().await;
    let mails = admin.get("/api/admin/mails/?page_size=100").await.status(200).json;
    let paid = mails["results"].as_array().expect("mails").iter().find(|mail| mail["kind"] == "order_paid");
    let mail = format!("/api/admin/mails/{}/", paid.expect("somebody paid")["id"]);
    admin.get(&mail).await.status(200);
    admin.post(&format!("{mail}retry/"), json!({})).await.status(200);
    admin.post("/api/admin/mails/test/", json!({"to": "owner@example.com"})).await.status(200);
}

async fn shop_keeping(admin: &Person<'_>) {
    admin.get("/api/admin/stats/?days=3").await.status(200);
    admin.get("/api/admin/audit/?page_size=3").await.status(200);
    admin.get("/api/admin/audit/export/?format=csv").await.status(200);
    admin.post("/api/admin/check/", json!({})).await.status(200);
    admin.post("/api/admin/errors/test/", json!({})).await.status(200);
    admin.post("/api/admin/backup/", json!({})).await.status(200);
    admin.post("/api/admin/backups/", json!({})).await.status(201);
    admin.get("/api/admin/backups/").await.status(200);
    admin.post("/api/admin/compact/", json!({})).await.status(200);
}
