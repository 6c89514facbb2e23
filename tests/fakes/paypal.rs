//! The fake PayPal, tried out; every answer is judged by PayPal's own description.

use crate::support::fault::Fault;
use crate::support::paypal::{FakePayPal, Instrument};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Request, Response};
use serde_json::{Value, json};

const ORDERS: &str = "/v2/checkout/orders";
const HOUR: i64 = 3600;

/// A shop that calls PayPal, each time with a new request id unless it says which.
struct Shop {
    fake: FakePayPal,
    now: i64,
    token: String,
    calls: u32,
}

impl Shop {
    fn open() -> Self {
        let mut shop = Shop { fake: FakePayPal::new(), now: 1_800_000_000, token: String::new(), calls: 0 };
        shop.sign_in();
        shop
    }

    fn sign_in(&mut self) -> u16 {
        let basic = STANDARD.encode("paypal-client:paypal-secret");
        let request = Request::post("/v1/oauth2/token")
            .header("authorization", format!("Basic {basic}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(b"grant_type=client_credentials".to_vec());
        let response = self.fake.handle(self.now, &request.expect("a request"));
        let body: Value = serde_json::from_slice(response.body()).expect("JSON");
        self.token = body["access_token"].as_str().unwrap_or_default().to_owned();
        response.status().as_u16()
    }

    fn request(&self, method: &str, path: &str, id: &str, body: &str) -> Request<Vec<u8>> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .header("prefer", "return=representation")
            .header("paypal-request-id", id);
        request.body(body.as_bytes().to_vec()).expect("a request")
    }

    fn send(&mut self, request: &Request<Vec<u8>>) -> (u16, Value) {
        let response = self.fake.handle(self.now, request);
        assert_eq!(self.fake.violations(), &[] as &[String]);
        let body = json_of(&response);
        let status = response.status().as_u16();
        let spec = crate::support::paypal::description(request.uri().path());
        if let Ok(operation) = spec.request(request) {
            // The description knows no 200 for a refund asked for again.
            let described = if operation.id() == "captures.refund" && status == 200 { 201 } else { status };
            spec.answer(&operation, described, &body)
                .unwrap_or_else(|e| panic!("{}: {e}\n{body:#}", operation.id()));
        }
        (status, body)
    }

    fn post_as(&mut self, id: &str, path: &str, body: &Value) -> (u16, Value) {
        self.send(&self.request("POST", path, id, &body.to_string()))
    }

    fn post(&mut self, path: &str, body: &Value) -> (u16, Value) {
        self.calls += 1;
        self.post_as(&format!("call-{}", self.calls), path, body)
    }

    fn get(&mut self, path: &str) -> (u16, Value) {
        self.send(&self.request("GET", path, "", ""))
    }

    fn order(&mut self, value: &str) -> String {
        let (status, order) = self.post(ORDERS, &order("EUR", value));
        assert_eq!(status, 201, "{order}");
        text(&order["id"])
    }

    fn capture(&mut self, order: &str) -> (u16, Value) {
        self.post(&format!("{ORDERS}/{order}/capture"), &json!({}))
    }

    /// An order that is paid for, and its capture's id.
    fn paid(&mut self, value: &str) -> (String, String) {
        let order = self.order(value);
        self.fake.approve(self.now, &order, Instrument::Good).expect("approved");
        let (_, body) = self.capture(&order);
        (order, text(&capture_in(&body)["id"]))
    }

    fn refund(&mut self, capture: &str, body: &Value) -> (u16, Value) {
        self.post(&format!("/v2/payments/captures/{capture}/refund"), body)
    }

    fn capture_status(&mut self, capture: &str) -> String {
        text(&self.get(&format!("/v2/payments/captures/{capture}")).1["status"])
    }

    fn events(&mut self) -> Vec<Value> {
        let events = self.fake.take_events();
        let events = events.iter().map(|body| serde_json::from_str(body).expect("JSON"));
        events.inspect(assert_published_shape).collect()
    }

    fn event_types(&mut self) -> Vec<String> {
        self.events().iter().map(|event| text(&event["event_type"])).collect()
    }
}

fn assert_published_shape(event: &Value) {
    let resource = &event["resource"];
    let judged = match event["resource_type"].as_str() {
        Some("checkout-order") => crate::support::paypal::description(ORDERS).component("order", resource),
        Some("capture") => {
            crate::support::paypal::description("/v2/payments/").component("capture-2", resource)
        }
        Some("refund") => crate::support::paypal::description("/v2/payments/").component("refund", resource),
        _ => Ok(()),
    };
    judged
        .and_then(|()| crate::support::paypal::description("/v1/notifications/").component("event", event))
        .unwrap_or_else(|e| panic!("{e}\n{event:#}"));
}

fn json_of(response: &Response<Vec<u8>>) -> Value {
    serde_json::from_slice(response.body()).expect("JSON")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn order(currency: &str, value: &str) -> Value {
    let unit = json!({ "amount": { "currency_code": currency, "value": value }, "custom_id": "7" });
    json!({ "intent": "CAPTURE", "purchase_units": [unit], "payment_source": { "paypal": {} } })
}

fn euros(value: &str) -> Value {
    json!({ "amount": { "currency_code": "EUR", "value": value } })
}

fn capture_in(order: &Value) -> &Value {
    &order["purchase_units"][0]["payments"]["captures"][0]
}

fn issue((status, body): &(u16, Value)) -> (u16, &str) {
    (*status, body["details"][0]["issue"].as_str().unwrap_or_default())
}

fn linked<'a>(body: &'a Value, rel: &str) -> Option<&'a str> {
    let mut links = body["links"].as_array()?.iter();
    links.find(|link| link["rel"] == rel)?["href"].as_str()
}

#[test]
fn an_order_is_approved_captured_once_and_refunded_until_nothing_is_left() {
    let mut shop = Shop::open();
    let (_, created) = shop.post(ORDERS, &order("EUR", "20.00"));
    let id = text(&created["id"]);
    assert_eq!(created["status"], "PAYER_ACTION_REQUIRED");
    assert!(linked(&created, "payer-action").is_some_and(|link| link.ends_with(&id)));
    assert_eq!(issue(&shop.capture(&id)), (422, "ORDER_NOT_APPROVED"));

    shop.fake.approve(shop.now, &id, Instrument::Good).expect("approved");
    shop.fake.approve(shop.now, &id, Instrument::Good).expect_err("it is approved already");
    let path = format!("{ORDERS}/{id}/capture");
    let (status, captured) = shop.post_as("once", &path, &json!({}));
    assert_eq!((status, &captured["status"]), (201, &json!("COMPLETED")));
    let capture = text(&capture_in(&captured)["id"]);
    let breakdown = &capture_in(&captured)["seller_receivable_breakdown"];
    assert_eq!(
        (&breakdown["paypal_fee"]["value"], &breakdown["net_amount"]["value"]),
        (&json!("1.09"), &json!("18.91"))
    );
    assert_eq!(shop.post_as("once", &path, &json!({})), (200, captured));
    assert_eq!(issue(&shop.capture(&id)), (422, "ORDER_ALREADY_CAPTURED"));

    let part = json!({ "amount": euros("5.00")["amount"], "custom_id": "r1", "invoice_id": "R-1", "note_to_payer": "Sorry" });
    let (status, refund) = shop.post_as("back", &format!("/v2/payments/captures/{capture}/refund"), &part);
    assert_eq!((status, &refund["status"]), (201, &json!("COMPLETED")));
    assert_eq!((&refund["custom_id"], &refund["invoice_id"]), (&json!("r1"), &json!("R-1")));
    assert!(linked(&refund, "up").is_some_and(|link| link.ends_with(&capture)));
    assert_eq!(
        shop.post_as("back", &format!("/v2/payments/captures/{capture}/refund"), &part),
        (200, refund.clone())
    );
    assert_eq!(shop.get(&format!("/v2/payments/refunds/{}", text(&refund["id"]))), (200, refund));
    assert_eq!(shop.capture_status(&capture), "PARTIALLY_REFUNDED");
    assert_eq!(issue(&shop.refund(&capture, &part)), (422, "DUPLICATE_INVOICE_ID"));
    assert_eq!(issue(&shop.refund(&capture, &euros("15.01"))), (422, "REFUND_AMOUNT_EXCEEDED"));
    let rest = shop.fake.refund_from_dashboard(shop.now, &id, None).expect("refunded");
    assert_eq!(shop.capture_status(&capture), "REFUNDED");
    assert_eq!(issue(&shop.refund(&capture, &json!({}))), (422, "CAPTURE_FULLY_REFUNDED"));
    let (_, order) = shop.get(&format!("{ORDERS}/{id}"));
    assert_eq!(order["purchase_units"][0]["payments"]["refunds"][1]["id"], rest);
    assert_eq!(order["purchase_units"][0]["payments"]["refunds"][1]["amount"]["value"], "15.00");
    assert_eq!(
        shop.event_types(),
        [
            "CHECKOUT.ORDER.APPROVED",
            "PAYMENT.CAPTURE.COMPLETED",
            "CHECKOUT.ORDER.COMPLETED",
            "PAYMENT.CAPTURE.REFUNDED",
            "PAYMENT.CAPTURE.REFUNDED",
        ]
    );
}

#[test]
fn a_minimal_answer_has_id_status_and_links() {
    let mut shop = Shop::open();
    let mut body = order("USD", "1.00");
    body.as_object_mut().expect("an object").remove("payment_source");
    let mut request = shop.request("POST", ORDERS, "one", &body.to_string());
    request.headers_mut().remove("prefer");
    let (_, created) = shop.send(&request);
    let names: Vec<&String> = created.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["id", "links", "status"]);
    assert_eq!(created["status"], "CREATED");
    assert!(linked(&created, "approve").is_some());
}

#[test]
fn amounts_are_positive_and_have_the_decimals_of_their_currency() {
    let mut shop = Shop::open();
    for (currency, value, refused) in [
        ("EUR", "0.00", "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ("EUR", "-1.00", "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ("EUR", "1.001", "DECIMAL_PRECISION"),
        ("JPY", "100.00", "DECIMAL_PRECISION"),
        ("KWD", "1.00", "INVALID_CURRENCY_CODE"),
    ] {
        assert_eq!(issue(&shop.post(ORDERS, &order(currency, value))), (422, refused), "{currency} {value}");
    }
    let mut yen = order("JPY", "1500");
    yen["purchase_units"][0]["amount"]["breakdown"] = json!({
        "item_total": { "currency_code": "JPY", "value": "1600" },
        "shipping": { "currency_code": "JPY", "value": "0" },
        "discount": { "currency_code": "JPY", "value": "101" },
    });
    assert_eq!(issue(&shop.post(ORDERS, &yen)), (422, "AMOUNT_MISMATCH"));
    yen["purchase_units"][0]["amount"]["breakdown"]["discount"]["value"] = json!("100");
    let (status, created) = shop.post(ORDERS, &yen);
    assert_eq!((status, &created["purchase_units"][0]["amount"]["value"]), (201, &json!("1500")));
    let id = text(&created["id"]);
    shop.fake.approve(shop.now, &id, Instrument::Good).expect("approved");
    let capture = text(&capture_in(&shop.capture(&id).1)["id"]);
    assert_eq!(issue(&shop.refund(&capture, &euros("1.00"))), (422, "REFUND_CAPTURE_CURRENCY_MISMATCH"));
    let half = json!({ "amount": { "currency_code": "JPY", "value": "0.5" } });
    assert_eq!(issue(&shop.refund(&capture, &half)), (422, "DECIMALS_NOT_SUPPORTED"));
}

#[test]
fn a_declined_instrument_sends_the_buyer_back() {
    let mut shop = Shop::open();
    let id = shop.order("20.00");
    shop.fake.approve(shop.now, &id, Instrument::Declined).expect("approved");
    let path = format!("{ORDERS}/{id}/capture");
    let declined = shop.post_as("first", &path, &json!({}));
    assert_eq!(issue(&declined), (422, "INSTRUMENT_DECLINED"));
    assert!(linked(&declined.1, "redirect").is_some());
    assert_eq!(shop.get(&format!("{ORDERS}/{id}")).1["status"], "PAYER_ACTION_REQUIRED");
    shop.fake.approve(shop.now, &id, Instrument::Good).expect("approved again");
    assert_eq!(issue(&shop.post_as("first", &path, &json!({}))), (422, "INSTRUMENT_DECLINED"));
    assert_eq!(shop.post_as("second", &path, &json!({})).0, 201);
}

#[test]
fn an_invoice_is_paid_once() {
    let mut shop = Shop::open();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut body = order("EUR", "3.00");
        body["purchase_units"][0]["invoice_id"] = json!("INV-1");
        let id = text(&shop.post(ORDERS, &body).1["id"]);
        shop.fake.approve(shop.now, &id, Instrument::Good).expect("approved");
        ids.push(id);
    }
    let (_, paid) = shop.capture(&ids[0]);
    assert_eq!(capture_in(&paid)["invoice_id"], "INV-1");
    assert_eq!(issue(&shop.capture(&ids[1])), (422, "DUPLICATE_INVOICE_ID"));
    assert_eq!(shop.fake.orders().len(), 2);
}

#[test]
fn a_pending_capture_ends_in_one_of_three_ways() {
    let mut shop = Shop::open();
    for (end, event) in [
        ("COMPLETED", "PAYMENT.CAPTURE.COMPLETED"),
        ("DECLINED", "PAYMENT.CAPTURE.DENIED"),
        ("FAILED", "PAYMENT.CAPTURE.DECLINED"),
    ] {
        let id = shop.order("20.00");
        shop.fake.approve(shop.now, &id, Instrument::Pending).expect("approved");
        let (_, body) = shop.capture(&id);
        assert_eq!((&body["status"], &capture_in(&body)["status"]), (&json!("COMPLETED"), &json!("PENDING")));
        assert_eq!(capture_in(&body)["status_details"]["reason"], "PENDING_REVIEW");
        let capture = text(&capture_in(&body)["id"]);
        assert_eq!(issue(&shop.refund(&capture, &json!({}))), (422, "PENDING_CAPTURE"));
        assert_eq!(shop.event_types()[1], "PAYMENT.CAPTURE.PENDING");

        shop.fake.finish_capture(shop.now, &id, end).expect("it was pending");
        shop.fake.finish_capture(shop.now, &id, end).expect_err("it has ended");
        assert_eq!(shop.capture_status(&capture), end);
        let told = shop.events();
        assert_eq!(told[0]["event_type"], event);
        assert_eq!(told[0]["resource"]["supplementary_data"]["related_ids"]["order_id"], *id);
        assert_eq!(told[0]["resource"]["custom_id"], "7");
        let refunded = shop.refund(&capture, &json!({}));
        assert_eq!(
            issue(&refunded),
            if end == "COMPLETED" { (201, "") } else { (422, "REFUND_NOT_ALLOWED") }
        );
        shop.events();
    }
}

#[test]
fn a_failed_refund_leaves_the_money_to_be_refunded() {
    let mut shop = Shop::open();
    shop.fake.pending_refunds = true;
    let (_, capture) = shop.paid("20.00");
    let (_, refund) = shop.refund(&capture, &json!({}));
    assert_eq!(refund["status"], "PENDING");
    assert_eq!(shop.capture_status(&capture), "COMPLETED");
    assert_eq!(issue(&shop.refund(&capture, &json!({}))), (422, "CAPTURE_FULLY_REFUNDED"));
    shop.fake.finish_refund(shop.now, &text(&refund["id"]), "FAILED");
    let (_, again) = shop.refund(&capture, &json!({}));
    shop.fake.finish_refund(shop.now, &text(&again["id"]), "COMPLETED");
    assert_eq!(shop.capture_status(&capture), "REFUNDED");
    let kinds = [
        "PAYMENT.REFUND.PENDING",
        "PAYMENT.REFUND.FAILED",
        "PAYMENT.REFUND.PENDING",
        "PAYMENT.CAPTURE.REFUNDED",
    ];
    assert_eq!(shop.event_types()[3..], kinds);
}

#[test]
fn nothing_is_refunded_while_a_dispute_is_open() {
    let mut shop = Shop::open();
    let (order, capture) = shop.paid("20.00");
    shop.events();
    let reason = "MERCHANDISE_OR_SERVICE_NOT_RECEIVED";
    let dispute = shop.fake.open_dispute(shop.now, &order, reason, "2027-02-01T00:00:00Z");
    assert_eq!(issue(&shop.refund(&capture, &euros("1.00"))), (422, "TRANSACTION_DISPUTED"));
    shop.fake.escalate_dispute(shop.now, &dispute);
    shop.fake.close_dispute(shop.now, &dispute, "RESOLVED_SELLER_FAVOUR");
    assert_eq!(shop.refund(&capture, &euros("1.00")).0, 201);
    let told = shop.events();
    let resource = |at: usize, name: &str| text(&told[at]["resource"][name]);
    assert_eq!(told[0]["resource"]["disputed_transactions"][0]["seller_transaction_id"], *capture);
    assert_eq!(resource(0, "seller_response_due_date"), "2027-02-01T00:00:00Z");
    assert_eq!(
        (resource(0, "dispute_life_cycle_stage"), resource(0, "status")),
        ("INQUIRY".into(), "OPEN".into())
    );
    assert_eq!(resource(1, "dispute_life_cycle_stage"), "CHARGEBACK");
    assert_eq!(told[2]["resource"]["dispute_outcome"]["outcome_code"], "RESOLVED_SELLER_FAVOUR");

    let lost = shop.fake.open_dispute(shop.now, &order, reason, "2027-02-01T00:00:00Z");
    shop.fake.close_dispute(shop.now, &lost, "RESOLVED_BUYER_FAVOUR");
    shop.fake.reverse(shop.now, &order); // nothing is left
    assert_eq!(shop.capture_status(&capture), "REFUNDED");
    let told = shop.events();
    let kinds: Vec<_> = told.iter().map(|event| text(&event["event_type"])).collect();
    assert_eq!(kinds, ["CUSTOMER.DISPUTE.CREATED", "PAYMENT.CAPTURE.REVERSED", "CUSTOMER.DISPUTE.RESOLVED"]);
    assert_eq!(told[1]["resource"]["amount"]["value"], "19.00");
}

#[test]
fn orders_and_request_ids_end_after_six_hours() {
    let mut shop = Shop::open();
    let (_, first) = shop.post_as("same", ORDERS, &order("EUR", "1.00"));
    let (paid, _) = shop.paid("2.00");
    shop.now += 6 * HOUR - 1;
    assert_eq!(shop.post_as("same", ORDERS, &order("EUR", "1.00")), (200, first.clone()));
    shop.now += 1;
    let id = text(&first["id"]);
    assert_eq!(issue(&shop.get(&format!("{ORDERS}/{id}"))), (404, "INVALID_RESOURCE_ID"));
    assert_eq!(issue(&shop.capture(&id)), (404, "INVALID_RESOURCE_ID"));
    shop.fake.approve(shop.now, &id, Instrument::Good).expect_err("it is gone");
    assert_eq!(shop.get(&format!("{ORDERS}/{paid}")).0, 200);
    let (status, second) = shop.post_as("same", ORDERS, &order("EUR", "1.00"));
    assert_eq!(status, 201);
    assert_ne!(second["id"], first["id"]);
}

#[test]
fn tokens_end_are_forgotten_and_are_withdrawn() {
    let mut shop = Shop::open();
    let id = shop.order("1.00");
    let path = format!("{ORDERS}/{id}");
    shop.now += 9 * HOUR;
    assert_eq!(
        shop.get(&path),
        (
            401,
            json!({ "error": "invalid_token", "error_description": "Token signature verification failed" })
        )
    );
    assert_eq!(shop.sign_in(), 200);
    assert_eq!(shop.get(&path).0, 404);
    shop.fake.forget_tokens();
    assert_eq!(shop.get(&path).0, 401);
    shop.sign_in();
    shop.fake.revoked = true;
    assert_eq!((shop.get(&path).0, shop.sign_in()), (401, 401));
    shop.fake.revoked = false;
    shop.fake.client_secret = "another".to_owned();
    assert_eq!(shop.sign_in(), 401);
}

#[test]
fn what_paypal_would_not_take_is_a_violation() {
    let mut shop = Shop::open();
    let good = order("EUR", "1.00");
    let body = |change: fn(&mut Value)| {
        let mut body = good.clone();
        change(&mut body);
        body.to_string()
    };
    let long = "x".repeat(109);
    for (method, path, id, body) in [
        ("POST", ORDERS, "", body(|_| {})),
        ("POST", ORDERS, &*long, body(|_| {})),
        ("POST", ORDERS, "a", body(|body| body["intent"] = json!("SELL"))),
        ("POST", ORDERS, "a", body(|body| body["colour"] = json!("red"))),
        ("POST", ORDERS, "a", body(|body| body["purchase_units"][0]["custom_id"] = json!("x".repeat(128)))),
        ("POST", ORDERS, "a", "{".to_owned()),
        ("GET", "/v2/checkout/orders/lower", "", String::new()),
        ("GET", "/v1/notifications/webhooks-events?page_size=many", "", String::new()),
        ("GET", "/v1/nowhere", "", String::new()),
        ("DELETE", ORDERS, "", String::new()),
    ] {
        let request = shop.request(method, path, id, &body);
        let before = shop.fake.violations().len();
        assert_eq!(shop.fake.handle(shop.now, &request).status(), 400, "{method} {path} {body}");
        let noted = &shop.fake.violations()[before..];
        assert!(noted.len() == 1 && noted[0].starts_with(&format!("{method} {path}")), "{noted:?}");
    }
    shop.fake.checks = false;
    let unchecked = body(|body| body["colour"] = json!("red"));
    let request = shop.request("POST", ORDERS, "a", &unchecked);
    assert_eq!(shop.fake.handle(shop.now, &request).status(), 201);
}

#[test]
fn faults_come_before_or_after_the_effect() {
    let mut shop = Shop::open();
    let headers = vec![("retry-after".to_owned(), "7".to_owned())];
    shop.fake.faults.extend([
        Fault::None,
        Fault::Headers(headers),
        Fault::Status(429),
        Fault::Status(503),
        Fault::StoredStatus { status: 500, effect: true },
    ]);
    shop.fake.keep_log = true;
    let body = order("EUR", "1.00").to_string();
    let request = shop.request("POST", ORDERS, "a", &body);
    shop.sign_in(); // takes no fault
    let mut statuses = Vec::new();
    for path in ["/v1/nowhere", ORDERS, ORDERS, ORDERS, ORDERS] {
        let mut request = request.clone();
        *request.uri_mut() = path.parse().expect("a path");
        let response = shop.fake.handle(shop.now, &request);
        statuses.push((response.status().as_u16(), response.headers().contains_key("retry-after")));
    }
    assert_eq!(statuses, [(400, false), (429, true), (503, false), (500, false), (200, false)]);
    assert_eq!(shop.fake.orders().len(), 1);
    let (method, path, headers, sent) = &shop.fake.seen[5];
    assert_eq!((method.as_str(), path.as_str(), sent), ("POST", ORDERS, &body));
    assert!(headers.contains(&("paypal-request-id".to_owned(), "a".to_owned())));
}

#[test]
fn an_order_can_be_tampered_with() {
    let mut shop = Shop::open();
    let id = shop.order("20.00");
    shop.fake.tamper(&id, |order| order["purchase_units"][0]["amount"]["value"] = json!("0.01"));
    let (_, seen) = shop.get(&format!("{ORDERS}/{id}"));
    assert_eq!(Some(&seen), shop.fake.order(&id).as_ref());
    assert_eq!(seen["purchase_units"][0]["amount"]["value"], "0.01");
}

/// What a shop sends to have a webhook checked, with the event exactly as it came.
fn verification(headers: &[(&'static str, String)], event: &str) -> String {
    let value = |name: &str| headers.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
    let rest = json!({
        "transmission_id": value("paypal-transmission-id"),
        "transmission_time": value("paypal-transmission-time"),
        "transmission_sig": value("paypal-transmission-sig"),
        "cert_url": value("paypal-cert-url"),
        "auth_algo": value("paypal-auth-algo"),
        "webhook_id": "WH1TEST",
    });
    format!("{},\"webhook_event\":{event}}}", rest.to_string().trim_end_matches('}'))
}

#[test]
fn a_webhook_is_genuine_only_as_it_was_signed() {
    let mut shop = Shop::open();
    shop.paid("20.00");
    let event = shop.fake.take_events().remove(0);
    let url = shop.fake.cert_url.clone();
    let genuine = shop.fake.signed(shop.now, &event);
    let stranger = shop.fake.signed_by("stranger.key.pem", &url, shop.now, &event);
    let elsewhere = shop.fake.signed_by("leaf.key.pem", "https://elsewhere.test/cert", shop.now, &event);
    for (headers, event, verdict) in [
        (&genuine, event.clone(), "SUCCESS"),
        (&genuine, event.replacen(':', ": ", 1), "FAILURE"),
        (&stranger, event.clone(), "FAILURE"),
        (&elsewhere, event, "FAILURE"),
    ] {
        let body = verification(headers, &event);
        let request = shop.request("POST", "/v1/notifications/verify-webhook-signature", "", &body);
        assert_eq!(shop.send(&request), (200, json!({ "verification_status": verdict })));
    }
}

#[test]
fn the_certificate_is_served_where_the_webhooks_say() {
    let mut shop = Shop::open();
    for file in ["chain.pem", "stranger-chain.pem", "expired-chain.pem"] {
        shop.fake.cert_file = file.to_owned();
        let request = Request::get(&shop.fake.cert_url).body(Vec::new()).expect("a request");
        let response = shop.fake.handle(shop.now, &request);
        assert_eq!(response.status(), 200);
        assert_eq!(String::from_utf8_lossy(response.body()).matches("BEGIN CERTIFICATE").count(), 2);
    }
}

#[test]
fn events_are_listed_from_the_newest_page_by_page() {
    let mut shop = Shop::open();
    shop.paid("20.00");
    shop.now += HOUR;
    shop.paid("30.00");
    let told: Vec<String> = shop.events().iter().rev().map(|event| text(&event["id"])).collect();
    assert!(shop.events().is_empty());

    let mut path = "/v1/notifications/webhooks-events?page_size=4&start_time=2027-01-15T08:00:00Z".to_owned();
    let mut listed = Vec::new();
    for more in [true, false] {
        let (_, page) = shop.get(&path);
        listed.extend(page["events"].as_array().expect("events").iter().map(|event| text(&event["id"])));
        assert_eq!(linked(&page, "next").is_some(), more);
        path = linked(&page, "next").unwrap_or_default().to_owned();
    }
    assert_eq!(listed, told);
    let mut count =
        |query: &str| shop.get(&format!("/v1/notifications/webhooks-events?{query}")).1["count"].clone();
    assert_eq!(count("start_time=2027-01-15T09:00:00Z"), 3);
    assert_eq!(count("end_time=2027-01-15T10:29:59.999%2B01:30"), 3);
    assert_eq!(count("event_type=CHECKOUT.ORDER.APPROVED"), 2);
}

#[test]
fn moments_are_written_as_dates() {
    let mut shop = Shop::open();
    for (now, date) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_709_251_199, "2024-02-29T23:59:59Z"),
        (1_735_689_599, "2024-12-31T23:59:59Z"),
        (1_735_689_600, "2025-01-01T00:00:00Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
    ] {
        shop.now = now;
        shop.sign_in();
        let id = shop.order("1.00");
        assert_eq!(shop.fake.order(&id).expect("an order")["create_time"], date);
    }
}
