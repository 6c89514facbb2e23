//! A request's span, by OpenTelemetry's semantic conventions for HTTP. It says nothing of who asks, and names no path: the
//! route tells enough, and the log has the rest under the request's id.

use http::Method;

use super::{Incoming, OPERATIONS, Origin, slashless};
use crate::app::App;
use crate::telemetry::Finished;
use crate::telemetry::trace::{Open, Parent};

/// Begins the span of a request, if it is traced. Whoever only looks whether the shop is well is not.
pub fn begin(app: &App, incoming: &Incoming, route: Option<&'static str>) -> Option<Open> {
    let tracer = app.otlp.as_ref()?.tracer.as_ref()?;
    if route.is_some_and(|route| OPERATIONS.contains(&slashless(route))) {
        return None;
    }
    let parent = incoming.headers.get("traceparent").and_then(|value| value.to_str().ok());
    let mut span = tracer.begin(parent.and_then(Parent::read))?;
    let client = app.client(incoming.origin, &incoming.headers);
    let said = client.and_then(|client| client.scheme);
    let is_secure = app.config.is_https() || app.config.server_public_url.starts_with("https:");
    let own = if is_secure { "https" } else { "http" };
    span.note("url.scheme", if incoming.origin == Origin::Operator { "http" } else { said.unwrap_or(own) });
    Some(span)
}

/// Ends it with what became of the request.
pub fn end(mut span: Open, finished: &Finished) {
    let Finished { asked, status, .. } = finished;
    // A method that nobody knows is no name for anything.
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    let method = if known.contains(&asked.method) { asked.method.as_str() } else { "_OTHER" }.to_owned();
    if let Some(route) = asked.route {
        span.rename(format!("{method} {route}"));
        span.note("http.route", route);
    } else {
        span.rename(method.clone());
    }
    span.note("http.request.method", method);
    span.note("http.response.status_code", status.as_u16());
    span.note("till.request_id", asked.id.clone());
    if status.is_server_error() {
        span.fails(status.as_str().to_owned());
    }
    span.end();
}
