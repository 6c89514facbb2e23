//! One HTTP request to a gateway, and when it is made again. The rules are here; what carries the bytes is handed
//! in, so that the same rules run against a gateway of the tests' own.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use rand::RngExt;
use serde::de::DeserializeOwned;

use super::GatewayError;
use crate::http::outgoing;

/// Tries of one call, with those that failed for a moment's reason.
const TRIES: u32 = 3;
/// Before the second try; doubled for each that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(300);
/// A gateway that wants a longer pause than this is asked again by the reconciler.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// No answer of a gateway is longer (bytes).
const ANSWER_LIMIT: usize = 8 << 20;

/// A request that got no answer.
#[derive(Debug, Clone)]
pub enum Lost {
    /// It may have had its effect.
    Timeout,
    /// It could not be sent, or its answer broke off. It may have had its effect.
    Broken(String),
}

/// What carries requests to gateways.
#[async_trait]
pub trait Wire: Send + Sync {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Bytes>, Lost>;
    /// Waits before a request is sent again, for about this long.
    async fn pause(&self, span: Duration);
}

/// HTTPS, with the system's certificate authorities.
pub struct HttpWire {
    client: reqwest::Client,
}

impl HttpWire {
    /// `timeout` is for a whole request. `roots` are trusted beside the system's authorities.
    ///
    /// # Panics
    /// When a root is no certificate, or the system's authorities can't be read.
    pub fn new(timeout: Duration, roots: Vec<reqwest::Certificate>) -> HttpWire {
        let client = outgoing().timeout(timeout).redirect(reqwest::redirect::Policy::none());
        let client = if roots.is_empty() { client } else { client.tls_certs_merge(roots) };
        HttpWire { client: client.build().expect("the system's certificate authorities are readable") }
    }
}

#[async_trait]
impl Wire for HttpWire {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Bytes>, Lost> {
        let lost = |error: reqwest::Error| {
            if error.is_timeout() { Lost::Timeout } else { Lost::Broken(reason(&error)) }
        };
        let request = reqwest::Request::try_from(request).map_err(lost)?;
        let mut response = self.client.execute(request).await.map_err(lost)?;
        let mut answer = Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            headers.clone_from(response.headers());
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(lost)? {
            body.extend_from_slice(&piece);
            if body.len() > ANSWER_LIMIT {
                return Err(Lost::Broken(format!("its answer is over {ANSWER_LIMIT} bytes")));
            }
        }
        answer.body(body.into()).map_err(|error| Lost::Broken(error.to_string()))
    }

    async fn pause(&self, span: Duration) {
        let jitter = rand::rng().random_range(1.0..1.5);
        tokio::time::sleep(span.mul_f64(jitter)).await;
    }
}

/// What lies at the bottom of an error, without the URL.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Sends the request, and again while that may help: after network errors, 409, 429 and 5xx, or as the gateway's
/// own headers say. The answer is a 2xx or a 4xx; what it means is its reader's.
pub async fn call(wire: &dyn Wire, request: Request<Vec<u8>>) -> Result<Response<Bytes>, GatewayError> {
    let mut pause = FIRST_PAUSE;
    for last in (0..TRIES).map(|n| n + 1 == TRIES) {
        let said = match wire.send(request.clone()).await {
            // Whoever waits has waited long enough; the same key finds out later.
            Err(Lost::Timeout) => return Err(GatewayError::Timeout),
            Err(Lost::Broken(said)) => said,
            Ok(answer) => {
                let (status, headers) = (answer.status(), answer.headers());
                if status.is_server_error() && flag(headers, "idempotent-replayed") == Some(true) {
                    return Err(GatewayError::KeySpent);
                }
                if !may_help(status, headers) {
                    return settled(answer);
                }
                match retry_after(headers) {
                    Some(wanted) if wanted > LONGEST_PAUSE => return settled(answer),
                    Some(wanted) => pause = pause.max(wanted),
                    None => {}
                }
                if last {
                    return settled(answer);
                }
                format!("it answered {status}")
            }
        };
        if last {
            return Err(GatewayError::Down(said));
        }
        wire.pause(pause).await;
        pause *= 2;
    }
    unreachable!("the last try returns")
}

/// Reads the JSON of an answer.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, GatewayError> {
    let said = |error: serde_json::Error| GatewayError::Failed(format!("its answer can't be read: {error}"));
    serde_json::from_slice(body).map_err(said)
}

/// A request that can't even be put together: a setting is no URL, or a key no header.
pub fn unmakeable(error: &http::Error) -> GatewayError {
    GatewayError::Failed(format!("the request can't be made: {error}"))
}

/// An answer that is not asked for again now.
fn settled(answer: Response<Bytes>) -> Result<Response<Bytes>, GatewayError> {
    match answer.status() {
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Err(GatewayError::Down(format!("it answered {status}")))
        }
        // Another call with this key, or about this object, is running.
        StatusCode::CONFLICT => Err(GatewayError::Failed("it is busy with this payment".into())),
        _ => Ok(answer),
    }
}

fn may_help(status: StatusCode, headers: &HeaderMap) -> bool {
    let by_status =
        status.is_server_error() || matches!(status, StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS);
    flag(headers, "stripe-should-retry").unwrap_or(by_status)
}

fn flag(headers: &HeaderMap, name: &str) -> Option<bool> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
