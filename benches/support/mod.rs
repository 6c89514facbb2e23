//! A shop to measure: products in stock, a buyer, on a disk of its own.

// Each bench is a crate of its own and takes what it needs.
#![allow(dead_code)]

use std::sync::Arc;

use till::accounts::{NewUser, Role};
use till::app::{App, Parts};
use till::catalogue::{Draft, VariantDraft, create};
use till::config::{Config, Flags};
use till::id::{ProductId, UserId};
use till::inventory::Cause;

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
            chunk.iter().map(|n| Ok(create(tx, &draft(*n, currency), &cause, "bench")?.0)).collect()
        };
        made.extend(
            app.store
                .write_now::<Vec<ProductId>, till::catalogue::CatalogueError>(act)
                .expect("products are made"),
        );
    }
    let new = NewUser {
        email: "bench@example.com".parse().expect("an address"),
        name: "Bench".into(),
        role: Role::Customer,
        password_hash: String::new(),
    };
    let (buyer, _) =
        app.store.write_now(move |tx| till::accounts::create_user(tx, &new)).expect("a buyer is made");
    Bench { app, buyer, products: made, dir }
}

fn draft(n: usize, currency: till::money::Currency) -> Draft {
    Draft {
        name: format!("Product {n} of the bench"),
        description: "Something that is described in about as many words as products usually are.".into(),
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
