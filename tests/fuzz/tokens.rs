//! Tokens of every kind: no text opens a door but those that the shop gave out, and none makes it fail.
//!
//! An input is a kind on a line, and a token. Of `signed` ones the header and the claims are given, on a line each, and
//! the test signs them with the shop's own key.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use super::shop::{self, KEY, Shop, TEMPLATE, Who};
use super::text::line;

pub fn run(data: &[u8]) {
    let (kind, token) = line(data);
    shop::with(|shop| match kind {
        b"signed" => {
            let (header, claims) = line(token);
            bearer(shop, signed(header, claims).as_bytes());
        }
        b"refresh" => posted(shop, "/api/auth/token/refresh/", "refresh", token, Some(&TEMPLATE.refresh)),
        b"logout" => posted(shop, "/api/auth/logout/", "refresh", token, Some(&TEMPLATE.refresh)),
        b"reset" => posted(shop, "/api/auth/password/reset/confirm/", "token", token, None),
        b"verify" => posted(shop, "/api/auth/verify/", "token", token, None),
        b"link" => {
            let token = String::from_utf8_lossy(token);
            let came = shop.ask(Who::Nobody, "GET", &format!("/api/orders/1/invoice/?{token}"), &[], b"");
            assert!(came.status >= 400, "an invoice is anybody's: {token}");
        }
        _ => {
            let status = bearer(shop, token);
            let is_given = token.trim_ascii() == TEMPLATE.access.as_bytes();
            assert!(status == 401 || is_given, "a token that nobody gave: {status}");
        }
    });
}

fn bearer(shop: &Shop, token: &[u8]) -> u16 {
    let value = [b"Bearer ", token].concat();
    // What is no header never comes so far.
    if http::HeaderValue::from_bytes(&value).is_err() {
        return 401;
    }
    shop.ask(Who::Nobody, "GET", "/api/auth/me/", &[("authorization", &value)], b"").status
}

fn posted(shop: &Shop, path: &str, field: &str, token: &[u8], good: Option<&str>) {
    let token = String::from_utf8_lossy(token);
    let mut body = json!({ field: token });
    if path.contains("reset") {
        body["new_password"] = json!("correct horse battery staple");
    }
    let headers: [(&str, &[u8]); 1] = [("content-type", b"application/json")];
    let came = shop.ask(Who::Nobody, "POST", path, &headers, body.to_string().as_bytes());
    // Who logs out with a token that is none is logged out.
    let is_open = came.status < 300 && !path.contains("logout");
    assert!(!is_open || good == Some(&*token), "a token that nobody gave: {token}");
    if path.contains("logout") && good != Some(&*token) {
        assert!(!shop.has_changed(), "a token that nobody gave ends a session: {token}");
    }
}

fn signed(header: &[u8], claims: &[u8]) -> String {
    let text = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
    let message = format!("{}.{}", text(header), text(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(&KEY).expect("any length will do");
    mac.update(message.as_bytes());
    format!("{message}.{}", text(&mac.finalize().into_bytes()))
}

pub fn seeds() -> Vec<Vec<u8>> {
    let parts: Vec<_> = TEMPLATE.access.split('.').collect();
    let part = |n: usize| {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(parts[n]).expect("base64");
        String::from_utf8(bytes).expect("JSON")
    };
    let (header, claims) = (part(0), part(1));
    [
        format!("bearer\n{}", TEMPLATE.access),
        format!("signed\n{header}\n{claims}"),
        format!("signed\n{{\"alg\":\"none\"}}\n{claims}"),
        format!(
            "signed\n{{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"../key\",\"jku\":\"http://x\"}}\n{claims}"
        ),
        format!("refresh\n{}", TEMPLATE.refresh),
        format!("logout\n{}", TEMPLATE.refresh),
        format!("reset\n{}", BASE64_URL_SAFE_NO_PAD.encode([0; 40])),
        format!("verify\n{}", BASE64_URL_SAFE_NO_PAD.encode([0; 48])),
        "bearer\ntill_0000000000000001_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into(),
        "link\nformat=html&expires=1795600000&signature=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into(),
    ]
    .map(String::into_bytes)
    .to_vec()
}
