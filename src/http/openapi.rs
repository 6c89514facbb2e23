//! The API's description, made from the routes themselves.

use serde_json::{Map, Value, json};

use super::reply::{Answer, ok};
use super::request::Req;
use super::routes::{Routes, get};

pub fn routes() -> Routes {
    Routes::new().at("/api/openapi.json", get(show))
}

async fn show(_: Req) -> Answer {
    Ok(ok(&document()))
}

/// The OpenAPI 3.1 document as far as it goes: every path with its verbs and path parameters, how to authorise, and
/// the problem document that every refusal is.
pub fn document() -> Value {
    let mut paths = Map::new();
    for (verb, path) in super::operations() {
        let tag =
            path.trim_start_matches("/api/").split('/').find(|part| !part.is_empty() && *part != "admin");
        let parameters = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let parameters: Vec<_> = parameters
            .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
            .collect();
        let operation = json!({
            "operationId": operation_id(verb, path),
            "tags": [tag.unwrap_or("shop")],
            "parameters": parameters,
            "responses": {
                "default": {
                    "description": "The answer, or a problem document.",
                    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
                },
            },
        });
        let verbs = paths.entry(path).or_insert_with(|| json!({}));
        verbs[verb.to_ascii_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "till",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A whole online shop. Every path works with and without its trailing slash.",
        },
        "paths": paths,
        "security": [{}, {"bearer": []}],
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An access token (POST /api/auth/login/), or an API token.",
                },
            },
            "schemas": {
                "Problem": {
                    "type": "object",
                    "description": "RFC 9457, with a stable code, the request's id and, for 422, the faults by field.",
                    "required": ["type", "title", "status", "detail", "code", "request_id"],
                    "properties": {
                        "type": {"type": "string"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                        "code": {"type": "string"},
                        "request_id": {"type": "string"},
                        "errors": {
                            "type": "object",
                            "additionalProperties": {"type": "array", "items": {"type": "string"}},
                        },
                    },
                },
            },
        },
    })
}

/// Such as `get_admin_orders_id`.
fn operation_id(verb: &str, path: &str) -> String {
    let parts =
        path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty() && *part != "api");
    let parts: Vec<_> = std::iter::once(verb.to_ascii_lowercase()).chain(parts.map(str::to_owned)).collect();
    parts.join("_")
}
