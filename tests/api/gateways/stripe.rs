//! Paying through Stripe.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{StripeShop, begun, decline, pair, stand};
use crate::fakes::fault::Fault;
use crate::fakes::stripe::Outcome;
use crate::support::{address, number};

#[tokio::test]
async fn a_payment_is_made_confirmed_and_told_by_webhook() {
    let shop = StripeShop::open().await;
    shop.stripe.fake().keep_log = true;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let (order, payment) = begun(&ann, tea.id, 2).await;
    assert_eq!(
        (&payment["provider"], &payment["status"], &payment["amount"], &payment["approve_url"]),
        (&json!("stripe"), &json!("requires_payment"), &json!("8.00"), &Value::Null)
    );
    // What was sent: the version, a key of the attempt's own, and metadata without anything personal.
    let seen = shop.stripe.fake().seen.clone();
    let (_, _, headers, body) =
        seen.iter().find(|call| call.1 == "/v1/payment_intents").expect("it was made");
    let header = |name: &str| headers.iter().find(|header| header.0 == name).map(|header| header.1.clone());
    assert_eq!(header("stripe-version").as_deref(), Some("2023-08-16"));
    assert!(header("idempotency-key").is_some_and(|key| key.len() > 32 && key.len() <= 255));
    let fields: Vec<_> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let field = |name: &str| fields.iter().find(|field| field.0 == name).map(|field| field.1.clone());
    assert_eq!(field("amount").as_deref(), Some("800"));
    assert_eq!(field("automatic_payment_methods[enabled]").as_deref(), Some("true"));
    assert_eq!(field("metadata[order_id]"), Some(order.to_string()));
    assert_eq!(field("metadata[till_shop]").as_deref(), Some(shop.app.shop.as_str()));
    assert_eq!(field("receipt_email"), Some(ann.email.clone()));

    shop.confirm(&payment, Outcome::Succeed);
    assert_eq!(stand(&ann, order).await, pair("pending", "unpaid"), "the browser proves nothing");
    assert!(shop.deliver().await >= 2);
    assert_eq!(stand(&ann, order).await, pair("processing", "paid"));
    let path = format!("/api/admin/payments/{}/", number(&payment["id"]));
    let shown = shop.staff().await.get(&path).await.status(200).json;
    assert_eq!((&shown["captured"], &shown["fee"]), (&json!("8.00"), &json!("0.53")));
    assert!(shown["reference"].as_str().is_some_and(|id| id.starts_with("pi_")));
    assert!(shown["charge"].as_str().is_some_and(|id| id.starts_with("ch_")));
    assert!(shown["client_secret"].is_null());
    let ready = shop.get("/readyz").await.status(200).json;
    assert_eq!(ready["payment"][0], json!({"provider": "stripe", "mode": "test"}));
}

#[tokio::test]
async fn both_shapes_of_stripes_objects_are_read() {
    for new_shape in [false, true] {
        for expanded in [false, true] {
            let shop = StripeShop::open().await;
            shop.stripe.fake().new_shape = new_shape;
            shop.stripe.fake().latest_charge_expanded = expanded;
            let tea = shop.product("Tea", "4", 9).await;
            let ann = shop.buyer().await;
            let (order, payment) = begun(&ann, tea.id, 1).await;
            shop.confirm(&payment, Outcome::Succeed);
            shop.deliver().await;
            assert_eq!(stand(&ann, order).await, pair("processing", "paid"), "{new_shape} {expanded}");
            ann.asks(Method::POST, &format!("/api/orders/{order}/cancel/")).send().await.status(200);
            shop.deliver().await;
            assert_eq!(stand(&ann, order).await, pair("cancelled", "refunded"), "{new_shape} {expanded}");
        }
    }
}

#[tokio::test]
async fn the_clients_return_and_the_poll_find_out_without_a_webhook() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let (order, payment) = begun(&ann, tea.id, 1).await;
    shop.confirm(&payment, Outcome::Succeed);
    let back = ann.post("/api/orders/", json!({"payment_id": payment["id"]})).await.status(200).json;
    assert_eq!((number(&back["id"]), &back["payment_status"]), (order, &json!("paid")));

    let (order, payment) = begun(&ann, tea.id, 1).await;
    shop.confirm(&payment, Outcome::Succeed);
    let polled = ann.get(&format!("/api/payment/{}/", payment["id"])).await.status(200).json;
    assert_eq!(polled["status"], "succeeded");
    assert_eq!(stand(&ann, order).await, pair("processing", "paid"));
}

#[tokio::test]
async fn a_decline_is_told_in_the_gateways_words_and_the_same_intent_is_tried_again() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let (order, payment) = begun(&ann, tea.id, 1).await;
    shop.confirm(&payment, decline());
    shop.deliver().await;
    let told = ann.get(&format!("/api/payment/{}/", payment["id"])).await.json;
    assert_eq!(
        (&told["status"], &told["last_error"]),
        (
            &json!("requires_payment"),
            &json!({"code": "card_declined", "message": "Your card has insufficient funds."})
        )
    );
    let again = ann.post("/api/payment/", json!({"order_id": order})).await.status(201).json;
    assert_eq!((&again["id"], &again["client_secret"]), (&payment["id"], &payment["client_secret"]));
    shop.confirm(&again, Outcome::RequireAction);
    shop.deliver().await;
    let told = ann.get(&format!("/api/payment/{}/", payment["id"])).await.json;
    assert_eq!((&told["status"], &told["last_error"]), (&json!("requires_action"), &Value::Null));
    let intent = shop.stripe.fake().intents()[0]["id"].as_str().expect("an id").to_owned();
    shop.stripe.fake().finish(shop.stripe.now(), &intent, Outcome::Succeed).expect("it can end");
    shop.deliver().await;
    assert_eq!(stand(&ann, order).await, pair("processing", "paid"));
    assert_eq!(shop.stripe.fake().intents().len(), 1);
}

#[tokio::test]
async fn what_a_bank_takes_days_for_keeps_its_stock_and_ends_either_way() {
    for (outcome, ends) in
        [(Outcome::Succeed, pair("processing", "paid")), (decline(), pair("cancelled", "unpaid"))]
    {
        let shop = StripeShop::open().await;
        let tea = shop.product("Tea", "4", 9).await;
        let ann = shop.buyer().await;
        let (order, payment) = begun(&ann, tea.id, 1).await;
        shop.confirm(&payment, Outcome::Process);
        shop.deliver().await;
        assert_eq!(stand(&ann, order).await, pair("pending", "processing"));
        shop.later(Duration::from_hours(2));
        shop.run_jobs().await;
        assert_eq!(shop.stock_of(tea.id).await, 8, "the money is on its way");
        ann.asks(Method::POST, &format!("/api/orders/{order}/cancel/"))
            .send()
            .await
            .refused(409, "payment_closing");
        let intent = shop.stripe.fake().intents()[0]["id"].as_str().expect("an id").to_owned();
        shop.stripe.fake().finish(shop.stripe.now(), &intent, outcome).expect("it can end");
        shop.deliver().await;
        shop.later(Duration::from_hours(2));
        shop.run_jobs().await;
        assert_eq!(stand(&ann, order).await, ends);
    }
}

#[tokio::test]
async fn a_hold_that_runs_out_is_cancelled_at_stripe_first() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let (order, payment) = begun(&ann, tea.id, 1).await;
    // The customer paid in the last moment, and nobody told.
    shop.confirm(&payment, Outcome::Succeed);
    shop.later(Duration::from_hours(2));
    shop.run_jobs().await;
    assert_eq!(stand(&ann, order).await, pair("processing", "paid"));
    let (order, _) = begun(&ann, tea.id, 1).await;
    shop.later(Duration::from_hours(2));
    shop.run_jobs().await;
    assert_eq!(stand(&ann, order).await, pair("cancelled", "unpaid"));
    assert_eq!(shop.stripe.fake().intents()[1]["status"], "canceled");
}

#[tokio::test]
async fn refunds_partial_several_and_from_the_dashboard_reach_the_order() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "10", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let (order, payment) = begun(&ann, tea.id, 3).await;
    shop.confirm(&payment, Outcome::Succeed);
    shop.deliver().await;
    let path = format!("/api/admin/orders/{order}/refund/");
    for amount in ["5.00", "7.50"] {
        admin.post(&path, json!({"amount": amount, "reason": "late <b>"})).await.status(201);
    }
    let intent = shop.stripe.fake().intents()[0]["id"].as_str().expect("an id").to_owned();
    shop.stripe.fake().refund_from_dashboard(shop.stripe.now(), &intent, Some(250)).expect("there is enough");
    shop.deliver().await;
    let shown = ann.order(order).await;
    let amounts: Vec<_> =
        shown["refunds"].as_array().expect("refunds").iter().map(|r| &r["amount"]).collect();
    assert_eq!(amounts, [&json!("5.00"), &json!("7.50"), &json!("2.50")]);
    assert_eq!(shown["payment_status"], "partially_refunded");
    shop.deliver().await;
    admin.post(&path, json!({"amount": "15.01"})).await.refused(409, "refund_too_large");
    admin.post(&path, json!({})).await.status(201);
    assert_eq!(ann.order(order).await["payment_status"], "refunded");
    assert_eq!(shop.stripe.fake().refunds().len(), 4);
}

#[tokio::test]
async fn a_refund_that_fails_later_is_seen() {
    let shop = StripeShop::open().await;
    shop.stripe.fake().pending_refunds = true;
    let tea = shop.product("Tea", "10", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let (order, payment) = begun(&ann, tea.id, 1).await;
    shop.confirm(&payment, Outcome::Succeed);
    shop.deliver().await;
    let path = format!("/api/admin/orders/{order}/refund/");
    let made = admin.post(&path, json!({"amount": "4"})).await.status(201).json;
    assert_eq!((&made["refunds"][0]["status"], &made["payment_status"]), (&json!("pending"), &json!("paid")));
    admin.post(&path, json!({"amount": "6.01"})).await.refused(409, "refund_too_large");
    let refund = shop.stripe.fake().refunds()[0]["id"].as_str().expect("an id").to_owned();
    shop.stripe.fake().finish_refund(shop.stripe.now(), &refund, "succeeded").expect("it was pending");
    shop.deliver().await;
    assert_eq!(ann.order(order).await["payment_status"], "partially_refunded");
    shop.stripe.fake().finish_refund(shop.stripe.now(), &refund, "failed").expect("a bank sent it back");
    shop.deliver().await;
    let shown = ann.order(order).await;
    assert_eq!(
        (&shown["refunds"][0]["status"], &shown["payment_status"]),
        (&json!("failed"), &json!("paid"))
    );
    let report = admin.post("/api/admin/payments/reconcile/", json!({})).await.status(200).json;
    let said = report["results"][0]["error"].as_str().expect("it is told");
    assert!(said.starts_with("needs a person"), "{report}");
    let told = admin.mails_of("refund_failed").await;
    assert_eq!((told.len(), &told[0]["to"]), (1, &json!([admin.email])));
    assert!(told[0]["text"].as_str().expect("text").contains("till payment settle-refund 1"), "{}", told[0]);

    // Its note stays, and has a paper that takes it back.
    let notes = || async { ann.get(&format!("/api/orders/{order}/credit-notes/")).await.status(200).json };
    let before = notes().await;
    let papers: Vec<_> =
        before["results"].as_array().unwrap().iter().map(|one| one["kind"].clone()).collect();
    assert_eq!(papers, ["credit_note", "correction"]);
    let correction = &before["results"][1];
    assert_eq!((&correction["corrects"], &correction["total"]), (&json!("CN-000001"), &json!("4.00")));
    let of_refund = shown["refunds"][0]["credit_notes"].as_array().unwrap();
    assert_eq!(of_refund.len(), 2, "{shown}");

    // A person gives it back by hand.
    let settle = "/api/admin/refunds/1/settle/";
    admin.post(settle, json!({"reference": ""})).await.faults(&["reference"]);
    let settled = admin.post(settle, json!({"reference": "SEPA 17"})).await.status(201).json;
    assert_eq!((&settled["refunds"][1]["status"], &settled["notes"]), (&json!("succeeded"), &json!([])));
    admin.post(settle, json!({"reference": "SEPA 17"})).await.refused(409, "invalid_transition");
    admin.post("/api/admin/refunds/9/settle/", json!({"reference": "x"})).await.refused(404, "not_found");
    assert_eq!(ann.order(order).await["payment_status"], "partially_refunded");
    let after = notes().await;
    assert_eq!(after["results"][2]["reason"], "given back by hand: SEPA 17");
    assert_eq!(after["results"][0], before["results"][0], "no paper ever changes");
    let report = admin.post("/api/admin/payments/reconcile/", json!({})).await.status(200).json;
    assert_eq!(report["results"], json!([]), "nobody is asked for any more");
}

#[tokio::test]
async fn units_of_refunds_that_a_bank_sent_back_are_taken_back_once() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "10", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let (order, payment) = begun(&ann, tea.id, 5).await;
    shop.confirm(&payment, Outcome::Succeed);
    shop.deliver().await;
    let path = format!("/api/admin/orders/{order}/refund/");
    let back = async |units: u32| {
        let body = json!({"lines": [{"line_id": 1, "quantity": units}], "restock": true});
        admin.post(&path, body).await.status(201).json
    };
    let bounce = async |n: usize| {
        let refund = shop.stripe.fake().refunds()[n]["id"].as_str().expect("an id").to_owned();
        shop.stripe.fake().finish_refund(shop.stripe.now(), &refund, "failed").expect("a bank sent it back");
        shop.deliver().await;
        shop.later(Duration::from_mins(1));
    };
    let left = async || {
        let tracked = ann.get(&format!("/api/orders/{order}/tracking/")).await.status(200).json;
        (tracked["to_send"][0]["quantity"].as_u64().unwrap_or(0), shop.stock_of(tea.id).await)
    };
    back(2).await;
    assert_eq!(left().await, (3, 6));
    bounce(0).await;
    assert_eq!(left().await, (3, 6), "the units stay where they were");
    back(1).await;
    assert_eq!(left().await, (3, 6), "one of them");
    admin.post("/api/admin/refunds/1/settle/", json!({"reference": "SEPA"})).await.status(201);
    assert_eq!(left().await, (2, 7), "the other, and one more");
    back(1).await;
    assert_eq!(left().await, (1, 8), "and the next");
    let sent = admin.patch(&format!("/api/admin/orders/{order}/"), json!({"status": "shipped"})).await;
    assert_eq!(sent.status(200).json["fulfilments"][0]["lines"], json!([{"line_id": 1, "quantity": 1}]));
}

#[tokio::test]
async fn a_refund_that_fails_after_a_younger_one_is_seen_and_settled() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "10", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let (order, payment) = begun(&ann, tea.id, 3).await;
    shop.confirm(&payment, Outcome::Succeed);
    shop.deliver().await;
    let path = format!("/api/admin/orders/{order}/refund/");
    for amount in ["4", "5", "6"] {
        admin.post(&path, json!({"amount": amount})).await.status(201);
    }
    shop.later(Duration::from_mins(1));
    let made = shop.stripe.fake().refunds();
    for refund in &made[..2] {
        let refund = refund["id"].as_str().expect("an id");
        shop.stripe.fake().finish_refund(shop.stripe.now(), refund, "failed").expect("a bank sent it back");
    }
    shop.deliver().await;
    shop.later(Duration::from_mins(1));
    let waiting = async || {
        let report = admin.post("/api/admin/payments/reconcile/", json!({})).await.status(200).json;
        report["results"].as_array().expect("results").len()
    };
    assert_eq!(waiting().await, 2);
    let seen = admin.get(&format!("/api/admin/payments/{}/", payment["id"])).await.status(200).json;
    assert_eq!(seen["notes"], json!(["refund failed"]));
    // Each is settled once, in whatever order.
    for (refund, left) in [(2, 1), (1, 0)] {
        let settle = format!("/api/admin/refunds/{refund}/settle/");
        admin.post(&settle, json!({"reference": "SEPA"})).await.status(201);
        admin.post(&settle, json!({"reference": "SEPA"})).await.refused(409, "invalid_transition");
        assert_eq!(waiting().await, left);
    }
    admin
        .post("/api/admin/refunds/3/settle/", json!({"reference": "x"}))
        .await
        .refused(409, "invalid_transition");
}

#[tokio::test]
async fn an_order_whose_money_went_back_in_the_dashboard_is_not_sent() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "10", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let (order, payment) = begun(&ann, tea.id, 3).await;
    shop.confirm(&payment, Outcome::Succeed);
    shop.deliver().await;
    let intent = shop.stripe.fake().intents()[0]["id"].as_str().expect("an id").to_owned();
    shop.stripe.fake().refund_from_dashboard(shop.stripe.now(), &intent, None).expect("there is enough");
    shop.deliver().await;
    let sent = admin.patch(&format!("/api/admin/orders/{order}/"), json!({"status": "shipped"})).await;
    sent.refused(409, "invalid_transition");
    let tracked = ann.get(&format!("/api/orders/{order}/tracking/")).await.status(200).json;
    assert_eq!(tracked["to_send"], json!([]));
}

#[tokio::test]
async fn a_refund_that_stripe_refuses_is_told_and_seen() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "10", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let (order, payment) = begun(&ann, tea.id, 1).await;
    shop.confirm(&payment, Outcome::Succeed);
    shop.deliver().await;
    let intent = shop.stripe.fake().intents()[0]["id"].as_str().expect("an id").to_owned();
    // It is asked for its refunds, and then refuses; and is asked once more what became of it.
    shop.stripe.fake().faults.extend([Fault::None, Fault::Status(400)]);
    let path = format!("/api/admin/orders/{order}/refund/");
    let refused = admin.post(&path, json!({})).await.refused(502, "gateway_error");
    assert!(refused.json["refund_id"].is_u64(), "{}", refused.text);
    let shown = ann.order(order).await;
    assert_eq!(
        (&shown["refunds"][0]["status"], &shown["payment_status"]),
        (&json!("failed"), &json!("paid"))
    );
    let payment = admin.get(&format!("/api/admin/payments/{}/", payment["id"])).await.json;
    assert_eq!(payment["notes"], json!(["refund failed"]));
    // Somebody gives it back in the dashboard instead.
    shop.stripe.fake().refund_from_dashboard(shop.stripe.now(), &intent, None).expect("there is enough");
    shop.deliver().await;
    let shown = ann.order(order).await;
    let stands: Vec<_> = shown["refunds"].as_array().expect("refunds").iter().map(|r| &r["status"]).collect();
    assert_eq!(stands, [&json!("failed"), &json!("succeeded")]);
    assert_eq!(shown["payment_status"], "refunded");
    admin.post(&path, json!({})).await.refused(409, "nothing_to_refund");
}

#[tokio::test]
async fn a_dispute_freezes_the_order_until_it_is_decided() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "10", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    for (won, ends, ships) in [(true, "paid", 200), (false, "paid", 409)] {
        let (order, payment) = begun(&ann, tea.id, 1).await;
        shop.confirm(&payment, Outcome::Succeed);
        shop.deliver().await;
        let intents = shop.stripe.fake().intents();
        let intent = intents.last().expect("it was made")["id"].as_str().expect("an id").to_owned();
        let due = shop.stripe.now() + 7 * 24 * 3600;
        let dispute = shop.stripe.fake().open_dispute(shop.stripe.now(), &intent, "fraudulent", due);
        shop.deliver().await;
        assert_eq!(stand(&ann, order).await, pair("processing", "disputed"));
        let path = format!("/api/admin/orders/{order}/");
        let refused = admin.patch(&path, json!({"status": "shipped"})).await.refused(409, "order_disputed");
        assert_eq!(refused.json["evidence_due_by"], "2026-11-30T10:00:00.000Z");
        let parcel = json!({"tracking": {"carrier": "DHL", "number": "1"}});
        admin.patch(&path, parcel).await.refused(409, "order_disputed");
        admin.post(&format!("{path}refund/"), json!({})).await.refused(409, "order_disputed");
        ann.asks(Method::POST, &format!("/api/orders/{order}/cancel/"))
            .send()
            .await
            .refused(409, "order_disputed");
        let shown = admin.get(&format!("/api/admin/payments/{}/", payment["id"])).await.json;
        assert_eq!(shown["evidence_due_by"], "2026-11-30T10:00:00.000Z");
        let first = &shown["disputes"][0];
        assert_eq!(
            (&first["stand"], &first["reason"], &first["amount"], &first["due_by"]),
            (&json!("open"), &json!("fraudulent"), &json!("10.00"), &json!("2026-11-30T10:00:00.000Z"))
        );
        let told = admin.mails_of("dispute").await;
        assert!(told[0]["text"].as_str().expect("text").contains("The dispute is open"), "{}", told[0]);
        shop.stripe.fake().close_dispute(shop.stripe.now(), &dispute, won);
        shop.deliver().await;
        let told = admin.mails_of("dispute").await;
        let ended = if won { "The dispute is won" } else { "The dispute is lost" };
        assert!(told[0]["text"].as_str().expect("text").contains(ended), "{}", told[0]);
        assert_eq!(stand(&ann, order).await, pair("processing", ends));
        let shipped = admin.patch(&path, json!({"status": "shipped"})).await;
        assert_eq!(shipped.status.as_u16(), ships, "{}", shipped.text);
    }
}

#[tokio::test]
async fn totals_in_every_kind_of_currency_arrive_exactly() {
    for (currency, price, units) in [
        ("JPY", "1200", 1200),
        ("KWD", "19.990", 19_990),
        ("ISK", "1500", 150_000),
        ("USD", "19.99", 1999),
        ("HUF", "1234.50", 123_450),
    ] {
        let shop = StripeShop::with(&[("shop.currency", currency)]).await;
        let tea = shop.product("Tea", price, 9).await;
        let ann = shop.buyer().await;
        let (order, payment) = begun(&ann, tea.id, 1).await;
        assert_eq!(payment["amount"], price);
        let intent = shop.stripe.fake().intents()[0].clone();
        assert_eq!(
            (intent["amount"].as_i64(), intent["currency"].as_str()),
            (Some(units), Some(currency.to_lowercase().as_str()))
        );
        shop.confirm(&payment, Outcome::Succeed);
        shop.deliver().await;
        assert_eq!(stand(&ann, order).await, pair("processing", "paid"), "{currency}");
        ann.asks(Method::POST, &format!("/api/orders/{order}/cancel/")).send().await.status(200);
        assert_eq!(shop.stripe.fake().refunds()[0]["amount"], units, "{currency}");
    }
}

#[tokio::test]
async fn amounts_that_stripe_does_not_take_are_refused_plainly() {
    let shop = StripeShop::with(&[("shop.currency", "KWD")]).await;
    let tea = shop.product("Tea", "1.005", 9).await;
    let ann = shop.buyer().await;
    let order = ann.ordered(tea.id, 1).await;
    ann.post("/api/payment/", json!({"order_id": order, "provider": "stripe"})).await.faults(&["provider"]);
    let body = json!({"items": [{"product_id": tea.id, "quantity": 1}], "shipping_address": address()});
    ann.post("/api/payment/", body).await.faults(&["provider"]);
    assert_eq!(ann.get("/api/orders/").await.json["count"], 1, "no order was made for it");
    ann.post("/api/payment/", json!({"order_id": order, "provider": "test"})).await.status(201);

    let shop = StripeShop::open().await;
    let sweet = shop.product("Sweet", "0.10", 9).await;
    let ann = shop.buyer().await;
    let order = ann.ordered(sweet.id, 1).await;
    let refused =
        ann.post("/api/payment/", json!({"order_id": order})).await.refused(422, "amount_too_small");
    assert_eq!(refused.json["order_id"], order);
    assert_eq!(stand(&ann, order).await, pair("pending", "failed"));
    let other = ann.post("/api/payment/", json!({"order_id": order, "provider": "test"})).await.status(201);
    ann.decides(number(&other.json["id"]), json!({"outcome": "succeed"})).await.status(200);
    assert_eq!(stand(&ann, order).await, pair("processing", "paid"));
}

#[tokio::test]
async fn an_order_that_costs_nothing_never_meets_stripe() {
    let shop = StripeShop::open().await;
    let gift = shop.product("Gift", "0", 9).await;
    let ann = shop.buyer().await;
    let body = json!({"items": [{"product_id": gift.id, "quantity": 1}], "shipping_address": address()});
    let paid = ann.post("/api/payment/", body).await.status(201).json;
    assert_eq!(paid["status"], "succeeded");
    assert_eq!(shop.stripe.fake().intents().len(), 0);
}
