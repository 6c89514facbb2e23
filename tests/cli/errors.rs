//! What a real shop logs of what goes wrong, and tells a Sentry and a Rollbar of it.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use till::clock::{Clock, ManualClock, SystemClock};

use crate::fakes::serve::{Fake, Net, Served};
use crate::fakes::sinks::{FakeRollbar, FakeSentry, ROLLBAR_TOKEN, SENTRY_KEY, dsn};
use crate::support::{Home, Server, python};

/// What Sentry itself takes events in with, as a library.
const RELAY: &str = "sentry-relay==0.10.1";
const NORMALIZE: &str = "
import json, sys
from sentry_relay.processing import StoreNormalizer
for line in sys.stdin:
    found = StoreNormalizer().normalize_event(json.loads(line))
    print(json.dumps(found.get('errors') or []))
";

struct Sinks {
    sentry: Served<FakeSentry>,
    rollbar: Served<FakeRollbar>,
}

impl Sinks {
    async fn new() -> Sinks {
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        Sinks {
            sentry: Served::start(FakeSentry::default(), Arc::clone(&clock)).await,
            rollbar: Served::start(FakeRollbar::default(), clock).await,
        }
    }

    fn known_to(&self, command: &mut Command) {
        command.env("TILL_ERRORS__SENTRY_DSN", dsn(&self.sentry.base));
        command.env("TILL_ERRORS__ROLLBAR_TOKEN", ROLLBAR_TOKEN);
        command.env("TILL_ERRORS__ROLLBAR_URL", format!("{}/api/1/item/", self.rollbar.base));
    }

    /// Waits until each was told something.
    async fn have_something(&self) {
        let began = Instant::now();
        while self.sentry.fake().events.is_empty() || self.rollbar.fake().items.is_empty() {
            let faults =
                [self.sentry.fake().violations().to_vec(), self.rollbar.fake().violations().to_vec()];
            assert!(began.elapsed() < Duration::from_secs(30), "nothing is told: {faults:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A shop whose data is more than its cache holds.
fn large_shop() -> Home {
    let home = Home::new();
    let mut csv = String::from("handle,name,price,sku,stock_quantity,description\n");
    for n in 0..4000 {
        csv.push_str(&format!("p{n},Product {n},4,S-{n},50,{}\n", format!("word{n} ").repeat(250)));
    }
    home.run_with(&["product", "import", "-"], &csv).ok();
    home
}

/// Has garbage in the place of the data, but for the file's head.
fn damage(home: &Home) {
    let mut file = File::options().write(true).open(home.path().join("till.redb")).unwrap();
    let length = file.metadata().unwrap().len();
    file.seek(SeekFrom::Start(4096)).unwrap();
    file.write_all(&vec![7; length as usize - 4096]).unwrap();
}

async fn get(server: &Server, path: &str, id: &str) -> u16 {
    let client = till::http::outgoing().timeout(Duration::from_secs(60)).build().unwrap();
    let asking = client.get(format!("{}{path}", server.base)).header("X-Request-Id", id);
    asking.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_logged_and_told_with_its_request_place_and_calls() {
    let (home, sinks) = (large_shop(), Sinks::new().await);
    let log = home.dir.path().join("log");
    let mut command = home.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("TILL_LOG__FORMAT", "json").env("TILL_DATA__CACHE_MB", "4");
    sinks.known_to(&mut command);
    let server = Server::start_with_log(command, File::create(&log).unwrap().into());
    assert_eq!(get(&server, "/api/products/?search=nothing", "all-is-well").await, 200);
    assert_eq!(get(&server, "/api/orders/", "who-asks").await, 401);
    damage(&home);
    for n in 0..5 {
        assert_eq!(
            get(&server, &format!("/api/products/{}/", 700 * n + 9), &format!("broken-{n}")).await,
            500
        );
    }
    sinks.have_something().await;
    assert_eq!(server.stop(), Some(0));

    let (events, items) = (sinks.sentry.fake().events.clone(), sinks.rollbar.fake().items.clone());
    let of_panics: Vec<_> = events.iter().filter(|event| event["level"] == "fatal").collect();
    let [event] = of_panics.as_slice() else { panic!("{} panics were told", of_panics.len()) };
    assert_eq!(event["transaction"], "GET /api/products/{id}/");
    assert_eq!((&event["tags"]["request_id"], &event["tags"]["kind"]), (&json!("broken-0"), &json!("panic")));
    let exception = &event["exception"]["values"][0];
    assert!(event["extra"]["place"].as_str().unwrap().starts_with("redb-"), "{event:#}");
    let frames = exception["stacktrace"]["frames"].as_array().unwrap();
    assert!(frames.iter().any(|frame| frame["in_app"] == true), "{frames:#?}");
    assert!(!format!("{frames:?}").contains(env!("CARGO_MANIFEST_DIR")), "{frames:#?}");
    let crumbs = event["breadcrumbs"]["values"].as_array().unwrap();
    let request = crumbs.iter().find(|crumb| crumb["data"]["request_id"] == "all-is-well").unwrap();
    assert_eq!((&request["message"], &request["data"]["status"]), (&json!("request"), &json!("200")));
    assert_eq!(request["data"]["path"], Value::Null);
    let item = items.iter().find(|item| item["level"] == "critical").unwrap();
    assert_eq!((&item["context"], &item["title"]), (&event["transaction"], &exception["value"]));
    assert_eq!(item["body"]["trace"]["frames"].as_array().unwrap().len(), frames.len());
    as_sentry_takes_them(&events);

    let log = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let of = |id: &str, message: &str| {
        let is_it = |line: &&Value| {
            line["request_id"] == id && line["message"].as_str().unwrap().starts_with(message)
        };
        lines.iter().find(is_it).unwrap_or_else(|| panic!("no {message:?} of {id}")).clone()
    };
    let well = of("all-is-well", "request");
    assert_eq!((&well["level"], &well["route"]), (&json!("INFO"), &json!("/api/products/")));
    assert_eq!(
        (&well["method"], &well["status"], &well["path"]),
        (&json!("GET"), &json!(200), &json!("/api/products/"))
    );
    assert!(well["ms"].is_f64() && well["time"].is_string() && well["target"].is_string(), "{well}");
    assert_eq!(of("who-asks", "request")["code"], "not_authenticated");
    assert_eq!(of("broken-4", "panicked")["level"], "ERROR");
    let failed = of("broken-4", "request failed");
    assert!(failed["cause"].as_str().unwrap().contains("panicked"), "{failed}");
}

/// Has Sentry's own library read what was told.
fn as_sentry_takes_them(events: &[Value]) {
    let mut reading = Command::new(python("sentry-relay", "sentry_relay", &[RELAY]));
    reading.args(["-c", NORMALIZE]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut reading = reading.spawn().unwrap();
    let lines = events.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    reading.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let read = reading.wait_with_output().unwrap();
    let said = String::from_utf8(read.stdout).unwrap();
    assert_eq!(said.lines().collect::<Vec<_>>(), vec!["[]"; events.len()], "what Sentry says against them");
}

#[tokio::test(flavor = "multi_thread")]
async fn sinks_that_hang_hold_up_neither_the_shop_nor_its_stop() {
    let (home, sinks) = (Home::new(), Sinks::new().await);
    sinks.sentry.network(vec![Net::Late(Duration::from_secs(60)); 20]);
    sinks.rollbar.network(vec![Net::Late(Duration::from_secs(60)); 20]);
    home.run_with(&["product", "import", "-"], "handle,name,price,sku\ntea,Tea,4,T-1\n").ok();
    let mut command = home.command(&["serve", "--listen", "127.0.0.1:0"]);
    sinks.known_to(&mut command);
    // Whose failure is an error from the first moment on.
    command.env("TILL_MAIL__SMTP_URL", "smtp://127.0.0.1:9").env("TILL_MAIL__FROM", "shop@example.com");
    let server = Server::start(command);
    let client = till::http::outgoing().build().unwrap();
    let body = json!({"email": "ann@example.com", "name": "Ann", "password": "correct horse battery"});
    let asking = client.post(format!("{}/api/auth/register/", server.base));
    let asking = asking.header("Content-Type", "application/json").body(body.to_string());
    assert_eq!(asking.send().await.unwrap().status(), 201);
    sinks.have_something().await;
    let began = Instant::now();
    for n in 0..20 {
        assert_eq!(get(&server, "/api/products/tea/", &format!("r{n}")).await, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let began = Instant::now();
    assert_eq!(server.stop(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_is_sent_from_a_shop_that_runs_and_from_one_that_does_not() {
    let (home, sinks) = (Home::new(), Sinks::new().await);
    home.run_with(&["product", "import", "-"], "handle,name,price,sku\ntea,Tea,4,T-1\n").ok();
    let said = home.run(&["errors", "test"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("set errors.sentry_dsn or errors.rollbar_token"), "{}", said.err);

    let run = |words: &[&str]| {
        let mut command = home.command(words);
        sinks.known_to(&mut command);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let good = (Some(0), "sentry took a trial report\nrollbar took a trial report\n".to_owned());
    assert_eq!(run(&["errors", "test"]), good);
    let mut command = home.command(&["serve", "--listen", "127.0.0.1:0"]);
    sinks.known_to(&mut command);
    let server = Server::start(command);
    let said = home.run(&["errors", "test"]).ok();
    assert_eq!(said.out, good.1);
    assert_eq!(server.stop(), Some(0));
    assert_eq!((sinks.sentry.fake().events.len(), sinks.rollbar.fake().items.len()), (2, 2));

    let (_, shown) = run(&["config", "show"]);
    assert!(shown.contains("errors.sentry_dsn"), "{shown}");
    assert!(!shown.contains(SENTRY_KEY) && !shown.contains(ROLLBAR_TOKEN), "{shown}");
    for (name, value, fault) in [
        ("TILL_ERRORS__SENTRY_DSN", "https://sentry.example.com/1", "errors.sentry_dsn"),
        ("TILL_ERRORS__SENTRY_DSN", "https://key@sentry.example.com/shop", "the project is a number"),
        ("TILL_ERRORS__ROLLBAR_URL", "rollbar", "errors.rollbar_url"),
        ("TILL_SERVER__ENVIRONMENT", "two words", "server.environment"),
        ("TILL_ERRORS__ENVIRONMENT", "staging", "errors.environment is server.environment now"),
        ("TILL_ERRORS__SAMPLE_PERCENT", "0", "errors.sample_percent"),
    ] {
        let output = home.command(&["config", "check"]).env(name, value).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(fault), "{said}");
    }
}
