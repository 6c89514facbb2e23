//! Texts that look like others, or like nothing.

use reqwest::Method;
use serde_json::json;
use till::accounts::Role;

use crate::mail::{Post, shop as shop_with_post};
use crate::support::{PASSWORD, Shop, address};

#[tokio::test]
async fn a_reset_goes_to_the_address_of_the_account_and_never_to_one_that_looks_like_it() {
    let post = Post::new();
    let shop = shop_with_post(&post, &[]).await;
    shop.named("mike@kiosk.example", Role::Customer).await;
    // Letters that become others in lower or upper case (the Kelvin sign, the dotless and the dotted i, the long s),
    // that look like others, and that look like nothing.
    for email in [
        "mi\u{212A}e@kiosk.example",
        "m\u{131}ke@kiosk.example",
        "m\u{130}ke@kiosk.example",
        "mike@kio\u{17F}k.example",
        "mike@\u{43A}iosk.example",
        "m\u{456}ke@kiosk.example",
        "mike\u{200B}@kiosk.example",
        "mike@kiosk\u{3002}example",
        "mike@kiosk.example.",
        "mike\u{00AD}@kiosk.example",
        "\u{FF4D}ike@kiosk.example",
        "mike@kiosk.example\u{FEFF}",
    ] {
        shop.request(Method::POST, "/api/auth/password/reset/").json(&json!({"email": email})).send().await;
    }
    shop.get("/readyz").await.status(200);
    shop.run_jobs().await;
    for letter in post.came() {
        assert_eq!(letter.to.len(), 1);
        assert_eq!(letter.to[0].as_str(), "mike@kiosk.example", "a stranger gets the link");
    }
}

#[tokio::test]
async fn nobody_registers_somebody_elses_address_in_disguise() {
    let shop = Shop::open().await;
    shop.named("mike@kiosk.example", Role::Customer).await;
    let register = |email: &str| {
        let body = json!({"email": email, "password": PASSWORD, "name": "Mike"});
        shop.request(Method::POST, "/api/auth/register/").json(&body).send()
    };
    for email in
        ["MIKE@KIOSK.EXAMPLE", " mike@kiosk.example ", "Mike@kiosk.example\n", "mi\u{212A}e@kiosk.example"]
    {
        let code = register(email).await.json["code"].clone();
        assert!(code == "email_taken" || code == "validation_error", "{email:?}: {code}");
    }
    // Marks that nobody sees, and that turn the direction of what is read.
    for mark in [
        '\u{200B}',
        '\u{200D}',
        '\u{200E}',
        '\u{202E}',
        '\u{2060}',
        '\u{2066}',
        '\u{FEFF}',
        '\u{00AD}',
        '\u{E0041}',
        '\u{180E}',
    ] {
        register(&format!("mi{mark}ke@kiosk.example")).await.faults(&["email"]);
    }
}

#[tokio::test]
async fn names_read_in_the_order_in_which_they_are_written() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 9).await;
    let ann = shop.buyer().await;
    for mark in
        ["\u{202E}", "\u{202A}", "\u{2066}", "\u{2069}", "\0", "\u{7}", "\u{1b}[2J", "\u{85}", "\r", "\n"]
    {
        let name = format!("Ann{mark}eeL");
        ann.patch("/api/auth/me/", json!({"name": name})).await.faults(&["name"]);
        for part in ["name", "line1", "city", "postal_code"] {
            let mut to = address();
            to[part] = json!(name);
            let field = format!("shipping_address.{part}");
            ann.post("/api/orders/", json!({"shipping_address": to})).await.faults(&[&field]);
        }
    }
    for text in ["a\0b", "\u{1b}]0;evil\u{7}", "\u{8}"] {
        ann.post("/api/orders/", json!({"shipping_address": address(), "note": text}))
            .await
            .faults(&["note"]);
        let review = json!({"rating": 5, "comment": text});
        ann.post(&format!("/api/products/{}/reviews/", tea.id), review).await.faults(&["comment"]);
    }
    assert_eq!(ann.get("/api/orders/").await.json["count"], 0);
}
