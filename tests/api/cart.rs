//! The cart.

use std::time::Duration;

use serde_json::json;

use till::id::UserId;

use crate::support::{Shop, number};

#[tokio::test]
async fn the_same_variant_again_adds_to_its_line() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 10).await;
    let ann = shop.buyer().await;
    let first = ann.puts_in_cart(tea.id, 2).await.status(201);
    assert_eq!(first.json["total_price"], "8.00");
    assert_eq!(first.header("location"), format!("/api/cart/{}/", first.json["id"]));
    let again = ann.puts_in_cart(tea.id, 3).await.status(201);
    assert_eq!((&again.json["id"], &again.json["quantity"]), (&first.json["id"], &json!(5)));
    let cart = ann.get("/api/cart/").await.status(200).json;
    assert_eq!(
        (&cart["item_count"], &cart["subtotal"], &cart["total"]),
        (&json!(5), &json!("20.00"), &json!("20.00"))
    );
    assert_eq!(cart["items"][0]["product"]["name"], "Tea");
    assert_eq!(cart["issues"], json!([]));
}

#[tokio::test]
async fn no_more_than_the_shelf_has_goes_into_a_cart() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 3).await;
    let ann = shop.buyer().await;
    let refused = ann.puts_in_cart(tea.id, 4).await.refused(409, "insufficient_stock");
    assert_eq!(refused.json["available"], 3);
    let line = ann.puts_in_cart(tea.id, 2).await.status(201).json["id"].clone();
    ann.puts_in_cart(tea.id, 2).await.refused(409, "insufficient_stock");
    ann.put(&format!("/api/cart/{line}/"), json!({"quantity": 4})).await.refused(409, "insufficient_stock");
    let set = ann.put(&format!("/api/cart/{line}/"), json!({"quantity": 3})).await.status(200);
    assert_eq!(set.json["total_price"], "12.00");
}

#[tokio::test]
async fn what_is_no_quantity_or_product_is_refused() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 3).await;
    let ann = shop.buyer().await;
    for quantity in
        [json!(0), json!(-1), json!(1.5), json!("2"), json!(1_000_001), json!(1e30), json!(null), json!(true)]
    {
        ann.post("/api/cart/", json!({"product_id": tea.id, "quantity": quantity}))
            .await
            .faults(&["quantity"]);
    }
    ann.post("/api/cart/", json!({"quantity": 1})).await.faults(&["product_id"]);
    ann.post("/api/cart/", json!({"product_id": 999, "quantity": 1})).await.faults(&["product_id"]);
    ann.post("/api/cart/", json!({"product_id": tea.id, "variant_id": 999, "quantity": 1}))
        .await
        .faults(&["variant_id"]);
    ann.post("/api/cart/", json!({"product_id": tea.id, "quantity": 1, "price": "0.01"}))
        .await
        .faults(&["price"]);
    ann.put("/api/cart/999/", json!({"quantity": 1})).await.refused(404, "not_found");
    ann.delete("/api/cart/999/").await.refused(404, "not_found");
    ann.delete("/api/cart/x/").await.refused(404, "not_found");
}

#[tokio::test]
async fn a_product_with_options_wants_its_variant() {
    let shop = Shop::open().await;
    let shirt = shop
        .product_of(json!({"name": "Shirt", "price": "20", "variants": [
            {"options": {"Size": "S"}, "stock_quantity": 2}, {"options": {"Size": "M"}, "price": "22", "stock_quantity": 2}]}))
        .await;
    let ann = shop.buyer().await;
    ann.puts_in_cart(shirt.id, 1).await.faults(&["variant_id"]);
    let medium = &shirt.json["variants"][1]["id"];
    let line = ann
        .post("/api/cart/", json!({"product_id": shirt.id, "variant_id": medium, "quantity": 1}))
        .await
        .status(201);
    assert_eq!(
        (&line.json["unit_price"], &line.json["product"]["options"]),
        (&json!("22.00"), &json!({"Size": "M"}))
    );
}

#[tokio::test]
async fn nobody_reaches_into_somebody_elses_cart() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 10).await;
    let (ann, bob) = (shop.buyer().await, shop.buyer().await);
    let line = number(&ann.puts_in_cart(tea.id, 1).await.status(201).json["id"]);
    bob.put(&format!("/api/cart/{line}/"), json!({"quantity": 5})).await.refused(404, "not_found");
    bob.delete(&format!("/api/cart/{line}/")).await.refused(404, "not_found");
    assert_eq!(bob.get("/api/cart/").await.status(200).json["items"], json!([]));
    ann.delete(&format!("/api/cart/{line}/")).await.status(204);
    ann.puts_in_cart(tea.id, 1).await.status(201);
    ann.delete("/api/cart/").await.status(204);
    assert_eq!(ann.get("/api/cart/").await.status(200).json["item_count"], 0);
}

#[tokio::test]
async fn a_cart_says_what_keeps_its_lines_from_being_bought() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let ann = shop.buyer().await;
    let [gone, out, short, dearer] = [
        shop.product("Gone", "1", 5).await,
        shop.product("Out", "2", 5).await,
        shop.product("Short", "4", 5).await,
        shop.product("Dearer", "8", 5).await,
    ];
    for product in [&gone, &out, &short, &dearer] {
        ann.puts_in_cart(product.id, 3).await.status(201);
    }
    staff.delete(&format!("/api/products/{}/", gone.id)).await.status(204);
    staff.patch(&format!("/api/products/{}/", out.id), json!({"stock_quantity": 0})).await.status(200);
    staff.patch(&format!("/api/products/{}/", short.id), json!({"stock_quantity": 2})).await.status(200);
    staff.patch(&format!("/api/products/{}/", dearer.id), json!({"price": "9"})).await.status(200);
    let cart = ann.get("/api/cart/").await.status(200).json;
    let codes: Vec<_> =
        cart["issues"].as_array().unwrap().iter().map(|issue| issue["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["unavailable", "out_of_stock", "insufficient_stock", "price_changed"]);
    assert_eq!(cart["issues"][2]["available"], 2);
    assert_eq!(cart["subtotal"], "45.00", "what is gone costs nothing, the others what they cost now");
    let refused = ann.orders().await.refused(409, "insufficient_stock");
    assert_eq!(refused.json["lines"][0], json!({"variant_id": gone.variant, "requested": 3, "available": 0}));
}

#[tokio::test]
async fn shipping_and_tax_come_from_the_settings() {
    let settings = [("shipping.flat", "4.90"), ("shipping.free_from", "50"), ("tax.percent", "8.875")];
    let shop = Shop::with(&settings).await;
    let tea = shop.product("Tea", "9.99", 100).await;
    let ann = shop.buyer().await;
    assert_eq!(ann.get("/api/cart/").await.json["total"], "0.00");
    ann.puts_in_cart(tea.id, 3).await.status(201);
    let cart = ann.get("/api/cart/").await.json;
    assert_eq!(
        (&cart["subtotal"], &cart["shipping"], &cart["tax"], &cart["total"]),
        (&json!("29.97"), &json!("4.90"), &json!("2.66"), &json!("37.53"))
    );
    ann.puts_in_cart(tea.id, 3).await.status(201);
    let cart = ann.get("/api/cart/").await.json;
    assert_eq!((&cart["shipping"], &cart["total"]), (&json!("0.00"), &json!("65.26")));
    let order = ann.orders().await.status(201).json;
    assert_eq!((&order["tax"], &order["total_price"]), (&json!("5.32"), &json!("65.26")));
}

#[tokio::test]
async fn amounts_that_can_not_be_counted_are_refused() {
    let shop = Shop::open().await;
    let gold = shop.product("Gold", "999999999999.99", 1_000_000_000).await;
    let ann = shop.buyer().await;
    ann.puts_in_cart(gold.id, 1_000_000).await.refused(422, "amount_too_large");
    ann.puts_in_cart(gold.id, 90_000).await.status(201);
    let other = shop.product("More gold", "999999999999.99", 1_000_000_000).await;
    ann.puts_in_cart(other.id, 90_000).await.status(201);
    ann.get("/api/cart/").await.refused(422, "amount_too_large");
    ann.orders().await.refused(422, "amount_too_large");
}

#[tokio::test]
async fn a_cart_that_nobody_changes_for_90_days_is_forgotten() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 10).await;
    let days = |days: u64| Duration::from_hours(24 * days);
    // Nobody stays logged in for as long.
    let lines = |of: u64| {
        let cart = shop.app.store.read(|tx| till::cart::get(tx, UserId(of))).expect("it reads");
        cart.lines.iter().map(|line| line.quantity).collect::<Vec<_>>()
    };
    let ann = shop.buyer().await;
    ann.puts_in_cart(tea.id, 2).await.status(201);
    shop.later(days(89));
    let bob = shop.buyer().await;
    bob.puts_in_cart(tea.id, 3).await.status(201);
    shop.run_jobs().await;
    assert_eq!((lines(ann.id), lines(bob.id)), (vec![2], vec![3]));
    shop.later(days(3));
    shop.run_jobs().await;
    assert_eq!((lines(ann.id), lines(bob.id)), (vec![], vec![3]));
}
