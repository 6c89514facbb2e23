//! The machine under the routes: from a request's bytes to a handler and back. It knows the rooms only here,
//! where they are mounted.

mod arrival;
mod client;
mod coding;
mod connection;
mod cors;
mod docs;
mod doors;
mod error;
mod health;
pub mod idempotency;
pub mod input;
mod limits;
mod linger;
mod listener;
mod meters;
mod openapi;
mod operation;
mod outgoing;
mod pipe;
mod places;
mod redirect;
mod reply;
mod request;
mod routes;
mod samples;
mod socket;
mod told;
mod traced;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use coding::Coding;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

pub use client::{Client, Net, Proxies, ProxyHeader};
pub use cors::Origins;
pub use doors::{Door, Inherited};
pub use error::{ApiError, Faults};
pub use limits::{Limits, Whom, rate_limited};
pub use listener::{Listeners, Running};
pub use meters::{Meters, Went};
pub use openapi::document as openapi;
pub use operation::{Access, Op, for_everybody};
pub use outgoing::outgoing;
pub use pipe::{FileFormat, LINES, Pipe, TOTAL, piped};
pub use places::OTHER_FILES;
pub use reply::{
    Answer, Content, ListBody, Reply, Stored, created, etag, names_tag, names_tag_strongly, ok, replayed,
};
pub use request::{Body, Origin, Req, remember, unsupported};
use routes::verb_of;
pub use routes::{Routes, Verbs, delete, get, patch, post, put};
pub use socket::find_socket;
pub use told::{Teller, teller};

use crate::app::App;
use crate::telemetry::trace::Open;
use crate::telemetry::{Asked, Finished, on_behalf};
use limits::{Allowance, Class};

/// Most bytes of path and query.
const URI_LIMIT: usize = 8 << 10;
/// Most header lines, and most bytes of them. Above a hundred hyper refuses by itself, and says less.
const HEADER_LINES: usize = 80;
const HEADER_BYTES: usize = 16 << 10;

/// What browsers are told of every answer that says nothing else of itself: it is what it says it is, loads nothing,
/// stands in no frame, and tells nobody where it was read.
const GUARDS: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// What browsers that came by HTTPS are told: not to come in another way for a year (RFC 6797).
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

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
        .and(crate::telemetry::http::routes())
        .and(crate::metrics::routes())
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

/// What the operations door leads to; all else is not there.
const OPERATIONS: &[&str] = &["/healthz", "/metrics", "/readyz"];

/// A path's verbs, and those of them that have limits of their own.
struct Place {
    /// As it stands in the table of routes.
    route: &'static str,
    /// The number of its first verb among all operations; the others follow.
    first: usize,
    verbs: Verbs,
    limited: Vec<(&'static str, Class)>,
}

impl Place {
    /// The number of what is asked for; `HEAD` is answered as `GET`.
    fn operation(&self, method: &Method) -> Option<usize> {
        self.verbs.place(method).map(|place| self.first + place)
    }

    fn class(&self, method: &Method) -> Class {
        let verb = verb_of(method);
        let own = self.limited.iter().find(|(of, _)| *of == verb);
        own.map_or(Class::Usual, |(_, class)| *class)
    }
}

/// The path finder, made once.
static ROUTER: LazyLock<matchit::Router<Place>> = LazyLock::new(|| {
    let mut router = matchit::Router::new();
    let mut limited = LIMITED.to_vec();
    let mut first = 0;
    for (path, verbs) in routes().into_iter() {
        let own =
            limited.extract_if(.., |(_, of, _)| *of == path).map(|(verb, _, class)| (verb, class)).collect();
        let place = Place { route: path, first, verbs, limited: own };
        first += place.verbs.count();
        router.insert(slashless(path), place).expect("routes don't shadow one another");
    }
    assert!(limited.is_empty(), "limits of what is not routed: {limited:?}");
    router
});

/// The paths and verbs that are routed, in the order of their numbers: what the documentation and the authorisation tests go by.
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
pub async fn answer(app: &Arc<App>, mut incoming: Incoming) -> Reply {
    let started = Instant::now();
    let _active = app.requests.active.enter();
    let path = std::mem::take(&mut incoming.path);
    let found = ROUTER.at(slashless(&path)).ok();
    let id = request_id(app, &incoming.headers);
    let route = found.as_ref().map(|found| found.value.route);
    let operation = found.as_ref().and_then(|found| found.value.operation(&incoming.method));
    let span = traced::begin(app, &incoming, route);
    let asked = Asked::new(id, incoming.method.clone(), route, span.as_ref().map(Open::context));
    let asked = Arc::new(asked);
    let target = Target { path: slashless(&path), found };
    let (reply, failure) = Arc::clone(&asked).scope(reply(app, incoming, target, &asked)).await;
    let finished = Finished {
        asked: &asked,
        path: &path,
        status: reply.status,
        took: started.elapsed(),
        code: failure.as_ref().map(|failure| failure.code),
        cause: failure.as_ref().and_then(|failure| failure.cause.as_deref()),
    };
    // Whoever watches is told here, and nowhere else.
    on_behalf(Some(Arc::clone(&asked)), || {
        app.errors.finished(&finished);
        finished.log();
    });
    app.requests.answered(operation, finished.status, finished.took);
    if let Some(span) = span {
        traced::end(span, &finished);
    }
    reply
}

/// What a request is for.
struct Target<'a> {
    /// Without its trailing slash.
    path: &'a str,
    found: Option<matchit::Match<'a, 'a, &'static Place>>,
}

/// What an answer that is an error was made of.
struct Failure {
    code: &'static str,
    cause: Option<String>,
}

/// An error's answer.
fn failed(error: ApiError, asked: &Asked) -> (Reply, Option<Failure>) {
    let failure = Failure { code: error.code, cause: error.cause().map(str::to_owned) };
    (error.into_reply(&asked.id), Some(failure))
}

/// The answer, with all that every answer has.
async fn reply(
    app: &Arc<App>,
    incoming: Incoming,
    target: Target<'_>,
    asked: &Arc<Asked>,
) -> (Reply, Option<Failure>) {
    let method = &asked.method;
    let of = |name: HeaderName| incoming.headers.get(name).cloned();
    let (if_none_match, accept) = (of(header::IF_NONE_MATCH), of(header::ACCEPT_ENCODING));
    let from = of(header::ORIGIN);
    // Nobody comes in over the network by another way than TLS then, and not before there is a certificate.
    let is_secure = app.https().is_some() && matches!(incoming.origin, Origin::Network(_));

    let mut allowance = None;
    let answered = match dispatch(app, incoming, target, asked, &mut allowance) {
        Ok(handling) => AssertUnwindSafe(handling).catch_unwind().await.unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<&str>().map(ToString::to_string);
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(ApiError::internal(format!("a handler panicked: {}", said.unwrap_or_default())))
        }),
        Err(error) => Err(error),
    };
    let (mut reply, mut failure) = answered.map_or_else(|error| failed(error, asked), |reply| (reply, None));

    if *method == Method::GET || *method == Method::HEAD {
        let coding = Coding::chosen(accept.as_ref(), &mut reply);
        reply = not_modified(reply, if_none_match.as_ref());
        if let Some(coding) = coding.filter(|_| reply.status == StatusCode::OK) {
            let coded = coding.apply(reply).await;
            (reply, failure) =
                coded.map_or_else(|error| failed(ApiError::internal(error), asked), |reply| (reply, failure));
        }
    }
    app.config.server_cors_origins.mark(from.as_ref(), &mut reply.headers);
    for (name, value) in GUARDS {
        reply.headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if is_secure {
        reply.headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    if !reply.headers.contains_key(header::CACHE_CONTROL) {
        reply.push(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    reply = reply.header(HeaderName::from_static("x-request-id"), &asked.id);
    if let Some(allowance) = allowance {
        allowance.tell(&mut reply);
    }
    (reply, failure)
}

/// Finds the handler, under the limits that hold for every request.
fn dispatch(
    app: &Arc<App>,
    incoming: Incoming,
    target: Target<'_>,
    asked: &Arc<Asked>,
    allowance: &mut Option<Allowance>,
) -> Result<BoxFuture<'static, Answer>, ApiError> {
    let Incoming { method, path: _, query, headers, body, origin } = incoming;
    let Target { path, found } = target;
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
    let class = found.as_ref().map_or(Class::Usual, |found| found.value.class(&method));
    let client = app.client(origin, &headers);
    let allowance = allowance.insert(Allowance::begin(&app.limits, class, client.as_ref().map(Client::net))?);
    let is_shut = origin == Origin::Operations && !OPERATIONS.contains(&path);
    let found = found.filter(|_| !is_shut);
    let found = found.ok_or_else(|| ApiError::new(404, "not_found", "There is nothing at this path."))?;
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
        asked: Arc::clone(asked),
        origin,
        client,
        allowance: allowance.clone(),
        params: params.ok_or_else(ApiError::not_found)?,
        body,
        digest: [0; 32],
    };
    Ok(handler(req))
}

/// A path as the router has it: its trailing slash says nothing.
fn slashless(path: &str) -> &str {
    if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path }
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
