//! A Sentry and a Rollbar of the tests' own: they take errors in, and are strict about how they come.

use std::collections::VecDeque;

use http::{Method, Request, Response};
use serde_json::Value;

use super::serve::Fake;

/// What a sink answers instead of taking what comes: a status and headers.
#[derive(Clone, Debug)]
pub struct Refusal(pub u16, pub Vec<(&'static str, &'static str)>);

/// Sentry's intake of one project (develop.sentry.dev: Envelopes, Event Payloads).
#[derive(Default)]
pub struct FakeSentry {
    pub events: Vec<Value>,
    /// Whatever came, as it came.
    pub raw: String,
    pub refusals: VecDeque<Refusal>,
    faults: Vec<String>,
}

/// Rollbar's intake of items (docs.rollbar.com: Create Item).
#[derive(Default)]
pub struct FakeRollbar {
    /// The member `data` of what came.
    pub items: Vec<Value>,
    pub raw: String,
    pub refusals: VecDeque<Refusal>,
    faults: Vec<String>,
}

pub const SENTRY_KEY: &str = "5e27a4b1c0de4f00b1e55ed0ddba11ff";
pub const ROLLBAR_TOKEN: &str = "frumious0rollbar0token0000000000";
const PROJECT: u64 = 4711;

/// The DSN of the project, at a sink that listens there.
pub fn dsn(base: &str) -> String {
    format!("{}/{PROJECT}", base.replace("://", &format!("://{SENTRY_KEY}@")))
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Vec<u8>> {
    let mut answer = Response::builder().status(status).header("content-type", "application/json");
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(body.as_bytes().to_vec()).expect("a good answer")
}

fn header<'a>(request: &'a Request<Vec<u8>>, name: &str) -> &'a str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn need(is_good: bool, said: &str) -> Result<(), String> {
    if is_good { Ok(()) } else { Err(said.to_owned()) }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_text(value: &Value, most: usize) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty() && text.chars().count() <= most)
}

impl Fake for FakeSentry {
    fn handle(&mut self, _: i64, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        self.raw.push_str(&format!("{:?}\n{}\n", request.headers(), String::from_utf8_lossy(request.body())));
        let event = envelope(request).and_then(|event| check_event(&event).map(|()| event));
        match event {
            Err(fault) => {
                self.faults.push(fault);
                answer(400, &[], r#"{"detail":"bad envelope"}"#)
            }
            Ok(event) => match self.refusals.pop_front() {
                Some(Refusal(status, headers)) if status >= 300 => answer(status, &headers, "{}"),
                refusal => {
                    self.events.push(event);
                    let headers = refusal.map(|Refusal(_, headers)| headers).unwrap_or_default();
                    answer(200, &headers, "{}")
                }
            },
        }
    }

    fn violations(&self) -> &[String] {
        &self.faults
    }
}

/// The one event of the one item of an envelope.
fn envelope(request: &Request<Vec<u8>>) -> Result<Value, String> {
    need(request.method() == Method::POST, "not a POST")?;
    let path = format!("/api/{PROJECT}/envelope/");
    need(request.uri().path() == path, "not the project's envelope endpoint")?;
    need(header(request, "content-type") == "application/x-sentry-envelope", "not an envelope's media type")?;
    need(header(request, "user-agent").starts_with("till/"), "no user agent")?;
    let auth = header(request, "x-sentry-auth").strip_prefix("Sentry ").ok_or("no X-Sentry-Auth")?;
    let said: Vec<_> = auth.split(", ").filter_map(|pair| pair.split_once('=')).collect();
    let of = |name: &str| said.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    need(of("sentry_version") == Some("7"), "not version 7 of the protocol")?;
    need(of("sentry_key") == Some(SENTRY_KEY), "not the project's key")?;
    need(of("sentry_client").is_some_and(|client| client.starts_with("till/")), "no client")?;

    let body = request.body().as_slice();
    let line = |from: usize| body[from..].iter().position(|b| *b == b'\n').map(|at| from + at);
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).map_err(|error| error.to_string());
    let end = line(0).ok_or("no envelope header")?;
    let head = read(&body[..end])?;
    let item_end = line(end + 1).ok_or("no item header")?;
    let item = read(&body[end + 1..item_end])?;
    need(item["type"] == "event", "an item that is no event")?;
    let length = item["length"].as_u64().ok_or("an item without a length")? as usize;
    let payload = body.get(item_end + 1..item_end + 1 + length).ok_or("an item that is cut off")?;
    need(matches!(&body[item_end + 1 + length..], b"" | b"\n"), "something after the item")?;
    let event = read(payload)?;
    let id = head["event_id"].as_str().unwrap_or_default().replace('-', "");
    need(event["event_id"] == *id, "an envelope about another event")?;
    Ok(event)
}

fn check_event(event: &Value) -> Result<(), String> {
    let known = [
        "breadcrumbs",
        "environment",
        "event_id",
        "exception",
        "extra",
        "fingerprint",
        "level",
        "message",
        "platform",
        "release",
        "request",
        "sdk",
        "tags",
        "timestamp",
        "transaction",
        "user",
    ];
    let unknown = event.as_object().ok_or("no object")?.keys().find(|name| !known.contains(&name.as_str()));
    need(unknown.is_none(), &format!("an event with {unknown:?}"))?;
    need(event["event_id"].as_str().is_some_and(|id| is_hex(id, 32)), "an event_id that is none")?;
    need(event["timestamp"].as_f64().is_some_and(|at| at > 1.7e9), "no timestamp")?;
    need(event["platform"] == "native", "a platform that is none")?;
    let level = event["level"].as_str().unwrap_or("error");
    need(["fatal", "error", "warning", "info", "debug"].contains(&level), "a level that is none")?;
    need(is_text(&event["release"], 250), "no release")?;
    need(is_text(&event["environment"], 64), "no environment")?;
    let fingerprint = event["fingerprint"].as_array().ok_or("no fingerprint")?;
    need(fingerprint.iter().all(Value::is_string), "a fingerprint that is none")?;
    need(
        event["exception"]["values"].is_array() != event["message"].is_string(),
        "not one of exception and message",
    )?;
    for exception in event["exception"]["values"].as_array().into_iter().flatten() {
        need(is_text(&exception["type"], 128), "an exception without a type")?;
        need(is_text(&exception["mechanism"]["type"], 64), "a mechanism without a type")?;
        let frames = exception["stacktrace"]["frames"].as_array().into_iter().flatten();
        for frame in frames {
            need(is_text(&frame["function"], 256), "a frame without a function")?;
        }
    }
    for crumb in event["breadcrumbs"]["values"].as_array().into_iter().flatten() {
        need(!crumb["timestamp"].is_null(), "a breadcrumb without its time")?;
    }
    for (name, value) in event["tags"].as_object().into_iter().flatten() {
        let is_name =
            name.len() <= 32 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b));
        need(is_name && is_text(value, 200), &format!("the tag {name} of {value}"))?;
    }
    let user: Vec<_> =
        event["user"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    need(user.is_empty() || user == ["id"], "more of a user than the id")
}

impl Fake for FakeRollbar {
    fn handle(&mut self, _: i64, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        self.raw.push_str(&format!("{:?}\n{}\n", request.headers(), String::from_utf8_lossy(request.body())));
        match item(request) {
            Err(fault) => {
                self.faults.push(fault);
                answer(422, &[], r#"{"err":1,"message":"invalid format"}"#)
            }
            Ok(data) => match self.refusals.pop_front() {
                Some(Refusal(status, headers)) => {
                    answer(status, &headers, r#"{"err":1,"message":"refused"}"#)
                }
                None => {
                    let said = serde_json::json!({"err": 0, "result": {"id": null, "uuid": data["uuid"]}});
                    self.items.push(data);
                    answer(200, &[], &said.to_string())
                }
            },
        }
    }

    fn violations(&self) -> &[String] {
        &self.faults
    }
}

fn item(request: &Request<Vec<u8>>) -> Result<Value, String> {
    need(request.method() == Method::POST, "not a POST")?;
    need(request.uri().path() == "/api/1/item/", "not where items go")?;
    need(header(request, "content-type") == "application/json", "no JSON")?;
    need(header(request, "x-rollbar-access-token") == ROLLBAR_TOKEN, "not the project's token")?;
    let mut body: Value = serde_json::from_slice(request.body()).map_err(|error| error.to_string())?;
    let data = body["data"].take();
    let levels = ["critical", "error", "warning", "info", "debug"];
    need(is_text(&data["environment"], 255), "no environment")?;
    need(levels.iter().any(|level| data["level"] == *level), "a level that is none")?;
    need(data["timestamp"].as_u64().is_some_and(|at| at > 1_700_000_000), "no timestamp in seconds")?;
    need(is_text(&data["code_version"], 40), "no code_version")?;
    need(is_text(&data["fingerprint"], 40), "no fingerprint")?;
    need(is_text(&data["title"], 255), "no title")?;
    need(is_text(&data["uuid"], 36), "no uuid")?;
    need(data["person"].is_null() || is_text(&data["person"]["id"], 40), "a person without an id")?;
    need(
        data["person"]["email"].is_null() && data["person"]["username"].is_null(),
        "more of a person than the id",
    )?;
    need(
        data["custom"].is_object() && is_text(&data["notifier"]["name"], 255),
        "no custom data, or no notifier",
    )?;
    let content = &data["body"];
    let is_message = is_text(&content["message"]["body"], 10_000);
    let is_trace =
        content["trace"]["frames"].is_array() && is_text(&content["trace"]["exception"]["class"], 255);
    need(is_message != is_trace, "not one of message and trace")?;
    for frame in content["trace"]["frames"].as_array().into_iter().flatten() {
        need(is_text(&frame["filename"], 1000), "a frame without a filename")?;
    }
    for crumb in content["telemetry"].as_array().ok_or("no telemetry")? {
        need(levels.iter().any(|level| crumb["level"] == *level), "telemetry of no level")?;
        need(crumb["type"] == "log" && crumb["source"] == "server", "telemetry of another type or source")?;
        need(
            crumb["timestamp_ms"].is_u64() && crumb["body"]["message"].is_string(),
            "telemetry without a time or body",
        )?;
    }
    Ok(data)
}
