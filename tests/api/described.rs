//! What the API's description says of bodies is what the shop takes.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Shop, address};

/// A body is wrong to the shop just when the description forbids it: here those whose fields depend on one another.
#[tokio::test]
async fn a_body_is_read_as_it_is_described() {
    let shop = Shop::open().await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let document = till::http::openapi(shop.app.currency());
    let home = address();
    let line = json!([{"line_id": 1, "quantity": 1}]);
    let ups = json!({"carrier": "UPS", "number": "1Z"});
    let (order, refund) = ("/api/admin/orders/{id}/", "/api/admin/orders/{id}/refund/");
    let (parcel, paid) = ("/api/admin/orders/{id}/fulfilments/", "/api/admin/orders/{id}/mark-paid/");
    for (person, verb, path, right, wrong) in [
        (
            &ann,
            Method::POST,
            "/api/payment/",
            vec![
                json!({"order_id": 1}),
                json!({"order_id": 1, "items": null, "shipping_address": null, "total_amount": "1.00"}),
                json!({"shipping_address": home}),
                json!({"shipping_address": home, "order_id": null, "items": null, "note": ""}),
                json!({"shipping_address": home, "items": [{"product_id": 1, "quantity": 1}], "note": null}),
            ],
            vec![
                json!({}),
                json!({"order_id": null}),
                json!({"order_id": 1, "shipping_address": home}),
                json!({"order_id": 1, "note": "thanks"}),
                json!({"shipping_address": home, "items": []}),
                json!({"shipping_address": {"name": "Ann"}}),
            ],
        ),
        (
            &ann,
            Method::POST,
            "/api/orders/",
            vec![
                json!({"payment_id": 1}),
                json!({"payment_id": 1, "shipping_address": home}),
                json!({"shipping_address": home, "payment_id": null}),
            ],
            vec![json!({}), json!({"shipping_address": null, "payment_id": null}), json!({"note": "thanks"})],
        ),
        (
            &admin,
            Method::PATCH,
            order,
            vec![json!({}), json!({"status": "cancelled"}), json!({"status": "shipped", "tracking": ups})],
            vec![
                json!({"status": "cancelled", "tracking": ups}),
                json!({"tracking": null}),
                json!({"status": "lost"}),
            ],
        ),
        (
            &admin,
            Method::POST,
            refund,
            vec![
                json!({}),
                json!({"restock": true}),
                json!({"amount": "1.00", "restock": false}),
                json!({"amount": 1, "restock": true, "lines": line}),
            ],
            vec![
                json!({"amount": "0.00"}),
                json!({"amount": 0}),
                json!({"amount": "1.00", "restock": true}),
                json!({"lines": []}),
                json!({"lines": null}),
            ],
        ),
        (
            &admin,
            Method::POST,
            parcel,
            vec![ups.clone(), json!({"carrier": "UPS", "number": "1Z", "lines": line})],
            vec![
                json!({"lines": line}),
                json!({"carrier": "UPS", "number": "1Z", "lines": []}),
                json!({"carrier": "UPS", "number": "1Z", "url": "ftp://ups.example"}),
            ],
        ),
        (
            &admin,
            Method::POST,
            paid,
            vec![json!({"method": "cash", "reference": null})],
            vec![json!({"method": "card"}), json!({"reference": "7"})],
        ),
    ] {
        let described = &document["paths"][path][verb.as_str().to_ascii_lowercase()]["requestBody"];
        let mut schema = described["content"]["application/json"]["schema"].clone();
        schema["components"] = document["components"].clone();
        let validator = jsonschema::draft202012::new(&schema).expect("a good schema");
        let all =
            right.into_iter().map(|body| (body, true)).chain(wrong.into_iter().map(|body| (body, false)));
        for (body, is_right) in all {
            assert_eq!(validator.is_valid(&body), is_right, "the description of {verb} {path} {body}");
            let answer = person.asks(verb.clone(), &path.replace("{id}", "1")).json(&body).send().await;
            let is_taken = answer.json["code"] != Value::from("validation_error");
            // There is no product 1, which is a fault of another kind.
            let is_taken = is_taken || answer.json["errors"]["items"][0] == "there is no such product";
            assert_eq!(is_taken, is_right, "{verb} {path} {body}: {}", answer.text);
        }
    }
}
