//! Pages of other sites that use the API from a browser.

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Shop};

const SITE: &str = "https://www.example.com";
const SETTINGS: &[(&str, &str)] =
    &[("server.cors_origins", "https://www.example.com, http://localhost:3000")];

async fn ask(shop: &Shop, method: Method, path: &str, origin: &str) -> Answer {
    shop.request(method, path).header("Origin", origin).send().await
}

#[tokio::test]
async fn every_route_tells_the_pages_of_a_site_what_it_takes() {
    let shop = Shop::with(SETTINGS).await;
    for (verb, path) in till::http::operations() {
        let path = path.replace(['{', '}'], "");
        for path in [path.clone(), path.trim_end_matches('/').to_owned()] {
            let asked = shop.request(Method::OPTIONS, &path).header("Origin", SITE);
            let answer = asked.header("Access-Control-Request-Method", verb).send().await.status(204);
            let methods: Vec<_> = answer.header("access-control-allow-methods").split(", ").collect();
            assert!(methods.contains(&verb), "{verb} {path}: {methods:?}");
            assert_eq!(answer.header("access-control-allow-origin"), SITE, "{path}");
            assert!(answer.header("access-control-allow-headers").contains("Authorization"), "{path}");
            assert_eq!((answer.header("access-control-max-age"), answer.header("vary")), ("7200", "Origin"));
            assert!(answer.headers.get("access-control-allow-credentials").is_none(), "{path}");
        }
    }
    ask(&shop, Method::OPTIONS, "/api/nothing/", SITE).await.refused(404, "not_found");
}

#[tokio::test]
async fn answers_can_be_read_by_the_sites_that_are_named_and_no_other() {
    let shop = Shop::with(SETTINGS).await;
    for origin in [SITE, "http://localhost:3000"] {
        let answer = ask(&shop, Method::GET, "/api/products/", origin).await.status(200);
        assert_eq!(answer.header("access-control-allow-origin"), origin);
        assert!(answer.header("access-control-expose-headers").contains("Idempotency-Replayed"));
        assert_eq!(answer.header("vary"), "Authorization, Origin");
    }
    for origin in [
        "https://www.example.com.evil.example",
        "https://evil.example",
        "http://www.example.com",
        "https://www.example.com:8443",
        "https://WWW.example.com",
        "http://localhost:30000",
        "null",
    ] {
        for method in [Method::GET, Method::OPTIONS] {
            let answer = ask(&shop, method, "/api/products/", origin).await;
            assert!(answer.headers.get("access-control-allow-origin").is_none(), "{origin}");
            assert!(answer.header("vary").ends_with("Origin"), "{origin}");
        }
    }
    let answer = shop.get("/api/products/").await.status(200);
    assert!(answer.headers.get("access-control-allow-origin").is_none());
}

#[tokio::test]
async fn refusals_can_be_read_too() {
    let shop = Shop::with(SETTINGS).await;
    let readable = |answer: &Answer| {
        assert_eq!(answer.header("access-control-allow-origin"), SITE, "{}", answer.text);
    };
    readable(&ask(&shop, Method::GET, "/api/nothing/", SITE).await.refused(404, "not_found"));
    readable(&ask(&shop, Method::GET, "/api/cart/", SITE).await.refused(401, "not_authenticated"));
    readable(&ask(&shop, Method::DELETE, "/api/products/", SITE).await.refused(405, "method_not_allowed"));
    readable(
        &ask(&shop, Method::POST, "/api/auth/login/", SITE).await.refused(415, "unsupported_media_type"),
    );
    let long = format!("/api/products/?search={}", "x".repeat(9000));
    readable(&ask(&shop, Method::GET, &long, SITE).await.refused(414, "uri_too_long"));
    let login = shop.request(Method::POST, "/api/auth/login/").header("Origin", SITE);
    let body = json!({"email": "a@b.example", "password": "wrong"});
    readable(&login.json(&body).send().await.refused(401, "invalid_credentials"));
}

#[tokio::test]
async fn a_shop_for_every_site_says_so_and_one_for_none_says_nothing() {
    let shop = Shop::with(&[("server.cors_origins", "*")]).await;
    let answer = ask(&shop, Method::GET, "/api/products/", "https://any.example").await.status(200);
    assert_eq!((answer.header("access-control-allow-origin"), answer.header("vary")), ("*", "Authorization"));
    ask(&shop, Method::OPTIONS, "/api/cart/", "https://any.example").await.status(204);

    let shop = Shop::open().await;
    let refused = ask(&shop, Method::OPTIONS, "/api/cart/", SITE).await.refused(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), "DELETE, GET, POST, HEAD");
    for answer in [refused, ask(&shop, Method::GET, "/api/products/", SITE).await.status(200)] {
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")));
    }
}
