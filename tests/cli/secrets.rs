//! A day's business of a shop that logs all it can, and reports what fails: nothing of it that is a secret, or a
//! person's, is in the log or in a report, and what it leaves on the disk is for its own user alone.

use std::fs::File;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use till::clock::{Clock, ManualClock, SystemClock};

use crate::fakes::serve::Served;
use crate::fakes::sinks::{FakeRollbar, FakeSentry, ROLLBAR_TOKEN, SENTRY_KEY, dsn};
use crate::support::{Home, Server, repository};

/// Nobody says these words but the people of this test.
const NAME: &str = "Zebulon Quux";
const EMAIL: &str = "zebulon.quux@mailbox.example";
const PASSWORD: &str = "hunter-of-the-snark-1";
const NEW_PASSWORD: &str = "baker-of-the-bellman-2";
const WRONG_PASSWORD: &str = "boojum-all-along-3";
const STREET: &str = "77 Jubjub Lane";
const PHONE: &str = "+44 7700 900461";
const NOTE: &str = "ring twice for the Bandersnatch";
const STRIPE_KEY: &str = "sk_test_51FrumiousStripeKey";
const STRIPE_HOOK: &str = "whsec_FrumiousHookSecret";
const PAYPAL_SECRET: &str = "FrumiousPayPalSecret";
const SMTP_PASSWORD: &str = "FrumiousMailPassword";
const BACKUP_PASSPHRASE: &str = "frumious words for backups";

struct Shopper<'a> {
    server: &'a Server,
    http: reqwest::Client,
    token: String,
}

impl Shopper<'_> {
    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let method = method.parse().unwrap();
        let mut asking = self.http.request(method, format!("{}{path}", self.server.base));
        if !self.token.is_empty() {
            asking = asking.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            asking = asking.header("Content-Type", "application/json").body(body.to_string());
        }
        let answer = asking.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null))
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask("POST", path, Some(body)).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }
}

/// The shop under a umask that forbids nothing, with all its log.
fn serve(home: &Home, log: &Path, sentry: &Served<FakeSentry>, rollbar: &Served<FakeRollbar>) -> Server {
    let own = home.command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut command = Command::new("sh");
    command.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(own.get_program()).args(own.get_args());
    command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    for (name, value) in [
        ("TILL_LOG__LEVEL", "trace"),
        ("TILL_ERRORS__SENTRY_DSN", &dsn(&sentry.base)),
        ("TILL_ERRORS__ROLLBAR_TOKEN", ROLLBAR_TOKEN),
        ("TILL_ERRORS__ROLLBAR_URL", &format!("{}/api/1/item/", rollbar.base)),
        ("TILL_PAYMENT__STRIPE__SECRET_KEY", STRIPE_KEY),
        ("TILL_PAYMENT__STRIPE__WEBHOOK_SECRET", STRIPE_HOOK),
        ("TILL_PAYMENT__STRIPE__API_BASE", "http://127.0.0.1:9"),
        ("TILL_PAYMENT__PAYPAL__CLIENT_ID", "client"),
        ("TILL_PAYMENT__PAYPAL__CLIENT_SECRET", PAYPAL_SECRET),
        ("TILL_PAYMENT__PAYPAL__API_BASE", "http://127.0.0.1:9"),
        ("TILL_PAYMENT__PAYPAL__RETURN_URL", "https://shop.example.com"),
        ("TILL_MAIL__SMTP_URL", &format!("smtps://shop:{SMTP_PASSWORD}@127.0.0.1:9")),
        ("TILL_MAIL__FROM", "shop@example.com"),
        ("TILL_SERVER__PUBLIC_URL", "https://shop.example.com"),
        ("TILL_BACKUP__PASSPHRASE", BACKUP_PASSPHRASE),
    ] {
        command.env(name, value);
    }
    command.stdin(Stdio::null());
    Server::start_with_log(command, File::options().create(true).append(true).open(log).unwrap().into())
}

/// Every path below `dir`, with its permissions.
fn modes(dir: &Path, found: &mut Vec<(PathBuf, u32)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let about = path.symlink_metadata().unwrap();
        found.push((path.clone(), about.permissions().mode() & 0o777));
        if about.is_dir() {
            modes(&path, found);
        } else {
            assert!(about.is_file() || about.file_type().is_socket(), "{}", path.display());
        }
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_log_nor_reports_have_secrets_and_the_disk_none_for_others() {
    let home = Home::new();
    let log = home.dir.path().join("log");
    home.run_with(&["product", "import", "-"], "handle,name,price,sku,stock_quantity\ntea,Tea,4,T-1,50\n")
        .ok();
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let sentry = Served::start(FakeSentry::default(), Arc::clone(&clock)).await;
    let rollbar = Served::start(FakeRollbar::default(), clock).await;
    let server = serve(&home, &log, &sentry, &rollbar);
    let secrets = a_day(&home, &server).await;
    // HTTP/2 has layers of its own that could tell.
    let url = format!("{}/api/orders/", server.base);
    let header = format!("Authorization: Bearer {}", secrets[0]);
    let curl =
        Command::new("curl").args(["-s", "--http2-prior-knowledge", "-H", &header, &url]).output().unwrap();
    assert!(curl.status.success(), "{curl:?}");

    let mut found = vec![(home.path(), home.path().metadata().unwrap().permissions().mode() & 0o777)];
    modes(&home.path(), &mut found);
    assert!(found.iter().any(|(path, _)| path.ends_with("till.sock")), "{found:?}");
    for (path, mode) in found {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{} is {mode:o}", path.display());
    }
    assert_eq!(server.stop(), Some(0));

    let log = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
    assert!(log.contains("/api/orders") && log.contains("TRACE"), "it is the whole log");
    let words = [
        NAME,
        "Zebulon",
        "zebulon.quux",
        PASSWORD,
        NEW_PASSWORD,
        WRONG_PASSWORD,
        STREET,
        "Jubjub",
        PHONE,
        "900461",
        NOTE,
        "Bandersnatch",
        STRIPE_KEY,
        STRIPE_HOOK,
        PAYPAL_SECRET,
        SMTP_PASSWORD,
        BACKUP_PASSPHRASE,
    ];
    let (sentry, rollbar) = (sentry.fake(), rollbar.fake());
    let told: Vec<_> = sentry.events.iter().map(|event| &event["transaction"]).collect();
    assert!(told.contains(&&json!("POST /api/payment/")), "a gateway that is not there: {told:?}");
    assert!(told.contains(&&Value::Null), "a mail server that is not there: {told:?}");
    assert_eq!(sentry.events.len(), rollbar.items.len());
    for secret in words.iter().map(|word| (*word).to_owned()).chain(secrets) {
        for (place, text) in [("log", &log), ("Sentry", &sentry.raw), ("Rollbar", &rollbar.raw)] {
            let line = text.lines().find(|line| line.contains(&secret));
            assert_eq!(line, None, "{place} has {secret:?}");
        }
    }
    for key in [SENTRY_KEY, ROLLBAR_TOKEN] {
        assert!(!log.contains(key), "the log has {key}");
    }
}

/// What customers and staff do in a day; the secrets that they were given.
async fn a_day(home: &Home, server: &Server) -> Vec<String> {
    let http = till::http::outgoing().build().unwrap();
    let mut ann = Shopper { server, http, token: String::new() };
    let made =
        ann.post("/api/auth/register/", json!({"email": EMAIL, "password": PASSWORD, "name": NAME})).await;
    let mut secrets = vec![text(&made, "access"), text(&made, "refresh")];
    let wrong = json!({"email": EMAIL, "password": WRONG_PASSWORD});
    assert_eq!(ann.ask("POST", "/api/auth/login/", Some(wrong)).await.0, 401);
    ann.token.clone_from(&secrets[0]);
    assert_eq!(ann.ask("PATCH", "/api/auth/me/", Some(json!({"name": NAME, "nmae": PASSWORD}))).await.0, 422);
    ann.post("/api/cart/", json!({"product_id": 1, "quantity": 2})).await;
    let address = json!({"name": NAME, "line1": STREET, "city": "Leeds", "postal_code": "LS1 1AA", "country": "GB", "phone": PHONE});
    let order = ann.post("/api/orders/", json!({"shipping_address": address, "note": NOTE})).await;
    let id = &order["id"];
    // A gateway that is not there, and the one for trials.
    ann.ask("POST", "/api/payment/", Some(json!({"order_id": id, "provider": "stripe"}))).await;
    let (status, _) = ann.ask("GET", &format!("/api/orders/{id}/"), None).await;
    assert_eq!(status, 200);
    ann.post("/api/cart/", json!({"product_id": 1, "quantity": 1})).await;
    let other = ann.post("/api/orders/", json!({"shipping_address": address})).await;
    let payment = ann.post("/api/payment/", json!({"order_id": other["id"], "provider": "test"})).await;
    ann.post(&format!("/api/payment/test/{}/", payment["id"]), json!({"outcome": "succeed"})).await;
    let paid = ann.ask("GET", &format!("/api/orders/{}/", other["id"]), None).await.1;
    let link = text(&paid, "invoice_url");
    let link = link.strip_prefix("https://shop.example.com").unwrap_or(&link).to_owned();
    assert!(ann.http.get(format!("{}{link}", server.base)).send().await.unwrap().status().is_success());
    secrets.push(link.split("signature=").nth(1).unwrap().to_owned());
    // Who sends an event that is none, and bodies that are none.
    let event = ann.http.post(format!("{}/api/payment/webhook/", server.base));
    event.header("Stripe-Signature", format!("t=1,v1={STRIPE_HOOK}")).body(NOTE).send().await.unwrap();
    let broken =
        ann.http.post(format!("{}/api/auth/login/", server.base)).header("Content-Type", "application/json");
    broken.body(format!("{{\"email\": \"{EMAIL}\", \"password\": \"{PASSWORD}\"")).send().await.unwrap();

    ann.post("/api/auth/password/reset/", json!({"email": EMAIL})).await;
    // The answer does not wait for the mail.
    let until = Instant::now() + Duration::from_secs(20);
    let mail = loop {
        let listed = home.run(&["mail", "list", "--json", "--limit", "0"]).ok().out;
        let mut mails = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        match mails.find(|mail| mail["kind"] == "password_reset") {
            Some(mail) => break mail,
            None => assert!(Instant::now() < until, "there is no mail: {listed}"),
        }
    };
    let shown = text(&home.run(&["mail", "show", &mail["id"].to_string(), "--json"]).json(), "text");
    let reset = shown.split("token=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    ann.token.clear();
    ann.post("/api/auth/password/reset/confirm/", json!({"token": reset, "new_password": NEW_PASSWORD}))
        .await;
    secrets.push(reset);
    let login = ann.post("/api/auth/login/", json!({"email": EMAIL, "password": NEW_PASSWORD})).await;
    secrets.extend([text(&login, "access"), text(&login, "refresh")]);

    home.run_with(
        &["user", "create", "--email", "boss@example.com", "--role", "admin", "--password-stdin"],
        PASSWORD,
    )
    .ok();
    let secret =
        text(&home.run(&["token", "create", "--name", "sync", "--scopes", "all", "--json"]).json(), "secret");
    assert_eq!(server.run(&secret, &["order", "list"]).code, 0);
    secrets.push(secret);
    let [to, orders, invoice] =
        ["all.backup", "orders.csv", "invoice.pdf"].map(|name| home.dir.path().join(name));
    let [to, orders, invoice] = [&to, &orders, &invoice].map(|path| path.to_str().unwrap());
    home.run(&["backup", "create", "--out", to]).ok();
    home.run(&["backup", "create", "--keep"]).ok();
    home.run(&["order", "export", "--out", orders]).ok();
    home.run(&["order", "invoice", &other["id"].to_string(), "--out", invoice]).ok();
    for path in [to, orders, invoice] {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{path}");
    }
    home.run(&["compact"]).ok();
    home.run(&["keys", "rotate"]).ok();
    home.run(&[
        "product",
        "import",
        repository().join("tests/fixtures/products.jsonl").to_str().unwrap(),
        "--skip-bad",
    ]);
    home.run(&["order", "refund", &other["id"].to_string(), "--yes"]);
    secrets
}
