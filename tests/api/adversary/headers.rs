//! Headers: what is put into them to end up in an answer, a link or a mail.

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::mail::{Post, shop as shop_with_post};
use crate::support::{PASSWORD, Shop, address};

/// What the shop says to these bytes.
async fn raw(shop: &Shop, bytes: &[u8]) -> String {
    let address = shop.base.strip_prefix("http://").expect("plain HTTP");
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(bytes).await.expect("it reads");
    let mut answer = Vec::new();
    let read =
        tokio::time::timeout(std::time::Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    read.expect("the connection ends").expect("it can be read");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn nothing_that_is_sent_becomes_a_header_of_the_answer() {
    let shop = Shop::open().await;
    let get = |line: &str, headers: &str| {
        format!("GET {line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")
    };
    for request in [
        get("/api/nothing/%0d%0aSet-Cookie:%20a=b", ""),
        get("/api/products/?search=%0d%0aSet-Cookie:%20a=b&page_size=1", ""),
        get("/api/products/%0d%0aSet-Cookie:%20a=b/", ""),
        get("/api/products/", "X-Request-Id: a\rSet-Cookie: a=b\r\n"),
        get("/api/products/", "X-Request-Id: a\nSet-Cookie: a=b\r\n"),
        get("/api/products/", "X-Request-Id: a\r\n Set-Cookie: a=b\r\n"),
        get("/api/products/", "X-Request-Id: a%0d%0aSet-Cookie: a=b\r\n"),
        get("/api/products/", "X-Request-Id: a\0b\r\n"),
        get("/api/products/", "Origin: http://evil.example\r\nX-Forwarded-Host: evil.example\r\n"),
    ] {
        let answer = raw(&shop, request.as_bytes()).await;
        let head = answer.split("\r\n\r\n").next().expect("a head").to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 "), "{request}: {answer}");
        assert!(!head.contains("\nset-cookie") && !head.contains("evil.example"), "{request}: {head}");
        let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: "));
        assert!(id.is_none_or(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric())), "{head}");
    }
}

#[tokio::test]
async fn one_request_is_never_taken_for_two() {
    let shop = Shop::open().await;
    let hidden = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let post = "POST /api/auth/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n";
    for headers in [
        format!("Content-Length: {}\r\nContent-Length: 0\r\n", hidden.len()),
        "Content-Length: 0, 40\r\n".to_owned(),
        "Content-Length: +40\r\n".to_owned(),
        "Content-Length : 40\r\n".to_owned(),
        "Transfer-Encoding: chunked, identity\r\n".to_owned(),
        "Transfer-Encoding: xchunked\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned(),
        "Transfer-Encoding:\x0bchunked\r\n".to_owned(),
    ] {
        let answer = raw(&shop, format!("{post}{headers}\r\n{hidden}").as_bytes()).await;
        let answers = answer.matches("HTTP/1.1 ").count();
        assert!(answers <= 1 && !answer.contains("HTTP/1.1 200"), "{headers:?}: {answer}");
    }
}

#[tokio::test]
async fn mails_link_to_the_shop_whatever_host_was_asked_for() {
    let post = Post::new();
    let shop = shop_with_post(&post, &[]).await;
    let tea = shop.product("Tea", "4.00", 5).await;
    let ann = shop.buyer().await;
    let forged = [
        ("Host", "evil.example"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Host", "evil.example"),
        ("Forwarded", "host=evil.example"),
        ("X-Forwarded-Proto", "javascript"),
        ("Origin", "http://evil.example"),
        ("Referer", "http://evil.example/"),
    ];
    let ask = |path: &'static str, body: serde_json::Value| {
        let asking = forged
            .iter()
            .fold(ann.asks(Method::POST, path), |asking, (name, value)| asking.header(name, value));
        asking.json(&body).send()
    };
    ask("/api/auth/password/reset/", json!({"email": ann.email})).await.status(202);
    let new = json!({"email": "new@example.com", "password": PASSWORD, "name": "New"});
    ask("/api/auth/register/", new).await.status(201);
    ask("/api/auth/verify/resend/", json!({})).await.status(202);
    ann.puts_in_cart(tea.id, 1).await.status(201);
    let placed = ask("/api/orders/", json!({"shipping_address": address()})).await.status(201);
    assert!(!placed.text.contains("evil.example"), "{}", placed.text);
    shop.get("/readyz").await.status(200);
    shop.run_jobs().await;
    let letters = post.came();
    assert!(letters.len() >= 3, "{letters:?}");
    for letter in letters {
        assert!(!format!("{letter:?}").contains("evil"), "{letter:?}");
        assert!(letter.text.contains("https://shop.example.com/"), "{}", letter.text);
    }
}

#[tokio::test]
async fn a_host_that_is_none_stands_in_no_link() {
    let shop = Shop::open().await;
    shop.product("Tea", "4.00", 5).await;
    shop.product("Mug", "4.00", 5).await;
    for host in
        ["\"><script>alert(1)</script>", "a b", "x/../y", "x?y", "x#y", "x@evil.example", "\u{e4}.example"]
    {
        let answer =
            shop.request(Method::GET, "/api/products/?page_size=1").header("Host", host).send().await;
        if answer.status.as_u16() == 200 {
            let next = answer.json["next"].as_str().expect("a link");
            assert!(next.starts_with("http://localhost/api/products/"), "{host}: {next}");
        }
    }
}

#[tokio::test]
async fn names_bring_no_line_into_a_mail() {
    let post = Post::new();
    let shop = shop_with_post(&post, &[]).await;
    let staff = shop.staff().await;
    let evil = "Ann\r\nBcc: victim@example.com\r\n\r\nBuy this";
    for email in [
        "ann@example.com\r\nBcc: victim@example.com",
        "ann@example.com,victim@example.com",
        "<victim@example.com>",
        "ann@example.com\0",
        "\"a b\"@example.com",
        "ann@exa mple.com",
    ] {
        let body = json!({"email": email, "password": PASSWORD, "name": "Ann"});
        shop.request(Method::POST, "/api/auth/register/").json(&body).send().await.faults(&["email"]);
    }
    let body = json!({"email": "ann@example.com", "password": PASSWORD, "name": evil});
    shop.request(Method::POST, "/api/auth/register/").json(&body).send().await.faults(&["name"]);
    let made =
        staff.post("/api/products/", json!({"name": evil, "price": "4.00", "stock_quantity": 1})).await;
    let ann = shop.buyer().await;
    if made.status.as_u16() == 201 {
        ann.ordered(made.json["id"].as_u64().expect("an id"), 1).await;
        shop.run_jobs().await;
    }
    for letter in post.came() {
        assert!(!letter.subject.contains(['\r', '\n']) && letter.to.len() == 1, "{letter:?}");
    }
}

#[tokio::test]
async fn files_are_called_what_the_shop_calls_them() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    shop.product("\"; filename=evil.exe", "4.00", 5).await;
    for path in [
        "/api/admin/products/export/?format=csv",
        "/api/admin/orders/export/?format=jsonl",
        "/api/admin/audit/export/",
        "/api/auth/me/export/",
    ] {
        let answer = admin.get(path).await.status(200);
        let name = answer.header("content-disposition").strip_prefix("attachment; filename=\"");
        let name = name
            .and_then(|name| name.strip_suffix('"'))
            .unwrap_or_else(|| panic!("{path}: {:?}", answer.headers));
        assert!(
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)),
            "{path}: {name}"
        );
    }
}
