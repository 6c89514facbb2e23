//! What the API's description says of bodies is what the shop takes: here of those whose fields depend on one another.

use std::collections::BTreeSet;
use std::path::Path;

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

/// Refusals that are no operation's: what is asked for is not routed, or is not taken in at all.
/// The last is plain HTTP's, beside HTTPS.
const OF_NO_OPERATION: &[(u64, &str)] = &[(405, "method_not_allowed"), (421, "misdirected")];

/// Status and code of all that the code refuses, as they stand in it.
fn refusals_in_the_code() -> BTreeSet<(u64, String)> {
    fn texts(dir: &Path, all: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                texts(&path, all);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                all.push(std::fs::read_to_string(&path).expect("UTF-8"));
            }
        }
    }
    let mut all = Vec::new();
    texts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    let mut found = BTreeSet::new();
    for text in &all {
        for after in text.split("ApiError::new(").skip(1) {
            let mut parts = after.splitn(3, ',').map(str::trim);
            let status = parts.next().and_then(|status| status.parse().ok());
            let code = parts.next().and_then(|code| code.strip_prefix('"')?.strip_suffix('"'));
            if let (Some(status), Some(code)) = (status, code) {
                found.insert((status, code.to_owned()));
            }
        }
    }
    assert!(found.len() > 50, "{found:?}");
    found
}

#[test]
fn every_code_that_is_refused_with_is_described() {
    let document = till::http::openapi("USD".parse().expect("a currency"));
    let mut described = BTreeSet::new();
    let responses = document["paths"].as_object().expect("paths").values().flat_map(|verbs| {
        verbs
            .as_object()
            .expect("verbs")
            .values()
            .flat_map(|operation| operation["responses"].as_object().expect("answers").iter())
    });
    for (status, response) in responses {
        let response = match response["$ref"].as_str() {
            Some(link) => document.pointer(&link[1..]).expect("a link that leads somewhere"),
            None => response,
        };
        let codes = &response["content"]["application/problem+json"]["schema"]["properties"]["code"]["enum"];
        for code in codes.as_array().into_iter().flatten() {
            let code = code.as_str().expect("text").to_owned();
            described.insert((status.parse().expect("a status"), code));
        }
    }
    let undescribed: Vec<_> = refusals_in_the_code()
        .into_iter()
        .filter(|(status, code)| !described.contains(&(*status, code.clone())))
        .filter(|(status, code)| !OF_NO_OPERATION.contains(&(*status, code.as_str())))
        .collect();
    assert_eq!(undescribed, Vec::new());
}
