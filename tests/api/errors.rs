//! Errors, told to a Sentry and a Rollbar of the tests' own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};
use till::config::{Config, Flags};
use till::telemetry::{Errors, Post, retry_after};

use crate::fakes::serve::{Fake, Net, Served};
use crate::fakes::sinks::{FakeRollbar, FakeSentry, ROLLBAR_TOKEN, Refusal, dsn};
use crate::support::{Broken, Person, Shop};

/// What a gateway with a bug tells, and must not.
const SAID: &str = "no \"Ann Lee\" (ann.lee@example.com, 4242 4242 4242 4242) at order 17";
const SCRUBBED: &str = "no \"…\" [mail] [number]) at order 17";

struct Sinks {
    sentry: Served<FakeSentry>,
    rollbar: Served<FakeRollbar>,
}

impl Sinks {
    async fn new() -> Sinks {
        Sinks {
            sentry: Served::start(FakeSentry::default(), Shop::new_clock()).await,
            rollbar: Served::start(FakeRollbar::default(), Shop::new_clock()).await,
        }
    }

    async fn shop(&self) -> Shop {
        let (dsn, url) = (dsn(&self.sentry.base), format!("{}/api/1/item/", self.rollbar.base));
        let settings = [
            ("errors.sentry_dsn", dsn.as_str()),
            ("errors.rollbar_token", ROLLBAR_TOKEN),
            ("errors.rollbar_url", &url),
            ("server.environment", "trials"),
        ];
        Shop::with_gateways(&settings, vec![Arc::new(Broken(SAID))]).await
    }

    fn events(&self) -> Vec<Value> {
        self.sentry.fake().events.clone()
    }

    fn items(&self) -> Vec<Value> {
        self.rollbar.fake().items.clone()
    }
}

/// Waits for what happens in the background.
async fn until(happened: impl Fn() -> bool) {
    let began = Instant::now();
    while !happened() {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Meets the gateway's bug.
async fn fails(ann: &Person<'_>, tea: u64, id: &str) {
    let order = ann.ordered(tea, 1).await;
    let asking = ann.asks(Method::POST, "/api/payment/").header("X-Request-Id", id);
    let asking = asking.json(&json!({"order_id": order, "provider": "broken"}));
    asking.send().await.refused(500, "internal_error");
}

#[tokio::test]
async fn an_answer_that_is_our_fault_is_told_with_its_request_and_nothing_personal() {
    let sinks = Sinks::new().await;
    let shop = sinks.shop().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.named("ann.lee@example.com", till::accounts::Role::Customer).await;
    fails(&ann, tea.id, "the-bug").await;
    until(|| sinks.events().len() == 1 && sinks.items().len() == 1).await;

    let (event, item) = (&sinks.events()[0], &sinks.items()[0]);
    let said = format!("a handler panicked: {SCRUBBED}");
    assert_eq!((&event["message"], &event["transaction"]), (&json!(said), &json!("POST /api/payment/")));
    assert_eq!(event["tags"], json!({"kind": "internal_error", "request_id": "the-bug", "status": "500"}));
    assert_eq!(
        (&event["user"], &event["environment"]),
        (&json!({"id": ann.id.to_string()}), &json!("trials"))
    );
    assert_eq!(event["release"], concat!("till@", env!("CARGO_PKG_VERSION")));
    assert_eq!((&item["body"]["message"]["body"], &item["level"]), (&json!(said), &json!("error")));
    assert_eq!((&item["context"], &item["person"]["id"]), (&event["transaction"], &event["user"]["id"]));
    assert_eq!(item["request"], json!({"method": "POST", "request_id": "the-bug"}));
    assert_eq!(event["fingerprint"], json!([item["fingerprint"]]));
    for raw in [&sinks.sentry.fake().raw, &sinks.rollbar.fake().raw] {
        for personal in ["Ann", "Lee", "example.com", "4242", "127.0.0.1:", &ann.access] {
            let found =
                raw.lines().filter(|line| !line.contains("\"host\"")).find(|line| line.contains(personal));
            assert_eq!(found, None, "{personal}");
        }
    }
}

#[tokio::test]
async fn the_same_fault_is_told_once_a_minute_and_refusals_never() {
    let sinks = Sinks::new().await;
    let shop = sinks.shop().await;
    let tea = shop.product("Tea", "4", 50).await;
    let ann = shop.buyer().await;
    for n in 0..10 {
        fails(&ann, tea.id, &format!("bug-{n}")).await;
    }
    ann.get("/api/orders/987654321/").await.refused(404, "not_found");
    ann.post("/api/cart/", json!({"quantity": 0})).await.status(422);
    shop.app.errors.close().await;
    assert_eq!((sinks.events().len(), sinks.items().len()), (1, 1));
    assert_eq!(sinks.events()[0]["tags"]["request_id"], "bug-0");
}

#[tokio::test]
async fn sinks_that_hang_hold_up_neither_requests_nor_the_stop() {
    let sinks = Sinks::new().await;
    let shop = sinks.shop().await;
    let tea = shop.product("Tea", "4", 9).await;
    let ann = shop.buyer().await;
    sinks.sentry.network([Net::Late(Duration::from_secs(60))]);
    sinks.rollbar.network([Net::Late(Duration::from_secs(60))]);
    let began = Instant::now();
    fails(&ann, tea.id, "the-bug").await;
    ann.get("/api/orders/").await.status(200);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let began = Instant::now();
    shop.app.errors.close().await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(shop.app.errors.dropped(), 2);
}

#[tokio::test]
async fn some_of_a_hundred_are_told_where_the_settings_say_so() {
    let sinks = Sinks::new().await;
    let mut flags = Flags::default();
    flags.0.push(("errors.sentry_dsn", "test", dsn(&sinks.sentry.base)));
    flags.0.push(("errors.sample_percent", "test", "50".into()));
    let errors = Errors::new(&Config::load(None, [], &flags).unwrap());
    for n in 0..60 {
        errors.logged("the same each time", Some(format!("src/place.rs:{n}")), Vec::new());
    }
    errors.close().await;
    let told = sinks.events().len();
    // Out of this range once in ten million runs.
    assert!((10..=50).contains(&told), "{told} of 60");
    assert_eq!(errors.dropped(), 0);
}

#[tokio::test]
async fn a_trial_says_who_took_it() {
    let sinks = Sinks::new().await;
    let shop = sinks.shop().await;
    let admin = shop.admin().await;
    sinks.rollbar.fake().refusals.push_back(Refusal(403, Vec::new()));
    let tried = admin.post("/api/admin/errors/test/", json!({})).await.status(200).json;
    let refused = r#"it answered 403 Forbidden: {"err":1,"message":"refused"}"#;
    let expected = json!({"results": [
        {"to": "sentry", "taken": true, "said": null},
        {"to": "rollbar", "taken": false, "said": refused},
    ]});
    assert_eq!(tried, expected);
    assert_eq!((sinks.events()[0]["level"].as_str(), sinks.items().len()), (Some("info"), 0));

    let silent = Shop::open().await;
    silent.admin().await.post("/api/admin/errors/test/", json!({})).await.refused(409, "errors_unreported");
}

fn letter(base: &str, says: &str) -> http::Request<Bytes> {
    http::Request::post(base).body(Bytes::from(says.to_owned())).unwrap()
}

/// Takes whatever comes, or refuses it.
#[derive(Default)]
struct Anything {
    taken: Vec<String>,
    refusals: Vec<Refusal>,
}

impl Fake for Anything {
    fn handle(&mut self, _: i64, request: &http::Request<Vec<u8>>) -> http::Response<Vec<u8>> {
        if !self.refusals.is_empty() {
            let Refusal(status, headers) = self.refusals.remove(0);
            let answer = headers
                .iter()
                .fold(http::Response::builder(), |answer, (name, value)| answer.header(*name, *value));
            return answer.status(status).body(Vec::new()).unwrap();
        }
        self.taken.push(String::from_utf8(request.body().clone()).unwrap());
        http::Response::new(Vec::new())
    }

    fn violations(&self) -> &[String] {
        &[]
    }
}

#[tokio::test]
async fn letters_are_tried_again_in_order_and_rests_are_kept() {
    let sink = Served::start(Anything::default(), Shop::new_clock()).await;
    sink.fake().refusals = vec![Refusal(503, Vec::new()), Refusal(429, vec![("retry-after", "2")])];
    let post = Post::new("test", retry_after);
    let began = Instant::now();
    for says in ["one", "two", "three"] {
        post.send(letter(&sink.base, says));
    }
    until(|| post.sent() == 3).await;
    // A second after the first failure, and what was asked for after the second.
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(sink.fake().taken, ["one", "two", "three"]);
    // What is refused for good is not tried again, and holds up nothing.
    sink.fake().refusals = vec![Refusal(400, Vec::new())];
    post.send(letter(&sink.base, "four"));
    post.send(letter(&sink.base, "five"));
    post.close().await;
    assert_eq!((post.sent(), post.dropped()), (4, 1));
    assert_eq!(sink.fake().taken.last().unwrap(), "five");
    post.send(letter(&sink.base, "too late"));
    assert_eq!(post.dropped(), 2);
}

#[tokio::test]
async fn a_box_that_is_full_drops_and_counts_and_a_stop_sends_the_rest() {
    let sink = Served::start(Anything::default(), Shop::new_clock()).await;
    let post = Post::new("test", retry_after);
    for n in 0..300 {
        post.send(letter(&sink.base, &n.to_string()));
    }
    // No carrier ran meanwhile: this is the only thread.
    assert_eq!(post.dropped(), 44);
    post.close().await;
    assert_eq!((post.sent(), post.dropped()), (256, 44));
    assert_eq!(sink.fake().taken.len(), 256);

    let post = Post::new("test", retry_after);
    post.send(letter(&sink.base, &"x".repeat(3 << 20)));
    post.send(letter(&sink.base, &"y".repeat(2 << 20)));
    assert_eq!(post.dropped(), 1);
}

#[tokio::test]
async fn whoever_is_gone_is_given_up_at_the_stop() {
    let post = Post::new("test", retry_after);
    post.send(letter("http://127.0.0.1:9/", "one"));
    post.send(letter("http://127.0.0.1:9/", "two"));
    let began = Instant::now();
    post.close().await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!((post.sent(), post.dropped()), (0, 2));
}
