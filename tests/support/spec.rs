//! The gateways' published descriptions, as judges of what is sent and answered.

use http::Request;
use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

#[path = "spec/form.rs"]
pub mod form;
#[path = "spec/schema.rs"]
mod schema;

/// A description is big: it is read once, and its validators are compiled when first needed.
static LOADED: LazyLock<Mutex<BTreeMap<String, Spec>>> = LazyLock::new(Mutex::default);

/// A loaded description.
#[derive(Clone)]
pub struct Spec(Arc<Description>);

struct Description {
    operations: Vec<Operation>,
    /// The component schemas as they judge requests, and as they judge answers.
    closed: Value,
    open: Value,
    validators: Mutex<BTreeMap<String, Arc<Validator>>>,
}

/// A described operation.
#[derive(Clone)]
pub struct Operation(Arc<Described>);

struct Described {
    id: String,
    method: String,
    path: Vec<String>,
    /// The schemas of the parameters in each place.
    in_path: Value,
    in_query: Value,
    in_header: Value,
    media_type: Option<String>,
    body: Value,
    body_required: bool,
    /// The answers' schemas by status, or `default`; null where nothing is said of the body.
    answers: BTreeMap<String, Value>,
}

impl Operation {
    /// The description's `operationId`, such as `PostRefunds` or `orders.create`.
    pub fn id(&self) -> &str {
        &self.0.id
    }
}

impl Spec {
    /// Loads a description (`OpenAPI` 3.0 JSON) by file name.
    pub fn load(file: &str) -> Spec {
        let mut loaded = LOADED.lock().expect("no test died while loading");
        loaded.entry(file.to_owned()).or_insert_with(|| Spec(Arc::new(Description::read(file)))).clone()
    }

    /// The operation that this request asks for, if the description takes it as it is; what is wrong otherwise.
    pub fn request(&self, request: &Request<Vec<u8>>) -> Result<Operation, String> {
        let (operation, path) = self.0.find(request.method().as_str(), request.uri().path())?;
        let described = &operation.0;
        let mut query = form::tree(request.uri().query().unwrap_or_default())?;
        form::typed(&mut query, &described.in_query);
        let mut sent =
            json!({ "path": path, "query": query, "header": headers(request, &described.in_header) });
        if let Some(body) = described.read_body(request)? {
            sent["body"] = body;
        }
        let validator =
            self.0.validator(&format!("{} request", described.id), || described.request_schema(), true);
        complaints(&validator, &sent).map(|()| operation.clone())
    }

    /// Whether an answer has the described shape. Fields that the description does not know are welcome.
    pub fn answer(&self, operation: &Operation, status: u16, body: &Value) -> Result<(), String> {
        let answers = &operation.0.answers;
        let named = status.to_string();
        let (key, schema) = answers
            .get_key_value(&named)
            .or_else(|| answers.get_key_value("default"))
            .ok_or_else(|| format!("{} has no answer {status}", operation.id()))?;
        if schema.is_null() {
            return Ok(());
        }
        let validator = self.0.validator(&format!("{} {key}", operation.id()), || schema.clone(), false);
        complaints(&validator, body)
    }

    /// Whether a value is what the description calls `name`.
    pub fn component(&self, name: &str, value: &Value) -> Result<(), String> {
        let schema = || json!({ "$ref": format!("#/components/schemas/{name}") });
        complaints(&self.0.validator(name, schema, false), value)
    }
}

impl Description {
    fn read(file: &str) -> Self {
        let path = format!("{}/tests/fixtures/gateways/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let mut document: Value = serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
        schema::drop_unusable_patterns(&mut document);
        let components = document["components"]["schemas"].take();
        let open = schema::each(&components, schema::open);
        let closed = schema::each(&components, |schema| schema::closed_inside(schema, &components));
        let operations = operations(&document);
        Description { operations, closed, open, validators: Mutex::default() }
    }

    fn find(&self, method: &str, path: &str) -> Result<(&Operation, Map<String, Value>), String> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        self.operations
            .iter()
            .filter(|operation| operation.0.method == method)
            .find_map(|operation| Some((operation, matched(&operation.0.path, &parts)?)))
            .ok_or_else(|| format!("no operation {method} {path}"))
    }

    fn validator(&self, name: &str, schema: impl FnOnce() -> Value, request: bool) -> Arc<Validator> {
        let mut validators = self.validators.lock().expect("no test died while compiling");
        if let Some(known) = validators.get(name) {
            return Arc::clone(known);
        }
        let (mut schema, schemas) = if request {
            (schema::closed(&schema(), &self.closed), &self.closed)
        } else {
            (schema::open(&schema()), &self.open)
        };
        schema["components"] = json!({ "schemas": schemas });
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .build(&schema)
            .unwrap_or_else(|e| panic!("schema of {name}: {e}"));
        let validator = Arc::new(validator);
        validators.insert(name.to_owned(), Arc::clone(&validator));
        validator
    }
}

impl Described {
    fn read_body(&self, request: &Request<Vec<u8>>) -> Result<Option<Value>, String> {
        let text = std::str::from_utf8(request.body()).map_err(|e| format!("body: {e}"))?;
        let Some(expected) = &self.media_type else {
            return if text.is_empty() { Ok(None) } else { Err("a body where none is taken".to_owned()) };
        };
        if text.is_empty() && !self.body_required {
            return Ok(None);
        }
        let sent = request.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        if sent.split(';').next().map(str::trim) != Some(expected) {
            return Err(format!("content-type is {sent:?}, not {expected}"));
        }
        if expected != "application/x-www-form-urlencoded" {
            return serde_json::from_str(text).map(Some).map_err(|e| format!("body: {e}"));
        }
        let mut body = form::tree(text)?;
        form::typed(&mut body, &self.body);
        Ok(Some(body))
    }

    /// One schema for all parts of a request.
    fn request_schema(&self) -> Value {
        let mut required = vec!["path", "query", "header"];
        if self.body_required {
            required.push("body");
        }
        json!({
            "required": required,
            "properties": {
                "path": self.in_path,
                "query": self.in_query,
                "header": self.in_header,
                "body": self.body,
            },
        })
    }
}

/// The values of a path's parameters, if the template fits.
fn matched(template: &[String], parts: &[&str]) -> Option<Map<String, Value>> {
    let mut values = Map::new();
    for (expected, part) in template.iter().zip(parts) {
        match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => {
                let value = percent_encoding::percent_decode_str(part).decode_utf8().ok()?;
                values.insert(name.to_owned(), Value::from(value));
            }
            None if expected == part => {}
            None => return None,
        }
    }
    (template.len() == parts.len()).then_some(values)
}

fn headers(request: &Request<Vec<u8>>, schema: &Value) -> Value {
    let names = schema["properties"].as_object().into_iter().flat_map(Map::keys);
    let values = names.filter_map(|name| {
        let value = request.headers().get(name)?.to_str().ok()?;
        Some((name.clone(), Value::from(value)))
    });
    values.collect()
}

/// One schema for the parameters in one place.
fn parameters_schema(parameters: &[&Value], place: &str) -> Value {
    let here = || parameters.iter().filter(|parameter| parameter["in"] == place);
    let named =
        |parameter: &&Value| Some((parameter["name"].as_str()?.to_owned(), parameter["schema"].clone()));
    let properties: Map<String, Value> = here().filter_map(named).collect();
    let required: Vec<&Value> = here().filter(|p| p["required"] == true).map(|p| &p["name"]).collect();
    json!({ "properties": properties, "required": required, "additionalProperties": false })
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            if operation.get("operationId").is_some() {
                let described = described(document, path, method, operation);
                found.push(Operation(Arc::new(described)));
            }
        }
    }
    // A fixed word in a path goes before a parameter.
    found.sort_by_key(|operation| operation.0.path.iter().filter(|part| part.starts_with('{')).count());
    found
}

fn described(document: &Value, path: &str, method: &str, operation: &Value) -> Described {
    let content = &resolved(document, &operation["requestBody"]);
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let parameters: Vec<&Value> = parameters.map(|parameter| resolved(document, parameter)).collect();
    let media = content["content"].as_object().and_then(|types| types.iter().next());
    let answers = operation["responses"].as_object().into_iter().flatten().map(|(status, answer)| {
        (status.clone(), resolved(document, answer)["content"]["application/json"]["schema"].clone())
    });
    Described {
        id: operation["operationId"].as_str().unwrap_or_default().to_owned(),
        method: method.to_uppercase(),
        path: path.trim_start_matches('/').split('/').map(str::to_owned).collect(),
        in_path: parameters_schema(&parameters, "path"),
        in_query: parameters_schema(&parameters, "query"),
        in_header: parameters_schema(&parameters, "header"),
        media_type: media.map(|(name, _)| name.clone()),
        body: media.map_or(Value::Bool(true), |(_, media)| media["schema"].clone()),
        body_required: content["required"] == true,
        answers: answers.collect(),
    }
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target =
        value["$ref"].as_str().and_then(|reference| document.pointer(reference.trim_start_matches('#')));
    target.unwrap_or(value)
}

fn complaints(validator: &Validator, value: &Value) -> Result<(), String> {
    let all: Vec<String> = validator
        .iter_errors(value)
        .map(|e| {
            let mut text = e.to_string();
            text.truncate(text.char_indices().nth(300).map_or(text.len(), |(at, _)| at));
            format!("{}: {text}", e.instance_path())
        })
        .collect();
    if all.is_empty() { Ok(()) } else { Err(all.join("; ")) }
}
