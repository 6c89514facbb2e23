//! How long a further try at a password has to wait, after wrong ones. What is tried from where its owner has logged in
//! before is counted apart from what strangers try, so that nobody can lock out the owner, who can also choose another
//! password by mail. Addresses that have no account are counted like all others: waiting tells nothing.
//!
//! The counts are kept in memory: a restart gives a guesser a few tries more.

use std::time::Duration;

use super::known::is_known;
use super::model::User;
use super::ops;
use super::password::Compared;
use crate::clock::Time;
use crate::config::Config;
use crate::http::{ApiError, Net, Req, rate_limited};
use crate::id::UserId;
use crate::pace::Slots;

/// How many accounts are remembered.
const ACCOUNTS: usize = 1 << 15;
/// The first wait, which doubles with each wrong password.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// The longest, for strangers, and for whoever is where the owner has been.
const LONGEST_WAIT: Duration = Duration::from_mins(15);
const LONGEST_WAIT_AT_HOME: Duration = Duration::from_mins(1);
/// After so much quiet all is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(24);

/// The wrong passwords that were tried for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wrong {
    /// When the next may be tried.
    again_at: Time,
    count: u32,
}

/// The tries at all accounts' passwords.
pub struct Guesses {
    /// How many may be wrong before there is any waiting; none: there never is.
    free: Option<u32>,
    wrong: Slots<Wrong>,
}

impl Guesses {
    pub fn new(config: &Config) -> Guesses {
        let free = config.limits_enabled.then_some(config.limits_wrong_passwords.0 as u32);
        Guesses { free, wrong: Slots::new(ACCOUNTS) }
    }

    /// Counts a try as wrong until it is known to be right, so that many at once are no way around. `home`: where the
    /// owner has been, if it is tried from there.
    ///
    /// Returns what was known before.
    ///
    /// # Errors
    /// How long to wait.
    fn begin(&self, email: &str, home: Option<Net>, now: Time) -> Result<Option<Wrong>, Duration> {
        let Some(free) = self.free else { return Ok(None) };
        let longest = if home.is_some() { LONGEST_WAIT_AT_HOME } else { LONGEST_WAIT };
        self.wrong.with(&(email, home), |known| {
            let next = after(*known, free, longest, now)?;
            Ok(known.replace(next))
        })
    }

    /// Whoever chose a new password by mail begins anew, from there and from everywhere.
    pub(super) fn forget(&self, email: &str, net: Option<Net>) {
        for home in [None, net] {
            self.is_now(email, home, None);
        }
    }

    /// The last try was right; or there was none, and what was known before it holds.
    fn is_now(&self, email: &str, home: Option<Net>, wrong: Option<Wrong>) {
        self.wrong.with(&(email, home), |known| *known = wrong);
    }
}

/// What one more wrong password comes to.
///
/// # Errors
/// How long to wait before it may be tried.
fn after(known: Option<Wrong>, free: u32, longest: Duration, now: Time) -> Result<Wrong, Duration> {
    let known = known.filter(|wrong| now < wrong.again_at.plus(FORGOTTEN_AFTER));
    let count = known.map_or(0, |wrong| wrong.count).saturating_add(1);
    if let Some(wrong) = known.filter(|wrong| wrong.again_at > now) {
        let wait = Duration::from_millis((wrong.again_at.0 - now.0).cast_unsigned());
        // One that is longer than any was begun before the machine's clock was put back.
        if wait <= longest {
            return Err(wait);
        }
    }
    let wait = match count.checked_sub(free) {
        None => Duration::ZERO,
        Some(beyond) => FIRST_WAIT.saturating_mul(1 << beyond.min(16)).min(longest),
    };
    Ok(Wrong { again_at: now.plus(wait), count })
}

impl Req {
    /// Whether `password` is that of whoever has this address, `known`; without one the same work is done for nothing.
    ///
    /// # Errors
    /// 429 `rate_limited` after too many wrong ones; 503 while too many are compared.
    pub async fn is_password(
        &self,
        email: &str,
        known: Option<(UserId, &User)>,
        password: String,
    ) -> Result<Compared, ApiError> {
        let net = self.net();
        let home = match (known, net) {
            (Some((id, _)), Some(net)) => {
                self.app.store.read(|tx| is_known(tx, &self.app.keys, id, net))?.then_some(net)
            }
            _ => None,
        };
        let guesses = &self.app.guesses;
        let before = match net {
            Some(_) => guesses.begin(email, home, self.now()).map_err(rate_limited)?,
            None => None,
        };
        let hash = known.map(|(_, user)| user.password_hash.clone());
        let compared = self.app.passwords.compare(password, hash).await;
        let compared = compared.inspect_err(|_| guesses.is_now(email, home, before))?;
        if compared.is_right {
            guesses.is_now(email, home, None);
        }
        Ok(compared)
    }

    /// [`Req::is_password`] of a user who is logged in.
    pub async fn is_own_password(&self, id: UserId, password: String) -> Result<(bool, User), ApiError> {
        let user = self.app.store.read(|tx| ops::get(tx, id))?;
        Ok((self.is_password(user.email.as_str(), Some((id, &user)), password).await?.is_right, user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_longest_and_are_forgotten_after_a_day() {
        let mut now = Time(1_795_392_000_000);
        let (mut wrong, mut waits) = (None, Vec::new());
        for _ in 0..16 {
            let next = after(wrong, 5, LONGEST_WAIT, now).expect("it has waited");
            waits.push((next.again_at.0 - now.0) / 1000);
            if next.again_at > now {
                let early = Time(next.again_at.0 - 1);
                assert_eq!(after(Some(next), 5, LONGEST_WAIT, early), Err(Duration::from_millis(1)));
            }
            (wrong, now) = (Some(next), next.again_at);
        }
        assert_eq!(waits, [0, 0, 0, 0, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        let later = now.plus(FORGOTTEN_AFTER);
        assert_eq!(after(wrong, 5, LONGEST_WAIT, later), Ok(Wrong { again_at: later, count: 1 }));
        let before = now.minus(Duration::from_hours(48));
        assert!(after(wrong, 5, LONGEST_WAIT, before).is_ok(), "the clock was put back");
    }
}
