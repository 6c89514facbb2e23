//! Reports as Sentry takes them: an event in an envelope (develop.sentry.dev, SDK, Envelopes).

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use sentry_types::Dsn;
use sentry_types::protocol::v7::{
    Breadcrumb, ClientSdkInfo, Envelope, EnvelopeHeaders, Event, Exception, Frame, Level, Mechanism,
    Request as Asked, Stacktrace, User,
};
use serde_json::json;

use super::asked::Asker;
use super::post::retry_after;
use super::recent::Crumb;
use super::report::{self, Report};
use super::{RELEASE, VERSION};

const LIMITS: &str = "x-sentry-rate-limits";

/// A project at Sentry.
pub struct Sentry {
    pub dsn: Dsn,
    pub environment: String,
}

impl Sentry {
    /// A report's envelope.
    pub fn letter(&self, report: &Report, frames: &[report::Frame]) -> Request<Bytes> {
        let sdk = ClientSdkInfo {
            name: "till".into(),
            version: VERSION.into(),
            integrations: Vec::new(),
            packages: Vec::new(),
        };
        let headers = EnvelopeHeaders::new().with_event_id(report.id).with_sdk(sdk.clone());
        let mut envelope = Envelope::new().with_headers(headers);
        envelope.add_item(self.event(report, frames, sdk));
        let mut body = Vec::new();
        envelope.to_writer(&mut body).expect("written to memory");
        Request::post(self.dsn.envelope_api_url().as_str())
            .header(header::CONTENT_TYPE, "application/x-sentry-envelope")
            .header("x-sentry-auth", self.dsn.to_auth(Some(&format!("till/{VERSION}"))).to_string())
            .body(body.into())
            .expect("a DSN makes a good request")
    }

    fn event(&self, report: &Report, frames: &[report::Frame], sdk: ClientSdkInfo) -> Event<'static> {
        let asker = report.asked.as_ref().and_then(|asked| asked.asker());
        let mut event = Event {
            event_id: report.id,
            timestamp: report.at,
            level: level(report.level),
            fingerprint: Cow::Owned(vec![report.fingerprint.clone().into()]),
            platform: "native".into(),
            release: Some(RELEASE.as_str().into()),
            environment: Some(self.environment.clone().into()),
            transaction: report.operation(),
            sdk: Some(Cow::Owned(sdk)),
            breadcrumbs: report.crumbs.iter().map(breadcrumb).collect::<Vec<_>>().into(),
            ..Event::default()
        };
        if let Some(asked) = &report.asked {
            event.tags.insert("request_id".into(), asked.id.clone());
            event.request = Some(Asked { method: Some(asked.method.to_string()), ..Asked::default() });
        }
        match asker {
            Some(Asker::User(id)) => event.user = Some(User { id: Some(id.to_string()), ..User::default() }),
            Some(Asker::Token(id)) => drop(event.tags.insert("token_id".into(), id.to_string())),
            None => {}
        }
        event.tags.insert("kind".into(), report.kind.into());
        if let Some(status) = report.status {
            event.tags.insert("status".into(), status.to_string());
        }
        let more = report.data.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
        event.extra.extend(more);
        event.extra.extend(report.place.iter().map(|place| ("place".to_owned(), json!(place))));
        if report.untold > 0 {
            event.extra.insert("untold".into(), json!(report.untold));
        }
        if report.level == report::Level::Critical {
            let frames = frames.iter().map(frame).collect();
            event.exception = vec![Exception {
                ty: report.kind.into(),
                value: Some(report.said.clone()),
                stacktrace: Stacktrace::from_frames_reversed(frames),
                mechanism: Some(Mechanism {
                    ty: "panic".into(),
                    handled: Some(false),
                    ..Mechanism::default()
                }),
                ..Exception::default()
            }]
            .into();
        } else {
            event.message = Some(report.said.clone());
        }
        event
    }
}

fn level(level: report::Level) -> Level {
    match level {
        report::Level::Info => Level::Info,
        report::Level::Error => Level::Error,
        report::Level::Critical => Level::Fatal,
    }
}

fn breadcrumb(crumb: &Crumb) -> Breadcrumb {
    Breadcrumb {
        timestamp: crumb.at,
        category: Some(crumb.target.into()),
        level: match crumb.level {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warning,
            _ => Level::Info,
        },
        message: Some(crumb.said.clone()),
        data: crumb.data.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect(),
        ..Breadcrumb::default()
    }
}

fn frame(frame: &report::Frame) -> Frame {
    Frame {
        function: Some(frame.function.clone()),
        filename: frame.file.clone(),
        lineno: frame.line,
        in_app: Some(frame.is_own()),
        ..Frame::default()
    }
}

/// How long Sentry wants no errors: what it says of them, whatever it answered, or of everything after 429
/// (develop.sentry.dev, SDK, Rate Limiting).
pub fn pause(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let Some(limits) = headers.get(LIMITS).and_then(|value| value.to_str().ok()) else {
        return retry_after(status, headers);
    };
    let of_errors = limits.split(',').filter_map(|limit| {
        let mut parts = limit.trim().split(':');
        let seconds: f64 = parts.next()?.trim().parse().ok()?;
        let categories = parts.next().unwrap_or_default();
        let is_ours = categories.is_empty() || categories.split(';').any(|category| category == "error");
        is_ours.then(|| Duration::try_from_secs_f64(seconds.ceil()).ok()).flatten()
    });
    of_errors.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_heard_that_are_of_errors() {
        for (said, seconds) in [
            ("60::organization", Some(60)),
            ("60:error:organization", Some(60)),
            ("60:transaction;error:key, 2700:default:organization:quota", Some(60)),
            ("60:transaction:key", None),
            ("60:error:key, 90::key", Some(90)),
            ("soon:error:key", None),
            ("", None),
        ] {
            let headers =
                HeaderMap::from_iter([(LIMITS.parse().expect("a name"), said.parse().expect("text"))]);
            assert_eq!(pause(StatusCode::OK, &headers), seconds.map(Duration::from_secs), "{said}");
        }
        assert_eq!(pause(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new()), Some(Duration::from_secs(60)));
        assert_eq!(pause(StatusCode::OK, &HeaderMap::new()), None);
    }
}
