//! Tampering with what things cost and how many there are.

use serde_json::{Value, json};

use crate::support::{Shop, address};

/// What is no number of things.
fn bad_quantities() -> Vec<Value> {
    let texts = [
        "-1",
        "0",
        "-0",
        "1.5",
        "0.1",
        "1e99",
        "-9223372036854775808",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "4294967297",
        "340282366920938463463374607431768211456",
        "1e1000000000",
        "null",
        "true",
        "\"1\"",
        "\"\"",
        "[1]",
        "{}",
        "[]",
    ];
    texts.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect()
}

#[tokio::test]
async fn what_is_no_quantity_is_bought_nowhere() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 10).await;
    let ann = shop.buyer().await;
    let line = ann.puts_in_cart(tea.id, 1).await.status(201);
    assert!(line.json["items"][0]["id"].is_u64() || line.json["id"].is_u64(), "{}", line.text);
    let cart = ann.get("/api/cart/").await.json;
    let line = cart["items"][0]["id"].clone();
    for quantity in bad_quantities() {
        let refused = |answer: crate::support::Answer| {
            let status = answer.status.as_u16();
            assert!([409, 422].contains(&status), "{quantity}: {}", answer.text);
        };
        refused(ann.post("/api/cart/", json!({"product_id": tea.id, "quantity": quantity})).await);
        refused(ann.put(&format!("/api/cart/{line}/"), json!({"quantity": quantity})).await);
        let items = json!([{"product_id": tea.id, "quantity": quantity}]);
        refused(ann.post("/api/payment/", json!({"items": items, "shipping_address": address()})).await);
        // Beside good ones, too, whose sum it would make small.
        let items =
            json!([{"product_id": tea.id, "quantity": 2}, {"product_id": tea.id, "quantity": quantity}]);
        refused(ann.post("/api/payment/", json!({"items": items, "shipping_address": address()})).await);
    }
    assert_eq!(ann.get("/api/cart/").await.json["items"], cart["items"]);
    assert_eq!(
        (ann.get("/api/orders/").await.json["count"].as_u64(), shop.stock_of(tea.id).await),
        (Some(0), 10)
    );
}

#[tokio::test]
async fn nobody_names_the_price() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 10).await;
    let ann = shop.buyer().await;
    let prices = [
        "price",
        "unit_price",
        "line_total",
        "discount",
        "line_discount",
        "tax",
        "shipping",
        "subtotal",
        "total",
        "total_price",
        "currency",
        "coupon_code",
    ];
    for name in prices {
        let mut line = json!({"product_id": tea.id, "quantity": 1});
        line[name] = json!("0.01");
        ann.post("/api/cart/", line.clone()).await.faults(&[name]);
        let body = json!({"items": [line], "shipping_address": address()});
        ann.post("/api/payment/", body).await.faults(&[&format!("items.0.{name}")]);
        ann.puts_in_cart(tea.id, 1).await.status(201);
        let mut body = json!({"shipping_address": address()});
        body[name] = json!("0.01");
        ann.post("/api/orders/", body.clone()).await.faults(&[name]);
        ann.post("/api/payment/", body).await.faults(&[name]);
        ann.delete("/api/cart/").await.status(204);
    }
    assert_eq!(ann.get("/api/orders/").await.json["count"], 0);
}

#[tokio::test]
async fn a_lie_about_the_total_places_nothing() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 10).await;
    let ann = shop.buyer().await;
    ann.puts_in_cart(tea.id, 2).await.status(201);
    for total in ["0.01", "7.99", "8.01", "0", "80000000.00"] {
        let body = json!({"shipping_address": address(), "total_amount": total});
        for path in ["/api/orders/", "/api/payment/"] {
            let refused = ann.post(path, body.clone()).await.refused(409, "amount_mismatch");
            assert_eq!(refused.json["total"], "8.00");
        }
    }
    for total in ["-8.00", "8.001", "8.00 USD", "NaN", "8e0", "٨.00", "", "1e1000000000"] {
        let body = json!({"shipping_address": address(), "total_amount": total});
        ann.post("/api/orders/", body).await.faults(&["total_amount"]);
    }
    assert_eq!(
        (ann.get("/api/orders/").await.json["count"].as_u64(), shop.stock_of(tea.id).await),
        (Some(0), 10)
    );
    let body = json!({"shipping_address": address(), "total_amount": "8.00"});
    let placed = ann.post("/api/orders/", body).await.status(201);
    let payment = json!({"order_id": placed.json["id"], "total_amount": "0.01", "provider": "test"});
    assert_ne!(ann.post("/api/payment/", payment).await.status.as_u16(), 201);
}

#[tokio::test]
async fn sums_that_are_too_large_are_refused_before_they_wrap() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let ann = shop.buyer().await;
    for price in ["92233720368547758.07", "184467440737095516.16", "1e30", "-0.01", "0.001"] {
        let body = json!({"name": "Dear", "price": price, "stock_quantity": 9});
        staff.post("/api/products/", body).await.faults(&["price"]);
    }
    let most = ["9999999999.99", "99999999.99", "999999.99"];
    for price in most {
        let body = json!({"name": "Dear", "price": price, "stock_quantity": 1_000_000});
        let made = staff.post("/api/products/", body).await;
        if made.status.as_u16() != 201 {
            made.faults(&["price"]);
            continue;
        }
        for quantity in [1, 999, 10_000, 1_000_000] {
            let items = json!([{"product_id": made.json["id"], "quantity": quantity}]);
            let answer =
                ann.post("/api/payment/", json!({"items": items, "shipping_address": address()})).await;
            if answer.status.as_u16() == 201 {
                let amount = answer.json["amount"].as_str().expect("an amount");
                let wanted = price.replace('.', "").parse::<i128>().unwrap() * i128::from(quantity);
                assert_eq!(amount.replace('.', "").parse::<i128>().unwrap(), wanted);
            } else {
                assert!(answer.status.is_client_error(), "{}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn a_cart_that_costs_nothing_needs_goods_that_cost_nothing_or_a_coupon() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 10).await;
    shop.coupon(json!({"code": "HALF", "kind": "percent", "value": 50})).await;
    let ann = shop.buyer().await;
    // One coupon after the other is one coupon; its share is taken once.
    ann.puts_in_cart(tea.id, 1).await.status(201);
    for _ in 0..3 {
        ann.applies("HALF").await.status(200);
        ann.applies("half ").await;
    }
    let placed = ann.orders().await.status(201).json;
    assert_eq!((&placed["total_price"], &placed["payment_status"]), (&json!("2.00"), &json!("unpaid")));
    for kind in [
        json!({"kind": "percent", "value": 101}),
        json!({"kind": "percent", "value": -5}),
        json!({"kind": "amount", "value": "-5.00"}),
    ] {
        let mut terms = json!({"code": "WRONG"});
        terms.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        shop.admin().await.post("/api/admin/coupons/", terms).await.faults(&["value"]);
    }
}
