//! A small shop in memory, asked without sockets, and made anew whenever an input has changed it, so that what an input
//! does depends on the input alone.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::{Bound, Range};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use redb::{BackendError, Database, DatabaseError, StorageBackend};
use serde_json::{Value, json};
use till::accounts::{KeySource, NewUser, Ring, Role};
use till::app::{App, Parts};
use till::clock::{Clock, ManualClock, Time};
use till::config::{Config, Flags, Secret, Setting};
use till::http::{Body, Content, Incoming, Origin, answer};
use till::payments::gateway::Gateway;
use till::payments::gateway::paypal::{self, PayPal, Trust};
use till::payments::gateway::stripe::{self, Stripe};
use till::payments::gateway::wire::{Lost, Wire};
use till::store::Disk;
use tokio::runtime::Runtime;

/// What every token of the shop is signed with.
pub const KEY: [u8; 32] = [7; 32];
/// What Stripe signs its events with.
pub const STRIPE_SECRET: &str = "whsec_fuzz";
pub const NOW: &str = "2026-11-23T10:00:00Z";
pub const EMAIL: &str = "ann@example.com";
const PASSWORD: &str = "correct horse battery";
/// Enough for all that the shop keeps open while it is small (bytes).
const CACHE: usize = 4 << 20;
/// More of an answer is not read (bytes).
const ANSWER: usize = 64 << 20;

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    Nobody,
    Customer,
    Operator,
}

/// A data file in memory.
#[derive(Clone, Debug)]
struct Memory(Arc<Mutex<Vec<u8>>>);

/// An open shop and what it was when it was opened.
pub struct Shop {
    pub app: Arc<App>,
    began_at: u64,
}

/// What came back.
pub struct Came {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// The shop that every input meets, and the tokens of its customer.
pub struct Template {
    image: Vec<u8>,
    pub access: String,
    pub refresh: String,
    id: String,
}

pub static TEMPLATE: LazyLock<Template> = LazyLock::new(Template::new);
static OPEN: Mutex<Option<Shop>> = Mutex::new(None);
/// What the gateways answer whatever they are asked.
static TOLD: Mutex<Bytes> = Mutex::new(Bytes::new());
static INTENT: Mutex<Bytes> = Mutex::new(Bytes::new());
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"));

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has `run` look at the shop, and puts it back as it was.
pub fn with<T>(run: impl FnOnce(&Shop) -> T) -> T {
    let mut open = lock(&OPEN);
    let shop = open.take().unwrap_or_else(|| TEMPLATE.open());
    let done = run(&shop);
    if shop.app.store.seq().expect("it can be read") == shop.began_at {
        *open = Some(shop);
    }
    done
}

/// What the gateways are to answer from now on.
pub fn gateways_tell(body: &[u8]) {
    *lock(&TOLD) = Bytes::copy_from_slice(body);
}

impl Shop {
    fn new(app: Arc<App>) -> Shop {
        let began_at = app.store.seq().expect("it can be read");
        Shop { app, began_at }
    }

    /// Whether something was written since it was opened.
    pub fn has_changed(&self) -> bool {
        self.app.store.seq().expect("it can be read") != self.began_at
    }

    /// Runs the jobs that are due.
    pub fn run_jobs(&self) {
        RUNTIME.block_on(till::jobs::run_due(&self.app));
    }

    /// What `till check` finds.
    #[track_caller]
    pub fn check(&self) {
        let findings = till::check::check(&self.app).expect("the shop can be read");
        assert!(findings.is_empty(), "till check: {findings:?}");
    }

    /// Asks, and reads the whole answer. It is never a failure of the shop, and a refusal is a problem document.
    pub fn ask(&self, who: Who, method: &str, target: &str, headers: &[(&str, &[u8])], body: &[u8]) -> Came {
        RUNTIME.block_on(ask(&self.app, who, method, target, headers, body))
    }
}

async fn ask(
    app: &Arc<App>,
    who: Who,
    method: &str,
    target: &str,
    given: &[(&str, &[u8])],
    body: &[u8],
) -> Came {
    let mut headers = HeaderMap::new();
    headers.insert("content-length", HeaderValue::from(body.len()));
    if who == Who::Customer {
        let bearer = format!("Bearer {}", TEMPLATE.access);
        headers.insert("authorization", bearer.parse().expect("a token"));
    }
    for (name, value) in given {
        // What hyper would not let in does not come in.
        let name: Option<HeaderName> = name.parse().ok();
        if let (Some(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pieces: Body = Box::pin(stream::iter([Ok(Bytes::copy_from_slice(body))]));
    let incoming = Incoming {
        method: method.parse().unwrap_or(Method::GET),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Some(pieces),
        origin: if who == Who::Operator {
            Origin::Operator
        } else {
            Origin::Network(IpAddr::V4(Ipv4Addr::LOCALHOST))
        },
    };
    let reply = answer(app, incoming).await;
    let mut body = Vec::new();
    match reply.body {
        Content::Whole(whole) => body.extend_from_slice(&whole),
        Content::Stream(mut pieces) => {
            while let Some(piece) = pieces.next().await {
                body.extend_from_slice(&piece.expect("the answer goes on to its end"));
                assert!(body.len() < ANSWER, "an answer without an end");
            }
        }
    }
    let (status, headers) = (reply.status.as_u16(), reply.headers);
    // A gateway that says nothing sensible is not the shop's failure.
    let is_failure = status >= 500 && status != 502 && status != 503;
    assert!(!is_failure, "{method} {target}: {status} {}", String::from_utf8_lossy(&body));
    if status >= 400 {
        let problem: Value = serde_json::from_slice(&body).expect("a refusal is a problem document");
        assert!(problem["code"].is_string() && problem["status"] == status, "{problem}");
    }
    Came { status, headers, body }
}

fn config() -> Config {
    let mut flags = Flags::default();
    let settings =
        [("auth.access_minutes", "1440"), ("limits.enabled", "false"), ("payment.test.enabled", "true")];
    for (key, value) in settings {
        flags.0.push((key, "test", value.to_owned()));
    }
    Config::load(None, [], &flags).expect("good settings")
}

impl Template {
    fn new() -> Template {
        let disk = Memory(Arc::default());
        let app = App::open(parts(&disk, "")).expect("a new shop opens");
        let mut template = Template {
            image: Vec::new(),
            access: String::new(),
            refresh: String::new(),
            id: app.shop.clone(),
        };
        RUNTIME.block_on(template.fill(&app));
        drop(app);
        template.image = lock(&disk.0).clone();
        template
    }

    /// One of each thing, most under the number 1.
    async fn fill(&mut self, app: &Arc<App>) {
        let new = NewUser {
            email: EMAIL.parse().expect("an address"),
            name: "Ann".into(),
            role: Role::Customer,
            password_hash: till::accounts::Passwords::hash_now(PASSWORD),
        };
        app.store.write(move |tx| till::accounts::create_user(tx, &new)).await.expect("she is new");
        let login = json!({"email": EMAIL, "password": PASSWORD}).to_string();
        let json_type: (&str, &[u8]) = ("content-type", b"application/json");
        let came = ask(app, Who::Nobody, "POST", "/api/auth/login/", &[json_type], login.as_bytes()).await;
        let tokens: Value = serde_json::from_slice(&came.body).expect("JSON");
        let token = |name: &str| tokens[name].as_str().expect("a token").to_owned();
        (self.access, self.refresh) = (token("access"), token("refresh"));
        let bearer = format!("Bearer {}", self.access);
        for (target, body) in made() {
            let by_customer = !target.contains("/admin/") && target != "/api/products/";
            let mut headers = vec![json_type];
            if by_customer {
                headers.push(("authorization", bearer.as_bytes()));
            }
            let who = if by_customer { Who::Nobody } else { Who::Operator };
            let came = ask(app, who, "POST", target, &headers, body.to_string().as_bytes()).await;
            assert!(came.status < 300, "{target}: {}", String::from_utf8_lossy(&came.body));
        }
    }

    fn open(&self) -> Shop {
        let disk = Memory(Arc::new(Mutex::new(self.image.clone())));
        Shop::new(App::open(parts(&disk, &self.id)).expect("it opens again"))
    }
}

/// What the shop is filled by, in this order.
fn made() -> Vec<(&'static str, Value)> {
    let address = json!({"name": "Ann Lee", "line1": "1 High Street", "city": "Leeds", "postal_code": "LS1 1AA", "country": "GB"});
    vec![
        (
            "/api/products/",
            json!({"name": "Tea", "sku": "TEA", "price": "4.00", "stock_quantity": 9, "category": "Drinks", "tags": ["green"]}),
        ),
        (
            "/api/products/",
            json!({"name": "Shirt", "options": [{"name": "Size", "values": ["S", "M"]}], "variants": [
                {"sku": "SHIRT-S", "price": "20.00", "stock_quantity": 5, "options": {"Size": "S"}},
                {"sku": "SHIRT-M", "price": "21.50", "stock_quantity": 0, "options": {"Size": "M"}},
            ]}),
        ),
        ("/api/admin/coupons/", json!({"code": "FEW", "kind": "percent", "value": 50, "max_uses": 3})),
        ("/api/cart/", json!({"product_id": 1, "quantity": 2})),
        ("/api/orders/", json!({"shipping_address": address})),
        ("/api/payment/", json!({"order_id": 1, "provider": "test"})),
        ("/api/payment/test/1/", json!({"outcome": "succeed"})),
        ("/api/products/1/reviews/", json!({"rating": 5, "title": "Good", "comment": "Very good"})),
        ("/api/admin/orders/1/refund/", json!({"amount": "1.00"})),
        ("/api/cart/", json!({"product_id": 1, "quantity": 1})),
        ("/api/orders/", json!({"shipping_address": address})),
        ("/api/payment/", json!({"order_id": 2, "provider": "stripe"})),
        ("/api/wishlist/", json!({"product_id": 2})),
        ("/api/cart/", json!({"product_id": 1, "quantity": 1})),
        ("/api/admin/tokens/", json!({"name": "till", "scopes": ["products:read"]})),
    ]
}

fn parts(disk: &Memory, shop: &str) -> Parts {
    let clock = Arc::new(ManualClock::at(Time::parse(NOW).expect("a time")));
    let stripe = stripe::Settings {
        secret_key: Secret::read("sk_test_fuzz").expect("any text"),
        webhook_secrets: vec![Secret::read(STRIPE_SECRET).expect("any text")],
        api_base: "https://stripe.test".into(),
        shop: shop.to_owned(),
    };
    let paypal = paypal::Settings {
        client_id: "fuzz".into(),
        client_secret: Secret::read("fuzz").expect("any text"),
        webhook_id: "WH1FUZZ".into(),
        api_base: "https://paypal.test".into(),
        cert_hosts: vec!["certificates.test".into()],
        return_url: None,
    };
    let own = Arc::clone(&clock) as Arc<dyn Clock>;
    let gateways: Vec<Arc<dyn Gateway>> = vec![
        Arc::new(Stripe::new(stripe, Arc::new(Echo))),
        Arc::new(PayPal::new(paypal, Arc::new(Echo), own, Trust::These(Vec::new()))),
    ];
    Parts {
        config: config(),
        clock,
        disk: Box::new(disk.clone()),
        seed: [1; 32],
        keys: KeySource { ring: Ring::given(&KEY, []), file: None },
        threaded: true,
        gateways,
        mail: None,
        demo: false,
        errors: Arc::default(),
    }
}

/// Gateways that say what an input has them say: they, too, may be anybody.
struct Echo;

#[async_trait]
impl Wire for Echo {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Bytes>, Lost> {
        let path = request.uri().path();
        let answer = match path {
            _ if path.starts_with("/v1/notifications/certs/") => return Err(Lost::Timeout),
            "/v1/payment_intents" if request.method() == Method::POST => began(request.body()),
            "/v1/oauth2/token" => Bytes::from_static(br#"{"access_token":"fuzz","expires_in":30000}"#),
            "/v1/notifications/verify-webhook-signature" => {
                Bytes::from_static(br#"{"verification_status":"SUCCESS"}"#)
            }
            _ => lock(&TOLD).clone(),
        };
        Ok(Response::new(answer))
    }

    async fn pause(&self, _: std::time::Duration) {}
}

/// A payment at Stripe that nobody has paid yet, as the shop has asked for it.
fn began(form: &[u8]) -> Bytes {
    let form: BTreeMap<String, String> = form_urlencoded::parse(form).into_owned().collect();
    let metadata: BTreeMap<_, _> = form
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("metadata[")?.strip_suffix(']')?, value)))
        .collect();
    let amount: i64 = form["amount"].parse().expect("a number");
    let mut first = lock(&INTENT);
    let id = if first.is_empty() { "pi_1".to_owned() } else { format!("pi_{metadata:?}") };
    let intent = json!({
        "id": id, "object": "payment_intent", "amount": amount, "amount_received": 0, "currency": form["currency"],
        "status": "requires_payment_method", "client_secret": "pi_1_secret", "livemode": false, "metadata": metadata,
    });
    let intent = Bytes::from(intent.to_string());
    if first.is_empty() {
        first.clone_from(&intent);
    }
    intent
}

/// The payment that the shop has begun at Stripe.
pub fn intent() -> Value {
    LazyLock::force(&TEMPLATE);
    serde_json::from_slice(&lock(&INTENT)).expect("it was begun")
}

impl Disk for Memory {
    fn open(&self) -> Result<Database, DatabaseError> {
        Database::builder().set_cache_size(CACHE).create_with_backend(self.clone())
    }

    fn size(&self) -> std::io::Result<u64> {
        Ok(lock(&self.0).len() as u64)
    }

    fn name(&self) -> String {
        "memory".into()
    }
}

fn span(at: u64, len: usize) -> Range<usize> {
    let at = usize::try_from(at).expect("it is in memory");
    at..at + len
}

impl StorageBackend for Memory {
    fn len(&self) -> std::io::Result<u64> {
        Ok(lock(&self.0).len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        out.copy_from_slice(&lock(&self.0)[span(offset, out.len())]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        lock(&self.0).resize(usize::try_from(len).expect("it is in memory"), 0);
        Ok(())
    }

    fn sync_data(&self) -> std::io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        lock(&self.0)[span(offset, data.len())].copy_from_slice(data);
        Ok(())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }
}

/// Every row of the shop, by table: what stored records look like.
pub fn rows() -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    with(|shop| {
        let mut rows = BTreeMap::new();
        for table in till::store::schema::tables() {
            let of: &mut Vec<Vec<u8>> = rows.entry(table.name()).or_default();
            let read = shop.app.store.read(|tx| {
                table.each_row(tx, &mut |_, record| {
                    of.push(record.to_vec());
                    std::ops::ControlFlow::Continue(())
                })
            });
            read.expect("it can be read");
        }
        rows
    })
}
