//! The judges of what is sent to the gateways, judged by what the gateways publish.

use crate::support::spec::Spec;
use http::Request;
use serde_json::{Value, json};

const STRIPE: &str = "stripe-openapi.2023-08-16.reduced.json";
const ORDERS: &str = "paypal-checkout_orders_v2.json";
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

fn ask(file: &str, method: &str, path: &str, content: &str, body: &str) -> Result<String, String> {
    let request = Request::builder().method(method).uri(path).header("content-type", content);
    let request = request.body(body.as_bytes().to_vec()).expect("a request");
    Spec::load(file).request(&request).map(|operation| operation.id().to_owned())
}

#[test]
fn stripe_fixtures_have_the_described_shape() {
    let text = include_str!("../fixtures/gateways/stripe-fixtures.2023-08-16.json");
    let fixtures: Value = serde_json::from_str(text).expect("JSON");
    for name in ["payment_intent", "charge", "refund", "event", "balance", "balance_transaction", "dispute"] {
        assert_eq!(Spec::load(STRIPE).component(name, &fixtures["resources"][name]), Ok(()));
    }
}

#[test]
fn forms_are_judged() {
    let create = |body| ask(STRIPE, "POST", "/v1/payment_intents", FORM, body);
    let good = "amount=1999&currency=eur&automatic_payment_methods[enabled]=true&metadata[order_id]=7\
                &metadata%5Btill_shop%5D=a&expand[]=latest_charge";
    assert_eq!(create(good).as_deref(), Ok("PostPaymentIntents"));
    for bad in [
        "",
        "currency=eur",
        "amount=19.99&currency=eur",
        "amount=1&currency=eur&colour=red",
        "amount=1&currency=eur&automatic_payment_methods[on]=true",
        "amount=1&currency=eur&metadata[a][b]=1",
        "amount=1&currency=eur&metadata[a[b]]=1",
        "amount=1&amount=2&currency=eur",
        "amount=1&currency=eur&capture_method=never",
    ] {
        assert!(create(bad).is_err(), "{bad}");
    }
    assert!(ask(STRIPE, "POST", "/v1/payment_intents", JSON, good).is_err());
    assert_eq!(
        ask(STRIPE, "POST", "/v1/payment_intents/pi_1/cancel", FORM, "").as_deref(),
        Ok("PostPaymentIntentsIntentCancel")
    );
}

#[test]
fn queries_are_judged() {
    let get = |path: &str| ask(STRIPE, "GET", path, "", "");
    let page = "https://api.stripe.com/v1/payment_intents?created[gte]=5&limit=3&expand[]=data.latest_charge";
    assert_eq!(get(page).as_deref(), Ok("GetPaymentIntents"));
    assert_eq!(get("/v1/payment_intents/pi_1").as_deref(), Ok("GetPaymentIntentsIntent"));
    assert_eq!(get("/v1/events?delivery_success=false&types[]=a&types[]=b").as_deref(), Ok("GetEvents"));
    for bad in ["?since=5", "?limit=x", "?created[from]=1", "s", "?limit=1&limit=2"] {
        assert!(get(&format!("/v1/payment_intents{bad}")).is_err(), "{bad}");
    }
}

#[test]
fn json_is_judged_to_its_depth() {
    let create = |body: Value| ask(ORDERS, "POST", "/v2/checkout/orders", JSON, &body.to_string());
    let mut order = json!({
        "intent": "CAPTURE",
        "purchase_units": [{ "amount": { "currency_code": "EUR", "value": "1.00" }, "custom_id": "x" }],
        "payment_source": { "paypal": { "experience_context": { "return_url": "https://a/b", "user_action": "PAY_NOW" } } },
    });
    assert_eq!(create(order.clone()).as_deref(), Ok("orders.create"));
    for place in
        ["", "/purchase_units/0", "/purchase_units/0/amount", "/payment_source/paypal/experience_context"]
    {
        let mut bad = order.clone();
        bad.pointer_mut(place).expect("a place")["unheard_of"] = json!(1);
        assert!(create(bad).is_err(), "{place}");
    }
    order["purchase_units"][0]["amount"]["value"] = json!(1);
    assert!(create(order).is_err());
}

#[test]
fn answers_may_know_more_but_not_other() {
    let request =
        Request::builder().uri("/v2/checkout/orders/5O190127TN364715T").body(Vec::new()).expect("a request");
    let spec = Spec::load(ORDERS);
    let get = spec.request(&request).expect("the order");
    assert_eq!(
        spec.answer(&get, 200, &json!({ "id": "5O190127TN364715T", "status": "CREATED", "new": 1 })),
        Ok(())
    );
    assert!(spec.answer(&get, 200, &json!({ "id": 1 })).is_err());
    assert!(spec.answer(&get, 200, &json!({ "status": "FORGOTTEN" })).is_err());
}
