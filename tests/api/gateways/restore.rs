//! Yesterday's backup beside today's gateway.

use std::io::Cursor;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{StripeShop, begun};
use crate::backup::backup_of;
use crate::fakes::stripe::Outcome;
use crate::support::Shop;

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
    let done = till::backup::restore(Cursor::new(&bytes), dir.path(), false, &mut tell).expect("restored");
    assert!(done.report.ok);
    let again = till::backup::restore(Cursor::new(&bytes), dir.path(), false, &mut tell);
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
    let mark = restored.get("/readyz").await.status(200).json["restored"].clone();
    assert_eq!(mark["commit"], json!(done.header.commit));

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
