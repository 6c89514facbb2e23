//! Requests and answers that were seen, one of each operation, as the API's description shows them. A test makes them
//! anew and holds them against a running shop (`tests/api/samples.rs`).

use serde::Deserialize;
use serde_json::{Value, json};

use crate::money::Currency;

/// By verb and path.
pub(super) const SAMPLES: &str = include_str!("samples.json");

/// A request that was made, and its answer.
#[derive(Deserialize)]
pub(super) struct Sample {
    path: String,
    query: String,
    sent: Option<Value>,
    status: u16,
    /// Null where it is no text, or a long one.
    answered: Value,
}

impl Sample {
    /// Puts it into an operation of the description. Where amounts look otherwise than in the shop that the sample is
    /// of, which sells in US dollars, only the parameters are shown.
    pub(super) fn show(&self, template: &str, operation: &mut Value, currency: Currency) {
        for param in operation["parameters"].as_array_mut().into_iter().flatten() {
            let name = param["name"].as_str().unwrap_or_default().to_owned();
            if param["in"] == "path"
                && let Some(text) = self.in_path(template, &name)
            {
                param["example"] = of_type(&text, &param["schema"]);
            }
        }
        // Not as examples of the parameters: pages to try things out on fill all of them in.
        if !self.query.is_empty() {
            let said = operation["description"].as_str().map_or_else(String::new, |said| format!("{said} "));
            operation["description"] = json!(format!("{said}Such as `{}?{}`.", self.path, self.query));
        }
        if currency.decimals() != 2 {
            return;
        }
        if let Some(sent) = &self.sent {
            show_in(&mut operation["requestBody"], sent);
        }
        let status = self.status.to_string();
        if !self.answered.is_null() && operation["responses"].get(&status).is_some() {
            show_in(&mut operation["responses"][status], &self.answered);
        }
    }

    fn in_path(&self, template: &str, name: &str) -> Option<String> {
        let part = format!("{{{name}}}");
        let pairs = template.split('/').zip(self.path.split('/'));
        pairs.into_iter().find(|(wanted, _)| *wanted == part).map(|(_, found)| found.to_owned())
    }
}

/// A parameter's text as a value of its type.
fn of_type(text: &str, schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("integer") => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        _ => json!(text),
    }
}

/// Shows JSON as JSON, and text under the media type that is not.
fn show_in(described: &mut Value, body: &Value) {
    let Some(content) = described["content"].as_object_mut() else { return };
    let is_json = |media_type: &str| media_type == "application/json";
    let fits = content.iter_mut().find(|(media_type, _)| is_json(media_type) != body.is_string());
    if let Some((_, media_type)) = fits {
        media_type["example"] = body.clone();
    }
}
