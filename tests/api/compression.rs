//! Compressed answers: for whom, of what, and what their entity tags are.

use std::io::Read;

use reqwest::{Method, Response};
use serde_json::json;

use crate::support::{Person, Shop};

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

fn inflated(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let read = match coding {
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out),
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out),
        "zstd" => zstd::Decoder::new(bytes).expect("a decoder").read_to_end(&mut out),
        other => panic!("{other:?}"),
    };
    read.unwrap_or_else(|error| panic!("{coding}: {error}"));
    out
}

/// Asks as a browser does; what comes back is not unpacked by anybody.
async fn get(shop: &Shop, path: &str, headers: &[(&str, &str)]) -> Response {
    let client = till::http::outgoing().build().expect("a client");
    let mut asking = client.get(format!("{}{path}", shop.base));
    for (name, value) in headers {
        asking = asking.header(*name, *value);
    }
    asking.send().await.expect("an answer")
}

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map_or("", |value| value.to_str().expect("ASCII")).to_owned()
}

async fn full_shop() -> Shop {
    let shop = Shop::open().await;
    for n in 0..30 {
        shop.product(&format!("Tea {n}"), "4", 5).await;
    }
    shop
}

#[tokio::test]
async fn a_list_is_compressed_as_it_is_asked_for() {
    let shop = full_shop().await;
    let plain = get(&shop, "/api/products/", &[]).await;
    let (tag, vary) = (header(&plain, "etag"), header(&plain, "vary"));
    assert_eq!(
        (header(&plain, "content-encoding").as_str(), vary.as_str()),
        ("", "Authorization, Accept-Encoding")
    );
    let plain = plain.bytes().await.expect("whole");
    for coding in CODINGS {
        let answer = get(&shop, "/api/products/", &[("accept-encoding", coding)]).await;
        assert_eq!(
            (header(&answer, "content-encoding"), header(&answer, "vary")),
            (coding.into(), vary.clone())
        );
        assert_eq!(header(&answer, "etag"), format!("{}-{coding}\"", tag.trim_end_matches('"')));
        assert_eq!(header(&answer, "content-type"), "application/json");
        let length: usize = header(&answer, "content-length").parse().expect("a length");
        let bytes = answer.bytes().await.expect("whole");
        assert_eq!(bytes.len(), length);
        assert!(bytes.len() * 4 < plain.len(), "{coding}: {} of {}", bytes.len(), plain.len());
        assert_eq!(inflated(coding, &bytes), plain, "{coding}");
    }
    let browser = get(&shop, "/api/products/", &[("accept-encoding", "gzip, deflate, br, zstd")]).await;
    assert_eq!(header(&browser, "content-encoding"), "zstd");
    for none in ["identity", "gzip;q=0", "deflate", "*;q=0"] {
        let answer = get(&shop, "/api/products/", &[("accept-encoding", none)]).await;
        assert_eq!(
            (header(&answer, "content-encoding").as_str(), header(&answer, "etag")),
            ("", tag.clone())
        );
    }
    let client = till::http::outgoing().build().expect("a client");
    let head = client.head(format!("{}/api/products/", shop.base)).header("accept-encoding", "gzip");
    let head = head.send().await.expect("an answer");
    assert_eq!(header(&head, "content-encoding"), "gzip");
    assert!(header(&head, "content-length").parse::<usize>().expect("a length") < plain.len());
}

#[tokio::test]
async fn each_form_is_known_again_by_its_own_tag() {
    let shop = full_shop().await;
    let gzip = get(&shop, "/api/products/", &[("accept-encoding", "gzip")]).await;
    let tag = header(&gzip, "etag");
    let again = get(&shop, "/api/products/", &[("accept-encoding", "gzip"), ("if-none-match", &tag)]).await;
    assert_eq!((again.status().as_u16(), header(&again, "etag")), (304, tag.clone()));
    assert_eq!(
        (header(&again, "vary").as_str(), header(&again, "content-encoding").as_str()),
        ("Authorization, Accept-Encoding", "")
    );
    let weak = format!("W/{tag}");
    let again = get(&shop, "/api/products/", &[("accept-encoding", "gzip"), ("if-none-match", &weak)]).await;
    assert_eq!(again.status(), 304, "as a proxy has weakened it");
    let other = get(&shop, "/api/products/", &[("accept-encoding", "br"), ("if-none-match", &tag)]).await;
    assert_eq!(other.status(), 200, "who has the one form has not the other");
}

#[tokio::test]
async fn who_got_a_product_compressed_can_change_it_by_its_tag() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let body = json!({"name": "Tea", "price": "4", "description": "good ".repeat(500)});
    let id = staff.post("/api/products/", body).await.status(201).json["id"].clone();
    let path = format!("/api/products/{id}/");
    let bearer = format!("Bearer {}", staff.access);
    for coding in CODINGS {
        let got = get(&shop, &path, &[("accept-encoding", coding), ("authorization", &bearer)]).await;
        let tag = header(&got, "etag");
        assert!(tag.ends_with(&format!("-{coding}\"")), "{tag}");
        let change = |tag: String, price: &'static str| {
            let asking = staff.asks(Method::PATCH, &path).header("If-Match", &tag);
            asking.json(&json!({"price": price})).send()
        };
        change(format!("W/{tag}"), "5").await.refused(412, "version_conflict");
        change(tag.clone(), "5").await.status(200);
        change(tag, "6").await.refused(412, "version_conflict");
        change("*".into(), "4").await.status(200);
    }
}

#[tokio::test]
async fn small_answers_refusals_and_what_brings_secrets_are_not_compressed() {
    let shop = full_shop().await;
    let all = [("accept-encoding", "gzip, br, zstd")];
    for path in ["/healthz", "/api/categories/", "/api/nothing/"] {
        assert_eq!(header(&get(&shop, path, &all).await, "content-encoding"), "", "{path}");
    }
    let admin = shop.admin().await;
    let scopes: Vec<_> = till::accounts::Scope::EACH.iter().map(|(scope, _)| scope.as_str()).collect();
    let made = admin.asks(Method::POST, "/api/admin/tokens/").header("Accept-Encoding", "gzip, br, zstd");
    let made = made.json(&json!({"name": "x".repeat(100), "scopes": scopes})).send().await.status(201);
    assert_eq!(made.header("content-encoding"), "");
    let login = shop.request(Method::POST, "/api/auth/login/").header("Accept-Encoding", "gzip, br, zstd");
    let login = login.json(&json!({"email": admin.email, "password": crate::support::PASSWORD}));
    assert_eq!(login.send().await.status(200).header("content-encoding"), "");
}

#[tokio::test]
async fn exports_are_compressed_as_they_are_written() {
    let shop = full_shop().await;
    let staff = shop.staff().await;
    let export = async |person: &Person<'_>, coding: &str| {
        let bearer = format!("Bearer {}", person.access);
        let headers = [("accept-encoding", coding), ("authorization", &bearer)];
        let answer = get(person.shop, "/api/admin/products/export/?format=csv", &headers).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "x-total-count").as_str()), (200, "30"));
        (header(&answer, "content-encoding"), answer.bytes().await.expect("whole"))
    };
    let (_, plain) = export(&staff, "identity").await;
    for coding in CODINGS {
        let (said, bytes) = export(&staff, coding).await;
        assert_eq!(said, coding);
        assert!(bytes.len() < plain.len() / 2);
        assert_eq!(inflated(coding, &bytes), plain, "{coding}");
    }
}

#[tokio::test]
async fn a_compressed_request_is_refused_with_what_is_right() {
    let shop = Shop::open().await;
    let ask = |coding: &'static str| {
        let asking = shop.request(Method::POST, "/api/auth/login/").header("Content-Encoding", coding);
        asking.json(&json!({"email": "a@b.example", "password": "x"})).send()
    };
    for coding in ["gzip", "br", "zstd", "identity, gzip"] {
        let refused = ask(coding).await.refused(415, "unsupported_media_type");
        assert_eq!(refused.header("accept-encoding"), "identity", "{coding}");
    }
    ask("identity").await.refused(401, "invalid_credentials");
}
