//! How often the same fault is told: once a minute, and then how often it was not.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

/// How long a fault that was told is not told again.
const AGAIN: Duration = Duration::from_mins(1);
/// How many kinds of fault are told apart within that time; further ones are not told.
const KINDS: usize = 200;

/// The faults that were told lately, by fingerprint.
#[derive(Default)]
pub struct Told(HashMap<String, Last>);

struct Last {
    at: Instant,
    /// How often it was not told since.
    untold: u64,
}

impl Told {
    /// Whether a fault that happens now is to be told: how often it was not since it was told the last time.
    pub fn is_due(&mut self, fingerprint: &str, now: Instant) -> Option<u64> {
        let is_recent = |last: &Last| now.duration_since(last.at) < AGAIN;
        if self.0.len() >= KINDS && !self.0.contains_key(fingerprint) {
            self.0.retain(|_, last| is_recent(last));
            if self.0.len() >= KINDS {
                return None;
            }
        }
        match self.0.entry(fingerprint.to_owned()) {
            Entry::Vacant(entry) => {
                entry.insert(Last { at: now, untold: 0 });
                Some(0)
            }
            Entry::Occupied(mut entry) if is_recent(entry.get()) => {
                entry.get_mut().untold += 1;
                None
            }
            Entry::Occupied(mut entry) => Some(entry.insert(Last { at: now, untold: 0 }).untold),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_once_a_minute_with_how_often_it_was_not() {
        let (mut told, began) = (Told::default(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        let due: Vec<_> = [0, 1, 59, 60, 119, 120, 300].map(|s| told.is_due("disk", at(s))).into();
        assert_eq!(due, [Some(0), None, None, Some(2), None, Some(1), Some(0)]);
        assert_eq!(told.is_due("mail", at(300)), Some(0));
    }

    #[test]
    fn a_flood_of_different_faults_is_bounded_and_passes() {
        let (mut told, began) = (Told::default(), Instant::now());
        let at = |second: u64| began + Duration::from_secs(second);
        let count = (0..1000).filter(|n| told.is_due(&format!("fault {n}"), at(0)).is_some()).count();
        assert_eq!(count, KINDS);
        assert_eq!((told.is_due("new", at(59)), told.is_due("new", at(60))), (None, Some(0)));
    }
}
