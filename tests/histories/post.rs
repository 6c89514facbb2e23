//! A mail server that is down, busy, says no, dies, and takes what it never says it took; and what it remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use till::id::MailId;
use till::mail::{Connection, Letter, Transport, Undelivered};
use till::outbox::{self, State};

use super::net::wait;
use super::world::World;

/// What a mail server knows.
pub struct Known {
    /// How often it took a letter, by message id; all but the last of them it may have had to take again.
    pub taken: BTreeMap<String, u64>,
    /// Letters that it said yes to, and that the shop has not been cut short after.
    answered: BTreeSet<String>,
    /// Letters that it refused for good.
    refused: BTreeSet<String>,
    /// How many it took more than once.
    pub again: u64,
    pub hostile: bool,
    rng: StdRng,
}

/// The mail server's side of a history.
#[derive(Clone)]
pub struct Post(Arc<Mutex<Known>>);

/// What becomes of a letter.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Taken,
    Busy,
    Refused,
    /// It is taken, and the line breaks before the answer.
    Unheard,
    /// The line breaks before anything.
    Broken,
}

impl Post {
    pub fn new(seed: u64) -> Post {
        Post(Arc::new(Mutex::new(Known {
            taken: BTreeMap::new(),
            answered: BTreeSet::new(),
            refused: BTreeSet::new(),
            again: 0,
            hostile: true,
            rng: StdRng::seed_from_u64(seed ^ 0x706f_7374),
        })))
    }

    pub fn of(&self) -> MutexGuard<'_, Known> {
        self.0.lock().expect("nobody panics with it")
    }

    /// The shop was cut short: it may not know of what it was told last.
    pub fn shop_was_cut_short(&self) {
        self.of().answered.clear();
    }
}

#[async_trait]
impl Transport for Post {
    async fn connect(&self) -> Result<Box<dyn Connection>, String> {
        let (is_down, times) = {
            let mut own = self.of();
            (own.hostile && own.rng.random_ratio(1, 6), own.rng.random_range(0..3))
        };
        wait(times).await;
        if is_down { Err("connection refused".into()) } else { Ok(Box::new(Line(self.clone(), true))) }
    }
}

struct Line(Post, bool);

#[async_trait]
impl Connection for Line {
    async fn send(&mut self, letter: &Letter) -> Result<String, Undelivered> {
        let (fate, times) = {
            let mut own = self.0.of();
            let fate = match own.rng.random_range(0..100) {
                _ if !own.hostile => Fate::Taken,
                0..8 => Fate::Busy,
                8..10 => Fate::Refused,
                10..18 => Fate::Unheard,
                18..24 => Fate::Broken,
                _ => Fate::Taken,
            };
            (fate, own.rng.random_range(0..3))
        };
        wait(times).await;
        {
            let mut own = self.0.of();
            let id = &letter.message_id;
            assert!(!own.answered.contains(id), "{id} was taken already, and the shop was told so");
            if matches!(fate, Fate::Taken | Fate::Unheard) {
                let times = own.taken.entry(id.clone()).or_default();
                *times += 1;
                let is_again = *times > 1;
                own.again += u64::from(is_again);
            }
            match fate {
                Fate::Taken => drop(own.answered.insert(id.clone())),
                Fate::Refused => drop(own.refused.insert(id.clone())),
                Fate::Busy | Fate::Unheard | Fate::Broken => {}
            }
        }
        wait(times).await;
        self.1 = !matches!(fate, Fate::Unheard | Fate::Broken);
        match fate {
            Fate::Taken => Ok("taken".into()),
            Fate::Refused => Err(Undelivered::Refused("no such mailbox".into())),
            _ => Err(Undelivered::Later("not now".into())),
        }
    }

    fn is_open(&self) -> bool {
        self.1
    }

    async fn close(&mut self) {}
}

/// Whether no mail waits.
pub fn is_at_rest(world: &World) -> bool {
    world.app().store.read(|tx| outbox::count(tx, State::Waiting, 1)).expect("readable") == 0
}

/// What the outbox says became of each mail is what the mail server knows. That each cause has its mail, the check
/// says.
pub fn holds(world: &World) {
    let own = world.post.of();
    let number = |id: &str| id.trim_start_matches('<').split('.').next().and_then(|id| id.parse().ok());
    let taken: BTreeSet<u64> = own.taken.keys().filter_map(|id| number(id)).collect();
    let refused: BTreeSet<u64> = own.refused.iter().filter_map(|id| number(id)).collect();
    let page = |number| till::page::Page { number, size: 100 };
    let mut seen = 0;
    for at in 1.. {
        let some = world.app().store.read(|tx| outbox::page(tx, None, page(at))).expect("readable");
        for (MailId(id), mail) in &some.items {
            seen += 1;
            match mail.state {
                State::Sent => assert!(taken.contains(id), "mail {id} is said to be sent, and nobody has it"),
                State::GivenUp => {
                    let is_old = mail.at >= mail.created_at.plus(Duration::from_hours(72));
                    assert!(refused.contains(id) || is_old, "mail {id} was given up, and nobody refused it");
                }
                State::Cancelled | State::Waiting => {}
            }
        }
        if seen >= some.count {
            break;
        }
    }
}
