//! When a mail is tried again.

use std::time::Duration;

/// The first pause after a try in vain; each is twice as long as the one before.
const FIRST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_hours(6);
/// How long a mail is worth sending.
pub const GIVEN_UP_AFTER: Duration = Duration::from_hours(72);

/// How long to wait after so many tries in vain; `None` when there is to be no other.
pub fn pause(tries: u32) -> Option<Duration> {
    let after = |n: u32| FIRST.saturating_mul(1 << n.min(16)).min(LONGEST);
    let waited: Duration = (0..tries.saturating_sub(1)).map(after).sum();
    (waited < GIVEN_UP_AFTER).then(|| after(tries.saturating_sub(1)))
}

/// How long a server is left alone that could not be reached so many times in a row.
pub fn server_pause(failures: u32) -> Duration {
    Duration::from_secs(5).saturating_mul(1 << failures.saturating_sub(1).min(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end_after_three_days() {
        let all: Vec<_> = (1..).map_while(pause).collect();
        assert_eq!(all[..4], [1, 2, 4, 8].map(|minutes| FIRST * minutes));
        assert_eq!((all.last(), all.len()), (Some(&LONGEST), 20));
        let whole: Duration = all.iter().sum();
        assert!(whole >= GIVEN_UP_AFTER && whole < GIVEN_UP_AFTER + LONGEST * 2, "{whole:?}");
        assert_eq!([1, 2, 7, 99].map(server_pause).map(|pause| pause.as_secs()), [5, 10, 320, 320]);
    }
}
