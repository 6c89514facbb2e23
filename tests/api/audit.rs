//! The audit trail: who changed what.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use till::accounts::Role;

use crate::support::Shop;

fn acts(list: &Value) -> Vec<(String, String)> {
    let text = |entry: &Value, name: &str| entry[name].as_str().expect("text").to_owned();
    let results = list["results"].as_array().expect("a list");
    results.iter().map(|entry| (text(entry, "act"), text(entry, "subject"))).collect()
}

#[tokio::test]
async fn what_staff_change_is_told_with_before_and_after() {
    let shop = Shop::open().await;
    let staff = shop.named("stan@example.com", Role::Staff).await;
    let (admin, buyer) = (shop.named("ada@example.com", Role::Admin).await, shop.buyer().await);
    let tea = json!({"name": "Tea", "price": "4.00", "stock_quantity": 9});
    let tea = staff.post("/api/products/", tea).await.status(201).json;
    let path = format!("/api/products/{}/", tea["id"]);
    staff.patch(&path, json!({"price": "5.00"})).await.status(200);
    staff.patch(&path, json!({"price": "5.00"})).await.status(200);
    staff.patch(&path, json!({"price": "-1"})).await.status(422);
    buyer.patch(&path, json!({"price": "0"})).await.status(403);
    let variant = &tea["variants"][0]["id"];
    let adjust = json!({"variant_id": variant, "delta": -2, "reason": "broken"});
    staff.post("/api/admin/inventory/adjust/", adjust).await.status(200);
    let order = buyer.bought(tea["id"].as_u64().unwrap(), 1).await;
    let track = json!({"tracking": {"carrier": "DHL", "number": "7"}, "note": "fragile"});
    staff.patch(&format!("/api/admin/orders/{order}/"), track).await.status(200);
    let refund = json!({"amount": "1.00", "reason": "late"});
    admin.post(&format!("/api/admin/orders/{order}/refund/"), refund).await.status(201);
    admin.patch(&format!("/api/admin/users/{}/", buyer.id), json!({"is_active": false})).await.status(200);
    staff.delete(&path).await.status(204);

    let all = admin.get("/api/admin/audit/").await.status(200).json;
    let (product, order) = (format!("product:{}", tea["id"]), format!("order:{order}"));
    let expected = [
        ("product.archive", product.clone()),
        ("user.change", format!("user:{}", buyer.id)),
        ("order.refund", order.clone()),
        ("order.change", order.clone()),
        ("stock.adjust", format!("variant:{variant}")),
        ("product.change", product.clone()),
        ("product.create", product.clone()),
    ];
    assert_eq!(acts(&all), expected.map(|(act, subject)| (act.to_owned(), subject)));
    let entry = |n: usize| &all["results"][n];
    assert_eq!((&entry(5)["by"], &entry(5)["by_email"]), (&json!("staff:1"), &json!("stan@example.com")));
    assert_eq!(entry(5)["before"]["price"], "4.00");
    assert_eq!(entry(5)["after"]["price"], "5.00");
    assert_eq!(entry(5)["after"].get("name"), None, "only what differs");
    assert_eq!((&entry(6)["before"], &entry(6)["after"]["name"]), (&Value::Null, &json!("Tea")));
    assert_eq!(entry(4)["before"], json!({"stock_quantity": 9}));
    assert_eq!(entry(4)["after"], json!({"stock_quantity": 7, "reason": "broken"}));
    assert_eq!(entry(3)["before"]["status"], "processing");
    assert_eq!(
        (&entry(3)["after"]["status"], &entry(3)["after"]["tracking"]["number"]),
        (&json!("shipped"), &json!("7"))
    );
    assert_eq!(
        (&entry(2)["after"]["amount"], &entry(2)["after"]["reason"]),
        (&json!("1.00"), &json!("late"))
    );
    assert_eq!(
        (&entry(1)["before"], &entry(1)["after"]),
        (&json!({"is_active": true}), &json!({"is_active": false}))
    );

    let count = async |query: &str| {
        admin.get(&format!("/api/admin/audit/?{query}")).await.status(200).json["count"].clone()
    };
    assert_eq!(count("by=staff:1").await, 5);
    assert_eq!(count("act=product").await, 3);
    assert_eq!(count("act=product.change").await, 1);
    assert_eq!(count("act=prod").await, 0);
    assert_eq!(count(&format!("subject={order}&by=staff:1")).await, 1);
    assert_eq!(count("created_before=2026-11-23T10:00:00Z").await, 0);
    assert_eq!(count("created_after=2026-11-23&page_size=2").await, 7);
    admin.get("/api/admin/audit/?created_after=soon").await.faults(&["created_after"]);

    let csv = admin.get("/api/admin/audit/export/?act=product").await.status(200);
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let mut rows = csv::Reader::from_reader(csv.text.as_bytes());
    let rows: Vec<_> = rows.records().map(Result::unwrap).collect();
    assert_eq!(
        rows.iter().map(|row| row[4].to_owned()).collect::<Vec<_>>(),
        ["product.create", "product.change", "product.archive"]
    );
    let lines = admin.get("/api/admin/audit/export/?format=jsonl").await.status(200).text;
    assert_eq!(lines.lines().count(), 7);
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((&first["act"], &first["id"]), (&json!("product.create"), &json!(1)));
}

#[tokio::test]
async fn tokens_passwords_and_imports_stand_in_it_without_their_secrets() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let new = json!({"name": "sync", "scopes": ["stock:write", "audit:read"]});
    let token = admin.post("/api/admin/tokens/", new).await.status(201).json;
    let secret = token["secret"].as_str().unwrap();
    let made = json!({"email": "new@example.com", "password": "a very long secret", "role": "staff"});
    let made = admin.post("/api/admin/users/", made).await.status(201).json;
    let password = json!({"password": "another long secret"});
    admin.post(&format!("/api/admin/users/{}/password/", made["id"]), password).await.status(204);
    let import = admin
        .asks(Method::POST, "/api/admin/products/import/")
        .body("text/csv", "sku,name,price\nT,Tea,4\nM,Mug,9\n")
        .send();
    import.await.status(200);
    admin.post("/api/admin/products/imports/1/undo/", json!({})).await.status(200);
    shop.later(Duration::from_secs(1));
    admin.delete(&format!("/api/admin/tokens/{}/", token["id"])).await.status(204);
    let all = admin.get("/api/admin/audit/").await.status(200);
    let names: Vec<_> = acts(&all.json).into_iter().map(|(act, _)| act).collect();
    let expected = [
        "token.revoke",
        "product.import_undo",
        "product.import",
        "user.set_password",
        "user.create",
        "token.create",
    ];
    assert_eq!(names, expected);
    for text in [secret, "long secret", "argon2"] {
        assert!(!all.text.contains(text), "{text} is in it");
    }
}

#[tokio::test]
async fn a_token_is_named_by_its_number() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let new = json!({"name": "sync", "scopes": ["products:write", "audit:read"]});
    let token = admin.post("/api/admin/tokens/", new).await.status(201).json;
    let secret = token["secret"].as_str().unwrap();
    let tea = json!({"name": "Tea", "price": "4.00"});
    shop.request(Method::POST, "/api/products/").token(secret).json(&tea).send().await.status(201);
    let list =
        shop.request(Method::GET, "/api/admin/audit/?act=product").token(secret).send().await.status(200);
    assert_eq!(list.json["results"][0]["by"], format!("token:{}", token["id"]));
    assert_eq!(list.json["results"][0]["by_email"], Value::Null);
}
