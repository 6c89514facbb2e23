//! The real binary and gateways of others: keys in the settings, `kill -9` while money moves, Stripe's own library,
//! and PayPal over HTTPS with a certificate authority of the system's.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use till::clock::{Clock, ManualClock, SystemClock};

use crate::fakes::paypal::{FakePayPal, Instrument};
use crate::fakes::serve::Served;
use crate::fakes::stripe::{FakeStripe, Outcome};
use crate::support::{Home, Server, python, till};

/// Of Stripe's library for Python, from PyPI.
const STRIPE_LIBRARY: &str = "stripe==16.1.0";

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(SystemClock.now()))
}

/// A shop with one product and one customer.
fn shop() -> Home {
    let home = Home::new();
    let csv = "handle,name,price,sku,stock_quantity\ntea,Tea,4,T-1,1000000\n";
    home.run_with(&["product", "import", "-"], csv).ok();
    let create = ["user", "create", "--email", "ann@example.com", "--role", "customer", "--password-stdin"];
    home.run_with(&create, "a fine password\n").ok();
    home
}

fn serve(home: &Home, settings: &[(&str, &str)]) -> Server {
    let mut command = home.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env_remove("TILL_PAYMENT__TEST__ENABLED").envs(settings.iter().copied());
    Server::start(command)
}

async fn post(url: &str, token: Option<&str>, key: Option<&str>, body: &Value) -> Option<(u16, Value)> {
    let client = till::http::outgoing().build().expect("a client");
    let mut request = client.post(url).header("Content-Type", "application/json").body(body.to_string());
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    Some((status, serde_json::from_slice(&answer.bytes().await.ok()?).unwrap_or_default()))
}

async fn log_in(base: &str) -> Option<String> {
    let login = json!({"email": "ann@example.com", "password": "a fine password"});
    let (_, said) = post(&format!("{base}/api/auth/login/"), None, None, &login).await?;
    said["access"].as_str().map(str::to_owned)
}

fn basket() -> Value {
    let address = json!({"name": "B", "line1": "1 High Street", "city": "Leeds", "country": "GB"});
    json!({"items": [{"product_id": 1, "quantity": 1}], "shipping_address": address})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_while_money_moves_loses_none_of_it() {
    let (home, stripe) = (shop(), Arc::new(Served::start(FakeStripe::new(), clock()).await));
    let base = stripe.base.clone();
    let settings = [
        ("TILL_PAYMENT__STRIPE__SECRET_KEY", "sk_test_fake"),
        ("TILL_PAYMENT__STRIPE__WEBHOOK_SECRET", "whsec_fake"),
        ("TILL_PAYMENT__STRIPE__API_BASE", base.as_str()),
    ];
    let paid = Arc::new(AtomicUsize::new(0));
    for round in 0..4 {
        let server = serve(&home, &settings);
        let buyers: Vec<_> = (0..4)
            .map(|n| {
                tokio::spawn(buy(
                    server.base.clone(),
                    format!("{round}-{n}"),
                    Arc::clone(&stripe),
                    Arc::clone(&paid),
                ))
            })
            .collect();
        let before = paid.load(Ordering::SeqCst);
        while paid.load(Ordering::SeqCst) < before + 8 + 3 * round {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        server.kill();
        for buyer in buyers {
            buyer.await.expect("it does not panic");
        }
    }
    // Most of what happened was never told: the shop finds out by itself, at its start and by hand.
    let _server = serve(&home, &settings);
    home.run(&["payment", "reconcile"]).ok();
    home.run(&["payment", "reconcile"]).ok();
    home.run(&["check"]).ok();
    let orders = home.run(&["order", "list", "--json", "--limit", "0"]).ok().out;
    let is_paid = |line: &&str| {
        let order: Value = serde_json::from_str(line).expect("JSON");
        order["payment_status"] == "paid"
    };
    let there = orders.lines().filter(is_paid).count();
    let intents = stripe.fake().intents();
    let succeeded = intents.iter().filter(|intent| intent["status"] == "succeeded").count();
    assert_eq!((there, succeeded), (paid.load(Ordering::SeqCst), paid.load(Ordering::SeqCst)));
    assert!(stripe.fake().refunds().is_empty(), "nobody paid for nothing");
    let report = home.run(&["payment", "report", "--json"]).json();
    assert_eq!(report["balance"], json!({"captured": "0.00", "refunded": "0.00", "surplus": "0.00"}));
    assert_eq!(report["total"]["payments"], there);
    let told = home.run(&["payment", "report"]).ok().out;
    assert!(told.contains("agree to the last cent"), "{told}");
    let csv = home.run(&["payment", "report", "--format", "csv"]).ok().out;
    assert!(csv.starts_with("date,provider,currency,payments,captured"), "{csv}");
}

/// Buys until the shop is gone. Each answer's secret is paid with; some of what happens is told to the shop.
async fn buy(base: String, name: String, stripe: Arc<Served<FakeStripe>>, paid: Arc<AtomicUsize>) {
    let Some(token) = log_in(&base).await else { return };
    for count in 0.. {
        let key = format!("{name}-{count}");
        let Some((status, payment)) =
            post(&format!("{base}/api/payment/"), Some(&token), Some(&key), &basket()).await
        else {
            return;
        };
        assert_eq!(status, 201, "{payment}");
        let secret = payment["client_secret"].as_str().expect("a secret").to_owned();
        stripe.fake().confirm(stripe.now(), &secret, Outcome::Succeed).expect("it can be paid");
        paid.fetch_add(1, Ordering::SeqCst);
        if count % 3 == 0 {
            let events = stripe.fake().take_events();
            for event in events {
                hook(&base, &event, &FakeStripe::signature("whsec_fake", stripe.now(), &event)).await;
            }
        }
    }
}

async fn hook(base: &str, event: &str, signature: &str) -> Option<u16> {
    let client = till::http::outgoing().build().expect("a client");
    let request = client.post(format!("{base}/api/payment/webhook/")).header("Stripe-Signature", signature);
    Some(request.body(event.to_owned()).send().await.ok()?.status().as_u16())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signatures_by_stripes_own_library_are_believed() {
    let (home, stripe) = (shop(), Served::start(FakeStripe::new(), clock()).await);
    let base = stripe.base.clone();
    let server = serve(
        &home,
        &[
            ("TILL_PAYMENT__STRIPE__SECRET_KEY", "sk_test_fake"),
            ("TILL_PAYMENT__STRIPE__WEBHOOK_SECRET", "whsec_by_the_library"),
            ("TILL_PAYMENT__STRIPE__API_BASE", base.as_str()),
        ],
    );
    let token = log_in(&server.base).await.expect("it runs");
    let url = format!("{}/api/payment/", server.base);
    let (_, payment) = post(&url, Some(&token), None, &basket()).await.expect("it runs");
    let secret = payment["client_secret"].as_str().expect("a secret").to_owned();
    stripe.fake().confirm(stripe.now(), &secret, Outcome::Succeed).expect("it can be paid");
    let events = stripe.fake().take_events();
    let python = python("stripe-library", "stripe", &[STRIPE_LIBRARY]);
    for event in &events {
        let script = "import sys, stripe; print(stripe.WebhookSignature.generate_signature_header(sys.argv[1], sys.argv[2]))";
        for (key, status) in [("whsec_by_the_library", 200), ("whsec_another", 400)] {
            let made = Command::new(&python).args(["-c", script, event, key]).output().expect("it runs");
            let signature = String::from_utf8(made.stdout).expect("ASCII");
            assert_eq!(hook(&server.base, event, signature.trim()).await, Some(status), "{signature}");
        }
    }
    home.run(&["payment", "reconcile"]).ok();
    let order = home.run(&["order", "show", "1", "--json"]).json();
    assert_eq!(order["payment_status"], "paid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paypal_over_https_with_the_systems_certificate_authorities() {
    let (home, paypal) = (shop(), Served::start_tls(FakePayPal::new(), clock()).await);
    paypal.fake().cert_url = format!("{}/v1/notifications/certs/CERT-1", paypal.base);
    let base = paypal.base.clone();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gateways/paypal-certs/root.pem");
    let server = serve(
        &home,
        &[
            ("SSL_CERT_FILE", root),
            ("TILL_PAYMENT__PAYPAL__CLIENT_ID", "paypal-client"),
            ("TILL_PAYMENT__PAYPAL__CLIENT_SECRET", "paypal-secret"),
            ("TILL_PAYMENT__PAYPAL__WEBHOOK_ID", "WH1TEST"),
            ("TILL_PAYMENT__PAYPAL__API_BASE", base.as_str()),
            ("TILL_PAYMENT__PAYPAL__CERT_HOSTS", "localhost"),
        ],
    );
    let token = log_in(&server.base).await.expect("it runs");
    let url = format!("{}/api/payment/", server.base);
    let (status, payment) = post(&url, Some(&token), None, &basket()).await.expect("it runs");
    assert_eq!((status, &payment["provider"]), (201, &json!("paypal")), "{payment}");
    let shown = home.run(&["payment", "show", "1", "--json"]).json();
    let reference = shown["reference"].as_str().expect("it was made").to_owned();
    paypal.fake().approve(paypal.now(), &reference, Instrument::Good).expect("it can be approved");
    let events = paypal.fake().take_events();
    let client = till::http::outgoing().build().expect("a client");
    for event in events {
        let mut request = client.post(format!("{}/api/payment/webhook/paypal/", server.base));
        for (name, value) in paypal.fake().signed(paypal.now(), &event) {
            request = request.header(name, value);
        }
        assert_eq!(request.body(event).send().await.expect("it runs").status().as_u16(), 200);
    }
    // The jobs are woken by the event, and capture.
    let mut order = Value::Null;
    for _ in 0..400 {
        order = home.run(&["order", "show", "1", "--json"]).json();
        if order["payment_status"] == "paid" {
            return;
        }
    }
    panic!("{order}");
}

/// Words, settings, and what is said.
type Case<'a> = (&'a [&'a str], Vec<(&'a str, &'a str)>, &'a str);

#[test]
fn settings_that_would_move_the_wrong_money_are_refused_with_what_to_do() {
    let live = ("TILL_PAYMENT__STRIPE__SECRET_KEY", "sk_live_51abc");
    let paypal = [("TILL_PAYMENT__PAYPAL__CLIENT_ID", "id"), ("TILL_PAYMENT__PAYPAL__CLIENT_SECRET", "s")];
    let cases: [Case<'_>; 6] = [
        (&["serve", "--demo"], vec![live], "live keys of stripe"),
        (&["serve", "--demo"], paypal.to_vec(), "live keys of paypal"),
        (&["serve"], vec![live, ("TILL_PAYMENT__TEST__ENABLED", "true")], "Switch it off"),
        (&["serve"], vec![("TILL_PAYMENT__STRIPE__SECRET_KEY", "pk_test_1")], "publishable key"),
        (&["serve"], vec![paypal[0]], "go together"),
        (&["serve"], [&paypal[..], &[("TILL_SHOP__CURRENCY", "KWD")]].concat(), "PayPal does not take KWD"),
    ];
    for (words, settings, wanted) in cases {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = till();
        command.args(words).args(["--listen", "127.0.0.1:0"]).envs(settings.clone());
        if !words.contains(&"--demo") {
            command.arg("--data-dir").arg(dir.path().join("data"));
        }
        let said = command.output().expect("it ends");
        let err = String::from_utf8(said.stderr).expect("UTF-8");
        assert!(said.status.code() == Some(2) && err.contains(wanted), "{settings:?}: {err}");
        assert!(!dir.path().join("data").exists(), "nothing was made");
        assert!(!err.contains("51abc"), "a secret in the log: {err}");
    }
}
