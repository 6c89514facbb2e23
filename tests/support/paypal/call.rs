//! The way in: tokens, faults, the check of every request, request ids, and who answers which path.

use super::{
    FakePayPal, Fault, KEPT, Made, Repeat, Spec, TOKEN_SECONDS, fault, webhooks,
    wire::{self, Answer, Call, Refusal, header, refusal, respond},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use serde_json::{Value, json};
use std::sync::LazyLock;

static ORDERS: LazyLock<Spec> = LazyLock::new(|| Spec::load("paypal-checkout_orders_v2.json"));
static PAYMENTS: LazyLock<Spec> = LazyLock::new(|| Spec::load("paypal-payments_payment_v2.json"));
static WEBHOOKS: LazyLock<Spec> = LazyLock::new(|| Spec::load("paypal-notifications_webhooks_v1.json"));

/// The description that knows a path.
pub fn description(path: &str) -> &'static Spec {
    if path.starts_with("/v2/payments/") {
        &PAYMENTS
    } else if path.starts_with("/v1/notifications/") {
        &WEBHOOKS
    } else {
        &ORDERS
    }
}

impl FakePayPal {
    /// Answers a request at the Unix second `now`. Of its address, only path and query count.
    pub fn handle(&mut self, now: i64, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        self.log(request);
        if request.uri().path() == "/v1/oauth2/token" {
            let (status, body) = self.token(now, request);
            return respond(status, "application/json", body.to_string().into_bytes());
        }
        let (fault, headers) = fault::next(&mut self.faults);
        let mut response = match fault {
            Fault::Status(status) => self.failure(status),
            Fault::StoredStatus { status, effect } => {
                if effect {
                    self.answer(now, request);
                }
                self.failure(status)
            }
            Fault::None | Fault::Headers(_) => return self.answer(now, request),
        };
        for (name, value) in headers {
            let name = HeaderName::try_from(name).expect("a header name");
            response.headers_mut().insert(name, HeaderValue::try_from(value).expect("a header value"));
        }
        response
    }

    fn log(&mut self, request: &Request<Vec<u8>>) {
        if !self.keep_log {
            return;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers =
            request.headers().iter().map(|(name, value)| (name.to_string(), text(value.as_bytes())));
        let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        self.seen.push((request.method().to_string(), path, headers.collect(), text(request.body())));
    }

    fn failure(&mut self, status: u16) -> Response<Vec<u8>> {
        let body = wire::error(status, &self.name("")).to_string();
        respond(status, "application/json", body.into_bytes())
    }

    fn answer(&mut self, now: i64, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let certificate = self.cert_url.parse::<Uri>().is_ok_and(|url| url.path() == request.uri().path());
        if certificate && request.method() == "GET" {
            return respond(200, "application/pem-certificate-chain", webhooks::certificate(&self.cert_file));
        }
        let (status, body) = match self.outcome(now, request) {
            Ok(answer) => answer,
            Err(refused) => (refused.status(), refused.json(&self.name(""))),
        };
        respond(status, "application/json", body.to_string().into_bytes())
    }

    fn outcome(&mut self, now: i64, request: &Request<Vec<u8>>) -> Answer {
        let token = header(request, "authorization").strip_prefix("Bearer ").unwrap_or_default();
        if self.revoked || self.tokens.get(token).is_none_or(|end| *end <= now) {
            return Err(refusal("INVALID_TOKEN"));
        }
        headers_complaint(request)
            .and_then(|()| if self.checks { described(request) } else { Ok(()) })
            .map_err(|complaint| self.violated(request, &complaint))?;
        self.route(request, &Call::read(now, request))
    }

    fn route(&mut self, request: &Request<Vec<u8>>, call: &Call) -> Answer {
        let parts: Vec<&str> = call.path.split('/').skip(1).collect();
        match (request.method().as_str(), parts.as_slice()) {
            ("POST", ["v2", "checkout", "orders"]) => self.once(call, |fake| fake.create(call)),
            ("POST", ["v2", "checkout", "orders", id, "capture"]) => {
                self.once(call, |fake| fake.capture(call.now, id))
            }
            ("POST", ["v2", "payments", "captures", id, "refund"]) => {
                self.once(call, |fake| fake.refund(call, id))
            }
            ("GET", ["v2", "checkout", "orders", id]) => self.show_order(call.now, id),
            ("GET", ["v2", "payments", "captures", id]) => self.show_capture(id),
            ("GET", ["v2", "payments", "refunds", id]) => self.show_refund(id),
            ("GET", ["v1", "notifications", "webhooks-events"]) => Ok(self.list_events(call)),
            ("GET", ["v1", "notifications", "webhooks"]) => Ok((200, json!({ "webhooks": self.webhooks }))),
            ("GET", ["v1", "notifications", "webhooks", id]) => {
                let found = self.webhooks.iter().find(|webhook| webhook["id"] == **id);
                found.map(|webhook| (200, webhook.clone())).ok_or_else(|| refusal("INVALID_RESOURCE_ID"))
            }
            ("POST", ["v1", "notifications", "verify-webhook-signature"]) => Ok(self.verify(call)),
            _ => Err(self.violated(request, "nobody answers here")),
        }
    }

    fn violated(&mut self, request: &Request<Vec<u8>>, complaint: &str) -> Refusal {
        let body = String::from_utf8_lossy(request.body());
        self.violations.push(format!("{} {}: {complaint}: {body}", request.method(), request.uri()));
        refusal("INVALID_PARAMETER_SYNTAX")
    }

    /// Does something once for a request id. The same id again within [`KEPT`] gets the latest state of what it made.
    fn once(&mut self, call: &Call, act: impl FnOnce(&mut Self) -> Result<Made, Refusal>) -> Answer {
        let key = (call.path.to_owned(), call.request_id.to_owned());
        if let Some(repeat) = self.repeats.get(&key).filter(|repeat| call.now < repeat.at + KEPT) {
            return repeat.outcome.clone().map(|made| (200, self.shown(&made, call.whole)));
        }
        let outcome = act(self);
        if outcome.as_ref().map_or_else(|refused| refused.issue == "INSTRUMENT_DECLINED", |_| true) {
            self.repeats.insert(key, Repeat { at: call.now, outcome: outcome.clone() });
        }
        outcome.map(|made| (201, self.shown(&made, call.whole)))
    }

    fn shown(&self, made: &Made, whole: bool) -> Value {
        let object = match made {
            Made::Order(id) => self.orders[id].json.clone(),
            Made::Refund(id) => self.find_refund(id).expect("what was made stays").clone(),
        };
        if whole {
            return object;
        }
        json!({ "id": object["id"], "status": object["status"], "links": object["links"] })
    }

    fn token(&mut self, now: i64, request: &Request<Vec<u8>>) -> (u16, Value) {
        let error = |name, description| json!({ "error": name, "error_description": description });
        let form = header(request, "content-type").starts_with("application/x-www-form-urlencoded");
        let mut asked = form_urlencoded::parse(request.body());
        let granted = asked.any(|(name, value)| name == "grant_type" && value == "client_credentials");
        if request.method() != "POST" || !form || !granted {
            self.violated(request, "not a form with grant_type=client_credentials");
            return (400, error("unsupported_grant_type", "unsupported grant_type"));
        }
        let known = STANDARD.encode(format!("{}:{}", self.client_id, self.client_secret));
        if self.revoked || header(request, "authorization") != format!("Basic {known}") {
            return (401, error("invalid_client", "Client Authentication failed"));
        }
        let token = format!("A21AA{}", self.name("TOKEN"));
        self.tokens.insert(token.clone(), now + TOKEN_SECONDS);
        (200, json!({ "access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS }))
    }
}

/// What a call that changes something needs in its headers; the descriptions ask for less.
fn headers_complaint(request: &Request<Vec<u8>>) -> Result<(), String> {
    if request.method() != "POST" {
        return Ok(());
    }
    if !header(request, "content-type").starts_with("application/json") {
        return Err("the content-type is not application/json".to_owned());
    }
    let length = header(request, "paypal-request-id").len();
    if request.uri().path().starts_with("/v2/") && !(1..=108).contains(&length) {
        return Err(format!("a PayPal-Request-Id of {length} characters"));
    }
    Ok(())
}

fn described(request: &Request<Vec<u8>>) -> Result<(), String> {
    description(request.uri().path()).request(&webhooks::without_paging(request)).map(|_| ())
}
