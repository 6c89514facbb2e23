//! Paying through PayPal.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{PayPalShop, begun, pair, stand};
use crate::fakes::fault::Fault;
use crate::fakes::paypal::Instrument;
use crate::fakes::serve::Net;

#[tokio::test]
async fn an_approval_is_captured_though_the_browser_is_gone() {
    let shop = PayPalShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let (order, payment) = begun(&ann, tea.id, 2).await;
    assert_eq!(
        (&payment["provider"], &payment["status"], &payment["client_secret"]),
        (&json!("paypal"), &json!("requires_payment"), &Value::Null)
    );
    assert!(payment["approve_url"].as_str().is_some_and(|url| url.starts_with("https://")));
    let reference = shop.reference(&payment).await;
    shop.paypal.fake().approve(shop.paypal.now(), &reference, Instrument::Good).expect("it can be approved");
    shop.deliver().await;
    assert_eq!(stand(&ann, order).await, pair("processing", "paid"));
    shop.deliver().await;
    let admin = shop.admin().await;
    let shown = admin.get(&format!("/api/admin/payments/{}/", payment["id"])).await.json;
    assert_eq!((&shown["captured"], &shown["fee"]), (&json!("8.00"), &json!("0.73")));
    // Back again: in part from here, the rest at PayPal.
    admin.post(&format!("/api/admin/orders/{order}/refund/"), json!({"amount": "3"})).await.status(201);
    shop.paypal.fake().refund_from_dashboard(shop.paypal.now(), &reference, None).expect("there is enough");
    shop.deliver().await;
    let shown = ann.order(order).await;
    let amounts: Vec<_> =
        shown["refunds"].as_array().expect("refunds").iter().map(|r| &r["amount"]).collect();
    assert_eq!(amounts, [&json!("3.00"), &json!("5.00")]);
    assert_eq!(shown["payment_status"], "refunded");
}

#[tokio::test]
async fn the_customers_return_captures_too_and_a_declined_instrument_is_told() {
    let shop = PayPalShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let (order, payment) = begun(&ann, tea.id, 1).await;
    let reference = shop.reference(&payment).await;
    let path = format!("/api/payment/{}/", payment["id"]);
    shop.paypal.fake().approve(shop.paypal.now(), &reference, Instrument::Declined).expect("approved");
    let told = ann.get(&path).await.status(200).json;
    assert_eq!(
        (&told["status"], &told["last_error"]["code"]),
        (&json!("requires_payment"), &json!("INSTRUMENT_DECLINED"))
    );
    assert_eq!(stand(&ann, order).await, pair("pending", "unpaid"));
    shop.later(Duration::from_secs(60));
    shop.paypal.fake().approve(shop.paypal.now(), &reference, Instrument::Good).expect("approved again");
    let paid = ann.post("/api/orders/", json!({"payment_id": payment["id"]})).await.status(200).json;
    assert_eq!(paid["payment_status"], "paid");
}

#[tokio::test]
async fn a_pending_capture_holds_and_ends_either_way() {
    for (end, ends) in [("COMPLETED", pair("processing", "paid")), ("DECLINED", pair("pending", "failed"))] {
        let shop = PayPalShop::open().await;
        let tea = shop.product("Tea", "4", 9).await;
        let ann = shop.buyer().await;
        let (order, payment) = begun(&ann, tea.id, 1).await;
        let reference = shop.reference(&payment).await;
        shop.paypal.fake().approve(shop.paypal.now(), &reference, Instrument::Pending).expect("approved");
        shop.deliver().await;
        assert_eq!(stand(&ann, order).await, pair("pending", "processing"));
        ann.asks(Method::POST, &format!("/api/orders/{order}/cancel/"))
            .send()
            .await
            .refused(409, "payment_closing");
        shop.paypal.fake().finish_capture(shop.paypal.now(), &reference, end).expect("it was pending");
        shop.deliver().await;
        let expected = if end == "COMPLETED" { ends } else { pair("cancelled", "failed") };
        assert_eq!(stand(&ann, order).await, expected, "{end}");
    }
}

#[tokio::test]
async fn a_new_attempt_after_a_failed_one_makes_the_order_unpaid_at_once() {
    let shop = PayPalShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let (order, payment) = begun(&ann, tea.id, 1).await;
    let reference = shop.reference(&payment).await;
    shop.paypal.fake().approve(shop.paypal.now(), &reference, Instrument::Pending).expect("approved");
    shop.deliver().await;
    shop.paypal.fake().finish_capture(shop.paypal.now(), &reference, "DECLINED").expect("it was pending");
    shop.deliver().await;
    assert_eq!(stand(&ann, order).await, pair("pending", "failed"));
    ann.post("/api/payment/", json!({"order_id": order})).await.status(201);
    // The shop, too, is checked at the end.
    assert_eq!(stand(&ann, order).await, pair("pending", "unpaid"));
}

#[tokio::test]
async fn an_approval_that_comes_after_the_cancellation_is_never_captured() {
    let shop = PayPalShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let (order, payment) = begun(&ann, tea.id, 1).await;
    let reference = shop.reference(&payment).await;
    ann.asks(Method::POST, &format!("/api/orders/{order}/cancel/")).send().await.status(200);
    assert_eq!(shop.stock_of(tea.id).await, 9);
    shop.paypal.fake().approve(shop.paypal.now(), &reference, Instrument::Good).expect("approved");
    shop.deliver().await;
    shop.later(Duration::from_hours(1));
    shop.run_jobs().await;
    assert_eq!(shop.paypal.fake().order(&reference).expect("it is there")["status"], "APPROVED");
    assert_eq!(stand(&ann, order).await, pair("cancelled", "unpaid"));
}

#[tokio::test]
async fn a_capture_whose_answer_is_lost_is_found_out_and_never_made_twice() {
    for lost in [Net::LostBefore, Net::LostAfter, Net::Late(Duration::from_millis(1500))] {
        let shop = PayPalShop::open().await;
        let tea = shop.product("Tea", "4", 9).await;
        let ann = shop.buyer().await;
        let (order, payment) = begun(&ann, tea.id, 1).await;
        let reference = shop.reference(&payment).await;
        shop.paypal.fake().approve(shop.paypal.now(), &reference, Instrument::Good).expect("approved");
        // The fetch is answered; the capture's answers are lost, as often as it is tried.
        shop.paypal.network([Net::Good, lost, lost, lost]);
        let polled = ann.get(&format!("/api/payment/{}/", payment["id"])).await;
        assert!([502, 504].contains(&polled.status.as_u16()), "{lost:?}: {}", polled.text);
        // While it is not known what became of it, the order can't be given up.
        let cancelled = ann.asks(Method::POST, &format!("/api/orders/{order}/cancel/")).send().await;
        assert!([200, 409].contains(&cancelled.status.as_u16()), "{lost:?}: {}", cancelled.text);
        shop.later(Duration::from_hours(1));
        shop.run_jobs().await;
        shop.deliver().await;
        shop.later(Duration::from_hours(1));
        shop.run_jobs().await;
        let (status, paid) = stand(&ann, order).await;
        let captured = shop.paypal.fake().order(&reference).expect("it is there")["status"] == "COMPLETED";
        match (status.as_str(), paid.as_str()) {
            ("processing", "paid") | ("cancelled", "refunded") => assert!(captured, "{lost:?}"),
            ("cancelled", "unpaid") => assert!(!captured, "{lost:?}"),
            other => panic!("{lost:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn tokens_are_renewed_when_paypal_forgets_them_and_bad_keys_are_told() {
    let shop = PayPalShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    begun(&ann, tea.id, 1).await;
    shop.paypal.fake().forget_tokens();
    begun(&ann, tea.id, 1).await;
    shop.later(Duration::from_hours(10));
    begun(&ann, tea.id, 1).await;
    shop.paypal.fake().revoked = true;
    let order = ann.ordered(tea.id, 1).await;
    ann.post("/api/payment/", json!({"order_id": order})).await.refused(502, "gateway_error");
    shop.paypal.fake().revoked = false;
    ann.post("/api/payment/", json!({"order_id": order})).await.status(201);
}

#[tokio::test]
async fn paypal_takes_back_what_it_gave_and_disputes_freeze() {
    let shop = PayPalShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let (order, payment) = begun(&ann, tea.id, 1).await;
    let reference = shop.reference(&payment).await;
    shop.paypal.fake().approve(shop.paypal.now(), &reference, Instrument::Good).expect("approved");
    shop.deliver().await;
    let due = "2026-12-03T10:00:00Z";
    let dispute = shop.paypal.fake().open_dispute(
        shop.paypal.now(),
        &reference,
        "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
        due,
    );
    let opened = shop.paypal.fake().take_events();
    for event in &opened {
        shop.hook(event).await.status(200);
    }
    shop.run_jobs().await;
    assert_eq!(stand(&ann, order).await, pair("processing", "disputed"));
    let path = format!("/api/admin/orders/{order}/");
    let refused = admin.patch(&path, json!({"status": "shipped"})).await.refused(409, "order_disputed");
    assert_eq!(refused.json["evidence_due_by"], "2026-12-03T10:00:00.000Z");
    shop.later(Duration::from_secs(60));
    shop.paypal.fake().close_dispute(shop.paypal.now(), &dispute, "RESOLVED_BUYER_FAVOUR");
    shop.deliver().await;
    assert_eq!(stand(&ann, order).await, pair("processing", "refunded"));
    // A word from before comes late, and changes nothing.
    for event in &opened {
        let later = event.replace(opened_id(event).as_str(), "WH-LATE-1");
        shop.hook(&later).await.status(200);
    }
    shop.run_jobs().await;
    assert_eq!(stand(&ann, order).await, pair("processing", "refunded"));
}

fn opened_id(event: &str) -> String {
    let event: Value = serde_json::from_str(event).expect("JSON");
    event["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn currencies_that_paypal_does_not_take_are_refused_before_an_order_is_made() {
    let shop = PayPalShop::with(&[("shop.currency", "HUF")]).await;
    let (whole, half) = (shop.product("Tea", "400", 9).await, shop.product("Mug", "400.50", 9).await);
    let ann = shop.buyer().await;
    let (_, payment) = begun(&ann, whole.id, 1).await;
    let reference = shop.reference(&payment).await;
    let made = shop.paypal.fake().order(&reference).expect("it was made");
    assert_eq!(made["purchase_units"][0]["amount"]["value"], "400");
    let order = ann.ordered(half.id, 1).await;
    ann.post("/api/payment/", json!({"order_id": order})).await.faults(&["provider"]);
}

#[tokio::test]
async fn a_capture_that_is_running_is_no_decline_and_what_is_pending_is_not_given_up() {
    let shop = PayPalShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let (order, payment) = begun(&ann, tea.id, 1).await;
    let reference = shop.reference(&payment).await;
    shop.paypal.fake().approve(shop.paypal.now(), &reference, Instrument::Pending).expect("approved");
    shop.deliver().await;
    assert_eq!(stand(&ann, order).await, pair("pending", "processing"));
    // Somebody else's keys for a moment: PayPal knows nothing of the order.
    shop.paypal.fake().faults.extend(vec![Fault::Status(404); 4]);
    let polled = ann.get(&format!("/api/payment/{}/", payment["id"])).await;
    assert_eq!(polled.status, 502, "{}", polled.text);
    shop.later(Duration::from_hours(2));
    shop.run_jobs().await;
    shop.paypal.fake().faults.clear();
    assert_eq!(stand(&ann, order).await, pair("pending", "processing"));
    shop.paypal.fake().finish_capture(shop.paypal.now(), &reference, "COMPLETED").expect("it was pending");
    shop.later(Duration::from_hours(1));
    shop.run_jobs().await;
    assert_eq!(stand(&ann, order).await, pair("processing", "paid"), "found out by asking");
}

#[tokio::test]
async fn what_was_captured_after_all_goes_back_though_nobody_tells() {
    let shop = PayPalShop::with(&[("orders.hold_minutes", "43200")]).await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let (order, payment) = begun(&ann, tea.id, 1).await;
    let reference = shop.reference(&payment).await;
    shop.paypal.fake().approve(shop.paypal.now(), &reference, Instrument::Good).expect("approved");
    // The capture is swallowed, as far as anybody can see; much later its order is cancelled.
    shop.paypal.network([Net::Good, Net::LostBefore, Net::LostBefore, Net::LostBefore]);
    ann.get(&format!("/api/payment/{}/", payment["id"])).await.refused(502, "gateway_error");
    shop.later(Duration::from_mins(11));
    ann.asks(Method::POST, &format!("/api/orders/{order}/cancel/")).send().await.status(200);
    assert_eq!(stand(&ann, order).await, pair("cancelled", "unpaid"));
    let body = format!("/v2/checkout/orders/{reference}/capture");
    let token = shop.paypal.fake().some_token(shop.paypal.now());
    let late = http::Request::post(body)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .header("prefer", "return=representation")
        .header("paypal-request-id", "late-1")
        .body(b"{}".to_vec())
        .expect("a request");
    let now = shop.paypal.now();
    let answer = shop.paypal.fake().handle(now, &late);
    assert_eq!(answer.status(), 201);
    // Nobody is told, and no event is listed: it is looked at once more.
    shop.paypal.fake().take_events();
    shop.later(Duration::from_mins(70));
    shop.run_jobs().await;
    shop.run_jobs().await;
    let shown = shop.staff().await.get(&format!("/api/admin/orders/{order}/")).await.status(200).json;
    assert_eq!(shown["refunds"][0]["status"], "succeeded", "{shown}");
}
