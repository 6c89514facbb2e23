//! Time as a value: acts and rules are told what time it is, and only a [`Clock`] knows it.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::described::Described;

/// A moment, in milliseconds since 1970-01-01T00:00:00Z. In JSON it is RFC 3339 in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub i64);

impl Time {
    pub fn plus(self, span: Duration) -> Time {
        Time(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    pub fn minus(self, span: Duration) -> Time {
        Time(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Whole seconds since 1970, as tokens and signed links carry them.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The day in UTC, `2026-11-23`.
    pub fn date(self) -> String {
        self.to_string()[..10].to_owned()
    }

    /// Reads RFC 3339 with any offset, or a bare date, which is its first moment in UTC.
    pub fn parse(text: &str) -> Option<Time> {
        let full = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
        let parsed = OffsetDateTime::parse(&full, &Rfc3339).ok()?;
        i64::try_from(parsed.unix_timestamp_nanos().div_euclid(1_000_000)).ok().map(Time)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000);
        let moment = moment.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (date, time) = (moment.date(), moment.time());
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.millisecond()
        )
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { to.collect_str(self) } else { self.0.serialize(to) }
    }
}

crate::answered_as!(Time: json!({"type": "string", "format": "date-time", "description": "RFC 3339, in UTC."}));

impl Described for Time {
    fn schema() -> Value {
        json!({
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}],
            "description": "RFC 3339, or a date, which is its first moment in UTC.",
        })
    }
}

impl<'de> Deserialize<'de> for Time {
    /// As it was serialized. Clients' times are read by [`Time::parse`].
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if !from.is_human_readable() {
            return i64::deserialize(from).map(Time);
        }
        let text = String::deserialize(from)?;
        Time::parse(&text).ok_or_else(|| D::Error::custom("this is no time"))
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync {
    fn now(&self) -> Time;
}

/// The machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until it is moved: for tests, simulation and the past of the demo shop.
pub struct ManualClock(AtomicI64);

impl ManualClock {
    pub fn at(time: Time) -> Self {
        ManualClock(AtomicI64::new(time.0))
    }

    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc() {
        let time = Time(1_795_392_000_123);
        assert_eq!(time.to_string(), "2026-11-23T00:00:00.123Z");
        assert_eq!(Time::parse("2026-11-23T01:00:00.123+01:00"), Some(time));
        assert_eq!(Time::parse("2026-11-23"), Some(Time(1_795_392_000_000)));
        assert_eq!(Time::parse("yesterday"), None);
        assert_eq!(time.date(), "2026-11-23");
    }
}
