//! What is told to whoever watches over the shop, before it has a form. Names are OpenTelemetry's way of writing them,
//! `till.commit.duration` in seconds; Prometheus' name follows from that by one rule, `till_commit_duration_seconds`, which
//! is the one that OpenTelemetry's own tools go by. So a figure has the same name in a Prometheus, whichever way it came.
//!
//! (The `prometheus-client` crate writes text alone, and `opentelemetry_sdk` neither lets a writer read its aggregates
//! cheaply nor counts without a look-up of the labels. What is needed of either is this file and the two writers.)

use std::borrow::Cow;

use crate::meters::{Histogram, Spread};

/// What a figure is measured in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// It is a count.
    None,
    Seconds,
    Bytes,
    /// A part of one.
    Ratio,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It only grows, but for a new start.
    Counter,
    Gauge,
    Histogram,
}

/// The name of a label, as OpenTelemetry writes it, and its value.
pub type Label = (&'static str, Cow<'static, str>);
pub type Labels = Vec<Label>;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Number(f64),
    Spread(Spread),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub labels: Labels,
    pub value: Value,
}

/// A figure, with a sample for each of the things that it is measured of.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    pub name: &'static str,
    pub help: &'static str,
    pub unit: Unit,
    pub kind: Kind,
    pub samples: Vec<Sample>,
}

impl Family {
    /// The one sample of a figure that is measured of the whole.
    pub fn is(&mut self, value: impl Into<Figure>) {
        self.of([], value);
    }

    /// The sample of what these labels name.
    pub fn of<const N: usize>(&mut self, labels: [Label; N], value: impl Into<Figure>) -> &mut Family {
        let value = Value::Number(value.into().0);
        self.samples.push(Sample { labels: labels.into(), value });
        self
    }

    /// [`Family::of`], of a histogram.
    pub fn spread(&mut self, labels: Labels, histogram: &Histogram) -> &mut Family {
        self.samples.push(Sample { labels, value: Value::Spread(histogram.spread()) });
        self
    }
}

/// A number of any kind. Beyond 2^53 the last digits are lost.
pub struct Figure(f64);

macro_rules! figures {
    ($($from:ty),*) => {$(
        impl From<$from> for Figure {
            #[allow(clippy::cast_precision_loss)]
            fn from(number: $from) -> Figure {
                Figure(number as f64)
            }
        }
    )*};
}
figures!(u64, usize, i64, f64);

impl From<bool> for Figure {
    fn from(is: bool) -> Figure {
        Figure(f64::from(u8::from(is)))
    }
}

/// All figures of a moment.
#[derive(Default)]
pub struct Figures(pub Vec<Family>);

impl Figures {
    pub fn counter(&mut self, name: &'static str, unit: Unit, help: &'static str) -> &mut Family {
        self.add(name, unit, help, Kind::Counter)
    }

    pub fn gauge(&mut self, name: &'static str, unit: Unit, help: &'static str) -> &mut Family {
        self.add(name, unit, help, Kind::Gauge)
    }

    pub fn histogram(&mut self, name: &'static str, unit: Unit, help: &'static str) -> &mut Family {
        self.add(name, unit, help, Kind::Histogram)
    }

    fn add(&mut self, name: &'static str, unit: Unit, help: &'static str, kind: Kind) -> &mut Family {
        self.0.push(Family { name, help, unit, kind, samples: Vec::new() });
        self.0.last_mut().expect("it was put there")
    }
}
