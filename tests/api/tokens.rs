//! API tokens.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Person, Shop, number};

async fn make(admin: &Person<'_>, scopes: &[&str]) -> (u64, String) {
    let made =
        admin.post("/api/admin/tokens/", json!({"name": "sync", "scopes": scopes})).await.status(201).json;
    (number(&made["id"]), made["secret"].as_str().expect("a secret").to_owned())
}

async fn get(shop: &Shop, token: &str, path: &str) -> Answer {
    shop.request(Method::GET, path).token(token).send().await
}

#[tokio::test]
async fn a_token_works_until_it_is_revoked_and_says_when_it_was_used() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let (id, secret) = make(&admin, &["users:read", "orders:read", "users:read"]).await;
    // The use is written beside the answer; what is written after it comes after it.
    let listed = async || {
        admin.patch("/api/auth/me/", json!({"name": "Boss"})).await.status(200);
        admin.get("/api/admin/tokens/").await.status(200).json["results"][0].clone()
    };
    let before = listed().await;
    assert_eq!(
        (&before["scopes"], &before["last_used_at"]),
        (&json!(["orders:read", "users:read"]), &Value::Null)
    );
    assert!(before.get("secret").is_none(), "{before}");
    assert!(secret.starts_with(before["hint"].as_str().expect("a hint")) && secret.len() > 40);

    get(&shop, &secret, "/api/admin/users/").await.status(200);
    get(&shop, &secret, "/api/admin/orders/").await.status(200);
    let used = listed().await;
    assert!(used["last_used_at"].is_string(), "{used}");
    shop.later(Duration::from_secs(30));
    get(&shop, &secret, "/api/admin/users/").await.status(200);
    assert_eq!(listed().await["last_used_at"], used["last_used_at"], "kept to the minute");
    shop.later(Duration::from_secs(40));
    get(&shop, &secret, "/api/admin/users/").await.status(200);
    assert_ne!(listed().await["last_used_at"], used["last_used_at"]);

    admin.delete(&format!("/api/admin/tokens/{id}/")).await.status(204);
    admin.delete(&format!("/api/admin/tokens/{id}/")).await.status(204);
    get(&shop, &secret, "/api/admin/users/").await.refused(401, "token_invalid");
    get(&shop, &secret, "/api/products/").await.refused(401, "token_invalid");
    assert!(listed().await["revoked_at"].is_string());
    admin.delete("/api/admin/tokens/99/").await.refused(404, "not_found");
}

#[tokio::test]
async fn a_token_ends_with_its_day_and_with_who_it_stands_on() {
    let shop = Shop::open().await;
    let (admin, other) = (shop.admin().await, shop.admin().await);
    let wanted = json!({"name": "sync", "scopes": ["users:read"], "expires_at": "2026-11-23T20:00:00Z"});
    let made = admin.post("/api/admin/tokens/", wanted).await.status(201).json;
    let brief = made["secret"].as_str().expect("a secret");
    let (_, lasting) = make(&admin, &["all"]).await;
    let child = shop.request(Method::POST, "/api/admin/tokens/").token(&lasting);
    let child = child.json(&json!({"name": "child", "scopes": ["users:read"]})).send().await.status(201).json;
    get(&shop, brief, "/api/admin/users/").await.status(200);
    shop.later(Duration::from_hours(10));
    get(&shop, brief, "/api/admin/users/").await.refused(401, "token_expired");
    get(&shop, &lasting, "/api/admin/users/").await.status(200);

    let change = json!({"role": "staff"});
    other.patch(&format!("/api/admin/users/{}/", admin.id), change).await.status(200);
    get(&shop, &lasting, "/api/admin/users/").await.refused(401, "token_invalid");
    get(&shop, child["secret"].as_str().expect("a secret"), "/api/admin/users/")
        .await
        .refused(401, "token_invalid");
}

#[tokio::test]
async fn a_token_makes_no_token_wider_than_itself() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let (_, secret) = make(&admin, &["tokens:write", "orders:write"]).await;
    let ask = async |scopes: &[&str]| {
        let asking = shop.request(Method::POST, "/api/admin/tokens/").token(&secret);
        asking.json(&json!({"name": "child", "scopes": scopes})).send().await
    };
    ask(&["orders:read"]).await.status(201);
    ask(&["users:read"]).await.refused(403, "permission_denied");
    ask(&["all"]).await.refused(403, "permission_denied");
}

#[tokio::test]
async fn a_token_does_not_outlive_the_one_that_made_it() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let wanted = json!({"name": "short", "scopes": ["tokens:write", "users:read"], "expires_at": "2026-11-23T20:00:00Z"});
    for end in ["revoked", "expired"] {
        let parent = admin.post("/api/admin/tokens/", wanted.clone()).await.status(201).json;
        let mut secret = parent["secret"].as_str().expect("a secret").to_owned();
        for _ in 0..2 {
            let asking = shop.request(Method::POST, "/api/admin/tokens/").token(&secret);
            let child = json!({"name": "child", "scopes": ["tokens:write", "users:read"]});
            let child = asking.json(&child).send().await.status(201).json;
            secret = child["secret"].as_str().expect("a secret").to_owned();
        }
        get(&shop, &secret, "/api/admin/users/").await.status(200);
        match end {
            "revoked" => {
                admin.delete(&format!("/api/admin/tokens/{}/", parent["id"])).await.status(204);
            }
            _ => shop.later(Duration::from_hours(10)),
        }
        get(&shop, &secret, "/api/admin/users/").await.refused(401, "token_invalid");
    }
}

#[tokio::test]
async fn only_a_token_for_everything_makes_staff() {
    let shop = Shop::open().await;
    let (admin, buyer) = (shop.admin().await, shop.buyer().await);
    let (_, some) = make(&admin, &["users:write"]).await;
    let (_, all) = make(&admin, &["all"]).await;
    let ask = async |token: &str, method: Method, path: &str, body: Value| {
        shop.request(method, path).token(token).json(&body).send().await
    };
    let of = |id: u64, rest: &str| format!("/api/admin/users/{id}/{rest}");
    let new = |email: &str, role: &str| json!({"email": email, "password": "a fine password", "role": role});
    for (method, path, body) in [
        (Method::POST, "/api/admin/users/".into(), new("a@example.com", "staff")),
        (Method::PATCH, of(buyer.id, ""), json!({"role": "admin"})),
        (Method::PATCH, of(admin.id, ""), json!({"is_active": false})),
        (Method::POST, of(admin.id, "password/"), json!({"password": "another fine one"})),
    ] {
        ask(&some, method, &path, body).await.refused(403, "permission_denied");
    }
    ask(&some, Method::POST, "/api/admin/users/", new("b@example.com", "customer")).await.status(201);
    ask(&some, Method::PATCH, &of(buyer.id, ""), json!({"is_active": false})).await.status(200);
    ask(&all, Method::POST, "/api/admin/users/", new("c@example.com", "staff")).await.status(201);
}

#[tokio::test]
async fn bad_tokens_are_refused_by_field() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    for (body, fields) in [
        (json!({}), &["name", "scopes"][..]),
        (json!({"name": "", "scopes": []}), &["name", "scopes"]),
        (json!({"name": "x", "scopes": ["orders:eat"]}), &["scopes.0"]),
        (json!({"name": "x", "scopes": ["all"], "expires_at": "tomorrow"}), &["expires_at"]),
        (json!({"name": "x", "scopes": ["all"], "expires_at": "2020-01-01"}), &["expires_at"]),
        (json!({"name": "x", "scopes": "all", "secret": "mine"}), &["scopes", "secret"]),
    ] {
        admin.post("/api/admin/tokens/", body).await.faults(fields);
    }
    assert_eq!(admin.get("/api/admin/tokens/").await.json["count"], 0);
}

#[tokio::test]
async fn the_secret_is_shown_once_and_is_nowhere_in_the_data() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let ask = async || {
        let asking = admin.asks(Method::POST, "/api/admin/tokens/").header("Idempotency-Key", "k1");
        asking.json(&json!({"name": "sync", "scopes": ["all"]})).send().await.status(201)
    };
    let (first, again) = (ask().await, ask().await);
    assert_eq!((again.header("idempotency-replayed"), &again.json["secret"]), ("true", &Value::Null));
    assert_eq!(first.json["id"], again.json["id"]);
    let secret = first.json["secret"].as_str().expect("a secret");
    let file = std::fs::read(shop.app.config.data_dir.join("till.redb")).expect("readable");
    assert!(!file.windows(secret.len()).any(|window| window == secret.as_bytes()));
    assert_eq!(admin.get("/api/admin/tokens/").await.json["count"], 1);
}
