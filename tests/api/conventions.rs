//! What holds on every route: slashes, media types, limits, problem details, idempotency keys, request ids.

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue};
use reqwest::Method;
use serde_json::json;
use till::http::{Body, Incoming, Origin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Shop, address};

#[tokio::test]
async fn both_slash_forms_answer_and_neither_redirects() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 5).await;
    for path in [
        "/api/products".to_owned(),
        format!("/api/products/{}", tea.id),
        "/api/categories".into(),
        "/healthz".into(),
    ] {
        let (without, with) =
            (shop.get(&path).await.status(200), shop.get(&format!("{path}/")).await.status(200));
        assert_eq!(without.text, with.text);
    }
    shop.get("/api/products//").await.refused(404, "not_found");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let shop = Shop::open().await;
    shop.get("/").await.refused(404, "not_found");
    shop.get("/api/nothing/").await.refused(404, "not_found");
    let answer =
        shop.request(Method::DELETE, "/api/products/").send().await.refused(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "GET, POST, HEAD");
    let answer = shop.request(Method::OPTIONS, "/api/cart/").send().await.refused(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "DELETE, GET, POST, HEAD");
    shop.request("BREW".parse().unwrap(), "/api/cart/").send().await.refused(405, "method_not_allowed");
    shop.get("/api/products/%FF/").await.refused(404, "not_found");
    shop.get("/api/orders/18446744073709551616/").await.refused(404, "not_found");
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let shop = Shop::open().await;
    shop.product("Tea", "4", 5).await;
    let get = shop.get("/api/products/").await;
    let head = shop.request(Method::HEAD, "/api/products/").send().await.status(200);
    assert_eq!((head.text.as_str(), head.header("etag")), ("", get.header("etag")));
    assert_eq!(head.header("content-length"), get.text.len().to_string());
}

#[tokio::test]
async fn bodies_must_be_json_in_utf_8() {
    let shop = Shop::open().await;
    let ask = |media: &'static str, body: Vec<u8>| {
        shop.request(Method::POST, "/api/auth/login/").body(media, body).send()
    };
    let good = json!({"email": "a@b.example", "password": "x"}).to_string().into_bytes();
    ask("text/plain", good.clone()).await.refused(415, "unsupported_media_type");
    ask("application/x-www-form-urlencoded", b"email=a".to_vec())
        .await
        .refused(415, "unsupported_media_type");
    ask("application/json; charset=utf-8", good.clone()).await.refused(401, "invalid_credentials");
    ask("Application/JSON", good).await.refused(401, "invalid_credentials");
    shop.request(Method::POST, "/api/auth/login/").send().await.refused(415, "unsupported_media_type");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes();
    for bad in [
        b"".to_vec(),
        b"{".to_vec(),
        b"{\"email\": \"\xFF\xFE\"}".to_vec(),
        b"{} {}".to_vec(),
        deep,
        b"NaN".to_vec(),
    ] {
        ask("application/json", bad).await.refused(400, "malformed_json");
    }
    for no_object in [b"[]".to_vec(), b"null".to_vec(), b"7".to_vec(), b"\"x\"".to_vec()] {
        ask("application/json", no_object).await.refused(422, "validation_error");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_chunked_or_not() {
    let shop = Shop::open().await;
    let huge = json!({"email": "x".repeat(300_000), "password": "x"}).to_string();
    shop.request(Method::POST, "/api/auth/login/")
        .body("application/json", huge.clone())
        .send()
        .await
        .refused(413, "body_too_large");
    let pieces: Vec<Result<_, std::io::Error>> =
        huge.as_bytes().chunks(10_000).map(|piece| Ok(piece.to_vec())).collect();
    let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    shop.request(Method::POST, "/api/auth/login/")
        .body("application/json", stream)
        .send()
        .await
        .refused(413, "body_too_large");
}

#[tokio::test]
async fn numbers_are_read_exactly() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let ask =
        |body: &'static str| staff.asks(Method::POST, "/api/products/").body("application/json", body).send();
    let made = ask(r#"{"name": "A", "price": 123456789012.34}"#).await.status(201);
    assert_eq!(made.json["price"], "123456789012.34");
    ask(r#"{"name": "A", "price": 0.1000000000000000000001}"#).await.faults(&["price"]);
    ask(r#"{"name": "A", "price": 1, "stock_quantity": 5.5}"#).await.faults(&["stock_quantity"]);
    ask(r#"{"name": "A", "price": 1, "stock_quantity": 9223372036854775808}"#)
        .await
        .faults(&["stock_quantity"]);
    ask(r#"{"name": "A", "price": 1, "stock_quantity": 1e-2}"#).await.faults(&["stock_quantity"]);
    let made = ask(r#"{"name": "A", "price": 1, "stock_quantity": 1e2}"#).await.status(201);
    assert_eq!(made.json["stock_quantity"], 100);
    ask(r#"{"name": "A", "price": {"$serde_json::private::Number": "5"}}"#).await.faults(&[""]);
}

#[tokio::test]
async fn request_ids_are_echoed_when_they_are_sane() {
    let shop = Shop::open().await;
    let ask = |id: &'static str| shop.request(Method::GET, "/api/nothing/").header("X-Request-Id", id).send();
    let answer = ask("order-42.a:b_c").await;
    assert_eq!(
        (answer.header("x-request-id"), &answer.json["request_id"]),
        ("order-42.a:b_c", &json!("order-42.a:b_c"))
    );
    for bad in ["has space", "quote\"", ""] {
        let answer = ask(bad).await;
        assert_eq!(
            (answer.header("x-request-id").len(), &answer.json["request_id"]),
            (16, &json!(answer.header("x-request-id")))
        );
    }
}

#[tokio::test]
async fn answers_are_not_kept_by_caches_unless_they_say_so() {
    let shop = Shop::open().await;
    assert_eq!(shop.get("/api/products/").await.header("cache-control"), "no-cache");
    assert_eq!(shop.staff().await.get("/api/products/").await.header("cache-control"), "private, no-cache");
    assert_eq!(shop.buyer().await.get("/api/cart/").await.header("cache-control"), "no-store");
    assert_eq!(shop.get("/healthz").await.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn too_long_a_path_and_too_many_headers_are_refused() {
    let shop = Shop::open().await;
    shop.get(&format!("/api/products/?search={}", "x".repeat(9000))).await.refused(414, "uri_too_long");
    let flood = |count| {
        let asking = shop.request(Method::GET, "/api/products/");
        (0..count).fold(asking, |asking, n| asking.header(&format!("X-Flood-{n}"), "x"))
    };
    flood(70).send().await.status(200);
    flood(90).send().await.refused(431, "headers_too_large");
    // As many as these hyper refuses by itself, without a document.
    assert_eq!(flood(120).send_bare().await, 431);
    let long = "x".repeat(20_000);
    shop.request(Method::GET, "/api/products/")
        .header("X-Long", &long)
        .send()
        .await
        .refused(431, "headers_too_large");
    shop.get("/api/products/").await.status(200);
}

#[tokio::test]
async fn garbage_on_the_wire_does_not_hurt() {
    let shop = Shop::open().await;
    let address = shop.base.strip_prefix("http://").unwrap().to_owned();
    for bytes in [
        &b"\x16\x03\x01\x02\x00hello"[..],
        b"GET\r\n\r\n",
        b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"POST /api/cart/ HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET /\xFF\xFE HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let _ =
            tokio::time::timeout(std::time::Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    shop.get("/healthz").await.status(200);
}

#[tokio::test]
async fn whoever_connects_and_says_nothing_keeps_no_place() {
    let shop = Shop::open().await;
    let address = shop.base.strip_prefix("http://").unwrap().to_owned();
    let held = [&b""[..], b"PRI * HT", b"GET / HT"].map(async |greeting| {
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        stream.write_all(greeting).await.unwrap();
        let mut answer = Vec::new();
        let closed =
            tokio::time::timeout(std::time::Duration::from_secs(30), stream.read_to_end(&mut answer));
        assert!(closed.await.is_ok(), "{greeting:?} is still connected");
    });
    join_all(held).await;
}

#[tokio::test]
async fn a_key_gives_the_same_success_again() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let add = |key: &'static str, quantity: u64| {
        let body = json!({"product_id": tea.id, "quantity": quantity});
        ann.asks(Method::POST, "/api/cart/").header("Idempotency-Key", key).json(&body).send()
    };
    let first = add("abc", 2).await.status(201);
    let again = add("abc", 2).await.status(201);
    assert_eq!(
        (again.text, again.headers.get("location")),
        (first.text.clone(), first.headers.get("location"))
    );
    assert_eq!(
        (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"].to_str().unwrap()),
        (None, "true")
    );
    assert_eq!(ann.get("/api/cart/").await.json["item_count"], 2);
    add("abc", 3).await.refused(422, "idempotency_key_reused");
    add("bad key", 1).await.faults(&["Idempotency-Key"]);
    let other = shop.buyer().await;
    let body = json!({"product_id": tea.id, "quantity": 2});
    let theirs = other
        .asks(Method::POST, "/api/cart/")
        .header("Idempotency-Key", "abc")
        .json(&body)
        .send()
        .await
        .status(201);
    assert!(theirs.headers.get("idempotency-replayed").is_none(), "keys are each user's own");
    shop.later(std::time::Duration::from_secs(24 * 3600 + 1));
    shop.run_jobs().await;
}

#[tokio::test]
async fn a_refusal_is_not_stored_under_its_key() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 1).await;
    let ann = shop.buyer().await;
    let add = || {
        let body = json!({"product_id": tea.id, "quantity": 5});
        ann.asks(Method::POST, "/api/cart/").header("Idempotency-Key", "k").json(&body).send()
    };
    add().await.refused(409, "insufficient_stock");
    shop.staff()
        .await
        .patch(&format!("/api/products/{}/", tea.id), json!({"stock_quantity": 9}))
        .await
        .status(200);
    add().await.status(201);
}

#[tokio::test]
async fn one_key_many_times_at_once_places_one_order() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 100).await;
    let ann = shop.buyer().await;
    ann.puts_in_cart(tea.id, 3).await.status(201);
    let place = || {
        let body = json!({"shipping_address": address()});
        ann.asks(Method::POST, "/api/orders/").header("Idempotency-Key", "order-1").json(&body).send()
    };
    let answers = join_all((0..24).map(|_| place())).await;
    let mut ids = std::collections::BTreeSet::new();
    for answer in answers {
        if answer.status.as_u16() == 201 {
            ids.insert(answer.json["id"].as_u64().unwrap());
        } else {
            answer.refused(409, "idempotency_in_progress");
        }
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(ids, [place().await.status(201).json["id"].as_u64().unwrap()].into());
    assert_eq!(shop.stock_of(tea.id).await, 97);
}

#[tokio::test]
async fn lists_link_to_their_neighbours_and_keep_the_query() {
    let shop = Shop::open().await;
    for n in 0..5 {
        shop.product(&format!("Tea {n}"), "4", 5).await;
    }
    let list = shop.get("/api/products/?page_size=2&page=2&search=tea&ordering=name").await.status(200).json;
    let link =
        |page: u64| format!("{}/api/products/?page_size=2&search=tea&ordering=name&page={page}", shop.base);
    assert_eq!(
        (&list["next"], &list["previous"], &list["count"]),
        (&json!(link(3)), &json!(link(1)), &json!(5))
    );
    let last = shop.get("/api/products/?page_size=2&page=3").await.status(200).json;
    assert!(last["next"].is_null());
    shop.get("/api/products/?page_size=2&page=4").await.refused(404, "page_not_found");
}

#[tokio::test]
async fn links_follow_the_public_address() {
    let shop = Shop::with(&[("server.public_url", "https://shop.example.com/")]).await;
    for n in 0..3 {
        shop.product(&format!("Tea {n}"), "4", 5).await;
    }
    let list = shop.get("/api/products/?page_size=2").await.status(200).json;
    assert_eq!(list["next"], "https://shop.example.com/api/products/?page_size=2&page=2");
}

#[tokio::test]
async fn wrong_types_everywhere_are_never_a_500() {
    let shop = Shop::open().await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let tea = shop.product("Tea", "4", 5).await;
    let order = ann.bought(tea.id, 1).await;
    let values = [
        json!(null),
        json!(-1),
        json!(1.5),
        json!("x"),
        json!([]),
        json!({}),
        json!(true),
        json!(1e300),
        json!("\u{0}"),
        json!(u64::MAX),
    ];
    for (method, path, fields, person) in [
        (Method::POST, "/api/cart/".to_owned(), &["product_id", "variant_id", "quantity"][..], &ann),
        (
            Method::POST,
            "/api/orders/".into(),
            &["shipping_address", "billing_address", "note", "total_amount", "payment_id"],
            &ann,
        ),
        (
            Method::POST,
            "/api/payment/".into(),
            &["order_id", "items", "shipping_address", "total_amount", "provider"],
            &ann,
        ),
        (Method::PATCH, "/api/auth/me/".into(), &["name", "default_address"], &ann),
        (Method::PATCH, format!("/api/admin/orders/{order}/"), &["status", "tracking", "note"], &admin),
        (
            Method::POST,
            format!("/api/admin/orders/{order}/refund/"),
            &["lines", "amount", "reason", "restock"],
            &admin,
        ),
        (Method::POST, format!("/api/admin/orders/{order}/mark-paid/"), &["method", "reference"], &admin),
        (
            Method::POST,
            "/api/admin/inventory/adjust/".into(),
            &["variant_id", "set", "delta", "reason"],
            &admin,
        ),
        (Method::POST, "/api/admin/users/".into(), &["email", "password", "name", "role"], &admin),
        (
            Method::PATCH,
            format!("/api/products/{}/", tea.id),
            &["name", "price", "tags", "images", "options", "variants", "category"],
            &admin,
        ),
    ] {
        for field in fields {
            for value in &values {
                let answer = person.asks(method.clone(), &path).json(&json!({*field: value})).send().await;
                assert!(answer.status.as_u16() < 500, "{method} {path} {field}={value}: {}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn numbers_are_read_as_the_description_says() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 5).await;
    let buyer = shop.buyer().await;
    let path = "/api/cart/";
    // A whole number with a fraction of zero is whole (JSON Schema), and nothing else is.
    for (quantity, status) in [("2.0", 201), ("1e0", 201), ("1.5", 422), ("1e-1", 422), ("\"1\"", 422)] {
        let body = format!("{{\"product_id\": {}, \"quantity\": {quantity}}}", tea.id);
        let asking = buyer.asks(Method::POST, path).body("application/json", body);
        asking.send().await.status(status);
    }
    assert_eq!(buyer.get(path).await.json["item_count"], 3);
    // No record has an id above 2^63 - 1.
    let staff = shop.staff().await;
    let of = |id: &str| format!("/api/admin/inventory/movements/?variant_id={id}");
    staff.get(&of("9223372036854775807")).await.status(200);
    staff.get(&of("9223372036854775808")).await.faults(&["variant_id"]);
    staff.get("/api/admin/reviews/?user_id=9223372036854775808").await.faults(&["user_id"]);
    staff.get("/api/admin/payments/?order=9223372036854775808").await.faults(&["order"]);
}

/// Routes whose body is no JSON, or of any type.
const OTHER_BODIES: &[&str] =
    &["/api/admin/products/import/", "/api/payment/webhook/", "/api/payment/webhook/paypal/"];

#[tokio::test]
async fn every_route_keeps_the_conventions() {
    let shop = Shop::open().await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let mut verbs_of = std::collections::BTreeMap::<_, Vec<_>>::new();
    for (verb, path) in till::http::operations() {
        verbs_of.entry(path).or_default().push(verb);
    }
    for (path, verbs) in verbs_of {
        let place = path.replace(['{', '}'], "");
        // Nobody: whether a route is found at all is seen before who asks.
        let refused = shop.request("BREW".parse().unwrap(), &place).send().await;
        let refused = refused.refused(405, "method_not_allowed");
        let mut allowed: Vec<_> = refused.header("allow").split(", ").collect();
        let mut expected = verbs.clone();
        expected.extend(verbs.contains(&"GET").then_some("HEAD"));
        allowed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(allowed, expected, "{path}");

        for verb in verbs {
            let method: Method = verb.parse().expect("a method");
            let bare = place.trim_end_matches('/');
            let (with, without) =
                (ann.asks(method.clone(), &format!("{bare}/")), ann.asks(method.clone(), bare));
            let (with, without) = (with.send().await, without.send().await);
            assert_eq!(with.status, without.status, "{verb} {path}");
            if verb == "GET" {
                let head = ann.asks(Method::HEAD, &place).send_bare().await;
                assert_eq!(head, with.status.as_u16(), "HEAD {path}");
                continue;
            }
            let unseen =
                admin.asks(method.clone(), &place).header("Content-Encoding", "gzip").json(&json!({}));
            unseen.send().await.refused(415, "unsupported_media_type");
            if verb == "DELETE" || OTHER_BODIES.contains(&path) {
                continue;
            }
            for person in [&ann, &admin] {
                let answer = person.asks(method.clone(), &place).body("text/plain", "{}").send().await;
                assert!([403, 404, 415].contains(&answer.status.as_u16()), "{verb} {path}: {}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_where_nothing_is_begun_too() {
    let shop = Shop::open().await;
    let buyer = shop.buyer().await;
    let asking = buyer.asks(Method::POST, "/api/orders/").header("Idempotency-Key", "a b");
    asking.json(&json!({"payment_id": 1})).send().await.faults(&["Idempotency-Key"]);
}

#[tokio::test]
async fn a_body_whose_length_nobody_says_is_read() {
    let shop = Shop::open().await;
    // As over HTTP/2, where neither Content-Length nor Transfer-Encoding need be there.
    let ask = async |media_type: Option<&'static str>, body: &'static str| {
        let mut headers = HeaderMap::new();
        if let Some(media_type) = media_type {
            headers.insert("content-type", HeaderValue::from_static(media_type));
        }
        let body: Body = Box::pin(futures_util::stream::iter([Ok(Bytes::from_static(body.as_bytes()))]));
        let incoming = Incoming {
            method: Method::POST,
            path: "/api/admin/check/".into(),
            query: String::new(),
            headers,
            body: Some(body),
            origin: Origin::Operator,
        };
        till::http::answer(&shop.app, incoming).await.status.as_u16()
    };
    assert_eq!(ask(None, "").await, 200);
    assert_eq!(ask(Some("application/json"), r#"{"repair": false}"#).await, 200);
    assert_eq!(ask(Some("application/json"), r#"{"repair": 7}"#).await, 422, "it is not passed over");
    assert_eq!(ask(None, r#"{"repair": true}"#).await, 415);
}
