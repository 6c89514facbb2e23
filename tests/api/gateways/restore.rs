//! Yesterday's backup beside today's gateway.

use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use till::app::App;
use till::backup::Place;

use super::{PayPalShop, StripeShop, begun};
use crate::backup::backup_of;
use crate::fakes::paypal::Instrument;
use crate::fakes::stripe::Outcome;
use crate::support::Shop;

fn place<'a>(app: &App, dir: &'a Path) -> Place<'a> {
    Place { dir, currency: app.currency(), force: false, now: app.clock.now() }
}

#[tokio::test]
async fn orders_that_the_backup_does_not_know_are_not_refunded_until_somebody_says_so() {
    let key = ("auth.signing_key", "the same key on the old machine and the new one");
    let shop = StripeShop::with(&[key]).await;
    let tea = shop.product("Tea", "4.00", 50).await;
    let buyer = shop.named("ann@example.com", till::accounts::Role::Customer).await;
    // Yesterday: one order is paid, one is open.
    let (_, paid) = begun(&buyer, tea.id, 1).await;
    shop.confirm(&paid, Outcome::Succeed);
    shop.deliver().await;
    let (open, open_payment) = begun(&buyer, tea.id, 2).await;
    let bytes = backup_of(&shop.app);
    // Today: the open one is paid, and there is a new one, which is paid too.
    shop.later(Duration::from_mins(20));
    shop.confirm(&open_payment, Outcome::Succeed);
    let late = shop.named("late@example.com", till::accounts::Role::Customer).await;
    let (_, lost) = begun(&buyer, tea.id, 3).await;
    shop.confirm(&lost, Outcome::Succeed);
    shop.deliver().await;

    // The machine is lost, and yesterday's backup is all there is. Its holds have run out long ago.
    let dir = tempfile::tempdir().expect("a directory");
    let mut tell = |_: &'static str, _, _| ControlFlow::Continue(());
    let done = till::backup::restore(Cursor::new(&bytes), &place(&shop.app, dir.path()), &mut tell)
        .expect("restored");
    assert!(done.report.ok);
    let again = till::backup::restore(Cursor::new(&bytes), &place(&shop.app, dir.path()), &mut tell);
    assert!(again.is_err_and(|error| error.to_string().contains("--force")));
    let settings = [
        key,
        ("payment.stripe.secret_key", "sk_test_fake"),
        ("payment.stripe.webhook_secret", "whsec_fake"),
        ("payment.stripe.api_base", shop.stripe.base.as_str()),
        ("payment.timeout_seconds", "1"),
    ];
    let restored = Shop::in_dir(dir, Arc::clone(&shop.clock), &settings, Vec::new()).await;
    restored.later(Duration::from_hours(3));
    let admin = restored.named("operator@example.com", till::accounts::Role::Admin).await;
    let ready = restored.request(Method::GET, "/readyz").token(&admin.access).send().await.status(200).json;
    let mark = ready["restored"].clone();
    assert!(mark["restored_at"].is_string(), "{mark}");

    // Whoever was logged in still is; a session that is not known any more is nobody else's.
    restored.request(Method::GET, "/api/auth/me/").token(&buyer.access).send().await.status(200);
    restored
        .request(Method::GET, "/api/auth/me/")
        .token(&late.access)
        .send()
        .await
        .refused(401, "token_invalid");

    let refunds = || shop.stripe.fake().refunds().len();
    for _ in 0..3 {
        restored.run_jobs().await;
        till::payments::reconcile_all(&restored.app, false).await.expect("readable");
        let report = admin.post("/api/admin/payments/reconcile/", json!({})).await.status(200).json;
        assert!(!report["restored"].is_null(), "{report}");
        let strays: Vec<_> = report["results"].as_array().expect("a list").iter().collect();
        assert!(strays.iter().any(|row| row["kind"] == "stray" && row["error"].is_string()), "{report}");
        restored.later(Duration::from_hours(1));
    }
    assert_eq!(refunds(), 0, "no money goes back by itself");
    assert_eq!(
        shop.stripe.fake().intents().iter().filter(|intent| intent["status"] == "canceled").count(),
        0
    );

    let report =
        admin.post("/api/admin/payments/reconcile/", json!({"after_restore": true})).await.status(200);
    assert!(report.json["restored"].is_null(), "{}", report.text);
    restored.run_jobs().await;
    // What was open in the backup is found to be paid; what nobody knows of went back on the operator's word.
    let order = admin.get(&format!("/api/admin/orders/{open}/")).await.status(200).json;
    assert_eq!((&order["status"], &order["payment_status"]), (&json!("processing"), &json!("paid")));
    assert_eq!(refunds(), 1);
    let back = shop.stripe.fake().refunds()[0]["amount"].clone();
    assert_eq!(back, json!(1200));
}

#[tokio::test]
async fn what_the_backup_has_open_is_neither_captured_nor_ended_until_somebody_says_so() {
    let shop = PayPalShop::open().await;
    let tea = shop.product("Tea", "4.00", 50).await;
    let ann = shop.buyer().await;
    let (order, payment) = begun(&ann, tea.id, 1).await;
    let reference = shop.reference(&payment).await;
    let bytes = backup_of(&shop.app);
    // Approved since, and given up here: she paid some other way, of which the backup knows nothing.
    shop.paypal.fake().approve(shop.paypal.now(), &reference, Instrument::Good).expect("it can be approved");

    let dir = tempfile::tempdir().expect("a directory");
    let mut tell = |_: &'static str, _, _| ControlFlow::Continue(());
    till::backup::restore(Cursor::new(&bytes), &place(&shop.app, dir.path()), &mut tell).expect("restored");
    let gateways = vec![PayPalShop::gateway(&shop.paypal, &shop.clock)];
    let restored = Shop::in_dir(dir, Arc::clone(&shop.clock), &[], gateways).await;
    let status = |reference: &str| {
        let orders = shop.paypal.fake().orders();
        let found = orders.iter().find(|order| order["id"] == reference).expect("it is there");
        found["status"].as_str().expect("text").to_owned()
    };
    let operator = restored.named("operator@example.com", till::accounts::Role::Admin).await;
    for _ in 0..3 {
        till::payments::reconcile_all(&restored.app, false).await.expect("readable");
        restored.run_jobs().await;
        operator.get(&format!("/api/payment/{}/", payment["id"])).await.status(200);
        restored.later(Duration::from_hours(1));
    }
    assert_eq!(status(&reference), "APPROVED", "no money is taken");
    let old = operator.get(&format!("/api/admin/orders/{order}/")).await.status(200).json;
    assert_eq!((&old["status"], &old["payment_status"]), (&json!("pending"), &json!("unpaid")));

    // Who buys now pays as ever.
    let bob = restored.named("bob@example.com", till::accounts::Role::Customer).await;
    restored.later(Duration::from_secs(1));
    let (new, payment) = begun(&bob, tea.id, 1).await;
    let shown = operator.get(&format!("/api/admin/payments/{}/", payment["id"])).await.status(200).json;
    let fresh = shown["reference"].as_str().expect("it was made").to_owned();
    shop.paypal.fake().approve(shop.paypal.now(), &fresh, Instrument::Good).expect("it can be approved");
    restored.run_jobs().await;
    bob.get(&format!("/api/payment/{}/", payment["id"])).await.status(200);
    assert_eq!(
        (status(&fresh).as_str(), bob.order(new).await["payment_status"].as_str()),
        ("COMPLETED", Some("paid"))
    );
    assert_eq!(status(&reference), "APPROVED");

    operator.post("/api/admin/payments/reconcile/", json!({"after_restore": true})).await.status(200);
    restored.run_jobs().await;
    let old = operator.get(&format!("/api/admin/orders/{order}/")).await.status(200).json;
    // Its hold ran out meanwhile: it was ended before it could be captured.
    assert_eq!((status(&reference).as_str(), &old["status"]), ("APPROVED", &json!("cancelled")));
}
