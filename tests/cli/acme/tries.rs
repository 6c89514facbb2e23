//! Tries that fail: how a domain is proven the next time, when, and what a start or a full disk changes about it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use till::clock::Clock;
use till::http::outgoing;
use till::store::{Disk, FileDisk};

use super::{DAY, MONTHS, NAME, Shop, challenged, command, dir, now, serve, shows};
use crate::pebble::{Fault, Pebble};
use crate::support::{Home, free, run};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_proven_by_tls_is_proven_by_http_at_the_next_try() {
    let (pebble, home, clock) = (Pebble::start(MONTHS), dir(), now());
    // TLS does not come in where the authority looks.
    let elsewhere = free().to_string();
    let shop = Shop::open(home.path(), &pebble, &clock, &[("server.listen", &elsewhere)]);
    let failed = shop.step().await.failed.expect("no handshake came in");
    assert!(failed.said.starts_with("TLS-ALPN-01: ") && failed.said.contains(NAME), "{}", failed.said);
    assert_eq!(challenged(&pebble.asked()), 1, "the authority counts proofs that fail");
    let standing = shop.next_try().await;
    assert!(standing.failed.is_none(), "{standing:?}");
    assert!(shop.shown().await.is_some());
    assert_eq!(challenged(&pebble.asked()), 1);
    // What went well is tried first the next time.
    assert!(shop.later(DAY * 61).await.failed.is_none());
    assert!(challenged(&pebble.asked()) <= 1, "none where the authority takes the last one");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_authority_does_not_offer_is_not_waited_for() {
    let (pebble, home, clock) = (Pebble::start(MONTHS), dir(), now());
    pebble.hides("tls-alpn-01");
    let shop = Shop::open(home.path(), &pebble, &clock, &[]);
    let standing = shop.step().await;
    assert!(standing.failed.is_none(), "{standing:?}");
    shop.close().await;
    let other = Pebble::start(MONTHS);
    other.hides("-01");
    let shop = Shop::open(home.path(), &other, &clock, &[]);
    let failed = shop.step().await.failed.expect("there is no way left");
    assert!(failed.said.contains("offers no way to prove"), "{}", failed.said);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_do_not_lead_here_are_said_and_tried_again_later_each_time() {
    let (pebble, home, clock) = (Pebble::start(MONTHS), dir(), now());
    let (tls, http) = (free().to_string(), free().to_string());
    let settings = [("server.listen", tls.as_str()), ("https.http_listen", http.as_str())];
    let shop = Shop::open(home.path(), &pebble, &clock, &settings);
    let mut waits = Vec::new();
    for proof in ["TLS-ALPN-01", "HTTP-01", "TLS-ALPN-01"] {
        let standing = if waits.is_empty() { shop.step().await } else { shop.next_try().await };
        let failed = standing.failed.expect("nothing was proven");
        assert!(failed.said.starts_with(proof) && failed.said.contains(NAME), "{}", failed.said);
        waits.push((failed.next_at.0 - clock.now().0) / 60_000);
        assert_eq!(challenged(&pebble.asked()), 1, "one proof a try");
        shop.step().await;
        assert!(pebble.asked().is_empty(), "it waits");
    }
    assert!((5..=6).contains(&waits[0]) && (10..=11).contains(&waits[1]) && (20..=22).contains(&waits[2]));
    assert_eq!(shop.shown().await, None, "no certificate of another kind is shown");
    let ready =
        outgoing().build().expect("a client").get(format!("http://{http}/readyz")).header("host", NAME);
    let ready = ready.send().await;
    assert!(ready.is_err(), "it is sent on to where nobody can come yet");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_proof_is_tried_only_where_that_may_help() {
    let (pebble, home, clock) = (Pebble::start(MONTHS), dir(), now());
    let shop = Shop::open(home.path(), &pebble, &clock, &[]);
    let refuses = |kind: &str| {
        let error =
            json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "detail": "no", "status": 400});
        let order = json!({"status": "invalid", "authorizations": [], "finalize": "/", "error": error});
        ("/my-order/", Fault::Says(200, "application/json", Vec::new(), order.to_string()))
    };
    let mut standing = None;
    for (kind, proof) in [
        ("dns", "TLS-ALPN-01"),
        ("caa", "TLS-ALPN-01"),
        ("rateLimited", "TLS-ALPN-01"),
        ("connection", "TLS-ALPN-01"),
        ("unauthorized", "HTTP-01"),
        ("dns", "TLS-ALPN-01"),
    ] {
        pebble.fails([refuses(kind)]);
        let now = if standing.is_none() { shop.step().await } else { shop.next_try().await };
        let failed = now.failed.clone().expect("it was refused");
        assert!(failed.said.starts_with(proof) && failed.said.contains(kind), "{kind}: {}", failed.said);
        assert_eq!(challenged(&pebble.asked()), 1, "{kind}");
        standing = Some(now);
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_does_not_shorten_the_wait_unless_something_else_is_asked_for() {
    let (pebble, home, clock) = (Pebble::start(MONTHS), dir(), now());
    let kept = home.path().join("https/tries.json");
    let order = || ("/order-plz", Fault::Says(403, "application/problem+json", Vec::new(), "{}".into()));
    // Opens a shop anew each time, as in a restart loop; what it asked for, and how it stands.
    let start = async |settings: &[(&'static str, &str)]| {
        pebble.fails([order()]);
        let shop = Shop::open(home.path(), &pebble, &clock, settings);
        pebble.asked();
        let told = shop.app.https().expect("it speaks HTTPS").standing().failed;
        let failed = shop.step().await.failed.expect("it is refused");
        let has_tried = !pebble.asked().is_empty();
        shop.close().await;
        if !has_tried {
            assert_eq!(told.expect("it knows of the last try").said, failed.said);
        }
        (has_tried, failed.next_at)
    };
    let (has_tried, next) = start(&[]).await;
    assert!(has_tried);
    for _ in 0..3 {
        assert_eq!(start(&[]).await, (false, next));
    }
    clock.advance(Duration::from_mins(6));
    let (has_tried, next) = start(&[]).await;
    let wait = (next.0 - clock.now().0) / 60_000;
    assert!(has_tried && (10..=11).contains(&wait), "the second try in a row: {wait}");

    let two = format!("{NAME},www.{NAME}");
    assert!(start(&[("https.domain", &two)]).await.0, "other names");
    assert!(!start(&[("https.domain", &two)]).await.0);
    assert!(start(&[]).await.0, "the first names again");
    assert!(!start(&[]).await.0);
    std::fs::write(&kept, "no JSON").expect("written");
    assert!(start(&[]).await.0, "what can't be read keeps nobody waiting");
    assert!(!start(&[]).await.0);
    std::fs::remove_file(&kept).expect("it is there");
    std::fs::create_dir(&kept).expect("made");
    pebble.fails([order()]);
    let shop = Shop::open(home.path(), &pebble, &clock, &[]);
    assert!(shop.step().await.failed.is_some() && !pebble.asked().is_empty(), "nor does what is no file");
    shop.close().await;
    std::fs::remove_dir(&kept).expect("it is there");
    let other = Pebble::start(MONTHS);
    let shop = Shop::open(home.path(), &other, &clock, &[]);
    assert!(shop.step().await.failed.is_none(), "another authority");
    assert!(!kept.exists(), "all is well");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_of_renewal_does_not_put_off_an_order() {
    let (pebble, home, clock) = (Pebble::start(MONTHS), dir(), now());
    pebble.wants_renewal("2100-01-01T00:00:00Z", "2100-01-02T00:00:00Z");
    let shop = Shop::open(home.path(), &pebble, &clock, &[]);
    shop.step().await;
    let week = vec![("retry-after", "604800".to_owned())];
    pebble.fails([("/renewal/", Fault::Says(503, "text/html", week, String::new()))]);
    shop.step().await;
    // One that says what it replaces, and one that does not.
    pebble.fails([("/order-plz", Fault::Broken), ("/order-plz", Fault::Broken)]);
    let failed = shop.later(DAY * 82).await.failed.expect("a fault");
    assert!(failed.next_at.0 - clock.now().0 < 5 * 60_000, "{failed:?}");
    shop.close().await;
}

/// A disk that has no room when it is told so.
struct Full(FileDisk, Arc<AtomicBool>);

impl Disk for Full {
    fn open(&self) -> Result<redb::Database, redb::DatabaseError> {
        self.0.open()
    }

    fn name(&self) -> String {
        self.0.name()
    }

    fn room(&self) -> std::io::Result<()> {
        if self.1.load(Ordering::Relaxed) { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_whose_disk_takes_no_writes_looks_after_its_certificate_all_the_same() {
    let (pebble, home, clock) = (Pebble::start(MONTHS), dir(), now());
    let is_full = Arc::new(AtomicBool::new(false));
    let full = Full(FileDisk::new(home.path().join("till.redb"), 8 << 20), Arc::clone(&is_full));
    let shop = Shop::on(Box::new(full), home.path(), &pebble, &clock, &[]);
    is_full.store(true, Ordering::Relaxed);
    let _ = shop.app.store.probe().await;
    assert!(shop.app.store.trouble().is_some());
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let jobs = tokio::spawn(till::jobs::run(Arc::clone(&shop.app), stopped));
    shows(shop.tls).await;
    stop.send(true).expect("they run");
    jobs.await.expect("they end");
    shop.close().await;
}

/// Something that lies where a file is to be written to, whoever writes.
fn is_in_the_way(of: &Path) -> PathBuf {
    let block = of.with_extension("new");
    std::fs::create_dir(&block).expect("made");
    block
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_the_disk_does_not_take_is_kept_once_it_does() {
    let (pebble, home, clock) = (Pebble::start(MONTHS), dir(), now());
    let shop = Shop::open(home.path(), &pebble, &clock, &[]);
    let (file, tries) = (home.path().join("https/certificate.pem"), home.path().join("https/tries.json"));
    let block = is_in_the_way(&tries);
    let failed = shop.step().await.failed.expect("it waits");
    assert!(
        failed.said.contains("tries.json") && pebble.asked().is_empty(),
        "not even an account: {failed:?}"
    );
    std::fs::remove_dir(&block).expect("it is there");
    let block = is_in_the_way(&file);
    let failed = shop.next_try().await.failed.expect("it is not kept");
    assert!(failed.said.contains("can't be kept") && failed.said.contains("certificate.pem"), "{failed:?}");
    let first = shop.shown().await.expect("it is served");
    pebble.asked();
    assert!(shop.next_try().await.failed.is_some() && !file.exists());
    std::fs::remove_dir(&block).expect("it is there");
    let standing = shop.next_try().await;
    assert!(standing.failed.is_none() && file.exists(), "{standing:?}");
    assert_eq!(shop.shown().await.as_ref(), Some(&first));
    assert!(!pebble.asked().iter().any(|path| path.contains("order")), "there is no second one");

    // One that is good for a while yet is not renewed as long as nothing can be written.
    let block = is_in_the_way(&tries);
    let failed = shop.later(DAY * 61).await.failed.expect("it waits");
    assert!(failed.said.contains("tries.json") && failed.next_at > clock.now(), "{failed:?}");
    assert!(pebble.asked().is_empty());
    // In its last days it is, so that nobody is turned away.
    shop.later(DAY * 28).await;
    assert_ne!(shop.shown().await, Some(first));
    std::fs::remove_dir(&block).expect("it is there");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_are_told_why_there_is_no_certificate_and_when_the_next_try_is() {
    let (pebble, home) = (Pebble::start(MONTHS), Home::new());
    pebble.always(Some(Fault::Broken));
    let server = serve(&home, &pebble);
    let deadline = Instant::now() + Duration::from_secs(30);
    let told = loop {
        let mut doctor = command(&home, &pebble, &["doctor", "--offline", "--json"]);
        doctor.env("TILL_HTTPS__DOMAIN", NAME);
        let told = run(doctor).out;
        if told.contains("a new certificate could not be had: error sending request") {
            break told;
        }
        assert!(Instant::now() < deadline, "{told}");
    };
    let tries = std::fs::read(home.path().join("https/tries.json")).expect("it is kept");
    let tries: serde_json::Value = serde_json::from_slice(&tries).expect("JSON");
    let next = tries["next_at"].as_str().expect("a time");
    assert!(told.contains(&format!("the next try is at {next}")), "{told}");
    assert_eq!(server.stop(), Some(0));
}
