//! `till doctor` and `till healthcheck`: a good shop, and each thing broken on purpose, with what to do.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use till::clock::{Clock, ManualClock, SystemClock};

use crate::fakes::paypal::FakePayPal;
use crate::fakes::serve::Served;
use crate::fakes::stripe::FakeStripe;
use crate::mail::Postbox;
use crate::support::{Home, Said, Server, free, run};

/// Every secret that these tests put into settings begins so, and none may ever be shown.
const SECRET: &str = "s3cr3t";

/// Long enough for a job to run, on a busy machine.
const SOON: Duration = Duration::from_secs(60);

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(SystemClock.now()))
}

/// A command on defaults, without what tests of other things switch off.
fn command(home: &Home, words: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = home.command(words);
    command.env_remove("TILL_PAYMENT__TEST__ENABLED").env_remove("TILL_LIMITS__ENABLED");
    for (key, value) in settings {
        command.env(format!("TILL_{}", key.to_uppercase().replace('.', "__")), value);
    }
    command
}

/// What the doctor found, over settings that are given.
fn examined(home: &Home, settings: &[(&str, &str)]) -> Vec<Value> {
    let said = run(command(home, &["doctor", "--json"], settings));
    findings(&said)
}

#[track_caller]
fn findings(said: &Said) -> Vec<Value> {
    assert!(!said.out.contains(SECRET) && !said.err.contains(SECRET), "{said:?}");
    let document: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    let all = document["findings"].as_array().expect("a list").clone();
    let count = |level: &str| all.iter().filter(|finding| finding["level"] == level).count();
    assert_eq!(document["errors"], count("error"));
    assert_eq!(document["warnings"], count("warning"));
    assert_eq!((document["ok"] == true, said.code), (count("error") == 0, i32::from(count("error") > 0)));
    for finding in &all {
        let has_todo = finding["do"].is_string();
        assert_eq!(has_todo, finding["level"] != "ok", "what is wrong has something to do: {finding}");
    }
    all
}

/// That something was found, and what is to be done.
#[track_caller]
fn assert_found(all: &[Value], subject: &str, level: &str, says: &str) {
    let text = |finding: &Value, member: &str| finding[member].as_str().unwrap_or_default().to_owned();
    let is_it = |finding: &Value| {
        let words = format!("{} {}", text(finding, "says"), text(finding, "do"));
        finding["subject"] == subject && finding["level"] == level && words.contains(says)
    };
    let lines: Vec<_> = all.iter().map(ToString::to_string).collect();
    assert!(all.iter().any(is_it), "no {level} of {subject} with {says:?} in\n{}", lines.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_shop_has_no_error_and_no_warning() {
    let (home, stripe) = (Home::new(), Served::start(FakeStripe::new(), clock()).await);
    let (postbox, port) = (Postbox::start("starttls"), free().port());
    let url = format!("http://localhost:{port}");
    stripe.fake().webhook_endpoints = vec![json!({
        "id": "we_1", "object": "webhook_endpoint", "url": format!("{url}/api/payment/webhook/"),
        "status": "enabled", "enabled_events": ["*"], "api_version": "2024-06-20", "livemode": false, "metadata": {},
        "created": 1,
    })];
    let shelf = tempfile::tempdir_in("/dev/shm").expect("another disk");
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"{url}\"\n[shop]\naddress = \"1 High Street\"\n\
         [payment.stripe]\nsecret_key = \"sk_test_fake\"\nwebhook_secret = \"whsec_{SECRET}\"\napi_base = \"{}\"\n\
         [backup]\ndaily_at = \"00:00\"\nto = \"{}\"\npassphrase = \"{SECRET}-passphrase\"\n",
        stripe.base,
        shelf.path().display()
    );
    let file = home.dir.path().join("config.toml");
    fs::write(&file, config).expect("written");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("ours");
    let with_mail = |words: &[&str]| {
        let mut command = command(&home, words, &[]);
        postbox.reached_by(&mut command, crate::mail::STARTTLS);
        command.env_remove("TILL_SERVER__PUBLIC_URL");
        command
    };
    let server = Server::start(with_mail(&["serve"]));
    // The shop makes its first backup by itself.
    let begun = Instant::now();
    while !run(with_mail(&["backup", "list", "--json"])).out.contains(".backup") {
        assert!(begun.elapsed() < SOON, "the shop makes no backup");
        std::thread::sleep(Duration::from_millis(100));
    }
    let said = run(with_mail(&["doctor", "--json"]));
    let all = findings(&said);
    // How fast and how full this machine is, and whether it keeps its clock, is not the shop's doing.
    let of_shop = |finding: &&Value| {
        !["disk", "memory", "system", "clock"].iter().any(|own| finding["subject"] == *own)
    };
    let bad: Vec<_> = all.iter().filter(of_shop).filter(|finding| finding["level"] != "ok").collect();
    assert!(bad.is_empty(), "{bad:?}");
    assert_found(&all, "payments", "ok", "webhook endpoint");
    assert_found(&all, "mail", "ok", "lets the shop in");
    assert_found(&all, "backups", "ok", "the last good one was made 0 hours ago");
    assert_found(&all, "domain", "ok", "the shop answers at http://localhost");
    assert_found(&all, "ports", "ok", "the shop listens on");
    assert_found(&all, "shop", "ok", "it runs");
    assert_found(&all, "data", "ok", "invariants hold");
    assert_found(&all, "clock", "ok", "agrees with localhost");
    // The same for people, in the same order.
    let people = run(with_mail(&["doctor"]));
    assert_eq!(people.out.lines().filter(|line| !line.starts_with(' ')).count(), all.len(), "{}", people.out);
    assert!(people.out.starts_with("ok       settings  ") && people.err.contains("0 errors"), "{people:?}");
    let offline = findings(&run(with_mail(&["doctor", "--json", "--offline"])));
    assert_found(&offline, "mail", "ok", "--offline");

    // From afar less is seen, and with a token more than without.
    let token =
        home.run(&["token", "create", "--name", "doctor", "--scopes", "shop:read,payments:read", "--json"]);
    let token = token.json()["secret"].as_str().expect("a token").to_owned();
    let afar = findings(&server.run(&token, &["doctor", "--json"]));
    assert_found(&afar, "machine", "warning", "can't be seen from here");
    assert_found(&afar, "data", "ok", "invariants hold");
    let stranger = findings(&server.run("", &["doctor", "--json"]));
    assert_found(&stranger, "shop", "warning", "administrator's API token");
    assert!(stranger.iter().all(|finding| finding["subject"] != "data"), "{stranger:?}");
}

/// Settings; subject, level and words of what is found.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str, &'a str);

#[test]
fn dangerous_settings_are_told_with_what_to_do() {
    let home = Home::new();
    let domain = ("server.public_url", "http://shop.invalid");
    let cases: [Case<'_>; 11] = [
        (&[], "settings", "warning", "till init"),
        (&[], "settings", "warning", "server.public_url is not set"),
        (&[("payment.test.enabled", "true"), domain], "settings", "error", "no money at all"),
        (&[("payment.test.enabled", "true")], "settings", "warning", "no money at all"),
        (&[domain], "settings", "warning", "passwords travel"),
        (&[domain], "domain", "error", "add an A record"),
        (&[("limits.enabled", "false")], "settings", "warning", "limits.enabled is off"),
        (&[("server.cors_origins", "*")], "settings", "warning", "every site"),
        (&[("server.trusted_proxies", "10.0.0.1,0.0.0.0/0")], "settings", "error", "0.0.0.0/0"),
        (&[("orders.hold_minute", "5")], "settings", "error", "did you mean orders.hold_minutes?"),
        (&[], "shop", "warning", "`till serve` begins one"),
    ];
    for (settings, subject, level, says) in cases {
        assert_found(&examined(&home, settings), subject, level, says);
    }
    assert!(!home.path().exists(), "looking begins no shop");
}

#[test]
fn files_that_others_can_read_and_places_that_will_not_do_are_told() {
    let home = Home::new();
    home.run(&["user", "list"]);
    home.run_with(&["product", "import", "-"], "handle,name,price\ntea,Tea,4\n").ok();
    assert_found(&examined(&home, &[]), "files", "ok", "alone");
    assert_found(&examined(&home, &[]), "shop", "ok", "it is stopped");
    assert_found(&examined(&home, &[]), "data", "ok", "invariants hold");
    let mode = |path: &std::path::Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
    };
    mode(&home.path(), 0o755);
    assert_found(&examined(&home, &[]), "files", "error", "chmod 700");
    mode(&home.path(), 0o700);
    mode(&home.path().join("signing.key"), 0o644);
    assert_found(&examined(&home, &[]), "files", "error", "signing.key");
    mode(&home.path().join("signing.key"), 0o600);
    let file = home.dir.path().join("config.toml");
    fs::write(
        &file,
        format!("[payment.stripe]\nsecret_key = \"sk_test_{SECRET}\"\napi_base = \"http://127.0.0.1:9\"\n"),
    )
    .expect("written");
    mode(&file, 0o644);
    let all = examined(&home, &[]);
    assert_found(&all, "files", "error", "chmod 600");
    assert_found(&all, "payments", "error", "Stripe can't be asked");
    fs::remove_file(&file).expect("there");

    let on_same_disk = [("backup.daily_at", "03:30")];
    assert_found(&examined(&home, &on_same_disk), "backups", "warning", "the data's own disk");
    assert_found(&examined(&home, &on_same_disk), "backups", "warning", "none was made yet");
    fs::write(home.dir.path().join("shelf"), "no directory").expect("written");
    let shelf = home.dir.path().join("shelf").display().to_string();
    let no_directory = [("backup.daily_at", "03:30"), ("backup.to", shelf.as_str())];
    assert_found(&examined(&home, &no_directory), "backups", "error", "can't be listed");

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let own = format!("({})", std::process::id());
    assert_found(&examined(&home, &[("server.listen", &address)]), "ports", "error", &own);
    drop(taken);
    assert_found(&examined(&home, &[("server.listen", "192.0.2.1:80")]), "ports", "error", "can't listen");

    let nobody = [("mail.smtp_url", "smtp://ann:s3cr3t@127.0.0.1:9"), ("mail.from", "ann@example.com")];
    assert_found(&examined(&home, &nobody), "mail", "error", "does not let the shop in");
    let plain = [("mail.smtp_url", "smtp://127.0.0.1:9?tls=off"), ("mail.from", "ann@example.com")];
    assert_found(&examined(&home, &plain), "mail", "warning", "without encryption");

    fs::write(home.path().join("till.redb"), "no data").expect("written");
    assert_found(&examined(&home, &[]), "shop", "error", "can't be opened");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_at_stripe_is_told() {
    let (home, stripe) = (Home::new(), Served::start(FakeStripe::new(), clock()).await);
    let base = stripe.base.clone();
    let settings = [
        ("server.public_url", "https://shop.invalid"),
        ("payment.stripe.secret_key", "rk_test_fake"),
        ("payment.stripe.webhook_secret", "whsec_s3cr3t"),
        ("payment.stripe.api_base", base.as_str()),
    ];
    assert_found(&examined(&home, &settings), "payments", "error", "does not accept");
    stripe.fake().secret_key = "rk_test_fake".into();
    assert_found(&examined(&home, &settings), "payments", "ok", "a test key");
    assert_found(
        &examined(&home, &settings),
        "payments",
        "warning",
        "no webhook endpoint at Stripe points at",
    );
    stripe.fake().forbidden = vec!["charges".into(), "webhook_endpoints".into()];
    let all = examined(&home, &settings);
    assert_found(&all, "payments", "error", "may not read Charges");
    assert_found(&all, "payments", "warning", "may not read webhook endpoints");
    stripe.fake().forbidden.clear();
    let endpoint = |status: &str, events: &[&str], version: Option<&str>| {
        json!({
            "id": "we_1", "object": "webhook_endpoint", "url": "https://shop.invalid/api/payment/webhook",
            "status": status, "enabled_events": events, "api_version": version, "livemode": false, "metadata": {},
            "created": 1,
        })
    };
    for (endpoint, level, says) in [
        (endpoint("disabled", &["*"], None), "warning", "is disabled"),
        (endpoint("enabled", &["payment_intent.succeeded"], None), "warning", "charge.dispute.closed"),
        (endpoint("enabled", &["*"], Some("2019-12-03")), "warning", "2019-12-03"),
        (endpoint("enabled", &["*"], Some("2023-08-16")), "ok", "is on and sends all"),
        (endpoint("enabled", &["*"], None), "ok", "is on and sends all"),
    ] {
        stripe.fake().webhook_endpoints = vec![endpoint];
        assert_found(&examined(&home, &settings), "payments", level, says);
    }
    let without = examined(&home, &settings[1..2]);
    assert_found(&without, "settings", "warning", "server.public_url");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_at_paypal_is_told() {
    let (home, paypal) = (Home::new(), Served::start(FakePayPal::new(), clock()).await);
    let base = paypal.base.clone();
    let settings = |secret: &'static str, id: &'static str| {
        [
            ("server.public_url", "https://shop.invalid".to_owned()),
            ("payment.paypal.client_id", "paypal-client".to_owned()),
            ("payment.paypal.client_secret", secret.to_owned()),
            ("payment.paypal.webhook_id", id.to_owned()),
            ("payment.paypal.api_base", base.clone()),
        ]
    };
    let examined = |secret, id| {
        let settings = settings(secret, id);
        examined(&home, &settings.each_ref().map(|(key, value)| (*key, value.as_str())))
    };
    assert_found(&examined("s3cr3t", "WH1TEST"), "payments", "error", "does not accept the shop's keys");
    assert_found(&examined("paypal-secret", ""), "payments", "warning", "webhook_id is not set");
    let webhook = |url: &str, events: &[&str]| {
        let events: Vec<_> = events.iter().map(|name| json!({"name": name})).collect();
        vec![json!({"id": "WH1TEST", "url": url, "event_types": events})]
    };
    let here = "https://shop.invalid/api/payment/webhook/paypal/";
    paypal.fake().webhooks = webhook(here, &["*"]);
    let other = examined("paypal-secret", "WH2OTHER");
    assert_found(&other, "payments", "warning", "set payment.paypal.webhook_id to WH1TEST");
    assert_found(&examined("paypal-secret", "WH1TEST"), "payments", "ok", "sends all");
    paypal.fake().webhooks = webhook("https://other.invalid/hook", &["*"]);
    assert_found(&examined("paypal-secret", "WH1TEST"), "payments", "warning", "https://other.invalid/hook");
    paypal.fake().webhooks = webhook(here, &["PAYMENT.CAPTURE.COMPLETED"]);
    assert_found(&examined("paypal-secret", "WH1TEST"), "payments", "warning", "CUSTOMER.DISPUTE.CREATED");
}

/// Answers every request with these bytes, or never; where it listens.
fn answering(bytes: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(bytes.as_bytes());
            if bytes.is_empty() {
                held.push(stream);
            }
        }
    });
    base
}

#[test]
fn a_clock_that_is_off_is_told_by_how_far() {
    let home = Home::new();
    let past = answering(
        "HTTP/1.1 401 No\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    );
    let settings =
        [("payment.stripe.secret_key", "sk_test_s3cr3t"), ("payment.stripe.api_base", past.as_str())];
    assert_found(&examined(&home, &settings), "clock", "error", "s ahead of 127.0.0.1");
}

#[test]
fn a_certificate_that_ends_or_is_not_trusted_is_told() {
    let (home, port) = (Home::new(), free().port());
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.not_after = (std::time::SystemTime::now() + Duration::from_hours(84)).into();
    let certificate = params.self_signed(&key).expect("a certificate");
    let file = |name: &str, text: String| {
        let path = home.dir.path().join(name);
        fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let (chain, key) = (file("chain.pem", certificate.pem()), file("key.pem", key.serialize_pem()));
    let (listen, url) = (format!("127.0.0.1:{port}"), format!("https://localhost:{port}"));
    let settings = [
        ("server.listen", listen.as_str()),
        ("server.public_url", url.as_str()),
        ("https.cert_file", chain.as_str()),
        ("https.key_file", key.as_str()),
        ("https.http_listen", ""),
    ];
    let _server = Server::start(command(&home, &["serve"], &settings));
    let mut trusting = command(&home, &["doctor", "--json"], &settings);
    trusting.env("SSL_CERT_FILE", &chain);
    let all = findings(&run(trusting));
    assert_found(&all, "domain", "error", "the shop's certificate is good for 3 days");
    assert_found(&all, "domain", "ok", &format!("the shop answers at {url}"));
    assert_found(&all, "domain", "error", &format!("the certificate of {url} is good for 3 days"));
    assert_found(
        &examined(&home, &settings),
        "domain",
        "error",
        "can't be reached from here: invalid peer certificate",
    );
}

#[test]
fn a_restored_shop_is_told_to_be_confirmed() {
    let home = Home::new();
    home.run_with(&["product", "import", "-"], "handle,name,price\ntea,Tea,4\n").ok();
    home.run(&["backup", "create", "--out", "shop.backup"]).ok();
    home.run(&["restore", "shop.backup", "--force", "--yes"]).ok();
    assert_found(&examined(&home, &[]), "shop", "error", "--after-restore");
}

#[test]
fn healthcheck_says_whether_the_shop_is_well() {
    let home = Home::new();
    let stopped = run(command(&home, &["healthcheck"], &[("server.listen", "127.0.0.1:9")]));
    assert!(
        stopped.code == 1 && stopped.out.is_empty() && stopped.err.contains("can't be reached"),
        "{stopped:?}"
    );
    assert!(!home.path().exists(), "asking begins no shop");
    let server = home.serve();
    assert_eq!(home.run(&["healthcheck"]).ok().out, "ready\n");
    assert_eq!(home.run(&["healthcheck", "--live", "--json"]).json()["status"], "ok");
    assert_eq!(server.run("", &["healthcheck"]).ok().out, "ready\n");
    // Where the socket is out of reach, by the address of the settings.
    let elsewhere = Home::new();
    let address = server.base.strip_prefix("http://").expect("plain").to_owned();
    assert_eq!(
        run(command(&elsewhere, &["healthcheck"], &[("server.listen", &address)])).ok().out,
        "ready\n"
    );

    let full = "HTTP/1.1 503 No\r\nConnection: close\r\n\r\n{\"status\":\"read_only\",\"reason\":\"the disk is full\"}";
    let said = home.run(&["healthcheck", "--url", &answering(full)]);
    assert!(said.code == 1 && said.err.contains("read_only (503): the disk is full"), "{said:?}");
    let said = home.run(&["healthcheck", "--url", &answering(""), "--timeout", "1"]);
    assert!(said.code == 1 && said.err.contains("does not answer within 1 s"), "{said:?}");
}
