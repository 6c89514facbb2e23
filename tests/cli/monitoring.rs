//! What whoever watches over the shop is given: figures that Prometheus' own tools find nothing wrong with, a dashboard and
//! alerts that ask for nothing that isn't there, and telemetry that a collector takes in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Home, Server, free, python, repository};

/// A shop that runs, and where its operations door is.
struct Watched {
    server: Server,
    operations: String,
}

impl Watched {
    fn start(home: &Home, environment: &[(&str, &str)]) -> Watched {
        let log = home.dir.path().join("log");
        let mut command = home.command(&["serve", "--demo", "--listen", "127.0.0.1:0"]);
        command.env("TILL_SERVER__OPS_LISTEN", "127.0.0.1:0").envs(environment.iter().copied());
        let file = File::create(&log).expect("a file");
        let server = Server::start_with_log(command, Stdio::from(file));
        let said = fs::read_to_string(&log).expect("its log");
        let line =
            said.lines().find(|line| line.contains("whoever watches is answered")).expect("it says where");
        let address = line.rsplit_once("address=").expect("an address").1.trim();
        Watched { server, operations: format!("http://{address}") }
    }

    async fn ask(&self, path: &str) -> u16 {
        get(&format!("{}{path}", self.server.base)).await.status().as_u16()
    }

    async fn metrics(&self) -> String {
        get(&format!("{}/metrics", self.operations)).await.text().await.expect("whole")
    }

    /// The figures, once this one is among them.
    async fn metrics_with(&self, name: &str) -> String {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let text = self.metrics().await;
            if text.contains(name) {
                return text;
            }
            assert!(Instant::now() < until, "no {name} in {text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn get(url: &str) -> reqwest::Response {
    let client = till::http::outgoing().build().expect("a client");
    client.get(url).send().await.expect("an answer")
}

fn monitoring() -> PathBuf {
    repository().join("deploy/monitoring")
}

/// Runs promtool, which Debian has in its package `prometheus`.
fn promtool(words: &[&str], input: Option<&str>) -> String {
    let mut command = Command::new("promtool");
    command.args(words).current_dir(monitoring()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child =
        command.stderr(Stdio::piped()).spawn().expect("this test needs promtool (Debian: prometheus)");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.unwrap_or_default().as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "promtool {words:?}: {said}");
    said
}

#[test]
fn rules_and_configuration_are_good_and_the_rules_call_when_they_should() {
    promtool(&["check", "rules", "--lint-fatal", "alerts.yml"], None);
    promtool(&["check", "config", "--lint-fatal", "prometheus.yml"], None);
    promtool(&["test", "rules", "alerts_test.yml"], None);
}

/// The labels that each figure has, by its name.
fn labels_of(metrics: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).expect("a name"));
        let labels = found.entry(name.to_owned()).or_default();
        labels.extend(rest.split('"').step_by(2).filter_map(|part| {
            let name = part.trim_start_matches(['{', ',']).strip_suffix('=')?;
            Some(name.to_owned())
        }));
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// What an expression asks for: each figure, and the labels it is narrowed by.
fn asked_for(expression: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (at, word) in words(expression) {
        if !["till_", "http_server_", "process_"].iter().any(|prefix| word.starts_with(prefix)) {
            continue;
        }
        let rest = &expression[at + word.len()..];
        let within = rest.strip_prefix('{').filter(|rest| !rest.starts_with('{'));
        let braces = within.and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
        let labels = braces.split('"').step_by(2).filter_map(|part| {
            let name = part.trim_start_matches([',', ' ', '\n']).trim_end_matches(['=', '~', '!']);
            (!name.trim().is_empty()).then(|| name.trim().to_owned())
        });
        found.push((word.to_owned(), labels.collect()));
    }
    found
}

/// The words of a text that are outside of quotes, and where they begin.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let (mut begin, mut quoted) = (None, false);
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        if is_word(c) && !quoted {
            begin = begin.or(Some(at));
            continue;
        }
        if let Some(begin) = begin.take() {
            found.push((begin, &text[begin..at]));
        }
        quoted ^= c == '"';
    }
    found
}

/// Labels that Prometheus adds, or a histogram has.
const GIVEN: [&str; 3] = ["instance", "job", "le"];

/// What `expression` asks for and `known` does not have.
fn missing(expression: &str, known: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut missing = Vec::new();
    let asked = asked_for(expression);
    for (name, labels) in &asked {
        match known.get(name) {
            None => missing.push(name.clone()),
            Some(own) => {
                let strange =
                    labels.iter().filter(|label| !own.contains(*label) && !GIVEN.contains(&label.as_str()));
                missing.extend(strange.map(|label| format!("{name}{{{label}}}")));
            }
        }
    }
    // Sums are split by labels that what is summed has.
    for by in expression.split("by (").skip(1) {
        for label in by.split(')').next().unwrap_or_default().split(',').map(str::trim) {
            let has = |name: &String| known.get(name).is_some_and(|own| own.contains(label));
            if !GIVEN.contains(&label) && !asked.iter().any(|(name, _)| has(name)) {
                missing.push(format!("by ({label})"));
            }
        }
    }
    missing
}

/// Every expression of a dashboard.
fn expressions(of: &Value) -> Vec<String> {
    match of {
        Value::Object(members) => {
            let own = members.get("expr").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(members.values().flat_map(expressions)).collect()
        }
        Value::Array(items) => items.iter().flat_map(expressions).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn the_figures_are_as_prometheus_wants_them_and_have_all_that_dashboard_and_alerts_ask_for() {
    let home = Home::new();
    let certificate = repository().join("tests/fixtures/gateways/paypal-certs");
    let own = |name: &str| certificate.join(name).to_str().expect("UTF-8").to_owned();
    let (chain, key) = (own("localhost-chain.pem"), own("localhost.key.pem"));
    // With all that has figures of its own.
    let watched = Watched::start(
        &home,
        &[
            ("TILL_PAYMENT__STRIPE__SECRET_KEY", "sk_test_nobody"),
            ("TILL_PAYMENT__STRIPE__API_BASE", "http://127.0.0.1:1"),
            ("TILL_OTLP__ENDPOINT", "http://127.0.0.1:1"),
            ("TILL_BACKUP__DAILY_AT", "03:30"),
        ],
    );
    assert_eq!(watched.ask("/api/products/").await, 200);
    assert_eq!(watched.ask("/api/products/?ordering=nothing").await, 422);
    assert_eq!(watched.ask("/nothing").await, 404);
    assert_eq!(watched.ask("/metrics").await, 404, "not for the public");
    watched.metrics_with("till_data_live_bytes").await;
    let text = watched.metrics_with("till_backup_last_success_timestamp_seconds").await;
    let said = promtool(&["check", "metrics"], Some(&text));
    assert_eq!(said, "", "it finds something to say");

    let mut known = labels_of(&text);
    assert_eq!(watched.server.stop(), Some(0));
    // HTTPS alone has a certificate.
    let secure = Home::new();
    let watched = Watched::start(
        &secure,
        &[("TILL_HTTPS__CERT_FILE", &chain), ("TILL_HTTPS__KEY_FILE", &key), ("TILL_HTTPS__HTTP_LISTEN", "")],
    );
    let text = watched.metrics().await;
    promtool(&["check", "metrics"], Some(&text));
    known.extend(labels_of(&text).into_iter().filter(|(name, _)| name.starts_with("till_certificate_")));
    assert!(known.contains_key("till_certificate_expiry_timestamp_seconds"), "{text}");
    assert_eq!(watched.server.stop(), Some(0));

    let read = |name: &str| fs::read_to_string(monitoring().join(name)).expect("it is there");
    let dashboard: Value = serde_json::from_str(&read("grafana-dashboard.json")).expect("JSON");
    let panels = expressions(&dashboard);
    assert!(panels.len() > 40, "{}", panels.len());
    for expression in &panels {
        assert_eq!(missing(expression, &known), Vec::<String>::new(), "{expression}");
    }
    assert_eq!(missing(&read("alerts.yml"), &known), Vec::<String>::new());
    // The table of figures, too, and it leaves none out.
    let table = read("README.md");
    let named: BTreeSet<_> = asked_for(&table).into_iter().map(|(name, _)| name).collect();
    for name in named.iter().filter(|name| *name != "process_") {
        assert!(known.keys().any(|known| family(known) == *name), "{name} is in the table alone");
    }
    for name in known.keys().map(|name| family(name)).filter(|name| !name.starts_with("process_")) {
        assert!(named.contains(name), "{name} is not in the table");
    }
}

/// The name of the figure that a sample is of.
fn family(sample: &str) -> &str {
    let ends = ["_bucket", "_sum", "_count"];
    ends.into_iter().find_map(|end| sample.strip_suffix(end)).unwrap_or(sample)
}

/// A collector, whose log has what it takes in.
struct Rotel {
    child: Child,
    log: PathBuf,
    endpoint: String,
}

impl Rotel {
    fn start(dir: &Path) -> Rotel {
        let python = python("rotel", "rotel", &["rotel==0.0.1a15"]);
        let found = Command::new(python)
            .args([
                "-c",
                "import rotel, os; print(os.path.join(os.path.dirname(rotel.__file__), 'rotel-agent'))",
            ])
            .output()
            .expect("it runs");
        let agent = String::from_utf8(found.stdout).expect("UTF-8").trim().to_owned();
        let (http, grpc) = (free(), free());
        let log = dir.join("rotel.log");
        let file = File::create(&log).expect("a file");
        let mut command = Command::new(agent);
        command.args(["start", "--exporter", "blackhole", "--debug-log-verbosity", "detailed"]);
        command.args(["--debug-log", "traces", "--debug-log", "metrics"]);
        command.args(["--otlp-http-endpoint", &http.to_string(), "--otlp-grpc-endpoint", &grpc.to_string()]);
        command.arg("--pid-file").arg(dir.join("rotel.pid")).arg("--log-file").arg(dir.join("rotel.own"));
        command.stdout(file.try_clone().expect("a file")).stderr(file);
        let child = command.spawn().expect("it runs");
        let until = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(http).is_err() {
            assert!(Instant::now() < until, "{}", fs::read_to_string(&log).unwrap_or_default());
            std::thread::sleep(Duration::from_millis(50));
        }
        Rotel { child, log, endpoint: format!("http://{http}") }
    }

    /// What it has taken in, once all of `words` are among it.
    fn has(&self, words: &[&str]) -> String {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let text = fs::read_to_string(&self.log).expect("its log");
            let missing: Vec<_> = words.iter().filter(|word| !text.contains(**word)).collect();
            if missing.is_empty() {
                return text;
            }
            assert!(Instant::now() < until, "no {missing:?} in {text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_collector_takes_in_what_the_shop_tells_by_otlp() {
    let home = Home::new();
    let rotel = Rotel::start(home.dir.path());
    let watched = Watched::start(
        &home,
        &[
            ("TILL_OTLP__ENDPOINT", &rotel.endpoint),
            ("TILL_OTLP__TRACE_PERCENT", "100"),
            ("TILL_SERVER__ENVIRONMENT", "rehearsal"),
            ("TILL_OTLP__TEMPORALITY", "delta"),
        ],
    );
    let client = till::http::outgoing().build().expect("a client");
    let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let asking = client.get(format!("{}/api/products/", watched.server.base)).header("traceparent", caller);
    assert_eq!(asking.send().await.expect("an answer").status(), 200);
    // What is not sent yet goes out at the stop.
    assert_eq!(watched.server.stop(), Some(0));
    let text = rotel.has(&["GET /api/products/", "http.server.request.duration", "till.data.file"]);
    let span = text.split("Span #").find(|span| span.contains("GET /api/products/")).expect("it is there");
    for said in [
        "Trace ID       : 4bf92f3577b34da6a3ce929d0e0e4736",
        "Parent ID      : 00f067aa0ba902b7",
        "Kind           : SPAN_KIND_SERVER",
        "http.route: Str(/api/products/)",
        "http.response.status_code: Int(200)",
    ] {
        assert!(span.contains(said), "{said}: {span}");
    }
    let metric = text.split("-> Name: ").find(|one| one.starts_with("http.server.request.duration"));
    for said in
        ["Unit: s\n", "DataType: Histogram", "AGGREGATION_TEMPORALITY_DELTA", "ExplicitBounds #0: 0.00005"]
    {
        assert!(metric.is_some_and(|metric| metric.contains(said)), "{said}: {metric:?}");
    }
    assert!(
        text.contains("deployment.environment.name: Str(rehearsal)")
            && text.contains("service.name: Str(till)")
    );
}
