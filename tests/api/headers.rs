//! What every kind of answer says to browsers and caches.

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Shop};

fn is_guarded(answer: &Answer, place: &str) {
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{place}");
    assert_eq!(answer.header("referrer-policy"), "no-referrer", "{place}");
    let policy = answer.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{place}: {policy}"
    );
    for banner in ["server", "x-powered-by", "via"] {
        assert!(answer.headers.get(banner).is_none(), "{place}: {banner}");
    }
    assert!(!answer.header("x-request-id").is_empty(), "{place}");
    assert!(!answer.header("cache-control").is_empty(), "{place}");
}

#[tokio::test]
async fn every_answer_of_every_route_is_guarded() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    for (verb, path) in till::http::operations() {
        if path == "/api/docs/" {
            continue;
        }
        let path = path.replace(['{', '}'], "");
        let method: Method = verb.parse().expect("a method");
        for asking in [shop.request(method.clone(), &path), admin.asks(method.clone(), &path)] {
            let answer = asking.send().await;
            is_guarded(&answer, &format!("{verb} {path}"));
            if answer.status.as_u16() >= 400 {
                assert_eq!(answer.header("cache-control"), "no-store", "{verb} {path}");
            }
        }
    }
}

#[tokio::test]
async fn a_paper_runs_nothing_and_stands_in_no_frame() {
    let shop = Shop::open().await;
    let ann = shop.buyer().await;
    let tea = shop.product("Tea", "4", 5).await;
    let order = ann.bought(tea.id, 1).await;
    let link = ann.order(order).await["invoice_url"].as_str().expect("a link").to_owned();
    let link = link.strip_prefix(&shop.base).unwrap_or(&link).to_owned();
    for form in ["html", "pdf", "json"] {
        let answer = shop.get(&link.replace("format=html", &format!("format={form}"))).await.status(200);
        is_guarded(&answer, form);
        assert_eq!(answer.header("cache-control"), "no-store", "who has the link has the paper: {form}");
        assert!(!answer.header("content-security-policy").contains("script-src"), "{form}");
    }
}

#[tokio::test]
async fn what_is_nobodys_business_is_kept_by_no_cache() {
    let shop = Shop::open().await;
    let ann = shop.buyer().await;
    let tea = shop.product("Tea", "4", 5).await;
    let order = ann.bought(tea.id, 1).await;
    for path in [
        "/api/auth/me/".to_owned(),
        "/api/cart/".into(),
        "/api/orders/".into(),
        format!("/api/orders/{order}/"),
    ] {
        assert_eq!(ann.get(&path).await.status(200).header("cache-control"), "no-store", "{path}");
    }
    for path in ["/api/products/".to_owned(), format!("/api/products/{}/", tea.id), "/api/categories/".into()]
    {
        let answer = shop.get(&path).await.status(200);
        assert_eq!(
            answer.header("cache-control"),
            "no-cache",
            "it is asked after, because stock is in it: {path}"
        );
        assert!(
            !answer.header("etag").is_empty() && answer.header("vary").starts_with("Authorization"),
            "{path}"
        );
    }
    let login = json!({"email": ann.email, "password": crate::support::PASSWORD});
    let login = shop.request(Method::POST, "/api/auth/login/").json(&login).send().await.status(200);
    assert_eq!(login.header("cache-control"), "no-store");
}
