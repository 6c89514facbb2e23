//! The parts of answering: a page of 20 out of 100,000 products, filtered, sorted and counted, as it is found for the
//! first time and as it is known; records in and out of their bytes; passwords and tokens.

mod support;

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, Method, header};
use serde_json::{Value, json};
use till::accounts::Passwords;
use till::app::{App, Parts};
use till::http::{Incoming, Origin, Reply, answer};
use till::store::schema;
use tokio::runtime::Runtime;

struct Shop {
    app: Arc<App>,
    runtime: Runtime,
    _dir: tempfile::TempDir,
}

impl Shop {
    fn open() -> Shop {
        let support::Bench { app, dir, .. } = support::shop(100_000);
        let config = app.config.clone();
        drop(app);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let app = App::open(Parts::real(config).expect("parts")).expect("it opens");
        Shop { app, runtime, _dir: dir }
    }

    fn ask(&self, method: Method, path: &str, query: &str, token: Option<&str>, body: &Value) -> Reply {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/json".parse().expect("a value"));
        if let Some(token) = token {
            headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().expect("a value"));
        }
        let body = Bytes::from(body.to_string());
        let incoming = Incoming {
            method,
            path: path.into(),
            query: query.into(),
            headers,
            body: Some(Box::pin(futures_util::stream::iter([Ok(body)]))),
            origin: Origin::Network(std::net::Ipv4Addr::LOCALHOST.into()),
        };
        let reply = self.runtime.block_on(answer(&self.app, incoming));
        assert!(reply.status.is_success(), "{path}?{query}: {}", String::from_utf8_lossy(reply.body.whole()));
        reply
    }

    fn get(&self, path: &str, query: &str) -> Reply {
        self.ask(Method::GET, path, query, None, &Value::Null)
    }
}

fn lists(shop: &Shop, c: &mut Criterion) {
    let mut group = c.benchmark_group("GET, in process");
    for (name, path, query) in [
        ("product page", "/api/products/5000/", ""),
        ("list of 20", "/api/products/", ""),
        ("category, by price", "/api/products/", "category=category-3&ordering=price"),
        (
            "price range and stock, by name",
            "/api/products/",
            "min_price=20&max_price=60&in_stock=true&ordering=-name",
        ),
        ("search", "/api/products/", "search=oc+kitchen"),
    ] {
        group.bench_function(name, |b| b.iter(|| black_box(shop.get(path, query).body.whole().len())));
    }
    group.finish();
    let mut group = c.benchmark_group("GET, in process, not asked for before");
    let mut n = 0;
    // Another upper bound, which leaves nothing out, makes it another question.
    let mut most = move || {
        n += 1;
        format!("{}.{:02}", 1000 + n / 100, n % 100)
    };
    for (name, query) in [
        ("price range, the newest", "min_price=20"),
        ("price range and stock, by name", "min_price=20&in_stock=true&ordering=-name"),
        ("category and tag, by price", "category=category-3&tag=tag2&ordering=price"),
        ("search, by price", "search=oc+kitchen&ordering=price"),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let reply = shop.get("/api/products/", &format!("{query}&max_price={}", most()));
                black_box(reply.body.whole().len())
            });
        });
    }
    group.finish();
}

fn parts(shop: &Shop, c: &mut Criterion) {
    for (name, id) in [("products", 5000_u64), ("stock", 5000)] {
        let tables = schema::tables();
        let table = tables.iter().find(|table| table.name() == name).expect("it is there");
        let mut row = None;
        let look = |tx: &till::store::ReadTx| {
            table.each_row(tx, &mut |key, record| {
                if key == id.to_be_bytes() {
                    row = Some(record.to_vec());
                }
                std::ops::ControlFlow::Continue(())
            })
        };
        shop.app.store.read(look).expect("it is read");
        let row = row.expect("it is there");
        c.bench_function(&format!("a record of {name}, decoded and encoded"), |b| {
            b.iter(|| black_box(table.recoded(black_box(&row))));
        });
    }
    let account = json!({"email": "ann@example.com", "password": "a fine password"});
    let account = shop.ask(Method::POST, "/api/auth/register/", "", None, &account);
    let account: Value = serde_json::from_slice(account.body.whole()).expect("JSON");
    let token = account["access"].as_str().expect("a token");
    c.bench_function("an access token's check", |b| {
        b.iter(|| black_box(shop.app.keys.read_access(token, shop.app.clock.now())).is_ok());
    });
    c.bench_function("GET, in process: a cart, with a token", |b| {
        b.iter(|| shop.ask(Method::GET, "/api/cart/", "", Some(token), &Value::Null).status);
    });
    c.bench_function("a password's hash", |b| b.iter(|| Passwords::hash_now(black_box("a fine password"))));
}

fn all(c: &mut Criterion) {
    let shop = Shop::open();
    lists(&shop, c);
    parts(&shop, c);
}

criterion_group!(benches, all);
criterion_main!(benches);
