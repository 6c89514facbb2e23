//! A gateway that is down, slow, refuses the key, or loses answers.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{StripeShop, begun, pair, stand};
use crate::fakes::fault::Fault;
use crate::fakes::serve::Net;
use crate::fakes::stripe::Outcome;
use crate::support::{address, number};

#[tokio::test]
async fn a_gateway_that_is_down_or_slow_leaves_the_order_payable() {
    let lost = [Net::LostBefore, Net::LostAfter, Net::Late(Duration::from_millis(1500))];
    for (net, status, code) in
        [(lost[0], 502, "gateway_error"), (lost[1], 502, "gateway_error"), (lost[2], 504, "gateway_timeout")]
    {
        let shop = StripeShop::open().await;
        let tea = shop.product("Tea", "4", 9).await;
        let ann = shop.buyer().await;
        let order = ann.ordered(tea.id, 1).await;
        // A timeout is not tried again at once: whoever waits has waited long enough.
        shop.stripe.network(std::iter::repeat_n(net, if status == 504 { 1 } else { 3 }));
        let refused = ann.post("/api/payment/", json!({"order_id": order})).await.refused(status, code);
        assert_eq!(refused.json["order_id"], order);
        let payment = ann.post("/api/payment/", json!({"order_id": order})).await.status(201).json;
        assert_eq!(payment["id"], refused.json["payment_id"]);
        assert_eq!(shop.stripe.fake().intents().len(), 1, "{net:?}: one intent, whatever was lost");
        shop.confirm(&payment, Outcome::Succeed);
        shop.deliver().await;
        assert_eq!(stand(&ann, order).await, pair("processing", "paid"));
    }
}

#[tokio::test]
async fn what_fails_for_a_moment_is_tried_again_as_the_gateway_says() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "4", 99).await;
    let ann = shop.buyer().await;
    let should = |value: &str| Fault::Headers(vec![("stripe-should-retry".into(), value.into())]);
    let after = |value: &str| Fault::Headers(vec![("retry-after".into(), value.into())]);
    for (faults, works) in [
        (vec![Fault::Status(500), Fault::Status(503)], true),
        (vec![Fault::Status(429)], true),
        (vec![Fault::Status(409)], true),
        (vec![after("1"), Fault::Status(429)], true),
        (vec![after("600"), Fault::Status(429)], false),
        (vec![should("false"), Fault::Status(503)], false),
        (vec![should("true"), Fault::Status(400)], true),
        (vec![Fault::Status(500), Fault::Status(500), Fault::Status(500)], false),
    ] {
        let order = ann.ordered(tea.id, 1).await;
        shop.stripe.fake().faults.extend(faults.clone());
        let answer = ann.post("/api/payment/", json!({"order_id": order})).await;
        if works {
            answer.status(201);
        } else {
            answer.refused(502, "gateway_error");
        }
        assert!(shop.stripe.fake().faults.is_empty(), "{faults:?}");
    }
}

#[tokio::test]
async fn a_failure_that_is_stored_under_the_key_is_looked_up_before_a_new_key_is_used() {
    for effect in [true, false] {
        let shop = StripeShop::open().await;
        let tea = shop.product("Tea", "4", 9).await;
        let (ann, admin) = (shop.buyer().await, shop.admin().await);
        let order = ann.ordered(tea.id, 1).await;
        shop.stripe.fake().faults.push_back(Fault::StoredStatus { status: 500, effect });
        let payment = ann.post("/api/payment/", json!({"order_id": order})).await.status(201).json;
        assert_eq!(shop.stripe.fake().intents().len(), 1, "effect: {effect}");
        shop.confirm(&payment, Outcome::Succeed);
        shop.deliver().await;
        shop.stripe.fake().faults.push_back(Fault::StoredStatus { status: 500, effect });
        admin.post(&format!("/api/admin/orders/{order}/refund/"), json!({"amount": "1"})).await.status(201);
        assert_eq!(shop.stripe.fake().refunds().len(), 1, "effect: {effect}");
        assert_eq!(stand(&ann, order).await, pair("processing", "partially_refunded"));
        // A cancellation, too: the failure stays under its key, but the object says what is.
        let other = ann.ordered(tea.id, 1).await;
        ann.post("/api/payment/", json!({"order_id": other})).await.status(201);
        shop.stripe.fake().faults.push_back(Fault::StoredStatus { status: 500, effect });
        ann.asks(Method::POST, &format!("/api/orders/{other}/cancel/")).send().await;
        shop.later(Duration::from_mins(5));
        shop.run_jobs().await;
        assert_eq!(stand(&ann, other).await, pair("cancelled", "unpaid"));
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_for_longer_than_keys_live_makes_no_second_intent_or_refund() {
    let shop = StripeShop::with(&[("orders.hold_minutes", "43200")]).await;
    let tea = shop.product("Tea", "4", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let order = ann.ordered(tea.id, 1).await;
    shop.stripe.network([Net::LostAfter, Net::LostAfter, Net::LostAfter]);
    ann.post("/api/payment/", json!({"order_id": order})).await.refused(502, "gateway_error");
    shop.later(Duration::from_hours(30));
    let admin_again = shop.admin().await;
    let ann_again =
        ann.post("/api/auth/token/refresh/", json!({"refresh": ann.refresh})).await.status(200).json;
    let access = ann_again["access"].as_str().expect("a token").to_owned();
    let asking = shop.request(Method::POST, "/api/payment/").token(&access);
    let payment = asking.json(&json!({"order_id": order})).send().await.status(201).json;
    assert_eq!(shop.stripe.fake().intents().len(), 1);
    shop.confirm(&payment, Outcome::Succeed);
    shop.deliver().await;

    // It is asked for its refunds first.
    shop.stripe.network([Net::Good, Net::LostAfter, Net::LostAfter, Net::LostAfter]);
    let path = format!("/api/admin/orders/{order}/refund/");
    let made = admin_again.post(&path, json!({"amount": "1"})).await.status(201).json;
    assert_eq!(made["refunds"][0]["status"], "pending", "it is journalled, and nobody need ask again");
    shop.later(Duration::from_hours(30));
    shop.run_jobs().await;
    assert_eq!(shop.stripe.fake().refunds().len(), 1);
    drop(admin);
    let shown = shop.staff().await.get(&format!("/api/admin/orders/{order}/")).await.status(200).json;
    assert_eq!(shown["refunds"][0]["status"], "succeeded");
}

#[tokio::test]
async fn a_key_that_stripe_does_not_accept_is_told_without_giving_it_away() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let order = ann.ordered(tea.id, 1).await;
    shop.stripe.fake().revoked = true;
    let refused = ann.post("/api/payment/", json!({"order_id": order})).await.refused(502, "gateway_error");
    assert!(!refused.text.contains("sk_test"), "{}", refused.text);
    assert_eq!(stand(&ann, order).await, pair("pending", "unpaid"));
    let report = shop.admin().await.post("/api/admin/payments/reconcile/", json!({})).await.status(200).json;
    let errors: Vec<_> =
        report["results"].as_array().expect("rows").iter().map(|row| &row["error"]).collect();
    assert!(errors.iter().all(|error| error.as_str().is_some_and(|said| said.contains("keys"))), "{report}");
    shop.stripe.fake().revoked = false;
    ann.post("/api/payment/", json!({"order_id": order})).await.status(201);
}

#[tokio::test]
async fn an_object_that_is_not_for_what_the_order_costs_is_never_confirmed_and_its_money_goes_back() {
    for (name, value) in [
        ("amount", json!(399)),
        ("amount", json!(401)),
        ("currency", json!("eur")),
        ("currency", json!("jpy")),
    ] {
        let shop = StripeShop::open().await;
        let tea = shop.product("Tea", "4", 9).await;
        let ann = shop.buyer().await;
        let (order, payment) = begun(&ann, tea.id, 1).await;
        let intent = shop.stripe.fake().intents()[0]["id"].as_str().expect("an id").to_owned();
        shop.stripe.fake().tamper(&intent, |object| object[name] = value.clone());
        let polled = ann.get(&format!("/api/payment/{}/", payment["id"])).await.status(200).json;
        assert_eq!(polled["client_secret"], Value::Null, "{name}");
        // The customer had the secret already.
        shop.confirm(&payment, Outcome::Succeed);
        shop.deliver().await;
        shop.later(Duration::from_mins(5));
        shop.run_jobs().await;
        assert_eq!(stand(&ann, order).await, pair("pending", "unpaid"), "{name} {value}");
        let refunds = shop.stripe.fake().refunds();
        let taken = shop.stripe.fake().intent(&intent).expect("it is there")["amount_received"].clone();
        assert_eq!((refunds.len(), &refunds[0]["amount"]), (1, &taken), "{name} {value}");
        let told = shop.admin().await.mails_of("wrong_amount").await;
        assert_eq!(told.len(), 1, "{name} {value}");
        assert!(told[0]["text"].as_str().expect("text").contains("is not for the 4.00 USD"), "{}", told[0]);
        let again = ann.post("/api/payment/", json!({"order_id": order})).await.status(201).json;
        assert_ne!(number(&again["id"]), number(&payment["id"]));
        shop.confirm(&again, Outcome::Succeed);
        shop.deliver().await;
        assert_eq!(stand(&ann, order).await, pair("processing", "paid"));
    }
}

#[tokio::test]
async fn money_that_comes_after_the_cancellation_goes_back() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let (order, _) = begun(&ann, tea.id, 1).await;
    ann.asks(Method::POST, &format!("/api/orders/{order}/cancel/")).send().await.status(200);
    let intent = shop.stripe.fake().intents()[0]["id"].as_str().expect("an id").to_owned();
    // What Stripe never does: it takes the money after it said that it was cancelled.
    shop.stripe.fake().tamper(&intent, |object| {
        object["status"] = json!("requires_payment_method");
        object["canceled_at"] = Value::Null;
    });
    let secret = shop.stripe.fake().intent(&intent).expect("it is there")["client_secret"].clone();
    shop.confirm(&json!({"client_secret": secret}), Outcome::Succeed);
    shop.deliver().await;
    assert_eq!(stand(&ann, order).await, pair("cancelled", "unpaid"));
    assert_eq!(shop.stripe.fake().refunds().len(), 1);
    assert_eq!(shop.stock_of(tea.id).await, 9);
}

#[tokio::test]
async fn surplus_that_a_bank_decides_about_goes_back_when_it_has_and_the_orders_own_money_stays() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let (order, payment) = begun(&ann, tea.id, 1).await;
    admin.post(&format!("/api/admin/payments/{}/cancel/", payment["id"]), json!({})).await.status(200);
    let again = ann.post("/api/payment/", json!({"order_id": order})).await.status(201).json;
    shop.confirm(&again, Outcome::Succeed);
    shop.deliver().await;
    // The first takes money after all, and what is given back at once is refused.
    let first = shop.stripe.fake().intents()[0]["id"].as_str().expect("an id").to_owned();
    shop.stripe.fake().tamper(&first, |object| object["status"] = json!("requires_payment_method"));
    shop.confirm(&payment, Outcome::Succeed);
    let path = format!("/api/admin/payments/{}/", payment["id"]);
    let dispute = shop.stripe.fake().open_dispute(shop.stripe.now(), &first, "duplicate", 0);
    shop.deliver().await;
    assert_eq!(admin.get(&path).await.json["is_surplus"], true);
    let one = |key: &'static str| {
        let asking = admin.asks(Method::POST, &format!("/api/admin/orders/{order}/refund/"));
        asking.header("Idempotency-Key", key).json(&json!({"payment_id": payment["id"]})).send()
    };
    one("r0").await.refused(409, "order_disputed");
    shop.stripe.fake().close_dispute(shop.stripe.now(), &dispute, true);
    // What was kept back for the bank's decision goes back with it; the gateway refuses.
    let events = shop.stripe.fake().take_events();
    for event in &events {
        shop.hook(event).await.status(200);
    }
    shop.run_jobs().await;
    shop.later(Duration::from_mins(2));
    shop.run_jobs().await;
    let refunds = shop.stripe.fake().refunds();
    assert_eq!((refunds.len(), &refunds[0]["payment_intent"]), (1, &json!(first)), "{refunds:?}");
    one("r1").await.refused(409, "nothing_to_refund");
    assert_eq!(stand(&ann, order).await, pair("processing", "paid"), "the order's own money stays");
}

#[tokio::test]
async fn a_refund_that_was_refused_is_refused_again_under_its_key_and_tried_again_where_it_must_be() {
    let shop = StripeShop::with(&[("auth.access_minutes", "1440")]).await;
    let tea = shop.product("Tea", "4", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let (order, payment) = begun(&ann, tea.id, 1).await;
    shop.confirm(&payment, Outcome::Succeed);
    shop.deliver().await;
    let one = || {
        let asking = admin.asks(Method::POST, &format!("/api/admin/orders/{order}/refund/"));
        asking.header("Idempotency-Key", "r1").json(&json!({"amount": "1"})).send()
    };
    shop.stripe.fake().faults.extend([Fault::None, Fault::Status(400)]);
    let refused = one().await.refused(502, "gateway_error");
    assert_eq!(one().await.refused(502, "gateway_error").json["refund_id"], refused.json["refund_id"]);
    assert_eq!(ann.order(order).await["refunds"].as_array().map(Vec::len), Some(1));
    // Of a cancelled order the money is not the shop's to keep.
    shop.stripe.fake().faults.push_back(Fault::Status(400));
    ann.asks(Method::POST, &format!("/api/orders/{order}/cancel/")).send().await.status(200);
    assert_eq!(stand(&ann, order).await, pair("cancelled", "paid"));
    let report = admin.post("/api/admin/payments/reconcile/", json!({})).await.status(200).json;
    let said = report["results"][0]["error"].as_str().expect("it is told").to_owned();
    assert!(said.contains("tried again by itself"), "{said}");
    shop.later(Duration::from_hours(25));
    shop.run_jobs().await;
    shop.later(Duration::from_mins(2));
    shop.run_jobs().await;
    assert_eq!(shop.stripe.fake().refunds().len(), 1);
    assert_eq!(
        shop.staff().await.get(&format!("/api/admin/orders/{order}/")).await.json["payment_status"],
        "refunded"
    );
}

#[tokio::test]
async fn a_payment_whose_gateway_is_gone_can_be_ended_by_force() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let (order, payment) = begun(&ann, tea.id, 1).await;
    shop.stripe.fake().revoked = true;
    let path = format!("/api/admin/payments/{}/cancel/", payment["id"]);
    admin.post(&path, json!({})).await.refused(409, "payment_closing");
    let ended = admin.post(&path, json!({"force": true})).await.status(200).json;
    assert_eq!(ended["status"], "canceled");
    let other =
        ann.post("/api/payment/", json!({"order_id": order, "provider": "test"})).await.status(201).json;
    ann.decides(number(&other["id"]), json!({"outcome": "succeed"})).await.status(200);
    // The gateway is back, and its customer pays there, too.
    shop.stripe.fake().revoked = false;
    shop.confirm(&payment, Outcome::Succeed);
    shop.deliver().await;
    assert_eq!(stand(&ann, order).await, pair("processing", "paid"));
    assert_eq!(shop.stripe.fake().refunds().len(), 1);
}

/// Two tabs, two providers, cash over the counter, and a hold that runs out, all for one order at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_pays_one_order_at_once_pays_it_once() {
    for round in 0..12_u64 {
        let shop = StripeShop::open().await;
        let tea = shop.product("Tea", "4", 9).await;
        let (ann, staff) = (shop.buyer().await, shop.staff().await);
        let (order, payment) = begun(&ann, tea.id, 1).await;
        let cash = async || {
            let path = format!("/api/admin/orders/{order}/mark-paid/");
            staff.post(&path, json!({"method": "cash"})).await.status.as_u16()
        };
        let tab = async |provider: &'static str| {
            let begun = ann.post("/api/payment/", json!({"order_id": order, "provider": provider})).await;
            if provider == "test" && begun.status == 201 {
                let path = format!("/api/payment/test/{}/", begun.json["id"]);
                ann.post(&path, json!({"outcome": "succeed", "notify": "never"})).await;
            }
            begun.status.as_u16()
        };
        let browser = async || {
            tokio::time::sleep(Duration::from_millis(round * 2)).await;
            let secret = payment["client_secret"].as_str().expect("a secret");
            let _ = shop.stripe.fake().confirm(shop.stripe.now(), secret, Outcome::Succeed);
        };
        let hold = async || {
            if round % 3 == 0 {
                shop.later(Duration::from_hours(2));
            }
            shop.run_jobs().await;
        };
        let ends = tokio::join!(tab("stripe"), tab("test"), cash(), browser(), hold(), tab("test"));
        for _ in 0..3 {
            shop.deliver().await;
            shop.later(Duration::from_hours(3));
            shop.run_jobs().await;
        }
        let shown = staff.get(&format!("/api/admin/orders/{order}/")).await.json;
        let payments = staff.get("/api/admin/payments/").await.json;
        let rows = payments["results"].as_array().expect("rows");
        let kept = rows.iter().filter(|row| row["captured"] == "4.00" && row["is_surplus"] == false).count();
        let surplus = rows.iter().filter(|row| row["is_surplus"] == true).count();
        let refunds = shown["refunds"].as_array().expect("refunds");
        assert!(kept <= 1, "round {round} {ends:?}: {payments}");
        assert_eq!(refunds.len(), surplus, "round {round} {ends:?}: {shown}");
        assert!(refunds.iter().all(|refund| refund["status"] == "succeeded"), "{shown}");
        let is_paid = shown["payment_status"] == "paid";
        assert_eq!(
            (is_paid, shown["status"] == "cancelled"),
            (kept == 1, kept == 0),
            "round {round}: {shown}"
        );
        assert_eq!(shop.stock_of(tea.id).await, if is_paid { 8 } else { 9 }, "round {round}");
    }
}

#[tokio::test]
async fn the_same_call_again_goes_on_with_the_cart_that_was_ordered() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    ann.puts_in_cart(tea.id, 2).await.status(201);
    shop.stripe.network([Net::LostBefore, Net::LostBefore, Net::LostBefore]);
    let pay = || ann.post("/api/payment/", json!({"shipping_address": address()}));
    let refused = pay().await.refused(502, "gateway_error");
    assert!(refused.text.contains("order_id"), "{}", refused.text);
    let payment = pay().await.status(201).json;
    assert_eq!(payment["id"], refused.json["payment_id"]);
    pay().await.refused(422, "cart_empty");
    assert_eq!(
        (ann.get("/api/orders/").await.json["count"].as_u64(), shop.stock_of(tea.id).await),
        (Some(1), 7)
    );
}

#[tokio::test]
async fn units_go_back_to_the_shelf_when_the_money_has_gone_back_and_not_before() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let (order, payment) = begun(&ann, tea.id, 3).await;
    shop.confirm(&payment, Outcome::Succeed);
    shop.deliver().await;
    let path = format!("/api/admin/orders/{order}/refund/");
    let body = json!({"lines": [{"line_id": 1, "quantity": 1}], "restock": true});
    // Asked for its refunds first, then asked to refund.
    shop.stripe.fake().faults.extend([Fault::None, Fault::Status(400)]);
    admin.post(&path, body.clone()).await.refused(502, "gateway_error");
    assert_eq!(shop.stock_of(tea.id).await, 6, "the money is still the shop's");
    shop.stripe.fake().pending_refunds = true;
    admin.post(&path, body).await.status(201);
    assert_eq!(shop.stock_of(tea.id).await, 6, "the money is on its way");
    let refund = shop.stripe.fake().refunds()[0]["id"].as_str().expect("an id").to_owned();
    shop.stripe.fake().finish_refund(shop.stripe.now(), &refund, "succeeded").expect("it was pending");
    shop.deliver().await;
    assert_eq!(shop.stock_of(tea.id).await, 7);
}

#[tokio::test]
async fn what_the_gateway_does_not_know_is_not_given_up() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let (order, payment) = begun(&ann, tea.id, 1).await;
    shop.confirm(&payment, Outcome::Succeed);
    // The keys are another account's now, by mistake: every object is unknown there.
    shop.stripe.fake().faults.extend(vec![Fault::Status(404); 60]);
    shop.later(Duration::from_hours(2));
    for _ in 0..3 {
        shop.run_jobs().await;
        shop.later(Duration::from_mins(10));
    }
    assert_eq!(stand(&ann, order).await, pair("pending", "unpaid"));
    assert_eq!(shop.stock_of(tea.id).await, 8, "it may be paid");
    shop.stripe.fake().faults.clear();
    admin.post("/api/admin/payments/reconcile/", json!({})).await.status(200);
    assert_eq!(stand(&ann, order).await, pair("processing", "paid"));
}

#[tokio::test]
async fn a_refund_of_all_that_is_left_knows_what_was_given_back_in_the_dashboard() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "10", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let (order, payment) = begun(&ann, tea.id, 1).await;
    shop.confirm(&payment, Outcome::Succeed);
    shop.deliver().await;
    let intent = shop.stripe.fake().intents()[0]["id"].as_str().expect("an id").to_owned();
    shop.stripe.fake().refund_from_dashboard(shop.stripe.now(), &intent, Some(400)).expect("there is enough");
    let shown = admin.post(&format!("/api/admin/orders/{order}/refund/"), json!({})).await.status(201).json;
    let amounts: Vec<_> =
        shown["refunds"].as_array().expect("refunds").iter().map(|r| &r["amount"]).collect();
    assert_eq!(amounts, [&json!("4.00"), &json!("6.00")]);
    assert_eq!(shown["payment_status"], "refunded");
}

#[tokio::test]
async fn one_odd_object_spoils_no_others() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let (order, payment) = begun(&ann, tea.id, 1).await;
    let odd = shop.stripe.fake().foreign_intent(shop.stripe.now(), 100, "usd", &[], true);
    shop.stripe.fake().tamper(&odd, |object| object["amount"] = Value::Null);
    shop.confirm(&payment, super::decline());
    let intent = shop.stripe.fake().intents()[0]["id"].as_str().expect("an id").to_owned();
    shop.stripe.fake().tamper(&intent, |object| object["last_payment_error"]["message"] = Value::Null);
    let told = ann.get(&format!("/api/payment/{}/", payment["id"])).await.status(200).json;
    assert_eq!(told["last_error"]["code"], "card_declined");
    let report = admin.post("/api/admin/payments/reconcile/", json!({})).await.status(200).json;
    let rows = report["results"].as_array().expect("rows");
    assert!(rows.iter().all(|row| row["error"].is_null()), "{report}");
    assert_eq!((rows.len(), &rows[0]["order_id"]), (1, &json!(order)));
}
