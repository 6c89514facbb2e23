//! Holds every answer that a test sees against the API's description: what the description lacks fails the test.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jsonschema::Validator;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use till::money::Currency;

/// The description of shops of one currency, ready for use.
pub struct Contract {
    document: Value,
    paths: matchit::Router<String>,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Contract {
    pub fn of(currency: Currency) -> Arc<Contract> {
        static ALL: LazyLock<Mutex<HashMap<String, Arc<Contract>>>> = LazyLock::new(Mutex::default);
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(currency.to_string()).or_insert_with(|| Arc::new(Contract::new(currency))))
    }

    fn new(currency: Currency) -> Contract {
        let mut document = till::http::openapi(currency);
        // What the description does not name must not be answered.
        close(&mut document);
        let mut paths = matchit::Router::new();
        for path in document["paths"].as_object().expect("paths").keys() {
            let short = if path.len() > 1 { path.trim_end_matches('/') } else { path };
            paths.insert(short, path.clone()).expect("paths don't shadow one another");
        }
        Contract { document, paths, validators: Mutex::default() }
    }

    /// The operation that a request is for, such as `GET /api/cart/`.
    pub fn operation(&self, method: &str, path: &str) -> Option<String> {
        let path = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
        self.paths.at(path).ok().map(|found| format!("{method} {}", found.value))
    }

    /// What is wrong with an answer; nothing, most of the time.
    pub fn faults(
        &self,
        method: &str,
        path: &str,
        status: u16,
        headers: &HeaderMap,
        body: &str,
    ) -> Vec<String> {
        // Whatever is asked, no routed operation answers these.
        if status == 405 || method == "OPTIONS" {
            return Vec::new();
        }
        let path = path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path);
        let Ok(found) = self.paths.at(path) else {
            return if status == 404 || status == 429 {
                Vec::new()
            } else {
                vec![format!("{path} is not described")]
            };
        };
        let verb = if method == "HEAD" { "get".to_owned() } else { method.to_ascii_lowercase() };
        let escaped = found.value.replace('~', "~0").replace('/', "~1");
        let place = format!("/paths/{escaped}/{verb}/responses/{status}");
        let Some(response) = self.document.pointer(&place) else {
            return vec![format!("{method} {} does not say that it answers {status}: {body}", found.value)];
        };
        let (place, response) = match response["$ref"].as_str() {
            Some(link) => (
                link[1..].to_owned(),
                self.document.pointer(&link[1..]).expect("a link that leads somewhere"),
            ),
            None => (place, response),
        };
        let mut faults = undescribed_headers(response, headers);
        let content_type = headers.get("content-type").map_or("", |value| value.to_str().expect("ASCII"));
        let media_type = content_type.split(';').next().unwrap_or_default();
        let described = response.get("content").and_then(Value::as_object);
        match described {
            None if !content_type.is_empty() => {
                faults.push(format!("has a body of {content_type}, and should have none"));
            }
            None => {}
            Some(content) if !content.contains_key(media_type) => faults.push(format!("is {content_type}")),
            Some(_)
                if method != "HEAD"
                    && ["application/json", "application/problem+json"].contains(&media_type) =>
            {
                let schema = format!("{place}/content/{}/schema", media_type.replace('/', "~1"));
                match serde_json::from_str(body) {
                    Ok(body) => {
                        let validator = self.validator(&schema);
                        faults.extend(validator.iter_errors(&body).map(|error| {
                            let shown = error.instance().to_string().chars().take(200).collect::<String>();
                            format!("{} at {}: {shown}", error, error.instance_path())
                        }));
                    }
                    Err(error) => faults.push(format!("is no JSON: {error}")),
                }
            }
            Some(_) => {}
        }
        faults
            .into_iter()
            .map(|fault| format!("{method} {} answered {status}, and {fault}", found.value))
            .collect()
    }

    fn validator(&self, place: &str) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(validators.entry(place.to_owned()).or_insert_with(|| {
            let mut schema = self.document.pointer(place).expect("a schema").clone();
            schema["components"] = self.document["components"].clone();
            Arc::new(jsonschema::draft202012::new(&schema).expect("a good schema"))
        }))
    }
}

/// Headers that say something of this shop and are not described.
fn undescribed_headers(response: &Value, headers: &HeaderMap) -> Vec<String> {
    const OWN: &[&str] = &[
        "etag",
        "location",
        "idempotency-replayed",
        "content-disposition",
        "ratelimit-limit",
        "ratelimit-remaining",
        "ratelimit-reset",
        "x-total-count",
        "www-authenticate",
    ];
    let described: BTreeSet<_> = response["headers"]
        .as_object()
        .map(|headers| headers.keys().map(|name| name.to_ascii_lowercase()).collect())
        .unwrap_or_default();
    let own = OWN.iter().filter(|name| headers.contains_key(**name) && !described.contains(**name));
    own.map(|name| format!("has a header {name} that is not described")).collect()
}

/// Has every object of an answer's schema hold what is named and nothing else. Problems may say more.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.get("type") == Some(&json!("object")) && object.contains_key("properties") {
                object.entry("additionalProperties").or_insert(json!(false));
            }
            for (name, part) in object {
                if name != "Problem" && name != "problem+json" {
                    close(part);
                }
            }
        }
        Value::Array(parts) => parts.iter_mut().for_each(close),
        _ => {}
    }
}
