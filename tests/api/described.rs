//! What the API's description says of bodies is what the shop takes: here of those whose fields depend on one another.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Person, Shop, address};

/// The right bodies are right to the shop and by the description, and the wrong ones wrong.
async fn holds(person: &Person<'_>, verb: Method, path: &str, right: &[Value], wrong: &[Value]) {
    let document = till::http::openapi(person.shop.app.currency());
    let described = &document["paths"][path][verb.as_str().to_ascii_lowercase()]["requestBody"];
    let mut schema = described["content"]["application/json"]["schema"].clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::draft202012::new(&schema).expect("a good schema");
    for (body, is_right) in
        right.iter().map(|body| (body, true)).chain(wrong.iter().map(|body| (body, false)))
    {
        assert_eq!(validator.is_valid(body), is_right, "the description of {verb} {path} {body}");
        let answer = person.asks(verb.clone(), &path.replace("{id}", "1")).json(body).send().await;
        // There is no product 1, which is a fault of another kind.
        let is_taken = answer.json["code"] != "validation_error"
            || answer.json["errors"]["items"][0] == "there is no such product";
        assert_eq!(is_taken, is_right, "{verb} {path} {body}: {}", answer.text);
    }
}

#[tokio::test]
async fn what_is_ordered_and_paid_is_read_as_it_is_described() {
    let shop = Shop::open().await;
    let (ann, home) = (shop.buyer().await, address());
    let right = [
        json!({"order_id": 1}),
        json!({"order_id": 1, "items": null, "shipping_address": null, "total_amount": "1.00"}),
        json!({"shipping_address": home}),
        json!({"shipping_address": home, "order_id": null, "items": null, "note": ""}),
        json!({"shipping_address": home, "items": [{"product_id": 1, "quantity": 1}], "note": null}),
    ];
    let wrong = [
        json!({}),
        json!({"order_id": null}),
        json!({"order_id": 1, "shipping_address": home}),
        json!({"order_id": 1, "note": "thanks"}),
        json!({"shipping_address": home, "items": []}),
        json!({"shipping_address": {"name": "Ann"}}),
    ];
    holds(&ann, Method::POST, "/api/payment/", &right, &wrong).await;
    let right = [
        json!({"payment_id": 1}),
        json!({"payment_id": 1, "shipping_address": home}),
        json!({"shipping_address": home, "payment_id": null}),
    ];
    let wrong = [json!({}), json!({"shipping_address": null, "payment_id": null}), json!({"note": "thanks"})];
    holds(&ann, Method::POST, "/api/orders/", &right, &wrong).await;
}

#[tokio::test]
async fn what_is_done_with_orders_is_read_as_it_is_described() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let line = json!([{"line_id": 1, "quantity": 1}]);
    let ups = json!({"carrier": "UPS", "number": "1Z"});
    let right = [json!({}), json!({"status": "cancelled"}), json!({"status": "shipped", "tracking": ups})];
    let wrong = [
        json!({"status": "cancelled", "tracking": ups}),
        json!({"tracking": null}),
        json!({"status": "lost"}),
    ];
    holds(&admin, Method::PATCH, "/api/admin/orders/{id}/", &right, &wrong).await;
    let right = [
        json!({}),
        json!({"restock": true}),
        json!({"amount": "1.00", "restock": false}),
        json!({"amount": 1, "restock": true, "lines": line}),
    ];
    let wrong = [
        json!({"amount": "0.00"}),
        json!({"amount": 0}),
        json!({"amount": "1.00", "restock": true}),
        json!({"lines": []}),
        json!({"lines": null}),
    ];
    holds(&admin, Method::POST, "/api/admin/orders/{id}/refund/", &right, &wrong).await;
    let right = [ups, json!({"carrier": "UPS", "number": "1Z", "lines": line})];
    let wrong = [
        json!({"lines": line}),
        json!({"carrier": "UPS", "number": "1Z", "lines": []}),
        json!({"carrier": "UPS", "number": "1Z", "url": "ftp://ups.example"}),
    ];
    holds(&admin, Method::POST, "/api/admin/orders/{id}/fulfilments/", &right, &wrong).await;
    let right = [json!({"method": "cash", "reference": null})];
    let wrong = [json!({"method": "card"}), json!({"reference": "7"})];
    holds(&admin, Method::POST, "/api/admin/orders/{id}/mark-paid/", &right, &wrong).await;
}
