//! Certificates by ACME, from Pebble: a shop whose clock the test moves, and the real program.

mod tries;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use till::app::{App, Parts};
use till::certs::{Standing, look_after};
use till::clock::{Clock, ManualClock, SystemClock};
use till::config::{Config, Flags};
use till::http::{Door, Inherited, Listeners, Running, outgoing};
use till::store::{Disk, FileDisk};

use crate::pebble::{Fault, Pebble};
use crate::support::{Home, Server};

const NAME: &str = "shop.example.test";
const DAY: Duration = Duration::from_hours(24);
const MONTHS: Duration = Duration::from_hours(90 * 24);

/// A shop in this process, on a clock of its own.
struct Shop {
    app: Arc<App>,
    clock: Arc<ManualClock>,
    tls: SocketAddr,
    running: Option<Running>,
}

impl Shop {
    fn open(
        dir: &Path,
        pebble: &Pebble,
        clock: &Arc<ManualClock>,
        settings: &[(&'static str, &str)],
    ) -> Shop {
        let disk = FileDisk::new(dir.join("till.redb"), 8 << 20);
        Shop::on(Box::new(disk), dir, pebble, clock, settings)
    }

    fn on(
        disk: Box<dyn Disk>,
        dir: &Path,
        pebble: &Pebble,
        clock: &Arc<ManualClock>,
        settings: &[(&'static str, &str)],
    ) -> Shop {
        let path = |path: &Path| path.display().to_string();
        let mut all = vec![
            ("data.dir", path(dir)),
            ("server.listen", pebble.tls.to_string()),
            ("https.domain", NAME.into()),
            ("https.http_listen", pebble.http.to_string()),
            ("https.acme_directory", pebble.directory.clone()),
            ("https.acme_ca_file", path(&pebble.ca_file())),
        ];
        all.extend(settings.iter().map(|(key, value)| (*key, (*value).to_owned())));
        let flags = Flags(all.into_iter().map(|(key, value)| (key, "test", value)).collect());
        let config = Config::load(None, [], &flags).expect("good settings");
        let (tls, http) = (config.listen(), config.https_http_listen);
        let clock = Arc::clone(clock);
        let parts = Parts::real(config).expect("parts");
        let parts = Parts { clock: Arc::clone(&clock) as Arc<dyn Clock>, disk, ..parts };
        let app = App::open(parts).expect("it opens");
        app.begin_https().expect("good settings");
        let none = &mut Inherited::default();
        let mut doors = Listeners::default().open(Door::SecureShop, tls, none).expect("its port is free");
        if let Some(http) = http {
            doors = doors.open(Door::Redirect, http, none).expect("its port is free");
        }
        let running = Some(doors.serve(&app));
        Shop { app, clock, tls, running }
    }

    /// Does what is due by now.
    async fn step(&self) -> Standing {
        look_after(&self.app).await;
        self.app.https().expect("it speaks HTTPS").standing()
    }

    /// Waits until the next try is due, and has it.
    async fn next_try(&self) -> Standing {
        let standing = self.app.https().expect("it speaks HTTPS").standing();
        let next = standing.failed.expect("a try failed").next_at;
        let wait = u64::try_from(next.0 - self.clock.now().0).expect("it is to come");
        self.later(Duration::from_millis(wait)).await
    }

    async fn later(&self, span: Duration) -> Standing {
        self.clock.advance(span);
        self.step().await
    }

    /// The certificate that a handshake shows now.
    async fn shown(&self) -> Option<Vec<u8>> {
        handshake(self.tls, NAME).await
    }

    async fn close(mut self) {
        self.running.take().expect("it runs").stop().await;
    }
}

/// The certificate that a handshake shows, whoever it is from.
async fn handshake(address: SocketAddr, name: &str) -> Option<Vec<u8>> {
    let client = outgoing()
        .tls_danger_accept_invalid_certs(true)
        .resolve(name, address)
        .tls_info(true)
        .build()
        .expect("a client");
    let answer = client.get(format!("https://{name}:{}/healthz", address.port())).send().await.ok()?;
    let info = answer.extensions().get::<reqwest::tls::TlsInfo>().expect("it was asked for");
    info.peer_certificate().map(<[u8]>::to_vec)
}

fn now() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(SystemClock.now()))
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn challenged(asked: &[String]) -> usize {
    // One that came with a bad nonce is asked for again.
    asked.iter().filter(|path| path.contains("/chalZ/")).collect::<BTreeSet<_>>().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_had_kept_and_renewed() {
    let (pebble, home, clock) = (Pebble::start(MONTHS), dir(), now());
    let shop = Shop::open(home.path(), &pebble, &clock, &[("https.acme_email", "ann@example.com")]);
    assert_eq!(shop.shown().await, None, "before the first there is none");
    // An authority may take a nonce for a bad one at any time; RFC 8555, section 6.5: ask again with another.
    let problem = r#"{"type": "urn:ietf:params:acme:error:badNonce", "status": 400}"#;
    for path in ["/sign-me-up", "/order-plz", "/chalZ/", "/finalize-order/", "/certZ/"] {
        let bad = Fault::Says(400, "application/problem+json", Vec::new(), problem.to_owned());
        pebble.fails([(path, bad.clone()), (path, bad)]);
    }
    let standing = shop.step().await;
    assert!(standing.failed.is_none(), "{standing:?}");
    let (first, ends_at) = (shop.shown().await.expect("it has one"), standing.ends_at);
    let left = ends_at.expect("it has one").0 - clock.now().0;
    assert!((left - MONTHS.as_millis() as i64).abs() < 600_000, "{left}");
    assert_eq!(challenged(&pebble.asked()), 1, "one proof was enough");
    for (file, mode) in [("https", 0o700), ("https/certificate.pem", 0o600)] {
        let found = home.path().join(file).metadata().expect("it is there").permissions().mode();
        assert_eq!(found & 0o777, mode, "{file}");
    }

    // Nothing more is asked for until it is time.
    assert_eq!(shop.later(DAY * 55).await.ends_at, ends_at);
    assert!(!pebble.asked().iter().any(|path| path.contains("order")));
    shop.close().await;

    // After a start it is served at once, while the authority is away; and renewed at two thirds of its life.
    pebble.always(Some(Fault::Broken));
    let shop = Shop::open(home.path(), &pebble, &clock, &[]);
    assert_eq!(shop.shown().await.as_ref(), Some(&first));
    assert!(pebble.asked().is_empty());
    pebble.always(None);
    let standing = shop.later(DAY * 6).await;
    assert!(standing.failed.is_none(), "{standing:?}");
    assert_ne!(shop.shown().await, Some(first));
    assert!(!pebble.asked().iter().any(|path| path.contains("sign-me-up")), "the account is the same");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_down_or_wrong_takes_nothing_away() {
    let (pebble, home, clock) = (Pebble::start(MONTHS), dir(), now());
    let shop = Shop::open(home.path(), &pebble, &clock, &[]);
    let problem = |kind: &str| {
        format!(r#"{{"type": "urn:ietf:params:acme:error:{kind}", "detail": "not today", "status": 429}}"#)
    };
    let json = "application/problem+json";
    let says = |status, kind, text: &str| Fault::Says(status, kind, Vec::new(), text.to_owned());
    // The one that an authority which has proven the name before may not come to.
    pebble.fails([("/chalZ/", says(500, json, &problem("serverInternal").replace("429", "500")))]);
    let failed = shop.step().await.failed.expect("a fault");
    assert!(failed.said.contains("not today") && shop.shown().await.is_none(), "{failed:?}");
    let ends_at = shop.next_try().await.ends_at;
    let first = shop.shown().await.expect("it has one");
    let kept = std::fs::read(home.path().join("https/certificate.pem")).expect("it is kept");
    let stranger = {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec![NAME.to_owned()]).expect("names");
        params.self_signed(&key).expect("a certificate").pem()
    };
    let html = "text/html";
    let limited =
        |after: &str| Fault::Says(429, json, vec![("retry-after", after.to_owned())], problem("rateLimited"));
    // Where, what happens, what is said of it, the least number of minutes to wait.
    let faults: Vec<(&str, Fault, &str, i64)> = vec![
        ("/dir", Fault::Broken, "error sending request", 1),
        ("/dir", says(503, html, "<h1>down</h1>"), "503", 1),
        ("/dir", says(200, "application/json", "{}"), "JSON", 1),
        ("/nonce-plz", says(500, html, ""), "500", 1),
        ("/order-plz", limited("7200"), "not today", 120),
        ("/order-plz", limited("Fri, 31 Dec 2199 23:59:59 GMT"), "not today", 7 * 24 * 60),
        ("/order-plz", says(403, json, &problem("rejectedIdentifier")), "rejectedIdentifier", 5),
        ("/finalize-order/", says(502, html, "<h1>proxy</h1>"), "502", 1),
        ("/certZ/", says(200, "application/pem-certificate-chain", &stranger), "private key", 5),
        ("/certZ/", says(200, "application/pem-certificate-chain", "not one"), "no certificate", 5),
        ("/certZ/", Fault::Broken, "error sending request", 1),
    ];
    let mut standing = shop.later(DAY * 55).await;
    clock.advance(DAY * 5);
    for (at, fault, said, wait) in faults {
        println!("{at} {fault:?}");
        pebble.fails([(at, fault)]);
        standing = if standing.failed.is_none() { shop.step().await } else { shop.next_try().await };
        let failed = standing.failed.clone().expect("a fault");
        assert!(failed.said.contains(said), "{at}: {}", failed.said);
        assert!(failed.next_at.0 - clock.now().0 >= wait * 60_000, "{at}: {failed:?}");
        assert_eq!((standing.ends_at, shop.shown().await.as_ref()), (ends_at, Some(&first)), "{at}");
        assert_eq!(std::fs::read(home.path().join("https/certificate.pem")).expect("it is kept"), kept);
    }
    let standing = shop.next_try().await;
    assert!(standing.failed.is_none(), "{standing:?}");
    assert_ne!(shop.shown().await, Some(first));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_serves_while_its_authority_takes_its_time() {
    let (pebble, home, clock) = (Pebble::start(MONTHS), dir(), now());
    let shop = Shop::open(home.path(), &pebble, &clock, &[]);
    let first = shop.step().await.ends_at;
    clock.advance(DAY * 61);
    pebble.always(Some(Fault::Late(Duration::from_millis(300))));
    let mut renewing = Box::pin(shop.step());
    let (mut answered, mut longest) = (0, Duration::ZERO);
    let standing = loop {
        let asking = async {
            let began = Instant::now();
            assert!(shop.shown().await.is_some());
            began.elapsed()
        };
        tokio::select! {
            biased;
            standing = &mut renewing => break standing,
            took = asking => {
                answered += 1;
                longest = longest.max(took);
            }
        }
    };
    drop(renewing);
    println!("{answered} answers beside it, the slowest after {longest:?}");
    assert!(standing.failed.is_none() && answered > 10, "{standing:?}");
    assert!(standing.ends_at >= first);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_says_when_it_wants_a_certificate_renewed() {
    let (pebble, home, clock) = (Pebble::start(MONTHS), dir(), now());
    pebble.wants_renewal("2100-01-01T00:00:00Z", "2100-01-02T00:00:00Z");
    let shop = Shop::open(home.path(), &pebble, &clock, &[]);
    shop.step().await;
    let first = shop.shown().await.expect("it has one");
    shop.step().await;
    assert_eq!(shop.shown().await.as_ref(), Some(&first));
    assert_eq!(pebble.asked().iter().filter(|path| path.starts_with("/renewal/")).count(), 1);
    // It changes its mind, as when many certificates have to be taken back at once.
    pebble.wants_renewal("2001-01-01T00:00:00Z", "2001-01-02T00:00:00Z");
    shop.later(Duration::from_mins(30)).await;
    assert_eq!(shop.shown().await.as_ref(), Some(&first), "it is not asked all the time");
    shop.later(Duration::from_hours(6)).await;
    assert_ne!(shop.shown().await, Some(first));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_another_authority_and_a_lost_account_each_make_a_new_certificate() {
    let (pebble, home, clock) = (Pebble::start(MONTHS), dir(), now());
    let shop = Shop::open(home.path(), &pebble, &clock, &[]);
    shop.step().await;
    let first = shop.shown().await.expect("it has one");
    shop.close().await;

    let two = format!("{NAME},www.{NAME}");
    let shop = Shop::open(home.path(), &pebble, &clock, &[("https.domain", &two)]);
    assert_eq!(shop.shown().await.as_ref(), Some(&first), "the old one meanwhile");
    pebble.asked();
    let problem = r#"{"type": "urn:ietf:params:acme:error:accountDoesNotExist", "status": 400}"#;
    pebble.fails([("/order-plz", Fault::Says(400, "application/problem+json", Vec::new(), problem.into()))]);
    let standing = shop.step().await;
    assert!(standing.failed.is_none(), "{standing:?}");
    assert!(pebble.asked().iter().any(|path| path == "/sign-me-up"));
    let second = shop.shown().await.expect("it has one");
    assert_ne!(second, first);
    shop.close().await;

    let other = Pebble::start(MONTHS);
    let shop = Shop::open(home.path(), &other, &clock, &[("https.domain", &two)]);
    assert_eq!(shop.shown().await.as_ref(), Some(&second), "the old one meanwhile");
    assert!(shop.step().await.failed.is_none());
    assert_ne!(shop.shown().await, Some(second));
    let accounts = std::fs::read_dir(home.path().join("https")).expect("it is there").flatten();
    let accounts = accounts.filter(|file| file.file_name().to_string_lossy().starts_with("account-"));
    assert_eq!(accounts.count(), 2, "one at each authority");
    shop.close().await;
}

/// The real program, asked for a certificate of `pebble`'s.
fn serve(home: &Home, pebble: &Pebble) -> Server {
    let listen = pebble.tls.to_string();
    Server::start(command(home, pebble, &["serve", "--listen", &listen, "--domain", NAME]))
}

/// A command of the program whose authority is `pebble`.
fn command(home: &Home, pebble: &Pebble, words: &[&str]) -> Command {
    let mut command = home.command(words);
    command.env("TILL_HTTPS__HTTP_LISTEN", pebble.http.to_string());
    command.env("TILL_HTTPS__ACME_DIRECTORY", &pebble.directory);
    command.env("TILL_HTTPS__ACME_CA_FILE", pebble.ca_file());
    command
}

async fn shows(address: SocketAddr) -> Vec<u8> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(shown) = handshake(address, NAME).await {
            return shown;
        }
        assert!(Instant::now() < deadline, "there is no certificate");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_an_order_costs_nothing() {
    let (pebble, home) = (Pebble::start(MONTHS), Home::new());
    let steps = ["/sign-me-up", "/order-plz", "/chalZ/", "/finalize-order/", "/certZ/"];
    for step in steps {
        let server = serve(&home, &pebble);
        assert_eq!(server.base, format!("https://{}", pebble.tls));
        // The account is kept from the second time on.
        pebble.fails([(step, Fault::Late(Duration::from_mins(1)))]);
        let deadline = Instant::now() + Duration::from_secs(30);
        while !pebble.asked().iter().any(|path| path.contains(step)) {
            assert!(Instant::now() < deadline, "{step} is not asked for");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server.kill();
        // Who is killed again and again waits a little longer each time.
        let kept = home.path().join("https/tries.json");
        let told = std::fs::read_to_string(&kept).expect("tries are counted before they are made");
        assert!(told.contains("cut off"), "{told}");
        std::fs::remove_file(kept).expect("it is there");
    }
    let server = serve(&home, &pebble);
    let first = shows(pebble.tls).await;
    assert_eq!(server.stop(), Some(0));
    pebble.always(Some(Fault::Broken));
    let server = serve(&home, &pebble);
    assert_eq!(handshake(pebble.tls, NAME).await, Some(first), "at once, and without its authority");
    assert_eq!(server.stop(), Some(0));
}
