//! How long it takes to prove a shop's data good, to back it up and to restore it, and what a backup costs those who
//! buy meanwhile: `cargo bench --bench proofs`. `BENCH_ORDERS` says how many orders the shop has (100,000 by default).

// Figures for people.
#![allow(clippy::cast_precision_loss)]

mod support;

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use till::app::{App, Parts};
use till::backup::format::{Header, write};
use till::backup::{Place, Trial, restore};
use till::checkout::{Attempt, Basket, Item, Pay, PayError, pay};
use till::clock::{Clock, SystemClock};
use till::config::Config;
use till::id::{ProductId, UserId};
use till::payments::gateway::Intent;
use till::payments::{Status, settle};
use till::store::WriteTx;

/// Orders in one act while the shop is filled.
const TOGETHER: usize = 250;
const BUYERS: usize = 16;
/// How long it is bought without a backup and, at least, with one.
const SPAN: Duration = Duration::from_secs(5);

fn placing(products: &[ProductId], rng: &mut StdRng) -> Pay {
    let lines = rng.random_range(1..4);
    let item = |rng: &mut StdRng| Item {
        product: products[rng.random_range(0..products.len())],
        variant: None,
        quantity: rng.random_range(1..3),
    };
    let mut items: Vec<_> = (0..lines).map(|_| item(rng)).collect();
    items.dedup_by_key(|item| item.product);
    Pay::New(Box::new(support::placing(Basket::Items(items))))
}

/// Orders, each paid through a gateway and invoiced.
fn fill(app: &App, buyer: UserId, products: &[ProductId], orders: usize) {
    for done in (0..orders).step_by(TOGETHER) {
        let (rules, terms, products) = (app.rules(), app.terms(), products.to_vec());
        let gateway = app.gateways.of("test").expect("it is there");
        let act = move |tx: &mut WriteTx| {
            let mut rng = StdRng::seed_from_u64(done as u64);
            for n in done..(done + TOGETHER).min(orders) {
                let Attempt::Begun(id) = pay(tx, buyer, &placing(&products, &mut rng), &*gateway, &rules)?
                else {
                    panic!("a new order begins a payment")
                };
                let payment = till::payments::get(tx, id)?;
                let mut said = Intent::new(format!("bench_{n}"), Status::Succeeded, payment.amount);
                said.captured = payment.amount;
                said.charge = Some(format!("charge_{n}"));
                settle(tx, id, &said, &terms)?;
            }
            Ok::<_, PayError>(())
        };
        app.store.write_now(act).expect("there is stock");
    }
}

/// Buys without pause until told to stop; how long each order took.
async fn buy(app: &Arc<App>, buyer: UserId, products: &[ProductId], stop: &AtomicBool) -> Vec<Duration> {
    let one = |n: usize| async move {
        let mut rng = StdRng::seed_from_u64(n as u64);
        let mut took = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let what = placing(products, &mut rng);
            let (rules, gateway) = (app.rules(), app.gateways.of("test").expect("it is there"));
            let began = Instant::now();
            let placed = app.store.write(move |tx| pay(tx, buyer, &what, &*gateway, &rules)).await;
            placed.expect("there is stock");
            took.push(began.elapsed());
        }
        took
    };
    join_all((0..BUYERS).map(one)).await.concat()
}

fn told(what: &str, mut took: Vec<Duration>, span: Duration) {
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    println!(
        "{what}: {:.0} orders/s, median {:.2} ms, p99 {:.2} ms, longest {:.1} ms",
        took.len() as f64 / span.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

fn megabytes(path: &Path) -> f64 {
    path.metadata().expect("it is there").len() as f64 / 1e6
}

fn back_up(app: &App, to: &Path) -> Header {
    app.store
        .read(|tx| {
            let header = Header::of(tx)?;
            let out = BufWriter::new(File::create(to)?);
            write(tx, &header, out, |_| ControlFlow::Continue(()))?;
            Ok::<_, till::backup::BackupError>(header)
        })
        .expect("it is written")
}

fn main() {
    let orders: usize =
        std::env::var("BENCH_ORDERS").map_or(100_000, |n| n.parse().expect("BENCH_ORDERS is a number"));
    let bench = support::shop(1000);
    let (app, buyer, products) = (Arc::clone(&bench.app), bench.buyer, bench.products.clone());
    let began = Instant::now();
    fill(&app, buyer, &products, orders);
    let data = app.config.data_dir.join(till::app::DATA_FILE);
    println!(
        "{orders} paid orders in {:.1} s: a data file of {:.0} MB",
        began.elapsed().as_secs_f64(),
        megabytes(&data)
    );
    let config: Config = app.config.clone();
    drop((bench.app, app));

    // From here on as it runs: with a writer of its own.
    let app = App::open(Parts::real(config).expect("parts")).expect("it opens");
    let began = Instant::now();
    let mut stages: Vec<(&str, Instant)> = Vec::new();
    let mut tell = |stage: &'static str, _, _| {
        if stages.last().is_none_or(|(last, _)| *last != stage) {
            stages.push((stage, Instant::now()));
        }
        ControlFlow::Continue(())
    };
    let report = till::check::check_all(&app.store, &mut tell).expect("it reads");
    stages.push(("end", Instant::now()));
    for pair in stages.windows(2) {
        println!("    {}: {:.2} s", pair[0].0, (pair[1].1 - pair[0].1).as_secs_f64());
    }
    assert!(report.ok, "{:?}", report.findings.first());
    println!("check of all invariants: {:.1} s", began.elapsed().as_secs_f64());

    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("shop.backup");
    let began = Instant::now();
    let header = back_up(&app, &file);
    println!(
        "backup: {:.1} s, {} rows, {:.0} MB",
        began.elapsed().as_secs_f64(),
        header.rows(),
        megabytes(&file)
    );

    let began = Instant::now();
    let input = BufReader::new(File::open(&file).expect("it is there"));
    let trial = Trial::of_backup(input, dir.path(), &mut |_, _, _| ControlFlow::Continue(())).expect("whole");
    println!("verify, reading it: {:.1} s", began.elapsed().as_secs_f64());
    assert!(trial.check(&mut |_, _, _| ControlFlow::Continue(())).expect("it reads").ok);
    println!("verify, with its check: {:.1} s", began.elapsed().as_secs_f64());
    drop(trial);

    let began = Instant::now();
    let input = BufReader::new(File::open(&file).expect("it is there"));
    let place = dir.path().join("restored");
    let wanted = Place { dir: &place, currency: app.currency(), force: false, now: SystemClock.now() };
    restore(input, &wanted, &mut |_, _, _| ControlFlow::Continue(())).expect("restored");
    println!(
        "restore, with its check: {:.1} s, a data file of {:.0} MB",
        began.elapsed().as_secs_f64(),
        megabytes(&place.join(till::app::DATA_FILE))
    );

    let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("a runtime");
    let span_of = |during: &(dyn Fn() + Sync)| {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let began = Instant::now();
            scope.spawn(|| {
                during();
                stop.store(true, Ordering::Relaxed);
            });
            let took = runtime.block_on(buy(&app, buyer, &products, &stop));
            (took, began.elapsed())
        })
    };
    let (took, span) = span_of(&|| std::thread::sleep(SPAN));
    told(&format!("{BUYERS} buyers"), took, span);
    let (took, span) = span_of(&|| {
        let began = Instant::now();
        while began.elapsed() < SPAN {
            back_up(&app, &file);
        }
    });
    told(&format!("{BUYERS} buyers beside backups without pause"), took, span);
    let compacting = || {
        let began = Instant::now();
        let done = app.store.compact(&mut |_, _, _| ControlFlow::Continue(())).expect("there is room");
        println!(
            "compaction: {:.1} s, {:.0} MB to {:.0} MB; orders waited {} ms for it",
            began.elapsed().as_secs_f64(),
            done.bytes_before as f64 / 1e6,
            done.bytes_after as f64 / 1e6,
            done.paused_ms
        );
    };
    let (took, span) = span_of(&compacting);
    told(&format!("{BUYERS} buyers beside it"), took, span);
}
