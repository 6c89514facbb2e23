//! Webhooks: what PayPal tells the shop, the list of it, and its signatures.

use super::FakePayPal;
use super::clock::{moment, stamp};
use super::wire::{Call, link};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Request, Uri};
use ring::rand::SystemRandom;
use ring::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde_json::{Value, json, value::RawValue};
use std::collections::BTreeMap;
use std::sync::LazyLock;

const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gateways/paypal-certs/");
const ALGORITHM: &str = "SHA256withRSA";
/// What PayPal puts into the list's `next` link beside what its description knows.
const PAGING: [&str; 2] = ["move_to", "index_id"];

/// PayPal's own key; reading one takes longer than signing with it.
static KEY: LazyLock<RsaKeyPair> = LazyLock::new(|| read_key("leaf.key.pem"));

/// A webhook's headers, in lower case.
pub type Headers = Vec<(&'static str, String)>;

pub struct Event {
    at: i64,
    json: Value,
}

impl FakePayPal {
    pub(super) fn event(
        &mut self,
        now: i64,
        kind: &str,
        resource_type: &str,
        summary: &str,
        resource: Value,
    ) {
        let id = format!("WH-{}-{}", self.name("E"), self.name("T"));
        let here = self.url(&format!("/v1/notifications/webhooks-events/{id}"));
        let mut json = json!({
            "id": id,
            "create_time": stamp(now),
            "resource_type": resource_type,
            "event_type": kind,
            "event_version": "1.0",
            "resource_version": if resource_type == "dispute" { "1.0" } else { "2.0" },
            "summary": summary,
            "links": [link(&here, "self", "GET"), link(&format!("{here}/resend"), "resend", "POST")],
        });
        json["resource"] = resource;
        self.events.push(Event { at: now, json });
    }

    /// The bodies of the webhooks not taken yet, oldest first.
    pub fn take_events(&mut self) -> Vec<String> {
        let new = self.events[self.taken..].iter().map(|event| event.json.to_string()).collect();
        self.taken = self.events.len();
        new
    }

    /// The headers of a webhook as PayPal sends it.
    pub fn signed(&self, now: i64, event: &str) -> Headers {
        self.signed_with(&KEY, &self.cert_url, now, event)
    }

    /// The same with a key from a file beside the certificates, and any address for the certificate.
    pub fn signed_by(&self, key_file: &str, cert_url: &str, now: i64, event: &str) -> Headers {
        self.signed_with(&read_key(key_file), cert_url, now, event)
    }

    fn signed_with(&self, key: &RsaKeyPair, cert_url: &str, now: i64, event: &str) -> Headers {
        let id = format!("{:08x}-d67a-11e5-baa3-{now:012x}", crc32fast::hash(event.as_bytes()));
        let time = stamp(now);
        let text = signed_text(&id, &time, &self.webhook_id, event);
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .expect("a signature");
        vec![
            ("paypal-transmission-id", id),
            ("paypal-transmission-time", time),
            ("paypal-transmission-sig", STANDARD.encode(signature)),
            ("paypal-cert-url", cert_url.to_owned()),
            ("paypal-auth-algo", ALGORITHM.to_owned()),
        ]
    }

    /// Looks at the event exactly as it was sent: a shop that parses and prints it again has another text.
    pub(super) fn verify(&self, call: &Call) -> (u16, Value) {
        let good = serde_json::from_slice(call.body).is_ok_and(|sent| self.genuine(&call.json, &sent));
        (200, json!({ "verification_status": if good { "SUCCESS" } else { "FAILURE" } }))
    }

    fn genuine(&self, sent: &Value, raw: &BTreeMap<String, Box<RawValue>>) -> bool {
        let text = |name: &str| sent[name].as_str().unwrap_or_default();
        let event = raw.get("webhook_event").map_or("", |event| event.get());
        let signed = signed_text(text("transmission_id"), text("transmission_time"), &self.webhook_id, event);
        let signature = STANDARD.decode(text("transmission_sig")).unwrap_or_default();
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, KEY.public_key());
        text("webhook_id") == self.webhook_id
            && text("cert_url") == self.cert_url
            && text("auth_algo") == ALGORITHM
            && key.verify(signed.as_bytes(), &signature).is_ok()
    }

    /// The events from the newest to the oldest, page by page.
    pub(super) fn list_events(&self, call: &Call) -> (u16, Value) {
        let query: BTreeMap<_, _> = form_urlencoded::parse(call.query.as_bytes()).into_owned().collect();
        let bound = |name: &str| query.get(name).and_then(|text| moment(text));
        let number = |name: &str| query.get(name).and_then(|text| text.parse().ok());
        let times = bound("start_time").unwrap_or(i64::MIN)..=bound("end_time").unwrap_or(i64::MAX);
        let (size, before) = (number("page_size").unwrap_or(10), number("index_id").unwrap_or(usize::MAX));
        let fits = |name: &str, value: &Value| query.get(name).is_none_or(|wanted| value == wanted);
        let matching = self.events.iter().enumerate().take(before).rev().filter(|(_, event)| {
            times.contains(&event.at)
                && fits("event_type", &event.json["event_type"])
                && fits("transaction_id", &event.json["resource"]["id"])
        });
        let mut page: Vec<_> = matching.take(size + 1).collect();
        let mut links = vec![link(&self.url(&format!("{}?{}", call.path, call.query)), "self", "GET")];
        if page.len() > size {
            page.pop();
            let last = page.last().map_or(0, |(index, _)| *index);
            links.push(link(&self.url(&next_page(call, last)), "next", "GET"));
        }
        let events: Vec<&Value> = page.iter().map(|(_, event)| &event.json).collect();
        (200, json!({ "events": events, "count": events.len(), "links": links }))
    }
}

/// A file of certificates as it is served.
pub fn certificate(file: &str) -> Vec<u8> {
    std::fs::read(format!("{CERTIFICATES}{file}")).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn read_key(file: &str) -> RsaKeyPair {
    let key = PrivatePkcs8KeyDer::from_pem_file(format!("{CERTIFICATES}{file}")).expect("a key in PKCS#8");
    RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).expect("an RSA key")
}

fn signed_text(id: &str, time: &str, webhook: &str, event: &str) -> String {
    format!("{id}|{time}|{webhook}|{}", crc32fast::hash(event.as_bytes()))
}

fn next_page(call: &Call, last: usize) -> String {
    let mut query = known_query(call.query);
    query.append_pair("move_to", "next").append_pair("index_id", &last.to_string());
    format!("{}?{}", call.path, query.finish())
}

fn known_query(query: &str) -> form_urlencoded::Serializer<'static, String> {
    let known = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| !PAGING.contains(&name.as_ref()));
    let mut kept = form_urlencoded::Serializer::new(String::new());
    kept.extend_pairs(known);
    kept
}

/// A request without what PayPal itself added to the address.
pub fn without_paging(request: &Request<Vec<u8>>) -> Request<Vec<u8>> {
    let mut request = request.clone();
    if let Some(query) = request.uri().query() {
        let address = format!("{}?{}", request.uri().path(), known_query(query).finish());
        *request.uri_mut() = address.parse::<Uri>().expect("a shorter address");
    }
    request
}
