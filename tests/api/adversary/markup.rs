//! Markup and scripts in what people write, where others read it.

use serde_json::json;

use crate::mail::{Post, shop as shop_with_post};
use crate::support::{Shop, address, number};

/// What runs where it is not made harmless.
const SCRIPTS: &[&str] = &[
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'><svg/onload=alert(1)>",
    "</title><script>alert(1)</script>",
    "<a href=\"javascript:alert(1)\">x</a>",
    "{{ 7 * 7 }}{% include 'layout.html' %}{rows}{number}",
    "<!-- --><style>@import 'http://evil.example'</style>",
    "&lt;script&gt;",
    "<ſcript>alert(1)</ſcript>",
    "＜script＞",
];

/// No tag or attribute but the template's own.
fn is_harmless(page: &str) {
    let lower = page.to_lowercase();
    for tag in ["<script", "<img", "<svg", "<a href=\"javascript", "<style>@import", "<!-- --", "<iframe"] {
        assert!(!lower.contains(tag), "{tag} in {page}");
    }
    assert!(!page.contains("49"), "a template's expression was worked out: {page}");
}

#[tokio::test]
async fn an_invoice_shows_what_people_wrote_and_runs_none_of_it() {
    let shop = Shop::open().await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    shop.coupon(json!({"code": "X-Y", "kind": "percent", "value": 10})).await;
    for (n, script) in SCRIPTS.iter().enumerate() {
        let product = json!({
            "name": script, "options": [{"name": script, "values": [script]}],
            "variants": [{"sku": format!("{n}{script}"), "price": "10.00", "stock_quantity": 9, "options": {*script: *script}}],
        });
        let product = admin.post("/api/products/", product).await.status(201).json;
        ann.puts_in_cart(number(&product["id"]), 1).await.status(201);
        let mut to = address();
        for part in ["name", "line1", "line2", "city", "region"] {
            to[part] = json!(script);
        }
        let placed = ann
            .post("/api/orders/", json!({"shipping_address": to, "billing_address": to, "note": script}))
            .await;
        let order = number(&placed.status(201).json["id"]);
        let payment = ann.begins_to_pay(order).await;
        ann.decides(payment, json!({"outcome": "succeed"})).await.status(200);
        let back = json!({"amount": "1.00", "reason": script});
        admin.post(&format!("/api/admin/orders/{order}/refund/"), back).await.status(201);
        let notes = ann.get(&format!("/api/orders/{order}/credit-notes/")).await.status(200).json;
        let note = notes["results"][0]["number"].as_str().expect("a number");
        for paper in
            [format!("/api/orders/{order}/invoice/"), format!("/api/orders/{order}/credit-notes/{note}/")]
        {
            let page = ann.get(&format!("{paper}?format=html")).await.status(200);
            is_harmless(&page.text);
            let policy = page.header("content-security-policy");
            assert!(policy.contains("default-src 'none'") && !policy.contains("script"), "{policy}");
            assert_eq!(page.header("x-content-type-options"), "nosniff");
            let pdf = ann.get(&format!("{paper}?format=pdf")).await.status(200).text;
            for action in ["/JavaScript", "/JS", "/OpenAction", "/Launch", "/URI", "/EmbeddedFile"] {
                assert!(!pdf.contains(action), "{action} in the PDF of {script}");
            }
        }
        let found = ann.get(&format!("/api/orders/{order}/")).await.status(200);
        assert_eq!(found.header("content-type"), "application/json");
        assert_eq!(found.json["items"][0]["name"], *script, "as it was written, where nothing runs");
    }
}

#[tokio::test]
async fn mails_show_what_people_wrote_and_run_none_of_it() {
    let post = Post::new();
    let shop = shop_with_post(&post, &[]).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    for script in SCRIPTS {
        let product =
            json!({"name": script, "price": "10.00", "stock_quantity": 9, "low_stock_threshold": 100});
        let product = admin.post("/api/products/", product).await.status(201).json;
        let id = number(&product["id"]);
        let mut to = address();
        to["name"] = json!(script);
        ann.puts_in_cart(id, 2).await.status(201);
        let placed =
            ann.post("/api/orders/", json!({"shipping_address": to, "note": script})).await.status(201);
        let order = number(&placed.json["id"]);
        let payment = ann.begins_to_pay(order).await;
        ann.decides(payment, json!({"outcome": "succeed"})).await.status(200);
        let parcel =
            json!({"carrier": script, "number": "1", "url": "https://example.com/\"onmouseover=\"alert(1)"});
        let sent = admin.post(&format!("/api/admin/orders/{order}/fulfilments/"), parcel).await;
        if sent.status.as_u16() != 201 {
            let parcel = json!({"carrier": "other", "number": script});
            admin.post(&format!("/api/admin/orders/{order}/fulfilments/"), parcel).await;
        }
        admin
            .post(&format!("/api/admin/orders/{order}/refund/"), json!({"amount": "1.00", "reason": script}))
            .await;
        ann.patch("/api/auth/me/", json!({"name": script})).await;
        shop.run_jobs().await;
        shop.later(std::time::Duration::from_secs(3700));
        shop.run_jobs().await;
    }
    let letters = post.came();
    assert!(letters.len() >= 3 * SCRIPTS.len(), "{}", letters.len());
    for letter in letters {
        is_harmless(&letter.html);
        assert!(!letter.html.contains("\"onmouseover"), "{}", letter.html);
        assert!(!letter.subject.contains(['\r', '\n']));
    }
}

#[tokio::test]
async fn no_address_of_a_picture_or_parcel_is_a_script() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    for url in [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:alert(1)",
        "java\tscript:alert(1)",
        "data:text/html,<script>",
        "vbscript:x",
        "//evil.example",
        "file:///etc/passwd",
        "https://",
        "http:///x",
        "https:evil",
    ] {
        let product = json!({"name": "Tea", "price": "4.00", "image_url": url});
        admin.post("/api/products/", product).await.faults(&["image_url"]);
        let product = json!({"name": "Tea", "price": "4.00", "images": [url]});
        admin.post("/api/products/", product).await.faults(&["images.0"]);
    }
}
