//! Stolen cards that are tried out: what is stopped, and who is not.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Person, Product, Shop, address, number};

const HERE: &str = "198.51.100.1";

async fn limited(settings: &[(&'static str, &str)]) -> Shop {
    Shop::with(&with_limits(settings)).await
}

fn with_limits<'a>(settings: &[(&'static str, &'a str)]) -> Vec<(&'static str, &'a str)> {
    let mut all = vec![("limits.enabled", "true"), ("server.trusted_proxies", "127.0.0.1")];
    all.extend(settings);
    all
}

/// Begins to pay for one unit.
async fn pays(person: &Person<'_>, from: &str, tea: &Product) -> Answer {
    let body = json!({"items": [{"product_id": tea.id, "quantity": 1}], "shipping_address": address()});
    pays_as(person, from, &body).await
}

async fn pays_as(person: &Person<'_>, from: &str, body: &Value) -> Answer {
    person.asks(Method::POST, "/api/payment/").header("X-Forwarded-For", from).json(body).send().await
}

/// Pays for one unit; the card is declined.
async fn is_declined(person: &Person<'_>, from: &str, tea: &Product) {
    let payment = number(&pays(person, from, tea).await.status(201).json["id"]);
    person.decides(payment, json!({"outcome": "decline"})).await.status(200);
}

async fn stopped(shop: &Shop) -> Value {
    shop.admin().await.get("/api/admin/payments/stopped/").await.status(200).json
}

#[tokio::test]
async fn an_account_begins_so_many_payments_an_hour_and_goes_on_with_those_that_it_has() {
    let shop = limited(&[("limits.payments_of_user", "3/hour")]).await;
    let (tea, ann) = (shop.product("tea", "4.00", 50).await, shop.buyer().await);
    let order = ann.ordered(tea.id, 1).await;
    let first = pays_as(&ann, HERE, &json!({"order_id": order})).await.status(201).json;
    for n in 0..2 {
        pays(&ann, &format!("198.51.100.{n}"), &tea).await.status(201);
    }
    let before = shop.stock_of(tea.id).await;
    let refused = pays(&ann, "203.0.113.5", &tea).await.refused(429, "rate_limited");
    assert_eq!(refused.header("Retry-After"), "1200");
    assert_eq!(shop.stock_of(tea.id).await, before, "what is stopped takes no stock");
    // The payment that has begun is gone on with, asked after, and paid.
    assert_eq!(pays_as(&ann, HERE, &json!({"order_id": order})).await.status(201).json["id"], first["id"]);
    ann.get(&format!("/api/payment/{}/", first["id"])).await.status(200);
    let paid = ann.decides(number(&first["id"]), json!({"outcome": "succeed"})).await.status(200);
    assert_eq!(paid.json["status"], "succeeded");
    // Others are not in its way.
    pays(&shop.buyer().await, HERE, &tea).await.status(201);
    shop.later(Duration::from_mins(20));
    pays(&ann, HERE, &tea).await.status(201);
}

#[tokio::test]
async fn the_same_key_goes_on_with_its_payment() {
    let shop = limited(&[("limits.payments_of_user", "1/hour")]).await;
    let (tea, ann) = (shop.product("tea", "4.00", 50).await, shop.buyer().await);
    let body = json!({"items": [{"product_id": tea.id, "quantity": 1}], "shipping_address": address()});
    let ask = async |key: &str| {
        let asking = ann.asks(Method::POST, "/api/payment/").header("Idempotency-Key", key);
        asking.header("X-Forwarded-For", HERE).json(&body).send().await
    };
    let first = ask("one").await.status(201).json;
    assert_eq!(ask("one").await.status(201).json, first);
    ask("two").await.refused(429, "rate_limited");
}

#[tokio::test]
async fn declines_are_counted_by_account_and_address() {
    let shop = limited(&[("limits.declines_of_user", "2"), ("limits.declines", "4")]).await;
    let tea = shop.product("tea", "4.00", 50).await;
    let (ann, bob) = (shop.buyer().await, shop.buyer().await);
    is_declined(&ann, HERE, &tea).await;
    shop.later(Duration::from_mins(10));
    is_declined(&ann, HERE, &tea).await;
    let refused = pays(&ann, "203.0.113.9", &tea).await.refused(429, "rate_limited");
    assert_eq!(refused.header("Retry-After"), "3000");
    is_declined(&bob, HERE, &tea).await;
    is_declined(&bob, HERE, &tea).await;
    let carol = shop.buyer().await;
    pays(&carol, HERE, &tea).await.refused(429, "rate_limited");
    pays(&carol, "203.0.113.9", &tea).await.status(201);
    let told = stopped(&shop).await;
    let rows: Vec<_> = told["results"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| (&row["reason"], &row["network"], &row["count"]))
        .collect();
    assert_eq!(
        json!(rows),
        json!([["declines_of_address", "198.51.100.0/24", 1], ["declines_of_account", "203.0.113.0/24", 1]])
    );
    assert_eq!(
        (&told["declined"], &told["succeeded"], &told["paused_until"]),
        (&json!(4), &json!(0), &Value::Null)
    );
    shop.later(Duration::from_mins(50));
    pays(&ann, HERE, &tea).await.status(201);
}

#[tokio::test]
async fn while_too_many_are_declined_only_known_customers_begin_new_payments() {
    let settings =
        [("limits.breaker_declines", "4"), ("limits.declines", "100"), ("limits.declines_of_user", "100")];
    let shop = limited(&settings).await;
    let tea = shop.product("tea", "4.00", 50).await;
    let known = shop.buyer().await;
    known.bought(tea.id, 1).await;
    shop.later(Duration::from_hours(25));
    let (new, tester) = (shop.buyer().await, shop.buyer().await);
    let begun = number(&pays(&new, HERE, &tea).await.status(201).json["id"]);
    // One who pays with a stolen card is no known customer by that.
    tester.bought(tea.id, 1).await;
    for _ in 0..4 {
        is_declined(&tester, "203.0.113.9", &tea).await;
    }
    let refused = pays(&new, HERE, &tea).await.refused(503, "payments_paused");
    assert_eq!(refused.header("Retry-After"), "3600");
    pays(&tester, "203.0.113.9", &tea).await.refused(503, "payments_paused");
    // Who has paid before still buys, and what has begun goes on.
    let login = json!({"email": known.email, "password": crate::support::PASSWORD});
    let access =
        shop.request(Method::POST, "/api/auth/login/").json(&login).send().await.status(200).json["access"]
            .clone();
    let known = Person { access: access.as_str().expect("a token").into(), ..known };
    let payment = number(&pays(&known, HERE, &tea).await.status(201).json["id"]);
    known.decides(payment, json!({"outcome": "succeed"})).await.status(200);
    assert_eq!(
        new.get(&format!("/api/payment/{begun}/")).await.status(200).json["status"],
        "requires_payment"
    );
    let told = stopped(&shop).await;
    assert_eq!((&told["declined"], &told["succeeded"]), (&json!(4), &json!(2)));
    assert_eq!(told["results"].as_array().expect("rows").len(), 2);
    assert_eq!(told["results"][0]["reason"], "paused");
    assert!(!told["paused_until"].is_null());
    shop.later(Duration::from_hours(1));
    pays(&new, HERE, &tea).await.status(201);
    assert!(stopped(&shop).await["paused_until"].is_null());
}

#[tokio::test]
async fn a_restart_gives_nobody_new_cards_to_try() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_owned();
    let settings = with_limits(&[("limits.breaker_declines", "2"), ("limits.payments_of_user", "3/hour")]);
    let clock = Shop::new_clock();
    let shop = Shop::in_dir(dir, Arc::clone(&clock), &settings, Vec::new()).await;
    let tea = shop.product("tea", "4.00", 50).await;
    let ann = shop.buyer().await;
    is_declined(&ann, HERE, &tea).await;
    is_declined(&ann, HERE, &tea).await;
    pays(&ann, HERE, &tea).await.refused(503, "payments_paused");
    shop.run_jobs().await;

    // What another process finds when it opens the same journal.
    let cards = till::payments::Cards::new(&shop.app.config, &shop.app.clock);
    shop.app.store.read(|tx| cards.catch_up(tx)).expect("the journal can be read");
    let (before, after) = (shop.app.cards.standing(), cards.standing());
    assert_eq!((after.declined, after.succeeded), (2, 0));
    assert_eq!(after.paused_until, before.paused_until);
    let again = cards.admit(till::id::UserId(ann.id), None, || Ok(false));
    assert!(matches!(again, Err(till::payments::NotAdmitted::Stopped(_))));
    let known = |n| cards.admit(till::id::UserId(n), None, || Ok(true)).is_ok();
    assert!(known(ann.id) && !known(ann.id), "of three an hour she has begun two");
    // And what was stopped is on the disk.
    assert!(path.join("till.redb").exists());
    assert_eq!(stopped(&shop).await["count"], 1);
}

#[tokio::test]
async fn webhooks_and_all_else_go_on_while_payments_are_paused() {
    let shop = limited(&[("limits.breaker_declines", "1")]).await;
    let tea = shop.product("tea", "4.00", 50).await;
    let ann = shop.buyer().await;
    let open = number(&pays(&ann, HERE, &tea).await.status(201).json["id"]);
    is_declined(&ann, HERE, &tea).await;
    pays(&ann, HERE, &tea).await.refused(503, "payments_paused");
    // An order is placed all the same, and paid by what was told late.
    let order = ann.ordered(tea.id, 1).await;
    assert_eq!(ann.order(order).await["status"], "pending");
    ann.decides(open, json!({"outcome": "succeed", "notify": "late"})).await.status(200);
    shop.later(Duration::from_secs(6));
    shop.run_jobs().await;
    let payment = ann.get(&format!("/api/payment/{open}/")).await.status(200).json;
    assert_eq!(payment["status"], "succeeded");
    assert_eq!(ann.order(number(&payment["order_id"])).await["payment_status"], "paid");
}

#[tokio::test]
async fn one_account_alone_neither_pauses_the_shop_nor_uses_up_its_neighbours_payments() {
    let limits = [("limits.payments_of_user", "3/hour"), ("limits.payments", "5/hour")];
    let shop = limited(&limits).await;
    let (tea, eve, ann) = (shop.product("tea", "4.00", 90).await, shop.buyer().await, shop.buyer().await);
    let payment = number(&pays(&eve, HERE, &tea).await.status(201).json["id"]);
    for _ in 0..12 {
        eve.decides(payment, json!({"outcome": "decline"})).await.status(200);
        eve.decides(payment, json!({"outcome": "require_action"})).await.status(200);
    }
    let report = stopped(&shop).await;
    assert_eq!((&report["declined"], &report["paused_until"]), (&json!(5), &Value::Null), "{report}");
    for _ in 0..9 {
        pays(&eve, HERE, &tea).await.refused(429, "rate_limited");
    }
    pays(&ann, HERE, &tea).await.status(201);
}
