//! The machine under the routes: from a request's bytes to a handler and back. It knows the rooms only here,
//! where they are mounted.

mod client;
mod coding;
mod connection;
mod cors;
mod docs;
mod error;
mod health;
pub mod idempotency;
pub mod input;
mod limits;
mod linger;
mod listener;
mod openapi;
mod operation;
mod outgoing;
mod pipe;
mod places;
mod reply;
mod request;
mod routes;
mod samples;
mod told;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use coding::Coding;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

pub use client::{Client, Net, Proxies, ProxyHeader};
pub use cors::Origins;
pub use error::{ApiError, Faults};
pub use limits::{Limits, Whom, rate_limited};
pub use listener::{Listeners, Running, find_socket};
pub use openapi::document as openapi;
pub use operation::{Access, Op, for_everybody};
pub use outgoing::outgoing;
pub use pipe::{FileFormat, LINES, Pipe, TOTAL, piped};
pub use reply::{
    Answer, Content, ListBody, Reply, Stored, created, etag, names_tag, names_tag_strongly, ok, replayed,
};
pub use request::{Body, Origin, Req, remember, unsupported};
pub use routes::{Routes, Verbs, delete, get, patch, post, put};
pub use told::{Teller, teller};

use crate::app::App;
use limits::{Allowance, Class};

/// Most bytes of path and query.
const URI_LIMIT: usize = 8 << 10;
/// Most header lines, and most bytes of them.
const HEADER_LINES: usize = 100;
const HEADER_BYTES: usize = 16 << 10;

/// What browsers are told of every answer that says nothing else of itself: it is what it says it is, loads nothing,
/// stands in no frame, and tells nobody where it was read.
const GUARDS: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// Every route of the shop.
fn routes() -> Routes {
    Routes::new()
        .and(health::routes())
        .and(openapi::routes())
        .and(docs::routes())
        .and(crate::catalogue::http::routes())
        .and(crate::cart::http::routes())
        .and(crate::orders::http::routes())
        .and(crate::orders::papers::http::routes())
        .and(crate::payments::http::routes())
        .and(crate::payments::webhook::routes())
        .and(crate::checkout::http::routes())
        .and(crate::accounts::http::routes())
        .and(crate::accounts::by_mail::routes())
        .and(crate::accounts::admin::routes())
        .and(crate::accounts::keys::routes())
        .and(crate::inventory::admin::routes())
        .and(crate::catalogue::admin::routes())
        .and(crate::catalogue::import::http::routes())
        .and(crate::catalogue::export::routes())
        .and(crate::promotions::admin::routes())
        .and(crate::orders::admin::routes())
        .and(crate::payments::admin::routes())
        .and(crate::payments::report::routes())
        .and(crate::payments::stopped::routes())
        .and(crate::checkout::admin::routes())
        .and(crate::checkout::parcels::routes())
        .and(crate::orders::export::routes())
        .and(crate::reviews::http::routes())
        .and(crate::reviews::admin::routes())
        .and(crate::wishlist::http::routes())
        .and(crate::reports::admin::routes())
        .and(crate::reports::audit::routes())
        .and(crate::privacy::http::routes())
        .and(crate::check::http::routes())
        .and(crate::backup::http::routes())
        .and(crate::mail::admin::routes())
        .and(crate::upkeep::routes())
}

/// Operations that have limits of their own.
const LIMITED: &[(&str, &str, Class)] = &[
    ("POST", "/api/auth/login/", Class::Login),
    ("POST", "/api/auth/password/", Class::Login),
    ("DELETE", "/api/auth/me/", Class::Login),
    ("POST", "/api/auth/register/", Class::Register),
    ("POST", "/api/auth/password/reset/", Class::Mail),
    ("POST", "/api/auth/verify/resend/", Class::Mail),
    ("POST", "/api/auth/password/reset/confirm/", Class::Guess),
    ("POST", "/api/auth/verify/", Class::Guess),
    ("POST", "/api/cart/coupon/", Class::Guess),
    ("POST", "/api/payment/webhook/", Class::Webhook),
    ("POST", "/api/payment/webhook/paypal/", Class::Webhook),
    // Whoever watches over the shop must see it as it is.
    ("GET", "/healthz", Class::Free),
    ("GET", "/readyz", Class::Free),
];

/// A path's verbs, and those of them that have limits of their own.
struct Place {
    verbs: Verbs,
    limited: Vec<(&'static str, Class)>,
}

impl Place {
    fn class(&self, method: &Method) -> Class {
        let verb = if method == Method::HEAD { "GET" } else { method.as_str() };
        let own = self.limited.iter().find(|(of, _)| *of == verb);
        own.map_or(Class::Usual, |(_, class)| *class)
    }
}

/// The path finder, made once.
static ROUTER: LazyLock<matchit::Router<Place>> = LazyLock::new(|| {
    let mut router = matchit::Router::new();
    let mut limited = LIMITED.to_vec();
    for (path, verbs) in routes().into_iter() {
        let own =
            limited.extract_if(.., |(_, of, _)| *of == path).map(|(verb, _, class)| (verb, class)).collect();
        let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        router.insert(path, Place { verbs, limited: own }).expect("routes don't shadow one another");
    }
    assert!(limited.is_empty(), "limits of what is not routed: {limited:?}");
    router
});

/// The paths and verbs that are routed: what the documentation and the authorisation tests go by.
pub fn operations() -> Vec<(&'static str, &'static str)> {
    routes()
        .into_iter()
        .flat_map(|(path, verbs)| verbs.each().map(move |(verb, _)| (verb, path)).collect::<Vec<_>>())
        .collect()
}

/// A request's head and body, as whatever listens hands them in.
pub struct Incoming {
    pub method: Method,
    pub path: String,
    /// Without its question mark; empty for none.
    pub query: String,
    pub headers: HeaderMap,
    pub body: Option<Body>,
    pub origin: Origin,
}

/// Answers one request: every way in ends here.
pub async fn answer(app: &Arc<App>, incoming: Incoming) -> Reply {
    let started = Instant::now();
    let id = request_id(app, &incoming.headers);
    let (method, path) = (incoming.method.clone(), incoming.path.clone());
    let of = |name: HeaderName| incoming.headers.get(name).cloned();
    let (if_none_match, accept) = (of(header::IF_NONE_MATCH), of(header::ACCEPT_ENCODING));
    let from = of(header::ORIGIN);

    let mut allowance = None;
    let answered = match dispatch(app, incoming, &id, &mut allowance) {
        Ok(handling) => AssertUnwindSafe(handling).catch_unwind().await.unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<&str>().map(ToString::to_string);
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(ApiError::internal(format!("a handler panicked: {}", said.unwrap_or_default())))
        }),
        Err(error) => Err(error),
    };
    let mut reply = answered.unwrap_or_else(|error| {
        if let Some(cause) = error.cause() {
            tracing::error!(request_id = id, %method, path, cause, "request failed");
        }
        error.into_reply(&id)
    });

    if method == Method::GET || method == Method::HEAD {
        let coding = Coding::chosen(accept.as_ref(), &mut reply);
        reply = not_modified(reply, if_none_match.as_ref());
        if let Some(coding) = coding.filter(|_| reply.status == StatusCode::OK) {
            let coded = coding.apply(reply).await;
            reply = coded.unwrap_or_else(|error| ApiError::internal(error).into_reply(&id));
        }
    }
    app.config.server_cors_origins.mark(from.as_ref(), &mut reply.headers);
    for (name, value) in GUARDS {
        reply.headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if !reply.headers.contains_key(header::CACHE_CONTROL) {
        reply.push(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    reply = reply.header(HeaderName::from_static("x-request-id"), &id);
    if let Some(allowance) = allowance {
        allowance.tell(&mut reply);
    }
    let (status, ms) = (reply.status.as_u16(), format!("{:.2}", started.elapsed().as_secs_f64() * 1000.0));
    tracing::info!(request_id = id, %method, path, status, %ms, "request");
    reply
}

/// Finds the handler, under the limits that hold for every request.
fn dispatch(
    app: &Arc<App>,
    incoming: Incoming,
    id: &str,
    allowance: &mut Option<Allowance>,
) -> Result<BoxFuture<'static, Answer>, ApiError> {
    let Incoming { method, path, query, headers, body, origin } = incoming;
    if path.len() + query.len() > URI_LIMIT {
        return Err(ApiError::new(
            414,
            "uri_too_long",
            format!("The path and query are over {URI_LIMIT} bytes."),
        ));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > HEADER_LINES || bytes > HEADER_BYTES {
        return Err(ApiError::new(
            431,
            "headers_too_large",
            format!("At most {HEADER_LINES} headers, {HEADER_BYTES} bytes."),
        ));
    }
    let path = if path.len() > 1 { path.strip_suffix('/').unwrap_or(&path) } else { &path };
    let found = ROUTER.at(path);
    let class = found.as_ref().map_or(Class::Usual, |found| found.value.class(&method));
    let client = app.client(origin, &headers);
    let allowance = allowance.insert(Allowance::begin(&app.limits, class, client.as_ref().map(Client::net))?);
    let found = found.map_err(|_| ApiError::new(404, "not_found", "There is nothing at this path."))?;
    let verbs = &found.value.verbs;
    let Some(handler) = verbs.of(&method) else {
        let allow = verbs.allow();
        let origins = &app.config.server_cors_origins;
        if method == Method::OPTIONS && !origins.is_none() {
            let preflight = origins.preflight(&allow);
            return Ok(async { Ok(preflight) }.boxed());
        }
        let detail = format!("This path does not take {method}; it takes {allow}.");
        return Err(ApiError::new(405, "method_not_allowed", detail).header(header::ALLOW, &allow));
    };
    if headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        let detail = "Send the body as it is, without Content-Encoding.";
        let refusal = ApiError::new(415, "unsupported_media_type", detail);
        return Err(refusal.header(header::ACCEPT_ENCODING, "identity"));
    }
    let params: Option<Vec<_>> = found.params.iter().map(|(_, value)| input::decode(value)).collect();
    let req = Req {
        app: Arc::clone(app),
        method,
        path: path.to_owned(),
        query: input::Query::parse(&query)?,
        headers,
        id: id.to_owned(),
        origin,
        client,
        allowance: allowance.clone(),
        params: params.ok_or_else(ApiError::not_found)?,
        body,
        digest: [0; 32],
    };
    Ok(handler(req))
}

/// The client's request id where it is sane, else a new one.
fn request_id(app: &App, headers: &HeaderMap) -> String {
    let sane = |id: &&str| {
        (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
    };
    let given = headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(sane);
    given.map_or_else(|| app.new_request_id(), str::to_owned)
}

fn not_modified(reply: Reply, if_none_match: Option<&HeaderValue>) -> Reply {
    let tag = reply.headers.get(header::ETAG).and_then(|value| value.to_str().ok());
    let asked = if_none_match.and_then(|value| value.to_str().ok());
    match (tag, asked) {
        (Some(tag), Some(asked)) if reply.status == StatusCode::OK && names_tag(asked, tag) => {
            let mut same =
                Reply { status: StatusCode::NOT_MODIFIED, headers: reply.headers, body: Content::none() };
            same.headers.remove(header::CONTENT_TYPE);
            same
        }
        _ => reply,
    }
}
