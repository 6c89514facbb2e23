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

const ROUTES: &[(&str, &str, For)] = &[
    ("GET", "/healthz", For::Everybody),
    ("GET", "/readyz", For::Everybody),
    ("POST", "/api/auth/register/", For::Everybody),
    ("POST", "/api/auth/login/", For::Everybody),
    ("POST", "/api/auth/token/refresh/", For::Everybody),
    ("POST", "/api/auth/logout/", For::Everybody),
    ("GET", "/api/auth/me/", For::Users),
    ("PATCH", "/api/auth/me/", For::Users),
    ("POST", "/api/auth/password/", For::Users),
    ("GET", "/api/products/", For::Everybody),
    ("POST", "/api/products/", For::Staff),
    ("GET", "/api/products/{id}/", For::Everybody),
    ("PUT", "/api/products/{id}/", For::Staff),
    ("PATCH", "/api/products/{id}/", For::Staff),
    ("DELETE", "/api/products/{id}/", For::Staff),
    ("GET", "/api/categories/", For::Everybody),
    ("GET", "/api/cart/", For::Users),
    ("POST", "/api/cart/", For::Users),
    ("DELETE", "/api/cart/", For::Users),
    ("PUT", "/api/cart/{id}/", For::Users),
    ("DELETE", "/api/cart/{id}/", For::Users),
    ("GET", "/api/orders/", For::Users),
    ("POST", "/api/orders/", For::Users),
    ("GET", "/api/orders/{id}/", For::Users),
    ("POST", "/api/orders/{id}/cancel/", For::Users),
    ("GET", "/api/orders/{id}/tracking/", For::Users),
    ("GET", "/api/orders/{id}/invoice/", For::Users),
    ("POST", "/api/payment/", For::Users),
    ("GET", "/api/payment/{id}/", For::Users),
    ("POST", "/api/payment/test/{id}/", For::Users),
    ("GET", "/api/admin/orders/", For::Staff),
    ("GET", "/api/admin/orders/{id}/", For::Staff),
    ("PATCH", "/api/admin/orders/{id}/", For::Staff),
    ("POST", "/api/admin/orders/{id}/mark-paid/", For::Staff),
    ("POST", "/api/admin/orders/{id}/refund/", For::Admins),
    ("GET", "/api/admin/payments/", For::Staff),
    ("GET", "/api/admin/payments/{id}/", For::Staff),
    ("POST", "/api/admin/payments/{id}/cancel/", For::Admins),
    ("POST", "/api/admin/payments/reconcile/", For::Admins),
    ("GET", "/api/admin/users/", For::Admins),
    ("POST", "/api/admin/users/", For::Admins),
    ("GET", "/api/admin/users/{id}/", For::Admins),
    ("PATCH", "/api/admin/users/{id}/", For::Admins),
    ("POST", "/api/admin/users/{id}/password/", For::Admins),
    ("GET", "/api/admin/inventory/low-stock/", For::Staff),
    ("GET", "/api/admin/inventory/movements/", For::Staff),
    ("POST", "/api/admin/inventory/adjust/", For::Staff),
    ("POST", "/api/admin/products/import/", For::Staff),
    ("POST", "/api/admin/check/", For::Admins),
];

#[test]
fn every_route_has_its_line() {
    let mut routed = till::http::operations();
    let mut listed: Vec<_> = ROUTES.iter().map(|(verb, path, _)| (*verb, *path)).collect();
    routed.sort_unstable();
    listed.sort_unstable();
    assert_eq!(routed, listed);
}

#[tokio::test]
async fn nobody_gets_further_than_they_may() {
    let shop = Shop::open().await;
    let (buyer, staff, admin) = (shop.buyer().await, shop.staff().await, shop.admin().await);
    for (verb, path, who) in ROUTES {
        let path = path.replace("{id}", "987654321");
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
