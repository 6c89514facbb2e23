//! How an authority is spoken to: the shop's own HTTP client under instant-acme.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, header};
use hyper::body::Body;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::http::outgoing;

/// How long an answer may take, and how long it may be (bytes).
const ANSWER_TIME: Duration = Duration::from_secs(30);
const ANSWER_LIMIT: usize = 1 << 20;
/// The longest that an authority is believed about when to come back.
const LONGEST_WAIT: Duration = Duration::from_hours(7 * 24);

#[derive(Clone)]
pub struct Wire {
    client: reqwest::Client,
    /// How long to wait, as the last answer said if it was a refusal.
    retry_after: Arc<Mutex<Option<Duration>>>,
}

impl Wire {
    /// `roots` are trusted in the place of the system's authorities, if there are any.
    pub fn new(roots: Vec<reqwest::Certificate>) -> Result<Wire, String> {
        let client = outgoing().timeout(ANSWER_TIME).https_only(true);
        let client = if roots.is_empty() { client } else { client.tls_certs_only(roots) };
        let client = client.build().map_err(|error| reason(&error))?;
        Ok(Wire { client, retry_after: Arc::default() })
    }

    /// When to come back, if the last answer was a refusal that said so; once.
    pub fn take_retry_after(&self) -> Option<Duration> {
        self.retry_after.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn ask(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        // Whatever was said of another question says nothing of this one.
        self.take_retry_after();
        let (head, mut body) = request.into_parts();
        let is_get = head.method == Method::GET;
        let mut whole = Vec::new();
        while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            whole.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
        }
        let request =
            reqwest::Request::try_from(Request::from_parts(head, whole)).map_err(|error| other(&error))?;
        let asked = request.url().clone();
        let mut answer = self.client.execute(request).await.map_err(|error| other(&error))?;
        let mut parts = http::Response::new(()).into_parts().0;
        (parts.status, parts.headers) = (answer.status(), answer.headers().clone());
        if !parts.status.is_success() {
            let said = parts.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let wait = said.and_then(wait_of).map(|wait| wait.min(LONGEST_WAIT));
            *self.retry_after.lock().unwrap_or_else(PoisonError::into_inner) = wait;
            // instant-acme takes whatever it is for a problem document; a proxy's page is none.
            let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let is_problem = kind.is_some_and(|kind| kind.starts_with("application/problem+json"));
            if is_get || !is_problem {
                return Err(Error::Other(format!("{asked} answered {}", parts.status).into()));
            }
        }
        let mut whole = BytesMut::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| other(&error))? {
            whole.extend_from_slice(&piece);
            if whole.len() > ANSWER_LIMIT {
                return Err(Error::Other(format!("{asked} answered more than {ANSWER_LIMIT} bytes").into()));
            }
        }
        Ok(BytesResponse { parts, body: Box::new(whole.freeze()) })
    }
}

impl HttpClient for Wire {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().ask(request))
    }
}

fn other(error: &reqwest::Error) -> Error {
    Error::Other(reason(error).into())
}

/// An error with its causes, which say most.
fn reason(error: &reqwest::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said.push_str(&format!(": {error}"));
        cause = error.source();
    }
    said
}

/// `Retry-After`: seconds, or a date.
fn wait_of(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = OffsetDateTime::parse(value.trim(), &Rfc2822).ok()?;
    Some((date - OffsetDateTime::now_utc()).try_into().unwrap_or_default())
}
