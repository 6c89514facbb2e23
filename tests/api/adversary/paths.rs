//! Paths: out of where they lead, and into where they must not.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::Shop;
use serde_json::json;

/// The first line of the answer to a path that is sent as it is, which no client library does.
async fn asked(shop: &Shop, path: &str) -> String {
    let address = shop.base.strip_prefix("http://").expect("plain HTTP");
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("it can be read");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn no_path_leads_out_of_the_shop() {
    let shop = Shop::open().await;
    shop.product("Tea", "4.00", 5).await;
    let up = [
        "..",
        "%2e%2e",
        ".%2e",
        "%2E%2E",
        "..%2f",
        "..%5c",
        "..\\",
        "%252e%252e",
        "..;",
        "%c0%ae%c0%ae",
        "%uff0e%uff0e",
        "....//",
    ];
    let into = ["etc/passwd", "till.redb", "signing.key", "admin/users/", "config.toml", "Cargo.toml"];
    let from = ["/api/products/", "/api/docs/", "/api/", "/", "/api/admin/backups/", "/api/openapi.json/"];
    for from in from {
        for up in up {
            for into in into {
                for path in [format!("{from}{up}/{into}"), format!("{from}{up}/{up}/{up}/{up}/{into}")] {
                    let answer = asked(&shop, &path).await;
                    let status = answer.split(' ').nth(1).unwrap_or_default();
                    assert!(["400", "401", "403", "404", "405"].contains(&status), "{path}: {answer}");
                    assert!(!answer.contains("root:") && !answer.contains("redb"), "{path}: {answer}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_slug_is_a_word_and_no_path() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    for slug in ["../etc", "a/b", "a\\b", ".", "..", "%2e%2e", "a b", "a?b", "a#b", "a\0", "", "1", "a\nb"] {
        let body = json!({"name": "Tea", "price": "4.00", "slug": slug});
        staff.post("/api/products/", body).await.faults(&["slug"]);
    }
    // A name that is one becomes a slug that is none.
    for name in ["../../etc/passwd", "..", "/", "a/../b", "%2e%2e%2f"] {
        let made =
            staff.post("/api/products/", json!({"name": name, "price": "4.00"})).await.status(201).json;
        let slug = made["slug"].as_str().expect("a slug");
        assert!(!slug.contains(['/', '.', '%', '\\']) && !slug.is_empty(), "{name}: {slug}");
    }
}

#[tokio::test]
async fn numbers_in_paths_are_numbers() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 5).await;
    let admin = shop.admin().await;
    let ann = shop.buyer().await;
    let order = ann.bought(tea.id, 1).await;
    let wrong = [
        "-1",
        "0",
        "+1",
        "1.0",
        "1e0",
        "0x1",
        "%31%00",
        "1;",
        "1'--",
        "1%20OR%201=1",
        "18446744073709551616",
        "99999999999999999999999",
        "%F0%9D%9F%8F",
        "null",
        "*",
        "1,2",
        "[1]",
    ];
    for id in wrong {
        for path in [
            "/api/admin/orders/{}/",
            "/api/admin/users/{}/",
            "/api/admin/payments/{}/",
            "/api/admin/reviews/{}/",
            "/api/admin/mails/{}/",
            "/api/admin/products/imports/{}/",
        ] {
            admin.get(&path.replace("{}", id)).await.refused(404, "not_found");
        }
        ann.get(&format!("/api/orders/{id}/")).await.refused(404, "not_found");
    }
    ann.order(order).await;
}
