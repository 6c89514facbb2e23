//! A shop to test against, and the people in it.

mod broken;
mod contract;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use till::accounts::{NewUser, Role};
use till::app::{App, Parts};
use till::clock::{Clock, ManualClock, Time};
use till::config::{Config, Flags};
use till::http::{Door, Inherited, Listeners, Running};
use till::mail::Transport;
use till::payments::gateway::Gateway;
use till::telemetry::Errors;

pub use broken::Broken;

/// The password of everybody in the tests.
pub const PASSWORD: &str = "correct horse battery";

/// Most bytes of a body in a sample.
const LONGEST_SAMPLE: usize = 20_000;

/// Builds the settings of a test's shop.
pub type Settings<'a> = &'a [(&'static str, &'a str)];

pub struct Shop {
    pub app: Arc<App>,
    pub clock: Arc<ManualClock>,
    pub base: String,
    client: reqwest::Client,
    people: AtomicU64,
    /// The first good answer of each operation, with its request, once they are kept.
    samples: Mutex<Option<BTreeMap<String, Value>>>,
    _running: Running,
    _dir: TempDir,
}

impl Shop {
    pub async fn open() -> Shop {
        Shop::with(&[]).await
    }

    /// A shop with settings: keys of the configuration and their values.
    pub async fn with(settings: Settings<'_>) -> Shop {
        Shop::with_gateways(settings, Vec::new()).await
    }

    pub async fn with_gateways(settings: Settings<'_>, gateways: Vec<Arc<dyn Gateway>>) -> Shop {
        Shop::on(Shop::new_clock(), settings, gateways).await
    }

    /// A clock that stands at the moment at which shops open.
    pub fn new_clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::at(Time::parse("2026-11-23T10:00:00Z").expect("a time")))
    }

    /// A shop on a clock that others go by, too.
    pub async fn on(
        clock: Arc<ManualClock>,
        settings: Settings<'_>,
        gateways: Vec<Arc<dyn Gateway>>,
    ) -> Shop {
        Shop::in_dir(tempfile::tempdir().expect("a directory"), clock, settings, gateways).await
    }

    /// A shop whose data is in `dir` already, or is to be.
    pub async fn in_dir(
        dir: TempDir,
        clock: Arc<ManualClock>,
        settings: Settings<'_>,
        gateways: Vec<Arc<dyn Gateway>>,
    ) -> Shop {
        Shop::of(dir, clock, settings, gateways, None).await
    }

    /// A shop whose mails go to `mail`.
    pub async fn with_mail(settings: Settings<'_>, mail: Arc<dyn Transport>) -> Shop {
        let dir = tempfile::tempdir().expect("a directory");
        Shop::of(dir, Shop::new_clock(), settings, Vec::new(), Some(mail)).await
    }

    /// A shop with all that may be handed in.
    #[expect(clippy::unused_async, reason = "sockets are opened within a runtime")]
    pub async fn of(
        dir: TempDir,
        clock: Arc<ManualClock>,
        settings: Settings<'_>,
        gateways: Vec<Arc<dyn Gateway>>,
        mail: Option<Arc<dyn Transport>>,
    ) -> Shop {
        let mut flags = Flags::default();
        flags.0.push(("data.dir", "test", dir.path().display().to_string()));
        flags.0.push(("payment.test.enabled", "test", "true".into()));
        // Tests move the clock; who is logged in stays so.
        flags.0.push(("auth.access_minutes", "test", "1440".into()));
        // All of a test comes from one address.
        flags.0.push(("limits.enabled", "test", "false".into()));
        for (key, value) in settings {
            flags.0.push((key, "test", (*value).to_owned()));
        }
        let config = Config::load(None, [], &flags).expect("good settings");
        let errors = Arc::new(Errors::new(&config));
        let parts = Parts {
            errors,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            gateways,
            mail,
            ..Parts::real(config).expect("parts")
        };
        let app = App::open(parts).expect("a new shop opens");
        let address: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let doors =
            Listeners::default().open(Door::Shop, address, &mut Inherited::default()).expect("a port");
        let running = doors.serve(&app);
        let base = format!("http://{}", running.address(Door::Shop).expect("it listens"));
        let client = till::http::outgoing().timeout(Duration::from_secs(60)).build().expect("a client");
        Shop {
            app,
            clock,
            base,
            client,
            people: AtomicU64::new(0),
            samples: Mutex::default(),
            _running: running,
            _dir: dir,
        }
    }

    pub fn request(&self, method: Method, path: &str) -> Asking<'_> {
        let builder = self.client.request(method, format!("{}{path}", self.base));
        Asking { builder, shop: self }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path).send().await
    }

    /// Somebody with an account of their own, logged in.
    pub async fn person(&self, role: Role) -> Person<'_> {
        let n = self.people.fetch_add(1, Ordering::SeqCst);
        self.named(&format!("person{n}@example.com"), role).await
    }

    pub async fn named(&self, email: &str, role: Role) -> Person<'_> {
        // One hash for all: making it is what takes time.
        static HASH: std::sync::OnceLock<String> = std::sync::OnceLock::new();
        let password_hash = HASH.get_or_init(|| till::accounts::Passwords::hash_now(PASSWORD)).clone();
        let new = NewUser {
            email: email.parse().expect("an address"),
            name: "Test Person".into(),
            role,
            password_hash,
        };
        let made = self.app.store.write(move |tx| till::accounts::create_user(tx, &new)).await;
        let (id, _) = made.expect("the address is free");
        let login = self
            .request(Method::POST, "/api/auth/login/")
            .json(&json!({"email": email, "password": PASSWORD}))
            .send()
            .await
            .status(200);
        let text = |name: &str| login.json[name].as_str().expect("a token").to_owned();
        Person { shop: self, id: id.0, email: email.into(), access: text("access"), refresh: text("refresh") }
    }

    pub async fn buyer(&self) -> Person<'_> {
        self.person(Role::Customer).await
    }

    pub async fn staff(&self) -> Person<'_> {
        self.person(Role::Staff).await
    }

    pub async fn admin(&self) -> Person<'_> {
        self.person(Role::Admin).await
    }

    /// A plain product in stock.
    pub async fn product(&self, name: &str, price: &str, stock: i64) -> Product {
        let body = json!({"name": name, "price": price, "stock_quantity": stock});
        self.product_of(body).await
    }

    pub async fn product_of(&self, body: Value) -> Product {
        let staff = self.staff().await;
        let made = staff.post("/api/products/", body).await.status(201);
        Product {
            id: number(&made.json["id"]),
            variant: number(&made.json["variants"][0]["id"]),
            json: made.json,
        }
    }

    pub async fn stock_of(&self, product: u64) -> i64 {
        let found = self.staff().await.get(&format!("/api/products/{product}/")).await.status(200);
        found.json["stock_quantity"].as_i64().expect("a figure")
    }

    /// From now on keeps the first good answer of each operation, with its request.
    pub fn keeps_samples(&self) {
        *self.samples.lock().expect("no test died in here") = Some(BTreeMap::new());
    }

    /// What was kept, by operation, such as `GET /api/cart/`.
    pub fn samples(&self) -> BTreeMap<String, Value> {
        self.samples.lock().expect("no test died in here").take().expect("samples are kept")
    }

    fn keep_sample(&self, operation: String, sample: Value) {
        if let Some(samples) = self.samples.lock().expect("no test died in here").as_mut() {
            samples.entry(operation).or_insert(sample);
        }
    }

    /// Runs the jobs that are due, as the clock does.
    pub async fn run_jobs(&self) {
        till::jobs::run_due(&self.app).await;
    }

    pub fn later(&self, span: Duration) {
        self.clock.advance(span);
    }

    /// What `till check` finds.
    pub fn findings(&self) -> Vec<String> {
        till::check::check(&self.app).expect("the shop can be read").iter().map(ToString::to_string).collect()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.findings(), Vec::<String>::new(), "till check");
        }
    }
}

pub struct Product {
    pub id: u64,
    pub variant: u64,
    pub json: Value,
}

/// A request that is put together.
pub struct Asking<'a> {
    builder: reqwest::RequestBuilder,
    shop: &'a Shop,
}

impl Asking<'_> {
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub fn body(mut self, media_type: &str, body: impl Into<reqwest::Body>) -> Self {
        self.builder = self.builder.header("Content-Type", media_type).body(body);
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// The status of an answer that has no body, whatever it says.
    pub async fn send_bare(self) -> u16 {
        let response = self.builder.send().await.expect("the shop answers");
        let status = response.status().as_u16();
        assert!(response.bytes().await.expect("the answer is whole").is_empty());
        status
    }

    pub async fn send(self) -> Answer {
        let request = self.builder.build().expect("a good request");
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let query = request.url().query().unwrap_or_default().to_owned();
        let sent = request.body().and_then(|body| body.as_bytes()).map(<[u8]>::to_vec);
        let response = self.shop.client.execute(request).await.expect("the shop answers");
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("the answer is whole");
        let contract = contract::Contract::of(self.shop.app.currency());
        let faults = contract.faults(method.as_str(), &path, status.as_u16(), &headers, &text);
        assert_eq!(faults, Vec::<String>::new(), "the API's description");
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success()
            && let Some(operation) = contract.operation(method.as_str(), &path)
        {
            let sample = json!({
                "path": path,
                "query": query,
                "sent": sent.as_deref().map(shown),
                "status": status.as_u16(),
                "answered": shown(text.as_bytes()),
            });
            self.shop.keep_sample(operation, sample);
        }
        if status.is_client_error() || status.is_server_error() {
            assert_eq!(headers["content-type"], "application/problem+json", "{status} {text}");
            for member in ["type", "title", "status", "detail", "code", "request_id"] {
                assert!(!json[member].is_null(), "a problem without {member}: {text}");
            }
            assert_eq!(json["status"], status.as_u16());
        }
        Answer { status, headers, text, json }
    }
}

/// A body as a sample has it: JSON, or text; nothing where there is none, or it is too long to be read.
fn shown(body: &[u8]) -> Value {
    let text = String::from_utf8_lossy(body);
    let shown = serde_json::from_slice(body).unwrap_or_else(|_| json!(text));
    if text.is_empty() || text.len() > LONGEST_SAMPLE || text.contains('\u{FFFD}') {
        Value::Null
    } else {
        shown
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    pub json: Value,
}

impl Answer {
    #[track_caller]
    pub fn status(self, status: u16) -> Answer {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// A refusal of this status and code.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Answer {
        assert_eq!((self.status.as_u16(), self.json["code"].as_str()), (status, Some(code)), "{}", self.text);
        self
    }

    /// 422, with a fault under each of these paths and no other.
    #[track_caller]
    pub fn faults(self, paths: &[&str]) -> Answer {
        let answer = self.refused(422, "validation_error");
        let found: Vec<_> =
            answer.json["errors"].as_object().expect("faults").keys().map(String::as_str).collect();
        assert_eq!(found, paths, "{}", answer.text);
        answer
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}

/// Somebody who is logged in.
pub struct Person<'a> {
    pub shop: &'a Shop,
    pub id: u64,
    pub email: String,
    pub access: String,
    pub refresh: String,
}

impl Person<'_> {
    pub fn asks(&self, method: Method, path: &str) -> Asking<'_> {
        self.shop.request(method, path).token(&self.access)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.asks(Method::GET, path).send().await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.asks(Method::POST, path).json(&body).send().await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.asks(Method::PUT, path).json(&body).send().await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.asks(Method::PATCH, path).json(&body).send().await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.asks(Method::DELETE, path).send().await
    }

    pub async fn puts_in_cart(&self, product: u64, quantity: u64) -> Answer {
        self.post("/api/cart/", json!({"product_id": product, "quantity": quantity})).await
    }

    /// Turns the cart into an order.
    pub async fn orders(&self) -> Answer {
        self.post("/api/orders/", json!({"shipping_address": address()})).await
    }

    /// An order of one product, not paid; its id.
    pub async fn ordered(&self, product: u64, quantity: u64) -> u64 {
        self.puts_in_cart(product, quantity).await.status(201);
        number(&self.orders().await.status(201).json["id"])
    }

    /// The mails of this kind that the shop has written, newest first, as an administrator sees them.
    pub async fn mails_of(&self, kind: &str) -> Vec<Value> {
        let list = self.get("/api/admin/mails/?page_size=100").await.status(200).json;
        let mut found = Vec::new();
        for mail in list["results"].as_array().expect("a list").iter().filter(|mail| mail["kind"] == kind) {
            found.push(self.get(&format!("/api/admin/mails/{}/", mail["id"])).await.status(200).json);
        }
        found
    }

    /// Begins to pay an order; the payment's id.
    pub async fn begins_to_pay(&self, order: u64) -> u64 {
        number(&self.post("/api/payment/", json!({"order_id": order})).await.status(201).json["id"])
    }

    /// What the customer does at the test gateway.
    pub async fn decides(&self, payment: u64, decision: Value) -> Answer {
        self.post(&format!("/api/payment/test/{payment}/"), decision).await
    }

    /// An order of one product, paid; its id.
    pub async fn bought(&self, product: u64, quantity: u64) -> u64 {
        let order = self.ordered(product, quantity).await;
        let payment = self.begins_to_pay(order).await;
        let paid = self.decides(payment, json!({"outcome": "succeed"})).await.status(200);
        assert_eq!(paid.json["status"], "succeeded");
        order
    }

    pub async fn order(&self, id: u64) -> Value {
        self.get(&format!("/api/orders/{id}/")).await.status(200).json
    }
}

pub fn address() -> Value {
    json!({"name": "Ann Lee", "line1": "1 High Street", "city": "Leeds", "postal_code": "LS1 1AA", "country": "GB"})
}

#[track_caller]
pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a number, not {value}"))
}
