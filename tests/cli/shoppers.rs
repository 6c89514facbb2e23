//! Customers who do all sorts of things and note what they are answered, and the shop held against their notes.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::Home;

const CLIENTS: usize = 8;
const STOCK: u64 = 1_000_000;
/// What a client knows of an order, from what it was answered.
#[derive(Clone, Default, Debug)]
pub struct Known {
    payment: Option<u64>,
    units: u64,
    /// In cents.
    total: u64,
    refunded: u64,
    is_paid: bool,
    is_cancelled: bool,
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub enum Act {
    /// So many, paid at once or later.
    Pay(u64),
    OrderCart,
    AddToCart(u64),
    ClearCart,
    Decide(u64),
    Cancel(u64),
    /// By the operator: cents of an order.
    Refund(u64, u64),
}

/// A request that is made again, as it was, until it is answered.
#[derive(Clone, Debug)]
pub struct Asked {
    act: Act,
    key: String,
    method: Method,
    path: String,
    body: Value,
}

/// One customer, with a record of its own of what the shop said.
pub struct Client {
    n: usize,
    token: String,
    operator: String,
    http: reqwest::Client,
    random: StdRng,
    asked: usize,
    pub orders: BTreeMap<u64, Known>,
    in_cart: u64,
    pub answered: Vec<(Asked, Value)>,
    /// How many of them were asked again since.
    pub repeated: usize,
    /// What was asked and not answered.
    pub open: Option<Asked>,
}

/// Chance, from `CRASH_SEED` or anew; a test that fails shows which.
pub fn seeded() -> StdRng {
    let seed = std::env::var("CRASH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    println!("CRASH_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// A shop with one product, and its customers.
pub async fn open_shop(random: &mut StdRng) -> (Home, Vec<Client>) {
    let home = Home::new();
    let csv = format!("handle,name,price,sku,stock_quantity\ntea,Tea,4,T-1,{STOCK}\n");
    home.run_with(&["product", "import", "-"], &csv).ok();
    let http = till::http::outgoing().build().unwrap();
    let operator = make_user(&home, "operator@example.com", "admin", &http).await;
    let mut clients = Vec::new();
    for n in 0..CLIENTS {
        clients.push(Client {
            n,
            token: make_user(&home, &format!("buyer{n}@example.com"), "customer", &http).await,
            operator: operator.clone(),
            http: http.clone(),
            random: StdRng::seed_from_u64(random.random()),
            asked: 0,
            orders: BTreeMap::new(),
            in_cart: 0,
            answered: Vec::new(),
            repeated: 0,
            open: None,
        });
    }
    (home, clients)
}

/// Makes an account and logs it in; the token outlives the test.
async fn make_user(home: &Home, email: &str, role: &str, http: &reqwest::Client) -> String {
    let create = ["user", "create", "--email", email, "--role", role, "--password-stdin"];
    home.run_with(&create, "a fine password\n").ok();
    let server = home.serve();
    let login = json!({"email": email, "password": "a fine password"});
    let request =
        http.post(format!("{}/api/auth/login/", server.base)).header("Content-Type", "application/json");
    let answer = request.body(login.to_string()).send().await.unwrap().bytes().await.unwrap();
    serde_json::from_slice::<Value>(&answer).unwrap()["access"].as_str().unwrap().to_owned()
}

/// Holds a shop that started again against all that its clients know.
pub async fn compare(base: &str, clients: &mut [Client]) {
    // First each repeats what it was not answered, as a client does. From then on all that is there is known.
    join_all(clients.iter_mut().map(async |client| {
        if let Some(open) = client.open.take() {
            assert!(client.ask(base, open).await, "the shop is gone");
        }
    }))
    .await;
    let mut there = BTreeMap::new();
    for page in 1.. {
        let listed =
            clients[0].operator_reads(base, &format!("/api/admin/orders/?page_size=100&page={page}")).await;
        for order in listed["results"].as_array().unwrap() {
            there.insert(order["id"].as_u64().unwrap(), order.clone());
        }
        if listed["next"].is_null() {
            break;
        }
    }
    let known: Vec<_> = clients.iter().flat_map(|client| &client.orders).collect();
    for (id, order) in &known {
        let stored =
            there.get(id).unwrap_or_else(|| panic!("order {id} was answered and is gone: {order:?}"));
        order.assert_is(stored);
    }
    assert_eq!(there.len(), known.len(), "each key has one order, and there are no others");
    let live: u64 = known.iter().filter(|(_, order)| !order.is_cancelled).map(|(_, order)| order.units).sum();
    let tea = clients[0].operator_reads(base, "/api/products/1/").await;
    assert_eq!(tea["stock_quantity"], STOCK - live);
    let check = clients[0].send(base, Method::POST, "/api/admin/check/", None, &json!({})).await;
    assert_eq!(check.as_ref().expect("it runs").body["ok"], true, "{check:?}");
    join_all(clients.iter_mut().map(async |client| {
        let cart =
            client.send(base, Method::GET, "/api/cart/", None, &Value::Null).await.expect("it runs").body;
        assert_eq!(cart["item_count"], client.in_cart, "the cart of {}: {cart}", client.n);
        for (asked, said) in &client.answered[client.repeated..] {
            let Asked { method, path, key, body, .. } = asked;
            let again = client.send(base, method.clone(), path, Some(key), body).await.expect("it runs");
            assert!(again.is_replayed && again.body == *said, "{asked:?}: {again:?} is not {said}");
        }
        client.repeated = client.answered.len();
    }))
    .await;
}

/// What the shop answers.
#[derive(Debug)]
struct Said {
    status: u16,
    is_replayed: bool,
    body: Value,
}

impl Client {
    pub async fn shop_until_it_is_gone(mut self, base: String) -> Client {
        loop {
            let asked = self.next();
            if !self.ask(&base, asked).await {
                return self;
            }
        }
    }

    /// What it does next, by chance.
    fn next(&mut self) -> Asked {
        self.asked += 1;
        let chance = self.random.random_range(0..100);
        let some = self.random.random_range(1..4);
        let of = |fits: &dyn Fn(&Known) -> bool| {
            self.orders.iter().rev().find(|(_, order)| fits(order)).map(|(id, order)| (*id, order.clone()))
        };
        let unpaid = of(&|order| !order.is_paid && !order.is_cancelled && order.payment.is_some());
        let whole = of(&|order| !order.is_cancelled && order.refunded == 0);
        let paid = of(&|order| order.is_paid && !order.is_cancelled && order.refunded + 50 < order.total);
        let act = match chance {
            0..35 => Act::Pay(some),
            35..60 => unpaid.map_or(Act::Pay(some), |(_, order)| Act::Decide(order.payment.expect("it has"))),
            60..75 => Act::AddToCart(some),
            75..83 if self.in_cart > 0 => Act::OrderCart,
            83..85 => Act::ClearCart,
            85..92 => whole.map_or(Act::Pay(some), |(id, _)| Act::Cancel(id)),
            _ => paid.map_or(Act::Pay(some), |(id, _)| Act::Refund(id, 50)),
        };
        let address = json!({"name": "B", "line1": "1 High Street", "city": "Leeds", "country": "GB"});
        let (method, path, body) = match &act {
            Act::Pay(units) => {
                let items = json!([{"product_id": 1, "quantity": units}]);
                (Method::POST, "/api/payment/".into(), json!({"items": items, "shipping_address": address}))
            }
            Act::OrderCart => (Method::POST, "/api/orders/".into(), json!({"shipping_address": address})),
            Act::AddToCart(units) => {
                (Method::POST, "/api/cart/".into(), json!({"product_id": 1, "quantity": units}))
            }
            Act::ClearCart => (Method::DELETE, "/api/cart/".into(), Value::Null),
            Act::Decide(payment) => {
                (Method::POST, format!("/api/payment/test/{payment}/"), json!({"outcome": "succeed"}))
            }
            Act::Cancel(order) => (Method::POST, format!("/api/orders/{order}/cancel/"), json!({})),
            Act::Refund(order, cents) => {
                let amount = format!("{}.{:02}", cents / 100, cents % 100);
                (Method::POST, format!("/api/admin/orders/{order}/refund/"), json!({"amount": amount}))
            }
        };
        Asked { act, key: format!("{}-{}", self.n, self.asked), method, path, body }
    }

    /// Asks, and notes what was answered; whether it was.
    async fn ask(&mut self, base: &str, asked: Asked) -> bool {
        let Asked { method, path, key, body, .. } = &asked;
        let Some(said) = self.send(base, method.clone(), path, Some(key), body).await else {
            self.open = Some(asked);
            return false;
        };
        match (&asked.act, said.status) {
            (_, 200..300) => {}
            // It was paid, and the shop was gone before it could say so.
            (Act::Decide(payment), 409) => {
                let path = format!("/api/payment/{payment}/");
                let Some(now) = self.send(base, Method::GET, &path, None, &Value::Null).await else {
                    self.open = Some(asked);
                    return false;
                };
                assert_eq!(now.body["status"], "succeeded", "{said:?}, {now:?}");
                let order = now.body["order_id"].as_u64().unwrap();
                self.orders.get_mut(&order).unwrap().is_paid = true;
                return true;
            }
            _ => panic!("{asked:?}: {said:?}"),
        }
        self.note(&asked.act, &said.body);
        if asked.method == Method::POST {
            self.answered.push((asked, said.body));
        }
        true
    }

    fn note(&mut self, act: &Act, said: &Value) {
        match act {
            Act::Pay(units) => {
                let (payment, total) = (said["id"].as_u64(), cents(&said["amount"]));
                let order = Known { payment, units: *units, total, ..Known::default() };
                let before = self.orders.insert(said["order_id"].as_u64().unwrap(), order);
                assert!(before.is_none(), "each key has an order of its own");
            }
            Act::OrderCart => {
                let order =
                    Known { units: self.in_cart, total: cents(&said["total_price"]), ..Known::default() };
                let before = self.orders.insert(said["id"].as_u64().unwrap(), order);
                assert!(before.is_none(), "each key has an order of its own");
                self.in_cart = 0;
            }
            Act::AddToCart(units) => {
                self.in_cart += units;
                assert_eq!(said["quantity"], self.in_cart);
            }
            Act::ClearCart => self.in_cart = 0,
            Act::Decide(_) => {
                assert_eq!(said["status"], "succeeded");
                self.orders.get_mut(&said["order_id"].as_u64().unwrap()).unwrap().is_paid = true;
            }
            Act::Cancel(order) => {
                assert_eq!(said["status"], "cancelled");
                self.orders.get_mut(order).unwrap().is_cancelled = true;
            }
            Act::Refund(order, cents) => self.orders.get_mut(order).unwrap().refunded += cents,
        }
    }

    async fn operator_reads(&self, base: &str, path: &str) -> Value {
        let said = self.send(base, Method::GET, path, None, &Value::Null).await.expect("it runs");
        assert_eq!(said.status, 200, "{said:?}");
        said.body
    }

    /// Asks as itself, or as the operator where only they may.
    async fn send(
        &self,
        base: &str,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> Option<Said> {
        let token = if path.starts_with("/api/admin/") { &self.operator } else { &self.token };
        let mut request = self.http.request(method, format!("{base}{path}")).bearer_auth(token);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        if !body.is_null() {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let is_replayed = answer.headers().contains_key("Idempotency-Replayed");
        let bytes = answer.bytes().await.ok()?;
        Some(Said { status, is_replayed, body: serde_json::from_slice(&bytes).unwrap_or_default() })
    }
}

impl Known {
    /// Holds what the shop has against what it said.
    fn assert_is(&self, stored: &Value) {
        let refunds = stored["refunds"].as_array().unwrap();
        let refunded = refunds.iter().filter(|refund| refund["status"] == "succeeded");
        let refunded: u64 = refunded.map(|refund| cents(&refund["amount"])).sum();
        let wanted = match (self.is_cancelled, self.is_paid) {
            (true, true) => ("cancelled", "refunded", self.total),
            (true, false) => ("cancelled", "unpaid", 0),
            (false, true) if self.refunded > 0 => ("processing", "partially_refunded", self.refunded),
            (false, true) => ("processing", "paid", 0),
            (false, false) => ("pending", "unpaid", 0),
        };
        let is = (stored["status"].as_str().unwrap(), stored["payment_status"].as_str().unwrap(), refunded);
        assert_eq!(is, wanted, "{self:?}: {stored}");
        assert_eq!((cents(&stored["total_price"]), stored["paid_at"].is_null()), (self.total, !self.is_paid));
    }
}

fn cents(money: &Value) -> u64 {
    money.as_str().expect("money is text").replace('.', "").parse().expect("digits")
}
