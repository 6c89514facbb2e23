//! Answers, and errors in Stripe's words.

use http::Response;
use serde_json::{Value, json};

/// An error, and whether it is stored under the idempotency key: those of parameters are not.
#[derive(Debug)]
pub struct Refusal {
    pub status: u16,
    pub error: Value,
    pub stored: bool,
    pub retry: Option<bool>,
}

impl Refusal {
    fn new(status: u16, kind: &str, code: Option<&str>, message: impl Into<String>) -> Self {
        let mut error = json!({ "type": kind, "message": message.into() });
        if let Some(code) = code {
            error["code"] = code.into();
            error["doc_url"] =
                format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-")).into();
        }
        Refusal { status, error, stored: true, retry: None }
    }

    /// The state of things does not allow it.
    pub fn state(code: Option<&str>, message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", code, message)
    }

    /// A parameter is wrong.
    pub fn parameter(name: Option<&str>, code: &str, message: impl Into<String>) -> Self {
        let mut refusal = Self::state(Some(code), message);
        refusal.stored = false;
        match name {
            Some(name) => refusal.with("param", name.into()),
            None => refusal,
        }
    }

    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.error[field] = value;
        self
    }

    pub fn missing(kind: &str, id: &str) -> Self {
        let param = if kind == "payment_intent" { "intent" } else { "id" };
        let mut refusal = Self::state(Some("resource_missing"), format!("No such {kind}: '{id}'"));
        refusal.status = 404;
        refusal.with("param", param.into())
    }

    pub fn no_such_address(method: &str, path: &str) -> Self {
        let message =
            format!("Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs.");
        Self::new(404, "invalid_request_error", None, message)
    }

    pub fn no_key() -> Self {
        Self::new(401, "invalid_request_error", None, "You did not provide an API key.")
    }

    pub fn unknown_key(key: &str) -> Self {
        let shown = masked(key);
        Self::new(401, "invalid_request_error", None, format!("Invalid API Key provided: {shown}"))
    }

    pub fn expired_key(key: &str) -> Self {
        let message = format!("Expired API Key provided: {}", masked(key));
        Self::new(401, "invalid_request_error", Some("api_key_expired"), message)
    }

    /// The key is a restricted one.
    pub fn no_right(list: &str) -> Self {
        let message =
            format!("The provided key does not have the required permissions for this endpoint: '{list}'.");
        Self { stored: false, ..Self::new(403, "invalid_request_error", None, message) }
    }

    /// The key was used for something else.
    pub fn other_call(key: &str) -> Self {
        let message = format!(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. \
             Try using a key other than '{key}' if you meant to execute a different request."
        );
        Self::new(400, "idempotency_error", None, message)
    }

    pub fn locked() -> Self {
        let message = "This object cannot be accessed right now because another API request or Stripe process \
                       is currently accessing it.";
        let mut refusal = Self::new(409, "invalid_request_error", Some("lock_timeout"), message);
        refusal.retry = Some(true);
        refusal
    }

    /// Something went wrong at Stripe.
    pub fn accident(status: u16) -> Self {
        match status {
            409 => Self::locked(),
            429 => {
                Self::new(429, "invalid_request_error", Some("rate_limit"), "Request rate limit exceeded.")
            }
            400..500 => Self::new(status, "invalid_request_error", None, "This request cannot be processed."),
            _ => Self::new(status, "api_error", None, "An unknown error occurred."),
        }
    }

    /// The message, for those who do not come by HTTP.
    pub fn message(&self) -> String {
        self.error["message"].as_str().unwrap_or_default().to_owned()
    }
}

fn masked(key: &str) -> String {
    let end: String = key.chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect();
    format!("{}{end}", "*".repeat(key.chars().count().saturating_sub(4)))
}

#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    body: Value,
}

impl From<Value> for Reply {
    fn from(body: Value) -> Self {
        Reply { status: 200, headers: Vec::new(), body }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let headers = refusal.retry.map(|retry| ("stripe-should-retry".to_owned(), retry.to_string()));
        let body = json!({ "error": refusal.error });
        Reply { status: refusal.status, headers: headers.into_iter().collect(), body }
    }
}

impl Reply {
    /// The same once more.
    pub fn replayed(&self) -> Self {
        let mut reply = self.clone();
        reply.headers.push(("idempotent-replayed".to_owned(), "true".to_owned()));
        reply
    }

    pub fn into_response(self, request: &str) -> Response<Vec<u8>> {
        let mut response = Response::builder()
            .status(self.status)
            .header("content-type", "application/json")
            .header("request-id", request);
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        response.body(self.body.to_string().into_bytes()).expect("statuses and headers are valid")
    }
}
