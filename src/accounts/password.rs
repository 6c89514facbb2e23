//! Passwords: what one must be, and hashing in a pool of its own, off the async threads.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use rand::RngExt;
use rand::distr::{Alphanumeric, SampleString};
use rand::rngs::StdRng;
use tokio::sync::Semaphore;

/// Those that everybody tries first, in lower case.
const COMMONEST: &str = include_str!("commonest_passwords.txt");

/// Characters a password may have.
pub const LENGTH: std::ops::RangeInclusive<usize> = 8..=128;
/// Hashes that may wait for a place; a flood beyond them is turned away.
const MOST_WAITING: usize = 256;

/// Refuses a password that is too short, too long or among the commonest.
pub fn acceptable(password: &str) -> Result<String, String> {
    if !LENGTH.contains(&password.chars().count()) {
        return Err(format!("must have {} to {} characters", LENGTH.start(), LENGTH.end()));
    }
    let lower = password.to_lowercase();
    if COMMONEST.lines().any(|common| common == lower) {
        return Err("is one of the commonest passwords; choose another".into());
    }
    Ok(password.to_owned())
}

/// A password nobody will guess, for accounts that are made for somebody.
pub fn random_password() -> String {
    let mut rng: StdRng = rand::make_rng();
    Alphanumeric.sample_string(&mut rng, 20)
}

/// Hashes and compares passwords with argon2id (19 MiB, t = 2, p = 1), on at most half of the cores.
#[derive(Clone)]
pub struct Passwords {
    places: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// What an unknown address' password is compared with, so that it takes as long as any other.
    nobody: Arc<str>,
}

/// The pool is full: too many logins at once.
#[derive(Debug)]
pub struct Busy;

fn argon() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).expect("fixed and in range");
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

impl Default for Passwords {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Passwords {
            places: Arc::new(Semaphore::new((cores / 2).max(1))),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            nobody: NOBODY.into(),
        }
    }
}

/// The hash of a random password that nobody knows.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$1Gz3rFkHfV2cZ1ZbGwq1cQY3xYpZp3wZr0b8kq1d9dE";

impl Passwords {
    async fn in_pool<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| Busy)?;
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Busy)?;
        // The work keeps its place to its end, also when whoever asked has hung up.
        let held = move || {
            let done = work();
            drop((waiting, place));
            done
        };
        tokio::task::spawn_blocking(held).await.map_err(|_| Busy)
    }

    pub async fn hash(&self, password: String) -> Result<String, Busy> {
        self.in_pool(move || hash(&password)).await
    }

    /// Whether `password` is the one of `known`; without one the same work is done for nothing.
    pub async fn matches(&self, password: String, known: Option<String>) -> Result<bool, Busy> {
        let nobody = Arc::clone(&self.nobody);
        self.in_pool(move || match known {
            Some(hash) => matches(&password, &hash),
            None => {
                std::hint::black_box(matches(&password, &nobody));
                false
            }
        })
        .await
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
