//! Reports as Rollbar takes them: items (docs.rollbar.com, Create Item).

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, header};
use serde_json::{Map, Value, json};

use super::asked::Asker;
use super::recent::Crumb;
use super::report::{Frame, Level, Report};
use super::{RELEASE, VERSION};

/// Most characters of a title.
const TITLE: usize = 255;
/// Most characters of a version.
const RELEASE_LENGTH: usize = 40;

/// A project at Rollbar.
pub struct Rollbar {
    pub url: String,
    pub token: String,
    pub environment: String,
}

impl Rollbar {
    /// A report's item.
    pub fn letter(&self, report: &Report, frames: &[Frame]) -> Request<Bytes> {
        let body = json!({ "data": self.data(report, frames) }).to_string();
        Request::post(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-rollbar-access-token", &self.token)
            .body(body.into())
            .expect("URL and token were checked when the settings were read")
    }

    fn data(&self, report: &Report, frames: &[Frame]) -> Value {
        let mut data = json!({
            "environment": self.environment,
            "body": body(report, frames),
            "level": match report.level {
                Level::Info => "info",
                Level::Error => "error",
                Level::Critical => "critical",
            },
            "timestamp": millis(report.at) / 1000,
            "code_version": RELEASE.chars().take(RELEASE_LENGTH).collect::<String>(),
            "platform": "linux",
            "language": "rust",
            "framework": "till",
            "fingerprint": report.fingerprint,
            "title": report.said.chars().take(TITLE).collect::<String>(),
            "uuid": report.id.to_string(),
            "custom": custom(report),
            "notifier": { "name": "till", "version": VERSION },
        });
        if let Some(asked) = &report.asked {
            data["context"] = json!(report.operation());
            data["request"] = json!({ "method": asked.method.as_str(), "request_id": asked.id });
            if let Some(Asker::User(id)) = asked.asker() {
                data["person"] = json!({ "id": id.to_string() });
            }
        }
        data
    }
}

/// A panic has a trace, anything else is a message.
fn body(report: &Report, frames: &[Frame]) -> Value {
    let telemetry: Vec<_> = report.crumbs.iter().map(telemetry).collect();
    if report.level != Level::Critical {
        return json!({ "message": { "body": report.said }, "telemetry": telemetry });
    }
    // The innermost comes last.
    let frames: Vec<_> = frames.iter().rev().map(frame).collect();
    let exception = json!({ "class": report.kind, "message": report.said });
    json!({ "trace": { "frames": frames, "exception": exception }, "telemetry": telemetry })
}

fn frame(frame: &Frame) -> Value {
    let mut shown = json!({
        "filename": frame.file.as_deref().unwrap_or("(unknown)"),
        "method": frame.function,
    });
    if let Some(line) = frame.line {
        shown["lineno"] = json!(line);
    }
    shown
}

fn telemetry(crumb: &Crumb) -> Value {
    let mut body = shown(&crumb.data);
    body.insert("message".into(), json!(crumb.said));
    json!({
        "level": match crumb.level {
            tracing::Level::ERROR => "error",
            tracing::Level::WARN => "warning",
            _ => "info",
        },
        "type": "log",
        "source": "server",
        "timestamp_ms": millis(crumb.at),
        "body": body,
    })
}

fn custom(report: &Report) -> Value {
    let mut custom = shown(&report.data);
    custom.insert("kind".into(), json!(report.kind));
    if let Some(place) = &report.place {
        custom.insert("place".into(), json!(place));
    }
    if let Some(status) = report.status {
        custom.insert("status".into(), json!(status));
    }
    if let Some(Asker::Token(id)) = report.asked.as_ref().and_then(|asked| asked.asker()) {
        custom.insert("token_id".into(), json!(id));
    }
    if report.untold > 0 {
        custom.insert("untold".into(), json!(report.untold));
    }
    custom.into()
}

fn shown(data: &[(&'static str, String)]) -> Map<String, Value> {
    data.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
}

fn millis(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
