//! Coupons: staff make them, shoppers apply them, orders carry them.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Person, Shop, address, number};

impl Shop {
    /// A coupon of these terms.
    pub async fn coupon(&self, terms: Value) -> Value {
        self.staff().await.post("/api/admin/coupons/", terms).await.status(201).json
    }

    /// How often a coupon is counted as used.
    pub async fn uses_of(&self, code: &str) -> u64 {
        let found = self.staff().await.get(&format!("/api/admin/coupons/{code}/")).await.status(200);
        number(&found.json["used"])
    }
}

impl Person<'_> {
    pub async fn applies(&self, code: &str) -> crate::support::Answer {
        self.post("/api/cart/coupon/", json!({"code": code})).await
    }

    /// An order of one product with a coupon; its id.
    async fn orders_with(&self, product: u64, code: &str) -> u64 {
        self.puts_in_cart(product, 1).await.status(201);
        self.applies(code).await.status(200);
        number(&self.orders().await.status(201).json["id"])
    }

    async fn cancels(&self, order: u64) {
        self.asks(Method::POST, &format!("/api/orders/{order}/cancel/")).send().await.status(200);
    }
}

#[tokio::test]
async fn a_coupon_takes_its_share_off_cart_order_and_invoice() {
    let shop = Shop::with(&[("tax.percent", "10"), ("shipping.flat", "4.90")]).await;
    let (tea, mug) = (shop.product("Tea", "4.99", 10).await, shop.product("Mug", "9.50", 10).await);
    shop.coupon(json!({"code": "Spring-10", "kind": "percent", "value": 10})).await;
    let ann = shop.buyer().await;
    ann.puts_in_cart(tea.id, 2).await.status(201);
    ann.puts_in_cart(mug.id, 1).await.status(201);
    let cart = ann.applies(" spring-10 ").await.status(200).json;
    // 10 % of 19.48 is 1.95, of which 1.00 is the tea's and 0.95 the mug's; the tax is that of 8.98 and of 8.55.
    assert_eq!(
        [
            &cart["coupon"],
            &cart["subtotal"],
            &cart["discount"],
            &cart["tax"],
            &cart["shipping"],
            &cart["total"]
        ],
        ["SPRING-10", "19.48", "1.95", "1.76", "4.90", "24.19"]
    );
    assert_eq!(cart, ann.get("/api/cart/").await.status(200).json);
    assert_eq!(shop.uses_of("spring-10").await, 0, "applying is not using");

    let order = ann.orders().await.status(201).json;
    assert_eq!(
        [&order["coupon_code"], &order["discount"], &order["tax"], &order["total_price"]],
        ["SPRING-10", "1.95", "1.76", "24.19"]
    );
    let shares: Vec<_> = order["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (&line["total_price"], &line["discount"]))
        .collect();
    assert_eq!(shares, [(&json!("9.98"), &json!("1.00")), (&json!("9.50"), &json!("0.95"))]);
    assert_eq!(shop.uses_of("SPRING-10").await, 1);
    let cart = ann.get("/api/cart/").await.json;
    assert_eq!(
        (&cart["coupon"], &cart["discount"]),
        (&json!(null), &json!("0.00")),
        "the cart is empty again"
    );

    let id = number(&order["id"]);
    let payment = ann.begins_to_pay(id).await;
    let paid = ann.decides(payment, json!({"outcome": "succeed"})).await.status(200);
    assert_eq!(paid.json["amount"], "24.19");
    let invoice = ann.get(&format!("/api/orders/{id}/invoice/")).await.status(200).json;
    assert_eq!((&invoice["coupon_code"], &invoice["discount"]), (&json!("SPRING-10"), &json!("1.95")));
    assert_eq!(invoice["items"][0]["discount"], "1.00");
    let page = ann.get(&format!("/api/orders/{id}/invoice/?format=html")).await.status(200).text;
    assert!(page.contains("Discount (SPRING-10)") && page.contains("−1.95"), "{page}");
}

#[tokio::test]
async fn refunds_by_line_give_back_what_was_paid_for_the_lines_and_no_more() {
    let shop = Shop::with(&[("tax.percent", "8.875")]).await;
    let (tea, mug) = (shop.product("Tea", "3.33", 10).await, shop.product("Mug", "7.77", 10).await);
    shop.coupon(json!({"code": "OFF", "kind": "amount", "value": "5.00"})).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    ann.puts_in_cart(tea.id, 3).await.status(201);
    ann.puts_in_cart(mug.id, 1).await.status(201);
    ann.applies("off").await.status(200);
    let order = number(&ann.orders().await.status(201).json["id"]);
    let payment = ann.begins_to_pay(order).await;
    ann.decides(payment, json!({"outcome": "succeed"})).await.status(200);
    let path = format!("/api/admin/orders/{order}/refund/");
    for (line, units) in [(1, 1), (2, 1), (1, 2)] {
        let lines = json!([{"line_id": line, "quantity": units}]);
        admin.post(&path, json!({"lines": lines, "restock": true})).await.status(201);
    }
    let end = ann.order(order).await;
    assert_eq!(end["payment_status"], "refunded", "the lines sum to all that was paid: {}", end["refunds"]);
}

#[tokio::test]
async fn units_that_cost_nothing_are_taken_back_without_money_or_papers() {
    let shop = Shop::open().await;
    let tea =
        shop.product_of(json!({"name": "Tea", "price": "10", "stock_quantity": 9, "category": "Tea"})).await;
    let mug =
        shop.product_of(json!({"name": "Mug", "price": "8", "stock_quantity": 9, "category": "Mugs"})).await;
    shop.coupon(json!({"code": "FREE", "kind": "percent", "value": "100"})).await;
    shop.coupon(json!({"code": "MUGS", "kind": "percent", "value": "100", "categories": ["Mugs"]})).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let bought = async |code: &str| {
        ann.puts_in_cart(tea.id, 2).await.status(201);
        ann.puts_in_cart(mug.id, 2).await.status(201);
        ann.applies(code).await.status(200);
        number(&ann.orders().await.status(201).json["id"])
    };
    let back =
        |line: u64, units: u32| json!({"lines": [{"line_id": line, "quantity": units}], "restock": true});

    // Nothing was paid: once a parcel is out, the rest can be taken back.
    let free = bought("free").await;
    let (path, refund) =
        (format!("/api/admin/orders/{free}/fulfilments/"), format!("/api/admin/orders/{free}/refund/"));
    let parcel = json!({"carrier": "DHL", "number": "1", "lines": [{"line_id": 1, "quantity": 2}]});
    admin.post(&path, parcel).await.status(201);
    admin.post(&refund, back(2, 3)).await.refused(409, "nothing_to_refund");
    let done = admin.post(&refund, back(2, 2)).await.status(201).json;
    assert_eq!((&done["status"], &done["payment_status"]), (&json!("shipped"), &json!("paid")));
    assert_eq!((shop.stock_of(tea.id).await, shop.stock_of(mug.id).await), (7, 9));
    admin.post(&refund, back(2, 1)).await.refused(409, "nothing_to_refund");
    admin.post(&refund, json!({"restock": true})).await.status(201);
    admin.post(&refund, json!({})).await.refused(409, "nothing_to_refund");
    assert_eq!(shop.stock_of(tea.id).await, 9);

    // One line was free, the other was not.
    let order = bought("mugs").await;
    let payment = ann.begins_to_pay(order).await;
    ann.decides(payment, json!({"outcome": "succeed"})).await.status(200);
    let refund = format!("/api/admin/orders/{order}/refund/");
    let one = admin.post(&refund, back(2, 1)).await.status(201).json;
    assert_eq!(one["payment_status"], "paid");
    assert_eq!(one["refunds"][0]["amount"], "0.00");
    assert_eq!(shop.stock_of(mug.id).await, 8);
    assert_eq!(admin.get(&format!("/api/orders/{order}/credit-notes/")).await.json["count"], 0);
    let parcel = json!({"carrier": "DHL", "number": "1", "lines": [{"line_id": 2, "quantity": 2}]});
    admin.post(&format!("/api/admin/orders/{order}/fulfilments/"), parcel).await.faults(&["lines"]);
    let all = admin.post(&refund, json!({"restock": true})).await.status(201).json;
    assert_eq!(all["payment_status"], "refunded");
    assert_eq!((shop.stock_of(tea.id).await, shop.stock_of(mug.id).await), (9, 9));
}

#[tokio::test]
async fn a_coupon_that_is_not_good_says_why_and_changes_nothing() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let tea =
        shop.product_of(json!({"name": "Tea", "price": "10", "stock_quantity": 50, "category": "Tea"})).await;
    let mug =
        shop.product_of(json!({"name": "Mug", "price": "8", "stock_quantity": 50, "category": "Mugs"})).await;
    let later = json!("2026-11-24T00:00:00Z");
    for (code, terms) in [
        ("OFF", json!({"is_active": false})),
        ("LATER", json!({"starts_at": later})),
        ("BEFORE", json!({"ends_at": "2026-11-23T10:00:00Z"})),
        ("MUGS", json!({"categories": ["Mugs"]})),
        ("LARGE", json!({"min_subtotal": "20.01"})),
        ("ONCE", json!({"max_uses_per_user": 1})),
        ("FEW", json!({"max_uses": 1})),
    ] {
        let mut terms = terms;
        terms["code"] = json!(code);
        terms["kind"] = json!("amount");
        terms["value"] = json!("1.00");
        shop.coupon(terms).await;
    }
    let (ann, bob) = (shop.buyer().await, shop.buyer().await);
    bob.orders_with(tea.id, "few").await;
    ann.orders_with(tea.id, "once").await;
    let refused = async |code: &str, reason: &str| -> Value {
        let refused = ann.applies(code).await.refused(422, "coupon_invalid").json;
        assert_eq!(refused["reason"], reason, "{refused}");
        refused
    };
    refused("NONE", "unknown").await;
    refused("no such!", "unknown").await;
    refused("OFF", "inactive").await;
    assert_eq!(refused("LATER", "not_started").await["starts_at"], "2026-11-24T00:00:00.000Z");
    refused("BEFORE", "expired").await;
    refused("FEW", "used_up").await;
    refused("ONCE", "already_used").await;
    refused("LARGE", "not_applicable").await;
    ann.puts_in_cart(tea.id, 2).await.status(201);
    refused("MUGS", "not_applicable").await;
    assert_eq!(refused("LARGE", "below_minimum").await["min_subtotal"], "20.01");
    assert_eq!(ann.get("/api/cart/").await.json["coupon"], json!(null));
    ann.post("/api/cart/coupon/", json!({"code": "", "kode": 1})).await.faults(&["code", "kode"]);

    // One for mugs is for the mug alone, and goes when the mug goes.
    let line = number(&ann.puts_in_cart(mug.id, 1).await.status(201).json["id"]);
    assert_eq!(ann.applies("mugs").await.status(200).json["discount"], "1.00");
    let order = ann.orders().await.status(201).json;
    assert_eq!(
        (&order["items"][0]["discount"], &order["items"][1]["discount"]),
        (&json!("0.00"), &json!("1.00"))
    );
    ann.puts_in_cart(tea.id, 1).await.status(201);
    let line = number(&ann.puts_in_cart(mug.id, 1).await.status(201).json["id"]).max(line);
    ann.applies("mugs").await.status(200);
    ann.delete(&format!("/api/cart/{line}/")).await.status(204);
    let cart = ann.get("/api/cart/").await.status(200).json;
    assert_eq!(
        (&cart["coupon"], &cart["discount"], &cart["total"]),
        (&json!("MUGS"), &json!("0.00"), &json!("10.00"))
    );
    let issue = &cart["issues"][0];
    assert_eq!((&issue["code"], &issue["reason"]), (&json!("coupon_invalid"), &json!("not_applicable")));
    assert_eq!(ann.orders().await.refused(422, "coupon_invalid").json["reason"], "not_applicable");
    ann.delete("/api/cart/coupon/").await.status(204);
    ann.delete("/api/cart/coupon/").await.status(204);
    ann.orders().await.status(201);

    // What changed between looking and ordering is told.
    ann.puts_in_cart(tea.id, 3).await.status(201);
    let seen = ann.applies("large").await.status(200).json["total"].clone();
    staff.patch("/api/admin/coupons/large/", json!({"value": "2.00"})).await.status(200);
    let body = json!({"shipping_address": address(), "total_amount": seen});
    assert_eq!(ann.post("/api/orders/", body).await.refused(409, "amount_mismatch").json["total"], "28.00");
    staff.delete("/api/admin/coupons/large/").await.status(204);
    assert_eq!(ann.orders().await.refused(422, "coupon_invalid").json["reason"], "unknown");
    assert_eq!(shop.stock_of(tea.id).await, 50 - 5, "what was refused moved nothing");
}

#[tokio::test]
async fn a_use_comes_back_when_the_order_is_cancelled_or_runs_out() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 10).await;
    let terms =
        json!({"code": "ONE", "kind": "percent", "value": "50", "max_uses": 1, "max_uses_per_user": 1});
    shop.coupon(terms).await;
    let (ann, bob) = (shop.buyer().await, shop.buyer().await);
    let order = ann.orders_with(tea.id, "one").await;
    bob.puts_in_cart(tea.id, 1).await.status(201);
    bob.applies("one").await.refused(422, "coupon_invalid");
    ann.cancels(order).await;
    assert_eq!(shop.uses_of("one").await, 0);
    assert_eq!(ann.order(order).await["coupon_code"], "ONE", "the order says what it was");

    ann.orders_with(tea.id, "one").await;
    shop.later(Duration::from_hours(2));
    shop.run_jobs().await;
    assert_eq!(shop.uses_of("one").await, 0, "not paid in time");

    // Paid, and cancelled all the same.
    let order = ann.orders_with(tea.id, "one").await;
    let payment = ann.begins_to_pay(order).await;
    ann.decides(payment, json!({"outcome": "succeed"})).await.status(200);
    assert_eq!(shop.uses_of("one").await, 1);
    ann.cancels(order).await;
    assert_eq!(shop.uses_of("one").await, 0);
    assert_eq!(ann.order(order).await["payment_status"], "refunded");
    bob.applies("one").await.status(200);
    bob.orders().await.status(201);
    assert_eq!(shop.uses_of("one").await, 1);
}

#[tokio::test]
async fn what_a_coupon_pays_in_full_is_paid_in_its_own_commit() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 10).await;
    shop.coupon(json!({"code": "GIFT", "kind": "amount", "value": "50"})).await;
    let ann = shop.buyer().await;
    ann.puts_in_cart(tea.id, 2).await.status(201);
    assert_eq!(ann.applies("gift").await.status(200).json["total"], "0.00");
    let order = ann.orders().await.status(201).json;
    assert_eq!(
        [&order["total_price"], &order["discount"], &order["status"], &order["payment_status"]],
        ["0.00", "8.00", "processing", "paid"]
    );
    ann.get(&format!("/api/orders/{}/invoice/", order["id"])).await.status(200);
    // Paying for items is not what is in the cart, and takes no coupon.
    ann.puts_in_cart(tea.id, 1).await.status(201);
    ann.applies("gift").await.status(200);
    let items = json!({"items": [{"product_id": tea.id, "quantity": 1}], "shipping_address": address()});
    assert_eq!(ann.post("/api/payment/", items).await.status(201).json["amount"], "4.00");
    assert_eq!(ann.get("/api/cart/").await.json["coupon"], "GIFT");
    // Applying once more under a key is answered the same.
    let apply = || {
        ann.asks(Method::POST, "/api/cart/coupon/")
            .header("Idempotency-Key", "a")
            .json(&json!({"code": "gift"}))
    };
    let once = apply().send().await.status(200);
    let again = apply().send().await.status(200);
    assert_eq!((once.text, again.header("idempotency-replayed")), (again.text.clone(), "true"));
}

#[tokio::test]
async fn staff_make_change_and_end_coupons() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let tea = shop
        .product_of(json!({"name": "Tea", "price": "10", "stock_quantity": 50, "category": "Fine Tea"}))
        .await;
    let whole = json!({
        "code": "spring_24", "kind": "percent", "value": "12.5", "min_subtotal": "5", "starts_at": "2026-11-01",
        "ends_at": "2027-01-01T00:00:00Z", "max_uses": 100, "max_uses_per_user": 3, "categories": ["Fine Tea"]});
    let made = staff.post("/api/admin/coupons/", whole.clone()).await.status(201);
    assert_eq!(made.header("location"), "/api/admin/coupons/SPRING_24/");
    assert_eq!(
        made.json,
        json!({
            "code": "SPRING_24", "kind": "percent", "value": "12.5", "min_subtotal": "5.00",
            "starts_at": "2026-11-01T00:00:00.000Z", "ends_at": "2027-01-01T00:00:00.000Z", "max_uses": 100,
            "max_uses_per_user": 3, "categories": ["fine-tea"], "is_active": true, "used": 0, "last_used_at": null,
            "created_at": "2026-11-23T10:00:00.000Z", "updated_at": "2026-11-23T10:00:00.000Z"})
    );
    staff.post("/api/admin/coupons/", whole.clone()).await.refused(409, "code_taken");
    let path = "/api/admin/coupons/Spring_24/";
    let seen = staff.get(path).await.status(200);
    assert_eq!((&seen.json, seen.header("etag")), (&made.json, made.header("etag")));
    staff.asks(Method::GET, path).header("If-None-Match", seen.header("etag")).send().await.status(304);

    // Changed only as it was read.
    let change = |tag: String, body: Value| {
        staff.asks(Method::PATCH, path).header("If-Match", &tag).json(&body).send()
    };
    let tag = seen.header("etag").to_owned();
    let changed = change(tag.clone(), json!({"value": 20, "max_uses": null})).await.status(200);
    assert_eq!((&changed.json["value"], &changed.json["max_uses"]), (&json!("20"), &json!(null)));
    change(tag.clone(), json!({"value": 30})).await.refused(412, "version_conflict");
    staff.asks(Method::DELETE, path).header("If-Match", &tag).send().await.refused(412, "version_conflict");
    let ann = shop.buyer().await;
    ann.orders_with(tea.id, "SPRING_24").await;
    change(changed.header("etag").to_owned(), json!({})).await.refused(412, "version_conflict");
    // As it was read, it can be sent back.
    let now = staff.get(path).await.status(200);
    assert_eq!(staff.put(path, now.json.clone()).await.status(200).json, now.json);
    let plain = staff.put(path, json!({"kind": "amount", "value": "2"})).await.status(200).json;
    assert_eq!(
        (&plain["kind"], &plain["value"], &plain["categories"], &plain["ends_at"], &plain["used"]),
        (&json!("amount"), &json!("2.00"), &json!([]), &json!(null), &json!(1))
    );

    // No limit is set below what was used.
    ann.orders_with(tea.id, "SPRING_24").await;
    let refused = staff.patch(path, json!({"max_uses": 1, "max_uses_per_user": 1})).await;
    let refused = refused.faults(&["max_uses", "max_uses_per_user"]);
    assert!(refused.text.contains("at least 2") && refused.text.contains("is_active"), "{}", refused.text);
    staff.patch(path, json!({"max_uses": 2, "max_uses_per_user": 2})).await.status(200);
    ann.puts_in_cart(tea.id, 1).await.status(201);
    assert_eq!(ann.applies("spring_24").await.refused(422, "coupon_invalid").json["reason"], "used_up");

    // One that was used is archived; one that was not is gone.
    shop.later(Duration::from_secs(1));
    shop.coupon(json!({"code": "TYPO", "kind": "amount", "value": 1})).await;
    let codes = async |query: &str| -> Vec<String> {
        let list = staff.get(&format!("/api/admin/coupons/{query}")).await.status(200).json;
        let results = list["results"].as_array().unwrap();
        assert_eq!(list["count"], results.len());
        results.iter().map(|coupon| coupon["code"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(codes("").await, ["TYPO", "SPRING_24"]);
    staff.delete("/api/admin/coupons/typo/").await.status(204);
    staff.delete(path).await.status(204);
    staff.delete(path).await.refused(404, "not_found");
    staff.patch(path, json!({"value": 1})).await.refused(404, "not_found");
    assert_eq!((codes("").await, codes("?archived=true").await), (vec![], vec!["SPRING_24".to_owned()]));
    assert!(staff.get(path).await.status(200).json["archived_at"].is_string());
    staff.get("/api/admin/coupons/typo/").await.refused(404, "not_found");
    staff.post("/api/admin/coupons/", whole).await.refused(409, "code_taken");
    shop.coupon(json!({"code": "TYPO", "kind": "amount", "value": 2})).await;
}

#[tokio::test]
async fn all_faults_of_a_coupon_are_told_at_once() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let path = "/api/admin/coupons/";
    staff.post(path, json!({})).await.faults(&["code", "kind", "value"]);
    let wrong = json!({
        "code": "a b", "kind": "percent", "value": "100.1", "min_subtotal": -1, "starts_at": "soon", "max_uses": 0,
        "max_uses_per_user": 1.5, "categories": ["!"], "is_active": "yes", "uses": 3});
    staff.post(path, wrong).await.faults(&[
        "categories.0",
        "code",
        "is_active",
        "max_uses",
        "max_uses_per_user",
        "min_subtotal",
        "starts_at",
        "uses",
        "value",
    ]);
    let make = |more: Value| {
        let mut body = json!({"code": "X", "kind": "amount", "value": "1"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        staff.post(path, body)
    };
    for value in [json!("0"), json!("1.001"), json!("-1"), json!("x"), json!(null), json!([1])] {
        make(json!({"value": value})).await.faults(&["value"]);
    }
    make(json!({"kind": "percent", "value": "0"})).await.faults(&["value"]);
    make(json!({"starts_at": "2026-12-02", "ends_at": "2026-12-01"})).await.faults(&["ends_at"]);
    make(json!({"categories": ["Nothing"]})).await.faults(&["categories.0"]);
    make(json!({})).await.status(201);
    staff.patch("/api/admin/coupons/x/", json!({"kind": "percent"})).await.faults(&["value"]);
    staff.patch("/api/admin/coupons/x/", json!({"code": "Y"})).await.faults(&["code"]);
    staff.patch("/api/admin/coupons/x/", json!({"code": "x", "value": "0.001"})).await.faults(&["value"]);
}

#[tokio::test]
async fn what_is_done_to_coupons_stands_in_the_audit_trail() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    staff.post("/api/admin/coupons/", json!({"code": "A", "kind": "amount", "value": 1})).await.status(201);
    staff.patch("/api/admin/coupons/a/", json!({"is_active": false})).await.status(200);
    staff.patch("/api/admin/coupons/a/", json!({"is_active": false})).await.status(200);
    staff.delete("/api/admin/coupons/a/").await.status(204);
    let trail = shop.admin().await.get("/api/admin/audit/?subject=coupon:A").await.status(200).json;
    let entries = trail["results"].as_array().unwrap();
    let acts: Vec<_> = entries.iter().map(|entry| entry["act"].as_str().unwrap()).collect();
    assert_eq!(acts, ["coupon.delete", "coupon.change", "coupon.create"]);
    assert_eq!(
        (&entries[1]["before"], &entries[1]["after"]),
        (&json!({"is_active": true}), &json!({"is_active": false}))
    );
    assert!(entries.iter().all(|entry| entry["by"] == format!("staff:{}", staff.id)));
}
