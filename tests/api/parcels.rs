//! Parcels: an order goes out in one or several, and no unit goes twice.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Person, Shop};

/// A paid order of two lines: three of the first product, two of the second.
async fn two_lines(shop: &Shop, ann: &Person<'_>) -> u64 {
    let (tea, mug) = (shop.product("Tea", "4", 9).await, shop.product("Mug", "9", 9).await);
    ann.puts_in_cart(tea.id, 3).await.status(201);
    let order = ann.ordered(mug.id, 2).await;
    let payment = ann.begins_to_pay(order).await;
    ann.decides(payment, json!({"outcome": "succeed"})).await.status(200);
    order
}

fn parcel(number: &str, lines: &[(u64, u32)]) -> Value {
    let lines: Vec<_> = lines.iter().map(|(id, n)| json!({"line_id": id, "quantity": n})).collect();
    let mut body = json!({"carrier": "DHL Paket", "number": number});
    if !lines.is_empty() {
        body["lines"] = lines.into();
    }
    body
}

#[tokio::test]
async fn an_order_goes_out_line_by_line_and_is_shipped_with_the_last_unit() {
    let shop = Shop::open().await;
    let (ann, staff) = (shop.buyer().await, shop.staff().await);
    let order = two_lines(&shop, &ann).await;
    let path = format!("/api/admin/orders/{order}/fulfilments/");
    let first = staff.post(&path, parcel("00 34/0", &[(1, 2)])).await.status(201).json;
    assert_eq!(first["status"], "processing");
    let link = "https://www.dhl.de/de/privatkunden/pakete-empfangen/verfolgen.html?piececode=0034%2F0";
    assert_eq!(first["tracking"], json!({"carrier": "DHL Paket", "number": "00 34/0", "url": link}));
    let tracked = ann.get(&format!("/api/orders/{order}/tracking/")).await.status(200).json;
    let line = |id, name: &str, units| json!({"line_id": id, "name": name, "quantity": units});
    assert_eq!(tracked["fulfilments"][0]["lines"], json!([line(1, "Tea", 2)]));
    assert_eq!(tracked["to_send"], json!([line(1, "Tea", 1), line(2, "Mug", 2)]));

    for bad in [vec![(1, 2)], vec![(9, 1)], vec![(2, 1), (2, 1)], vec![(2, 3)]] {
        staff.post(&path, parcel("2", &bad)).await.faults(&["lines"]);
    }
    staff
        .post(&path, json!({"lines": [], "carrier": "", "url": "x"}))
        .await
        .faults(&["carrier", "lines", "number", "url"]);
    // It can't be called off any more.
    let cancel = format!("/api/orders/{order}/cancel/");
    ann.asks(Method::POST, &cancel).send().await.refused(409, "invalid_transition");
    staff
        .patch(&format!("/api/admin/orders/{order}/"), json!({"status": "cancelled"}))
        .await
        .refused(409, "invalid_transition");

    let second = staff.post(&path, parcel("2", &[])).await.status(201).json;
    assert_eq!(second["status"], "shipped");
    let rest = json!([{"line_id": 1, "quantity": 1}, {"line_id": 2, "quantity": 2}]);
    assert_eq!((&second["fulfilments"][1]["lines"], &second["fulfilments"][1]["id"]), (&rest, &json!(2)));
    staff.post(&path, parcel("3", &[])).await.refused(409, "invalid_transition");
    let done = staff.patch(&format!("/api/admin/orders/{order}/"), json!({"status": "completed"})).await;
    assert_eq!(done.status(200).json["status"], "completed");
}

#[tokio::test]
async fn a_parcel_under_a_key_goes_out_once() {
    let shop = Shop::open().await;
    let (ann, staff) = (shop.buyer().await, shop.staff().await);
    let order = two_lines(&shop, &ann).await;
    let path = format!("/api/admin/orders/{order}/fulfilments/");
    let send = || {
        staff.asks(Method::POST, &path).header("Idempotency-Key", "p").json(&parcel("1", &[(1, 1)])).send()
    };
    let (first, again) = (send().await.status(201), send().await.status(201));
    assert_eq!((first.text, again.header("idempotency-replayed")), (again.text.clone(), "true"));
    assert_eq!(ann.order(order).await["fulfilments"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn nothing_is_sent_of_an_order_that_is_not_paid_or_not_there() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let (ann, staff) = (shop.buyer().await, shop.staff().await);
    let order = ann.ordered(tea.id, 1).await;
    let path = format!("/api/admin/orders/{order}/fulfilments/");
    staff.post(&path, parcel("1", &[])).await.refused(409, "invalid_transition");
    staff.post("/api/admin/orders/999/fulfilments/", parcel("1", &[])).await.refused(404, "not_found");
    staff.patch(&format!("{path}1/"), json!({"number": "2"})).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_unit_that_was_refunded_before_it_was_sent_is_not_sent() {
    let shop = Shop::open().await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let order = two_lines(&shop, &ann).await;
    let (send, refund) =
        (format!("/api/admin/orders/{order}/fulfilments/"), format!("/api/admin/orders/{order}/refund/"));
    let back = |line: u64, units: u32, restock: bool| json!({"lines": [{"line_id": line, "quantity": units}], "restock": restock});
    // One went back to the shelf; one was broken before it was sent.
    admin.post(&refund, back(1, 1, true)).await.status(201);
    admin.post(&refund, back(1, 1, false)).await.status(201);
    admin.post(&send, parcel("1", &[(1, 2)])).await.faults(&["lines"]);
    let sent = admin.post(&send, parcel("1", &[(1, 1), (2, 1)])).await.status(201).json;
    assert_eq!(sent["status"], "processing");
    // The one that came back was sent; of the second line the one that was not goes first.
    admin.post(&refund, back(1, 1, true)).await.status(201);
    let done = admin.post(&refund, back(2, 1, true)).await.status(201).json;
    assert_eq!(done["status"], "shipped", "nothing is left to send");
    let last = done["history"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["note"], "the rest was refunded");
    assert_eq!((shop.stock_of(1).await, shop.stock_of(2).await), (8, 8));
    admin.post(&refund, back(2, 1, true)).await.status(201);
    assert_eq!(shop.stock_of(2).await, 9, "and the one that was sent came back");
    admin.post(&refund, back(2, 1, true)).await.refused(409, "nothing_to_refund");
}

#[tokio::test]
async fn an_order_whose_money_all_went_back_is_not_sent_and_can_be_cancelled() {
    let shop = Shop::open().await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let order = two_lines(&shop, &ann).await;
    admin.post(&format!("/api/admin/orders/{order}/refund/"), json!({})).await.status(201);
    let send = format!("/api/admin/orders/{order}/fulfilments/");
    admin.post(&send, parcel("1", &[])).await.refused(409, "invalid_transition");
    assert_eq!((shop.stock_of(1).await, shop.stock_of(2).await), (6, 7));
    let cancelled = admin.patch(&format!("/api/admin/orders/{order}/"), json!({"status": "cancelled"})).await;
    assert_eq!(cancelled.status(200).json["status"], "cancelled");
    assert_eq!((shop.stock_of(1).await, shop.stock_of(2).await), (9, 9));
}

#[tokio::test]
async fn a_parcel_can_be_corrected_and_its_customer_sees_no_more_than_is_theirs() {
    let shop =
        Shop::with(&[("shipping.carriers", "Bob's Bikes=https://bob.example/{number}?to={country}")]).await;
    let (ann, bob, staff) = (shop.buyer().await, shop.buyer().await, shop.staff().await);
    let order = two_lines(&shop, &ann).await;
    let path = format!("/api/admin/orders/{order}/");
    let parcel = format!("{path}fulfilments/1/");
    let shipped =
        staff.patch(&path, json!({"status": "shipped", "note": "rude customer"})).await.status(200).json;
    assert_eq!((&shipped["tracking"], &shipped["fulfilments"][0]["carrier"]), (&Value::Null, &Value::Null));
    let corrected = staff.patch(&parcel, json!({"carrier": "bobs bikes", "number": "7"}));
    assert_eq!(corrected.await.status(200).json["tracking"]["url"], "https://bob.example/7?to=GB");
    let unknown = staff.patch(&parcel, json!({"carrier": "Uncle Jim"}));
    assert_eq!(unknown.await.status(200).json["tracking"]["url"], Value::Null);
    staff.patch(&parcel, json!({"number": null})).await.faults(&["number"]);
    staff.patch(&format!("{path}fulfilments/2/"), json!({"number": "1"})).await.refused(404, "not_found");
    let tracking = format!("/api/orders/{order}/tracking/");
    let seen = ann.get(&tracking).await.status(200);
    assert!(!seen.text.contains("rude") && !seen.text.contains("staff"), "{}", seen.text);
    let statuses: Vec<_> =
        seen.json["history"].as_array().unwrap().iter().map(|moved| moved["status"].clone()).collect();
    assert_eq!(statuses, ["pending", "processing", "shipped"]);
    bob.get(&tracking).await.refused(404, "not_found");

    let carriers = staff.get("/api/admin/carriers/?page_size=100").await.status(200).json;
    assert_eq!(carriers["results"][0]["name"], "Bob's Bikes");
    assert!(carriers["count"].as_u64().unwrap() > 20);
    let acts =
        shop.admin().await.get(&format!("/api/admin/audit/?subject=order:{order}")).await.status(200).json;
    let acts: Vec<_> = acts["results"].as_array().unwrap().iter().map(|one| one["act"].clone()).collect();
    assert!(acts.contains(&json!("order.correct_parcel")), "{acts:?}");
}

#[tokio::test]
async fn what_is_paid_back_as_a_sum_is_not_sent() {
    let shop = Shop::open().await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let (tea, mug) = (shop.product("Tea", "4", 9).await, shop.product("Mug", "9", 9).await);
    let two = async || {
        ann.puts_in_cart(tea.id, 3).await.status(201);
        let order = ann.ordered(mug.id, 2).await;
        let payment = ann.begins_to_pay(order).await;
        ann.decides(payment, json!({"outcome": "succeed"})).await.status(200);
        order
    };
    let whole = two().await;
    let refund = |order: u64| format!("/api/admin/orders/{order}/refund/");
    admin.post(&refund(whole), json!({"amount": "30.00"})).await.status(201);
    let sent = json!({"status": "shipped"});
    admin.patch(&format!("/api/admin/orders/{whole}/"), sent).await.refused(409, "invalid_transition");
    let parcels = format!("/api/admin/orders/{whole}/fulfilments/");
    admin.post(&parcels, parcel("1", &[(1, 1)])).await.refused(409, "invalid_transition");

    // In two sums, the second of which is the rest, with a parcel on its way.
    let partly = two().await;
    let parcels = format!("/api/admin/orders/{partly}/fulfilments/");
    admin.post(&parcels, parcel("1", &[(1, 3)])).await.status(201);
    let some = admin.post(&refund(partly), json!({"amount": "10"})).await.status(201).json;
    assert_eq!(some["status"], "processing");
    let all = admin.post(&refund(partly), json!({"amount": "20"})).await.status(201).json;
    assert_eq!((&all["status"], &all["payment_status"]), (&json!("shipped"), &json!("refunded")));
}

#[tokio::test]
async fn tracking_of_a_partly_sent_order_corrects_its_newest_parcel() {
    let shop = Shop::open().await;
    let (ann, staff) = (shop.buyer().await, shop.staff().await);
    let order = two_lines(&shop, &ann).await;
    let path = format!("/api/admin/orders/{order}/");
    staff.post(&format!("{path}fulfilments/"), parcel("1", &[(1, 1)])).await.status(201);
    let tracking = |number: &str| json!({"carrier": "UPS", "number": number});
    for body in
        [json!({"tracking": tracking("2")}), json!({"status": "processing", "tracking": tracking("3")})]
    {
        let shown = staff.patch(&path, body.clone()).await.status(200).json;
        let parcels = shown["fulfilments"].as_array().unwrap();
        assert_eq!((&shown["status"], parcels.len()), (&json!("processing"), 1));
        assert_eq!(parcels[0]["number"], body["tracking"]["number"]);
    }
    // Where none went out yet, saying how it is sent sends it.
    let other = ann.bought(1, 1).await;
    let body = json!({"status": "processing", "tracking": tracking("4")});
    let sent = staff.patch(&format!("/api/admin/orders/{other}/"), body).await.status(200).json;
    assert_eq!(sent["status"], "shipped");
}
