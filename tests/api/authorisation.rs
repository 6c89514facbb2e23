//! Every route has its line here: who may, and who may not. A route that has none fails the test.

use reqwest::Method;
use serde_json::json;

use crate::support::Shop;

/// Who may use a route at all.
#[derive(Clone, Copy, PartialEq, Debug)]
enum For {
    Everybody,
    Users,
    Staff,
    Admins,
}

/// Verb, path, who may, and the scope that an API token needs; none: tokens may not.
const ROUTES: &[(&str, &str, For, &str)] = &[
    ("GET", "/healthz", For::Everybody, ""),
    ("GET", "/readyz", For::Everybody, ""),
    ("POST", "/api/auth/register/", For::Everybody, ""),
    ("POST", "/api/auth/login/", For::Everybody, ""),
    ("POST", "/api/auth/token/refresh/", For::Everybody, ""),
    ("POST", "/api/auth/logout/", For::Everybody, ""),
    ("POST", "/api/auth/password/reset/", For::Everybody, ""),
    ("POST", "/api/auth/password/reset/confirm/", For::Everybody, ""),
    ("POST", "/api/auth/verify/", For::Everybody, ""),
    ("POST", "/api/auth/verify/resend/", For::Users, ""),
    ("GET", "/api/auth/me/", For::Users, ""),
    ("PATCH", "/api/auth/me/", For::Users, ""),
    ("POST", "/api/auth/password/", For::Users, ""),
    ("DELETE", "/api/auth/me/", For::Users, ""),
    ("GET", "/api/auth/me/export/", For::Users, ""),
    ("GET", "/api/products/", For::Everybody, ""),
    ("POST", "/api/products/", For::Staff, "products:write"),
    ("GET", "/api/products/{id}/", For::Everybody, ""),
    ("PUT", "/api/products/{id}/", For::Staff, "products:write"),
    ("PATCH", "/api/products/{id}/", For::Staff, "products:write"),
    ("DELETE", "/api/products/{id}/", For::Staff, "products:write"),
    ("GET", "/api/products/{id}/reviews/", For::Everybody, ""),
    ("POST", "/api/products/{id}/reviews/", For::Users, ""),
    ("PATCH", "/api/products/{id}/reviews/{review}/", For::Users, ""),
    ("DELETE", "/api/products/{id}/reviews/{review}/", For::Users, "reviews:write"),
    ("GET", "/api/admin/reviews/", For::Staff, "reviews:write"),
    ("GET", "/api/admin/reviews/{id}/", For::Staff, "reviews:write"),
    ("PATCH", "/api/admin/reviews/{id}/", For::Staff, "reviews:write"),
    ("DELETE", "/api/admin/reviews/{id}/", For::Staff, "reviews:write"),
    ("GET", "/api/categories/", For::Everybody, ""),
    ("GET", "/api/cart/", For::Users, ""),
    ("POST", "/api/cart/", For::Users, ""),
    ("DELETE", "/api/cart/", For::Users, ""),
    ("POST", "/api/cart/coupon/", For::Users, ""),
    ("DELETE", "/api/cart/coupon/", For::Users, ""),
    ("PUT", "/api/cart/{id}/", For::Users, ""),
    ("DELETE", "/api/cart/{id}/", For::Users, ""),
    ("GET", "/api/wishlist/", For::Users, ""),
    ("POST", "/api/wishlist/", For::Users, ""),
    ("DELETE", "/api/wishlist/{product}/", For::Users, ""),
    ("POST", "/api/wishlist/{product}/move-to-cart/", For::Users, ""),
    ("GET", "/api/orders/", For::Users, ""),
    ("POST", "/api/orders/", For::Users, ""),
    ("GET", "/api/orders/{id}/", For::Users, "orders:read"),
    ("POST", "/api/orders/{id}/cancel/", For::Users, ""),
    ("GET", "/api/orders/{id}/tracking/", For::Users, "orders:read"),
    ("GET", "/api/orders/{id}/invoice/", For::Users, "orders:read"),
    ("GET", "/api/orders/{id}/credit-notes/", For::Users, "orders:read"),
    ("GET", "/api/orders/{id}/credit-notes/{number}/", For::Users, "orders:read"),
    ("POST", "/api/payment/", For::Users, ""),
    ("GET", "/api/payment/{id}/", For::Users, "payments:read"),
    ("POST", "/api/payment/test/{id}/", For::Users, "payments:write"),
    ("POST", "/api/payment/webhook/", For::Everybody, ""),
    ("POST", "/api/payment/webhook/paypal/", For::Everybody, ""),
    ("GET", "/api/admin/orders/", For::Staff, "orders:read"),
    ("GET", "/api/admin/orders/{id}/", For::Staff, "orders:read"),
    ("PATCH", "/api/admin/orders/{id}/", For::Staff, "orders:write"),
    ("POST", "/api/admin/orders/{id}/fulfilments/", For::Staff, "orders:write"),
    ("PATCH", "/api/admin/orders/{id}/fulfilments/{number}/", For::Staff, "orders:write"),
    ("GET", "/api/admin/carriers/", For::Staff, "orders:read"),
    ("POST", "/api/admin/orders/{id}/mark-paid/", For::Staff, "payments:write"),
    ("POST", "/api/admin/orders/{id}/refund/", For::Admins, "payments:write"),
    ("GET", "/api/admin/payments/", For::Staff, "payments:read"),
    ("GET", "/api/admin/payments/report/", For::Staff, "payments:read"),
    ("GET", "/api/admin/payments/{id}/", For::Staff, "payments:read"),
    ("POST", "/api/admin/payments/{id}/cancel/", For::Admins, "payments:write"),
    ("POST", "/api/admin/refunds/{id}/settle/", For::Admins, "payments:write"),
    ("POST", "/api/admin/payments/reconcile/", For::Admins, "payments:write"),
    ("GET", "/api/admin/users/", For::Admins, "users:read"),
    ("POST", "/api/admin/users/", For::Admins, "users:write"),
    ("GET", "/api/admin/users/{id}/", For::Admins, "users:read"),
    ("PATCH", "/api/admin/users/{id}/", For::Admins, "users:write"),
    ("POST", "/api/admin/users/{id}/password/", For::Admins, "users:write"),
    ("GET", "/api/admin/users/{id}/export/", For::Admins, "all"),
    ("GET", "/api/admin/coupons/", For::Staff, "coupons:read"),
    ("POST", "/api/admin/coupons/", For::Staff, "coupons:write"),
    ("GET", "/api/admin/coupons/{code}/", For::Staff, "coupons:read"),
    ("PUT", "/api/admin/coupons/{code}/", For::Staff, "coupons:write"),
    ("PATCH", "/api/admin/coupons/{code}/", For::Staff, "coupons:write"),
    ("DELETE", "/api/admin/coupons/{code}/", For::Staff, "coupons:write"),
    ("POST", "/api/admin/users/{id}/erase/", For::Admins, "users:write"),
    ("GET", "/api/admin/inventory/low-stock/", For::Staff, "stock:read"),
    ("GET", "/api/admin/inventory/movements/", For::Staff, "stock:read"),
    ("POST", "/api/admin/inventory/adjust/", For::Staff, "stock:write"),
    ("POST", "/api/admin/products/import/", For::Staff, "products:write"),
    ("GET", "/api/admin/tokens/", For::Admins, "tokens:read"),
    ("POST", "/api/admin/tokens/", For::Admins, "tokens:write"),
    ("DELETE", "/api/admin/tokens/{id}/", For::Admins, "tokens:write"),
    ("GET", "/api/admin/keys/", For::Admins, "all"),
    ("POST", "/api/admin/keys/rotate/", For::Admins, "all"),
    ("GET", "/api/admin/products/export/", For::Staff, "products:read"),
    ("GET", "/api/admin/products/imports/", For::Staff, "products:read"),
    ("GET", "/api/admin/products/imports/{id}/", For::Staff, "products:read"),
    ("POST", "/api/admin/products/imports/{id}/undo/", For::Staff, "products:write"),
    ("GET", "/api/admin/orders/export/", For::Staff, "orders:read"),
    ("GET", "/api/admin/stats/", For::Staff, "shop:read"),
    ("GET", "/api/admin/audit/", For::Admins, "audit:read"),
    ("GET", "/api/admin/audit/export/", For::Admins, "audit:read"),
    ("GET", "/api/admin/mails/", For::Admins, "mails:read"),
    ("GET", "/api/admin/mails/{id}/", For::Admins, "mails:read"),
    ("POST", "/api/admin/mails/{id}/retry/", For::Admins, "mails:write"),
    ("POST", "/api/admin/mails/test/", For::Admins, "mails:write"),
    ("GET", "/api/openapi.json", For::Everybody, ""),
    ("GET", "/api/docs/", For::Everybody, ""),
    ("GET", "/api/docs/{file}", For::Everybody, ""),
    ("POST", "/api/admin/check/", For::Admins, "shop:read"),
    ("POST", "/api/admin/backup/", For::Admins, "all"),
    ("POST", "/api/admin/compact/", For::Admins, "all"),
    ("GET", "/metrics", For::Everybody, ""),
    ("GET", "/api/admin/backups/", For::Admins, "shop:read"),
    ("POST", "/api/admin/backups/", For::Admins, "all"),
];

/// The path with names in it that nothing has.
fn of_nothing(path: &str) -> String {
    let name = |part: &str| if part.starts_with('{') { "987654321".to_owned() } else { part.to_owned() };
    path.split('/').map(name).collect::<Vec<_>>().join("/")
}

#[test]
fn every_route_has_its_line() {
    let mut routed = till::http::operations();
    let mut listed: Vec<_> = ROUTES.iter().map(|(verb, path, ..)| (*verb, *path)).collect();
    routed.sort_unstable();
    listed.sort_unstable();
    assert_eq!(routed, listed);
}

#[tokio::test]
async fn nobody_gets_further_than_they_may() {
    let shop = Shop::open().await;
    let (buyer, staff, admin) = (shop.buyer().await, shop.staff().await, shop.admin().await);
    for (verb, path, who, _) in ROUTES {
        let path = of_nothing(path);
        let ask = |token: Option<&str>| {
            let method: Method = verb.parse().expect("a method");
            let asking = shop.request(method, &path);
            let asking =
                if *verb == "GET" || *verb == "DELETE" { asking } else { asking.json(&json!({"x": 1})) };
            match token {
                Some(token) => asking.token(token).send(),
                None => asking.send(),
            }
        };
        let place = format!("{verb} {path}");
        let nobody = ask(None).await;
        if *who == For::Everybody {
            assert!(
                ![401, 403].contains(&nobody.status.as_u16()) || nobody.json["code"] == "token_invalid",
                "{place}"
            );
        } else {
            let nobody = nobody.refused(401, "not_authenticated");
            assert_eq!(nobody.header("www-authenticate"), "Bearer", "{place}");
            ask(Some("not.a.token")).await.refused(401, "token_invalid");
        }
        for (person, role) in [(&buyer, For::Users), (&staff, For::Staff), (&admin, For::Admins)] {
            let answer = ask(Some(&person.access)).await;
            let may = *who as u8 <= role as u8;
            assert_eq!(answer.status.as_u16() == 403, !may, "{place} as {role:?}: {}", answer.text);
            assert!(answer.status.as_u16() < 500, "{place} as {role:?}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_token_gets_as_far_as_its_scopes() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let token = async |scopes: &[&str]| -> String {
        let wanted = json!({"name": "test", "scopes": scopes});
        let made = admin.post("/api/admin/tokens/", wanted).await.status(201);
        made.json["secret"].as_str().expect("a secret").to_owned()
    };
    let all = token(&["all"]).await;
    for (verb, path, who, scope) in ROUTES {
        if *who == For::Everybody {
            continue;
        }
        let place = format!("{verb} {path}");
        let path = of_nothing(path);
        let ask = |token: &str| {
            let asking = shop.request(verb.parse::<Method>().expect("a method"), &path).token(token);
            let asking =
                if *verb == "GET" || *verb == "DELETE" { asking } else { asking.json(&json!({"x": 1})) };
            asking.send()
        };
        if scope.is_empty() {
            assert_eq!(*who, For::Users, "{place} is for staff, so a token must be able to do it");
            ask(&all).await.refused(403, "permission_denied");
            continue;
        }
        let others = till::accounts::Scope::EACH.iter().map(|(scope, _)| scope.as_str());
        let twin = scope.replace(":read", ":write").parse::<till::accounts::Scope>();
        let twin = twin.map_or_else(|_| (*scope).to_owned(), |twin| twin.to_string());
        let others: Vec<_> =
            others.filter(|other| *other != "all" && other != scope && *other != twin).collect();
        let refused = ask(&token(&others).await).await.refused(403, "permission_denied");
        assert!(refused.text.contains(scope), "{place}: {}", refused.text);
        for good in [&token(&[scope]).await, &token(&[&twin]).await, &all] {
            let answer = ask(good).await;
            assert!(![401, 403].contains(&answer.status.as_u16()), "{place}: {}", answer.text);
            assert!(answer.status.as_u16() < 500, "{place}: {}", answer.text);
        }
    }
}
