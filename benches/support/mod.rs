//! A shop to measure: products in stock, a buyer, on a disk of its own.

// Each bench is a crate of its own and takes what it needs.
#![allow(dead_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use till::accounts::{NewUser, Role};
use till::address::Address;
use till::app::{App, Parts};
use till::catalogue::{Draft, Rating, VariantDraft, create, rate};
use till::checkout::{Basket, Placing};
use till::config::{Config, Flags};
use till::id::{ProductId, UserId};
use till::inventory::Cause;

/// An order of what is in `basket`.
pub fn placing(basket: Basket) -> Placing {
    let shipping_address = Address {
        name: "Ann Example".into(),
        line1: "1 High Street".into(),
        city: "Leeds".into(),
        postal_code: "LS1 1AA".into(),
        country: "GB".into(),
        ..Address::default()
    };
    Placing { basket, shipping_address, billing_address: None, note: String::new(), total: None }
}

pub struct Bench {
    pub app: Arc<App>,
    pub buyer: UserId,
    pub products: Vec<ProductId>,
    pub dir: tempfile::TempDir,
}

/// A shop whose writer is stepped by the bench.
pub fn shop(products: usize) -> Bench {
    let dir = tempfile::tempdir().expect("a directory");
    let flags = Flags(vec![
        ("data.dir", "bench", dir.path().display().to_string()),
        ("limits.enabled", "bench", "false".into()),
    ]);
    let config = Config::load(None, [], &flags).expect("good settings");
    let parts = Parts { threaded: false, ..Parts::real(config).expect("parts") };
    let app = App::open(parts).expect("it opens");
    let currency = app.currency();
    let mut made = Vec::new();
    for chunk in (0..products).collect::<Vec<_>>().chunks(1000) {
        let chunk = chunk.to_vec();
        let act = move |tx: &mut till::store::WriteTx| {
            let cause = Cause::Adjustment { reason: "bench".into() };
            let one = |n: &usize| {
                let (id, _) = create(tx, &draft(*n, currency), &cause, "bench")?;
                let count = (n % 9) as u64;
                // Every ninth is rated by nobody.
                rate(tx, id, Rating { sum: count * (1 + (n % 5) as u64), count })?;
                Ok(id)
            };
            chunk.iter().map(one).collect()
        };
        made.extend(
            app.store
                .write_now::<Vec<ProductId>, till::catalogue::CatalogueError>(act)
                .expect("products are made"),
        );
    }
    let bench = Bench { app, buyer: UserId(0), products: made, dir };
    let buyer = bench.buyers(1)[0];
    Bench { buyer, ..bench }
}

impl Bench {
    /// More buyers.
    pub fn buyers(&self, count: usize) -> Vec<UserId> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let one = |_| {
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let new = NewUser {
                email: format!("bench{n}@example.com").parse().expect("an address"),
                name: "Bench".into(),
                role: Role::Customer,
                password_hash: String::new(),
            };
            let made = self.app.store.write_now(move |tx| till::accounts::create_user(tx, &new));
            made.expect("a buyer is made").0
        };
        (0..count).map(one).collect()
    }
}

/// The words of its products' texts.
const WORDS: [&str; 24] = [
    "ocean", "blue", "shirt", "cotton", "wool", "classic", "modern", "tea", "green", "black", "cup", "mug",
    "plate", "steel", "wood", "light", "heavy", "small", "large", "winter", "summer", "kitchen", "garden",
    "office",
];

fn draft(n: usize, currency: till::money::Currency) -> Draft {
    let word = |m: usize| WORDS[(n * 7 + m * m * 5 + n / 24) % WORDS.len()];
    Draft {
        name: format!("{} {} {n}", word(1), word(2)),
        description: (0..25).map(word).collect::<Vec<_>>().join(" "),
        category: Some(format!("Category {}", n % 20)),
        tags: vec![format!("tag{}", n % 7)],
        variants: vec![VariantDraft {
            sku: Some(format!("SKU-{n}")),
            price: currency.parse(&format!("{}.{:02}", n % 200, n % 100)).expect("an amount"),
            stock: Some(1_000_000_000),
            ..VariantDraft::default()
        }],
        ..Draft::default()
    }
}
