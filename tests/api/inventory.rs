//! The stock ledger.

use serde_json::json;

use crate::support::Shop;

#[tokio::test]
async fn every_movement_has_its_cause() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 10).await;
    let (ann, staff) = (shop.buyer().await, shop.staff().await);
    let order = ann.ordered(tea.id, 3).await;
    ann.asks(reqwest::Method::POST, &format!("/api/orders/{order}/cancel/")).send().await.status(200);
    let adjust = |body| staff.post("/api/admin/inventory/adjust/", body);
    let set = adjust(json!({"variant_id": tea.variant, "set": 4, "reason": "counted"})).await.status(200);
    assert_eq!(set.json["stock_quantity"], 4);
    adjust(json!({"variant_id": tea.variant, "delta": -1, "reason": "broken"})).await.status(200);
    let ledger = staff
        .get(&format!("/api/admin/inventory/movements/?variant_id={}", tea.variant))
        .await
        .status(200)
        .json;
    let rows: Vec<_> = ledger["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| {
            (m["cause"].as_str().unwrap(), m["delta"].as_i64().unwrap(), m["stock_after"].as_i64().unwrap())
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("adjustment", -1, 3),
            ("adjustment", -6, 4),
            ("cancellation", 3, 10),
            ("order", -3, 7),
            ("adjustment", 10, 10)
        ]
    );
    assert_eq!(ledger["results"][1]["reason"], "counted");
    assert_eq!(ledger["results"][3]["order_id"], order);
    assert_eq!(staff.get("/api/admin/inventory/movements/").await.json["count"], 5);
}

#[tokio::test]
async fn adjustments_have_their_limits() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 10).await;
    let staff = shop.staff().await;
    let adjust = |body| staff.post("/api/admin/inventory/adjust/", body);
    adjust(json!({"variant_id": tea.variant, "delta": -11, "reason": "x"}))
        .await
        .refused(409, "stock_out_of_range");
    adjust(json!({"variant_id": tea.variant, "delta": 1_000_000_000, "reason": "x"}))
        .await
        .refused(409, "stock_out_of_range");
    adjust(json!({"variant_id": tea.variant, "reason": "x"})).await.faults(&["set"]);
    adjust(json!({"variant_id": tea.variant, "set": 1, "delta": 1, "reason": "x"})).await.faults(&["set"]);
    adjust(json!({"variant_id": tea.variant, "delta": null, "reason": "x"})).await.faults(&["delta"]);
    adjust(json!({"variant_id": tea.variant, "set": -1, "reason": ""})).await.faults(&["reason", "set"]);
    adjust(json!({"variant_id": 999, "set": 1, "reason": "x"})).await.faults(&["variant_id"]);
    assert_eq!(shop.stock_of(tea.id).await, 10);
}

#[tokio::test]
async fn low_stock_is_listed_least_first() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    for (name, stock, low) in
        [("Plenty", 50, json!(5)), ("Few", 5, json!(5)), ("None", 0, json!(5)), ("Unwatched", 0, json!(null))]
    {
        shop.product_of(
            json!({"name": name, "price": "1", "stock_quantity": stock, "low_stock_threshold": low}),
        )
        .await;
    }
    let low = || async { staff.get("/api/admin/inventory/low-stock/").await.status(200).json };
    let list = low().await;
    let names: Vec<_> =
        list["results"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["None", "Few"]);
    let plenty = shop.get("/api/products/plenty/").await.json;
    shop.buyer().await.bought(plenty["id"].as_u64().unwrap(), 46).await;
    assert_eq!(low().await["count"], 3);
    staff.delete("/api/products/none/").await.status(204);
    assert_eq!(low().await["count"], 2, "what is not sold any more is not low");
}

#[tokio::test]
async fn what_got_low_or_is_back_is_marked_until_it_is_told_or_so_no_more() {
    use till::inventory::{Notice, alerts, told};
    const NONE: [u64; 0] = [];
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let body = json!({"name": "Tea", "price": "4", "stock_quantity": 5, "low_stock_threshold": 2});
    let tea = shop.product_of(body).await;
    shop.product_of(json!({"name": "Gone", "price": "4", "stock_quantity": 0, "low_stock_threshold": 2}))
        .await;
    let marked = |notice| -> Vec<u64> {
        let found = shop.app.store.read(|tx| alerts(tx, notice, 9)).expect("readable");
        found.into_iter().map(|(variant, _)| variant.0).collect()
    };
    let set = async |stock: i64| {
        let body = json!({"variant_id": tea.variant, "set": stock, "reason": "counted"});
        staff.post("/api/admin/inventory/adjust/", body).await.status(200);
    };
    assert_eq!((marked(Notice::Low), marked(Notice::Back)), (vec![], vec![]), "new products are no news");
    let ann = shop.buyer().await;
    ann.ordered(tea.id, 2).await;
    assert_eq!(marked(Notice::Low), NONE);
    ann.ordered(tea.id, 1).await;
    assert_eq!(marked(Notice::Low), [tea.variant]);
    set(3).await;
    assert_eq!(marked(Notice::Low), NONE, "it was filled up before anybody was told");
    set(0).await;
    assert_eq!((marked(Notice::Low), marked(Notice::Back)), (vec![tea.variant], vec![]));
    set(1).await;
    assert_eq!((marked(Notice::Low), marked(Notice::Back)), (vec![tea.variant], vec![tea.variant]));
    let variant = till::id::VariantId(tea.variant);
    let clear = move |tx: &mut till::store::WriteTx| told(tx, Notice::Low, variant);
    shop.app.store.write(clear).await.expect("written");
    set(2).await;
    assert_eq!(marked(Notice::Low), NONE, "it was told, and did not get low again");
    set(0).await;
    assert_eq!(marked(Notice::Back), NONE, "it is gone again");
    set(1).await;
    let path = format!("/api/products/{}/", tea.id);
    staff.patch(&path, json!({"low_stock_threshold": 9})).await.status(200);
    assert_eq!(marked(Notice::Low), NONE, "whoever raises the line knows");
    set(10).await;
    set(9).await;
    assert_eq!(marked(Notice::Low), [tea.variant]);
    staff.patch(&path, json!({"low_stock_threshold": 8})).await.status(200);
    assert_eq!(marked(Notice::Low), NONE, "it is not low any more");
}
