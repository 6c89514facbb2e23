//! One person's data: handed out, erased.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use till::accounts::Role;

use crate::support::{PASSWORD, Person, Shop, number};

/// All that is theirs and stands nowhere else in the shop.
const THEIRS: [&str; 8] = [
    "zoe@example.com",
    "Zoe Zimmermann",
    "Zwiebelweg 12",
    "Zwickau",
    "08056",
    "+49 375 000",
    "ring twice",
    "Zoe called",
];

fn address() -> Value {
    json!({"name": "Zoe Zimmermann", "line1": "Zwiebelweg 12", "city": "Zwickau", "postal_code": "08056",
        "country": "DE", "phone": "+49 375 000"})
}

async fn zoe(shop: &Shop) -> Person<'_> {
    let zoe = shop.named("zoe@example.com", Role::Customer).await;
    let profile = json!({"name": "Zoe Zimmermann", "default_address": address()});
    zoe.patch("/api/auth/me/", profile).await.status(200);
    zoe
}

/// An order of hers that was paid, sent, refunded in part, and is over.
async fn lived(shop: &Shop, zoe: &Person<'_>, admin: &Person<'_>) -> u64 {
    let tea = shop.product("Tea", "4.00", 100).await;
    let items = json!([{"product_id": tea.id, "quantity": 3}]);
    zoe.puts_in_cart(tea.id, 3).await.status(201);
    let body = json!({"shipping_address": address(), "billing_address": address(), "note": "ring twice"});
    let asks = zoe.asks(Method::POST, "/api/orders/").header("idempotency-key", "zoes").json(&body);
    let order = number(&asks.send().await.status(201).json["id"]);
    let payment = zoe.begins_to_pay(order).await;
    zoe.decides(payment, json!({"outcome": "decline"})).await;
    zoe.decides(payment, json!({"outcome": "succeed"})).await;
    let send = json!({"tracking": {"carrier": "DHL", "number": "Z123"}, "note": "Zoe called"});
    let path = format!("/api/admin/orders/{order}/");
    admin.patch(&path, send).await.status(200);
    let refund = json!({"amount": "1.00", "reason": "Zoe called"});
    let refund =
        admin.asks(Method::POST, &format!("{path}refund/")).header("idempotency-key", "refund").json(&refund);
    refund.send().await.status(201);
    admin.patch(&path, json!({"status": "completed", "note": "Zoe called"})).await.status(200);
    // And something that she left in the cart.
    zoe.post("/api/cart/", json!({"product_id": items[0]["product_id"], "quantity": 1})).await.status(201);
    order
}

/// The tables in which a text stands.
fn tables_with(shop: &Shop, text: &str) -> Vec<&'static str> {
    let found = shop.app.store.read(|tx| {
        let mut found = Vec::new();
        for table in till::store::schema::tables() {
            let mut has = false;
            table.each_row(tx, &mut |key, value| {
                let within = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
                has |= within(key) || within(value);
                std::ops::ControlFlow::Continue(())
            })?;
            if has {
                found.push(table.name());
            }
        }
        Ok::<_, till::store::StoreError>(found)
    });
    found.expect("it reads")
}

#[tokio::test]
async fn a_person_gets_all_that_is_held_on_them() {
    let shop = Shop::open().await;
    let (zoe, other) = (zoe(&shop).await, shop.buyer().await);
    let order = lived(&shop, &zoe, &shop.admin().await).await;
    let all = zoe.get("/api/auth/me/export/").await.status(200);
    assert_eq!(all.header("content-disposition"), format!("attachment; filename=\"user-{}.json\"", zoe.id));
    assert_eq!(all.json["user"]["email"], "zoe@example.com");
    assert_eq!(all.json["user"]["default_address"]["city"], "Zwickau");
    assert_eq!(all.json["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(all.json["cart"].as_array().unwrap().len(), 1);
    let held = &all.json["orders"][0];
    assert_eq!((&held["id"], &held["shipping_address"]["line1"]), (&json!(order), &json!("Zwiebelweg 12")));
    assert_eq!(
        (&held["invoice"]["number"], &held["payments"][0]["status"]),
        (&json!("INV-000001"), &json!("succeeded"))
    );
    let mails = all.json["mails"].as_array().unwrap().iter().map(|mail| mail["kind"].as_str().unwrap());
    let mails: Vec<_> = mails.collect();
    for kind in ["order_received", "order_paid", "order_shipped", "order_refunded", "payment_failed"] {
        assert!(mails.contains(&kind), "{kind} is not in {mails:?}");
    }
    assert!(!all.text.contains("argon2") && !all.text.contains("client_secret"), "no secrets");
    // What others have is not in it.
    assert_eq!(other.get("/api/auth/me/export/").await.status(200).json["orders"], json!([]));
    let by_admin = shop.admin().await.get(&format!("/api/admin/users/{}/export/", zoe.id)).await.status(200);
    assert_eq!(by_admin.json["orders"], all.json["orders"]);
    let trail = shop.admin().await.get("/api/admin/audit/?act=user.export").await.status(200).json;
    assert_eq!(
        (&trail["count"], &trail["results"][0]["subject"]),
        (&json!(1), &json!(format!("user:{}", zoe.id)))
    );
}

#[tokio::test]
async fn an_erased_person_is_in_papers_only() {
    let shop = Shop::open().await;
    let zoe = zoe(&shop).await;
    let admin = shop.admin().await;
    let order = lived(&shop, &zoe, &admin).await;
    for text in THEIRS {
        assert!(!tables_with(&shop, text).is_empty(), "{text} is to be erased");
    }
    let before = admin.get("/api/admin/stats/").await.status(200).json;
    let wrong = json!({"password": "not my password"});
    zoe.asks(Method::DELETE, "/api/auth/me/").json(&wrong).send().await.refused(401, "invalid_credentials");
    let right = json!({"password": PASSWORD});
    zoe.asks(Method::DELETE, "/api/auth/me/").json(&right).send().await.status(204);

    for text in THEIRS {
        let left: Vec<_> = tables_with(&shop, text);
        assert!(
            left.iter().all(|table| ["invoices", "credit_notes"].contains(table)),
            "{text} is left in {left:?}"
        );
    }
    zoe.get("/api/auth/me/").await.refused(401, "token_invalid");
    let login = json!({"email": "zoe@example.com", "password": PASSWORD});
    let login = async || shop.request(Method::POST, "/api/auth/login/").json(&login).send().await;
    login().await.refused(401, "invalid_credentials");
    // The order is there, and nobody's.
    let held = admin.get(&format!("/api/admin/orders/{order}/")).await.status(200).json;
    assert_eq!(
        (&held["total_price"], &held["payment_status"]),
        (&json!("12.00"), &json!("partially_refunded"))
    );
    assert_eq!(held["email"], format!("erased-{}@erased.invalid", zoe.id));
    assert_eq!(
        (&held["shipping_address"]["country"], &held["shipping_address"]["name"]),
        (&json!("DE"), &json!(""))
    );
    let invoice = admin.get(&format!("/api/orders/{order}/invoice/?format=json")).await.status(200).json;
    assert_eq!(invoice["billing_address"]["name"], "Zoe Zimmermann");
    let after = admin.get("/api/admin/stats/").await.status(200).json;
    assert_eq!(after["total"], before["total"]);
    let trail = admin.get("/api/admin/audit/?act=user.erase").await.status(200).json;
    assert_eq!(trail["results"][0]["subject"], format!("user:{}", zoe.id));
    // A refund that is asked for once more under its key is not made again.
    let again = json!({"amount": "1.00", "reason": "Zoe called"});
    let path = format!("/api/admin/orders/{order}/refund/");
    let again = admin.asks(Method::POST, &path).header("idempotency-key", "refund").json(&again).send().await;
    assert!(!again.text.contains("Zoe"), "{}", again.text);
    again.refused(410, "answer_erased");
    let held = admin.get(&format!("/api/admin/orders/{order}/")).await.status(200).json;
    assert_eq!(held["refunds"].as_array().unwrap().len(), 1);
    // The address is free for a new account.
    let new = json!({"email": "zoe@example.com", "password": PASSWORD});
    let new = shop.request(Method::POST, "/api/auth/register/").json(&new).send().await.status(201);
    assert_ne!(number(&new.json["user"]["id"]), zoe.id);
}

#[tokio::test]
async fn nobody_is_erased_while_something_is_under_way() {
    let shop = Shop::open().await;
    let (zoe, admin) = (zoe(&shop).await, shop.admin().await);
    let tea = shop.product("Tea", "4.00", 100).await;
    let erase = format!("/api/admin/users/{}/erase/", zoe.id);
    let order = zoe.ordered(tea.id, 1).await;
    let refused = admin.post(&erase, json!({})).await.refused(409, "erasure_refused");
    assert_eq!(refused.json["orders"], json!([order]));
    let payment = zoe.begins_to_pay(order).await;
    zoe.decides(payment, json!({"outcome": "succeed"})).await;
    let right = json!({"password": PASSWORD});
    zoe.asks(Method::DELETE, "/api/auth/me/").json(&right).send().await.refused(409, "erasure_refused");
    zoe.get("/api/auth/me/").await.status(200);
    zoe.post(&format!("/api/orders/{order}/cancel/"), json!({})).await.status(200);
    shop.run_jobs().await;
    admin.post(&erase, json!({})).await.status(204);
    // What staff would note on an order that is over is nobody's to have erased again.
    let note = admin.patch(&format!("/api/admin/orders/{order}/"), json!({"note": "Zoe rang"})).await;
    note.refused(409, "user_erased");
    admin.post(&erase, json!({})).await.status(404);
    let looked = admin.get("/api/admin/audit/?act=user").await.status(200).json;
    assert_eq!(looked["count"], 1, "the erasure");
    assert_eq!(tables_with(&shop, "zoe@example.com"), ["invoices"]);
}

#[tokio::test]
async fn the_last_administrator_stays_and_tokens_erase_customers_only() {
    let shop = Shop::open().await;
    let (admin, staff) = (shop.admin().await, shop.staff().await);
    let right = json!({"password": PASSWORD});
    admin.asks(Method::DELETE, "/api/auth/me/").json(&right).send().await.refused(409, "last_admin");
    let new = json!({"name": "desk", "scopes": ["users:write"]});
    let token = admin.post("/api/admin/tokens/", new).await.status(201).json;
    let secret = token["secret"].as_str().unwrap();
    let path = format!("/api/admin/users/{}/erase/", staff.id);
    shop.request(Method::POST, &path).token(secret).send().await.refused(403, "permission_denied");
    let second = shop.admin().await;
    admin.asks(Method::DELETE, "/api/auth/me/").json(&right).send().await.status(204);
    second.asks(Method::DELETE, "/api/auth/me/").json(&right).send().await.refused(409, "last_admin");
    // What the erased administrator had made is good no more.
    shop.request(Method::POST, &path).token(secret).send().await.refused(401, "token_invalid");
}

#[tokio::test]
async fn an_erasure_that_was_cut_short_is_finished_by_the_jobs() {
    let shop = Shop::open().await;
    let zoe = zoe(&shop).await;
    lived(&shop, &zoe, &shop.admin().await).await;
    let id = till::id::UserId(zoe.id);
    let erase = move |tx: &mut till::store::WriteTx| till::privacy::erase(tx, id, "operator");
    shop.app.store.write(erase).await.expect("nothing is under way");
    assert_eq!(tables_with(&shop, "zoe@example.com"), ["once", "invoices", "erasures"]);
    shop.later(Duration::from_secs(1));
    shop.run_jobs().await;
    assert_eq!(tables_with(&shop, "zoe@example.com"), ["invoices"]);
}

#[tokio::test]
async fn users_are_listed_searched_and_filtered() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let zoe = zoe(&shop).await;
    shop.named("staff@example.org", Role::Staff).await;
    let buyer = shop.buyer().await;
    admin.patch(&format!("/api/admin/users/{}/", buyer.id), json!({"is_active": false})).await.status(200);
    let ids = async |query: &str| {
        let list = admin.get(&format!("/api/admin/users/?{query}")).await.status(200).json;
        let found: Vec<u64> =
            list["results"].as_array().unwrap().iter().map(|user| number(&user["id"])).collect();
        assert_eq!(list["count"], found.len());
        found
    };
    assert_eq!(ids("").await.len(), 4);
    assert_eq!(ids("search=ZIMMER").await, [zoe.id]);
    assert_eq!(ids("search=zoe@").await, [zoe.id]);
    assert_eq!(ids("email=Zoe@example.com").await, [zoe.id]);
    assert_eq!(ids("email=zoe@example.com&role=staff").await, [] as [u64; 0]);
    assert_eq!(ids("role=customer&is_active=true").await, [zoe.id]);
    assert_eq!(ids("is_active=false").await, [buyer.id]);
    assert_eq!(ids("ordering=-created_at").await[0], buyer.id);
    admin.get("/api/admin/users/?role=king&is_active=maybe").await.status(422);
}

#[tokio::test]
async fn an_erased_account_stays_erased_and_its_placeholder_is_nobody_elses() {
    let shop = Shop::open().await;
    let (admin, zoe) = (shop.admin().await, zoe(&shop).await);
    let taken = json!({"email": format!("erased-{}@erased.invalid", zoe.id), "password": PASSWORD});
    shop.request(Method::POST, "/api/auth/register/").json(&taken).send().await.faults(&["email"]);
    let path = format!("/api/admin/users/{}/", zoe.id);
    admin.post(&format!("{path}erase/"), json!({})).await.status(204);
    admin.patch(&path, json!({"is_active": true, "role": "admin"})).await.refused(409, "user_erased");
    let password = json!({"password": "a new one for nobody"});
    admin.post(&format!("{path}password/"), password).await.refused(409, "user_erased");
    let shown = admin.get(&path).await.status(200).json;
    assert_eq!((&shown["is_active"], &shown["role"]), (&json!(false), &json!("customer")));
}
