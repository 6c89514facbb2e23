//! When the next certificate is asked for: times in, verdict out.

use std::time::Duration;

use super::acme::Kind;
use crate::clock::Time;

/// After the first failure, and at most, until the next try. An authority that refuses counts the tries: Let's Encrypt
/// takes five failed proofs an hour.
const AFTER_REFUSAL: Duration = Duration::from_mins(5);
const AFTER_SILENCE: Duration = Duration::from_mins(1);
const AFTER_CUT: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_hours(6);

/// The last part of a certificate's life, in which nothing is waited for.
const LAST: u32 = 10;

/// What is known of the certificate that is served.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub begins: Time,
    pub ends: Time,
    /// It is for every configured domain.
    pub is_for_all: bool,
    /// It is from another authority than the configured one.
    pub is_of_other: bool,
}

/// When the authority wants a certificate renewed (RFC 9773).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub start: Time,
    pub end: Time,
}

/// Why a certificate is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    First,
    Domains,
    OtherAuthority,
    Ends,
    Wanted,
}

/// When a certificate is to be asked for, and why. `luck`, from 0 to 1, spreads shops over the time that is good.
pub fn due(held: Option<Held>, window: Option<Window>, luck: f64) -> (Time, Why) {
    let Some(held) = held else { return (Time::default(), Why::First) };
    if !held.is_for_all {
        return (Time::default(), Why::Domains);
    }
    if held.is_of_other {
        return (Time::default(), Why::OtherAuthority);
    }
    let life = between(held.begins, held.ends);
    let Some(window) = window else {
        // Two thirds of its life, and up to a thirtieth sooner.
        return (held.ends.minus(life / 3).minus((life / 30).mul_f64(luck)), Why::Ends);
    };
    let wanted = window.start.plus(between(window.start, window.end).mul_f64(luck));
    // Whatever the authority wants, what ends soon is renewed.
    let latest = held.ends.minus(life / LAST);
    if wanted <= latest { (wanted, Why::Wanted) } else { (latest, Why::Ends) }
}

/// When to try again after `failures` failures in a row, the last `at`. What the authority says is the least.
pub fn again(failures: u32, at: Time, kind: Kind, said: Option<Duration>, luck: f64) -> Time {
    let first = match kind {
        Kind::Unproven | Kind::Refused => AFTER_REFUSAL,
        Kind::Unreachable => AFTER_SILENCE,
        Kind::CutOff => AFTER_CUT,
    };
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    at.plus(doubled.mul_f64(1.0 + luck / 10.0).max(said.unwrap_or_default()))
}

/// Whether a certificate is needed even where it can't be kept: before long nobody gets in with what there is.
pub fn is_urgent(held: Option<Held>, now: Time) -> bool {
    held.is_none_or(|held| now >= held.ends.minus(between(held.begins, held.ends) / LAST))
}

fn between(start: Time, end: Time) -> Duration {
    Duration::from_millis(u64::try_from(end.0.saturating_sub(start.0)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86_400_000;
    const HELD: Held = Held { begins: Time(0), ends: Time(90 * DAY), is_for_all: true, is_of_other: false };

    #[test]
    fn reasons_win_in_this_order() {
        let window = Window { start: Time(20 * DAY), end: Time(22 * DAY) };
        assert_eq!(due(None, None, 0.5), (Time(0), Why::First));
        let other = Held { is_of_other: true, ..HELD };
        assert_eq!(
            due(Some(Held { is_for_all: false, ..other }), Some(window), 0.5),
            (Time(0), Why::Domains)
        );
        assert_eq!(due(Some(other), Some(window), 0.5), (Time(0), Why::OtherAuthority));
        assert_eq!(due(Some(HELD), None, 0.0), (Time(60 * DAY), Why::Ends));
        assert_eq!(due(Some(HELD), None, 1.0), (Time(57 * DAY), Why::Ends));
        assert_eq!(due(Some(HELD), Some(window), 0.5), (Time(21 * DAY), Why::Wanted));
        let late = Window { start: Time(100 * DAY), end: Time(200 * DAY) };
        assert_eq!(due(Some(HELD), Some(late), 0.0), (Time(81 * DAY), Why::Ends));
    }

    #[test]
    fn pauses_grow_and_the_authority_may_make_them_longer() {
        let minutes = |failures, kind| again(failures, Time(0), kind, None, 0.0).0 / 60_000;
        let refused: Vec<_> = (1..=8).map(|n| minutes(n, Kind::Unproven)).collect();
        assert_eq!(refused, [5, 10, 20, 40, 80, 160, 320, 360]);
        let silent: Vec<_> = (1..=10).map(|n| minutes(n, Kind::Unreachable)).collect();
        assert_eq!(silent, [1, 2, 4, 8, 16, 32, 64, 128, 256, 360]);
        assert_eq!(minutes(u32::MAX, Kind::Refused), 360);
        assert_eq!(again(1, Time(0), Kind::CutOff, None, 0.0), Time(10_000));
        let day = Some(Duration::from_hours(24));
        assert_eq!(again(1, Time(0), Kind::Refused, day, 0.0), Time(DAY));
        assert_eq!(again(1, Time(0), Kind::Refused, Some(Duration::ZERO), 0.0), Time(300_000));
    }

    #[test]
    fn what_ends_soon_is_urgent() {
        assert!(is_urgent(None, Time(0)));
        assert!(!is_urgent(Some(HELD), Time(80 * DAY)));
        assert!(is_urgent(Some(HELD), Time(81 * DAY)));
    }

    proptest! {
        #[test]
        fn a_good_certificate_is_renewed_while_it_is_good(
            begins in 0_i64..1 << 40, life in 1_i64..1 << 36, luck in 0.0..=1.0_f64,
            start in -(1_i64 << 41)..1 << 41, span in -1000_i64..1 << 36, has_window in any::<bool>(),
        ) {
            let held = Held { begins: Time(begins), ends: Time(begins + life), ..HELD };
            let window = has_window.then_some(Window { start: Time(start), end: Time(start + span) });
            prop_assert!(due(Some(held), window, luck).0 <= held.ends);
            prop_assert!(window.is_some() || due(Some(held), None, luck).0 >= held.begins);
        }

        #[test]
        fn a_try_comes_again_within_seven_hours_unless_the_authority_says_later(
            failures in any::<u32>(), at in 0_i64..1 << 40, luck in 0.0..=1.0_f64,
        ) {
            for kind in [Kind::Unproven, Kind::Refused, Kind::Unreachable, Kind::CutOff] {
                let next = again(failures, Time(at), kind, None, luck).0 - at;
                prop_assert!((10_000..7 * 3_600_000).contains(&next));
            }
        }
    }
}
