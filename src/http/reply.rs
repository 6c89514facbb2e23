//! Answers before they are sent.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::coding::plain_tag;
use super::error::ApiError;
use super::request::Body;
use crate::hex::hex;
use crate::page::Paged;

/// What every handler returns.
pub type Answer = Result<Reply, ApiError>;

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Content,
}

/// What an answer says: all at once, or piece by piece where it may be long.
pub enum Content {
    Whole(Bytes),
    Stream(Body),
}

impl Content {
    pub fn none() -> Content {
        Content::Whole(Bytes::new())
    }

    /// What is in memory already: all of it, or, of what is still to come, nothing.
    pub fn whole(&self) -> &[u8] {
        match self {
            Content::Whole(bytes) => bytes,
            Content::Stream(_) => &[],
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Whole(bytes) => write!(f, "{} bytes", bytes.len()),
            Content::Stream(_) => f.write_str("a stream"),
        }
    }
}

impl Reply {
    pub fn json(status: StatusCode, body: &impl Serialize) -> Reply {
        let body = serde_json::to_vec(body).expect("answers are plain data");
        Reply::bytes(status, "application/json", body)
    }

    pub fn bytes(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
        Reply::of(status, content_type, Content::Whole(body.into()))
    }

    /// An answer that comes piece by piece.
    pub fn stream(content_type: &'static str, body: Body) -> Reply {
        Reply::of(StatusCode::OK, content_type, Content::Stream(body))
    }

    fn of(status: StatusCode, content_type: &'static str, body: Content) -> Reply {
        // Room for those that every answer has, and some of its own.
        let mut reply = Reply { status, headers: HeaderMap::with_capacity(16), body };
        reply.set_type(content_type);
        reply
    }

    pub fn no_content() -> Reply {
        Reply { status: StatusCode::NO_CONTENT, headers: HeaderMap::new(), body: Content::none() }
    }

    pub fn set_type(&mut self, content_type: &'static str) {
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }

    pub fn push(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.insert(name, value);
    }

    pub fn header(mut self, name: HeaderName, value: &str) -> Reply {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub fn location(self, path: &str) -> Reply {
        self.header(header::LOCATION, path)
    }

    /// Adds the strong ETag of the body.
    pub fn tagged(self) -> Reply {
        let tag = etag(self.body.whole());
        self.header(header::ETAG, &tag)
    }
}

/// The strong ETag of a representation.
pub fn etag(body: &[u8]) -> String {
    format!("\"{}\"", hex(&Sha256::digest(body)[..12]))
}

/// Whether an `If-None-Match` header's value names `tag`, by weak comparison (RFC 9110, 13.1.2).
pub fn names_tag(header: &str, tag: &str) -> bool {
    header.trim() == "*" || header.split(',').any(|one| one.trim().trim_start_matches("W/") == tag)
}

/// Whether an `If-Match` header's value names `tag`, by strong comparison (RFC 9110, 13.1.1), in whichever form its
/// sender got it.
pub fn names_tag_strongly(header: &str, tag: &str) -> bool {
    header.trim() == "*" || header.split(',').any(|one| plain_tag(one.trim()) == tag)
}

/// Says in an answer's headers that it would be another for a request with another `name`.
pub(super) fn vary(headers: &mut HeaderMap, name: &str) {
    let known = headers.get(header::VARY).and_then(|value| value.to_str().ok());
    let all = known.map_or_else(|| name.to_owned(), |known| format!("{known}, {name}"));
    if let Ok(all) = HeaderValue::from_str(&all) {
        headers.insert(header::VARY, all);
    }
}

pub fn ok(body: &impl Serialize) -> Reply {
    Reply::json(StatusCode::OK, body)
}

pub fn created(body: &impl Serialize) -> Reply {
    Reply::json(StatusCode::CREATED, body)
}

/// The envelope of every list.
#[derive(Serialize, JsonSchema)]
pub struct ListBody<T> {
    /// How many the whole list has.
    pub count: u64,
    /// The next page, if there is one.
    pub next: Option<String>,
    /// The page before, if there is one.
    pub previous: Option<String>,
    pub results: Vec<T>,
}

impl<T> ListBody<T> {
    pub fn new(page: Paged<T>, next: Option<String>, previous: Option<String>) -> Self {
        ListBody { count: page.count, next, previous, results: page.items }
    }
}

impl ListBody<()> {
    /// The list in which `items`, which are JSON already, are what it has.
    pub fn around<'a>(&self, items: impl Iterator<Item = &'a [u8]> + Clone) -> Vec<u8> {
        let mut body = serde_json::to_vec(self).expect("answers are plain data");
        let end = body.split_off(body.len() - b"]}".len());
        body.reserve_exact(items.clone().map(|item| item.len() + 1).sum::<usize>() + end.len());
        for (n, item) in items.enumerate() {
            if n > 0 {
                body.push(b',');
            }
            body.extend_from_slice(item);
        }
        body.extend_from_slice(&end);
        body
    }
}

/// An answer as it is stored under an idempotency key.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Stored {
    status: u16,
    content_type: String,
    location: Option<String>,
    etag: Option<String>,
    body: Vec<u8>,
}

/// What stands in the place of an answer that spoke of somebody who was erased since.
const ERASED: &[u8] = br#"{"erased":true}"#;

impl Stored {
    /// What is kept of an answer that spoke of somebody who was erased since.
    pub fn erased(self) -> Stored {
        let body = ERASED.to_vec();
        Stored {
            status: self.status,
            content_type: "application/json".into(),
            location: self.location,
            etag: None,
            body,
        }
    }
}

impl From<&Reply> for Stored {
    fn from(reply: &Reply) -> Stored {
        let text =
            |name| reply.headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok()).map(str::to_owned);
        Stored {
            status: reply.status.as_u16(),
            content_type: text(header::CONTENT_TYPE).unwrap_or_default(),
            location: text(header::LOCATION),
            etag: text(header::ETAG),
            body: reply.body.whole().to_vec(),
        }
    }
}

impl From<Stored> for Reply {
    fn from(stored: Stored) -> Reply {
        let status = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::OK);
        let body = Content::Whole(stored.body.into());
        let mut reply = Reply { status, headers: HeaderMap::new(), body };
        if !stored.content_type.is_empty() {
            reply = reply.header(header::CONTENT_TYPE, &stored.content_type);
        }
        for (name, value) in [(header::LOCATION, stored.location), (header::ETAG, stored.etag)] {
            if let Some(value) = value {
                reply = reply.header(name, &value);
            }
        }
        reply
    }
}

/// An answer that was given before, and is marked as such.
///
/// # Errors
/// 410 `answer_erased` for one that spoke of somebody who was erased since.
pub fn replayed(stored: Stored) -> Answer {
    if stored.body == ERASED {
        let detail = "This was done under this Idempotency-Key before, and is not done again. The answer is gone: it \
                      spoke of somebody who was erased since.";
        return Err(ApiError::new(410, "answer_erased", detail));
    }
    Ok(Reply::from(stored).header(HeaderName::from_static("idempotency-replayed"), "true"))
}
