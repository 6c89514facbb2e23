//! Reading what clients send: JSON bodies and query strings, with every fault found at once. What reads a body also
//! describes it: the same code, asked what it would take.

mod query;
mod rules;

use std::collections::HashSet;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

pub use query::{Query, decode, encode};
pub use rules::{
    Rule, boolean, id, integer, line, list, money, object, rule, some, text, text_map, time, url, whole, word,
};

use super::error::{ApiError, Faults};
use crate::money::Currency;

/// A body that can be read from a JSON object.
pub trait Input: Sized {
    /// Takes its fields from `from`. A field that is wrong is noted there, and what is returned then is
    /// dropped. All fields are asked for whatever the others are: that is how the body is described.
    fn read(from: &mut Fields<'_>) -> Self;
}

/// The body of a request that says nothing: none at all, or `{}`.
#[derive(Default)]
pub struct Nothing;

impl Input for Nothing {
    fn read(_: &mut Fields<'_>) -> Self {
        Nothing
    }
}

/// The fields of one JSON object, and the faults found so far.
pub struct Fields<'a> {
    object: &'a Map<String, Value>,
    path: String,
    known: HashSet<&'static str>,
    /// The shop's currency, for amounts.
    pub currency: Currency,
    faults: &'a mut Faults,
    /// Where the fields are written down, when nothing is read.
    about: Option<&'a mut About>,
}

/// What a body says of itself.
#[derive(Default)]
struct About {
    properties: Map<String, Value>,
    required: Vec<&'static str>,
    /// What holds between the properties.
    between: Vec<Value>,
}

/// Where in the body we are.
pub struct At<'a> {
    path: String,
    /// The shop's currency, for amounts.
    pub currency: Currency,
    faults: &'a mut Faults,
}

impl At<'_> {
    pub fn fault<T>(&mut self, said: impl Into<String>) -> Option<T> {
        self.faults.entry(self.path.clone()).or_default().push(said.into());
        None
    }

    fn inside(&mut self, name: &str) -> At<'_> {
        At { path: format!("{}.{name}", self.path), currency: self.currency, faults: self.faults }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "rules are made where they are handed over")]
impl Fields<'_> {
    fn at(&mut self, name: &str) -> At<'_> {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        At { path, currency: self.currency, faults: self.faults }
    }

    /// Whether the field is there at all, null or not.
    pub fn given(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    /// A field that may be absent or null.
    pub fn opt<T>(&mut self, name: &'static str, rule: impl Rule<T>) -> Option<T> {
        self.known.insert(name);
        if let Some(about) = &mut self.about {
            about.properties.insert(name.into(), or_null(rule.schema()));
        }
        match self.object.get(name) {
            None | Some(Value::Null) => None,
            Some(value) => rule.read(value, &mut self.at(name)),
        }
    }

    /// A field that must be there.
    pub fn req<T: Default>(&mut self, name: &'static str, rule: impl Rule<T>) -> T {
        self.known.insert(name);
        if let Some(about) = &mut self.about {
            about.properties.insert(name.into(), rule.schema());
            about.required.push(name);
        }
        match self.object.get(name) {
            None => self.at(name).fault("is required"),
            Some(Value::Null) => self.at(name).fault("must not be null"),
            Some(value) => rule.read(value, &mut self.at(name)),
        }
        .unwrap_or_default()
    }

    /// A field of a partial change: `None` if absent; a null is refused.
    pub fn change<T>(&mut self, name: &'static str, rule: impl Rule<T>) -> Option<T> {
        self.known.insert(name);
        if let Some(about) = &mut self.about {
            about.properties.insert(name.into(), rule.schema());
        }
        match self.object.get(name) {
            None => None,
            Some(Value::Null) => self.at(name).fault("must not be null"),
            Some(value) => rule.read(value, &mut self.at(name)),
        }
    }

    /// A field of a partial change that null empties: `None` if absent.
    pub fn change_or_null<T>(&mut self, name: &'static str, rule: impl Rule<T>) -> Option<Option<T>> {
        let given = self.given(name);
        let value = self.opt(name, rule);
        given.then_some(value)
    }

    /// Fields that only the shop writes. They may come back as they were read, and are passed over.
    pub fn passes_over(&mut self, names: &[&'static str]) {
        self.known.extend(names);
        if let Some(about) = &mut self.about {
            about.properties.extend(names.iter().map(|name| ((*name).into(), json!({"readOnly": true}))));
        }
    }

    /// Fields that must be there, whatever reads them.
    pub fn require(&mut self, names: &[&'static str]) {
        if let Some(about) = &mut self.about {
            about.required.extend(names);
        }
        for name in names {
            if !self.given(name) {
                self.fault(name, "is required");
            }
        }
    }

    /// One of these fields must be there, not null; if none is, the first is missed.
    pub fn require_any(&mut self, names: &[&'static str]) {
        if let Some(about) = &mut self.about {
            let given =
                |name: &&str| json!({"required": [name], "properties": {*name: {"not": {"type": "null"}}}});
            about.between.push(json!({"anyOf": names.iter().map(given).collect::<Vec<_>>()}));
        }
        if !names.iter().any(|name| self.object.get(*name).is_some_and(|value| !value.is_null())) {
            self.fault(names[0], "is required");
        }
    }

    /// Exactly one of these fields must be there.
    pub fn require_one(&mut self, names: &[&'static str]) {
        if let Some(about) = &mut self.about {
            let given: Vec<_> = names.iter().map(|name| json!({"required": [name]})).collect();
            about.between.push(json!({"oneOf": given}));
        }
        if names.iter().filter(|name| self.given(name)).count() != 1 {
            self.fault(names[0], &format!("give either {}", names.join(" or ")));
        }
    }

    /// `this`, which comes alone, or `that`, with which `more` may come, must be there, not null.
    pub fn either(&mut self, this: &'static str, that: &'static str, more: &[&'static str]) {
        let others: Vec<_> = std::iter::once(that).chain(more.iter().copied()).collect();
        if let Some(about) = &mut self.about {
            let nothing = json!({"type": "null"});
            let is_null =
                |names: &[&str]| names.iter().map(|name| ((*name).into(), nothing.clone())).collect();
            let (mut with_this, mut with_that): (Map<_, _>, Map<_, _>) = (is_null(&others), is_null(&[this]));
            with_this.insert(this.into(), json!({"not": nothing}));
            with_that.insert(that.into(), json!({"not": nothing}));
            let given = vec![
                json!({"required": [this], "properties": with_this}),
                json!({"required": [that], "properties": with_that}),
            ];
            about.between.push(json!({"anyOf": given}));
        }
        let is_there = |name: &str| self.object.get(name).is_some_and(|value| !value.is_null());
        if !is_there(this) {
            if !is_there(that) {
                self.fault(that, "is required");
            }
            return;
        }
        for name in others.into_iter().filter(|name| is_there(name)).collect::<Vec<_>>() {
            self.fault(name, &format!("does not go with {this}"));
        }
    }

    /// Says of the whole body what no single field's schema can. Whoever says it notes the fault.
    pub fn says(&mut self, schema: impl FnOnce() -> Value) {
        if let Some(about) = &mut self.about {
            about.between.push(schema());
        }
    }

    /// A fault that no single field's rule can see.
    pub fn fault(&mut self, name: &str, said: &str) {
        self.at(name).fault::<()>(said);
    }

    fn finish(self) {
        let unknown: Vec<_> = self.object.keys().filter(|name| !self.known.contains(name.as_str())).collect();
        for name in unknown {
            let path = if self.path.is_empty() { name.clone() } else { format!("{}.{name}", self.path) };
            self.faults.entry(path).or_default().push("is not a field of this request".into());
        }
    }
}

/// A schema that takes null, too.
fn or_null(mut schema: Value) -> Value {
    if let Some(Value::String(one)) = schema.get("type").cloned() {
        schema["type"] = json!([one, "null"]);
        if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
            words.push(Value::Null);
        }
        schema
    } else {
        json!({"anyOf": [schema, {"type": "null"}]})
    }
}

/// The JSON Schema of a body.
pub fn body_schema<T: Input>() -> Value {
    static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    let (mut faults, mut about) = (Faults::new(), About::default());
    T::read(&mut Fields {
        object: &NOTHING,
        path: String::new(),
        known: HashSet::new(),
        currency: Currency::default(),
        faults: &mut faults,
        about: Some(&mut about),
    });
    let mut schema = json!({"type": "object", "properties": about.properties, "additionalProperties": false});
    if !about.required.is_empty() {
        schema["required"] = json!(about.required);
    }
    if !about.between.is_empty() {
        schema["allOf"] = json!(about.between);
    }
    schema
}

/// Reads an object's fields. What is wrong stands in `faults` after.
fn read_object<T: Input>(
    object: &Map<String, Value>,
    path: String,
    currency: Currency,
    faults: &mut Faults,
) -> T {
    let mut fields = Fields { object, path, known: HashSet::new(), currency, faults, about: None };
    let input = T::read(&mut fields);
    fields.finish();
    input
}

/// Reads a whole body.
///
/// # Errors
/// 400 `malformed_json`, 422 `validation_error`.
pub fn read_json<T: Input>(body: &[u8], currency: Currency) -> Result<T, ApiError> {
    let malformed = |said: String| ApiError::new(400, "malformed_json", said);
    let text = std::str::from_utf8(body).map_err(|_| malformed("The body is not UTF-8.".into()))?;
    read_text(text, currency).map_err(|bad| match bad {
        BadJson::Malformed(said) => malformed(format!("The body is not JSON: {said}.")),
        BadJson::Faults(faults) => ApiError::invalid(faults),
    })
}

/// Why a text is not the JSON that is wanted.
pub enum BadJson {
    Malformed(String),
    Faults(Faults),
}

/// Reads an object from a JSON text.
pub fn read_text<T: Input>(text: &str, currency: Currency) -> Result<T, BadJson> {
    let whole = |said: &str| BadJson::Faults(Faults::from([(String::new(), vec![said.to_owned()])]));
    // What serde_json marks its own values with, which a client could dress an object up as a number with.
    if text.contains("$serde_json::private") {
        return Err(whole("must not have members that begin with $serde_json::private"));
    }
    let value: Value = serde_json::from_str(text).map_err(|error| BadJson::Malformed(error.to_string()))?;
    let Value::Object(object) = &value else { return Err(whole("must be a JSON object")) };
    let mut faults = Faults::new();
    let input = read_object(object, String::new(), currency, &mut faults);
    if faults.is_empty() { Ok(input) } else { Err(BadJson::Faults(faults)) }
}

/// Holds one cell of a file against the rule of the field that it stands for.
#[expect(clippy::needless_pass_by_value, reason = "rules are made where they are handed over")]
pub fn cell<T>(text: &str, rule: impl Rule<T>, currency: Currency) -> Result<T, String> {
    let mut faults = Faults::new();
    let mut at = At { path: String::new(), currency, faults: &mut faults };
    let value = rule.read(&Value::String(text.to_owned()), &mut at);
    value.ok_or_else(|| faults.into_values().flatten().next().unwrap_or_else(|| "is not right".into()))
}
