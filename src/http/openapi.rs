//! The API's description (OpenAPI 3.1), made from the routes, what is said of them, and the types that they answer with.

use std::collections::{BTreeMap, HashMap};

use schemars::SchemaGenerator;
use schemars::generate::{Contract, SchemaSettings};
use serde_json::{Map, Value, json};

use super::operation::{Access, Given, Op, Param, for_everybody};
use super::reply::{Answer, Reply};
use super::request::Req;
use super::routes::{Routed, Routes, get};
use super::samples::{SAMPLES, Sample};
use crate::address::country_asked;
use crate::money::{Currency, Money};

/// What any request may be refused with.
const ANY: &[(u16, &str)] = &[
    (414, "uri_too_long"),
    (415, "unsupported_media_type"),
    (422, "validation_error"),
    (429, "rate_limited"),
    (431, "headers_too_large"),
    (500, "internal_error"),
    (503, "unavailable"),
];

/// Headers of answers, by name.
const HEADERS: &[(&str, &str)] = &[
    ("Content-Disposition", "What to call the file."),
    ("ETag", "The version of what is answered, for If-None-Match and If-Match."),
    ("Idempotency-Replayed", "true where this is the answer that was given to this key before."),
    ("Location", "The path of what was made."),
    ("RateLimit-Limit", "How many requests like this are allowed at once; absent where none are counted."),
    ("RateLimit-Remaining", "How many of them are left."),
    ("RateLimit-Reset", "In how many seconds all of them are."),
    ("Retry-After", "In how many seconds to try again."),
    ("WWW-Authenticate", "Bearer."),
    ("X-Request-Id", "The id of this request, in the answer and the shop's log."),
    ("X-Total-Count", "How many records the file has."),
];

/// Those that an answer may lack.
const SOMETIMES: &[&str] = &[
    "Content-Disposition",
    "Idempotency-Replayed",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
];

/// Those of every answer.
const ALWAYS: [&str; 4] = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "X-Request-Id"];

pub fn routes() -> Routes {
    let op = for_everybody("This description").more("OpenAPI 3.1; made from the code that answers.");
    Routes::new().at("/api/openapi.json", get(show, op.gives::<Map<String, Value>>().tagged()))
}

async fn show(req: Req) -> Answer {
    let body = req.app.openapi.get_or_init(|| document(req.app.currency()).to_string().into());
    let reply = Reply::bytes(http::StatusCode::OK, "application/json", body.clone());
    Ok(reply.tagged().header(http::header::CACHE_CONTROL, "no-cache"))
}

/// The document of a shop that sells in `currency`.
pub fn document(currency: Currency) -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut schemas = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
            settings.contract = Contract::Serialize;
        })
        .into_generator();
    let samples: HashMap<String, Sample> = serde_json::from_str(SAMPLES).expect("a test writes them");
    for (path, verbs) in super::routes().into_iter() {
        for (verb, routed) in verbs.each() {
            let mut operation = operation(verb, path, &routed, &mut schemas);
            if let Some(sample) = samples.get(&format!("{verb} {path}")) {
                sample.show(path, &mut operation, currency);
            }
            paths.entry(path).or_default().insert(verb.to_ascii_lowercase(), operation);
        }
    }
    let mut schemas = schemas.take_definitions(true);
    schemas.insert("Problem".into(), problem());
    schemas.insert("Money".into(), Money::answered(currency));
    schemas.insert("Amount".into(), Money::asked(currency));
    schemas.insert("Country".into(), country_asked());
    let header = |(name, says): &(&str, &str)| {
        let is_required = !SOMETIMES.contains(name);
        (
            (*name).to_owned(),
            json!({"description": says, "required": is_required, "schema": {"type": "string"}}),
        )
    };
    let shared = ANY.iter().map(|(status, code)| ((*code).to_owned(), refusal(*status, &[code])));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "till",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A whole online shop. Every path works with and without its trailing slash; a parameter of \
                the query that is empty is one that is not given.",
        },
        "servers": [{"url": "/"}],
        "tags": tags(&paths),
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An access token (POST /api/auth/login/), or an API token. What an operation names \
                        here is the role that it takes, and the scope that an API token needs for it; without a scope, \
                        it is for people alone.",
                },
                "link": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "signature",
                    "description": "The signature of a link that an answer gave, such as an order's invoice_url.",
                },
            },
            "headers": HEADERS.iter().map(header).collect::<Map<_, _>>(),
            "responses": shared.collect::<Map<_, _>>(),
            "schemas": schemas,
        },
    })
}

fn operation(verb: &str, path: &str, routed: &Routed, schemas: &mut SchemaGenerator) -> Value {
    let op = &routed.op;
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = names
        .zip((routed.parts)())
        .map(|(name, schema)| json!({"name": name, "in": "path", "required": true, "schema": schema}));
    let parameters: Vec<_> = in_path.chain(op.params.iter().map(parameter)).collect();
    let mut refusals = op.refusals.clone();
    if path.contains('{') {
        refusals.push((404, "not_found"));
    }
    refusals.extend(ANY);
    refusals.sort_unstable();
    refusals.dedup();
    let mut described = json!({
        "operationId": operation_id(verb, path),
        "tags": [tag(path)],
        "summary": op.says,
        "security": security(op),
        "parameters": parameters,
        "responses": responses(op, &refusals, schemas),
    });
    if !op.more.is_empty() {
        described["description"] = json!(op.more);
    }
    if let Some(body) = &op.body {
        let schema = body.schema.map_or_else(|| json!({"type": "string"}), |schema| schema());
        let of_type = |media_type: &&str| ((*media_type).to_owned(), json!({"schema": schema}));
        let content: Map<_, _> = body.media_types.iter().map(of_type).collect();
        described["requestBody"] = json!({"required": body.is_required, "content": content});
    }
    described
}

fn parameter(param: &Param) -> Value {
    let schema = (param.schema)();
    let schema = if param.is_many { json!({"type": "array", "items": schema}) } else { schema };
    json!({"name": param.name, "in": param.place, "description": param.says, "schema": schema})
}

fn security(op: &Op) -> Value {
    let bearer = |role: &str, scope: Option<&str>| {
        let needs: Vec<_> = std::iter::once(role).chain(scope).collect();
        let link = op.has_link.then(|| json!({"link": []}));
        std::iter::once(json!({"bearer": needs})).chain(link).collect()
    };
    match op.access {
        Access::Everybody => json!([]),
        Access::Anybody => json!([{}, {"bearer": []}]),
        Access::User(scope) => bearer("customer", scope),
        Access::Staff(scope) => bearer("staff", Some(scope)),
        Access::Admin(scope) => bearer("admin", Some(scope)),
    }
}

fn responses(op: &Op, refusals: &[(u16, &str)], schemas: &mut SchemaGenerator) -> Value {
    let mut all = Map::new();
    for given in &op.answers {
        all.insert(given.status.to_string(), answer(op, given, schemas));
    }
    let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for (status, code) in refusals {
        by_status.entry(*status).or_default().push(code);
    }
    for (status, codes) in by_status {
        let is_shared = matches!(codes[..], [code] if ANY.contains(&(status, code)));
        let described = if is_shared {
            json!({"$ref": format!("#/components/responses/{}", codes[0])})
        } else {
            refusal(status, &codes)
        };
        // What answers JSON under the same status goes beside it.
        match all.get_mut(&status.to_string()) {
            Some(given) => {
                given["content"]["application/problem+json"] =
                    refusal(status, &codes)["content"]["application/problem+json"].take();
            }
            None => {
                all.insert(status.to_string(), described);
            }
        }
    }
    Value::Object(all)
}

fn answer(op: &Op, given: &Given, schemas: &mut SchemaGenerator) -> Value {
    let mut content = Map::new();
    if let Some(schema) = given.json {
        let schema = schema(schemas).to_value();
        let schema = if given.is_list { list_of(&schema) } else { schema };
        content.insert("application/json".into(), json!({"schema": schema}));
    }
    for media_type in given.files {
        content.insert((*media_type).into(), json!({"schema": {"type": "string"}}));
    }
    let replayed = op.is_once.then_some("Idempotency-Replayed");
    let mut described = json!({
        "description": given.says,
        "headers": headers(given.headers.iter().copied().chain(replayed).chain(ALWAYS)),
    });
    if !content.is_empty() {
        described["content"] = Value::Object(content);
    }
    described
}

fn list_of(schema: &Value) -> Value {
    let link = json!({"type": ["string", "null"], "format": "uri"});
    json!({
        "type": "object",
        "required": ["count", "next", "previous", "results"],
        "properties": {
            "count": {"type": "integer", "minimum": 0, "description": "How many the whole list has."},
            "next": link,
            "previous": link,
            "results": {"type": "array", "items": schema},
        },
    })
}

fn refusal(status: u16, codes: &[&str]) -> Value {
    let schema = json!({
        "allOf": [{"$ref": "#/components/schemas/Problem"}],
        "properties": {"status": {"const": status}, "code": {"enum": codes}},
    });
    let own = match status {
        401 => Some("WWW-Authenticate"),
        429 | 503 => Some("Retry-After"),
        _ => None,
    };
    json!({
        "description": codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", "),
        "headers": headers(own.into_iter().chain(ALWAYS)),
        "content": {"application/problem+json": {"schema": schema}},
    })
}

fn headers<'a>(names: impl Iterator<Item = &'a str>) -> Value {
    let named = |name: &str| (name.to_owned(), json!({"$ref": format!("#/components/headers/{name}")}));
    names.map(named).collect::<Map<_, _>>().into()
}

fn problem() -> Value {
    let text = |says: &str| json!({"type": "string", "description": says});
    json!({
        "type": "object",
        "description": "A refusal (RFC 9457).",
        "required": ["type", "title", "status", "detail", "code", "request_id"],
        "properties": {
            "type": text("A URN made of the code."),
            "title": text("The code in words."),
            "status": {"type": "integer"},
            "detail": text("For people: what is wrong, and what to do."),
            "code": text("Stable, for programs."),
            "request_id": text("As in X-Request-Id; the shop's log has more under it."),
            "errors": {
                "type": ["object", "array"],
                "description": "Of validation_error: the faults of each field, by its path; the whole body's under an \
                    empty one. Of import_refused: a list of the rows' faults.",
                "additionalProperties": {"type": "array", "items": {"type": "string"}},
                "items": {"$ref": "#/components/schemas/RowError"},
            },
        },
    })
}

/// All tags, in the order in which they are listed.
fn tags(paths: &BTreeMap<&str, Map<String, Value>>) -> Value {
    let mut tags: Vec<_> = paths.keys().map(|path| tag(path)).collect();
    tags.sort_by_key(|tag| (tag == "operators", tag.starts_with("admin: "), tag.clone()));
    tags.dedup();
    tags.iter().map(|tag| json!({"name": tag})).collect()
}

/// What a path is listed under: what customers use first, then what is for those in charge.
fn tag(path: &str) -> String {
    let Some(part) = path.strip_prefix("/api/") else { return "operators".into() };
    let mut parts = part.split('/');
    match parts.next().unwrap_or_default() {
        "admin" => format!("admin: {}", parts.next().unwrap_or_default()),
        "docs" | "openapi.json" => "operators".into(),
        part => part.to_owned(),
    }
}

/// Such as `get_admin_orders_id`.
fn operation_id(verb: &str, path: &str) -> String {
    let parts =
        path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty() && *part != "api");
    let parts: Vec<_> = std::iter::once(verb.to_ascii_lowercase()).chain(parts.map(str::to_owned)).collect();
    parts.join("_")
}
