//! How much is answered, to whom: by the shop's clock, which stands still until it is moved.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use till::accounts::Role;
use till::id::UserId;

use crate::support::{Answer, PASSWORD, Shop};

/// A shop with limits, behind a proxy that is believed: the test.
async fn limited(settings: &[(&'static str, &str)]) -> Shop {
    let mut all = vec![("limits.enabled", "true"), ("server.trusted_proxies", "127.0.0.1")];
    all.extend(settings);
    Shop::with(&all).await
}

async fn get(shop: &Shop, from: &str) -> Answer {
    shop.request(Method::GET, "/api/products/").header("X-Forwarded-For", from).send().await
}

async fn log_in(shop: &Shop, from: &str, email: &str, password: &str) -> Answer {
    let asking = shop.request(Method::POST, "/api/auth/login/").header("X-Forwarded-For", from);
    asking.json(&json!({"email": email, "password": password})).send().await
}

fn left(answer: &Answer) -> [&str; 3] {
    ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"].map(|name| answer.header(name))
}

#[tokio::test]
async fn an_address_gets_so_many_answers_and_is_told_how_many_are_left() {
    let shop = limited(&[("limits.requests", "3/minute")]).await;
    assert_eq!(left(&get(&shop, "198.51.100.1").await.status(200)), ["3", "2", "20"]);
    assert_eq!(left(&get(&shop, "198.51.100.1").await.status(200)), ["3", "1", "40"]);
    get(&shop, "198.51.100.1").await.status(200);
    let refused = get(&shop, "198.51.100.1").await.refused(429, "rate_limited");
    assert_eq!(refused.header("Retry-After"), "20");
    get(&shop, "198.51.100.2").await.status(200);
    shop.later(Duration::from_secs(20));
    get(&shop, "198.51.100.1").await.status(200);
    get(&shop, "198.51.100.1").await.refused(429, "rate_limited");
    // Looking for what is not there is no way around.
    let asking = shop.request(Method::GET, "/nowhere").header("X-Forwarded-For", "198.51.100.1");
    asking.send().await.refused(429, "rate_limited");
    // Whoever watches over the shop has no limit.
    for _ in 0..5 {
        let asking = shop.request(Method::GET, "/healthz").header("X-Forwarded-For", "198.51.100.1");
        assert_eq!(asking.send().await.status(200).header("RateLimit-Limit"), "");
    }
}

#[tokio::test]
async fn a_household_with_ipv6_is_one_client() {
    let shop = limited(&[("limits.requests", "1/minute")]).await;
    get(&shop, "2001:db8:1:2::1").await.status(200);
    get(&shop, "2001:db8:1:2:ffff::2").await.refused(429, "rate_limited");
    get(&shop, "2001:db8:1:3::1").await.status(200);
}

#[tokio::test]
async fn nobody_gets_around_a_limit_by_saying_that_they_speak_for_others() {
    let shop = Shop::with(&[("limits.enabled", "true"), ("limits.requests", "2/minute")]).await;
    get(&shop, "198.51.100.1").await.status(200);
    get(&shop, "198.51.100.2").await.status(200);
    get(&shop, "198.51.100.3").await.refused(429, "rate_limited");
    let forwarded = shop.request(Method::GET, "/api/products/").header("Forwarded", "for=198.51.100.4");
    forwarded.send().await.refused(429, "rate_limited");
}

#[tokio::test]
async fn links_are_what_the_client_called_the_proxy() {
    let shop = limited(&[]).await;
    shop.product("tea", "1.00", 1).await;
    shop.product("mug", "1.00", 1).await;
    let asking =
        shop.request(Method::GET, "/api/products/?page_size=1").header("X-Forwarded-For", "198.51.100.1");
    let asking = asking.header("X-Forwarded-Proto", "https").header("X-Forwarded-Host", "shop.example");
    let list = asking.send().await.status(200).json;
    assert_eq!(list["next"], "https://shop.example/api/products/?page_size=1&page=2");
    // Not so from anybody else.
    let shop = Shop::open().await;
    shop.product("tea", "1.00", 1).await;
    shop.product("mug", "1.00", 1).await;
    let asking =
        shop.request(Method::GET, "/api/products/?page_size=1").header("X-Forwarded-For", "198.51.100.1");
    let asking = asking.header("X-Forwarded-Proto", "https").header("X-Forwarded-Host", "shop.example");
    let list = asking.send().await.status(200).json;
    assert_eq!(list["next"], format!("{}/api/products/?page_size=1&page=2", shop.base));
}

#[tokio::test]
async fn a_user_is_limited_wherever_they_come_from_and_so_is_a_token() {
    let shop = limited(&[("limits.user_requests", "3/minute")]).await;
    let ann = shop.buyer().await;
    let ask = async |token: &str, n: usize| {
        let asking = shop.request(Method::GET, "/api/auth/me/").token(token);
        asking.header("X-Forwarded-For", &format!("198.51.100.{n}")).send().await
    };
    for n in 0..3 {
        let remaining = (2 - n).to_string();
        assert_eq!(left(&ask(&ann.access, n).await.status(200))[..2], ["3", remaining.as_str()]);
    }
    ask(&ann.access, 9).await.refused(429, "rate_limited");
    get(&shop, "198.51.100.9").await.status(200);
    let other = shop.buyer().await;
    ask(&other.access, 9).await.status(200);

    let admin = shop.admin().await;
    let made =
        admin.post("/api/admin/tokens/", json!({"name": "t", "scopes": ["orders:read"]})).await.status(201);
    let secret = made.json["secret"].as_str().expect("a secret").to_owned();
    let list = async || shop.request(Method::GET, "/api/admin/orders/").token(&secret).send().await;
    for _ in 0..3 {
        list().await.status(200);
    }
    list().await.refused(429, "rate_limited");
}

#[tokio::test]
async fn logins_registrations_mails_and_guesses_have_limits_of_their_own() {
    let settings = [
        ("limits.logins", "2/hour"),
        ("limits.registrations", "2/hour"),
        ("limits.mails", "2/hour"),
        ("limits.guesses", "2/hour"),
    ];
    let shop = limited(&settings).await;
    let ann = shop.buyer().await;
    let post = async |path: &str, from: &str, body| {
        let asking = shop.request(Method::POST, path).header("X-Forwarded-For", from).token(&ann.access);
        asking.json(&body).send().await
    };
    for (path, body) in [
        ("/api/auth/login/", json!({"email": "a@example.com", "password": "wrong"})),
        ("/api/auth/register/", json!({"email": "not an address"})),
        ("/api/auth/password/reset/", json!({"email": "a@example.com"})),
        ("/api/auth/password/reset/confirm/", json!({"token": "x", "new_password": "a fine password"})),
        ("/api/cart/coupon/", json!({"code": "GUESS"})),
    ] {
        let from = format!("192.0.2.{}", path.len());
        for _ in 0..2 {
            assert_ne!(post(path, &from, body.clone()).await.status.as_u16(), 429, "{path}");
        }
        let refused = post(path, &from, body.clone()).await.refused(429, "rate_limited");
        assert_eq!(refused.header("Retry-After"), "1800");
    }
    // Who guesses coupons can't do so from elsewhere with the same account.
    post("/api/cart/coupon/", "203.0.113.77", json!({"code": "GUESS"})).await.refused(429, "rate_limited");
    // All else goes on.
    get(&shop, "192.0.2.16").await.status(200);
}

#[tokio::test]
async fn a_login_flood_from_a_thousand_addresses_leaves_those_that_are_limited_limited() {
    let shop = limited(&[("limits.requests", "1/minute")]).await;
    get(&shop, "198.51.100.1").await.status(200);
    for n in 0..1000 {
        get(&shop, &format!("203.{}.{}.1", n / 250, n % 250)).await.status(200);
    }
    get(&shop, "198.51.100.1").await.refused(429, "rate_limited");
}

const HOME: &str = "198.51.100.1";
const STRANGER: &str = "203.0.113.66";

#[tokio::test]
async fn strangers_who_guess_wait_longer_each_time_and_the_owner_does_not() {
    let shop = limited(&[]).await;
    shop.named("ann@example.com", Role::Customer).await;
    log_in(&shop, HOME, "ann@example.com", PASSWORD).await.status(200);
    for n in 0..5 {
        log_in(&shop, &format!("203.0.113.{n}"), "ann@example.com", "wrong")
            .await
            .refused(401, "invalid_credentials");
    }
    // From wherever: it is the account that is guessed at.
    let refused = log_in(&shop, STRANGER, "Ann@Example.com ", "wrong").await.refused(429, "rate_limited");
    assert_eq!(refused.header("Retry-After"), "2");
    // Nor does the right password tell itself from a wrong one.
    log_in(&shop, STRANGER, "ann@example.com", PASSWORD).await.refused(429, "rate_limited");
    let mut waits = Vec::new();
    for _ in 0..12 {
        let wait: u64 = log_in(&shop, STRANGER, "ann@example.com", "wrong")
            .await
            .header("Retry-After")
            .parse()
            .expect("a wait");
        waits.push(wait);
        shop.later(Duration::from_secs(wait));
        log_in(&shop, STRANGER, "ann@example.com", "wrong").await.refused(401, "invalid_credentials");
        // Ann comes from where she has been before.
        log_in(&shop, HOME, "ann@example.com", PASSWORD).await.status(200);
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
    // A day of quiet later, all is forgotten.
    shop.later(Duration::from_hours(25));
    log_in(&shop, STRANGER, "ann@example.com", PASSWORD).await.status(200);
}

#[tokio::test]
async fn an_address_without_an_account_is_treated_like_one_with_an_account() {
    let shop = limited(&[]).await;
    shop.named("ann@example.com", Role::Customer).await;
    let mut answers = Vec::new();
    for email in ["ann@example.com", "nobody@example.com"] {
        let mut seen = Vec::new();
        for _ in 0..8 {
            let answer = log_in(&shop, STRANGER, email, "wrong").await;
            let wait = answer.header("Retry-After").to_owned();
            shop.later(Duration::from_secs(wait.parse().unwrap_or(0)));
            seen.push((answer.status, answer.json["detail"].clone(), wait));
        }
        answers.push(seen);
    }
    assert_eq!(answers[0], answers[1]);
}

/// Ann chooses a new password by mail, from `address`.
async fn choose_anew(shop: &Shop, address: &str, ann: u64, password: &str) {
    let asking = shop.request(Method::POST, "/api/auth/password/reset/").header("X-Forwarded-For", address);
    asking.json(&json!({"email": "ann@example.com"})).send().await.status(202);
    // The answer does not wait for the mail; whatever is written now comes after it.
    shop.app.store.probe().await.expect("it can write");
    let token = shop
        .app
        .store
        .read(|tx| till::accounts::reset_token(tx, &shop.app.keys, UserId(ann), shop.app.clock.now()));
    let (token, _) = token.expect("the shop can be read").expect("a link was asked for");
    let asking =
        shop.request(Method::POST, "/api/auth/password/reset/confirm/").header("X-Forwarded-For", address);
    asking.json(&json!({"token": token, "new_password": password})).send().await.status(204);
}

#[tokio::test]
async fn whoever_is_locked_out_by_strangers_comes_in_by_mail() {
    let shop = limited(&[]).await;
    let ann = shop.named("ann@example.com", Role::Customer).await;
    let away = "192.0.2.44";
    for _ in 0..6 {
        log_in(&shop, STRANGER, "ann@example.com", "wrong").await;
    }
    log_in(&shop, away, "ann@example.com", PASSWORD).await.refused(429, "rate_limited");
    choose_anew(&shop, away, ann.id, "another fine password").await;
    for _ in 0..6 {
        log_in(&shop, STRANGER, "ann@example.com", "wrong").await;
    }
    log_in(&shop, away, "ann@example.com", "another fine password").await.status(200);
}

#[tokio::test]
async fn a_new_password_by_mail_is_good_where_others_guess_at_the_same_address() {
    let shop = limited(&[]).await;
    let ann = shop.named("ann@example.com", Role::Customer).await;
    let office = "192.0.2.44";
    log_in(&shop, office, "ann@example.com", PASSWORD).await.status(200);
    for _ in 0..7 {
        log_in(&shop, office, "ann@example.com", "wrong").await;
    }
    log_in(&shop, office, "ann@example.com", PASSWORD).await.refused(429, "rate_limited");
    choose_anew(&shop, office, ann.id, "another fine password").await;
    log_in(&shop, office, "ann@example.com", "another fine password").await.status(200);
}

#[tokio::test]
async fn a_password_that_is_asked_for_again_can_t_be_guessed_either() {
    let shop = limited(&[]).await;
    let ann = shop.named("ann@example.com", Role::Customer).await;
    let change = json!({"current_password": "wrong", "new_password": "another fine password"});
    for _ in 0..5 {
        ann.post("/api/auth/password/", change.clone()).await.refused(401, "invalid_credentials");
    }
    ann.post("/api/auth/password/", change).await.refused(429, "rate_limited");
    let asking = ann.asks(Method::DELETE, "/api/auth/me/").json(&json!({"password": PASSWORD}));
    asking.send().await.refused(429, "rate_limited");
    shop.later(Duration::from_secs(2));
    let right = json!({"current_password": PASSWORD, "new_password": "another fine password"});
    ann.post("/api/auth/password/", right).await.status(204);
}

#[tokio::test]
async fn what_is_kept_of_where_somebody_was_goes_with_them() {
    let shop = limited(&[]).await;
    let ann = shop.named("ann@example.com", Role::Customer).await;
    for n in 0..15 {
        log_in(&shop, &format!("198.51.100.{n}"), "ann@example.com", PASSWORD).await.status(200);
        shop.later(Duration::from_secs(1));
    }
    let kept = || shop.app.store.read(|tx| till::accounts::is_nowhere(tx, UserId(ann.id))).expect("read");
    assert!(!kept());
    let asking = ann.asks(Method::DELETE, "/api/auth/me/").json(&json!({"password": PASSWORD}));
    asking.send().await.status(204);
    assert!(kept());
}

#[tokio::test]
async fn switched_off_nothing_is_limited() {
    let shop = Shop::with(&[("limits.requests", "1/hour"), ("limits.logins", "1/hour")]).await;
    for _ in 0..10 {
        assert_eq!(left(&get(&shop, HOME).await.status(200)), ["", "", ""]);
        log_in(&shop, HOME, "nobody@example.com", "wrong").await.refused(401, "invalid_credentials");
    }
}
