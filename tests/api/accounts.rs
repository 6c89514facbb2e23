//! Registering, logging in, sessions and roles.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use till::accounts::Role;

use crate::support::{PASSWORD, Shop};

#[tokio::test]
async fn a_registered_customer_can_log_in_and_see_themselves() {
    let shop = Shop::with(&[("auth.access_minutes", "15")]).await;
    let body = json!({"email": "  Ann@Example.COM ", "password": PASSWORD, "name": "Ann"});
    let made = shop.request(Method::POST, "/api/auth/register/").json(&body).send().await.status(201);
    assert_eq!(made.json["user"]["email"], "ann@example.com");
    assert_eq!(made.json["user"]["role"], "customer");
    assert_eq!(made.json["token_type"], "Bearer");
    assert_eq!(made.json["expires_in"], 15 * 60);
    assert!(!made.text.contains("argon2"), "no hash leaves the shop");
    let login = json!({"email": "ann@example.com", "password": PASSWORD});
    let login = shop.request(Method::POST, "/api/auth/login").json(&login).send().await.status(200);
    let me =
        shop.request(Method::GET, "/api/auth/me/").token(login.json["access"].as_str().unwrap()).send().await;
    assert_eq!(me.status(200).json["name"], "Ann");
    shop.request(Method::POST, "/api/auth/register/").json(&body).send().await.refused(409, "email_taken");
}

#[tokio::test]
async fn a_registration_is_told_every_fault_at_once() {
    let shop = Shop::open().await;
    let ask = |body: serde_json::Value| shop.request(Method::POST, "/api/auth/register/").json(&body).send();
    ask(json!({"email": "ann", "password": "short", "role": "admin"}))
        .await
        .faults(&["email", "password", "role"]);
    ask(json!({})).await.faults(&["email", "password"]);
    ask(json!({"email": null, "password": 12_345_678, "name": ["x"]}))
        .await
        .faults(&["email", "name", "password"]);
    ask(json!({"email": "a@b.example", "password": "Password1"})).await.faults(&["password"]);
    ask(json!({"email": "a@b.example", "password": "x".repeat(129)})).await.faults(&["password"]);
    ask(json!({"email": format!("{}@b.example", "a".repeat(300)), "password": PASSWORD}))
        .await
        .faults(&["email"]);
    for name in ["x".repeat(201), "Ann\nBoss".into(), "Ann\u{202E}nnA".into()] {
        ask(json!({"email": "a@b.example", "password": PASSWORD, "name": name})).await.faults(&["name"]);
    }
}

#[tokio::test]
async fn unknown_addresses_wrong_passwords_and_deactivated_accounts_get_the_same_answer() {
    let shop = Shop::open().await;
    let ann = shop.named("ann@example.com", Role::Customer).await;
    let admin = shop.admin().await;
    let login = |email: &'static str, password: &'static str| {
        let body = json!({"email": email, "password": password});
        shop.request(Method::POST, "/api/auth/login/").json(&body).send()
    };
    let mut answers = vec![
        login("ann@example.com", "wrong password").await,
        login("nobody@example.com", PASSWORD).await,
        login("no address at all", PASSWORD).await,
    ];
    admin.patch(&format!("/api/admin/users/{}/", ann.id), json!({"is_active": false})).await.status(200);
    answers.push(login("ann@example.com", PASSWORD).await);
    for answer in answers {
        let answer = answer.refused(401, "invalid_credentials");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert_eq!(answer.json["detail"], "The e-mail address or the password is wrong.");
    }
}

#[tokio::test]
async fn a_login_is_the_same_work_whoever_it_is_for() {
    let shop = Shop::open().await;
    let (ann, bob, admin) = (shop.buyer().await, shop.buyer().await, shop.admin().await);
    admin.patch(&format!("/api/admin/users/{}/", bob.id), json!({"is_active": false})).await.status(200);
    let work = async |email: &str, password: &str| {
        let before = shop.app.passwords.computed();
        let body = json!({"email": email, "password": password});
        shop.request(Method::POST, "/api/auth/login/").json(&body).send().await;
        shop.app.passwords.computed() - before
    };
    for email in [&ann.email, &bob.email, "nobody@example.com", "no address at all"] {
        assert_eq!(work(email, PASSWORD).await, 1, "{email}");
        assert_eq!(work(email, "wrong password").await, 1, "{email}");
    }
    // Whether there is an account or not, asking for a link computes nothing, and answers before it is looked up.
    let before = shop.app.passwords.computed();
    for email in [&ann.email, "nobody@example.com"] {
        let body = json!({"email": email});
        shop.request(Method::POST, "/api/auth/password/reset/").json(&body).send().await.status(202);
    }
    assert_eq!(shop.app.passwords.computed(), before);
}

#[tokio::test]
async fn a_hash_of_less_work_is_made_anew_at_the_next_login() {
    let shop = Shop::open().await;
    // "correct horse battery", with 64 KiB and one pass.
    let new = till::accounts::NewUser {
        email: "ann@example.com".parse().expect("an address"),
        name: String::new(),
        role: Role::Customer,
        password_hash:
            "$argon2id$v=19$m=64,t=1,p=1$C0e15iBrLRk+HHjVpjiuqw$aHJTvoQH5rIZ14eMStCkHPX8i21LouccpnctK2JNgXE"
                .into(),
    };
    let weak = new.password_hash.clone();
    let (id, _) = shop.app.store.write(move |tx| till::accounts::create_user(tx, &new)).await.expect("made");
    let login = async |password: &str| {
        let body = json!({"email": "ann@example.com", "password": password});
        shop.request(Method::POST, "/api/auth/login/").json(&body).send().await.status.as_u16()
    };
    let hash = || shop.app.store.read(|tx| till::accounts::get(tx, id)).expect("a user").password_hash;
    assert_eq!(login("wrong password").await, 401);
    assert_eq!(hash(), weak);
    assert_eq!(login(PASSWORD).await, 200);
    assert!(hash().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash());
    assert_eq!(login(PASSWORD).await, 200);
}

#[tokio::test]
async fn a_refresh_token_works_once_and_its_reuse_ends_the_session() {
    let shop = Shop::open().await;
    let ann = shop.buyer().await;
    let refresh = |token: String| {
        shop.request(Method::POST, "/api/auth/token/refresh/").json(&json!({"refresh": token})).send()
    };
    let second = refresh(ann.refresh.clone()).await.status(200);
    let fresh = second.json["access"].as_str().unwrap();
    shop.request(Method::GET, "/api/auth/me/").token(fresh).send().await.status(200);
    refresh(ann.refresh.clone()).await.refused(401, "token_reused");
    refresh(second.json["refresh"].as_str().unwrap().into()).await.refused(401, "token_invalid");
    shop.request(Method::GET, "/api/auth/me/").token(fresh).send().await.refused(401, "token_invalid");
    for forged in ["", "x", &"A".repeat(64)] {
        let answer = refresh(forged.into()).await;
        assert!([401, 422].contains(&answer.status.as_u16()), "{}", answer.text);
    }
}

#[tokio::test]
async fn logging_out_ends_the_session_and_its_access_tokens() {
    let shop = Shop::open().await;
    let ann = shop.buyer().await;
    let body = json!({"refresh": ann.refresh});
    shop.request(Method::POST, "/api/auth/logout/").json(&body).send().await.status(204);
    ann.get("/api/auth/me/").await.refused(401, "token_invalid");
    shop.request(Method::POST, "/api/auth/token/refresh/")
        .json(&body)
        .send()
        .await
        .refused(401, "token_invalid");
}

#[tokio::test]
async fn access_tokens_and_sessions_run_out() {
    let shop = Shop::with(&[("auth.access_minutes", "15")]).await;
    let ann = shop.buyer().await;
    shop.later(Duration::from_secs(15 * 60 + 30));
    ann.get("/api/auth/me/").await.refused(401, "token_expired");
    let body = json!({"refresh": ann.refresh});
    let again = shop.request(Method::POST, "/api/auth/token/refresh/").json(&body).send().await.status(200);
    shop.later(Duration::from_secs(31 * 24 * 3600));
    let body = json!({"refresh": again.json["refresh"]});
    shop.request(Method::POST, "/api/auth/token/refresh/")
        .json(&body)
        .send()
        .await
        .refused(401, "token_invalid");
    shop.run_jobs().await;
}

#[tokio::test]
async fn a_new_password_ends_all_other_sessions() {
    let shop = Shop::open().await;
    let ann = shop.named("ann@example.com", Role::Customer).await;
    let login = json!({"email": "ann@example.com", "password": PASSWORD});
    let other = shop.request(Method::POST, "/api/auth/login/").json(&login).send().await.status(200);
    let change = |current: &str, new: &str| json!({"current_password": current, "new_password": new});
    ann.post("/api/auth/password/", change("wrong password", "another fine one"))
        .await
        .refused(401, "invalid_credentials");
    ann.post("/api/auth/password/", change(PASSWORD, "short")).await.faults(&["new_password"]);
    ann.post("/api/auth/password/", change(PASSWORD, "another fine one")).await.status(204);
    ann.get("/api/auth/me/").await.status(200);
    let token = other.json["access"].as_str().unwrap();
    shop.request(Method::GET, "/api/auth/me/").token(token).send().await.refused(401, "token_invalid");
    shop.request(Method::POST, "/api/auth/login/")
        .json(&login)
        .send()
        .await
        .refused(401, "invalid_credentials");
}

#[tokio::test]
async fn customers_change_their_name_and_address_and_nothing_else() {
    let shop = Shop::open().await;
    let ann = shop.buyer().await;
    let address = crate::support::address();
    let me =
        ann.patch("/api/auth/me/", json!({"name": "Ann Lee", "default_address": address})).await.status(200);
    assert_eq!((&me.json["name"], &me.json["default_address"]["city"]), (&json!("Ann Lee"), &json!("Leeds")));
    ann.patch("/api/auth/me/", json!({"role": "admin", "is_active": true}))
        .await
        .faults(&["is_active", "role"]);
    ann.patch("/api/auth/me/", json!({"default_address": {"country": "XX"}})).await.faults(&[
        "default_address.city",
        "default_address.country",
        "default_address.line1",
        "default_address.name",
    ]);
    let me = ann.patch("/api/auth/me/", json!({"default_address": null})).await.status(200);
    assert!(me.json["default_address"].is_null());
}

#[tokio::test]
async fn a_changed_role_counts_at_once() {
    let shop = Shop::open().await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    ann.get("/api/admin/orders/").await.refused(403, "permission_denied");
    let path = format!("/api/admin/users/{}/", ann.id);
    admin.patch(&path, json!({"role": "staff"})).await.status(200);
    ann.get("/api/admin/orders/").await.status(200);
    admin.patch(&path, json!({"role": "customer"})).await.status(200);
    ann.get("/api/admin/orders/").await.refused(403, "permission_denied");
    admin.patch(&path, json!({"is_active": false})).await.status(200);
    ann.get("/api/auth/me/").await.refused(401, "token_invalid");
}

#[tokio::test]
async fn the_last_active_administrator_stays() {
    let shop = Shop::open().await;
    let (one, two) = (shop.admin().await, shop.admin().await);
    let path = |id: u64| format!("/api/admin/users/{id}/");
    one.patch(&path(two.id), json!({"role": "staff"})).await.status(200);
    one.patch(&path(one.id), json!({"role": "customer"})).await.refused(409, "last_admin");
    one.patch(&path(one.id), json!({"is_active": false})).await.refused(409, "last_admin");
    one.get("/api/auth/me/").await.status(200);
}

#[tokio::test]
async fn administrators_make_and_see_accounts() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let body = json!({"email": "new@example.com", "password": PASSWORD, "role": "staff", "name": "New"});
    let made = admin.post("/api/admin/users/", body.clone()).await.status(201);
    assert_eq!(made.header("location"), format!("/api/admin/users/{}/", made.json["id"]));
    admin.post("/api/admin/users/", body).await.refused(409, "email_taken");
    admin.post("/api/admin/users/", json!({"role": "king"})).await.faults(&["email", "password", "role"]);
    let list = admin.get("/api/admin/users/?page_size=1&page=2").await.status(200);
    assert_eq!(
        (&list.json["count"], &list.json["results"][0]["email"]),
        (&json!(2), &json!("new@example.com"))
    );
    let path = format!("/api/admin/users/{}/", made.json["id"]);
    assert_eq!(admin.get(&path).await.status(200).json["role"], "staff");
    admin.post(&format!("{path}password/"), json!({"password": "a new password"})).await.status(204);
    let login = json!({"email": "new@example.com", "password": "a new password"});
    shop.request(Method::POST, "/api/auth/login/").json(&login).send().await.status(200);
    admin.get("/api/admin/users/999/").await.refused(404, "not_found");
    admin.patch("/api/admin/users/999/", json!({"role": "staff"})).await.refused(404, "not_found");
}
