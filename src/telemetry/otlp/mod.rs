//! Traces and metrics by OTLP (OpenTelemetry's protocol: protobuf over HTTP), which New Relic, Datadog, Grafana Cloud,
//! CloudWatch's agent and the OpenTelemetry Collector take in.

mod metrics;
mod traces;

use std::io::Write;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, Method, Request, Uri, header};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

pub use metrics::Temporality;

use super::trace::{Attribute, Tracer};
use super::{Post, aside, retry_after};
use crate::app::App;

/// How long spans wait for others to be sent with, unless there are many.
const SPANS_EVERY: Duration = Duration::from_secs(5);

/// Where telemetry goes, and what of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the receiver is: `/v1/traces` and `/v1/metrics` are under it.
    pub endpoint: String,
    /// Goes along with each message: the receiver's keys.
    pub headers: HeaderMap,
    pub environment: String,
    /// Of a hundred requests so many are traced.
    pub trace_percent: u64,
    /// Whether the decision of whoever asks is followed.
    pub follows: bool,
    /// How often figures are sent; none: never.
    pub interval: Option<Duration>,
    pub temporality: Temporality,
}

/// The export of one shop.
pub struct Otlp {
    settings: Settings,
    resource: Resource,
    /// None where nothing is traced.
    pub tracer: Option<Arc<Tracer>>,
    post: OnceLock<Post>,
}

impl Otlp {
    /// `shop` is the shop's own id.
    pub fn new(settings: Settings, shop: &str) -> Otlp {
        let text = |name, value: &str| attribute(name, Attribute::Text(value.to_owned().into()));
        let attributes = vec![
            text("service.name", "till"),
            text("service.version", env!("CARGO_PKG_VERSION")),
            text("service.instance.id", shop),
            text("deployment.environment.name", &settings.environment),
            // What it was called before, and some receivers still go by.
            text("deployment.environment", &settings.environment),
        ];
        let traces = settings.trace_percent > 0 || settings.follows;
        let tracer = traces.then(|| Arc::new(Tracer::new(settings.trace_percent, settings.follows)));
        let resource = Resource { attributes, ..Resource::default() };
        Otlp { settings, resource, tracer, post: OnceLock::new() }
    }

    /// How many messages and spans were lost, because nobody took them in time.
    pub fn dropped(&self) -> u64 {
        let spans = self.tracer.as_ref().map_or(0, |tracer| tracer.dropped.get());
        spans + self.post.get().map_or(0, Post::dropped)
    }

    fn send_spans(&self, post: &Post) {
        let spans = self.tracer.as_ref().map(|tracer| tracer.take()).unwrap_or_default();
        if spans.is_empty() {
            return;
        }
        let spans = spans.into_iter().map(traces::message).collect();
        let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() }];
        let resource = Some(self.resource.clone());
        let message = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }],
        };
        post.send(self.letter("v1/traces", &message));
    }

    async fn send_figures(&self, app: &Arc<App>, writer: &mut metrics::Writer, post: &Post) {
        let app = Arc::clone(app);
        let gathered = aside(move || crate::metrics::gather(&app)).await;
        let families = match gathered {
            Ok(Ok(families)) => families,
            Ok(Err(error)) => return tracing::warn!(%error, "the figures could not be read"),
            Err(error) => return tracing::error!(%error, "the figures could not be read"),
        };
        let metrics = writer.write(families, SystemTime::now());
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() }];
        let resource = Some(self.resource.clone());
        let message = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }],
        };
        post.send(self.letter("v1/metrics", &message));
    }

    fn letter(&self, path: &str, message: &impl Message) -> Request<Bytes> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        let packed = packed.write_all(&message.encode_to_vec()).and_then(|()| packed.finish());
        let url = format!("{}/{path}", self.settings.endpoint.trim_end_matches('/'));
        let mut letter = Request::new(Bytes::from(packed.expect("a vector takes whatever is written")));
        *letter.method_mut() = Method::POST;
        *letter.uri_mut() = url.parse::<Uri>().expect("the settings were checked");
        let headers = letter.headers_mut();
        headers.clone_from(&self.settings.headers);
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/x-protobuf"));
        headers.insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
        letter
    }
}

/// Sends what there is to tell, until `stop` says so; then what is left.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let Some(otlp) = &app.otlp else { return };
    let post = otlp.post.get_or_init(|| Post::new("otlp", retry_after));
    let mut writer = metrics::Writer::new(otlp.settings.temporality, app.started);
    let far = Duration::from_hours(24 * 365);
    let interval = otlp.settings.interval.unwrap_or(far);
    let mut next_figures = Instant::now() + interval;
    loop {
        let many = async {
            match &otlp.tracer {
                Some(tracer) => tracer.has_many().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = many => otlp.send_spans(post),
            () = sleep(SPANS_EVERY), if otlp.tracer.is_some() => otlp.send_spans(post),
            () = sleep_until(next_figures) => {
                next_figures = Instant::now() + interval;
                otlp.send_figures(&app, &mut writer, post).await;
            }
            () = async { drop(stop.wait_for(|stop| *stop).await) } => break,
        }
    }
    otlp.send_spans(post);
    if otlp.settings.interval.is_some() {
        otlp.send_figures(&app, &mut writer, post).await;
    }
    post.close().await;
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "till".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..InstrumentationScope::default()
    }
}

/// Nanoseconds since 1970.
fn nanos(at: SystemTime) -> u64 {
    u64::try_from(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

fn attribute(name: &str, value: Attribute) -> KeyValue {
    let value = match value {
        Attribute::Text(text) => Value::StringValue(text.into_owned()),
        Attribute::Number(number) => Value::IntValue(number),
        Attribute::Seconds(seconds) => Value::DoubleValue(seconds),
    };
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
