//! Events and their signatures.

use super::lists::page;
use super::refusal::Refusal;
use super::{DAY, FakeStripe, shape};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::fmt::Write;

pub struct Event {
    value: Value,
    taken: bool,
}

impl FakeStripe {
    /// The `Stripe-Signature` header for a body that is sent at `now`.
    ///
    /// # Panics
    /// Never: any secret is a key.
    pub fn signature(secret: &str, now: i64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length is a key");
        mac.update(format!("{now}.{body}").as_bytes());
        mac.finalize().into_bytes().iter().fold(format!("t={now},v1="), |mut header, byte| {
            write!(header, "{byte:02x}").expect("a string takes all");
            header
        })
    }

    /// The bodies of the events that were not taken yet, oldest first.
    pub fn take_events(&mut self) -> Vec<String> {
        let new = self.events.iter_mut().filter(|event| !event.taken);
        new.map(|event| {
            event.taken = true;
            serde_json::to_string_pretty(&event.value).expect("a value is JSON")
        })
        .collect()
    }

    /// The shop took an event.
    pub fn delivered(&mut self, event_id: &str) {
        for event in self.events.iter_mut().filter(|event| event.value["id"] == *event_id) {
            event.value["pending_webhooks"] = 0.into();
        }
    }

    /// Makes an event of what happened to a stored object.
    pub(super) fn emit(&mut self, now: i64, kind: &str, object: &str) {
        let mut snapshot = self.objects[object].clone();
        self.present(&mut snapshot, &[]);
        let mut value = shape::published("event");
        let version = if self.new_shape { "2026-08-21" } else { "2023-08-16" };
        shape::merge(
            &mut value,
            json!({
                "id": self.id("evt_"), "type": kind, "created": now, "livemode": self.livemode, "api_version": version,
                "data": { "object": snapshot }, "request": self.cause, "pending_webhooks": 1,
            }),
        );
        self.events.push(Event { value, taken: false });
    }

    pub(super) fn find_event(&self, id: &str) -> Result<Value, Refusal> {
        let event = self.events.iter().find(|event| event.value["id"] == *id);
        event.map(|event| event.value.clone()).ok_or_else(|| Refusal::missing("event", id))
    }

    /// Events are kept for thirty days.
    pub(super) fn list_events(&self, now: i64, path: &str, parameters: &Value) -> Result<Value, Refusal> {
        let types: Vec<&str> = match (parameters["type"].as_str(), parameters["types"].as_array()) {
            (Some(_), Some(_)) => {
                let message = "You may not provide both type and types.";
                return Err(Refusal::parameter(Some("types"), "parameter_invalid", message));
            }
            (Some(one), None) => vec![one],
            (None, several) => several.into_iter().flatten().filter_map(Value::as_str).collect(),
        };
        let chosen = self.events.iter().rev().map(|event| &event.value).filter(|event| {
            let kind = event["type"].as_str().unwrap_or_default();
            let asked = |known: &&str| {
                known.strip_suffix('*').map_or(kind == *known, |start| kind.starts_with(start))
            };
            let delivered = event["pending_webhooks"] == 0;
            (types.is_empty() || types.iter().any(asked))
                && parameters["delivery_success"].as_str().is_none_or(|asked| asked == delivered.to_string())
                && event["created"].as_i64().is_some_and(|created| created >= now - 30 * DAY)
        });
        page(path, chosen.cloned().collect(), parameters)
    }
}
