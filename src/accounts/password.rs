//! Passwords: what one must be, and hashing in a pool of its own, off the async threads.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use rand::RngExt;
use rand::distr::{Alphanumeric, SampleString};
use rand::rngs::StdRng;
use tokio::sync::Semaphore;

use crate::telemetry::aside;
use crate::telemetry::trace::{self, Kind};

/// Those that everybody tries first, in lower case: of the 20,000 that Royce Williams counted in leaks
/// (gist.github.com/roycewilliams/226886fd01572964e1431ac8afc999ce, as Django has it), those of 8 characters and more.
static COMMONEST: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("commonest_passwords.txt").lines().collect());

/// Characters a password may have.
pub const LENGTH: std::ops::RangeInclusive<usize> = 8..=128;
/// Hashes that may wait for a place; a flood beyond them is turned away.
const MOST_WAITING: usize = 256;

/// Refuses a password that is too short, too long or among the commonest.
pub fn acceptable(password: &str) -> Result<String, String> {
    if !LENGTH.contains(&password.chars().count()) {
        return Err(format!("must have {} to {} characters", LENGTH.start(), LENGTH.end()));
    }
    if COMMONEST.contains(password.to_lowercase().as_str()) {
        return Err("is one of the commonest passwords; choose another".into());
    }
    Ok(password.to_owned())
}

/// A password nobody will guess, for accounts that are made for somebody.
pub fn random_password() -> String {
    let mut rng: StdRng = rand::make_rng();
    Alphanumeric.sample_string(&mut rng, 20)
}

/// How much work a hash is (OWASP's advice of 2023): KiB of memory, passes over them, lanes. Whoever raises them makes
/// [`NOBODY`] anew; the hashes of those who have an account are made anew as they log in.
const WORK: (u32, u32, u32) = (19 * 1024, 2, 1);

/// Hashes and compares passwords with argon2id, on at most half of the cores.
#[derive(Clone)]
pub struct Passwords {
    /// How many are computed at a time.
    most: usize,
    places: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// What an unknown address' password is compared with, so that it takes as long as any other.
    nobody: Arc<str>,
    /// How many hashes were computed.
    computed: Arc<AtomicU64>,
}

/// How full the pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    pub computing: usize,
    pub waiting: usize,
}

/// What comparing a password came to.
pub struct Compared {
    pub is_right: bool,
    /// What to keep in the place of a known hash that is less work than they are now.
    pub stronger: Option<String>,
}

/// The pool is full: too many logins at once.
#[derive(Debug)]
pub struct Busy;

fn argon() -> Argon2<'static> {
    let (memory, passes, lanes) = WORK;
    let params = Params::new(memory, passes, lanes, None).expect("fixed and in range");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &str) -> String {
    let salt: [u8; 16] = rand::make_rng::<StdRng>().random();
    let hash: PasswordHash =
        argon().hash_password_with_salt(password.as_bytes(), &salt).expect("the salt has the right length");
    hash.to_string()
}

fn matches(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| argon().verify_password(password.as_bytes(), &hash).is_ok())
}

/// Whether a hash is less work than [`WORK`].
fn is_weak(hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    let less = |params: Params| params.m_cost() < WORK.0 || params.t_cost() < WORK.1;
    hash.algorithm.as_str() != "argon2id" || Params::try_from(&hash).is_ok_and(less)
}

impl Default for Passwords {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let most = (cores / 2).max(1);
        Passwords {
            most,
            places: Arc::new(Semaphore::new(most)),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            nobody: NOBODY.into(),
            computed: Arc::default(),
        }
    }
}

/// The hash of a random password that nobody knows.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$1Gz3rFkHfV2cZ1ZbGwq1cQY3xYpZp3wZr0b8kq1d9dE";

impl Passwords {
    async fn in_pool<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| Busy)?;
        let span = trace::child("password", Kind::Internal);
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Busy)?;
        // The work keeps its place to its end, also when whoever asked has hung up.
        let held = move || {
            let done = work();
            drop((waiting, place));
            done
        };
        let done = aside(held).await.map_err(|_| Busy);
        if let Some(span) = span {
            span.end();
        }
        done
    }

    pub async fn hash(&self, password: String) -> Result<String, Busy> {
        self.computed.fetch_add(1, Ordering::Relaxed);
        self.in_pool(move || hash(&password)).await
    }

    /// Whether `password` is the one of `known`; without one the same work is done for nothing. Beside a hash that is
    /// less work the one that is to take its place is made, whether the password is right or not: how long it takes
    /// must not tell who has an account.
    pub async fn compare(&self, password: String, known: Option<String>) -> Result<Compared, Busy> {
        let nobody = Arc::clone(&self.nobody);
        let known_is_weak = known.as_deref().is_some_and(is_weak);
        self.computed.fetch_add(1 + u64::from(known_is_weak), Ordering::Relaxed);
        self.in_pool(move || {
            let found = matches(&password, known.as_deref().unwrap_or(&nobody));
            let stronger = known_is_weak.then(|| hash(&password));
            let is_right = found && known.is_some();
            Compared { is_right, stronger: stronger.filter(|_| is_right) }
        })
        .await
    }

    /// How many are in the pool just now: being computed, and waiting for a place.
    pub fn load(&self) -> Load {
        let taken = MOST_WAITING - self.waiting.available_permits();
        let computing = taken.min(self.most - self.places.available_permits());
        Load { computing, waiting: taken - computing }
    }

    /// How many hashes were computed since the process started: figures of the load, and of whether all logins are the
    /// same work.
    pub fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    /// [`Passwords::hash`] on this thread.
    pub fn hash_now(password: &str) -> String {
        hash(password)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commonest_and_the_shortest_are_refused() {
        for bad in ["short", "password", "Password1", "QWERTY123", "12345678", &"x".repeat(129)] {
            assert!(acceptable(bad).is_err(), "{bad}");
        }
        assert!(acceptable("correct horse").is_ok());
    }

    #[test]
    fn the_commonest_are_many_and_could_be_chosen() {
        assert!(COMMONEST.len() > 5000, "{}", COMMONEST.len());
        for common in &*COMMONEST {
            assert!(
                LENGTH.contains(&common.chars().count()) && **common == common.to_lowercase(),
                "{common}"
            );
        }
    }

    #[tokio::test]
    async fn a_hash_of_less_work_gives_way_to_a_stronger_one() {
        let weak =
            Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).expect("in range"));
        let weak: PasswordHash = weak.hash_password_with_salt(b"correct horse", &[7; 16]).expect("hashed");
        let passwords = Passwords::default();
        let compare = async |password: &str, hash: &str| {
            passwords.compare(password.to_owned(), Some(hash.to_owned())).await.expect("there is room")
        };
        let stronger = compare("correct horse", &weak.to_string()).await.stronger.expect("it was weak");
        let again = compare("correct horse", &stronger).await;
        assert!(again.is_right && again.stronger.is_none());
        let wrong = compare("correct house", &weak.to_string()).await;
        assert!(!wrong.is_right && wrong.stronger.is_none());
    }

    #[test]
    fn a_hash_knows_its_password() {
        let known = hash("correct horse");
        assert!(known.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(matches("correct horse", &known));
        assert!(!matches("correct house", &known));
    }

    #[test]
    fn the_hash_of_nobody_takes_the_same_work() {
        let nobody = PasswordHash::new(NOBODY).expect("a good hash");
        assert_eq!(nobody.params, PasswordHash::new(&hash("x")).expect("a good hash").params);
    }
}
