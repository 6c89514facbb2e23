//! How much is allowed in how much time, and a memory of who took how much, which has a fixed size.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};

use crate::clock::{Clock, Time};

/// So many in a minute or an hour, such as `300/hour`: they may come all at once, and are given back evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    pub count: NonZeroU32,
    pub per: Per,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    Minute,
    Hour,
}

impl Pace {
    /// Reads `300/hour` or `6000/minute`.
    pub fn parse(text: &str) -> Option<Pace> {
        let (count, per) = text.split_once('/')?;
        let per = match per.trim() {
            "minute" => Per::Minute,
            "hour" => Per::Hour,
            _ => return None,
        };
        let count = count.trim().parse().ok().filter(|count: &NonZeroU32| count.get() <= 1_000_000)?;
        Some(Pace { count, per })
    }

    fn quota(self) -> Quota {
        match self.per {
            Per::Minute => Quota::per_minute(self.count),
            Per::Hour => Quota::per_hour(self.count),
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per {
            Per::Minute => "minute",
            Per::Hour => "hour",
        };
        write!(f, "{}/{per}", self.count)
    }
}

/// What is left of an allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    pub limit: u32,
    pub remaining: u32,
    /// In how many seconds all of it is back.
    pub reset: u64,
}

/// An allowance that each key has for itself.
pub struct Limiter<K: Hash + Eq + Clone> {
    inner: RateLimiter<K, Arrivals<K>, ShopClock, StateInformationMiddleware>,
    slots: Arc<Slots<u64>>,
    quota: Quota,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    /// `slots` may be shared by limiters whose keys differ.
    pub fn new(pace: Pace, slots: Arc<Slots<u64>>, clock: Arc<dyn Clock>) -> Limiter<K> {
        let quota = pace.quota();
        let arrivals = Arrivals { slots: Arc::clone(&slots), key: PhantomData };
        let inner = RateLimiter::new(quota, arrivals, ShopClock(clock));
        Limiter { inner, slots, quota }
    }

    /// Takes one of what `key` is allowed.
    ///
    /// # Errors
    /// How long to wait until one is back.
    pub fn take(&self, key: &K) -> Result<Left, Duration> {
        use governor::clock::Clock as _;
        let left = match self.inner.check_key(key) {
            Ok(left) => left,
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.inner.clock().now());
                if wait <= self.quota.burst_size_replenished_in() {
                    return Err(wait);
                }
                // Nobody waits for longer than that: the machine's clock was put back.
                self.slots.with(key, |known| *known = None);
                self.inner.check_key(key).map_err(|_| wait)?
            }
        };
        let limit = self.quota.burst_size().get();
        let remaining = left.remaining_burst_capacity();
        let reset = self.quota.replenish_interval() * limit.saturating_sub(remaining);
        Ok(Left { limit, remaining, reset: whole_seconds(reset) })
    }
}

/// Rounded up.
pub fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// The shop's clock, as governor asks it.
struct ShopClock(Arc<dyn Clock>);

impl governor::clock::Clock for ShopClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.now().0.max(0).cast_unsigned() * 1_000_000)
    }
}

/// When each key's next request would be due, were they evenly spread: all that governor keeps of a key.
struct Arrivals<K> {
    slots: Arc<Slots<u64>>,
    key: PhantomData<fn(K)>,
}

impl<K: Hash> StateStore for Arrivals<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.slots.with(key, |known| {
            let (done, next) = f(known.map(Nanos::from))?;
            *known = Some(next.as_u64());
            Ok(done)
        })
    }
}

/// How many keys share a lock, and a place: of these the least is forgotten when one more comes.
const WAYS: usize = 8;

/// Remembers a value of each key, of the most recent keys only: its size is fixed, so a flood of keys costs nothing but
/// the memory of others. Values are forgotten in their order, the least first. Which keys share a place is secret, so
/// that nobody can choose whom to displace.
pub struct Slots<V> {
    sets: Box<[Mutex<Set<V>>]>,
    hasher: RandomState,
}

/// Keys' hashes and their values, at most so many as [`WAYS`]: it takes no room before it is needed.
type Set<V> = Vec<(u64, V)>;

impl<V: Copy + Ord> Slots<V> {
    /// Room for about so many keys.
    pub fn new(keys: usize) -> Slots<V> {
        let sets = (0..keys.div_ceil(WAYS)).map(|_| Mutex::default()).collect();
        Slots { sets, hasher: RandomState::new() }
    }

    /// Has `act` look at the value of `key` and change it. No one else sees it meanwhile, so `act` must be quick.
    pub fn with<T>(&self, key: &impl Hash, act: impl FnOnce(&mut Option<V>) -> T) -> T {
        let hash = self.hasher.hash_one(key);
        let mut set = self.set(hash);
        let at = set.iter().position(|(known, _)| *known == hash);
        let mut value = at.map(|at| set[at].1);
        let done = act(&mut value);
        match (at, value) {
            (Some(at), Some(value)) => set[at].1 = value,
            (Some(at), None) => drop(set.swap_remove(at)),
            (None, Some(value)) if set.len() < WAYS => set.push((hash, value)),
            (None, Some(value)) => {
                if let Some(least) = set.iter_mut().min_by_key(|(_, value)| *value) {
                    *least = (hash, value);
                }
            }
            (None, None) => {}
        }
        done
    }

    /// What is remembered of `key`.
    pub fn get(&self, key: &impl Hash) -> Option<V> {
        self.with(key, |known| *known)
    }

    fn set(&self, hash: u64) -> MutexGuard<'_, Set<V>> {
        let at = (hash >> 32) as usize % self.sets.len();
        self.sets[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A count of what happens within an hour that begins with the first of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hourly {
    pub since: Time,
    pub count: u32,
}

impl Hourly {
    const HOUR: Duration = Duration::from_hours(1);

    /// What is counted now; nothing once the hour is over.
    pub fn now(known: Option<Hourly>, now: Time) -> Hourly {
        let is_current = |known: &Hourly| (known.since..known.since.plus(Self::HOUR)).contains(&now);
        known.filter(is_current).unwrap_or(Hourly { since: now, count: 0 })
    }

    /// How long until its hour is over.
    pub fn rest(self, now: Time) -> Duration {
        let rest = self.since.plus(Self::HOUR).0 - now.0;
        Duration::from_millis(rest.max(0).cast_unsigned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn limiter(pace: &str) -> (Limiter<u32>, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Time(1_795_392_000_000)));
        let slots = Arc::new(Slots::new(1024));
        let pace = Pace::parse(pace).expect("a pace");
        (Limiter::new(pace, slots, Arc::clone(&clock) as Arc<dyn Clock>), clock)
    }

    #[test]
    fn an_allowance_may_be_taken_at_once_and_comes_back_evenly() {
        let (limiter, clock) = limiter("3/minute");
        for remaining in [2, 1, 0] {
            let left = limiter.take(&1).expect("it is allowed");
            assert_eq!(
                (left.limit, left.remaining, left.reset),
                (3, remaining, 60 - u64::from(remaining) * 20)
            );
        }
        assert_eq!(limiter.take(&1), Err(Duration::from_secs(20)));
        assert!(limiter.take(&2).is_ok(), "each key has its own");
        clock.advance(Duration::from_secs(20));
        assert!(limiter.take(&1).is_ok());
        assert!(limiter.take(&1).is_err());
    }

    #[test]
    fn a_clock_that_is_put_back_locks_nobody_out() {
        // What a limiter remembers that ran while the clock was a day ahead.
        let earlier: Arc<dyn Clock> = Arc::new(ManualClock::at(Time(1_795_392_000_000)));
        let slots = Arc::new(Slots::new(8));
        slots.with(&1_u32, |known| *known = Some(24 * 3600 * 1_000_000_000));
        let limiter: Limiter<u32> = Limiter::new(Pace::parse("1/minute").expect("a pace"), slots, earlier);
        assert!(limiter.take(&1).is_ok());
        assert!(limiter.take(&1).is_err());
    }

    #[test]
    fn a_flood_of_keys_displaces_the_least_and_takes_no_more_room() {
        let slots = Slots::new(64);
        slots.with(&"dear", |known| *known = Some(u64::MAX));
        for key in 0..10_000_u64 {
            slots.with(&key, |known| *known = Some(key));
        }
        assert_eq!(slots.get(&"dear"), Some(u64::MAX));
        let kept = (0..10_000_u64).filter(|key| slots.get(key).is_some()).count();
        assert_eq!(kept, 63);
        slots.with(&"dear", |known| *known = None);
        assert_eq!(slots.get(&"dear"), None);
    }
}
