//! Form bodies and queries with brackets, as Stripe reads them.

use serde_json::{Map, Value};

/// Parses `a[b]=1&c[]=2` into a tree of strings.
pub fn tree(text: &str) -> Result<Value, String> {
    let mut root = Value::Object(Map::new());
    for (key, value) in form_urlencoded::parse(text.as_bytes()) {
        put(&mut root, &names(&key)?, &value)
            .map_err(|()| format!("{key} comes twice, or does not fit the others"))?;
    }
    Ok(root)
}

/// The names in a key: `a[b][]` is `a`, `b` and the empty name.
fn names(key: &str) -> Result<Vec<&str>, String> {
    let wrong = || format!("the brackets of {key:?} do not match");
    let (first, mut rest) = key.split_at(key.find('[').unwrap_or(key.len()));
    let mut names = vec![first];
    while !rest.is_empty() {
        let (name, after) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(wrong)?;
        if name.contains('[') {
            return Err(wrong());
        }
        names.push(name);
        rest = after;
    }
    if first.is_empty() || first.contains(']') { Err(wrong()) } else { Ok(names) }
}

fn put(node: &mut Value, names: &[&str], text: &str) -> Result<(), ()> {
    let Some((name, rest)) = names.split_first() else {
        if !node.is_null() {
            return Err(());
        }
        *node = Value::from(text);
        return Ok(());
    };
    if node.is_null() {
        *node = if name.is_empty() { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
    }
    match node {
        Value::Array(items) if name.is_empty() => {
            items.push(Value::Null);
            put(items.last_mut().ok_or(())?, rest, text)
        }
        Value::Object(fields) if !name.is_empty() => {
            put(fields.entry(*name).or_insert(Value::Null), rest, text)
        }
        _ => Err(()),
    }
}

/// Turns the tree's texts into numbers, booleans and lists where the schema asks for them.
pub fn typed(value: &mut Value, schema: &Value) {
    if let Some(choices) = schema["anyOf"].as_array() {
        let plain = value.clone();
        for choice in choices {
            typed(value, choice);
            if *value != plain {
                return;
            }
        }
        return;
    }
    match (schema["type"].as_str(), &mut *value) {
        (Some("integer" | "number"), Value::String(text)) => {
            if let Some(number) = number(text) {
                *value = number;
            }
        }
        (Some("boolean"), Value::String(text)) => {
            if let Ok(yes) = text.parse::<bool>() {
                *value = Value::Bool(yes);
            }
        }
        (Some("array"), Value::Array(items)) => {
            for item in items {
                typed(item, &schema["items"]);
            }
        }
        (Some("array"), Value::Object(fields)) => {
            if let Some(items) = indexed(fields) {
                *value = Value::Array(items);
                typed(value, schema);
            }
        }
        (_, Value::Object(fields)) => {
            for (name, field) in fields {
                let inner = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
                typed(field, inner);
            }
        }
        _ => {}
    }
}

fn number(text: &str) -> Option<Value> {
    let plain = text.parse::<i64>().ok().filter(|number| number.to_string() == text).map(Value::from);
    plain
        .or_else(|| text.contains('.').then(|| text.parse::<serde_json::Number>().ok().map(Value::Number))?)
}

/// The items of a list written as `list[0]`, `list[1]`.
fn indexed(fields: &Map<String, Value>) -> Option<Vec<Value>> {
    (0..fields.len()).map(|index| fields.get(&index.to_string()).cloned()).collect()
}
