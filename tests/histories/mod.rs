//! Seeded histories of a shop, its customers, two hostile gateways and a bad disk, on one thread, with a given clock:
//! answers that are lost before and after the effect, requests that arrive after every timeout, failures that are stored
//! under idempotency keys, events that come never, once or five times and in any order, money that comes after a
//! cancellation, amounts that are not the order's; stock that runs out under several buyers, imports that are cut short;
//! a mail server that is down, says no, and takes mails without a word;
//! a process that is killed between two steps, and power that fails under any write; a data file that is compacted, and
//! backups that are made, while all of this goes on.
//!
//! Whenever the shop is opened again, or its file is another, every answered write is there, nothing was sold that was not there, and
//! `till check` is clean. In the end the shop's books are the gateways' books, to the last cent.

// The tests and the example each use a part of it.
#![allow(dead_code)]

mod act;
mod audit;
mod disk;
mod file;
mod mirror;
mod net;
mod post;
mod shop;
mod tally;
mod trade;
mod upkeep;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use shop::Template;
pub use tally::Tally;
pub use world::World;

/// Of so many histories, the last backup of one is unpacked.
const PROVEN: u64 = 10;

/// What happened in a history.
#[derive(Debug)]
pub struct Lived {
    pub trace: Vec<String>,
    pub tally: Tally,
}

/// One history from its seed.
pub fn history(template: &Template, seed: u64, aloud: bool) -> Lived {
    let mut world = World::new(template, seed, aloud);
    world.live();
    world.come_to_rest();
    audit::audit(&mut world);
    if seed.is_multiple_of(PROVEN) {
        world.prove_backup();
    }
    Lived { trace: world.trace, tally: world.tally }
}

/// [`history`], for whoever goes on after one that failed.
pub fn try_history(template: &Template, seed: u64) -> Option<Lived> {
    catch_unwind(AssertUnwindSafe(|| history(template, seed, false))).ok()
}

/// A purchase with Stripe and one with PayPal, a refund and a cancellation, with gateways that behave; `accident` happens
/// to the world before. How many steps and disk operations it took.
pub fn purchase(template: &Template, aloud: bool, accident: impl FnOnce(&mut World)) -> (u64, u64) {
    let mut world = World::new(template, 1, aloud);
    world.net.gateways().hostile = false;
    world.post.of().hostile = false;
    world.is_rough = false;
    world.disk.calm(true);
    accident(&mut world);
    world.two_purchases();
    let took = (world.steps(), world.disk.doings().operations);
    world.come_to_rest();
    audit::audit(&mut world);
    took
}

/// The shop's log, too, among what happens in a history that is replayed aloud.
pub fn log() {
    let log = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG);
    log.with_target(false).without_time().init();
}
