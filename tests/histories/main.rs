//! Seeded histories of a shop and two hostile gateways, on one thread, with a given clock: answers that are lost
//! before and after the effect, requests that arrive after every timeout, failures that are stored under idempotency
//! keys, events that come never, once or five times and in any order, money that comes after a cancellation, amounts
//! that are not the order's, and a shop that is dropped anywhere between two steps and opened again from its disk.
//!
//! Whatever happens in between, in the end the shop's books are the gateways' books, to the last cent, and
//! `till check` is clean.
//!
//! `SIM_SEED=123 cargo test --test histories -- --nocapture` replays one history and prints what happens in it;
//! `SIM_HISTORIES=100000` runs that many.

mod act;
mod audit;
mod disk;
mod net;
#[path = "../support/mod.rs"]
mod support;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use world::{Template, World};

/// How many histories a test run has.
const HISTORIES: u64 = 2_000;
/// Where the seeds begin.
const FIRST: u64 = 1;

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// One history from its seed; what happened in it.
fn history(template: &Template, seed: u64, aloud: bool) -> Vec<String> {
    let mut world = World::new(template, seed, aloud);
    world.live();
    world.come_to_rest();
    audit::audit(&world);
    world.trace
}

/// What many histories had in them.
#[derive(Default)]
struct Had([AtomicU64; 6]);

impl Had {
    const WORDS: [(&'static str, &'static str); 6] = [
        ("requests", "-> "),
        ("crashes", "crash, "),
        ("events", "(event)"),
        ("timeouts", " 504 "),
        ("acts at a gateway's dashboard", "dashboard: "),
        ("acts that no gateway does", " is cancelled no more"),
    ];

    fn count(&self, trace: &[String]) {
        for ((_, word), count) in Had::WORDS.iter().zip(&self.0) {
            let found = trace.iter().filter(|line| line.contains(word)).count();
            count.fetch_add(found as u64, Ordering::Relaxed);
        }
    }

    fn said(&self) -> String {
        let counts = Had::WORDS.iter().zip(&self.0);
        let said: Vec<_> =
            counts.map(|((name, _), n)| format!("{} {name}", n.load(Ordering::Relaxed))).collect();
        said.join(", ")
    }
}

#[test]
fn the_books_are_the_gateways_books_whatever_happens() {
    let template = Template::new();
    if let Some(seed) = from_env("SIM_SEED") {
        // The shop's log, too, among what happens.
        let log = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG);
        log.with_target(false).without_time().init();
        history(&template, seed, true);
        return;
    }
    let histories = from_env("SIM_HISTORIES").unwrap_or(HISTORIES);
    let had = Had::default();
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
                    let lived = catch_unwind(AssertUnwindSafe(|| history(&template, seed, false)));
                    if let Ok(trace) = &lived {
                        had.count(trace);
                    } else {
                        next.store(u64::MAX / 2, Ordering::Relaxed);
                        panic!("history {seed} failed; replay it: SIM_SEED={seed} cargo test --test histories -- --nocapture");
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let (done, seconds) = (done.into_inner(), started.elapsed().as_secs_f64());
    println!("{done} histories in {seconds:.1} s, seeds from {FIRST}: {}", had.said());
    assert_eq!(done, histories);
    // Hostile they were.
    if histories >= HISTORIES {
        assert!(had.0.iter().all(|count| count.load(Ordering::Relaxed) > 0), "{}", had.said());
    }
}

/// A purchase with Stripe and one with PayPal, a refund and a cancellation, with gateways that behave; the shop is
/// dropped after each of its steps in turn.
#[test]
fn a_crash_after_every_step_of_a_purchase_loses_nothing() {
    let template = Template::new();
    let (mut at, mut steps) = (0, 1);
    while at < steps {
        at += 1;
        let lived = catch_unwind(AssertUnwindSafe(|| {
            let mut world = World::new(&template, 1, from_env("SIM_STEP") == Some(at));
            world.net.gateways().hostile = false;
            world.crash_at = Some(at);
            world.two_purchases();
            let steps = world.steps();
            world.come_to_rest();
            audit::audit(&world);
            steps
        }));
        assert!(lived.is_ok(), "a crash after step {at} did harm; SIM_STEP={at} shows it");
        steps = lived.unwrap_or_default();
    }
    println!("crashed after each of {steps} steps");
    assert!(steps > 50, "there were steps to crash after");
}

#[test]
fn the_same_seed_is_the_same_history() {
    let template = Template::new();
    for seed in 1..6 {
        assert_eq!(history(&template, seed, false), history(&template, seed, false), "seed {seed}");
    }
}
