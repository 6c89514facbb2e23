//! From cart to order, and an order's life.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Shop, address, number};

fn statuses(order: &Value) -> Vec<&str> {
    order["history"].as_array().unwrap().iter().map(|moved| moved["status"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_order_takes_the_stock_fixes_the_prices_and_empties_the_cart() {
    let shop = Shop::open().await;
    let tea =
        shop.product_of(json!({"name": "Tea", "price": "4.25", "sku": "T-1", "stock_quantity": 10})).await;
    let ann = shop.buyer().await;
    ann.puts_in_cart(tea.id, 3).await.status(201);
    let body = json!({"shipping_address": address(), "note": "Ring twice", "total_amount": "12.75"});
    let made = ann.post("/api/orders/", body).await.status(201);
    let order = &made.json;
    assert_eq!(made.header("location"), format!("/api/orders/{}/", order["id"]));
    for (name, value) in json!({"status": "pending", "payment_status": "unpaid", "subtotal": "12.75", "discount": "0.00",
        "total_price": "12.75", "currency": "USD", "note": "Ring twice", "user_id": ann.id, "email": ann.email, "refunds": [],
        "fulfilments": [], "tracking": null, "invoice_url": null, "paid_at": null, "coupon_code": null})
    .as_object()
    .unwrap()
    {
        assert_eq!(&order[name], value, "{name}");
    }
    let line = &order["items"][0];
    assert_eq!(
        (&line["sku"], &line["unit_price"], &line["quantity"], &line["total_price"]),
        (&json!("T-1"), &json!("4.25"), &json!(3), &json!("12.75"))
    );
    assert_eq!(order["hold_expires_at"], "2026-11-23T11:00:00.000Z");
    assert_eq!(shop.stock_of(tea.id).await, 7);
    assert_eq!(ann.get("/api/cart/").await.json["items"], json!([]));
    shop.staff()
        .await
        .patch(&format!("/api/products/{}/", tea.id), json!({"price": "99", "name": "Gold"}))
        .await
        .status(200);
    assert_eq!(&ann.order(number(&order["id"])).await, order, "what was ordered stays as it was");
}

#[tokio::test]
async fn an_order_that_can_not_be_placed_changes_nothing() {
    let shop = Shop::open().await;
    let (tea, mug) = (shop.product("Tea", "4", 5).await, shop.product("Mug", "9", 5).await);
    let (ann, bob) = (shop.buyer().await, shop.buyer().await);
    ann.orders().await.refused(422, "cart_empty");
    ann.puts_in_cart(tea.id, 4).await.status(201);
    ann.puts_in_cart(mug.id, 5).await.status(201);
    ann.post("/api/orders/", json!({"shipping_address": address(), "total_amount": "1"}))
        .await
        .refused(409, "amount_mismatch");
    bob.ordered(tea.id, 3).await;
    bob.ordered(mug.id, 1).await;
    let refused = ann.orders().await.refused(409, "insufficient_stock");
    let lines = json!([{"variant_id": tea.variant, "requested": 4, "available": 2}, {"variant_id": mug.variant, "requested": 5, "available": 4}]);
    assert_eq!(refused.json["lines"], lines);
    assert_eq!((shop.stock_of(tea.id).await, shop.stock_of(mug.id).await), (2, 4));
    assert_eq!(ann.get("/api/cart/").await.json["item_count"], 9);
    assert_eq!(ann.get("/api/orders/").await.json["count"], 0);
}

#[tokio::test]
async fn an_address_is_checked() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 5).await;
    let ann = shop.buyer().await;
    ann.puts_in_cart(tea.id, 1).await.status(201);
    let ask = |body| ann.post("/api/orders/", body);
    ask(json!({})).await.faults(&["shipping_address"]);
    ask(json!({"shipping_address": "here"})).await.faults(&["shipping_address"]);
    ask(json!({"shipping_address": {}})).await.faults(&[
        "shipping_address.city",
        "shipping_address.country",
        "shipping_address.line1",
        "shipping_address.name",
    ]);
    let with = |name: &str, value: Value| {
        let mut address = address();
        address[name] = value;
        json!({"shipping_address": address})
    };
    ask(with("country", json!("England"))).await.faults(&["shipping_address.country"]);
    ask(with("zip", json!("1"))).await.faults(&["shipping_address.zip"]);
    ask(with("name", json!("x".repeat(201)))).await.faults(&["shipping_address.name"]);
    ask(with("postal_code", json!("x".repeat(21)))).await.faults(&["shipping_address.postal_code"]);
    let placed = ask(with("country", json!("gb"))).await.status(201);
    assert_eq!(placed.json["shipping_address"]["country"], "GB");
}

#[tokio::test]
async fn an_order_is_its_owners_and_staffs() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 5).await;
    let (ann, bob, staff) = (shop.buyer().await, shop.buyer().await, shop.staff().await);
    let order = ann.bought(tea.id, 1).await;
    for path in ["", "tracking/", "invoice/"] {
        let path = format!("/api/orders/{order}/{path}");
        bob.get(&path).await.refused(404, "not_found");
        shop.get(&path).await.refused(401, "not_authenticated");
        ann.get(&path).await.status(200);
        staff.get(&path).await.status(200);
    }
    bob.asks(Method::POST, &format!("/api/orders/{order}/cancel/")).send().await.refused(404, "not_found");
    assert_eq!(bob.get("/api/orders/").await.json["count"], 0);
    bob.post("/api/payment/", json!({"order_id": order})).await.refused(404, "not_found");
}

#[tokio::test]
async fn ones_own_orders_are_listed_newest_first() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 50).await;
    let ann = shop.buyer().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(ann.ordered(tea.id, 1).await);
        shop.buyer().await.ordered(tea.id, 1).await;
    }
    ids.reverse();
    let mut seen = Vec::new();
    for page in 1..=3 {
        let list = ann.get(&format!("/api/orders/?page_size=2&page={page}")).await.status(200).json;
        assert_eq!(list["count"], 5);
        seen.extend(list["results"].as_array().unwrap().iter().map(|order| number(&order["id"])));
    }
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn an_unpaid_order_that_is_cancelled_gives_its_stock_back_once() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 5).await;
    let ann = shop.buyer().await;
    for pays in [false, true] {
        let order = ann.ordered(tea.id, 3).await;
        let payment = if pays { Some(ann.begins_to_pay(order).await) } else { None };
        let cancel = || ann.asks(Method::POST, &format!("/api/orders/{order}/cancel/")).send();
        let cancelled = cancel().await.status(200).json;
        assert_eq!(
            (&cancelled["status"], statuses(&cancelled)),
            (&json!("cancelled"), vec!["pending", "cancelled"])
        );
        cancel().await.refused(409, "invalid_transition");
        assert_eq!(shop.stock_of(tea.id).await, 5);
        if let Some(payment) = payment {
            assert_eq!(ann.get(&format!("/api/payment/{payment}/")).await.json["status"], "canceled");
        }
        ann.post("/api/payment/", json!({"order_id": order})).await.refused(409, "order_cancelled");
    }
}

#[tokio::test]
async fn a_paid_order_that_is_cancelled_is_refunded() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 5).await;
    let ann = shop.buyer().await;
    let order = ann.bought(tea.id, 3).await;
    let cancelled =
        ann.asks(Method::POST, &format!("/api/orders/{order}/cancel/")).send().await.status(200).json;
    assert_eq!(
        (&cancelled["status"], &cancelled["payment_status"]),
        (&json!("cancelled"), &json!("refunded"))
    );
    assert_eq!(
        (&cancelled["refunds"][0]["amount"], &cancelled["refunds"][0]["status"]),
        (&json!("12.00"), &json!("succeeded"))
    );
    assert_eq!(shop.stock_of(tea.id).await, 5);
    ann.get(&format!("/api/orders/{order}/invoice/")).await.status(200);
}

#[tokio::test]
async fn cancelling_under_a_key_is_answered_the_same_again() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 5).await;
    let ann = shop.buyer().await;
    let order = ann.bought(tea.id, 1).await;
    let cancel = || {
        ann.asks(Method::POST, &format!("/api/orders/{order}/cancel/")).header("Idempotency-Key", "c1").send()
    };
    let (first, again) = (cancel().await.status(200), cancel().await.status(200));
    assert_eq!((first.text, again.header("idempotency-replayed")), (again.text.clone(), "true"));
}

#[tokio::test]
async fn a_hold_that_runs_out_gives_the_stock_back_after_its_payment_is_ended() {
    let shop = Shop::with(&[("orders.hold_minutes", "30")]).await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    let (bare, begun, paid) =
        (ann.ordered(tea.id, 1).await, ann.ordered(tea.id, 2).await, ann.bought(tea.id, 3).await);
    let payment = ann.begins_to_pay(begun).await;
    shop.later(Duration::from_secs(29 * 60));
    shop.run_jobs().await;
    assert_eq!(shop.stock_of(tea.id).await, 3);
    shop.later(Duration::from_secs(2 * 60));
    shop.run_jobs().await;
    let status = |order: Value| order["status"].as_str().unwrap().to_owned();
    assert_eq!(status(ann.order(bare).await), "cancelled");
    assert_eq!(status(ann.order(begun).await), "cancelled");
    assert_eq!(status(ann.order(paid).await), "processing");
    assert_eq!(ann.get(&format!("/api/payment/{payment}/")).await.json["status"], "canceled");
    assert_eq!(shop.stock_of(tea.id).await, 6);
    shop.run_jobs().await;
    assert_eq!(shop.stock_of(tea.id).await, 6);
}

#[tokio::test]
async fn staff_move_an_order_along_its_machine_and_nowhere_else() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let (ann, staff) = (shop.buyer().await, shop.staff().await);
    let order = ann.ordered(tea.id, 1).await;
    let path = format!("/api/admin/orders/{order}/");
    for status in ["processing", "shipped", "completed"] {
        staff.patch(&path, json!({"status": status})).await.refused(409, "invalid_transition");
    }
    let payment = ann.begins_to_pay(order).await;
    ann.decides(payment, json!({"outcome": "succeed"})).await.status(200);
    staff.patch(&path, json!({"status": "completed"})).await.refused(409, "invalid_transition");
    staff.patch(&path, json!({"status": "lost"})).await.faults(&["status"]);
    staff.patch(&path, json!({"payment_status": "paid"})).await.faults(&["payment_status"]);
    let tracking = json!({"carrier": "DHL", "number": "JD01", "url": "https://example.com/JD01"});
    let shipped =
        staff.patch(&path, json!({"status": "shipped", "tracking": tracking})).await.status(200).json;
    assert_eq!(
        (&shipped["tracking"], &shipped["fulfilments"][0]["lines"]),
        (&tracking, &json!([{"line_id": 1, "quantity": 1}]))
    );
    ann.asks(Method::POST, &format!("/api/orders/{order}/cancel/"))
        .send()
        .await
        .refused(409, "invalid_transition");
    staff.patch(&path, json!({"status": "cancelled"})).await.refused(409, "invalid_transition");
    let done =
        staff.patch(&path, json!({"status": "completed", "note": "signed for"})).await.status(200).json;
    assert_eq!(statuses(&done), ["pending", "processing", "shipped", "completed"]);
    let last = &done["history"][3];
    assert_eq!((&last["by"], &last["note"]), (&json!(format!("staff:{}", staff.id)), &json!("signed for")));
    let tracked = ann.get(&format!("/api/orders/{order}/tracking/")).await.status(200).json;
    assert_eq!((&tracked["status"], &tracked["tracking"]["number"]), (&json!("completed"), &json!("JD01")));
    staff.patch("/api/admin/orders/999/", json!({"note": "x"})).await.refused(404, "not_found");
}

#[tokio::test]
async fn staff_cancel_an_order_with_a_reason() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let (ann, staff) = (shop.buyer().await, shop.staff().await);
    let order = ann.bought(tea.id, 1).await;
    let done = staff
        .patch(&format!("/api/admin/orders/{order}/"), json!({"status": "cancelled", "note": "damaged"}))
        .await
        .status(200)
        .json;
    assert_eq!(
        (&done["payment_status"], &done["refunds"][0]["reason"]),
        (&json!("refunded"), &json!("damaged"))
    );
}

#[tokio::test]
async fn staff_find_orders_by_what_they_know() {
    let shop = Shop::open().await;
    let (tea, mug) = (shop.product("Tea", "4", 99).await, shop.product("Mug", "9", 99).await);
    let (ann, bob, staff) = (shop.buyer().await, shop.buyer().await, shop.staff().await);
    let first = ann.bought(tea.id, 1).await;
    shop.later(Duration::from_secs(3600));
    let second = ann.ordered(mug.id, 1).await;
    let third = bob.bought(mug.id, 1).await;
    for (query, wanted) in [
        (String::new(), vec![third, second, first]),
        ("ordering=created_at".into(), vec![first, second, third]),
        ("status=processing".into(), vec![third, first]),
        ("payment_status=unpaid".into(), vec![second]),
        (format!("email={}", ann.email), vec![second, first]),
        (format!("email={}&status=processing", ann.email), vec![first]),
        ("search=mug".into(), vec![third, second]),
        ("search=1001".into(), vec![first]),
        ("search=mug&payment_status=paid".into(), vec![third]),
        ("created_after=2026-11-23T10:30:00Z".into(), vec![third, second]),
        ("created_before=2026-11-23T10:30:00Z&status=processing".into(), vec![first]),
        ("created_after=2026-11-24".into(), vec![]),
    ] {
        let list = staff.get(&format!("/api/admin/orders/?{query}")).await.status(200).json;
        let found: Vec<_> =
            list["results"].as_array().unwrap().iter().map(|order| number(&order["id"])).collect();
        assert_eq!((found, &list["count"]), (wanted.clone(), &json!(wanted.len())), "{query}");
    }
    for (query, field) in [
        ("status=lost", "status"),
        ("created_after=soon", "created_after"),
        ("email=x", "email"),
        ("ordering=name", "ordering"),
    ] {
        staff.get(&format!("/api/admin/orders/?{query}")).await.faults(&[field]);
    }
    assert_eq!(
        number(&staff.get(&format!("/api/admin/orders/{first}/")).await.status(200).json["id"]),
        first
    );
}

#[tokio::test]
async fn an_order_of_nothing_to_pay_is_paid_in_its_own_commit() {
    let shop = Shop::open().await;
    let sample = shop.product("Sample", "0", 5).await;
    let ann = shop.buyer().await;
    ann.puts_in_cart(sample.id, 1).await.status(201);
    let order = ann.orders().await.status(201).json;
    assert_eq!(
        (&order["status"], &order["payment_status"], &order["total_price"]),
        (&json!("processing"), &json!("paid"), &json!("0.00"))
    );
    let id = number(&order["id"]);
    ann.get(&format!("/api/orders/{id}/invoice/")).await.status(200);
    ann.post("/api/payment/", json!({"order_id": id})).await.refused(409, "already_paid");
    let cancelled =
        ann.asks(Method::POST, &format!("/api/orders/{id}/cancel/")).send().await.status(200).json;
    assert_eq!(cancelled["status"], "cancelled");
    // Ordered and paid in one go it is a payment that has succeeded, once per key.
    let body = json!({"items": [{"product_id": sample.id, "quantity": 1}], "shipping_address": address()});
    let pay = || ann.asks(Method::POST, "/api/payment/").header("Idempotency-Key", "free").json(&body).send();
    let (first, again) = (pay().await.status(201), pay().await.status(201));
    assert_eq!((&first.json["status"], &first.json["amount"]), (&json!("succeeded"), &json!("0.00")));
    assert_eq!((first.text, shop.stock_of(sample.id).await), (again.text, 4));
}

#[tokio::test]
async fn the_invoice_comes_with_the_money_and_opens_by_its_link() {
    let shop = Shop::with(&[("shop.name", "Tea & Sons"), ("shop.address", "1 Dock Road\\nBristol")]).await;
    let tea = shop
        .product_of(json!({"name": "<b>Tea</b> {total}", "price": "4", "sku": "T-1", "stock_quantity": 9}))
        .await;
    let ann = shop.buyer().await;
    let order = ann.ordered(tea.id, 2).await;
    let path = format!("/api/orders/{order}/invoice/");
    ann.get(&path).await.refused(404, "invoice_not_ready");
    let payment = ann.begins_to_pay(order).await;
    ann.decides(payment, json!({"outcome": "succeed"})).await.status(200);

    let invoice = ann.get(&path).await.status(200).json;
    for (name, value) in
        json!({"number": "INV-000001", "order_id": order, "total_price": "8.00", "payment_method": "test"})
            .as_object()
            .unwrap()
    {
        assert_eq!(&invoice[name], value, "{name}");
    }
    assert_eq!(invoice["seller"]["name"], "Tea & Sons");
    let link = ann.order(order).await["invoice_url"].as_str().unwrap().to_owned();
    let path_of_link = link.strip_prefix(&shop.base).expect("an absolute link").to_owned();
    let page = shop.get(&path_of_link).await.status(200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    for text in [
        "INV-000001",
        "Tea &amp; Sons",
        "Bristol",
        "&lt;b&gt;Tea&lt;/b&gt; &#123;total}",
        "8.00 USD",
        "SKU T-1",
    ] {
        assert!(page.text.contains(text), "{text} is not in the page");
    }
    assert!(page.header("content-security-policy").contains("default-src 'none'"));

    let forged = path_of_link.replace(&format!("/orders/{order}/"), "/orders/2/");
    shop.get(&forged).await.refused(403, "link_invalid");
    shop.get(&path_of_link.replace("signature=", "signature=x")).await.refused(403, "link_invalid");
    shop.later(Duration::from_secs(24 * 3600));
    shop.get(&path_of_link).await.refused(403, "link_invalid");
    let later = shop.staff().await;
    assert_eq!(
        later.get(&format!("{path}?format=html")).await.status(200).text,
        page.text,
        "what an invoice says never changes"
    );
    later.get(&format!("{path}?format=docx")).await.refused(406, "not_acceptable");
    let pdf = later.get(&format!("{path}?format=pdf")).await.status(200);
    assert!(pdf.text.starts_with("%PDF-1.7"));
    assert_eq!(
        (pdf.header("content-type"), pdf.header("content-disposition")),
        ("application/pdf", "inline; filename=\"INV-000001.pdf\"")
    );
    for (accept, is_html) in [
        ("text/html,application/xhtml+xml,*/*;q=0.8", true),
        ("text/html;q=0.1, application/json;q=0.9", false),
        ("*/*", false),
        ("text/*", true),
    ] {
        let answer = later.asks(Method::GET, &path).header("Accept", accept).send().await.status(200);
        assert_eq!(answer.text.starts_with("<!doctype html>"), is_html, "{accept}");
    }
    let asks = |accept| later.asks(Method::GET, &path).header("Accept", accept).send();
    assert_eq!(asks("application/pdf, text/html;q=0.9").await.status(200).text, pdf.text);
    asks("image/png").await.refused(406, "not_acceptable");
}
