//! Changing the signing key, while what the old one signed is in use.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Person, Shop};

const DAY: Duration = Duration::from_hours(24);

async fn rotate(admin: &Person<'_>, body: Value) -> Answer {
    admin.post("/api/admin/keys/rotate/", body).await
}

async fn refresh(shop: &Shop, token: &str) -> Answer {
    shop.request(Method::POST, "/api/auth/token/refresh/").json(&json!({"refresh": token})).send().await
}

/// The token in the newest mail of this kind: the operator alone is shown it.
async fn token_of(admin: &Person<'_>, kind: &str) -> String {
    let app = &admin.shop.app;
    let list = admin.mails_of(kind).await;
    let path = format!("/api/admin/mails/{}/", list[0]["id"]);
    let incoming = till::http::Incoming {
        method: Method::GET,
        path,
        query: String::new(),
        headers: http::HeaderMap::new(),
        body: None,
        origin: till::http::Origin::Operator,
    };
    let reply = till::http::answer(app, incoming).await;
    let mail: Value = serde_json::from_slice(reply.body.whole()).expect("JSON");
    let text = mail["text"].as_str().expect("a text");
    let start = text.find("token=").expect("a link") + 6;
    text[start..].split_whitespace().next().expect("a token").to_owned()
}

#[tokio::test]
async fn nobody_is_logged_out_and_no_link_breaks() {
    let shop = Shop::with(&[("server.public_url", "https://shop.example.com")]).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let tea = shop.product("Tea", "4", 9).await;
    let order = ann.bought(tea.id, 1).await;
    let invoice = ann.order(order).await["invoice_url"].as_str().expect("a link").to_owned();
    let invoice = invoice.strip_prefix("https://shop.example.com").unwrap_or(&invoice).to_owned();
    let add = || {
        let body = json!({"product_id": tea.id, "quantity": 1});
        ann.asks(Method::POST, "/api/cart/").header("Idempotency-Key", "once").json(&body).send()
    };
    add().await.status(201);
    let asked = json!({"email": ann.email});
    shop.request(Method::POST, "/api/auth/password/reset/").json(&asked).send().await.status(202);
    ann.post("/api/auth/verify/resend/", json!({})).await.status(202);
    let (reset, proof) = (token_of(&admin, "password_reset").await, token_of(&admin, "verify_address").await);

    for _ in 0..3 {
        let made = rotate(&admin, json!({})).await.status(201).json;
        assert_eq!(made["signs"], true);
    }
    let keys = admin.get("/api/admin/keys/").await.status(200);
    assert_eq!((&keys.json["count"], keys.text.contains("secret")), (&json!(4), false));

    ann.get("/api/auth/me/").await.status(200);
    shop.get(&invoice).await.status(200);
    let replayed = add().await.status(201);
    assert_eq!(replayed.header("idempotency-replayed"), "true", "not a second time under the new key");
    shop.request(Method::POST, "/api/auth/verify/").json(&json!({"token": proof})).send().await.status(204);
    let next = refresh(&shop, &ann.refresh).await.status(200).json;
    refresh(&shop, next["refresh"].as_str().expect("a token")).await.status(200);
    refresh(&shop, &ann.refresh).await.refused(401, "token_reused");
    let chosen = json!({"token": reset, "new_password": "a new pass phrase"});
    shop.request(Method::POST, "/api/auth/password/reset/confirm/").json(&chosen).send().await.status(204);
}

#[tokio::test]
async fn what_an_old_key_signed_lives_out_its_time_and_no_more() {
    let shop = Shop::with(&[("auth.access_minutes", "15"), ("auth.refresh_days", "30")]).await;
    let (ann, bob, admin) = (shop.buyer().await, shop.buyer().await, shop.admin().await);
    rotate(&admin, json!({})).await.status(201);
    let key = async || {
        let login = json!({"email": admin.email, "password": crate::support::PASSWORD});
        let login = shop.request(Method::POST, "/api/auth/login/").json(&login).send().await.status(200);
        let access = login.json["access"].as_str().expect("a token").to_owned();
        let keys = shop.request(Method::GET, "/api/admin/keys/").token(&access).send().await.status(200);
        keys.json["results"].clone()
    };
    let keys = key().await;
    assert_eq!(
        (&keys[1]["retired_at"], &keys[1]["good_until"]),
        (&json!("2026-11-23T10:00:00.000Z"), &json!("2026-12-23T10:00:00.000Z"))
    );
    shop.later(Duration::from_secs(10 * 60));
    ann.get("/api/auth/me/").await.status(200);
    shop.later(DAY * 29);
    ann.get("/api/auth/me/").await.refused(401, "token_invalid");
    refresh(&shop, &ann.refresh).await.status(200);
    shop.later(DAY);
    refresh(&shop, &bob.refresh).await.refused(401, "token_invalid");
    assert_eq!(key().await.as_array().map(Vec::len), Some(1), "the old key has run out");
}

#[tokio::test]
async fn a_key_that_became_known_is_good_for_nothing_at_once() {
    let shop = Shop::open().await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let tea = shop.product("Tea", "4", 9).await;
    let order = ann.bought(tea.id, 1).await;
    let invoice = ann.order(order).await["invoice_url"].as_str().expect("a link").to_owned();
    let invoice = invoice.strip_prefix(&shop.base).unwrap_or(&invoice).to_owned();
    rotate(&admin, json!({"revoke": true})).await.status(201);
    ann.get("/api/auth/me/").await.refused(401, "token_invalid");
    admin.get("/api/admin/keys/").await.refused(401, "token_invalid");
    refresh(&shop, &ann.refresh).await.refused(401, "token_invalid");
    shop.get(&invoice).await.refused(403, "link_invalid");
}

#[tokio::test]
async fn a_rotation_is_noted_and_given_again_under_its_key() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let ask = || {
        let asking = admin.asks(Method::POST, "/api/admin/keys/rotate/");
        asking.header("Idempotency-Key", "turn").json(&json!({})).send()
    };
    let (one, again) = (ask().await.status(201), ask().await.status(201));
    assert_eq!((one.text, again.header("idempotency-replayed")), (again.text.clone(), "true"));
    rotate(&admin, json!({"revoked": true})).await.faults(&["revoked"]);
    let trail = admin.get("/api/admin/audit/?action=key.rotate").await.status(200).json;
    let id = again.json["id"].as_str().expect("an id");
    assert_eq!((&trail["count"], &trail["results"][0]["subject"]), (&json!(1), &json!(format!("key:{id}"))));
}

#[tokio::test]
async fn too_many_keys_are_refused_and_those_of_the_settings_are_not_touched() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    for _ in 0..15 {
        rotate(&admin, json!({})).await.status(201);
    }
    rotate(&admin, json!({})).await.refused(409, "too_many_keys");
    admin.get("/api/auth/me/").await.status(200);

    let shop = Shop::with(&[("auth.signing_key", "a key of the settings, long enough")]).await;
    let admin = shop.admin().await;
    let refused = rotate(&admin, json!({})).await.refused(409, "key_configured");
    assert!(refused.text.contains("auth.signing_keys_old"), "{}", refused.text);
}
