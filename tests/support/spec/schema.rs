//! `OpenAPI` 3.0 schemas as JSON Schema 2020-12.

use serde_json::{Map, Value, json};

/// Patterns that are no expressions, or that validators silently ignore.
const UNUSABLE: [&str; 3] = [
    "/components/schemas/email",
    "/components/schemas/level_2_card_processing_data/properties/invoice_id",
    "/components/schemas/vault_venmo_wallet_base/allOf/1/properties/description",
];

pub fn drop_unusable_patterns(document: &mut Value) {
    for place in UNUSABLE {
        if let Some(schema) = document.pointer_mut(place).and_then(Value::as_object_mut) {
            schema.remove("pattern");
        }
    }
}

/// The same change to each schema of a map.
pub fn each(schemas: &Value, change: impl Fn(&Value) -> Value) -> Value {
    let changed =
        schemas.as_object().into_iter().flatten().map(|(name, schema)| (name.clone(), change(schema)));
    Value::Object(changed.collect())
}

/// For answers: `nullable` is said as JSON Schema says it, and unknown fields are welcome.
pub fn open(schema: &Value) -> Value {
    let mut changed = inside(schema, &open, &open);
    let Some(fields) = changed.as_object_mut() else { return changed };
    if fields.get("additionalProperties") == Some(&Value::Bool(false)) {
        fields.remove("additionalProperties");
    }
    if schema["nullable"] == true { json!({ "anyOf": [changed, { "type": "null" }] }) } else { changed }
}

/// For requests: a value whose properties are listed has no others, whichever part of an `allOf` lists them.
pub fn closed(schema: &Value, components: &Value) -> Value {
    let mut changed = closed_inside(schema, components);
    if lists_properties(schema, components, 0) {
        changed["unevaluatedProperties"] = Value::Bool(false);
    }
    changed
}

/// As `closed`, for a schema that may be only a part of what describes its value.
pub fn closed_inside(schema: &Value, components: &Value) -> Value {
    inside(schema, &|part| closed_inside(part, components), &|value| closed(value, components))
}

fn lists_properties(schema: &Value, components: &Value, depth: usize) -> bool {
    let named = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/components/schemas/"));
    let parts = ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten();
    schema["properties"].as_object().is_some_and(|listed| !listed.is_empty())
        || depth < 20
            && named
                .into_iter()
                .map(|name| &components[name])
                .chain(parts)
                .any(|part| lists_properties(part, components, depth + 1))
}

/// Rebuilds a schema from its parts (which speak of the same value) and the schemas of the values inside.
fn inside(schema: &Value, part: &dyn Fn(&Value) -> Value, value: &dyn Fn(&Value) -> Value) -> Value {
    let Some(fields) = schema.as_object() else { return schema.clone() };
    let mut changed = Map::new();
    for (key, inner) in fields {
        let new = match key.as_str() {
            "properties" => each(inner, value),
            "items" | "additionalProperties" => value(inner),
            "allOf" | "anyOf" | "oneOf" => inner.as_array().into_iter().flatten().map(part).collect(),
            "not" => part(inner),
            "type" | "enum" | "required" | "pattern" | "$ref" | "minimum" | "maximum" | "minLength"
            | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" | "uniqueItems" => {
                inner.clone()
            }
            // The rest only explains, or names formats that are nowhere defined.
            _ => continue,
        };
        changed.insert(key.clone(), new);
    }
    Value::Object(changed)
}
