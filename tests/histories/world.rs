//! A shop, its customers, its gateways and its clock, moved on by one random source.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use till::accounts::{NewUser, Role};
use till::app::{App, Parts};
use till::clock::{Clock, ManualClock, Time};
use till::config::{Config, Flags, Secret, Setting};
use till::http::{Body, Incoming, Origin, answer};
use till::jobs;
use till::payments::gateway::Gateway;
use till::payments::gateway::paypal::{self, PayPal, Trust};
use till::payments::gateway::stripe::{self, Stripe};

use crate::disk::MemoryDisk;
use crate::net::Net;
use crate::support::serve::fixture;

/// When every history begins.
const BEGIN: &str = "2026-11-23T10:00:00Z";
const KEY: [u8; 32] = [7; 32];
const PASSWORD: &str = "correct horse battery";
/// Units of each product.
pub const STOCK: i64 = 7;

/// What a request came to.
pub struct Came {
    pub what: String,
    pub status: u16,
    pub json: Value,
}

/// Something that goes on while other things do.
pub type Task = Pin<Box<dyn Future<Output = Option<Came>>>>;

/// Who asks.
#[derive(Clone, Copy, PartialEq)]
pub enum Who {
    Customer,
    Operator,
    Gateway,
}

fn config() -> Config {
    let mut flags = Flags::default();
    for (key, value) in [("auth.access_minutes", "1440"), ("payment.test.enabled", "true")] {
        flags.0.push((key, "test", value.to_owned()));
    }
    Config::load(None, [], &flags).expect("good settings")
}

fn parts(config: &Config, clock: &Arc<ManualClock>, disk: &MemoryDisk, seed: u64) -> Parts {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    Parts {
        config: config.clone(),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        disk: Box::new(disk.clone()),
        seed: bytes,
        signing_key: KEY.to_vec(),
        threaded: false,
        gateways: Vec::new(),
        demo: false,
    }
}

/// The shop that every history begins with: made once.
pub struct Template {
    config: Config,
    image: Vec<u8>,
    access: String,
    shop: String,
    root: CertificateDer<'static>,
}

impl Template {
    pub fn new() -> Template {
        let (config, disk) = (config(), MemoryDisk::default());
        let clock = Arc::new(ManualClock::at(Time::parse(BEGIN).expect("a time")));
        let shop = Parts { threaded: true, ..parts(&config, &clock, &disk, 0) };
        let app = App::open(shop).expect("it opens");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let access = runtime.block_on(async {
            let password_hash = till::accounts::Passwords::hash_now(PASSWORD);
            let email = "ann@example.com".parse().expect("an address");
            let new = NewUser { email, name: "Ann".into(), role: Role::Customer, password_hash };
            app.store.write(move |tx| till::accounts::create_user(tx, &new)).await.expect("she is new");
            for (name, price) in [("Tea", "4.00"), ("Mug", "9.50"), ("Sweet", "0.10"), ("Gift", "0")] {
                let body = json!({"name": name, "price": price, "stock_quantity": STOCK});
                let made = ask(&app, Who::Operator, None, "/api/products/", &body, &[]).await;
                assert_eq!(made.status, 201, "{}", made.json);
            }
            let login = json!({"email": "ann@example.com", "password": PASSWORD});
            let login = ask(&app, Who::Gateway, None, "/api/auth/login/", &login, &[]).await;
            login.json["access"].as_str().expect("a token").to_owned()
        });
        let shop = app.shop.clone();
        drop(app);
        let root = CertificateDer::from_pem_slice(&fixture("root.pem")).expect("a certificate");
        Template { config, image: disk.image(), access, shop, root }
    }
}

/// Sends a request as a client would, without the sockets.
async fn ask(
    app: &Arc<App>,
    who: Who,
    access: Option<&str>,
    path: &str,
    body: &Value,
    more: &[(&str, String)],
) -> Came {
    let text = match body {
        Value::String(raw) => raw.clone(),
        other => other.to_string(),
    };
    let mut headers = HeaderMap::new();
    let mut put = |name: &str, value: &str| {
        let name: HeaderName = name.parse().expect("a name");
        headers.insert(name, HeaderValue::from_str(value).expect("a value"));
    };
    put("content-type", "application/json");
    put("content-length", &text.len().to_string());
    if let Some(access) = access {
        put("authorization", &format!("Bearer {access}"));
    }
    for (name, value) in more {
        put(name, value);
    }
    let method = if *body == Value::Null { Method::GET } else { Method::POST };
    let pieces: Body = Box::pin(stream::iter([Ok(Bytes::from(text))]));
    let origin = if who == Who::Operator { Origin::Operator } else { Origin::Network };
    let incoming =
        Incoming { method, path: path.to_owned(), query: String::new(), headers, body: Some(pieces), origin };
    let reply = answer(app, incoming).await;
    let json = serde_json::from_slice(reply.body.whole()).unwrap_or(Value::Null);
    Came { what: path.to_owned(), status: reply.status.as_u16(), json }
}

/// A payment as a client knows it.
#[derive(Clone, Debug)]
pub struct Known {
    pub id: u64,
    pub order: u64,
    pub provider: String,
    pub secret: Option<String>,
}

pub struct World {
    pub rng: StdRng,
    pub clock: Arc<ManualClock>,
    pub net: Net,
    pub app: Option<Arc<App>>,
    /// What clients were told.
    pub orders: Vec<u64>,
    pub payments: Vec<Known>,
    pub succeeded: Vec<u64>,
    /// Events that the gateways have, with the headers they are sent with.
    pub events: Vec<(&'static str, String)>,
    pub trace: Vec<String>,
    tasks: Vec<(u64, Task)>,
    next_task: u64,
    config: Config,
    disk: MemoryDisk,
    seed: u64,
    starts: u64,
    access: String,
    shop: String,
    root: CertificateDer<'static>,
    aloud: bool,
    steps: u64,
    /// The shop is dropped after this many steps.
    pub crash_at: Option<u64>,
    /// Bodies are read under a time limit, which wants a runtime's clock.
    runtime: tokio::runtime::Runtime,
}

impl World {
    pub fn new(template: &Template, seed: u64, aloud: bool) -> World {
        let clock = Arc::new(ManualClock::at(Time::parse(BEGIN).expect("a time")));
        let mut world = World {
            rng: StdRng::seed_from_u64(seed),
            net: Net::new(seed, Arc::clone(&clock)),
            clock,
            app: None,
            orders: Vec::new(),
            payments: Vec::new(),
            succeeded: Vec::new(),
            events: Vec::new(),
            trace: Vec::new(),
            tasks: Vec::new(),
            next_task: 0,
            config: template.config.clone(),
            disk: MemoryDisk::of(&template.image),
            seed,
            starts: 0,
            access: template.access.clone(),
            shop: template.shop.clone(),
            root: template.root.clone(),
            aloud,
            steps: 0,
            crash_at: None,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
        };
        world.start();
        world
    }

    pub fn note(&mut self, what: String) {
        if self.aloud {
            println!("{} {what}", self.clock.now());
        }
        self.trace.push(what);
    }

    /// How many steps it has had.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    pub fn app(&self) -> &Arc<App> {
        self.app.as_ref().expect("it runs")
    }

    /// Opens the shop from its disk.
    fn start(&mut self) {
        self.starts += 1;
        let wire = Arc::new(self.net.clone());
        let stripe = stripe::Settings {
            secret_key: Secret::read("sk_test_fake").expect("any text"),
            webhook_secrets: vec![Secret::read("whsec_fake").expect("any text")],
            api_base: "https://stripe.test".into(),
            shop: self.shop.clone(),
        };
        let paypal = paypal::Settings {
            client_id: "paypal-client".into(),
            client_secret: Secret::read("paypal-secret").expect("any text"),
            webhook_id: "WH1TEST".into(),
            api_base: "https://paypal.test".into(),
            cert_hosts: vec!["certificates.test".into()],
            return_url: None,
        };
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let trust = Trust::These(vec![self.root.clone()]);
        let gateways: Vec<Arc<dyn Gateway>> = vec![
            Arc::new(Stripe::new(stripe, wire.clone())),
            Arc::new(PayPal::new(paypal, wire, clock, trust)),
        ];
        // Randomness comes from the operating system in the real shop: never twice the same.
        let seed = self.seed.wrapping_mul(1000) + self.starts;
        let parts = Parts { gateways, ..parts(&self.config, &self.clock, &self.disk, seed) };
        self.app = Some(App::open(parts).expect("it opens"));
    }

    /// Drops the shop wherever it is, with all that it was doing, and opens it again.
    pub fn crash(&mut self) {
        self.note(format!("crash, with {} things under way", self.tasks.len()));
        self.tasks.clear();
        self.app = None;
        self.start();
        let app = Arc::clone(self.app());
        self.begin(Box::pin(async move {
            till::payments::reconcile_all(&app, false).await.expect("readable");
            None
        }));
    }

    pub fn begin(&mut self, task: Task) {
        self.next_task += 1;
        self.tasks.push((self.next_task, task));
    }

    /// Begins a request; with a null body it is a GET.
    pub fn request(&mut self, who: Who, path: String, body: Value, more: Vec<(&'static str, String)>) {
        let (app, access) = (Arc::clone(self.app()), (who == Who::Customer).then(|| self.access.clone()));
        self.note(format!(
            "-> {path} {}",
            if body.is_string() { "(event)".into() } else { body.to_string() }
        ));
        self.begin(Box::pin(
            async move { Some(ask(&app, who, access.as_deref(), &path, &body, &more).await) },
        ));
    }

    pub fn run_jobs(&mut self) {
        let app = Arc::clone(self.app());
        self.begin(Box::pin(async move {
            jobs::run_due(&app).await;
            None
        }));
    }

    pub fn sweep(&mut self) {
        let app = Arc::clone(self.app());
        self.begin(Box::pin(async move {
            till::payments::reconcile_all(&app, false).await.expect("readable");
            None
        }));
    }

    /// Moves one of the things on that are under way, or the writer. `false` when there was nothing to move.
    pub fn step(&mut self) -> bool {
        self.steps += 1;
        if self.crash_at == Some(self.steps) {
            self.crash();
        }
        if self.tasks.is_empty() || self.rng.random_ratio(1, 3) {
            let stepped = self.app().store.step();
            if stepped > 0 || self.tasks.is_empty() {
                return stepped > 0;
            }
        }
        let at = self.rng.random_range(0..self.tasks.len());
        let guard = self.runtime.enter();
        let polled = self.tasks[at].1.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(guard);
        if let Poll::Ready(came) = polled {
            let _ = self.tasks.remove(at);
            if let Some(came) = came {
                self.learn(&came);
            }
        }
        true
    }

    /// Moves on until nothing is under way.
    pub fn settle_down(&mut self) {
        for _ in 0..200_000 {
            if !self.step() && self.tasks.is_empty() {
                return;
            }
        }
        panic!("{} things are under way for ever", self.tasks.len());
    }

    /// What a client remembers of an answer.
    fn learn(&mut self, came: &Came) {
        let code = came.json["code"].as_str().unwrap_or_default().to_owned();
        self.note(format!("<- {} {} {code}", came.what, came.status));
        assert!(came.status != 500, "{}: {}", came.what, came.json);
        assert!(came.status != 401, "{}: {}", came.what, came.json);
        if let Some(order) = came.json["order_id"].as_u64().filter(|order| !self.orders.contains(order)) {
            self.orders.push(order);
        }
        let is_payment = came.json["provider"].is_string() && came.json["amount"].is_string();
        if !is_payment || came.status >= 400 {
            return;
        }
        let text = |name: &str| came.json[name].as_str().map(str::to_owned);
        let id = came.json["id"].as_u64().expect("an id");
        let known = Known {
            id,
            order: came.json["order_id"].as_u64().expect("an order"),
            provider: text("provider").expect("a provider"),
            secret: text("client_secret").or_else(|| text("approve_url")),
        };
        if came.json["status"] == "succeeded" {
            self.succeeded.push(id);
        }
        match self.payments.iter_mut().find(|payment| payment.id == id) {
            Some(payment) if known.secret.is_some() => *payment = known,
            Some(_) => {}
            None => self.payments.push(known),
        }
    }

    pub fn some_payment(&mut self) -> Option<Known> {
        self.payments.choose(&mut self.rng).cloned()
    }

    pub fn some_order(&mut self) -> Option<u64> {
        self.orders.choose(&mut self.rng).copied()
    }

    pub fn later(&mut self, span: Duration) {
        self.clock.advance(span);
    }

    /// A good deal of everything.
    pub fn live(&mut self) {
        for _ in 0..self.rng.random_range(12..45) {
            self.act();
            for _ in 0..self.rng.random_range(0..30) {
                self.step();
            }
        }
    }

    /// The gateways answer again, what was under way ends, and time goes by until nothing is open.
    pub fn come_to_rest(&mut self) {
        self.net.gateways().hostile = false;
        self.net.gateways().stripe.faults.clear();
        self.net.gateways().pending_ends();
        for round in 0..30 {
            let now = self.net.now();
            self.net.gateways().deliver_late(now);
            self.sweep();
            self.settle_down();
            self.run_jobs();
            self.settle_down();
            self.net.gateways().end_what_hangs(now);
            self.later(Duration::from_hours(2));
            if round > 3 && crate::audit::is_at_rest(self) {
                return;
            }
        }
    }
}
