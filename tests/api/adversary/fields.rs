//! Mass assignment: fields that nobody asked for, in the body of every route that customers write to.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Shop, address, number};

/// What an attacker would like to set.
const WANTED: &[&str] = &[
    "role",
    "roles",
    "is_admin",
    "is_staff",
    "is_active",
    "id",
    "user_id",
    "user",
    "owner_id",
    "verified_at",
    "is_verified",
    "email_verified",
    "password_hash",
    "scopes",
    "price",
    "unit_price",
    "total",
    "total_price",
    "discount",
    "amount",
    "currency",
    "paid_at",
    "status",
    "payment_status",
    "provider_reference",
    "hold_expires_at",
    "verified_purchase",
    "is_hidden",
    "created_at",
    "stock_quantity",
    "version",
    "__proto__",
    "constructor",
    "$where",
    "role[]",
    "Role",
    "ROLE",
];

/// A verb and a route, its path where that has variable parts, and a body that is right.
type Route = (&'static str, &'static str, String, Value);

/// Every route that customers write to is among these.
fn all_are_here(routes: &[Route]) {
    for (verb, path) in till::http::operations() {
        // Staff's routes are not for customers at all, a gateway's event is believed by its signature, and what is
        // taken away or read has no body.
        let others = path.starts_with("/api/admin/") || path.contains("/webhook/");
        let others = others || ["/api/products/", "/api/products/{id}/"].contains(&path);
        let listed = routes.iter().any(|(of, at, ..)| (*of, *at) == (verb, path));
        assert!(["GET", "DELETE"].contains(&verb) || others || listed, "{verb} {path} is not attacked here");
    }
}

#[tokio::test]
async fn no_route_of_customers_takes_a_field_it_did_not_ask_for() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 50).await;
    let (ann, staff) = (shop.buyer().await, shop.staff().await);
    shop.coupon(json!({"code": "SPRING", "kind": "percent", "value": 10})).await;
    let bought = ann.bought(tea.id, 1).await;
    let order = ann.ordered(tea.id, 1).await;
    let payment = ann.begins_to_pay(order).await;
    let review =
        ann.post(&format!("/api/products/{}/reviews/", tea.id), json!({"rating": 4})).await.status(201);
    ann.puts_in_cart(tea.id, 1).await.status(201);
    let line = number(&ann.get("/api/cart/").await.json["items"][0]["id"]);
    ann.post("/api/wishlist/", json!({"product_id": tea.id})).await.status(201);
    let (tea, review) = (tea.id, number(&review.json["id"]));
    let email = "new@example.com";
    let routes: Vec<Route> = vec![
        (
            "POST",
            "/api/auth/register/",
            String::new(),
            json!({"email": email, "password": PASSWORD, "name": "New"}),
        ),
        ("POST", "/api/auth/login/", String::new(), json!({"email": ann.email, "password": PASSWORD})),
        ("POST", "/api/auth/token/refresh/", String::new(), json!({"refresh": ann.refresh})),
        ("POST", "/api/auth/logout/", String::new(), json!({"refresh": ann.refresh})),
        ("POST", "/api/auth/password/reset/", String::new(), json!({"email": ann.email})),
        (
            "POST",
            "/api/auth/password/reset/confirm/",
            String::new(),
            json!({"token": "x", "new_password": PASSWORD}),
        ),
        ("POST", "/api/auth/verify/", String::new(), json!({"token": "x"})),
        ("POST", "/api/auth/verify/resend/", String::new(), json!({})),
        ("PATCH", "/api/auth/me/", String::new(), json!({"name": "Ann"})),
        (
            "POST",
            "/api/auth/password/",
            String::new(),
            json!({"current_password": PASSWORD, "new_password": "another good one"}),
        ),
        (
            "POST",
            "/api/products/{id}/reviews/",
            format!("/api/products/{tea}/reviews/"),
            json!({"rating": 5}),
        ),
        (
            "PATCH",
            "/api/products/{id}/reviews/{review}/",
            format!("/api/products/{tea}/reviews/{review}/"),
            json!({"rating": 1}),
        ),
        ("POST", "/api/cart/", String::new(), json!({"product_id": tea, "quantity": 1})),
        ("POST", "/api/cart/coupon/", String::new(), json!({"code": "SPRING"})),
        ("PUT", "/api/cart/{id}/", format!("/api/cart/{line}/"), json!({"quantity": 3})),
        ("POST", "/api/wishlist/", String::new(), json!({"product_id": tea})),
        (
            "POST",
            "/api/wishlist/{product}/move-to-cart/",
            format!("/api/wishlist/{tea}/move-to-cart/"),
            json!({"quantity": 1}),
        ),
        ("POST", "/api/orders/", String::new(), json!({"shipping_address": address()})),
        ("POST", "/api/orders/{id}/cancel/", format!("/api/orders/{order}/cancel/"), json!({})),
        ("POST", "/api/payment/", String::new(), json!({"order_id": order})),
        (
            "POST",
            "/api/payment/test/{id}/",
            format!("/api/payment/test/{payment}/"),
            json!({"outcome": "succeed"}),
        ),
    ];
    all_are_here(&routes);
    let seq = shop.app.store.seq().unwrap();
    for (verb, route, path, good) in &routes {
        let path = if path.is_empty() { *route } else { path.as_str() };
        let asks = |body: &Value| ann.asks(verb.parse::<Method>().unwrap(), path).json(body).send();
        for name in WANTED {
            if good.get(*name).is_some() {
                continue;
            }
            let mut body = good.clone();
            body[*name] = json!("admin");
            asks(&body).await.faults(&[name]);
        }
        // An address holds what an address holds.
        if good.get("shipping_address").is_some() {
            let mut body = good.clone();
            body["shipping_address"]["user_id"] = json!(1);
            asks(&body).await.faults(&["shipping_address.user_id"]);
        }
    }
    assert_eq!(shop.app.store.seq().unwrap(), seq, "nothing was written");
    assert_eq!(ann.get("/api/auth/me/").await.json["role"], "customer");
    assert_eq!(ann.order(bought).await["payment_status"], "paid");
    let listed = staff.get("/api/admin/orders/").await.status(200);
    assert_eq!(listed.json["count"], 2);
}

#[tokio::test]
async fn a_field_that_is_there_twice_or_in_disguise_counts_once_and_is_looked_at() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 50).await;
    let ann = shop.buyer().await;
    let posts = |path: &str, body: String| ann.asks(Method::POST, path).body("application/json", body).send();
    let id = tea.id;
    // The one that is looked at is the one that counts.
    posts("/api/cart/", format!("{{\"product_id\":{id},\"quantity\":1,\"quantity\":-5}}"))
        .await
        .faults(&["quantity"]);
    posts("/api/cart/", format!("{{\"product_id\":{id},\"quantity\":-5,\"quantity\":1}}")).await.status(201);
    assert_eq!(ann.get("/api/cart/").await.json["items"][0]["quantity"], 1);
    posts("/api/cart/", format!("{{\"product_id\":{id},\"quantity\":1,\"q\\u0075antity\":-1}}"))
        .await
        .faults(&["quantity"]);
    let register = |more: &str| {
        format!("{{\"email\":\"eve@example.com\",\"password\":\"{PASSWORD}\",\"name\":\"Eve\"{more}}}")
    };
    posts("/api/auth/register/", register(",\"r\\u006fle\":\"admin\"")).await.faults(&["role"]);
    posts("/api/auth/register/", register(",\"email\":\"e\\u0000@example.com\"")).await.faults(&["email"]);
    for nested in ["[".repeat(100_000), "{\"a\":".repeat(30_000)] {
        posts("/api/cart/", nested).await.refused(400, "malformed_json");
    }
    for text in [
        "{\"product_id\":1",
        "{'product_id':1}",
        "{\"product_id\":01}",
        "\u{FEFF}{}",
        "{}{}",
        "{\"a\":\"\u{1}\"}",
        "\"\\ud800\"",
        "NaN",
    ] {
        posts("/api/cart/", text.into()).await.refused(400, "malformed_json");
    }
    for text in ["1", "[]", "null", "\"\"", "[{\"product_id\":1,\"quantity\":1}]"] {
        posts("/api/cart/", text.into()).await.refused(422, "validation_error");
    }
}
