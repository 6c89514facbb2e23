//! The attacks of ACIDRain (Warszawski and Bailis, SIGMOD 2017): many requests at once, of which each alone is right.
//! `races.rs` has those on stock and on vouchers that many want; here are those on what is being checked out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, Person, Shop, address, number};

/// How many ask at once.
const CLIENTS: u64 = 32;

fn minor(value: &Value) -> i64 {
    value.as_str().expect("an amount").replace('.', "").parse().expect("digits")
}

/// The orders that were placed among these answers; the others were refused for one of these reasons.
fn placed(answers: Vec<Answer>, refusals: &[&str]) -> Vec<Value> {
    let (placed, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status.as_u16() == 201);
    for answer in refused {
        let code = answer.json["code"].as_str().expect("a code");
        assert!(refusals.contains(&code), "{}", answer.text);
    }
    placed.into_iter().map(|answer| answer.json).collect()
}

/// What an order costs is what its lines cost, each at one price.
fn adds_up(order: &Value) {
    let lines = order["items"].as_array().expect("lines");
    let total = |line: &Value| {
        let line_total = minor(&line["unit_price"]) * line["quantity"].as_i64().expect("a number");
        assert_eq!(minor(&line["total_price"]), line_total, "{order}");
        line_total
    };
    let subtotal: i64 = lines.iter().map(total).sum();
    assert_eq!(minor(&order["subtotal"]), subtotal, "{order}");
    assert_eq!(minor(&order["total_price"]), subtotal - minor(&order["discount"]), "{order}");
}

fn units(order: &Value) -> i64 {
    order["items"]
        .as_array()
        .expect("lines")
        .iter()
        .map(|line| line["quantity"].as_i64().expect("a number"))
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cart_that_grows_while_it_is_ordered_gives_nothing_away() {
    let shop = Shop::open().await;
    let pen = shop.product("Pen", "1.00", 500).await;
    let watch = shop.product("Watch", "900.00", 500).await;
    let ann = shop.buyer().await;
    // Half of the tabs put something dear beside something cheap, half order whatever is there at that moment.
    let tabs = (0..CLIENTS).map(|n| {
        let (ann, pen, watch) = (&ann, pen.id, watch.id);
        async move {
            let mut answers = Vec::new();
            for _ in 0..4 {
                ann.puts_in_cart(if n % 2 == 0 { pen } else { watch }, 1).await;
                answers.push(ann.orders().await);
            }
            answers
        }
    });
    let answers = join_all(tabs).await.into_iter().flatten().collect();
    let orders = placed(answers, &["cart_empty"]);
    orders.iter().for_each(adds_up);
    let sold: i64 = orders.iter().map(units).sum();
    let in_cart = ann.get("/api/cart/").await.json;
    let waiting: i64 = in_cart["items"]
        .as_array()
        .expect("lines")
        .iter()
        .map(|line| line["quantity"].as_i64().unwrap())
        .sum();
    assert_eq!(
        sold + waiting,
        i64::try_from(CLIENTS).unwrap() * 4,
        "what was put in is ordered once or still there"
    );
    assert_eq!(shop.stock_of(pen.id).await + shop.stock_of(watch.id).await, 1000 - sold);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_payment_is_for_what_was_ordered_however_the_cart_changes_meanwhile() {
    let shop = Shop::open().await;
    let pen = shop.product("Pen", "1.00", 500).await;
    let watch = shop.product("Watch", "900.00", 500).await;
    let ann = shop.buyer().await;
    let tabs = (0..CLIENTS).map(|n| {
        let (ann, pen, watch) = (&ann, pen.id, watch.id);
        async move {
            ann.puts_in_cart(if n % 2 == 0 { pen } else { watch }, 1).await;
            ann.post("/api/payment/", json!({"shipping_address": address(), "provider": "test"})).await
        }
    });
    let payments = placed(join_all(tabs).await, &["cart_empty"]);
    // Who asks while the answer to the same is on its way gets the same payment.
    let payments: BTreeMap<u64, Value> =
        payments.into_iter().map(|payment| (number(&payment["id"]), payment)).collect();
    for payment in payments.into_values() {
        let order = ann.order(number(&payment["order_id"])).await;
        adds_up(&order);
        assert_eq!(payment["amount"], order["total_price"], "{payment}");
        ann.decides(number(&payment["id"]), json!({"outcome": "succeed"})).await.status(200);
        // What is put in now is not in what was paid.
        ann.puts_in_cart(watch.id, 1).await.status(201);
        let paid = ann.order(number(&payment["order_id"])).await;
        assert_eq!((&paid["payment_status"], &paid["items"]), (&json!("paid"), &order["items"]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_price_that_changes_during_checkout_is_the_one_agreed_to_or_none() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 1000).await;
    let staff = shop.staff().await;
    let buyers = join_all((0..CLIENTS).map(|_| shop.buyer())).await;
    let path = format!("/api/products/{}/", tea.id);
    let is_over = AtomicBool::new(false);
    let changes = async {
        for n in 0.. {
            let price = if n % 2 == 0 { "400.00" } else { "4.00" };
            staff.patch(&path, json!({"price": price})).await.status(200);
            if is_over.load(Ordering::SeqCst) {
                break;
            }
        }
    };
    let buys = async {
        let rounds = buyers.iter().map(|buyer| async {
            let mut answers = Vec::new();
            for _ in 0..6 {
                buyer.puts_in_cart(tea.id, 1).await.status(201);
                // What the page showed is what they agree to.
                let agreed = buyer.get("/api/cart/").await.status(200).json["total"].clone();
                let body = json!({"shipping_address": address(), "total_amount": agreed});
                let answer = buyer.post("/api/orders/", body).await;
                if answer.status.as_u16() == 201 {
                    assert_eq!(answer.json["total_price"], agreed, "{}", answer.text);
                }
                answers.push(answer);
            }
            answers
        });
        let answers = join_all(rounds).await;
        is_over.store(true, Ordering::SeqCst);
        answers
    };
    let (answers, ()) = tokio::join!(buys, changes);
    let orders = placed(answers.into_iter().flatten().collect(), &["amount_mismatch"]);
    for order in &orders {
        adds_up(order);
        let price = order["items"][0]["unit_price"].as_str().unwrap();
        assert!(["4.00", "400.00"].contains(&price), "{order}");
    }
    assert!(!orders.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_coupon_is_not_kept_while_the_cart_falls_below_what_it_asks_for() {
    let shop = Shop::open().await;
    let pen = shop.product("Pen", "1.00", 500).await;
    let watch = shop.product("Watch", "90.00", 500).await;
    let coupon =
        json!({"code": "BIG", "kind": "amount", "value": "50.00", "min_subtotal": "90.00", "max_uses": 3});
    shop.coupon(coupon).await;
    let buyers = join_all((0..CLIENTS).map(|_| shop.buyer())).await;
    let tricks = buyers.iter().map(|buyer: &Person<'_>| async {
        buyer.puts_in_cart(pen.id, 1).await.status(201);
        let line = buyer.puts_in_cart(watch.id, 1).await.status(201).json;
        let line =
            line["items"].as_array().map_or(&line["id"], |lines| &lines[lines.len() - 1]["id"]).clone();
        buyer.applies("BIG").await;
        // At the same moment what made it apply is taken out, and the cart is ordered, twice.
        let path = format!("/api/cart/{line}/");
        let (_, one, two) = tokio::join!(buyer.delete(&path), buyer.orders(), buyer.orders());
        [one, two]
    });
    let answers = join_all(tricks).await.into_iter().flatten().collect();
    let orders = placed(answers, &["cart_empty", "coupon_invalid"]);
    orders.iter().for_each(adds_up);
    let with: Vec<_> = orders.iter().filter(|order| order["coupon_code"] == "BIG").collect();
    assert!(with.iter().all(|order| minor(&order["subtotal"]) >= 9000), "{with:?}");
    assert_eq!(shop.uses_of("BIG").await, with.len() as u64);
    assert!(with.len() <= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn refunds_at_once_give_back_no_more_than_came_in() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 10).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let order = ann.bought(tea.id, 1).await;
    let path = format!("/api/admin/orders/{order}/refund/");
    let asks = (0..CLIENTS).map(|_| admin.post(&path, json!({"amount": "1.00"})));
    let given = placed(join_all(asks).await, &["refund_too_large", "nothing_to_refund"]);
    assert_eq!(given.len(), 4);
    assert_eq!(ann.order(order).await["payment_status"], "refunded");
}
