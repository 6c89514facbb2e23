//! Paying, with the built-in gateway and with one that loses answers.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};
use till::orders::RefundStatus;
use till::payments::gateway::{Charge, Gateway, GatewayError, Intent, Mode, Notice, Return, Returned};
use till::payments::{Status, Subject};

use crate::support::{Broken, Shop, address, number};

#[tokio::test]
async fn a_payment_that_succeeds_makes_the_order_paid() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let order = ann.ordered(tea.id, 2).await;
    let begun = ann
        .post("/api/payment/", json!({"order_id": order, "provider": "test", "total_amount": "8.00"}))
        .await
        .status(201);
    for (name, value) in json!({"order_id": order, "provider": "test", "status": "requires_payment", "amount": "8.00", "currency": "USD",
        "approve_url": null, "last_error": null}).as_object().unwrap() {
        assert_eq!(&begun.json[name], value, "{name}");
    }
    assert!(begun.json["client_secret"].is_string());
    let payment = number(&begun.json["id"]);
    assert_eq!(begun.header("location"), format!("/api/payment/{payment}/"));
    ann.decides(payment, json!({"outcome": "succeed"})).await.status(200);
    let paid = ann.order(order).await;
    assert_eq!((&paid["status"], &paid["payment_status"]), (&json!("processing"), &json!("paid")));
    assert!(paid["hold_expires_at"].is_null() && paid["paid_at"].is_string());
    ann.post("/api/payment/", json!({"order_id": order})).await.refused(409, "already_paid");
    ann.decides(payment, json!({"outcome": "succeed"})).await.refused(409, "invalid_transition");
}

#[tokio::test]
async fn a_decline_is_told_and_the_order_stays_payable_with_the_same_payment() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let order = ann.ordered(tea.id, 2).await;
    let payment = ann.begins_to_pay(order).await;
    let declined = ann.decides(payment, json!({"outcome": "decline"})).await.status(200).json;
    assert_eq!(
        (&declined["status"], &declined["last_error"]["code"]),
        (&json!("requires_payment"), &json!("card_declined"))
    );
    assert_eq!(ann.begins_to_pay(order).await, payment, "the same live payment");
    assert_eq!(shop.stock_of(tea.id).await, 7);
    let paid = ann.decides(payment, json!({"outcome": "succeed"})).await.status(200).json;
    assert_eq!((&paid["status"], &paid["last_error"]), (&json!("succeeded"), &Value::Null));
    assert_eq!(ann.order(order).await["payment_status"], "paid");
}

#[tokio::test]
async fn a_customer_at_their_bank_gets_the_hold_extended_once() {
    let shop = Shop::with(&[("orders.hold_minutes", "10")]).await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let order = ann.ordered(tea.id, 1).await;
    let payment = ann.begins_to_pay(order).await;
    shop.later(Duration::from_secs(5 * 60));
    let action = ann.decides(payment, json!({"outcome": "require_action"})).await.status(200).json;
    assert_eq!(action["status"], "requires_action");
    assert_eq!(ann.order(order).await["hold_expires_at"], "2026-11-23T10:15:00.000Z");
    shop.later(Duration::from_secs(4 * 60));
    ann.decides(payment, json!({"outcome": "decline"})).await.status(200);
    ann.decides(payment, json!({"outcome": "require_action"})).await.status(200);
    assert_eq!(ann.order(order).await["hold_expires_at"], "2026-11-23T10:15:00.000Z");
    shop.later(Duration::from_secs(7 * 60));
    shop.run_jobs().await;
    assert_eq!(ann.order(order).await["status"], "cancelled");
}

#[tokio::test]
async fn what_is_processing_keeps_its_stock_and_can_not_be_cancelled() {
    let shop = Shop::with(&[("orders.hold_minutes", "10")]).await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let order = ann.ordered(tea.id, 1).await;
    let payment = ann.begins_to_pay(order).await;
    ann.decides(payment, json!({"outcome": "process"})).await.status(200);
    assert_eq!(ann.order(order).await["payment_status"], "processing");
    shop.later(Duration::from_secs(3600));
    shop.run_jobs().await;
    assert_eq!(
        (ann.order(order).await["status"].as_str(), shop.stock_of(tea.id).await),
        (Some("pending"), 8)
    );
    let staff = shop.staff().await;
    staff
        .patch(&format!("/api/admin/orders/{order}/"), json!({"status": "cancelled"}))
        .await
        .refused(409, "payment_closing");
    // What is closing and turns out to be paid is paid.
    ann.decides(payment, json!({"outcome": "succeed"})).await.status(200);
    let paid = ann.order(order).await;
    assert_eq!((&paid["status"], &paid["payment_status"]), (&json!("processing"), &json!("paid")));
}

#[tokio::test]
async fn events_that_come_twice_late_or_never_end_the_same() {
    for notify in ["once", "twice", "late", "never"] {
        let shop = Shop::open().await;
        let tea = shop.product("Tea", "4", 9).await;
        let ann = shop.buyer().await;
        let order = ann.ordered(tea.id, 1).await;
        let payment = ann.begins_to_pay(order).await;
        let answered =
            ann.decides(payment, json!({"outcome": "succeed", "notify": notify})).await.status(200).json;
        let at_once = notify == "once" || notify == "twice";
        assert_eq!(answered["status"] == "succeeded", at_once, "{notify}");
        assert_eq!(ann.order(order).await["payment_status"] == "paid", at_once, "{notify}");
        // A late event comes by itself; one that never comes is made up for by the reconciler.
        shop.later(Duration::from_secs(if notify == "never" { 120 } else { 6 }));
        shop.run_jobs().await;
        let paid = ann.order(order).await;
        assert_eq!(
            (&paid["payment_status"], paid["history"].as_array().unwrap().len()),
            (&json!("paid"), 2),
            "{notify}"
        );
        shop.run_jobs().await;
    }
}

#[tokio::test]
async fn deciding_under_a_key_is_answered_the_same_again() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let order = ann.ordered(tea.id, 1).await;
    let path = format!("/api/payment/test/{}/", ann.begins_to_pay(order).await);
    let decide = || {
        let asking = ann.asks(Method::POST, &path).header("Idempotency-Key", "d1");
        asking.json(&json!({"outcome": "succeed"})).send()
    };
    let (first, again) = (decide().await.status(200), decide().await.status(200));
    assert_eq!((first.text, again.header("idempotency-replayed")), (again.text.clone(), "true"));
}

#[tokio::test]
async fn asking_after_a_payment_asks_the_gateway() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let (ann, bob) = (shop.buyer().await, shop.buyer().await);
    let order = ann.ordered(tea.id, 1).await;
    let payment = ann.begins_to_pay(order).await;
    ann.decides(payment, json!({"outcome": "succeed", "notify": "never"})).await.status(200);
    bob.get(&format!("/api/payment/{payment}/")).await.refused(404, "not_found");
    bob.decides(payment, json!({"outcome": "decline"})).await.refused(404, "not_found");
    bob.post("/api/orders/", json!({"payment_id": payment})).await.refused(404, "not_found");
    let confirmed = ann.post("/api/orders/", json!({"payment_id": payment})).await.status(200).json;
    assert_eq!((number(&confirmed["id"]), &confirmed["payment_status"]), (order, &json!("paid")));
    assert_eq!(ann.get(&format!("/api/payment/{payment}/")).await.json["status"], "succeeded");
    ann.get("/api/payment/999/").await.refused(404, "not_found");
}

#[tokio::test]
async fn a_cart_or_items_are_ordered_and_paid_in_one_go() {
    let shop = Shop::open().await;
    let (tea, mug) = (shop.product("Tea", "4", 9).await, shop.product("Mug", "9", 9).await);
    let ann = shop.buyer().await;
    ann.puts_in_cart(tea.id, 2).await.status(201);
    let items = json!([{"product_id": mug.id, "quantity": 1}, {"product_id": mug.id, "quantity": 1}]);
    let body = json!({"items": items, "shipping_address": address(), "total_amount": 18});
    let paid = ann.post("/api/payment/", body.clone()).await.status(201).json;
    assert_eq!(paid["amount"], "18.00");
    let order = ann.order(number(&paid["order_id"])).await;
    assert_eq!((order["items"].as_array().unwrap().len(), &order["items"][0]["quantity"]), (1, &json!(2)));
    assert_eq!(ann.get("/api/cart/").await.json["item_count"], 2, "the cart is left alone");
    let mut wrong = body.clone();
    wrong["total_amount"] = json!("17.99");
    let refused = ann.post("/api/payment/", wrong).await.refused(409, "amount_mismatch");
    assert_eq!(refused.json["total"], "18.00");
    ann.post("/api/payment/", json!({"items": [], "shipping_address": address()})).await.faults(&["items"]);
    ann.post(
        "/api/payment/",
        json!({"items": [{"product_id": 999, "quantity": 1}], "shipping_address": address()}),
    )
    .await
    .faults(&["items"]);
    ann.post("/api/payment/", json!({"order_id": 1, "items": items})).await.faults(&["items"]);
    ann.post("/api/payment/", json!({"order_id": 1, "provider": "gold"})).await.faults(&["provider"]);
    let from_cart = ann.post("/api/payment/", json!({"shipping_address": address()})).await.status(201).json;
    assert_eq!(
        (&from_cart["amount"], &ann.get("/api/cart/").await.json["item_count"]),
        (&json!("8.00"), &json!(0))
    );
    ann.post("/api/payment/", json!({"shipping_address": address()})).await.refused(422, "cart_empty");
}

#[tokio::test]
async fn paying_under_a_key_is_one_payment_and_one_order() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let body = json!({"items": [{"product_id": tea.id, "quantity": 2}], "shipping_address": address()});
    let pay = || ann.asks(Method::POST, "/api/payment/").header("Idempotency-Key", "p1").json(&body).send();
    let (first, again) = (pay().await.status(201), pay().await.status(201));
    assert_eq!((first.text, again.header("idempotency-replayed")), (again.text.clone(), "true"));
    assert_eq!(
        (ann.get("/api/orders/").await.json["count"].as_u64(), shop.stock_of(tea.id).await),
        (Some(1), 7)
    );
}

#[tokio::test]
async fn money_taken_by_hand_makes_the_order_paid_after_its_payment_is_ended() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let (ann, staff) = (shop.buyer().await, shop.staff().await);
    let (plain, begun) = (ann.ordered(tea.id, 1).await, ann.ordered(tea.id, 1).await);
    let payment = ann.begins_to_pay(begun).await;
    for order in [plain, begun] {
        let path = format!("/api/admin/orders/{order}/mark-paid/");
        staff.post(&path, json!({})).await.faults(&["method"]);
        let paid = staff.post(&path, json!({"method": "cash", "reference": "till 2"})).await.status(200).json;
        assert_eq!((&paid["status"], &paid["payment_status"]), (&json!("processing"), &json!("paid")));
        staff.post(&path, json!({"method": "cash"})).await.refused(409, "already_paid");
        let invoice = ann.get(&format!("/api/orders/{order}/invoice/")).await.status(200).json;
        assert_eq!(invoice["payment_method"], "cash (till 2)");
    }
    assert_eq!(ann.get(&format!("/api/payment/{payment}/")).await.json["status"], "canceled");
    staff.post("/api/admin/orders/999/mark-paid/", json!({"method": "cash"})).await.refused(404, "not_found");
    let cancelled = staff
        .patch(&format!("/api/admin/orders/{plain}/"), json!({"status": "cancelled"}))
        .await
        .status(200)
        .json;
    assert_eq!(cancelled["payment_status"], "refunded", "cash is given back by hand");
}

#[tokio::test]
async fn administrators_see_and_end_payments() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let order = ann.ordered(tea.id, 1).await;
    let payment = ann.begins_to_pay(order).await;
    let list = admin.get("/api/admin/payments/").await.status(200).json;
    assert_eq!((&list["count"], &list["results"][0]["order_id"]), (&json!(1), &json!(order)));
    assert!(list["results"][0]["client_secret"].is_null(), "a customer's secret is theirs");
    let path = format!("/api/admin/payments/{payment}/");
    admin.get(&path).await.status(200);
    let ended = admin.asks(Method::POST, &format!("{path}cancel/")).send().await.status(200).json;
    assert_eq!(ended["status"], "canceled");
    admin.asks(Method::POST, &format!("{path}cancel/")).send().await.refused(409, "invalid_transition");
    assert_ne!(ann.begins_to_pay(order).await, payment, "the order can be paid anew");
    let report = admin.asks(Method::POST, "/api/admin/payments/reconcile/").send().await.status(200).json;
    assert_eq!(report["looked_at"], 1);
}

/// A gateway of another name that can lose its answers, before or after they take effect.
#[derive(Default)]
struct Forgetful {
    /// What the next call does: 0 answers, 1 fails before, 2 loses its answer after. 3: all fail until it is 0.
    next: AtomicU32,
    created: Mutex<Vec<(String, Intent)>>,
    refunds: Mutex<Vec<Returned>>,
}

impl Forgetful {
    fn lose(&self, how: u32) {
        self.next.store(how, Ordering::SeqCst);
    }

    fn answer<T>(&self, effect: impl FnOnce() -> T) -> Result<T, GatewayError> {
        let how = self.next.load(Ordering::SeqCst);
        self.next.store(if how == 3 { 3 } else { 0 }, Ordering::SeqCst);
        match how {
            0 => Ok(effect()),
            3 => Err(GatewayError::Failed("down for long".into())),
            1 => Err(GatewayError::Failed("down".into())),
            _ => {
                effect();
                Err(GatewayError::Timeout)
            }
        }
    }

    fn set(&self, reference: &str, status: Status, captured: Option<i64>) -> Intent {
        let mut created = self.created.lock().unwrap();
        let intent = &mut created.iter_mut().find(|(_, intent)| intent.reference == reference).unwrap().1;
        intent.status = status;
        if let Some(minor) = captured {
            intent.captured.minor = minor;
        }
        intent.clone()
    }
}

#[async_trait]
impl Gateway for Forgetful {
    fn provider(&self) -> &'static str {
        "forgetful"
    }

    fn mode(&self) -> Mode {
        Mode::Test
    }

    async fn create(&self, charge: &Charge) -> Result<Intent, GatewayError> {
        self.answer(|| {
            let mut created = self.created.lock().unwrap();
            if let Some((_, known)) = created.iter().find(|(key, _)| *key == charge.key) {
                return known.clone();
            }
            let reference = format!("f_{}", charge.key);
            let intent = Intent::new(reference, Status::RequiresPayment, charge.amount);
            created.push((charge.key.clone(), intent.clone()));
            intent
        })
    }

    async fn fetch(&self, reference: &str) -> Result<Intent, GatewayError> {
        self.answer(|| {
            self.created.lock().unwrap().iter().find(|(_, i)| i.reference == reference).unwrap().1.clone()
        })
    }

    async fn cancel(&self, reference: &str, _key: &str) -> Result<Intent, GatewayError> {
        self.answer(|| {
            let known = self
                .created
                .lock()
                .unwrap()
                .iter()
                .find(|(_, i)| i.reference == reference)
                .unwrap()
                .1
                .clone();
            if known.status.is_final() { known } else { self.set(reference, Status::Canceled, None) }
        })
    }

    async fn refund(&self, back: &Return) -> Result<Returned, GatewayError> {
        self.answer(|| {
            let mut refunds = self.refunds.lock().unwrap();
            let made = Returned {
                reference: format!("r_{}", back.key),
                amount: back.amount,
                status: RefundStatus::Succeeded,
                error: None,
                tag: Some(back.tag.clone()),
                is_inferred: false,
            };
            if !refunds.contains(&made) {
                refunds.push(made.clone());
            }
            made
        })
    }

    async fn refunds(&self, _reference: &str) -> Result<Vec<Returned>, GatewayError> {
        self.answer(|| self.refunds.lock().unwrap().clone())
    }
}

async fn forgetful() -> (Shop, Arc<Forgetful>) {
    let gateway = Arc::new(Forgetful::default());
    (Shop::with_gateways(&[], vec![Arc::clone(&gateway) as Arc<dyn Gateway>]).await, gateway)
}

#[tokio::test]
async fn a_gateway_that_fails_leaves_the_order_payable_and_the_same_call_goes_on() {
    for (how, status, code) in [(1, 502, "gateway_error"), (2, 504, "gateway_timeout")] {
        let (shop, gateway) = forgetful().await;
        let tea = shop.product("Tea", "4", 9).await;
        let ann = shop.buyer().await;
        let order = ann.ordered(tea.id, 1).await;
        let pay = |key: &'static str| {
            ann.asks(Method::POST, "/api/payment/")
                .header("Idempotency-Key", key)
                .json(&json!({"order_id": order}))
                .send()
        };
        gateway.lose(how);
        pay("k").await.refused(status, code);
        assert_eq!(ann.order(order).await["status"], "pending");
        let payment = pay("k").await.status(201).json;
        assert_eq!(payment["status"], "requires_payment");
        assert_eq!(pay("other").await.status(201).json["id"], payment["id"]);
        assert_eq!(gateway.created.lock().unwrap().len(), 1, "one object at the gateway");
    }
}

#[tokio::test]
async fn a_payment_that_was_cut_short_is_gone_on_with_by_the_reconciler() {
    let (shop, gateway) = forgetful().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let order = ann.ordered(tea.id, 1).await;
    gateway.lose(2);
    ann.post("/api/payment/", json!({"order_id": order})).await.refused(504, "gateway_timeout");
    let reference = gateway.created.lock().unwrap()[0].1.reference.clone();
    gateway.set(&reference, Status::Succeeded, Some(400));
    shop.later(Duration::from_secs(60));
    shop.run_jobs().await;
    shop.later(Duration::from_secs(60));
    shop.run_jobs().await;
    assert_eq!(ann.order(order).await["payment_status"], "paid");
}

#[tokio::test]
async fn a_hold_is_not_given_up_while_the_gateway_can_not_be_asked() {
    let (shop, gateway) = forgetful().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let order = ann.ordered(tea.id, 1).await;
    ann.begins_to_pay(order).await;
    let reference = gateway.created.lock().unwrap()[0].1.reference.clone();
    gateway.lose(3);
    shop.later(Duration::from_secs(3601));
    shop.run_jobs().await;
    assert_eq!(shop.stock_of(tea.id).await, 8);
    gateway.lose(0);
    // The customer paid in the last moment; the next look finds out.
    gateway.set(&reference, Status::Succeeded, Some(400));
    shop.later(Duration::from_secs(7200));
    shop.run_jobs().await;
    let order = ann.order(order).await;
    assert_eq!((&order["status"], &order["payment_status"]), (&json!("processing"), &json!("paid")));
}

#[tokio::test]
async fn another_provider_ends_the_first_payment_before_it_begins() {
    let (shop, gateway) = forgetful().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let order = ann.ordered(tea.id, 1).await;
    let pay =
        |provider: &'static str| ann.post("/api/payment/", json!({"order_id": order, "provider": provider}));
    let first = pay("forgetful").await.status(201).json;
    gateway.lose(1);
    let refused = pay("test").await.refused(409, "payment_closing");
    assert_eq!(refused.json["payment_id"], first["id"]);
    pay("forgetful").await.refused(409, "payment_closing");
    shop.later(Duration::from_secs(60));
    shop.run_jobs().await;
    let second = pay("test").await.status(201).json;
    assert_ne!(second["id"], first["id"]);
    ann.decides(number(&second["id"]), json!({"outcome": "succeed"})).await.status(200);
    // The first gateway takes money after all, and says so: it goes back by itself.
    let reference = gateway.created.lock().unwrap()[0].1.reference.clone();
    gateway.set(&reference, Status::Succeeded, Some(400));
    let subject = Subject::Payment(reference);
    let notice = Notice { id: "evt_1".into(), kind: "test".into(), subject };
    assert!(till::payments::receive(&shop.app, "forgetful", notice.clone()).await.unwrap());
    assert!(!till::payments::receive(&shop.app, "forgetful", notice).await.unwrap(), "once");
    shop.run_jobs().await;
    let order = ann.order(order).await;
    assert_eq!(
        (&order["payment_status"], &order["refunds"][0]["status"]),
        (&json!("paid"), &json!("succeeded"))
    );
    assert_eq!(gateway.refunds.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_refund_whose_answer_is_lost_is_made_once() {
    let (shop, gateway) = forgetful().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let order = ann.ordered(tea.id, 1).await;
    let payment = ann.begins_to_pay(order).await;
    let reference = gateway.created.lock().unwrap()[0].1.reference.clone();
    gateway.set(&reference, Status::Succeeded, Some(400));
    assert_eq!(ann.get(&format!("/api/payment/{payment}/")).await.json["status"], "succeeded");
    gateway.lose(2);
    let cancelled =
        ann.asks(Method::POST, &format!("/api/orders/{order}/cancel/")).send().await.status(200).json;
    assert_eq!(
        (&cancelled["status"], &cancelled["refunds"][0]["status"]),
        (&json!("cancelled"), &json!("pending"))
    );
    shop.later(Duration::from_secs(60));
    shop.run_jobs().await;
    assert_eq!(gateway.refunds.lock().unwrap().len(), 1);
    let order = ann.order(order).await;
    assert_eq!(
        (&order["payment_status"], &order["refunds"][0]["status"]),
        (&json!("refunded"), &json!("succeeded"))
    );
}

#[tokio::test]
async fn money_that_is_not_what_the_order_costs_goes_back() {
    let (shop, gateway) = forgetful().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let order = ann.ordered(tea.id, 1).await;
    let payment = ann.begins_to_pay(order).await;
    let reference = gateway.created.lock().unwrap()[0].1.reference.clone();
    gateway.set(&reference, Status::Succeeded, Some(399));
    ann.get(&format!("/api/payment/{payment}/")).await.status(200);
    let order = ann.order(order).await;
    assert_eq!((&order["status"], &order["refunds"][0]["amount"]), (&json!("pending"), &json!("3.99")));
}

#[tokio::test]
async fn an_event_whose_gateway_is_gone_holds_up_no_other() {
    let (shop, gateway) = forgetful().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let order = ann.ordered(tea.id, 1).await;
    ann.post("/api/payment/", json!({"order_id": order, "provider": "forgetful"})).await.status(201);
    let reference = gateway.created.lock().unwrap()[0].1.reference.clone();
    gateway.lose(3);
    let notice =
        Notice { id: "evt_1".into(), kind: "test".into(), subject: Subject::Payment(reference.clone()) };
    till::payments::receive(&shop.app, "forgetful", notice).await.unwrap();
    shop.run_jobs().await;
    let other = ann.ordered(tea.id, 1).await;
    let payment = number(
        &ann.post("/api/payment/", json!({"order_id": other, "provider": "test"})).await.status(201).json["id"],
    );
    ann.decides(payment, json!({"outcome": "succeed"})).await.status(200);
    assert_eq!(ann.order(other).await["payment_status"], "paid");
    shop.admin().await.asks(Method::POST, "/api/admin/payments/reconcile/").send().await.status(200);
    gateway.lose(0);
    gateway.set(&reference, Status::Succeeded, Some(400));
    shop.later(Duration::from_secs(300));
    shop.run_jobs().await;
    assert_eq!(ann.order(order).await["payment_status"], "paid");
}

#[tokio::test]
async fn a_cancellation_that_was_cut_short_goes_on_under_its_key() {
    let (shop, gateway) = forgetful().await;
    let tea = shop.product("Tea", "4", 9).await;
    let (ann, staff) = (shop.buyer().await, shop.staff().await);
    let order = ann.ordered(tea.id, 1).await;
    ann.post("/api/payment/", json!({"order_id": order})).await.status(201);
    let cancel = || {
        ann.asks(Method::POST, &format!("/api/orders/{order}/cancel/")).header("Idempotency-Key", "c").send()
    };
    gateway.lose(3);
    cancel().await.refused(409, "payment_closing");
    gateway.lose(0);
    shop.later(Duration::from_secs(120));
    shop.run_jobs().await;
    assert_eq!(cancel().await.status(200).json["status"], "cancelled");
    // The same for money by hand; a customer who paid at the gateway meanwhile has paid.
    let order = ann.ordered(tea.id, 1).await;
    ann.post("/api/payment/", json!({"order_id": order})).await.status(201);
    let reference = gateway.created.lock().unwrap()[1].1.reference.clone();
    gateway.set(&reference, Status::Succeeded, Some(400));
    let path = format!("/api/admin/orders/{order}/mark-paid/");
    let mark = || {
        let asking = staff.asks(Method::POST, &path).header("Idempotency-Key", "cash-1");
        asking.json(&json!({"method": "cash"})).send()
    };
    mark().await.refused(409, "already_paid");
    mark().await.refused(409, "already_paid");
    assert_eq!(ann.get(&format!("/api/orders/{order}/invoice/")).await.json["payment_method"], "forgetful");
}

#[tokio::test]
async fn a_failed_call_says_which_order_and_payment_to_go_on_with() {
    let (shop, gateway) = forgetful().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    gateway.lose(1);
    let body = json!({"items": [{"product_id": tea.id, "quantity": 1}], "shipping_address": address()});
    let failed = ann.post("/api/payment/", body).await.refused(502, "gateway_error");
    let again = ann.post("/api/payment/", json!({"order_id": failed.json["order_id"]})).await.status(201);
    assert_eq!(again.json["id"], failed.json["payment_id"]);
}

#[tokio::test]
async fn a_handler_that_panics_is_answered_500_and_the_shop_goes_on() {
    let shop = Shop::with_gateways(&[], vec![Arc::new(Broken("a bug in a gateway"))]).await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let order = ann.ordered(tea.id, 1).await;
    let asking = ann.asks(Method::POST, "/api/payment/").header("X-Request-Id", "the-bug");
    let answer = asking
        .json(&json!({"order_id": order, "provider": "broken"}))
        .send()
        .await
        .refused(500, "internal_error");
    assert_eq!(answer.json["request_id"], "the-bug");
    assert!(!answer.text.contains("a bug in a gateway"), "the cause is for the log alone");
    assert_eq!(ann.order(order).await["status"], "pending");
    shop.get("/readyz").await.status(200);
}

#[tokio::test]
async fn staff_find_payments_by_what_they_know() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 99).await;
    let (ann, staff) = (shop.buyer().await, shop.staff().await);
    let first = ann.bought(tea.id, 1).await;
    shop.later(Duration::from_secs(3600));
    let second = ann.ordered(tea.id, 1).await;
    ann.begins_to_pay(second).await;
    let third = ann.ordered(tea.id, 1).await;
    let paid = format!("/api/admin/orders/{third}/mark-paid/");
    staff.post(&paid, json!({"method": "cash"})).await.status(200);
    for (query, wanted) in [
        (String::new(), vec![third, second, first]),
        ("status=succeeded".into(), vec![third, first]),
        ("status=requires_payment".into(), vec![second]),
        ("provider=manual".into(), vec![third]),
        ("provider=stripe".into(), vec![]),
        (format!("order={second}"), vec![second]),
        (format!("order={second}&status=succeeded"), vec![]),
        ("provider=test&status=succeeded".into(), vec![first]),
        ("created_after=2026-11-23T10:30:00Z".into(), vec![third, second]),
        ("created_before=2026-11-23T10:30:00Z&provider=test".into(), vec![first]),
    ] {
        let list = staff.get(&format!("/api/admin/payments/?{query}")).await.status(200).json;
        let results = list["results"].as_array().unwrap();
        let found: Vec<_> = results.iter().map(|one| one["order_id"].as_u64().unwrap()).collect();
        assert_eq!((found, &list["count"]), (wanted.clone(), &json!(wanted.len())), "{query}");
    }
    for (query, field) in [
        ("status=lost", "status"),
        ("order=x", "order"),
        ("created_after=soon", "created_after"),
        ("state=paid", "state"),
    ] {
        staff.get(&format!("/api/admin/payments/?{query}")).await.faults(&[field]);
    }
    let page = staff.get("/api/admin/payments/?status=succeeded&page_size=1&page=2").await.status(200).json;
    assert_eq!((&page["count"], &page["results"][0]["order_id"]), (&json!(2), &json!(first)));
}
