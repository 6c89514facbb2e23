//! Which backups are kept, and which make room.

use std::collections::BTreeSet;

use time::OffsetDateTime;

use crate::clock::Time;

/// When the shop backs itself up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Since midnight, UTC.
    pub minute_of_day: u32,
    pub keeping: Keeping,
}

/// Of how many days, weeks and months (UTC) the last backup is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    pub daily: usize,
    pub weekly: usize,
    pub monthly: usize,
}

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

impl Schedule {
    /// The last moment at which a backup was due.
    pub fn last_due(&self, now: Time) -> Time {
        let at = i64::from(self.minute_of_day) * MINUTE;
        Time((now.0 - at).div_euclid(DAY) * DAY + at)
    }
}

impl Keeping {
    /// Which of the backups that were made at these times may go: all but the last of each of the newest days, weeks
    /// and months that have one. The newest of all never goes.
    pub fn spare(&self, made: &[Time]) -> BTreeSet<Time> {
        let mut all: Vec<_> = made.to_vec();
        all.sort_unstable();
        all.reverse();
        let mut kept: BTreeSet<Time> = all.first().copied().into_iter().collect();
        for (count, period) in [(self.daily, day as Period), (self.weekly, week), (self.monthly, month)] {
            let mut seen = BTreeSet::new();
            for at in &all {
                if seen.len() == count {
                    break;
                }
                if seen.insert(period(*at)) {
                    kept.insert(*at);
                }
            }
        }
        all.into_iter().filter(|at| !kept.contains(at)).collect()
    }
}

/// The day, week or month that a moment is in.
type Period = fn(Time) -> (i32, u32);

fn date(at: Time) -> time::Date {
    OffsetDateTime::from_unix_timestamp(at.seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH).date()
}

fn day(at: Time) -> (i32, u32) {
    (date(at).year(), u32::from(date(at).ordinal()))
}

/// ISO 8601's week, and the year that it belongs to.
fn week(at: Time) -> (i32, u32) {
    let (year, week, _) = date(at).to_iso_week_date();
    (year, u32::from(week))
}

fn month(at: Time) -> (i32, u32) {
    (date(at).year(), u32::from(u8::from(date(at).month())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::parse(text).expect("a time")
    }

    #[test]
    fn the_last_of_each_day_week_and_month_is_kept() {
        let keeping = Keeping { daily: 7, weekly: 4, monthly: 6 };
        let mut made: Vec<Time> = Vec::new();
        // A year of nights, each with what is kept of those before.
        for night in 0..365 {
            made.push(Time(at("2026-01-01T03:30:00Z").0 + night * DAY));
            let spare = keeping.spare(&made);
            made.retain(|at| !spare.contains(at));
        }
        let days: Vec<_> = made.iter().map(|at| at.date()).collect();
        assert_eq!(
            days,
            [
                "2026-07-31",
                "2026-08-31",
                "2026-09-30",
                "2026-10-31",
                "2026-11-30",
                "2026-12-13",
                "2026-12-20",
                "2026-12-25",
                "2026-12-26",
                "2026-12-27",
                "2026-12-28",
                "2026-12-29",
                "2026-12-30",
                "2026-12-31",
            ]
        );
    }

    #[test]
    fn two_of_a_day_are_one_too_many_and_the_newest_never_goes() {
        let (early, late) = (at("2026-11-23T03:30:00Z"), at("2026-11-23T20:00:00Z"));
        let keeping = Keeping { daily: 1, weekly: 0, monthly: 0 };
        assert_eq!(keeping.spare(&[early, late]), BTreeSet::from([early]));
        let none = Keeping { daily: 0, weekly: 0, monthly: 0 };
        assert_eq!(none.spare(&[late]), BTreeSet::new());
    }

    #[test]
    fn a_backup_is_due_once_a_day_at_its_time() {
        let schedule = Schedule { minute_of_day: 210, keeping: Keeping { daily: 1, weekly: 0, monthly: 0 } };
        assert_eq!(schedule.last_due(at("2026-11-23T03:29:59Z")), at("2026-11-22T03:30:00Z"));
        assert_eq!(schedule.last_due(at("2026-11-23T03:30:00Z")), at("2026-11-23T03:30:00Z"));
        assert_eq!(schedule.last_due(at("2026-11-24T02:00:00Z")), at("2026-11-23T03:30:00Z"));
    }
}
