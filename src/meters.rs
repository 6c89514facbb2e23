//! What is counted and timed while the shop runs. All of it is atomics: to count costs a few nanoseconds, and waits for
//! nobody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often something happened.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many are here now.
#[derive(Default)]
pub struct Gauge(AtomicU64);

/// One of those that are here, for as long as it is held.
pub struct Here<'a>(&'a Gauge);

impl Gauge {
    pub fn enter(&self) -> Here<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Here(self)
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Here<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The buckets of a histogram: their upper bounds, which belong to them, in whole steps, and how many steps are one of
/// the unit that it is told in.
pub struct Scale {
    bounds: &'static [u64],
    per_unit: f64,
}

/// Seconds, counted in nanoseconds: a shop answers in 50 µs to 10 s.
pub static SECONDS: Scale = Scale {
    bounds: &[
        50_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        25_000_000,
        50_000_000,
        100_000_000,
        250_000_000,
        500_000_000,
        1_000_000_000,
        2_500_000_000,
        10_000_000_000,
    ],
    per_unit: 1e9,
};

/// How many at a time.
pub static COUNTS: Scale = Scale { bounds: &[1, 2, 4, 8, 16, 32, 64, 128, 256], per_unit: 1.0 };

/// How values are spread.
pub struct Histogram {
    scale: &'static Scale,
    /// One for each bound, and one for what is above them all.
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// What a histogram holds at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    pub bounds: Vec<f64>,
    /// How many values are in each bucket, not counting those below; the last is above all bounds.
    pub buckets: Vec<u64>,
    pub sum: f64,
}

impl Spread {
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

impl Histogram {
    pub fn new(scale: &'static Scale) -> Histogram {
        let buckets = (0..=scale.bounds.len()).map(|_| AtomicU64::default()).collect();
        Histogram { scale, buckets, sum: AtomicU64::default() }
    }

    /// Notes a value, in the steps of the scale.
    pub fn note(&self, value: u64) {
        let bucket = self.scale.bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Notes how long something took, on a scale of [`SECONDS`].
    pub fn took(&self, span: Duration) {
        self.note(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
    }

    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    pub fn spread(&self) -> Spread {
        let unit = |steps: u64| steps as f64 / self.scale.per_unit;
        Spread {
            bounds: self.scale.bounds.iter().copied().map(unit).collect(),
            buckets: self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect(),
            sum: unit(self.sum.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_first_bucket_that_it_fits_in() {
        let histogram = Histogram::new(&SECONDS);
        for span in [0, 50_000, 50_001, 3_000_000_000, 11_000_000_000] {
            histogram.took(Duration::from_nanos(span));
        }
        let spread = histogram.spread();
        assert_eq!((spread.bounds[0], spread.bounds[15]), (0.000_05, 10.0));
        assert_eq!(
            (spread.buckets[0], spread.buckets[1], spread.buckets[15], spread.buckets[16]),
            (2, 1, 1, 1)
        );
        assert_eq!(spread.count(), 5);
        assert!((spread.sum - 14.000_100_001).abs() < 1e-9, "{}", spread.sum);
    }

    #[test]
    fn who_leaves_is_here_no_more() {
        let gauge = Gauge::default();
        let (one, two) = (gauge.enter(), gauge.enter());
        assert_eq!(gauge.get(), 2);
        drop((one, two));
        assert_eq!(gauge.get(), 0);
    }
}
