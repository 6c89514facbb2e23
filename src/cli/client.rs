//! The shop at three distances: elsewhere by URL and token, running here by its socket, or stopped, opened in
//! this process. The same requests, the same answers.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, header};
use rustix::process::geteuid;
use serde_json::Value;
use tokio::net::UnixStream;

use super::output::Output;
use super::{CliError, Global, from_env, stopped};
use crate::app::{App, DATA_FILE, Parts};
use crate::config::Flags;
use crate::http::input::decode;
use crate::http::{Body, Content, Incoming, LINES, Origin, answer, find_socket, outgoing};

/// How long after it was told that another piece of long work runs it asks again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

pub enum Shop {
    Elsewhere { client: reqwest::Client, base: String, token: Option<String> },
    Here(Arc<App>),
}

/// A body to send.
pub enum Payload {
    None,
    Json(Value),
    File(Upload),
}

/// A file on its way.
pub struct Upload {
    pub media_type: &'static str,
    /// In bytes, where it is known.
    pub length: Option<u64>,
    pub pieces: Body,
}

/// An answer that is still coming.
pub struct Answering {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: BoxStream<'static, Result<Bytes, String>>,
}

/// A whole answer.
pub struct Answered {
    pub status: u16,
    pub body: Bytes,
}

impl Shop {
    /// Finds the shop that the command is for. Where there is none, a command that `begins` one does.
    pub async fn find(global: &Global, begins: bool) -> Result<Shop, CliError> {
        if let Some(base) = global.shop_url() {
            let token = global.token.clone().or_else(|| from_env("TILL_TOKEN"));
            if token.is_none() && !global.quiet {
                eprintln!("without --token the shop shows what it shows to everybody");
            }
            return Ok(Shop::Elsewhere { client: outgoing().build()?, base, token });
        }
        let config = global.load_config(Flags::default())?;
        if let Some(running) = Shop::running(&config.data_dir).await? {
            return Ok(running);
        }
        let dir = config.data_dir.display();
        if config.data_dir.is_file() {
            return Err(CliError::failed(format!("{dir} is a file; --data-dir names a directory")));
        }
        is_own(&config.data_dir)?;
        let is_there = config.data_dir.join(DATA_FILE).try_exists().map_err(|error| {
            CliError::failed(format!(
                "{dir} can't be looked into: {error}; run this as the user whose shop it is"
            ))
        })?;
        if !is_there {
            if !begins {
                let said =
                    "`till serve` or `till product import` begins one; --data-dir names another directory";
                return Err(CliError::failed(format!("there is no shop in {dir}; {said}")));
            }
            if !global.quiet {
                eprintln!("a new shop begins in {dir}");
            }
        }
        let app = App::open(Parts::real(config)?)?;
        app.begin_to_answer()?;
        Ok(Shop::Here(app))
    }

    /// The shop that runs in a data directory, if one does.
    pub async fn running(data_dir: &Path) -> Result<Option<Shop>, CliError> {
        let socket = find_socket(data_dir);
        if UnixStream::connect(&socket).await.is_err() {
            return Ok(None);
        }
        let client = outgoing().unix_socket(socket).build()?;
        Ok(Some(Shop::Elsewhere { client, base: "http://till".into(), token: None }))
    }

    /// Sends a request; `accept` says what is wanted back, where that is not JSON.
    pub async fn open(
        &self,
        method: Method,
        path: &str,
        accept: Option<&'static str>,
        payload: Payload,
    ) -> Result<Answering, CliError> {
        let upload = match payload {
            Payload::None => None,
            Payload::Json(json) => {
                let body = Bytes::from(json.to_string());
                Some(Upload {
                    media_type: "application/json",
                    length: Some(body.len() as u64),
                    pieces: Box::pin(stream::iter([Ok(body)])),
                })
            }
            Payload::File(upload) => Some(upload),
        };
        let mut headers = HeaderMap::new();
        if let Some(Upload { media_type, length, .. }) = &upload {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
            if let Some(length) = length {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(*length));
            }
        }
        if let Some(accept) = accept {
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        }
        match self {
            Shop::Elsewhere { client, base, token } => {
                let mut request = client.request(method, format!("{base}{path}")).headers(headers);
                if let Some(token) = token {
                    request = request.bearer_auth(token);
                }
                if let Some(upload) = upload {
                    request = request.body(reqwest::Body::wrap_stream(upload.pieces));
                }
                let response = request.send().await.map_err(|error| unreachable(base, &error))?;
                Ok(Answering {
                    status: response.status().as_u16(),
                    headers: response.headers().clone(),
                    body: response.bytes_stream().map_err(|error| deepest(&error)).boxed(),
                })
            }
            Shop::Here(app) => {
                let (path, query) = path.split_once('?').unwrap_or((path, ""));
                let incoming = Incoming {
                    method,
                    path: path.to_owned(),
                    query: query.to_owned(),
                    headers,
                    body: upload.map(|upload| upload.pieces),
                    origin: Origin::Operator,
                };
                let reply = answer(app, incoming).await;
                let body: BoxStream<_> = match reply.body {
                    Content::Whole(bytes) => stream::iter([Ok(bytes)]).boxed(),
                    Content::Stream(body) => body.boxed(),
                };
                Ok(Answering { status: reply.status.as_u16(), headers: reply.headers, body })
            }
        }
    }

    /// Sends a request, and waits for the whole answer, whatever it is.
    pub async fn send(&self, method: Method, path: &str, payload: Payload) -> Result<Answered, CliError> {
        self.open(method, path, None, payload).await?.whole().await
    }

    /// Sends a request that must succeed, and reads the JSON of its answer.
    ///
    /// # Errors
    /// What the shop said against it.
    pub async fn call(&self, method: Method, path: &str, payload: Payload) -> Result<Value, CliError> {
        let answered = self.send(method, path, payload).await?;
        let body = answered.json();
        if answered.status < 400 {
            return Ok(body);
        }
        let said = if body["code"] == "not_found" { missing(path) } else { None };
        Err(CliError::failed(said.unwrap_or_else(|| refusal(&body, answered.status))))
    }

    /// [`Shop::call`] of long work, which is shown while it goes on, and waits for another of its kind to end: the
    /// backup of the schedule is no reason why the operator's fails.
    pub async fn follow(&self, path: &str, asked: Option<Value>, out: &Output) -> Result<Value, CliError> {
        let mut progress = out.progress();
        let following = async {
            loop {
                let payload = asked.clone().map_or(Payload::None, Payload::Json);
                let answering = self.open(Method::POST, path, Some(LINES), payload).await?;
                let number = |line: &Value, name: &str| line[name].as_u64().unwrap_or(0);
                let told = answering.told(|line| {
                    let stage = line["stage"].as_str().unwrap_or_default();
                    progress.at(stage, number(&line, "done"), number(&line, "of"), false);
                });
                let (status, body) = told.await?;
                if status != 409 || !body["code"].as_str().is_some_and(|code| code.ends_with("_running")) {
                    return Ok((status, body));
                }
                progress.at("waiting", 0, 0, false);
                tokio::time::sleep(ASK_AGAIN).await;
            }
        };
        let followed = tokio::select! {
            followed = following => followed,
            () = stopped() => Err(CliError::failed("stopped")),
        };
        progress.end();
        match followed? {
            (status, body) if status < 400 => Ok(body),
            (status, problem) => Err(CliError::failed(refusal(&problem, status))),
        }
    }

    pub async fn get(&self, path: &str) -> Result<Value, CliError> {
        self.call(Method::GET, path, Payload::None).await
    }

    /// The items of a list, at most `limit` (0: all), and how long the list is.
    pub async fn list(&self, path: &str, limit: usize) -> Result<(Vec<Value>, u64), CliError> {
        let mut items = Vec::new();
        let count = self.pages(path, limit, |mut page| items.append(&mut page)).await?;
        Ok((items, count))
    }

    /// Hands the items of a list to `take`, page by page, at most `limit` (0: all); how long the list is.
    pub async fn pages(
        &self,
        path: &str,
        limit: usize,
        mut take: impl FnMut(Vec<Value>),
    ) -> Result<u64, CliError> {
        let lead = if path.contains('?') { '&' } else { '?' };
        let most = if limit == 0 { usize::MAX } else { limit };
        let size = most.min(100);
        let (mut taken, mut page) = (0, 1);
        loop {
            let mut body = self.get(&format!("{path}{lead}page={page}&page_size={size}")).await?;
            let Value::Array(mut items) = body["results"].take() else {
                return Err(CliError::failed("the shop's answer is not the list that was asked for"));
            };
            items.truncate(most - taken);
            taken += items.len();
            take(items);
            if taken == most || body["next"].is_null() {
                return Ok(body["count"].as_u64().unwrap_or(0));
            }
            page += 1;
        }
    }
}

impl Answering {
    pub async fn whole(mut self) -> Result<Answered, CliError> {
        let mut body = BytesMut::new();
        while let Some(piece) = self.body.next().await {
            body.extend_from_slice(&piece.map_err(|said| broken_off(&said))?);
        }
        Ok(Answered { status: self.status, body: body.freeze() })
    }
}

impl Answering {
    /// Reads what long work tells, to its answer: status and body. One that has nothing to tell is the answer.
    pub async fn told(mut self, mut hear: impl FnMut(Value)) -> Result<(u16, Value), CliError> {
        let mut rest = BytesMut::new();
        let mut end = None;
        while let Some(piece) = self.body.next().await {
            rest.extend_from_slice(&piece.map_err(|said| broken_off(&said))?);
            while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
                let mut line: Value = serde_json::from_slice(&rest.split_to(at + 1))?;
                if line["stage"] == "end" {
                    let status = line["status"].as_u64().and_then(|status| u16::try_from(status).ok());
                    end = Some((status.unwrap_or(500), line["body"].take()));
                } else {
                    hear(line);
                }
            }
        }
        if end.is_none() && !rest.is_empty() {
            end = Some((self.status, serde_json::from_slice(&rest)?));
        }
        end.ok_or_else(|| broken_off("it has no end"))
    }
}

/// Whether files that are made in a data directory will be of the user whose it is: those of root are closed to the shop.
pub fn is_own(data_dir: &Path) -> Result<(), CliError> {
    let owner = data_dir.metadata().map_or(0, |dir| dir.uid());
    if owner == 0 || !geteuid().is_root() {
        return Ok(());
    }
    let dir = data_dir.display();
    Err(CliError::failed(format!(
        "the shop in {dir} does not run, and is not root's, who would take its files away from it. Start it, or run this as \
         the user whose it is: runuser -u $(stat -c %U {dir}) -- till …"
    )))
}

/// An answer that did not come to its end.
pub fn broken_off(said: &str) -> CliError {
    CliError::failed(format!("the shop's answer broke off: {said}"))
}

impl Answered {
    /// The body as JSON; null for none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

fn unreachable(base: &str, error: &reqwest::Error) -> CliError {
    CliError::failed(format!("the shop at {base} can't be reached: {}", deepest(error)))
}

/// What lies at the bottom of an error.
pub fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// What was asked for in vain, by the path that names it.
fn missing(path: &str) -> Option<String> {
    let parts: Vec<_> = path.split(['/', '?']).filter(|part| !part.is_empty()).collect();
    let kinds = [
        ("orders", "order", "till order list"),
        ("products", "product", "till product list"),
        ("payments", "payment", "till payment list"),
        ("users", "user", "till user list"),
        ("tokens", "token", "till token list"),
        ("imports", "import", "till product imports"),
        ("coupons", "coupon", "till coupon list"),
        ("reviews", "review", "till review list"),
    ];
    let found = parts.windows(2).find_map(|pair| {
        let (_, kind, list) =
            kinds.iter().find(|(room, ..)| *room == pair[0] && !["imports", "import"].contains(&pair[1]))?;
        Some((kind, decode(pair[1]).unwrap_or_default(), list))
    });
    found.map(|(kind, name, list)| {
        format!("there is no {kind} {name} in this shop; `{list}` shows what there is")
    })
}

/// A problem document in words.
pub fn refusal(problem: &Value, status: u16) -> String {
    let mut said = match problem["code"].as_str() {
        Some("validation_error") => "this is not right:".to_owned(),
        Some("not_found") => {
            "there is no such thing in this shop; the `list` command shows what there is".to_owned()
        }
        _ => problem["detail"].as_str().map_or_else(|| format!("the shop answered {status}"), str::to_owned),
    };
    if let Some(faults) = problem["errors"].as_object() {
        for (field, faults) in faults {
            let faults: Vec<_> = faults.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let field = if field == "file" { String::new() } else { format!("{field} ") };
            said.push_str(&format!("\n  {field}{}", faults.join(", ")));
        }
    }
    if status == 401 {
        said.push_str(
            "\nGive an API token (`till token create` on the shop's own machine makes one) with --token or $TILL_TOKEN.",
        );
    }
    said
}
