//! Many buyers at once.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Person, Shop, address};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_hundred_units_and_a_thousand_wanted_sell_five_hundred() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 500).await;
    let buyers = join_all((0..64).map(|_| shop.buyer())).await;
    // 64 buyers want 1,000 units in all, one after the other each, all at the same time.
    let wants = |n: usize| 1000 / 64 + usize::from(n < 1000 % 64);
    let rounds = buyers.iter().enumerate().map(|(n, buyer)| async move {
        let mut answers = BTreeMap::new();
        for _ in 0..wants(n) {
            let body =
                json!({"items": [{"product_id": tea.id, "quantity": 1}], "shipping_address": address()});
            let answer = buyer.post("/api/payment/", body).await;
            if answer.status.as_u16() == 409 {
                assert_eq!(answer.json["code"], "insufficient_stock");
                assert_eq!(answer.json["lines"][0]["available"], 0);
            }
            *answers.entry(answer.status.as_u16()).or_insert(0) += 1;
        }
        answers
    });
    let mut all = BTreeMap::new();
    for answers in join_all(rounds).await {
        for (status, count) in answers {
            *all.entry(status).or_insert(0) += count;
        }
    }
    assert_eq!(all, BTreeMap::from([(201, 500), (409, 500)]));
    assert_eq!(shop.stock_of(tea.id).await, 0);
    let ledger = shop
        .staff()
        .await
        .get(&format!("/api/admin/inventory/movements/?variant_id={}", tea.variant))
        .await
        .json;
    assert_eq!(ledger["count"], 501, "the first stock and 500 sales");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_units_and_a_hundred_and_twenty_whole_checkouts_sell_four() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 4).await;
    let buyers = join_all((0..120).map(|_| shop.buyer())).await;
    // All fill their cart while there is stock, then all order and pay at once.
    for buyer in &buyers {
        buyer.puts_in_cart(tea.id, 1).await.status(201);
    }
    let checkouts = buyers.iter().map(|buyer| async {
        let placed = buyer.orders().await;
        if placed.status.as_u16() != 201 {
            placed.refused(409, "insufficient_stock");
            return false;
        }
        let payment = buyer.begins_to_pay(placed.json["id"].as_u64().unwrap()).await;
        let paid = buyer.decides(payment, json!({"outcome": "succeed", "notify": "twice"})).await.status(200);
        paid.json["status"] == "succeeded"
    });
    assert_eq!(join_all(checkouts).await.into_iter().filter(|sold| *sold).count(), 4);
    assert_eq!(shop.stock_of(tea.id).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_cart_ordered_sixteen_times_at_once_is_one_order() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 100).await;
    let ann = shop.buyer().await;
    ann.puts_in_cart(tea.id, 2).await.status(201);
    let answers = join_all((0..16).map(|_| ann.orders())).await;
    let placed = answers.iter().filter(|answer| answer.status.as_u16() == 201).count();
    assert_eq!(placed, 1);
    for answer in answers.into_iter().filter(|answer| answer.status.as_u16() != 201) {
        answer.refused(422, "cart_empty");
    }
    assert_eq!(
        (ann.get("/api/orders/").await.json["count"].as_u64(), shop.stock_of(tea.id).await),
        (Some(1), 98)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_use_of_a_coupon_goes_to_one_of_two_hundred_buyers() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 1000).await;
    shop.coupon(json!({"code": "LAST", "kind": "percent", "value": 10, "max_uses": 1})).await;
    let buyers = join_all((0..200).map(|_| shop.buyer())).await;
    for buyer in &buyers {
        buyer.puts_in_cart(tea.id, 1).await.status(201);
        buyer.applies("LAST").await.status(200);
    }
    let answers = join_all(buyers.iter().map(Person::orders)).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status.as_u16() == 201);
    assert_eq!((won.len(), &won[0].json["total_price"]), (1, &json!("3.60")));
    for answer in lost {
        assert_eq!(answer.refused(422, "coupon_invalid").json["reason"], "used_up");
    }
    assert_eq!((shop.uses_of("LAST").await, shop.stock_of(tea.id).await), (1, 999));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_races_against_themselves_uses_a_coupon_once() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 1000).await;
    shop.coupon(json!({"code": "ONCE", "kind": "amount", "value": 1, "max_uses_per_user": 1})).await;
    let ann = shop.buyer().await;
    // Many tabs: each fills the cart, applies the coupon and orders what is there then.
    let tabs = (0..60).map(|_| async {
        ann.puts_in_cart(tea.id, 1).await.status(201);
        ann.applies("ONCE").await;
        ann.orders().await
    });
    let answers = join_all(tabs).await;
    for answer in answers.iter().filter(|answer| answer.status.as_u16() != 201) {
        let code = answer.json["code"].as_str().unwrap();
        assert!(["coupon_invalid", "cart_empty"].contains(&code), "{}", answer.text);
    }
    let orders = answers.iter().filter(|answer| answer.json["coupon_code"] == "ONCE").count();
    assert_eq!((orders, shop.uses_of("ONCE").await), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cancelling_paying_and_expiring_at_once_end_in_one_story() {
    for seed in 0..12_u64 {
        let shop = Shop::with(&[("orders.hold_minutes", "1")]).await;
        let tea = shop.product("Tea", "4", 5).await;
        let (ann, staff) = (shop.buyer().await, shop.staff().await);
        let order = ann.ordered(tea.id, 1).await;
        let payment = ann.begins_to_pay(order).await;
        shop.later(std::time::Duration::from_secs(61));
        let cancel =
            async { ann.asks(reqwest::Method::POST, &format!("/api/orders/{order}/cancel/")).send().await };
        let notify = ["once", "twice", "late", "never"][(seed % 4) as usize];
        let pay = ann.decides(payment, json!({"outcome": "succeed", "notify": notify}));
        let path = format!("/api/admin/orders/{order}/mark-paid/");
        let by_hand = staff.post(&path, json!({"method": "cash"}));
        let (cancelled, paid, marked, ()) = tokio::join!(cancel, pay, by_hand, shop.run_jobs());
        for answer in [cancelled, paid, marked] {
            assert!(answer.status.as_u16() < 500, "{}", answer.text);
        }
        for _ in 0..3 {
            shop.later(std::time::Duration::from_secs(120));
            shop.run_jobs().await;
        }
        let end = ann.order(order).await;
        let story = (end["status"].as_str().unwrap(), end["payment_status"].as_str().unwrap());
        let stories = [
            ("processing", "paid"),
            ("cancelled", "unpaid"),
            ("cancelled", "refunded"),
            ("cancelled", "failed"),
        ];
        assert!(stories.contains(&story), "seed {seed}: {story:?}");
        assert_eq!(shop.stock_of(tea.id).await, if story.0 == "cancelled" { 5 } else { 4 }, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn money_by_hand_is_recorded_once_and_nobody_else_is_told_so() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 50).await;
    let (ann, staff) = (shop.buyer().await, shop.staff().await);
    for round in 0..8 {
        let order = ann.ordered(tea.id, 1).await;
        let payment = ann.begins_to_pay(order).await;
        let path = format!("/api/admin/orders/{order}/mark-paid/");
        let references = (0..6).map(|n| json!({"method": "cash", "reference": format!("R{n}")}));
        let by_hand = join_all(references.map(|body| staff.post(&path, body)));
        let pays = async {
            if round % 2 == 0 {
                ann.decides(payment, json!({"outcome": "succeed"})).await;
            }
        };
        let (answers, ()) = tokio::join!(by_hand, pays);
        let told = answers.iter().filter(|answer| answer.status.as_u16() == 200).count();
        let payments = staff.get("/api/admin/payments/?page_size=100").await.json;
        let recorded = payments["results"].as_array().unwrap().iter();
        let recorded = recorded
            .filter(|payment| payment["order_id"] == order && payment["provider"] == "manual")
            .count();
        assert_eq!(told, recorded, "round {round}");
        assert!(told <= 1, "round {round}");
        assert_eq!(ann.order(order).await["payment_status"], "paid", "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_is_never_torn_between_two_commits() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 1).await;
    let staff = shop.staff().await;
    let path = format!("/api/products/{}/", tea.id);
    let flips = async {
        for n in 0..150 {
            staff.patch(&path, json!({"stock_quantity": n % 2})).await.status(200);
        }
    };
    let looks = async {
        for _ in 0..600 {
            let list = shop.get("/api/products/?in_stock=true").await.status(200).json;
            for product in list["results"].as_array().unwrap() {
                assert_eq!(product["in_stock"], true, "{product}");
            }
        }
    };
    tokio::join!(flips, looks);
}
