//! Plain HTTP beside HTTPS: whoever comes is sent on, if it is to a name of the shop; and what a certificate authority
//! asks to prove that name (RFC 8555, 8.3) is answered.

use std::sync::Arc;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Method, StatusCode, Uri, header};

use super::{ApiError, Incoming, Reply};
use crate::app::App;

const CHALLENGES: &str = "/.well-known/acme-challenge/";

pub fn answer(app: &Arc<App>, incoming: &Incoming) -> Reply {
    let reply = if let Some(token) = incoming.path.strip_prefix(CHALLENGES) {
        let answer = app.https().and_then(|https| https.served.token(token));
        let answer = answer.map(|answer| Reply::bytes(StatusCode::OK, "application/octet-stream", answer));
        answer.ok_or_else(|| ApiError::new(404, "not_found", "Nobody asks for this."))
    } else if incoming.path.starts_with('/') && incoming.method != Method::CONNECT {
        send_on(app, incoming)
    } else {
        itself(incoming)
    };
    let reply = reply.unwrap_or_else(|error| error.into_reply(&app.new_request_id()));
    tracing::debug!(path = incoming.path, status = reply.status.as_u16(), "plain HTTP");
    reply.header(header::CACHE_CONTROL, "no-store")
}

/// What is asked of this server and of nothing that is elsewhere: `OPTIONS *` (RFC 9110, 9.3.7), and nonsense.
fn itself(incoming: &Incoming) -> Result<Reply, ApiError> {
    if incoming.method != Method::OPTIONS || incoming.path != "*" {
        return Err(ApiError::not_found());
    }
    Ok(Reply::no_content().header(header::ALLOW, "GET, HEAD, OPTIONS"))
}

/// The same address by HTTPS. Nobody is sent to a host that is not the shop's.
fn send_on(app: &App, incoming: &Incoming) -> Result<Reply, ApiError> {
    let host = incoming.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.and_then(|host| host.parse::<Authority>().ok());
    let host = host.filter(|host| app.https().is_some_and(|https| https.answers_to(host.host())));
    let Some(host) = host else {
        return Err(ApiError::new(421, "misdirected", "This host is not a name of the shop's."));
    };
    // The port that customers know, which a forwarder may have changed, is nobody's but the operator's to say.
    let public = app.config.public_url().parse::<Uri>().ok();
    let public = public.filter(|url| url.scheme() == Some(&Scheme::HTTPS)).and_then(|url| url.port_u16());
    let port = public.map_or_else(String::new, |port| format!(":{port}"));
    let query = if incoming.query.is_empty() { String::new() } else { format!("?{}", incoming.query) };
    let location = format!("https://{}{port}{}{query}", host.host(), incoming.path);
    let location = HeaderValue::from_bytes(location.as_bytes()).map_err(|_| ApiError::not_found())?;
    let mut reply =
        Reply::bytes(StatusCode::PERMANENT_REDIRECT, "text/plain; charset=utf-8", "This shop is at https.\n");
    reply.headers.insert(header::LOCATION, location);
    Ok(reply)
}
