//! Guessing: what numbers, links and answers give away to somebody who tries them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Shop, number};

/// An answer without what is in every answer another.
fn told(answer: &Answer) -> (u16, Value, Vec<String>) {
    let mut json = answer.json.clone();
    if let Some(problem) = json.as_object_mut() {
        problem.remove("request_id");
    }
    let mut names: Vec<_> = answer.headers.keys().map(|name| name.as_str().to_owned()).collect();
    names.sort();
    (answer.status.as_u16(), json, names)
}

#[tokio::test]
async fn what_is_somebody_elses_is_answered_as_what_is_not_there() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 50).await;
    let (ann, eve) = (shop.buyer().await, shop.buyer().await);
    let order = ann.bought(tea.id, 1).await;
    let payment = number(&shop.admin().await.get("/api/admin/payments/").await.json["results"][0]["id"]);
    ann.puts_in_cart(tea.id, 1).await.status(201);
    let line = number(&ann.get("/api/cart/").await.json["items"][0]["id"]);
    let there: Vec<(Method, String, String, Value)> = [
        (Method::GET, "/api/orders/{}/", order, json!({})),
        (Method::GET, "/api/orders/{}/tracking/", order, json!({})),
        (Method::GET, "/api/orders/{}/invoice/", order, json!({})),
        (Method::GET, "/api/orders/{}/credit-notes/", order, json!({})),
        (Method::POST, "/api/orders/{}/cancel/", order, json!({})),
        (Method::GET, "/api/payment/{}/", payment, json!({})),
        (Method::POST, "/api/payment/test/{}/", payment, json!({"outcome": "succeed"})),
        (Method::PUT, "/api/cart/{}/", line, json!({"quantity": 9})),
        (Method::DELETE, "/api/cart/{}/", line, json!({})),
    ]
    .map(|(method, path, id, body)| {
        (method, path.replace("{}", &id.to_string()), path.replace("{}", "999999"), body)
    })
    .to_vec();
    for (method, theirs, nobodys, body) in there {
        let one = eve.asks(method.clone(), &theirs).json(&body).send().await;
        let other = eve.asks(method.clone(), &nobodys).json(&body).send().await;
        assert_eq!(told(&one), told(&other), "{method} {theirs}");
        assert!([403, 404].contains(&one.status.as_u16()), "{method} {theirs}: {}", one.text);
    }
    for (name, id) in [("order_id", order), ("payment_id", payment)] {
        let path = if name == "order_id" { "/api/payment/" } else { "/api/orders/" };
        let (one, other) =
            (eve.post(path, json!({name: id})).await, eve.post(path, json!({name: 999_999})).await);
        assert_eq!(told(&one), told(&other), "{path} {name}");
    }
    assert_eq!(ann.get("/api/cart/").await.json["items"][0]["quantity"], 1);
    assert_eq!(ann.order(order).await["status"], "processing");
}

#[tokio::test]
async fn a_papers_link_opens_this_paper_and_no_other() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 50).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let (first, second) = (ann.bought(tea.id, 1).await, ann.bought(tea.id, 1).await);
    for order in [first, second] {
        admin
            .post(&format!("/api/admin/orders/{order}/refund/"), json!({"amount": "1.00"}))
            .await
            .status(201);
    }
    let link = ann.order(first).await["invoice_url"].as_str().expect("a link").to_owned();
    let link = link.strip_prefix(&shop.base).expect("the shop's own").to_owned();
    shop.get(&link).await.status(200);
    let query = link.split_once('?').expect("signed").1.to_owned();
    let notes = ann.get(&format!("/api/orders/{first}/credit-notes/")).await.status(200).json;
    let note = notes["results"][0]["number"].as_str().expect("a number").to_owned();
    for path in [
        format!("/api/orders/{second}/invoice/"),
        format!("/api/orders/0{first}/invoice/"),
        format!("/api/orders/{first}/credit-notes/{note}/"),
        format!("/api/orders/{first}/credit-notes/"),
        format!("/api/orders/{first}/"),
        format!("/api/orders/{first}/tracking/"),
    ] {
        let answer = shop.get(&format!("{path}?{query}")).await;
        assert!(
            [401, 403, 404].contains(&answer.status.as_u16()),
            "{path}: {} {}",
            answer.status,
            answer.text
        );
    }
    let (expires, signature) =
        query.split_once("expires=").and_then(|(_, rest)| rest.split_once("&signature=")).expect("both");
    let later = expires.parse::<i64>().expect("seconds") + 1;
    for query in [
        format!("expires={later}&signature={signature}"),
        format!("expires=%2B{expires}&signature={signature}"),
        format!("expires={expires}&signature={}", &signature[..signature.len() - 1]),
        format!("expires={expires}&signature={signature}%3D"),
        format!("expires={expires}&signature="),
        format!("expires={}&signature={signature}", i64::MAX),
        format!("signature={signature}"),
    ] {
        let answer = shop.get(&format!("/api/orders/{first}/invoice/?format=html&{query}")).await;
        // A plus sign changes no number, and opens what the link opens.
        if !query.contains("%2B") {
            answer.refused(403, "link_invalid");
        }
    }
}

#[tokio::test]
async fn nobody_learns_who_has_an_account() {
    let shop = Shop::open().await;
    let ann = shop.buyer().await;
    let ask = async |path: &str, body: Value| shop.request(Method::POST, path).json(&body).send().await;
    for body in [json!({}), json!({"password": "something wrong"})] {
        let path = if body == json!({}) { "/api/auth/password/reset/" } else { "/api/auth/login/" };
        let with = |email: &str| {
            let mut body = body.clone();
            body["email"] = json!(email);
            body
        };
        let (known, unknown) =
            (ask(path, with(&ann.email)).await, ask(path, with("nobody@example.com")).await);
        assert_eq!(told(&known), told(&unknown), "{path}");
    }
    // Tokens that are none of anybody's and those that could be somebody's are told alike.
    for path in ["/api/auth/password/reset/confirm/", "/api/auth/verify/"] {
        let of = |token: &str| {
            let mut body = json!({"token": token});
            if path.contains("reset") {
                body["new_password"] = json!("another good one");
            }
            body
        };
        let somebodys = "AAAAAAAAAAE".to_owned() + &"A".repeat(43);
        let nobodys = "AAAAAAAAAGM".to_owned() + &"A".repeat(43);
        let answers =
            [ask(path, of(&somebodys)).await, ask(path, of(&nobodys)).await, ask(path, of("x")).await];
        for answer in &answers[1..] {
            assert_eq!(told(&answers[0]), told(answer), "{path}");
        }
    }
}
