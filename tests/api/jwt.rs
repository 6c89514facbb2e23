//! Access tokens as an attacker forges them: with the shop's own key in hand, without it, and by what libraries have
//! got wrong.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Sha256, Sha512};

use crate::support::{Answer, Person, Shop};

const KEY: &str = "the key of the shop that the forgers are after";
const SETTINGS: &[(&str, &str)] = &[("auth.signing_key", KEY), ("auth.access_minutes", "15")];

fn encoded(part: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(part)
}

/// What a real token says: its header and its claims.
fn parts(token: &str) -> (Value, Value) {
    let mut parts = token.split('.').map(|part| {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64");
        serde_json::from_slice(&bytes).unwrap_or(Value::Null)
    });
    (parts.next().expect("a header"), parts.next().expect("claims"))
}

/// A token that is signed with HS256, of any header and claims, even such as are no JSON.
fn signed(header: &str, claims: &str, key: &str) -> String {
    let text = format!("{}.{}", encoded(header), encoded(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any key");
    mac.update(text.as_bytes());
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn changed(part: &Value, name: &str, value: Value) -> String {
    let mut part = part.clone();
    part[name] = value;
    part.to_string()
}

fn without(part: &Value, name: &str) -> String {
    let mut part = part.clone();
    part.as_object_mut().expect("an object").remove(name).expect("it was there");
    part.to_string()
}

async fn me(shop: &Shop, token: &str) -> Answer {
    shop.request(Method::GET, "/api/auth/me/").token(token).send().await
}

async fn is_refused(ann: &Person<'_>, what: &str, token: &str) {
    let answer = me(ann.shop, token).await;
    assert_eq!((answer.status.as_u16(), &answer.json["code"]), (401, &json!("token_invalid")), "{what}");
    assert_eq!(answer.header("www-authenticate"), "Bearer", "{what}");
}

#[tokio::test]
async fn a_token_says_whose_it_is_for_whom_and_by_which_key() {
    let shop = Shop::with(SETTINGS).await;
    let ann = shop.buyer().await;
    let (header, claims) = parts(&ann.access);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("HS256"), &json!("at+jwt")));
    assert!(header["kid"].as_str().is_some_and(|kid| kid.len() == 16), "{header}");
    let now = shop.app.clock.now().seconds();
    let expected = json!({"iss": shop.app.shop, "aud": "api", "sub": ann.id.to_string(), "iat": now, "nbf": now, "exp": now + 900});
    for (name, value) in expected.as_object().expect("claims") {
        assert_eq!(&claims[name], value, "{name}");
    }
    let next = json!({"refresh": ann.refresh});
    let next = shop.request(Method::POST, "/api/auth/token/refresh/").json(&next).send().await.status(200);
    let (_, next) = parts(next.json["access"].as_str().expect("a token"));
    assert_ne!(next["jti"], claims["jti"], "no two tokens have one id");
}

#[tokio::test]
async fn what_was_not_signed_as_the_shop_signs_is_refused() {
    let shop = Shop::with(SETTINGS).await;
    let ann = shop.buyer().await;
    let (header, claims) = parts(&ann.access);
    let (head, body) = (header.to_string(), claims.to_string());
    me(&shop, &signed(&head, &body, KEY)).await.status(200);

    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let head = changed(&header, "alg", json!(alg));
        let bare = format!("{}.{}.", encoded(&head), encoded(&body));
        is_refused(&ann, alg, &bare).await;
        is_refused(&ann, alg, &signed(&head, &body, KEY)).await;
        is_refused(&ann, alg, &signed(&head, &body, "")).await;
    }
    for alg in ["HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA", "hs256"] {
        is_refused(&ann, alg, &signed(&changed(&header, "alg", json!(alg)), &body, KEY)).await;
    }
    // Signed as its header says, with the right key: the shop signs otherwise.
    let head = changed(&header, "alg", json!("HS512"));
    let text = format!("{}.{}", encoded(&head), encoded(&body));
    let mut mac = Hmac::<Sha512>::new_from_slice(KEY.as_bytes()).expect("any key");
    mac.update(text.as_bytes());
    let whole = format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
    is_refused(&ann, "HS512 in earnest", &whole).await;

    let stranger = "the key of some other shop, which is as long";
    is_refused(&ann, "another shop's key", &signed(&header.to_string(), &body, stranger)).await;
    is_refused(&ann, "an empty key", &signed(&header.to_string(), &body, "")).await;
    let (text, signature) = ann.access.rsplit_once('.').expect("three parts");
    is_refused(&ann, "no signature", &format!("{text}.")).await;
    is_refused(&ann, "two parts", text).await;
    is_refused(&ann, "four parts", &format!("{}.{signature}", ann.access)).await;
    is_refused(&ann, "half a signature", &format!("{text}.{}", &signature[..22])).await;
    is_refused(&ann, "padding", &format!("{}=", ann.access)).await;
    let other = encoded(&changed(&claims, "sub", json!("1")));
    let head = encoded(&header.to_string());
    is_refused(&ann, "other claims under its signature", &format!("{head}.{other}.{signature}")).await;
}

#[tokio::test]
async fn a_header_chooses_no_key_but_one_of_the_shops() {
    let shop = Shop::with(SETTINGS).await;
    let ann = shop.buyer().await;
    let (header, claims) = parts(&ann.access);
    let body = claims.to_string();
    for kid in [
        "",
        "0123456789abcdef",
        "../../../../dev/null",
        "/proc/self/environ",
        "signing.key",
        "' OR 1=1 --",
        "\u{0}",
        "*",
    ] {
        for key in [KEY, "", "\0"] {
            is_refused(&ann, kid, &signed(&changed(&header, "kid", json!(kid)), &body, key)).await;
        }
    }
    for kid in [json!(null), json!(0), json!([header["kid"]]), json!({"kid": header["kid"]})] {
        let answer = me(&shop, &signed(&changed(&header, "kid", kid.clone()), &body, "")).await;
        answer.refused(401, "token_invalid");
    }
    let doubled = format!("{{\"kid\":\"x\",{}", &header.to_string()[1..]);
    is_refused(&ann, "two kids", &signed(&doubled, &body, KEY)).await;
    // A key in the token itself, and where to fetch one.
    let own = "a key that the forger brings along, long enough";
    let jwk = json!({"kty": "oct", "k": encoded(own), "alg": "HS256"});
    is_refused(&ann, "jwk", &signed(&changed(&header, "jwk", jwk), &body, own)).await;
    let url = json!("http://127.0.0.1:1/keys");
    is_refused(&ann, "jku", &signed(&changed(&header, "jku", url), &body, own)).await;
    is_refused(&ann, "crit", &signed(&changed(&header, "crit", json!(["exp"])), &body, KEY)).await;
    is_refused(&ann, "typ", &signed(&changed(&header, "typ", json!("JWT")), &body, KEY)).await;
    is_refused(&ann, "no typ", &signed(&without(&header, "typ"), &body, KEY)).await;
    is_refused(&ann, "no alg", &signed(&without(&header, "alg"), &body, KEY)).await;
}

#[tokio::test]
async fn every_claim_must_be_there_once_and_right() {
    let shop = Shop::with(SETTINGS).await;
    let ann = shop.buyer().await;
    let (header, claims) = parts(&ann.access);
    let head = header.to_string();
    for name in claims.as_object().expect("claims").keys() {
        is_refused(&ann, name, &signed(&head, &without(&claims, name), KEY)).await;
        is_refused(&ann, name, &signed(&head, &changed(&claims, name, json!(null)), KEY)).await;
        is_refused(&ann, name, &signed(&head, &changed(&claims, name, json!([claims[name]])), KEY)).await;
        let doubled = format!("{{\"{name}\":{},{}", claims[name], &claims.to_string()[1..]);
        is_refused(&ann, name, &signed(&head, &doubled, KEY)).await;
    }
    for (name, value) in [
        ("iss", json!("another shop")),
        ("iss", json!("http://127.0.0.1")),
        ("aud", json!("paper")),
        ("sub", json!("0")),
        ("sub", json!("-1")),
        ("sub", json!("1 ")),
        ("sub", json!(ann.id + 1)),
        ("sid", json!(u64::MAX)),
        ("sid", json!(1.5)),
        ("exp", json!(1e300)),
        ("exp", json!("never")),
        ("nbf", json!(i64::MAX)),
    ] {
        is_refused(&ann, name, &signed(&head, &changed(&claims, name, value), KEY)).await;
    }
    // Somebody else's session.
    let bob = shop.buyer().await;
    let (_, bobs) = parts(&bob.access);
    is_refused(&ann, "bob's session", &signed(&head, &changed(&claims, "sid", bobs["sid"].clone()), KEY))
        .await;
    for body in ["", "null", "[]", "{", "\"sub\"", "{\"a\":{\"a\":{\"a\":{\"a\":[]}}}}", &"[".repeat(5000)] {
        is_refused(&ann, body, &signed(&head, body, KEY)).await;
    }
    // As long as headers may be, and longer.
    let huge = changed(&claims, "more", json!("x".repeat(8000)));
    me(&shop, &signed(&head, &huge, KEY)).await.status(200);
    let huge = changed(&claims, "more", json!("x".repeat(20_000)));
    me(&shop, &signed(&head, &huge, KEY)).await.refused(431, "headers_too_large");
}

#[tokio::test]
async fn clocks_may_be_half_a_minute_apart_and_no_more() {
    let shop = Shop::with(SETTINGS).await;
    let ann = shop.buyer().await;
    let (header, claims) = parts(&ann.access);
    let now = shop.app.clock.now().seconds();
    let moved =
        |name: &str, by: i64| signed(&header.to_string(), &changed(&claims, name, json!(now + by)), KEY);
    me(&shop, &moved("exp", -29)).await.status(200);
    me(&shop, &moved("exp", -31)).await.refused(401, "token_expired");
    me(&shop, &moved("nbf", 29)).await.status(200);
    me(&shop, &moved("nbf", 31)).await.refused(401, "token_invalid");
    me(&shop, &moved("iat", 31)).await.refused(401, "token_invalid");
    let forever = signed(&header.to_string(), &changed(&claims, "exp", json!(i64::MAX)), KEY);
    me(&shop, &forever).await.status(200);

    shop.later(Duration::from_secs(15 * 60 + 29));
    ann.get("/api/auth/me/").await.status(200);
    shop.later(Duration::from_secs(2));
    ann.get("/api/auth/me/").await.refused(401, "token_expired");
}

#[tokio::test]
async fn one_kind_of_token_is_not_taken_for_another() {
    let shop = Shop::with(SETTINGS).await;
    let ann = shop.buyer().await;
    is_refused(&ann, "a refresh token", &ann.refresh).await;
    for token in [&ann.access, &ann.refresh[..60].to_owned(), &format!("{}A", ann.refresh)] {
        let body = json!({"refresh": token});
        let asked = shop.request(Method::POST, "/api/auth/token/refresh/").json(&body).send().await;
        assert!([401, 422].contains(&asked.status.as_u16()), "{}", asked.text);
        let body = json!({"token": token, "new_password": "a new pass phrase"});
        let asked = shop.request(Method::POST, "/api/auth/password/reset/confirm/").json(&body).send().await;
        assert_eq!(asked.status, 422, "{}", asked.text);
    }
}

#[tokio::test]
async fn a_token_of_before_keys_had_names_is_to_be_refreshed() {
    let shop = Shop::with(SETTINGS).await;
    let ann = shop.buyer().await;
    let (_, claims) = parts(&ann.access);
    let header = json!({"typ": "JWT", "alg": "HS256"}).to_string();
    let old = json!({"sub": claims["sub"], "sid": claims["sid"], "iat": claims["iat"], "exp": claims["exp"]});
    me(&shop, &signed(&header, &old.to_string(), KEY)).await.refused(401, "token_expired");
    is_refused(&ann, "of another key", &signed(&header, &old.to_string(), "no key of this shop at all"))
        .await;
    let body = json!({"refresh": ann.refresh});
    shop.request(Method::POST, "/api/auth/token/refresh/").json(&body).send().await.status(200);
}
