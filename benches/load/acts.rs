//! What customers do, as lists of acts for each connection.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::client::{Act, Connection, request};
use crate::process::Process;

/// How many acts a connection has before it begins again.
const ACTS: usize = 4000;

/// What is looked at: a name, and the query of a list of products.
pub const LISTS: [(&str, &str); 16] = [
    ("list, the newest", ""),
    ("list by price", "?ordering=price"),
    ("list by price, down", "?ordering=-price"),
    ("list by name", "?ordering=name"),
    ("list by name, down", "?ordering=-name"),
    ("list by rating, down", "?ordering=-rating"),
    ("list by popularity, down", "?ordering=-popularity"),
    ("list of a category", "?category=category-{20}"),
    ("list of a tag", "?tag=tag{7}"),
    ("list in a price range", "?min_price={150}&max_price=180"),
    ("list in a price range, each once", "?min_price={150}.{10}{10}&max_price=1{80}.{10}{10}"),
    ("list in stock", "?in_stock=true"),
    ("list by least rating", "?min_rating=4"),
    (
        "list, all filters, by price",
        "?category=category-{20}&tag=tag{7}&min_price=20&in_stock=true&ordering=price",
    ),
    ("search, one word", "?search=kitchen"),
    ("search, two words, by price", "?search=oc+kitchen&ordering=price"),
];

/// A query with numbers below those in braces.
fn filled(query: &str, rng: &mut StdRng) -> String {
    let mut text = String::new();
    for (n, part) in query.split(['{', '}']).enumerate() {
        match part.parse::<u32>() {
            Ok(most) if n % 2 == 1 => text.push_str(&rng.random_range(0..most).to_string()),
            _ => text.push_str(part),
        }
    }
    text
}

/// As many lists of acts as there are connections.
pub fn of(connections: usize, seed: u64, act: impl Fn(usize, &mut StdRng) -> Act) -> Vec<Vec<Act>> {
    let list = |connection: usize| {
        let mut rng = StdRng::seed_from_u64(seed + connection as u64);
        (0..ACTS).map(|_| act(connection, &mut rng)).collect()
    };
    (0..connections).map(list).collect()
}

fn asks(kind: &'static str, requests: impl Into<Vec<Bytes>>) -> Act {
    Act { kind, requests: requests.into() }
}

pub fn product(products: usize, rng: &mut StdRng) -> Act {
    let id = rng.random_range(1..=products);
    asks("product page", [request("GET", &format!("/api/products/{id}/"), None, "")])
}

pub fn list((name, query): (&'static str, &str), rng: &mut StdRng) -> Act {
    asks(name, [request("GET", &format!("/api/products/{}", filled(query, rng)), None, "")])
}

/// What is looked at in a day: products, and lists with and without filters.
pub fn read(products: usize, rng: &mut StdRng) -> Act {
    match rng.random_range(0..4) {
        0..2 => product(products, rng),
        2 => list(("list", LISTS[rng.random_range(0..7)].1), rng),
        _ => list(("list, filtered", LISTS[rng.random_range(7..LISTS.len())].1), rng),
    }
}

/// Customers with accounts.
pub struct Buyers {
    emails: Vec<String>,
    tokens: Vec<String>,
    products: usize,
}

const PASSWORD: &str = "a fine password";

impl Buyers {
    pub async fn register(shop: &Process, count: usize, products: usize) -> Buyers {
        // One shop meets several crowds.
        static CROWD: AtomicUsize = AtomicUsize::new(0);
        let crowd = CROWD.fetch_add(1, Ordering::Relaxed);
        let mut connection = Connection::open(shop.address).await;
        let (mut emails, mut tokens) = (Vec::new(), Vec::new());
        for n in 0..count {
            let email = format!("buyer{n}.{crowd}@example.com");
            let body = json!({"email": email, "password": PASSWORD}).to_string();
            let answer = connection.ask(&request("POST", "/api/auth/register/", None, &body)).await;
            let account: Value = serde_json::from_slice(&answer.body).expect("JSON");
            tokens.push(account["access"].as_str().expect("a token").to_owned());
            emails.push(email);
        }
        Buyers { emails, tokens, products }
    }

    pub fn login(&self, buyer: usize) -> Act {
        let body = json!({"email": self.emails[buyer], "password": PASSWORD}).to_string();
        asks("login", [request("POST", "/api/auth/login/", None, &body)])
    }

    fn put_in(&self, buyer: usize, product: usize) -> Bytes {
        let body = json!({"product_id": product, "quantity": 1}).to_string();
        request("POST", "/api/cart/", Some(&self.tokens[buyer]), &body)
    }

    /// One of few products, which there is more of in the cart each time.
    pub fn add(&self, buyer: usize, rng: &mut StdRng) -> Act {
        asks("add to cart", [self.put_in(buyer, 1 + rng.random_range(0..10) * self.products / 10)])
    }

    pub fn view(&self, buyer: usize) -> Act {
        asks("view of a cart", [request("GET", "/api/cart/", Some(&self.tokens[buyer]), "")])
    }

    /// Into the cart, and the order.
    pub fn checkout(&self, buyer: usize, rng: &mut StdRng) -> Act {
        let address = json!({
            "name": "Ann Example", "line1": "1 High Street", "city": "Leeds", "postal_code": "LS1 1AA", "country": "GB",
        });
        let order = json!({ "shipping_address": address }).to_string();
        let order = request("POST", "/api/orders/", Some(&self.tokens[buyer]), &order);
        asks("checkout", [self.put_in(buyer, rng.random_range(1..=self.products)), order])
    }

    /// What a day is made of: 80 % of reads, 15 % carts, 5 % orders.
    pub fn day(&self, buyer: usize, rng: &mut StdRng) -> Act {
        match rng.random_range(0..100) {
            0..80 => read(self.products, rng),
            80..85 => self.view(buyer),
            85..95 => self.add(buyer, rng),
            _ => self.checkout(buyer, rng),
        }
    }
}

/// Leaves a file of so many products that the shop does not have in `dir`; its path.
pub fn catalogue(dir: &Path, rows: usize) -> String {
    let mut file = String::from("handle,name,price,sku,stock_quantity,description\n");
    for n in 0..rows {
        let _ = writeln!(
            file,
            "new-{n},New thing {n},{}.50,NEW-{n},1000000,A thing that came while others bought",
            n % 90
        );
    }
    let path = dir.join("new.csv");
    fs::write(&path, file).expect("written");
    path.display().to_string()
}
