//! A Stripe of the tests' own: it keeps state, is as strict as the real one, and lets a test play the
//! customer, the dashboard and the delivery of webhooks. It has no clock and no randomness.

use super::fault::{self, Fault};
use super::spec::{Spec, form};
use http::{Request, Response};
use refusal::{Refusal, Reply};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

mod charges;
mod disputes;
mod events;
mod intents;
mod lists;
mod money;
mod refunds;
mod refusal;
mod shape;

pub use intents::Outcome;

/// The API version whose whole description is published here.
const DESCRIPTION: &str = "stripe-openapi.2023-08-16.reduced.json";
const DAY: i64 = 24 * 60 * 60;

/// A request as it came: method, path and query, headers, body.
pub type Seen = (String, String, Vec<(String, String)>, String);

#[allow(clippy::struct_excessive_bools)] // each is a switch of its own
pub struct FakeStripe {
    pub secret_key: String,
    pub webhook_secret: String,
    pub livemode: bool,
    /// Objects have the shape of 2026 instead of 2023's.
    pub new_shape: bool,
    /// Intents come with their latest charge inside, even where `expand[]` does not ask for it.
    pub latest_charge_expanded: bool,
    /// The secret key has expired.
    pub revoked: bool,
    /// What the key, a restricted one, has no right to: the names of lists, such as `events`.
    pub forbidden: Vec<String>,
    /// What the dashboard has as webhook endpoints.
    pub webhook_endpoints: Vec<Value>,
    /// How many more calls find the object locked.
    pub busy: u32,
    /// New refunds begin as pending.
    pub pending_refunds: bool,
    /// Whether requests are held against the published description.
    pub checks: bool,
    pub faults: VecDeque<Fault>,
    pub keep_log: bool,
    pub seen: Vec<Seen>,
    violations: Vec<String>,
    spec: Spec,
    /// All objects by id; ids count upwards, so that those of one kind are in order.
    objects: BTreeMap<String, Value>,
    events: Vec<events::Event>,
    /// What was answered, by idempotency key.
    answered: BTreeMap<String, Answered>,
    ids: u64,
    requests: u64,
    /// The `request` of the events that the current call makes.
    cause: Value,
}

struct Answered {
    at: i64,
    asked: (String, Value),
    reply: Reply,
}

/// A call that may be executed.
struct Call {
    method: String,
    path: String,
    parameters: Value,
    key: Option<String>,
}

impl FakeStripe {
    pub fn new() -> Self {
        FakeStripe {
            secret_key: "sk_test_fake".to_owned(),
            webhook_secret: "whsec_fake".to_owned(),
            livemode: false,
            new_shape: false,
            latest_charge_expanded: false,
            revoked: false,
            forbidden: Vec::new(),
            webhook_endpoints: Vec::new(),
            busy: 0,
            pending_refunds: false,
            checks: true,
            faults: VecDeque::new(),
            keep_log: false,
            seen: Vec::new(),
            violations: Vec::new(),
            spec: Spec::load(DESCRIPTION),
            objects: BTreeMap::new(),
            events: Vec::new(),
            answered: BTreeMap::new(),
            ids: 0,
            requests: 0,
            cause: shape::no_cause(),
        }
    }

    /// The requests that no client may send.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// All intents as they are stored: in the old shape, with nothing expanded.
    pub fn intents(&self) -> Vec<Value> {
        self.kind("pi_").cloned().collect()
    }

    pub fn refunds(&self) -> Vec<Value> {
        self.kind("re_").cloned().collect()
    }

    pub fn intent(&self, id: &str) -> Option<Value> {
        self.objects.get(id).filter(|object| object["object"] == "payment_intent").cloned()
    }

    /// Changes a stored intent in any way, behind everybody's back.
    ///
    /// # Panics
    /// If there is no such intent.
    pub fn tamper(&mut self, intent: &str, change: impl FnOnce(&mut Value)) {
        change(self.objects.get_mut(intent).expect("an intent to tamper with"));
    }

    /// Answers a request that comes at `now`, in Unix seconds.
    pub fn handle(&mut self, now: i64, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        self.requests += 1;
        if self.keep_log {
            self.seen.push(seen(request));
        }
        let (fault, headers) = fault::next(&mut self.faults);
        let mut reply = self.reply(now, request, &fault).unwrap_or_else(Reply::from);
        if reply.status >= 400 {
            reply.headers.extend(headers);
        }
        reply.into_response(&self.request_id())
    }

    fn request_id(&self) -> String {
        format!("req_Fake{:010}", self.requests)
    }

    fn reply(&mut self, now: i64, request: &Request<Vec<u8>>, fault: &Fault) -> Result<Reply, Refusal> {
        self.authorise(request)?;
        let call = self.checked(request).map_err(|(wrong, refusal)| {
            let body = String::from_utf8_lossy(request.body());
            self.violations.push(format!("{} {}: {wrong} in {body:?}", request.method(), request.uri()));
            refusal
        })?;
        if let Fault::Status(status) = fault {
            return Err(Refusal::accident(*status));
        }
        let named = call.path.split('/').nth(2).unwrap_or_default();
        if self.forbidden.iter().any(|list| list == named) {
            return Err(Refusal::no_right(named));
        }
        if self.busy > 0 {
            self.busy -= 1;
            return Err(Refusal::locked());
        }
        match (&call.key, fault) {
            (Some(key), _) if call.method == "POST" => self.once(now, key, &call, fault),
            (_, Fault::StoredStatus { status, .. }) => Err(Refusal::accident(*status)),
            _ => self.execute(now, &call).map(Reply::from),
        }
    }

    /// Executes a call once for its idempotency key, and answers the same for a day.
    fn once(&mut self, now: i64, key: &str, call: &Call, fault: &Fault) -> Result<Reply, Refusal> {
        self.answered.retain(|_, answered| now - answered.at < DAY);
        let asked = (call.path.clone(), call.parameters.clone());
        if let Some(known) = self.answered.get(key) {
            return if known.asked == asked {
                Ok(known.reply.replayed())
            } else {
                Err(Refusal::other_call(key))
            };
        }
        let result = if let Fault::StoredStatus { status, effect } = fault {
            if *effect {
                self.execute(now, call).ok();
            }
            Err(Refusal::accident(*status))
        } else {
            self.execute(now, call).map(Reply::from)
        };
        let reply = match result {
            Err(refusal) if !refusal.stored => return Err(refusal),
            result => result.unwrap_or_else(Reply::from),
        };
        self.answered.insert(key.to_owned(), Answered { at: now, asked, reply: reply.clone() });
        Ok(reply)
    }

    fn authorise(&self, request: &Request<Vec<u8>>) -> Result<(), Refusal> {
        let sent = header(request, "authorization").unwrap_or_default();
        match sent.strip_prefix("Bearer ") {
            Some(key) if key != self.secret_key => Err(Refusal::unknown_key(key)),
            Some(key) if self.revoked => Err(Refusal::expired_key(key)),
            Some(_) => Ok(()),
            None => Err(Refusal::no_key()),
        }
    }

    /// Reads a request; what no client may send comes back with the reason.
    fn checked(&self, request: &Request<Vec<u8>>) -> Result<Call, (String, Refusal)> {
        let bad = |wrong: String| (wrong.clone(), Refusal::parameter(None, "parameter_invalid", wrong));
        let key = header(request, "idempotency-key");
        let post = request.method() == "POST";
        if header(request, "stripe-version").is_none() {
            return Err(bad("no Stripe-Version".to_owned()));
        }
        if post && key.as_ref().is_none_or(|key| key.is_empty() || key.len() > 255) {
            return Err(bad("no Idempotency-Key of 1 to 255 characters".to_owned()));
        }
        if self.checks {
            self.spec.request(request).map_err(bad)?;
        }
        let text = if post { std::str::from_utf8(request.body()).ok() } else { request.uri().query() };
        let parameters = form::tree(text.unwrap_or_default()).map_err(bad)?;
        if self.new_shape && parameters.get("payment_method_types").is_some() {
            return Err(bad("payment_method_types is no longer a parameter".to_owned()));
        }
        let path = request.uri().path().to_owned();
        Ok(Call { method: request.method().to_string(), path, parameters, key })
    }

    fn execute(&mut self, now: i64, call: &Call) -> Result<Value, Refusal> {
        let named = call.path.split('/').nth(2).unwrap_or_default();
        let list = call.method == "GET" && call.path.matches('/').count() == 2;
        let mut expand = shape::expansions(&call.parameters, named.trim_end_matches('s'), list)?;
        if self.latest_charge_expanded {
            expand.insert(0, vec!["latest_charge".to_owned()]);
        }
        self.cause = json!({ "id": self.request_id(), "idempotency_key": call.key });
        let result = self.route(now, call);
        self.cause = shape::no_cause();
        let mut value = result?;
        self.present(&mut value, &expand);
        Ok(value)
    }

    fn route(&mut self, now: i64, call: &Call) -> Result<Value, Refusal> {
        let parameters = &call.parameters;
        let parts: Vec<&str> = call.path.strip_prefix("/v1/").unwrap_or_default().split('/').collect();
        match (call.method.as_str(), parts.as_slice()) {
            ("POST", ["payment_intents"]) => self.create_intent(now, parameters),
            ("POST", ["payment_intents", id, "cancel"]) => {
                self.cancel(now, id, &parameters["cancellation_reason"])
            }
            ("POST", ["payment_intents", id, "capture"]) => self.capture(now, id, parameters),
            ("POST", ["refunds"]) => self.create_refund(now, parameters),
            ("GET", ["payment_intents"]) => self.list(&call.path, "pi_", parameters, &["customer"]),
            ("GET", ["refunds"]) => self.list(&call.path, "re_", parameters, &["payment_intent", "charge"]),
            ("GET", ["events"]) => self.list_events(now, &call.path, parameters),
            ("GET", ["payment_intents", id]) => self.find("payment_intent", id),
            ("GET", ["refunds", id]) => self.find("refund", id),
            ("GET", ["charges", id]) => self.find("charge", id),
            ("GET", ["disputes", id]) => self.find("dispute", id),
            ("GET", ["events", id]) => self.find_event(id),
            ("GET", ["webhook_endpoints"]) => {
                lists::page(&call.path, self.webhook_endpoints.clone(), parameters)
            }
            ("GET", ["balance"]) => Ok(self.balance()),
            _ => Err(Refusal::no_such_address(&call.method, &call.path)),
        }
    }

    /// An object that somebody asks for by id.
    fn find(&self, kind: &str, id: &str) -> Result<Value, Refusal> {
        let known = self.objects.get(id).filter(|object| object["object"] == kind);
        known.cloned().ok_or_else(|| Refusal::missing(kind, id))
    }

    fn kind(&self, prefix: &str) -> impl DoubleEndedIterator<Item = &Value> {
        let end = format!("{prefix}~");
        self.objects.range(prefix.to_owned()..end).map(|(_, object)| object)
    }

    fn id(&mut self, prefix: &str) -> String {
        self.ids += 1;
        format!("{prefix}3Fake{:015}", self.ids)
    }

    /// Stores a new object: a published one with other fields.
    fn insert(&mut self, kind: &str, prefix: &str, now: i64, fields: Value) -> String {
        let id = self.id(prefix);
        let mut object = shape::published(kind);
        shape::merge(&mut object, json!({ "id": id, "created": now }));
        if object.get("livemode").is_some() {
            object["livemode"] = self.livemode.into();
        }
        shape::merge(&mut object, fields);
        self.objects.insert(id.clone(), object);
        id
    }

    /// Changes fields of a stored object.
    fn change(&mut self, id: &str, fields: Value) {
        if let Some(object) = self.objects.get_mut(id) {
            shape::merge(object, fields);
        }
    }
}

fn header(request: &Request<Vec<u8>>, name: &str) -> Option<String> {
    Some(request.headers().get(name)?.to_str().ok()?.to_owned())
}

fn seen(request: &Request<Vec<u8>>) -> Seen {
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let target = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    let body = String::from_utf8_lossy(request.body()).into_owned();
    (request.method().to_string(), target, headers.collect(), body)
}
