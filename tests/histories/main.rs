//! Histories of a shop: see `mod.rs`.
//!
//! `SIM_SEED=123 cargo test --test histories -- --nocapture` replays one history and prints what happens in it;
//! `SIM_HISTORIES=100000` runs that many. `cargo run --release --example simulate -- --for 10m` runs on.

#[path = "mod.rs"]
mod histories;
#[path = "../support/mod.rs"]
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Instant;

use histories::{Tally, Template, World, history, log, purchase, try_history};

/// How many histories a test run has.
const HISTORIES: u64 = 2_000;
/// Where the seeds begin.
const FIRST: u64 = 1;
/// Of the writes of a purchase, the power fails under each so manyth.
const STRIDE: u64 = 5;

static TEMPLATE: LazyLock<Template> = LazyLock::new(Template::new);

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn the_books_are_the_gateways_books_whatever_happens() {
    if let Some(seed) = from_env("SIM_SEED") {
        log();
        history(&TEMPLATE, seed, true);
        return;
    }
    let histories = from_env("SIM_HISTORIES").unwrap_or(HISTORIES);
    LazyLock::force(&TEMPLATE);
    let had = Mutex::new(Tally::default());
    let (next, done) = (AtomicU64::new(FIRST), AtomicU64::new(0));
    let started = Instant::now();
    // Each history is on one thread; several of them run beside each other.
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= FIRST + histories {
                        break;
                    }
                    let Some(lived) = try_history(&TEMPLATE, seed) else {
                        next.store(u64::MAX / 2, Ordering::Relaxed);
                        panic!("history {seed} failed; replay it: SIM_SEED={seed} cargo test --test histories -- --nocapture books");
                    };
                    *had.lock().expect("nobody panics with it") += lived.tally;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let (done, seconds) = (done.into_inner(), started.elapsed().as_secs_f64());
    let had = had.into_inner().expect("nobody panics with it");
    println!("{done} histories in {seconds:.1} s, seeds from {FIRST}: {}", had.said());
    assert_eq!(done, histories);
    // Hostile they were.
    if histories >= HISTORIES {
        assert!(had.figures().iter().all(|(n, _)| *n > 0), "{}", had.said());
    }
}

/// An accident of every kind, one after the other, until a purchase is over before it happens.
fn each(name: &str, first: u64, stride: u64, run: impl Fn(u64) -> u64) {
    let (mut at, mut of) = (first, first);
    while at <= of {
        let lived = catch_unwind(AssertUnwindSafe(|| run(at)));
        assert!(lived.is_ok(), "{name} {at} did harm; SIM_{name}={at} shows it");
        of = lived.unwrap_or_default();
        at += stride;
    }
    println!("{name} to {of}, each {stride}th");
    assert!(of > 50, "there were some");
}

#[test]
fn a_crash_after_every_step_of_a_purchase_loses_nothing() {
    each("STEP", 1, 1, |at| {
        purchase(&TEMPLATE, from_env("SIM_STEP") == Some(at), |world: &mut World| world.crash_at = Some(at)).0
    });
}

#[test]
fn a_power_cut_under_a_write_of_a_purchase_loses_nothing() {
    each("WRITE", 1, STRIDE, |at| {
        purchase(&TEMPLATE, from_env("SIM_WRITE") == Some(at), |world: &mut World| {
            world.disk.light(at as u32);
        })
        .1
    });
}

#[test]
fn the_same_seed_is_the_same_history() {
    for seed in 1..16 {
        let [once, again] = [(); 2].map(|()| history(&TEMPLATE, seed, false).trace);
        let differs = once.iter().zip(&again).find(|(once, again)| once != again);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(once.len(), again.len(), "seed {seed}");
    }
}
