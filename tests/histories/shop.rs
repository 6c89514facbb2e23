//! The shop that every history begins with, and asking it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use till::accounts::{KeySource, NewUser, Ring, Role};
use till::app::{App, Parts};
use till::clock::{Clock, ManualClock, Time};
use till::config::{Config, Flags, Secret, Setting};
use till::http::{Body, Incoming, Origin, answer};
use till::payments::gateway::Gateway;
use till::payments::gateway::paypal::{self, PayPal, Trust};
use till::payments::gateway::stripe::{self, Stripe};

use super::disk::SimDisk;
use super::mirror::Records;
use super::net::Net;
use super::post::Post;
use crate::support::serve::fixture;

/// When every history begins.
pub const BEGIN: &str = "2026-11-23T10:00:00Z";
/// Most customers of a history.
pub const CUSTOMERS: usize = 30;
/// What is on sale: SKU, price, units. Plain products, so that a product's number is its variant's.
pub const GOODS: [(&str, &str, i64); 5] =
    [("TEA", "4.00", 9), ("MUG", "9.50", 7), ("SWEET", "0.10", 7), ("GIFT", "0", 7), ("LAMP", "30.00", 3)];
/// What takes something off: of one there are few uses, of the other one for each customer.
pub const COUPONS: [&str; 2] = ["FEW", "ONCE"];
const KEY: [u8; 32] = [7; 32];
const PASSWORD: &str = "correct horse battery";

/// The id that the shop knows a customer by.
pub fn user_of(customer: usize) -> usize {
    customer + 1
}

pub fn email_of(customer: usize) -> String {
    format!("customer{customer}@example.com")
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Customer(usize),
    Operator,
    Gateway,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub who: Who,
    pub method: Method,
    /// With its query.
    pub path: String,
    pub media: &'static str,
    pub body: String,
    pub headers: Vec<(&'static str, String)>,
}

impl Asked {
    pub fn new(who: Who, method: Method, path: impl Into<String>, body: &Value) -> Asked {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        Asked { who, method, path: path.into(), media: "application/json", body, headers: Vec::new() }
    }

    pub fn key(&self) -> Option<&str> {
        let is_key = |(name, _): &&(&str, String)| *name == "idempotency-key";
        self.headers.iter().find(is_key).map(|(_, value)| value.as_str())
    }
}

/// What a request came to.
pub struct Came {
    pub asked: Asked,
    pub status: u16,
    pub json: Value,
}

/// Sends a request as a client would, without the sockets.
pub async fn ask(app: &Arc<App>, access: Option<&str>, asked: Asked) -> Came {
    let mut headers = HeaderMap::new();
    let mut put = |name: &str, value: &str| {
        let name: HeaderName = name.parse().expect("a name");
        headers.insert(name, HeaderValue::from_str(value).expect("a value"));
    };
    put("content-type", asked.media);
    put("content-length", &asked.body.len().to_string());
    if let Some(access) = access {
        put("authorization", &format!("Bearer {access}"));
    }
    for (name, value) in &asked.headers {
        put(name, value);
    }
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let pieces: Body = Box::pin(stream::iter([Ok(Bytes::from(asked.body.clone()))]));
    let incoming = Incoming {
        method: asked.method.clone(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Some(pieces),
        origin: if asked.who == Who::Operator {
            Origin::Operator
        } else {
            Origin::Network(std::net::Ipv4Addr::LOCALHOST.into())
        },
    };
    let reply = answer(app, incoming).await;
    let json = serde_json::from_slice(reply.body.whole()).unwrap_or(Value::Null);
    Came { status: reply.status.as_u16(), json, asked }
}

fn config() -> Config {
    let mut flags = Flags::default();
    let settings =
        [("auth.access_minutes", "1440"), ("payment.test.enabled", "true"), ("limits.enabled", "false")];
    for (key, value) in settings {
        flags.0.push((key, "test", value.to_owned()));
    }
    Config::load(None, [], &flags).expect("good settings")
}

/// The shop that every history begins with: made once.
pub struct Template {
    config: Config,
    pub image: Vec<u8>,
    pub records: Records,
    /// What each customer shows that they are.
    pub access: Vec<String>,
    shop: String,
    root: CertificateDer<'static>,
}

impl Template {
    pub fn new() -> Template {
        let root = CertificateDer::from_pem_slice(&fixture("root.pem")).expect("a certificate");
        let mut template = Template {
            config: config(),
            image: Vec::new(),
            records: Records::default(),
            access: Vec::new(),
            shop: String::new(),
            root,
        };
        let (clock, disk) = (begin(), SimDisk::of(&[], 0));
        let app = App::open(Parts { threaded: true, ..template.parts(&clock, &disk, 0) }).expect("it opens");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let password_hash = till::accounts::Passwords::hash_now(PASSWORD);
            for n in 0..CUSTOMERS {
                let email = email_of(n);
                let new = NewUser {
                    email: email.parse().expect("an address"),
                    name: format!("Customer {n}"),
                    role: Role::Customer,
                    password_hash: password_hash.clone(),
                };
                app.store.write(move |tx| till::accounts::create_user(tx, &new)).await.expect("they are new");
                let login = json!({"email": email, "password": PASSWORD});
                let login = Asked::new(Who::Gateway, Method::POST, "/api/auth/login/", &login);
                let came = ask(&app, None, login).await;
                template.access.push(came.json["access"].as_str().expect("a token").to_owned());
            }
            for (sku, price, units) in GOODS {
                let body = json!({"name": sku, "sku": sku, "price": price, "stock_quantity": units});
                let make = Asked::new(Who::Operator, Method::POST, "/api/products/", &body);
                let made = ask(&app, None, make).await;
                assert_eq!(made.status, 201, "{}", made.json);
            }
            for body in [
                json!({"code": "FEW", "kind": "percent", "value": 50, "max_uses": 3}),
                json!({"code": "ONCE", "kind": "amount", "value": "5.00", "max_uses_per_user": 1}),
            ] {
                let make = Asked::new(Who::Operator, Method::POST, "/api/admin/coupons/", &body);
                let made = ask(&app, None, make).await;
                assert_eq!(made.status, 201, "{}", made.json);
            }
        });
        template.shop = app.shop.clone();
        template.records = Records::of(&app).expect("it can be read");
        drop(app);
        template.image = disk.image();
        template
    }

    fn parts(&self, clock: &Arc<ManualClock>, disk: &SimDisk, seed: u64) -> Parts {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Parts {
            config: self.config.clone(),
            clock: Arc::clone(clock) as Arc<dyn Clock>,
            disk: Box::new(disk.clone()),
            seed: bytes,
            keys: KeySource { ring: Ring::given(&KEY, []), file: None },
            threaded: false,
            gateways: Vec::new(),
            mail: None,
            demo: false,
            errors: Arc::default(),
        }
    }

    /// The parts of a shop whose gateways are at the other end of `net`.
    pub fn shop(&self, net: &Net, post: &Post, clock: &Arc<ManualClock>, disk: &SimDisk, seed: u64) -> Parts {
        let wire = Arc::new(net.clone());
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
        let trust = Trust::These(vec![self.root.clone()]);
        let own = Arc::clone(clock) as Arc<dyn Clock>;
        let gateways: Vec<Arc<dyn Gateway>> = vec![
            Arc::new(Stripe::new(stripe, wire.clone())),
            Arc::new(PayPal::new(paypal, wire, own, trust)),
        ];
        Parts { gateways, mail: Some(Arc::new(post.clone())), ..self.parts(clock, disk, seed) }
    }
}

/// The clock as every history begins.
pub fn begin() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Time::parse(BEGIN).expect("a time")))
}
