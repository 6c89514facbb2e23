//! How long a page of 20 takes out of 10,000 products: filtered, sorted and counted.

mod support;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use http::Method;
use till::http::{Incoming, Origin, answer};

fn lists(c: &mut Criterion) {
    let shop = support::shop(10_000);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
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
        ("search", "/api/products/", "search=product+123"),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let incoming = Incoming {
                    method: Method::GET,
                    path: path.into(),
                    query: query.into(),
                    headers: http::HeaderMap::new(),
                    body: None,
                    origin: Origin::Network(std::net::Ipv4Addr::LOCALHOST.into()),
                };
                let reply = runtime.block_on(answer(&shop.app, incoming));
                assert_eq!(reply.status, 200);
                black_box(reply.body.whole().len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, lists);
criterion_main!(benches);
