//! Figures as OTLP's messages.

use std::collections::HashMap;
use std::time::SystemTime;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum, metric::Data,
};

use super::{attribute, nanos};
use crate::meters::Spread;
use crate::metrics::{Family, Kind, Label, Labels, Sample, Unit, Value};
use crate::telemetry::trace::Attribute;

/// Whether what only grows is told from the start on, or from what was told last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Temporality {
    Cumulative,
    Delta,
}

/// Makes messages of figures, and remembers what the last one said.
pub struct Writer {
    temporality: Temporality,
    /// Since when counts are told.
    since: SystemTime,
    told: HashMap<(&'static str, Labels), Value>,
}

impl Writer {
    /// `started`: since when the process counts.
    pub fn new(temporality: Temporality, started: SystemTime) -> Writer {
        Writer { temporality, since: started, told: HashMap::new() }
    }

    /// The figures that were gathered at `now`.
    pub fn write(&mut self, families: Vec<Family>, now: SystemTime) -> Vec<Metric> {
        let told = families.into_iter().filter(|family| !family.samples.is_empty());
        let metrics = told.map(|family| self.metric(family, now)).collect();
        if self.temporality == Temporality::Delta {
            self.since = now;
        }
        metrics
    }

    fn metric(&mut self, family: Family, now: SystemTime) -> Metric {
        let Family { name, help, unit, kind, samples } = family;
        let temporality = match self.temporality {
            Temporality::Cumulative => AggregationTemporality::Cumulative,
            Temporality::Delta => AggregationTemporality::Delta,
        };
        let aggregation_temporality = temporality.into();
        let (mut numbers, mut spreads) = (Vec::new(), Vec::new());
        for Sample { labels, value } in samples {
            let value = if kind == Kind::Gauge { value } else { self.since_told(name, &labels, value) };
            let attributes = labels.iter().map(labelled).collect();
            let (start_time_unix_nano, time_unix_nano) = (nanos(self.since), nanos(now));
            match value {
                Value::Number(number) => numbers.push(NumberDataPoint {
                    attributes,
                    start_time_unix_nano,
                    time_unix_nano,
                    value: Some(Number::AsDouble(number)),
                    ..NumberDataPoint::default()
                }),
                Value::Spread(spread) => spreads.push(HistogramDataPoint {
                    attributes,
                    start_time_unix_nano,
                    time_unix_nano,
                    count: spread.count(),
                    sum: Some(spread.sum),
                    bucket_counts: spread.buckets,
                    explicit_bounds: spread.bounds,
                    ..HistogramDataPoint::default()
                }),
            }
        }
        let data = match kind {
            Kind::Gauge => Data::Gauge(Gauge { data_points: numbers }),
            Kind::Counter => {
                Data::Sum(Sum { data_points: numbers, aggregation_temporality, is_monotonic: true })
            }
            Kind::Histogram => Data::Histogram(Histogram { data_points: spreads, aggregation_temporality }),
        };
        let unit = match unit {
            // UCUM's words, as OpenTelemetry has them.
            Unit::None => "",
            Unit::Seconds => "s",
            Unit::Bytes => "By",
            Unit::Ratio => "1",
        };
        let (name, description) = (name.to_owned(), help.to_owned());
        Metric { name, description, unit: unit.to_owned(), data: Some(data), ..Metric::default() }
    }

    /// What is to be told of a count: all of it, or what came since it was told last.
    fn since_told(&mut self, name: &'static str, labels: &Labels, value: Value) -> Value {
        match self.temporality {
            Temporality::Cumulative => value,
            Temporality::Delta => {
                let before = self.told.insert((name, labels.clone()), value.clone());
                before.map_or(value.clone(), |before| less(value, &before))
            }
        }
    }
}

/// A number as a number, such as a status.
fn labelled((name, value): &Label) -> KeyValue {
    let number = value.parse().map(Attribute::Number);
    attribute(name, number.unwrap_or_else(|_| Attribute::Text(value.clone())))
}

/// What came on top of `before`. A count that is less than it was began anew.
fn less(now: Value, before: &Value) -> Value {
    match (now, before) {
        (Value::Number(now), Value::Number(before)) if now >= *before => Value::Number(now - before),
        (Value::Spread(now), Value::Spread(before)) if now.count() >= before.count() => {
            let buckets =
                now.buckets.iter().zip(&before.buckets).map(|(now, before)| now.saturating_sub(*before));
            Value::Spread(Spread {
                buckets: buckets.collect(),
                sum: now.sum - before.sum,
                bounds: now.bounds,
            })
        }
        (now, _) => now,
    }
}
