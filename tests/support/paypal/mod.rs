//! A PayPal in memory: it takes the calls of Orders v2, Payments v2 and Webhooks v1, keeps what they make, and is as
//! strict as the real one. A test plays the buyer, the shop's dashboard and PayPal itself, and carries the webhooks.
//! It has no clock and no chance of its own: the same calls get the same answers.

mod call;
mod clock;
mod disputes;
mod money;
mod orders;
mod payments;
mod webhooks;
mod wire;

use super::fault::{self, Fault};
use super::spec::Spec;
pub use call::description;
use orders::Order;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use webhooks::Event;
use wire::Refusal;

/// How long a `PayPal-Request-Id` is known, and how long an order can be paid.
const KEPT: i64 = 6 * 3600;
/// How long a token is good.
const TOKEN_SECONDS: i64 = 32_400;
const SHOP: &str = "TESTSHQP23456";

/// What the buyer pays with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instrument {
    /// The capture goes through.
    Good,
    /// The capture is refused, and the buyer has to approve again.
    Declined,
    /// The capture waits for [`FakePayPal::finish_capture`].
    Pending,
}

/// A request as it came: method, path and query, headers in lower case, body.
pub type Seen = (String, String, Vec<(String, String)>, String);

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch for tests of its own")]
pub struct FakePayPal {
    pub client_id: String,
    pub client_secret: String,
    pub webhook_id: String,
    /// Where webhooks say that the certificate is, and the file that is served at its path.
    pub cert_url: String,
    pub cert_file: String,
    /// What every link to the API begins with.
    pub api_base: String,
    /// The shop's credentials are withdrawn: no tokens, and those given out are good for nothing.
    pub revoked: bool,
    /// What the application has as webhooks.
    pub webhooks: Vec<Value>,
    /// Whether requests are judged by the descriptions; off for the speed of very long runs.
    pub checks: bool,
    /// Whether refunds wait for [`FakePayPal::finish_refund`].
    pub pending_refunds: bool,
    /// What happens to the next calls; token requests don't count. PayPal stores no errors: the same request id again
    /// is answered with the latest state, whatever was answered before.
    pub faults: VecDeque<Fault>,
    pub keep_log: bool,
    pub seen: Vec<Seen>,
    violations: Vec<String>,
    /// How many things were given a name.
    named: u64,
    /// When each token ends.
    tokens: BTreeMap<String, i64>,
    orders: BTreeMap<String, Order>,
    /// The order of each capture and refund.
    payments: BTreeMap<String, String>,
    /// What a request id did, by path and id.
    repeats: BTreeMap<(String, String), Repeat>,
    disputes: BTreeMap<String, Value>,
    events: Vec<Event>,
    taken: usize,
}

struct Repeat {
    at: i64,
    outcome: Result<Made, Refusal>,
}

/// What a call made, shown in its latest state when the call is repeated.
#[derive(Clone)]
enum Made {
    Order(String),
    Refund(String),
}

impl FakePayPal {
    pub fn new() -> Self {
        FakePayPal {
            client_id: "paypal-client".to_owned(),
            client_secret: "paypal-secret".to_owned(),
            webhook_id: "WH1TEST".to_owned(),
            cert_url:
                "https://messageverificationcerts.paypal.test/v1/notifications/certs/CERT-360caa42-fca2a594"
                    .to_owned(),
            cert_file: "chain.pem".to_owned(),
            api_base: "https://api-m.sandbox.paypal.com".to_owned(),
            checks: true,
            ..Self::default()
        }
    }

    /// Every request that the descriptions refuse; a test with any has failed.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// All tokens given out so far are refused from now on.
    pub fn forget_tokens(&mut self) {
        self.tokens.clear();
    }

    /// A token that was given out and is good, to ask in the shop's name.
    pub fn some_token(&self, now: i64) -> String {
        let good = self.tokens.iter().find(|(_, end)| **end > now);
        good.map(|(token, _)| token.clone()).expect("the shop has asked for one")
    }

    /// All orders, oldest first, also those that can't be fetched any more.
    pub fn orders(&self) -> Vec<Value> {
        self.orders.values().map(|order| order.json.clone()).collect()
    }

    pub fn order(&self, id: &str) -> Option<Value> {
        self.orders.get(id).map(|order| order.json.clone())
    }

    /// Changes an order behind everybody's back.
    pub fn tamper(&mut self, order: &str, f: impl FnOnce(&mut Value)) {
        f(&mut self.orders.get_mut(order).expect("an order to tamper with").json);
    }

    /// Names are counters, in PayPal's alphabet and length.
    fn name(&mut self, kind: &str) -> String {
        self.named += 1;
        format!("{kind}{:0width$}", self.named, width = 17 - kind.len())
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.api_base)
    }
}
