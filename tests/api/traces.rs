//! Traces and figures by OTLP, as a receiver gets them.

#![expect(clippy::float_cmp, reason = "counts are whole numbers")]

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, metric::Data};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use reqwest::Method;
use till::telemetry::otlp;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::fakes::otlp::{Receiver, attribute, total};
use crate::fakes::serve::{Net, Served};
use crate::gateways::{StripeShop, begun};
use crate::support::{Settings, Shop};

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn receiver() -> Served<Receiver> {
    Served::start(Receiver::default(), Shop::new_clock()).await
}

fn with<'a>(to: &'a Served<Receiver>, more: Settings<'a>) -> Vec<(&'static str, &'a str)> {
    let mut all = vec![
        ("otlp.endpoint", to.base.as_str()),
        ("otlp.headers", "api-key=k%3D1,other=2"),
        ("otlp.trace_percent", "100"),
    ];
    all.extend(more);
    all
}

/// What `till serve` has tell of the shop.
struct Teller(watch::Sender<bool>, JoinHandle<()>);

impl Teller {
    fn of(shop: &Shop) -> Teller {
        let (stop, stopping) = watch::channel(false);
        Teller(stop, tokio::spawn(otlp::run(Arc::clone(&shop.app), stopping)))
    }

    /// Tells what is left.
    async fn end(self) {
        self.0.send_replace(true);
        self.1.await.expect("it does not panic");
    }
}

#[tokio::test]
async fn a_request_is_a_span_with_its_commit_under_that_of_its_caller() {
    let to = receiver().await;
    let shop = Shop::with(&with(&to, &[])).await;
    let teller = Teller::of(&shop);
    let tea = shop.product("Tea", "4", 5).await;
    let ann = shop.buyer().await;
    let asking =
        ann.asks(Method::POST, "/api/cart/").header("traceparent", CALLER).header("X-Request-Id", "mine");
    asking.json(&serde_json::json!({"product_id": tea.id, "quantity": 1})).send().await.status(201);
    shop.get("/api/products/404404/?search=ann@example.com").await.status(404);
    shop.get("/nothing").await.status(404);
    shop.get("/healthz").await.status(200);
    teller.end().await;

    let got = to.fake();
    let spans = got.named("POST /api/cart/");
    let [cart] = spans[..] else { panic!("{spans:?}") };
    assert_eq!(cart.kind, SpanKind::Server as i32);
    assert_eq!(cart.trace_id[..4], [0x4B, 0xF9, 0x2F, 0x35]);
    assert_eq!(cart.parent_span_id, [0x00, 0xF0, 0x67, 0xAA, 0x0B, 0xA9, 0x02, 0xB7]);
    let said = |name: &str| attribute(&cart.attributes, name);
    assert_eq!(said("http.request.method").as_deref(), Some("POST"));
    assert_eq!(said("http.route").as_deref(), Some("/api/cart/"));
    assert_eq!(said("http.response.status_code").as_deref(), Some("201"));
    assert_eq!(said("url.scheme").as_deref(), Some("http"));
    assert_eq!(said("till.request_id").as_deref(), Some("mine"));
    assert_eq!(cart.status.as_ref().map(|status| status.code), Some(StatusCode::Unset as i32));

    let commits = got.named("commit");
    let own: Vec<_> = commits.iter().filter(|commit| commit.parent_span_id == cart.span_id).collect();
    let [commit] = own[..] else { panic!("{commits:?}") };
    assert_eq!((&commit.trace_id, commit.kind), (&cart.trace_id, SpanKind::Internal as i32));
    assert_eq!(attribute(&commit.attributes, "till.writer.batch.size").as_deref(), Some("1"));
    assert!(commit.start_time_unix_nano >= cart.start_time_unix_nano);
    assert!(commit.end_time_unix_nano <= cart.end_time_unix_nano);

    assert_eq!(got.named("GET /api/products/{id}/").len(), 1);
    let nowhere = got.named("GET");
    assert_eq!(attribute(&nowhere[0].attributes, "http.route"), None);
    assert!(got.named("GET /healthz").is_empty(), "whoever looks whether it is well is no load");
    assert!(!got.named("POST /api/auth/login/").is_empty() && !got.named("password").is_empty());
    let text = format!("{:?}", got.spans);
    for personal in ["example.com", "404404", "correct horse", "127.0.0.1"] {
        assert!(!text.contains(personal), "{personal}");
    }
    let resource = |name: &str| attribute(&got.resource, name);
    assert_eq!(resource("service.name").as_deref(), Some("till"));
    assert_eq!(resource("service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(resource("service.instance.id").as_deref(), Some(shop.app.shop.as_str()));
    assert_eq!(resource("deployment.environment.name").as_deref(), Some("production"));
    assert!(got.keys.iter().all(|key| key == "k=1"), "{:?}", got.keys);
}

#[tokio::test]
async fn a_call_to_a_gateway_is_part_of_the_request_that_makes_it() {
    let to = receiver().await;
    let shop = StripeShop::with(&with(&to, &[])).await;
    let teller = Teller::of(&shop);
    let tea = shop.product("Tea", "4", 5).await;
    begun(&shop.buyer().await, tea.id, 1).await;
    teller.end().await;
    let got = to.fake();
    let pay = got.named("POST /api/payment/")[0];
    let calls: Vec<_> = got.spans.iter().filter(|span| span.kind == SpanKind::Client as i32).collect();
    assert!(!calls.is_empty());
    for call in calls {
        assert_eq!((&call.trace_id, &call.parent_span_id), (&pay.trace_id, &pay.span_id), "{call:?}");
        assert_eq!(attribute(&call.attributes, "peer.service").as_deref(), Some("stripe"));
        assert_eq!(attribute(&call.attributes, "server.address").as_deref(), Some("localhost"));
        assert_eq!(attribute(&call.attributes, "http.response.status_code").as_deref(), Some("200"));
    }
}

#[tokio::test]
async fn a_caller_decides_only_where_it_is_trusted_to() {
    for (follows, expected) in [("true", 1), ("false", 0)] {
        let to = receiver().await;
        let settings = [("otlp.follow_callers", follows), ("otlp.trace_percent", "0")];
        let shop = Shop::with(&with(&to, &settings)).await;
        let teller = Teller::of(&shop);
        shop.request(Method::GET, "/api/products/").header("traceparent", CALLER).send().await.status(200);
        let not = CALLER.replace("-01", "-00");
        shop.request(Method::GET, "/api/categories/").header("traceparent", &not).send().await.status(200);
        shop.request(Method::GET, "/api/products/").header("traceparent", "junk").send().await.status(200);
        teller.end().await;
        assert_eq!(to.fake().spans.len(), expected, "follows: {follows}");
    }
}

#[tokio::test]
async fn figures_have_units_and_are_told_from_the_start_or_since_the_last_time() {
    for (temporality, word) in
        [("cumulative", AggregationTemporality::Cumulative), ("delta", AggregationTemporality::Delta)]
    {
        let to = receiver().await;
        let settings = [("otlp.temporality", temporality), ("otlp.interval_seconds", "1")];
        let shop = Shop::with(&with(&to, &settings)).await;
        let teller = Teller::of(&shop);
        for _ in 0..3 {
            shop.get("/api/products/").await.status(200);
        }
        while to.fake().figures.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        shop.get("/api/products/").await.status(200);
        teller.end().await;
        let got = to.fake();
        let (first, last) = (got.figure(0, "http.server.request.duration"), got.figures.len() - 1);
        assert_eq!(first.unit, "s");
        assert_eq!(total(first), 3.0);
        let told: f64 = (1..=last).map(|n| total(got.figure(n, "http.server.request.duration"))).sum();
        match word {
            AggregationTemporality::Delta => assert_eq!(told, 1.0),
            _ => assert_eq!(total(got.figure(last, "http.server.request.duration")), 4.0),
        }
        let Some(Data::Histogram(histogram)) = &first.data else { panic!("{first:?}") };
        assert_eq!(histogram.aggregation_temporality, word as i32);
        let point = &histogram.data_points[0];
        assert_eq!(attribute(&point.attributes, "http.route").as_deref(), Some("/api/products/"));
        assert_eq!(attribute(&point.attributes, "http.response.status_code").as_deref(), Some("200"));
        assert!(point.start_time_unix_nano < point.time_unix_nano);
        for (name, unit) in [("till.data.file", "By"), ("process.cpu", "s"), ("till.products", "")] {
            assert_eq!(got.figure(0, name).unit, unit, "{name}");
        }
        let Some(Data::Sum(sum)) = &got.figure(0, "till.orders").data else { panic!("a count") };
        assert!(sum.is_monotonic && sum.aggregation_temporality == word as i32);
    }
}

#[tokio::test]
async fn a_receiver_that_never_answers_or_is_not_there_holds_up_nobody() {
    let to = receiver().await;
    to.network((0..100).map(|_| Net::Late(Duration::from_secs(3600))));
    let nowhere = [("otlp.endpoint", "http://127.0.0.1:1")];
    for settings in [with(&to, &[("otlp.interval_seconds", "1")]), with(&to, &nowhere)] {
        let shop = Shop::with(&settings).await;
        let teller = Teller::of(&shop);
        // Enough to have it sent at once.
        for _ in 0..600 {
            shop.get("/api/categories/").await.status(200);
        }
        teller.end().await;
        let lost = shop.app.otlp.as_ref().expect("it is on").dropped();
        assert!(lost > 0, "what was not delivered is counted");
    }
}

#[tokio::test]
async fn what_a_receiver_refuses_for_a_moment_is_sent_again() {
    let to = receiver().await;
    to.fake().refusals = vec![http::StatusCode::SERVICE_UNAVAILABLE];
    let shop = Shop::with(&with(&to, &[("otlp.interval_seconds", "1")])).await;
    let teller = Teller::of(&shop);
    while to.fake().figures.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    teller.end().await;
    assert_eq!(shop.app.otlp.as_ref().expect("it is on").dropped(), 0);
}
