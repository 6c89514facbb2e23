//! How long one durable commit of so many checkouts takes: stock, ledger, order and payment attempt, with every index.

mod support;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::FutureExt;
use till::checkout::{Basket, Item, Pay, PayError, pay};

fn checkouts(c: &mut Criterion) {
    let shop = support::shop(1000);
    let mut group = c.benchmark_group("checkouts in one commit");
    for size in [1_usize, 8, 32, 128] {
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| {
                let mut waiting: Vec<_> = (0..size)
                    .map(|n| {
                        let item = Item {
                            product: shop.products[n % shop.products.len()],
                            variant: None,
                            quantity: 1,
                        };
                        let placing = support::placing(Basket::Items(vec![item]));
                        let (buyer, rules, what) =
                            (shop.buyer, shop.app.rules(), Pay::New(Box::new(placing)));
                        let gateway = shop.app.gateways.of("test").expect("it is on");
                        Box::pin(shop.app.store.write(move |tx| pay(tx, buyer, &what, &*gateway, &rules)))
                    })
                    .collect();
                for one in &mut waiting {
                    assert!(one.as_mut().now_or_never().is_none());
                }
                assert_eq!(shop.app.store.step(), size);
                for one in waiting {
                    let answer: Result<_, PayError> = one.now_or_never().expect("the commit is done");
                    black_box(answer.expect("there is stock"));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, checkouts);
criterion_main!(benches);
