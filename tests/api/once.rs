//! `Idempotency-Key` on every `POST` that creates or moves something: the second time is the first again.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Person, Shop, address, number};

/// Where a key changes nothing, because a second time does no harm.
const WITHOUT: &[(&str, &str)] = &[
    ("/api/auth/register/", "an address registers once; answers with tokens are not kept"),
    ("/api/auth/login/", "answers with tokens are not kept"),
    ("/api/auth/token/refresh/", "each token works once; answers with tokens are not kept"),
    ("/api/auth/logout/", "logged out is logged out"),
    ("/api/auth/password/", "sets; the current password is asked for"),
    ("/api/auth/password/reset/", "a link that is good stays so; mails are far between"),
    ("/api/auth/password/reset/confirm/", "a link works once"),
    ("/api/auth/verify/", "proven is proven"),
    ("/api/auth/verify/resend/", "at most one mail a minute"),
    ("/api/payment/webhook/", "an event is known by its own id"),
    ("/api/payment/webhook/paypal/", "an event is known by its own id"),
    ("/api/admin/payments/{id}/cancel/", "ended is ended"),
    ("/api/admin/payments/reconcile/", "asks; what it finds is settled once"),
    ("/api/admin/users/{id}/password/", "sets"),
    ("/api/admin/users/{id}/erase/", "erased is erased"),
    ("/api/admin/mails/test/", "a trial"),
    ("/api/admin/errors/test/", "a trial"),
    ("/api/admin/check/", "looks"),
    ("/api/admin/backup/", "hands out a file"),
    ("/api/admin/backups/", "one backup more"),
    ("/api/admin/compact/", "small is small"),
];
/// Where the key is honoured, and a test of its own says so: it takes a gateway that refuses.
const ELSEWHERE: &[&str] = &["/api/admin/refunds/{id}/settle/", "/api/admin/mails/{id}/retry/"];

/// Sends the same twice and something else once, under one key.
async fn once(
    walked: &mut BTreeSet<&'static str>,
    who: &Person<'_>,
    route: &'static str,
    id: u64,
    body: Value,
) -> Answer {
    walked.insert(route);
    let mut path = route.to_owned();
    if let (Some(from), Some(to)) = (path.find('{'), path.find('}')) {
        path.replace_range(from..=to, &id.to_string());
    }
    let ask = |body: Value| {
        let asking = who.asks(Method::POST, &path).header("Idempotency-Key", route).json(&body);
        asking.send()
    };
    let first = ask(body.clone()).await;
    assert!(first.status.is_success(), "{route}: {}", first.text);
    assert!(first.headers.get("idempotency-replayed").is_none(), "{route}");
    let mut again = ask(body.clone()).await;
    assert_eq!(
        (again.status, again.header("idempotency-replayed")),
        (first.status, "true"),
        "{route}: {}",
        again.text
    );
    if route == "/api/admin/tokens/" {
        assert!(again.json["secret"].is_null(), "a secret is not kept to be given again");
        again.json["secret"] = first.json["secret"].clone();
    }
    assert_eq!(again.json, first.json, "{route}");
    let mut other = body;
    if let Some(object) = other.as_object_mut().filter(|object| !object.is_empty()) {
        let name = object.keys().next().expect("it is not empty").clone();
        let changed = match &object[&name] {
            Value::Number(n) => json!(n.as_u64().expect("a count") + 1),
            Value::String(text) => json!(format!("{text}x")),
            Value::Bool(flag) => json!(!flag),
            same => same.clone(),
        };
        if changed != object[&name] {
            object.insert(name, changed);
            let other = ask(other).await;
            assert!([404, 409, 422].contains(&other.status.as_u16()), "{route}: {}", other.text);
        }
    }
    first
}

#[tokio::test]
async fn every_post_that_creates_or_moves_something_does_so_once() {
    let shop = Shop::open().await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let tea = shop.product("Tea", "4", 100).await;
    let walked = &mut BTreeSet::new();

    once(walked, &admin, "/api/products/", 0, json!({"name": "Pot", "price": "9"})).await;
    let coupon = json!({"code": "SPRING", "kind": "percent", "value": 10});
    once(walked, &admin, "/api/admin/coupons/", 0, coupon).await;
    once(
        walked,
        &admin,
        "/api/admin/users/",
        0,
        json!({"email": "new@example.com", "password": "a new pass phrase"}),
    )
    .await;
    once(walked, &admin, "/api/admin/tokens/", 0, json!({"name": "sync", "scopes": ["all"]})).await;
    once(walked, &admin, "/api/admin/keys/rotate/", 0, json!({"revoke": false})).await;
    let adjusting = json!({"delta": 1, "reason": "found", "variant_id": tea.variant});
    once(walked, &admin, "/api/admin/inventory/adjust/", 0, adjusting).await;
    assert_eq!(shop.stock_of(tea.id).await, 101);

    once(walked, &ann, "/api/products/{id}/reviews/", tea.id, json!({"rating": 4})).await;
    once(walked, &ann, "/api/wishlist/", 0, json!({"product_id": tea.id})).await;
    once(walked, &ann, "/api/wishlist/{product}/move-to-cart/", tea.id, json!({})).await;
    once(walked, &ann, "/api/cart/", 0, json!({"product_id": tea.id, "quantity": 2})).await;
    assert_eq!(ann.get("/api/cart/").await.json["item_count"], 3);
    once(walked, &ann, "/api/cart/coupon/", 0, json!({"code": "SPRING"})).await;
    let placed =
        once(walked, &ann, "/api/orders/", 0, json!({"note": "soon", "shipping_address": address()})).await;
    once(walked, &ann, "/api/orders/{id}/cancel/", number(&placed.json["id"]), json!({})).await;

    let order = ann.ordered(tea.id, 2).await;
    let begun = once(walked, &ann, "/api/payment/", 0, json!({"order_id": order})).await;
    let payment = number(&begun.json["id"]);
    once(walked, &ann, "/api/payment/test/{id}/", payment, json!({"outcome": "succeed"})).await;
    let parcel = json!({"carrier": "DHL", "number": "JD01"});
    once(walked, &admin, "/api/admin/orders/{id}/fulfilments/", order, parcel).await;
    once(walked, &admin, "/api/admin/orders/{id}/refund/", order, json!({"amount": "1.00"})).await;
    let refunded = ann.order(order).await;
    assert_eq!(refunded["refunds"].as_array().map(Vec::len), Some(1), "{refunded}");
    let order = ann.ordered(tea.id, 1).await;
    once(walked, &admin, "/api/admin/orders/{id}/mark-paid/", order, json!({"method": "cash"})).await;

    let import = || {
        let asking =
            admin.asks(Method::POST, "/api/admin/products/import/").header("Idempotency-Key", "file");
        asking.body("text/csv", "handle,name,price,sku,stock_quantity\ncup,Cup,3,C-1,5\n").send()
    };
    let (first, again) = (import().await.status(200), import().await.status(200));
    assert_eq!((again.header("idempotency-replayed"), &again.json), ("true", &first.json));
    walked.insert("/api/admin/products/import/");
    once(walked, &admin, "/api/admin/products/imports/{id}/undo/", 1, json!({})).await;

    let posts =
        till::http::operations().into_iter().filter(|(verb, _)| *verb == "POST").map(|(_, path)| path);
    let known = WITHOUT.iter().map(|(path, _)| *path).chain(ELSEWHERE.iter().copied());
    assert_eq!(posts.collect::<BTreeSet<_>>(), walked.iter().copied().chain(known).collect());
}

#[tokio::test]
async fn a_key_many_times_at_once_moves_money_and_stock_once() {
    let shop = Shop::open().await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let tea = shop.product("Tea", "4", 100).await;
    let order = ann.bought(tea.id, 5).await;
    let ask = |path: String, body: Value| {
        let asking = admin.asks(Method::POST, &path).header("Idempotency-Key", "one").json(&body);
        asking.send()
    };
    for (path, body) in [
        (format!("/api/admin/orders/{order}/refund/"), json!({"amount": "2.00"})),
        (
            "/api/admin/inventory/adjust/".into(),
            json!({"variant_id": tea.variant, "delta": 7, "reason": "found"}),
        ),
    ] {
        let answers = join_all((0..24).map(|_| ask(path.clone(), body.clone()))).await;
        let mut good = BTreeSet::new();
        for answer in answers {
            if answer.status.is_success() {
                good.insert(answer.text);
            } else {
                answer.refused(409, "idempotency_in_progress");
            }
        }
        assert_eq!(good.len(), 1, "{path}");
    }
    assert_eq!(ann.order(order).await["refunds"].as_array().map(Vec::len), Some(1));
    assert_eq!(shop.stock_of(tea.id).await, 102);
}
