//! A shop to measure: products in stock, a buyer, on a disk of its own.

// Each bench is a crate of its own and takes what it needs.
#![allow(dead_code)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use till::accounts::{AccountError, NewUser, Role, create_user};
use till::address::Address;
use till::app::{App, Parts};
use till::catalogue::{Draft, VariantDraft, create};
use till::checkout::{Basket, Item, PlaceError, Placing, place};
use till::config::{Config, Flags};
use till::id::{ProductId, UserId};
use till::inventory::Cause;
use till::payments::{PaymentError, pay_by_hand};
use till::reviews::{ReviewError, Text, write};
use till::store::{StoreError, WriteTx};

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
    pub people: Vec<UserId>,
    pub products: Vec<ProductId>,
    pub dir: tempfile::TempDir,
}

/// How many products, or orders, are made in one commit.
const PART: usize = 1000;
/// How many people say what they think of the products, and buy what was bought.
const PEOPLE: usize = 1000;

/// The shop in this directory, whose writer is stepped by the bench.
pub fn open(dir: &Path) -> Arc<App> {
    let flags = Flags(vec![
        ("data.dir", "bench", dir.display().to_string()),
        ("limits.enabled", "bench", "false".into()),
        ("payment.test.enabled", "bench", "true".into()),
    ]);
    let config = Config::load(None, [], &flags).expect("good settings");
    let parts = Parts { threaded: false, ..Parts::real(config).expect("parts") };
    App::open(parts).expect("it opens")
}

/// A shop on a disk of its own.
pub fn shop(products: usize) -> Bench {
    let dir = tempfile::tempdir().expect("a directory");
    let app = open(dir.path());
    let people = buyers(&app, PEOPLE);
    let currency = app.currency();
    let mut made = Vec::new();
    for from in (0..products).step_by(PART) {
        let people = people.clone();
        let act = move |tx: &mut WriteTx| {
            let cause = Cause::Adjustment { reason: "bench".into() };
            let one = |n| {
                let (id, _) = create(tx, &draft(n, currency), &cause, "bench")?;
                // Every ninth is rated by nobody.
                if n % 9 > 0 {
                    let text =
                        Text { rating: 1 + (n % 5) as u8, title: String::new(), comment: String::new() };
                    write(tx, people[n % people.len()], id, &text)?;
                }
                Ok(id)
            };
            (from..products.min(from + PART)).map(one).collect()
        };
        made.extend(app.store.write_now::<Vec<ProductId>, ReviewError>(act).expect("products are made"));
    }
    Bench { app, buyer: people[0], people, products: made, dir }
}

/// More buyers.
pub fn buyers(app: &App, count: usize) -> Vec<UserId> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let first = NEXT.fetch_add(count, Ordering::Relaxed);
    let one = |tx: &mut WriteTx, n: usize| {
        let new = NewUser {
            email: format!("bench{n}@example.com").parse().expect("an address"),
            name: "Bench".into(),
            role: Role::Customer,
            password_hash: String::new(),
        };
        Ok::<_, AccountError>(create_user(tx, &new)?.0)
    };
    let act = move |tx: &mut WriteTx| (first..first + count).map(|n| one(tx, n)).collect();
    app.store.write_now::<_, AccountError>(act).expect("buyers are made")
}

/// Orders of one to three of these products each, by one of these people after the other, paid in cash.
pub fn orders(app: &App, people: &[UserId], products: &[ProductId], count: usize) {
    for from in (0..count).step_by(PART) {
        let (rules, seller) = (app.rules(), app.seller.clone());
        let (people, products) = (people.to_vec(), products.to_vec());
        let act = move |tx: &mut WriteTx| {
            for n in from..count.min(from + PART) {
                let item = |m: usize| Item {
                    product: products[(n * 7919 + m) % products.len()],
                    variant: None,
                    quantity: 1 + (n % 2) as u32,
                };
                let placing = placing(Basket::Items((0..=n % 3).map(item).collect()));
                let (id, order) = place(tx, people[n % people.len()], &placing, &rules, |_| Ok(()))?;
                // What costs nothing is paid.
                if order.paid_at.is_none() {
                    pay_by_hand(tx, id, "cash", "bench", &seller)?;
                }
            }
            Ok(())
        };
        app.store.write_now::<_, OrderError>(act).expect("orders are made");
    }
}

/// Why an order could not be made.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum OrderError {
    Place(#[from] PlaceError),
    Pay(#[from] PaymentError),
    Store(#[from] StoreError),
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
