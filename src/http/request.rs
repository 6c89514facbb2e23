//! A request as handlers see it.

use std::net::IpAddr;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, Method, header};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::client::{Client, Net, is_host};
use super::error::ApiError;
use super::idempotency::InFlight;
use super::input::{Input, Query, read_json};
use super::limits::{Allowance, Whom};
use super::reply::{self, Answer, ListBody, Reply, Stored};
use crate::app::App;
use crate::clock::Time;
use crate::page::{Page, Paged};
use crate::store::{Once, OnceKey, Seen, WriteTx};
use crate::telemetry::{Asked, Asker};

/// Most bytes a JSON body may have.
const BODY_LIMIT: u64 = 256 << 10;

/// How long a client may take over the next piece of a body; and over all of it, with a second more for each so many
/// bytes that came.
const BODY_TIME: Duration = Duration::from_secs(30);
const BODY_RATE: u64 = 1 << 10;

/// A body as it arrives.
pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes, String>> + Send + Sync>>;

/// How a request came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Over the network, from this address: who asks is in the token.
    Network(IpAddr),
    /// By the operations door, where nobody has an account and a few paths are open.
    Operations,
    /// Over the data directory's socket, or in process: whoever can, is the operator.
    Operator,
}

pub struct Req {
    pub app: Arc<App>,
    pub method: Method,
    /// Without its trailing slash.
    pub path: String,
    pub query: Query,
    pub headers: HeaderMap,
    /// Its id, and who asks, for whoever watches.
    pub asked: Arc<Asked>,
    pub origin: Origin,
    /// Where it comes from; none for the operator.
    pub client: Option<Client>,
    pub(super) allowance: Allowance,
    pub(super) params: Vec<String>,
    pub(super) body: Option<Body>,
    /// SHA-256 of the body, once it was read.
    pub digest: [u8; 32],
}

/// A body that is read piece by piece.
pub struct Upload {
    body: Option<Body>,
    limit: u64,
    length: u64,
    /// How long was waited for the client.
    waited: Duration,
    digest: Sha256,
}

impl Upload {
    /// The next piece; none after the last.
    ///
    /// # Errors
    /// 400 when the client broke off, 408 when it takes too long, 413 over the limit.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        let Some(body) = &mut self.body else { return Ok(None) };
        let slow = |_| {
            ApiError::new(408, "body_timeout", "The body took too long to arrive.")
                .header(header::CONNECTION, "close")
        };
        let allowed = BODY_TIME + Duration::from_millis(self.length * 1000 / BODY_RATE);
        let (began, rest) = (Instant::now(), allowed.saturating_sub(self.waited).min(BODY_TIME));
        let came = tokio::time::timeout(rest, body.next()).await.map_err(slow)?;
        self.waited += began.elapsed();
        let Some(piece) = came else { return Ok(None) };
        let piece = piece.map_err(|error| {
            ApiError::new(400, "body_incomplete", format!("The body could not be read: {error}."))
        })?;
        self.length += piece.len() as u64;
        if self.length > self.limit {
            return Err(too_large(self.limit));
        }
        self.digest.update(&piece);
        Ok(Some(piece))
    }

    /// SHA-256 of what was read.
    pub fn digest(self) -> [u8; 32] {
        self.digest.finalize().into()
    }
}

fn too_large(limit: u64) -> ApiError {
    let detail = format!("The body is over the limit of {limit} bytes.");
    ApiError::new(413, "body_too_large", detail).header(header::CONNECTION, "close")
}

impl Req {
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The `n`th variable part of the path. One that is no `T` is an unknown path.
    pub fn param<T: FromStr>(&self, n: usize) -> Result<T, ApiError> {
        self.params.get(n).and_then(|text| text.parse().ok()).ok_or_else(ApiError::not_found)
    }

    /// Reads the whole body.
    ///
    /// # Errors
    /// 413 over `limit` bytes, which holds for chunked bodies too.
    pub async fn bytes(&mut self, limit: u64) -> Result<Bytes, ApiError> {
        let mut upload = self.upload(limit)?;
        let mut whole = BytesMut::new();
        while let Some(piece) = upload.next().await? {
            whole.extend_from_slice(&piece);
        }
        self.digest = upload.digest();
        Ok(whole.freeze())
    }

    /// The body, to read it piece by piece.
    ///
    /// # Errors
    /// 413 when it says of itself that it is over `limit` bytes.
    pub fn upload(&mut self, limit: u64) -> Result<Upload, ApiError> {
        let said: Option<u64> = self.header(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
        if said.is_some_and(|length| length > limit) {
            return Err(too_large(limit));
        }
        Ok(Upload { body: self.body.take(), limit, length: 0, waited: Duration::ZERO, digest: Sha256::new() })
    }

    /// The media type of the body, without its parameters, in lower case.
    pub fn media_type(&self) -> String {
        let value = self.header(header::CONTENT_TYPE).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// Reads a JSON body.
    pub async fn json<T: Input>(&mut self) -> Result<T, ApiError> {
        // What is of another type is not worth waiting for.
        if self.media_type() != "application/json" {
            return Err(unsupported("application/json"));
        }
        let body = self.bytes(BODY_LIMIT).await?;
        self.read(&body)
    }

    /// Reads a JSON body that may be left out altogether.
    pub async fn json_or_nothing<T: Input + Default>(&mut self) -> Result<T, ApiError> {
        // Only reading it tells: over HTTP/2 a body may come with no word of its length.
        let body = self.bytes(BODY_LIMIT).await?;
        if body.is_empty() {
            return Ok(T::default());
        }
        self.read(&body)
    }

    fn read<T: Input>(&self, body: &[u8]) -> Result<T, ApiError> {
        if self.media_type() != "application/json" {
            return Err(unsupported("application/json"));
        }
        read_json(body, self.app.currency())
    }

    /// Which page of a list is wanted.
    pub fn page(&self) -> Result<Page, ApiError> {
        let number = |text: &str| text.parse::<u64>().ok();
        let page = self.query.read("page", "must be a page number from 1", |text| {
            number(text).filter(|n| (1..=1 << 40).contains(n))
        })?;
        let said = format!("must be from 1 to {}", Page::MAX_SIZE);
        let size = self
            .query
            .read("page_size", &said, |text| number(text).filter(|n| (1..=Page::MAX_SIZE).contains(n)))?;
        Ok(Page { number: page.unwrap_or(1), size: size.unwrap_or(Page::DEFAULT_SIZE) })
    }

    /// The answer with one page of a list in it.
    ///
    /// # Errors
    /// 404 `page_not_found` past the end.
    pub fn list<T: Serialize>(&self, page: Page, items: Paged<T>) -> Answer {
        let body = self.envelope(page, items)?;
        Ok(reply::ok(&body))
    }

    pub fn envelope<T>(&self, page: Page, items: Paged<T>) -> Result<ListBody<T>, ApiError> {
        if page.number > 1 && page.offset() >= items.count {
            return Err(ApiError::new(
                404,
                "page_not_found",
                "There is no such page; the list ends before it.",
            ));
        }
        let link = |number: u64| {
            self.absolute(&format!("{}/{}", self.path, self.query.with("page", &number.to_string())))
        };
        let next = (page.offset() + page.size < items.count).then(|| link(page.number + 1));
        let previous = (page.number > 1).then(|| link(page.number - 1));
        Ok(ListBody::new(items, next, previous))
    }

    /// `path` as an absolute URL: by the configured public address, else by what the client called us, or called the
    /// proxy that is believed; the
    /// operator, who comes in by the back door, is told where customers come in.
    pub fn absolute(&self, path: &str) -> String {
        let public = self.app.config.public_url();
        if !public.is_empty() {
            return format!("{public}{path}");
        }
        if self.origin == Origin::Operator {
            return format!("{}{path}", self.app.own_url());
        }
        let client = self.client.as_ref();
        let said = client.and_then(|client| client.host.as_deref());
        let host = said.or_else(|| self.header(header::HOST).filter(|host| is_host(host)));
        let scheme = client.and_then(|client| client.scheme).unwrap_or(self.app.config.scheme());
        format!("{scheme}://{}{path}", host.unwrap_or("localhost"))
    }

    pub fn now(&self) -> Time {
        self.app.clock.now()
    }

    /// Which client asks; none for the operator.
    pub fn net(&self) -> Option<Net> {
        self.client.as_ref().map(Client::net)
    }

    /// Takes this request off what `whom` is allowed; once, however often it is said who asks.
    ///
    /// # Errors
    /// 429 `rate_limited`.
    pub fn charge(&self, whom: Whom) -> Result<(), ApiError> {
        match whom {
            Whom::User(id) => self.asked.is_by(Asker::User(id)),
            Whom::Token(id) => self.asked.is_by(Asker::Token(id)),
            Whom::Net(_) => {}
        }
        match self.client {
            Some(_) => self.allowance.charge(&self.app.limits, whom),
            None => Ok(()),
        }
    }

    /// The request's idempotency key, if it has one, held for as long as the guard lives. The body must have
    /// been read.
    ///
    /// # Errors
    /// 409 `idempotency_in_progress` while another request with it runs; 422 for a key that is none.
    pub fn once_key(&self) -> Result<Option<(OnceKey, InFlight)>, ApiError> {
        let Some(value) = self.headers.get("idempotency-key") else { return Ok(None) };
        let key = value
            .to_str()
            .ok()
            .filter(|key| (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()));
        let Some(key) = key else {
            return Err(ApiError::field("Idempotency-Key", "must be 1 to 255 visible ASCII characters"));
        };
        let who = self.asker()?;
        let scope = format!("{who} {} {} {key}", self.method, self.path);
        // What the query asks for is part of what is asked.
        // The digest is keyed: a body may hold a password, which a plain one would give away to whoever reads
        // the data file.
        let query = format!("{:?}", self.query);
        let asked = [&self.digest, query.as_bytes()];
        let body = self.app.keys.digest(&asked);
        let earlier = self.app.keys.earlier_digests(&asked, self.now());
        let guard = self.app.in_flight.enter(&scope)?;
        Ok(Some((OnceKey { scope, body, earlier }, guard)))
    }

    /// Has the store run `act` and answers with what it returns, at most once per idempotency key.
    pub async fn write_once(
        &self,
        act: impl Fn(&mut WriteTx) -> Result<Reply, ApiError> + Send + 'static,
    ) -> Answer {
        let (key, _guard) = self.once_key()?.unzip();
        let once = self.app.store.write_once(key, move |tx| act(tx).map(|reply| Stored::from(&reply))).await;
        Ok(match once? {
            Once::Fresh(stored) => stored.into(),
            Once::Replayed(stored) => reply::replayed(stored)?,
        })
    }

    /// What became of this key before: for acts of several commits, which can't use [`Req::write_once`].
    pub fn seen(&self, key: Option<&OnceKey>) -> Result<Seen<Reply>, ApiError> {
        let Some(key) = key else { return Ok(Seen::New) };
        let seen = self.app.store.read(|tx| Ok::<_, ApiError>(key.seen::<Stored>(tx)??))?;
        Ok(match seen {
            Seen::Done(stored) => Seen::Done(reply::replayed(stored)?),
            Seen::Began(id) => Seen::Began(id),
            Seen::New => Seen::New,
        })
    }

    /// What was answered under this key before.
    pub fn answered(&self, key: Option<&OnceKey>) -> Result<Option<Reply>, ApiError> {
        Ok(if let Seen::Done(reply) = self.seen(key)? { Some(reply) } else { None })
    }

    /// Stores the answer under its key.
    pub async fn remember(&self, key: Option<OnceKey>, reply: &Reply) -> Result<(), ApiError> {
        remember(&self.app, key, reply).await
    }

    /// Has the store run `act`.
    pub async fn write<T: Send + 'static>(
        &self,
        act: impl Fn(&mut WriteTx) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.app.store.write(act).await
    }
}

/// [`Req::remember`], for work that outlives its request.
pub async fn remember(app: &App, key: Option<OnceKey>, reply: &Reply) -> Result<(), ApiError> {
    let Some(key) = key else { return Ok(()) };
    let stored = Stored::from(reply);
    app.store.write(move |tx| Ok(key.done(tx, &stored)?)).await
}

/// 415, with what would be right.
pub fn unsupported(right: &str) -> ApiError {
    ApiError::new(415, "unsupported_media_type", format!("Send the body with Content-Type: {right}."))
        .header(header::ACCEPT, right)
}
