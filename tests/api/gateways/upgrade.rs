//! A data file that an earlier till wrote, from before there were gateways of others.

use std::sync::Arc;

use till::app::{App, DATA_FILE, Parts};
use till::clock::{Clock, ManualClock, Time};
use till::config::{Config, Flags};

#[tokio::test]
async fn a_file_of_the_first_format_opens_and_its_payments_go_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let old = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/shops/format-1.redb");
    std::fs::copy(old, dir.path().join(DATA_FILE)).expect("copied");
    let mut flags = Flags::default();
    flags.0.push(("data.dir", "test", dir.path().display().to_string()));
    flags.0.push(("payment.test.enabled", "test", "true".into()));
    let config = Config::load(None, [], &flags).expect("good settings");
    let clock = Arc::new(ManualClock::at(Time::parse("2026-11-23T07:00:00Z").expect("a time")));
    let open = || {
        let clock = Arc::clone(&clock) as Arc<dyn Clock>;
        App::open(Parts { clock, ..Parts::real(config.clone()).expect("parts") }).expect("it opens")
    };
    let app = open();
    assert_eq!(till::check::check(&app).expect("readable"), []);
    // Its customer had paid at the test gateway, and the shop was never told.
    till::jobs::run_due(&app).await;
    assert_eq!(till::check::check(&app).expect("readable"), []);
    let paid = app.store.read(|tx| till::payments::get(tx, till::id::PaymentId(4))).expect("it is there");
    assert_eq!((paid.status, paid.captured.minor), (till::payments::Status::Succeeded, 1800));
    drop(app);
    assert_eq!(till::check::check(&open()).expect("readable"), []);
}
