//! Refusals as problem details (RFC 9457).

use std::collections::BTreeMap;
use std::fmt::Display;

use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::reply::Reply;
use crate::money::Overflow;
use crate::store::{KeyReused, StoreError};

/// The faults of a request's fields, by path.
pub type Faults = BTreeMap<String, Vec<String>>;

/// A request that is answered with an error.
#[derive(Debug, Clone)]
pub struct ApiError {
    pub status: StatusCode,
    /// Stable and machine-readable.
    pub code: &'static str,
    /// For people: what is wrong and what to do.
    pub detail: String,
    rest: Box<Rest>,
}

/// What most errors have none of.
#[derive(Debug, Clone, Default)]
struct Rest {
    faults: Faults,
    extra: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What happened inside: for the log alone.
    cause: Option<String>,
}

impl ApiError {
    /// # Panics
    /// If `status` is no HTTP status.
    pub fn new(status: u16, code: &'static str, detail: impl Display) -> ApiError {
        ApiError {
            status: StatusCode::from_u16(status).expect("statuses are written in the code"),
            code,
            detail: detail.to_string(),
            rest: Box::default(),
        }
    }

    pub fn not_found() -> ApiError {
        ApiError::new(404, "not_found", "There is nothing here, or nothing that you may see.")
    }

    pub fn invalid(faults: Faults) -> ApiError {
        let mut error = ApiError::new(422, "validation_error", "Some fields are not right; see errors.");
        error.rest.faults = faults;
        error
    }

    /// One field that is wrong.
    pub fn field(name: &str, fault: impl Display) -> ApiError {
        ApiError::invalid(Faults::from([(name.to_owned(), vec![fault.to_string()])]))
    }

    /// Something failed inside. `cause` is logged, and the client gets the request id.
    pub fn internal(cause: impl Display) -> ApiError {
        let mut error = ApiError::new(
            500,
            "internal_error",
            "Something failed on our side; the log has it under request_id.",
        );
        error.rest.cause = Some(cause.to_string());
        error
    }

    /// Adds a member to the problem document.
    pub fn with(mut self, name: &str, value: impl serde::Serialize) -> ApiError {
        self.rest.extra.insert(name.to_owned(), json!(value));
        self
    }

    /// Says more in the detail.
    pub fn and_says(mut self, more: &str) -> ApiError {
        self.detail = format!("{} {more}", self.detail);
        self
    }

    pub fn header(mut self, name: HeaderName, value: &str) -> ApiError {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.rest.headers.push((name, value));
        }
        self
    }

    pub fn cause(&self) -> Option<&str> {
        self.rest.cause.as_deref()
    }

    pub fn into_reply(self, request_id: &str) -> Reply {
        let mut body = json!({
            "type": format!("urn:till:problem:{}", self.code),
            "title": self.code.replace('_', " "),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        });
        let document = body.as_object_mut().expect("made as an object");
        if self.code == "validation_error" {
            document.insert("errors".into(), json!(self.rest.faults));
        }
        document.extend(self.rest.extra);
        let mut reply = Reply::json(self.status, &body).header(header::CACHE_CONTROL, "no-store");
        reply.set_type("application/problem+json");
        for (name, value) in self.rest.headers {
            reply.push(name, value);
        }
        reply
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        match error {
            StoreError::Corrupt { .. } | StoreError::Panicked(_) => ApiError::internal(error),
            StoreError::Busy => {
                ApiError::new(409, "compaction_running", "The data file is being compacted already.")
            }
            // The store logs a disk that fails, once.
            StoreError::ReadOnly(_) | StoreError::Disk(_) => ApiError::new(
                503,
                "unavailable",
                "The shop is read-only just now: its disk is full or fails. Nothing was changed. Try again, with the \
                 same Idempotency-Key if you sent one.",
            )
            .header(header::RETRY_AFTER, "2"),
            StoreError::Unavailable => ApiError::new(
                503,
                "unavailable",
                "The shop can't reach its data just now. Try again, with the same Idempotency-Key if you sent one.",
            )
            .header(header::RETRY_AFTER, "1"),
        }
    }
}

impl From<KeyReused> for ApiError {
    fn from(_: KeyReused) -> ApiError {
        let detail =
            "This Idempotency-Key was used with another body within the last 24 hours; use a new one.";
        ApiError::new(422, "idempotency_key_reused", detail)
    }
}

impl From<Overflow> for ApiError {
    fn from(_: Overflow) -> ApiError {
        ApiError::new(
            422,
            "amount_too_large",
            "The amount is larger than a shop can count; take smaller quantities.",
        )
    }
}
