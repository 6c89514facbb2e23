//! The published shapes of objects, old and new.

use super::FakeStripe;
use super::refusal::Refusal;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

static OLD: LazyLock<Value> =
    LazyLock::new(|| fixtures(include_str!("../../fixtures/gateways/stripe-fixtures.2023-08-16.json")));
static NEW: LazyLock<Value> =
    LazyLock::new(|| fixtures(include_str!("../../fixtures/gateways/stripe-fixtures.2026-08-21.json")));

fn fixtures(text: &str) -> Value {
    let mut all: Value = serde_json::from_str(text).expect("the fixtures are JSON");
    all["resources"].take()
}

/// A published object of 2023, as a new one begins.
pub fn published(kind: &str) -> Value {
    OLD[kind].clone()
}

/// The `request` of what nobody asked for by the API.
pub fn no_cause() -> Value {
    json!({ "id": null, "idempotency_key": null })
}

/// Sets fields of an object.
pub fn merge(object: &mut Value, fields: Value) {
    if let (Value::Object(object), Value::Object(fields)) = (object, fields) {
        object.extend(fields);
    }
}

/// What kind of object `expand[]` puts in the place of a field's id.
fn expanded_kind(kind: &str, field: &str) -> Option<&'static str> {
    match (kind, field) {
        ("payment_intent", "latest_charge") | ("refund" | "dispute", "charge") => Some("charge"),
        ("charge" | "refund" | "dispute", "payment_intent") => Some("payment_intent"),
        ("charge" | "refund", "balance_transaction") => Some("balance_transaction"),
        _ => None,
    }
}

/// The paths that `expand[]` asks for in an object of a kind; in a list they begin with `data`.
pub fn expansions(parameters: &Value, kind: &str, list: bool) -> Result<Vec<Vec<String>>, Refusal> {
    let asked = parameters["expand"].as_array().into_iter().flatten().filter_map(Value::as_str);
    asked
        .map(|path| {
            let inside = if list { path.strip_prefix("data.") } else { Some(path) };
            let parts: Vec<String> = inside.unwrap_or_default().split('.').map(str::to_owned).collect();
            let end = parts.iter().try_fold(kind, |kind, field| expanded_kind(kind, field));
            if end.is_none() || parts.len() > 4 {
                let message = format!("This property cannot be expanded ({path}).");
                return Err(Refusal::parameter(Some("expand"), "parameter_invalid", message));
            }
            Ok(parts)
        })
        .collect()
}

impl FakeStripe {
    /// Makes a stored object, or a list of them, what the caller gets to see.
    pub(super) fn present(&self, value: &mut Value, expand: &[Vec<String>]) {
        if let Some(items) = value.get_mut("data").and_then(Value::as_array_mut) {
            for item in items {
                self.present(item, expand);
            }
            return;
        }
        if self.new_shape {
            renew(value);
        }
        for path in expand {
            self.expand(value, path);
        }
    }

    fn expand(&self, value: &mut Value, path: &[String]) {
        let Some((name, rest)) = path.split_first() else { return };
        let Some(field) = value.get_mut(name) else { return };
        if let Some(object) = field.as_str().and_then(|id| self.objects.get(id)) {
            let mut object = object.clone();
            if self.new_shape {
                renew(&mut object);
            }
            *field = object;
        }
        self.expand(field, rest);
    }
}

/// Turns an object of 2023 into one of 2026: what is gone goes, what is new comes as it is in a plain payment.
fn renew(object: &mut Value) {
    let kind = object["object"].as_str().unwrap_or_default().to_owned();
    let (Some(old), Some(new)) = (OLD[&kind].as_object(), NEW[&kind].as_object()) else { return };
    let Some(fields) = object.as_object_mut() else { return };
    fields.retain(|name, _| new.contains_key(name) || !old.contains_key(name));
    for (name, value) in new {
        if !old.contains_key(name) {
            fields.entry(name).or_insert_with(|| plain(name, value));
        }
    }
    if kind == "dispute" {
        fields.insert("payment_method_details".to_owned(), new["payment_method_details"].clone());
    }
}

/// The published objects show everything that can be there; a plain payment has less.
fn plain(name: &str, published: &Value) -> Value {
    match name {
        "payment_method_configuration_details" => json!({ "id": "pmc_3Fake", "parent": null }),
        "managed_payments" => json!({ "enabled": false }),
        "enhanced_eligibility_types" => json!([]),
        "source" => Value::Null,
        _ => published.clone(),
    }
}

/// Metadata within its limits; empty values are not kept.
pub fn metadata(parameters: &Value) -> Result<Value, Refusal> {
    let refuse =
        |message: &str| Err(Refusal::parameter(Some("metadata"), "parameter_invalid_metadata", message));
    let mut kept = Map::new();
    for (name, value) in parameters["metadata"].as_object().into_iter().flatten() {
        let Some(text) = value.as_str() else { return refuse("Metadata values must be strings.") };
        if name.chars().count() > 40 || name.contains(['[', ']']) {
            return refuse("Metadata keys have at most 40 characters, and no square brackets.");
        }
        if text.chars().count() > 500 {
            return refuse("Metadata values have at most 500 characters.");
        }
        if !text.is_empty() {
            kept.insert(name.clone(), value.clone());
        }
    }
    if kept.len() > 50 { refuse("Metadata has at most 50 keys.") } else { Ok(Value::Object(kept)) }
}
