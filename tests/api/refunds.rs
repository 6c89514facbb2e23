//! Refunds that an administrator asks for.

use serde_json::json;

use crate::support::Shop;

#[tokio::test]
async fn refunds_by_lines_sum_exactly_and_put_back_what_is_restocked() {
    let shop = Shop::with(&[("tax.percent", "7.7"), ("shipping.flat", "3.00")]).await;
    let tea = shop.product("Tea", "3.33", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let order = ann.bought(tea.id, 3).await;
    let path = format!("/api/admin/orders/{order}/refund/");
    let refund = |body| admin.post(&path, body);
    let lines = json!({"lines": [{"line_id": 1, "quantity": 1}], "reason": "broken", "restock": true});
    let mut sum = 0;
    for _ in 0..3 {
        let answer = refund(lines.clone()).await.status(201).json;
        let newest = answer["refunds"].as_array().unwrap().last().unwrap().clone();
        assert_eq!((&newest["status"], &newest["reason"]), (&json!("succeeded"), &json!("broken")));
        sum += newest["amount"].as_str().unwrap().replace('.', "").parse::<i64>().unwrap();
        assert_eq!(answer["payment_status"], "partially_refunded");
    }
    assert_eq!(sum, 999 + 77, "three shares are the whole line with its tax");
    assert_eq!(shop.stock_of(tea.id).await, 9);
    refund(lines).await.faults(&["lines"]);
    let rest = refund(json!({})).await.status(201).json;
    assert_eq!(
        (&rest["payment_status"], &rest["refunds"][3]["amount"]),
        (&json!("refunded"), &json!("3.00"))
    );
    refund(json!({})).await.refused(409, "nothing_to_refund");
}

#[tokio::test]
async fn no_more_goes_back_than_came_in() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let unpaid = ann.ordered(tea.id, 1).await;
    let path = |order: u64| format!("/api/admin/orders/{order}/refund/");
    admin.post(&path(unpaid), json!({})).await.refused(409, "nothing_to_refund");
    let order = ann.bought(tea.id, 2).await;
    let refused = admin.post(&path(order), json!({"amount": "8.01"})).await.refused(409, "refund_too_large");
    assert_eq!(refused.json["available"], "8.00");
    admin.post(&path(order), json!({"amount": "0"})).await.faults(&["amount"]);
    admin.post(&path(order), json!({"lines": []})).await.faults(&["lines"]);
    admin.post(&path(order), json!({"lines": null, "amount": null})).await.faults(&["amount", "lines"]);
    admin.post(&path(order), json!({"amount": "1", "restock": true})).await.faults(&["restock"]);
    admin.post(&path(order), json!({"lines": [{"line_id": 9, "quantity": 1}]})).await.faults(&["lines"]);
    admin.post(&path(order), json!({"amount": "3"})).await.status(201);
    admin.post(&path(order), json!({"amount": "5.01"})).await.refused(409, "refund_too_large");
    admin.post(&path(999), json!({})).await.refused(404, "not_found");
    let all = admin.post(&path(order), json!({"restock": true})).await.status(201).json;
    assert_eq!(all["payment_status"], "refunded");
    assert_eq!(shop.stock_of(tea.id).await, 8);
}

#[tokio::test]
async fn a_refund_under_a_key_is_made_once() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let order = ann.bought(tea.id, 2).await;
    let path = format!("/api/admin/orders/{order}/refund/");
    let refund = || {
        let asking = admin.asks(reqwest::Method::POST, &path).header("Idempotency-Key", "r1");
        asking.json(&json!({"amount": "1"})).send()
    };
    let (first, again) = (refund().await.status(201), refund().await.status(201));
    assert_eq!((first.text, again.header("idempotency-replayed")), (again.text.clone(), "true"));
    assert_eq!(ann.order(order).await["refunds"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_went_back_to_the_shelf_is_not_sent() {
    let shop = Shop::open().await;
    let (tea, mug) = (shop.product("Tea", "4", 9).await, shop.product("Mug", "9", 9).await);
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let order = ann.bought(tea.id, 2).await;
    admin.post(&format!("/api/admin/orders/{order}/refund/"), json!({"restock": true})).await.status(201);
    let path = format!("/api/admin/orders/{order}/");
    admin.patch(&path, json!({"status": "shipped"})).await.refused(409, "invalid_transition");
    admin
        .patch(&path, json!({"tracking": {"carrier": "DHL", "number": "1"}}))
        .await
        .refused(409, "invalid_transition");
    // With one line gone, the parcel has the other.
    ann.puts_in_cart(tea.id, 1).await.status(201);
    let order = ann.ordered(mug.id, 2).await;
    let payment = ann.begins_to_pay(order).await;
    ann.decides(payment, json!({"outcome": "succeed"})).await.status(200);
    let body = json!({"lines": [{"line_id": 1, "quantity": 1}], "restock": true});
    admin.post(&format!("/api/admin/orders/{order}/refund/"), body).await.status(201);
    let tracking = json!({"tracking": {"carrier": "DHL", "number": "1"}});
    let sent = admin.patch(&format!("/api/admin/orders/{order}/"), tracking).await.status(200).json;
    assert_eq!(
        (&sent["status"], &sent["fulfilments"][0]["lines"]),
        (&json!("shipped"), &json!([{"line_id": 2, "quantity": 2}]))
    );
}
