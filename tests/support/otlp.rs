//! A receiver of OTLP over HTTP: it takes what the protocol says, and nothing else.

use std::io::Read;

use flate2::read::GzDecoder;
use http::{Method, Request, Response, StatusCode, header};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data, number_data_point::Value as Number};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use super::serve::Fake;

#[derive(Default)]
pub struct Receiver {
    pub spans: Vec<Span>,
    /// What each message with figures had.
    pub figures: Vec<Vec<Metric>>,
    pub resource: Vec<KeyValue>,
    /// The value of each message's `api-key`.
    pub keys: Vec<String>,
    /// What the next messages are answered with in the place of 200.
    pub refusals: Vec<StatusCode>,
    violations: Vec<String>,
}

impl Fake for Receiver {
    fn handle(&mut self, _now: i64, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let header = |name: &str| {
            request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
        };
        if let Some(status) = self.refusals.pop() {
            return answer(status);
        }
        if request.method() != Method::POST
            || header("content-type") != "application/x-protobuf"
            || header("content-encoding") != "gzip"
        {
            self.violations.push(format!("{} {:?}", request.method(), request.headers()));
        }
        self.keys.push(header("api-key").to_owned());
        let mut body = Vec::new();
        if let Err(error) = GzDecoder::new(&request.body()[..]).read_to_end(&mut body) {
            self.violations.push(format!("not gzip: {error}"));
        }
        let read = match request.uri().path() {
            "/v1/traces" => self.traces(&body),
            "/v1/metrics" => self.metrics(&body),
            other => Err(format!("there is no {other}")),
        };
        match read {
            Ok(()) => answer(StatusCode::OK),
            Err(said) => {
                self.violations.push(said);
                answer(StatusCode::BAD_REQUEST)
            }
        }
    }

    fn violations(&self) -> &[String] {
        &self.violations
    }
}

fn answer(status: StatusCode) -> Response<Vec<u8>> {
    let answer = Response::builder().status(status).header(header::CONTENT_TYPE, "application/x-protobuf");
    answer.body(Vec::new()).expect("a good answer")
}

impl Receiver {
    fn traces(&mut self, body: &[u8]) -> Result<(), String> {
        let message = ExportTraceServiceRequest::decode(body).map_err(|error| error.to_string())?;
        for of_one in message.resource_spans {
            self.resource = of_one.resource.ok_or("spans of no resource")?.attributes;
            self.spans.extend(of_one.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
        let lengths = |span: &Span| span.trace_id.len() == 16 && span.span_id.len() == 8;
        let faults = self
            .spans
            .iter()
            .filter(|span| !lengths(span) || span.end_time_unix_nano < span.start_time_unix_nano);
        match faults.map(|span| format!("{span:?}")).next() {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    fn metrics(&mut self, body: &[u8]) -> Result<(), String> {
        let message = ExportMetricsServiceRequest::decode(body).map_err(|error| error.to_string())?;
        for of_one in message.resource_metrics {
            self.resource = of_one.resource.ok_or("figures of no resource")?.attributes;
            let metrics: Vec<_> = of_one.scope_metrics.into_iter().flat_map(|scope| scope.metrics).collect();
            for (n, metric) in metrics.iter().enumerate() {
                if metrics[..n].iter().any(|other| other.name == metric.name) {
                    return Err(format!("{} comes twice", metric.name));
                }
                if let Some(Data::Histogram(histogram)) = &metric.data
                    && histogram.data_points.iter().any(|point| {
                        point.bucket_counts.len() != point.explicit_bounds.len() + 1
                            || point.bucket_counts.iter().sum::<u64>() != point.count
                    })
                {
                    return Err(format!("{}: its buckets don't add up", metric.name));
                }
            }
            self.figures.push(metrics);
        }
        Ok(())
    }

    /// The spans of this name.
    pub fn named(&self, name: &str) -> Vec<&Span> {
        self.spans.iter().filter(|span| span.name == name).collect()
    }

    /// A figure of the `n`th message.
    pub fn figure(&self, n: usize, name: &str) -> &Metric {
        let found = self.figures[n].iter().find(|metric| metric.name == name);
        found.unwrap_or_else(|| panic!("no {name}"))
    }
}

/// What stands beside a span or a figure under this name, as text.
pub fn attribute(of: &[KeyValue], name: &str) -> Option<String> {
    let value = &of.iter().find(|one| one.key == name)?.value.as_ref()?.value;
    Some(match value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

/// The sum of a figure's points, or of the counts of a histogram's.
#[expect(clippy::cast_precision_loss, reason = "counts of a test are small")]
pub fn total(metric: &Metric) -> f64 {
    let number = |value: &Option<Number>| match value {
        Some(Number::AsDouble(number)) => *number,
        other => panic!("{other:?}"),
    };
    match metric.data.as_ref().expect("it has data") {
        Data::Sum(sum) => sum.data_points.iter().map(|point| number(&point.value)).sum(),
        Data::Gauge(gauge) => gauge.data_points.iter().map(|point| number(&point.value)).sum(),
        Data::Histogram(histogram) => histogram.data_points.iter().map(|point| point.count as f64).sum(),
        other => panic!("{other:?}"),
    }
}
