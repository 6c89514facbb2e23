//! The payment report, held against the orders.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{StripeShop, begun};
use crate::fakes::stripe::Outcome;
use crate::support::number;

#[tokio::test]
async fn what_was_taken_and_given_back_is_summed_by_day_and_provider_and_agrees_with_the_orders() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "10", 99).await;
    let (ann, staff, admin) = (shop.buyer().await, shop.staff().await, shop.admin().await);
    for quantity in [1, 2] {
        let (order, payment) = begun(&ann, tea.id, quantity).await;
        shop.confirm(&payment, Outcome::Succeed);
        shop.deliver().await;
        let back = json!({"amount": "2.50"});
        admin.post(&format!("/api/admin/orders/{order}/refund/"), back).await.status(201);
    }
    shop.later(Duration::from_hours(20));
    let order = ann.ordered(tea.id, 1).await;
    admin.post(&format!("/api/admin/orders/{order}/mark-paid/"), json!({"method": "cash"})).await.status(200);
    // Paid, cancelled, and paid again behind the shop's back.
    let (order, payment) = begun(&ann, tea.id, 1).await;
    shop.confirm(&payment, Outcome::Succeed);
    shop.deliver().await;
    ann.asks(Method::POST, &format!("/api/orders/{order}/cancel/")).send().await.status(200);
    shop.deliver().await;

    let report = staff.get("/api/admin/payments/report/").await.status(200).json;
    assert_eq!((&report["from"], &report["to"]), (&json!("2026-10-26"), &json!("2026-11-24")));
    let row = |date: &str, provider: &str| {
        let days = report["days"].as_array().expect("rows");
        days.iter()
            .find(|row| row["date"] == date && row["provider"] == provider)
            .cloned()
            .unwrap_or_default()
    };
    let first = row("2026-11-23", "stripe");
    for (name, value) in [
        ("payments", json!(2)),
        ("captured", json!("30.00")),
        ("refunded", json!("5.00")),
        // 2.9 % and 30 cents each.
        ("fees", json!("1.47")),
        ("net", json!("23.53")),
    ] {
        assert_eq!(first[name], value, "{name}");
    }
    assert_eq!(row("2026-11-24", "manual")["captured"], "10.00");
    assert_eq!(row("2026-11-24", "stripe")["refunded"], "10.00");
    assert_eq!(report["orders"], json!({"paid": 4, "total": "50.00", "refunded": "15.00"}));
    assert_eq!(report["balance"], json!({"captured": "0.00", "refunded": "0.00", "surplus": "0.00"}));
    let one = staff.get("/api/admin/payments/report/?from=2026-11-23&to=2026-11-23").await.status(200).json;
    assert_eq!((number(&one["total"]["payments"]), &one["balance"]["captured"]), (2, &json!("0.00")));
    let none = staff.get("/api/admin/payments/report/?to=2026-01-31").await.status(200).json;
    assert_eq!(none["days"], Value::Array(Vec::new()));
    let csv = staff.get("/api/admin/payments/report/?format=csv").await.status(200);
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(csv.text.lines().count(), 4, "{}", csv.text);
    for bad in ["from=yesterday", "from=2026-11-24&to=2026-11-23", "format=xml", "since=2026-11-23"] {
        staff.get(&format!("/api/admin/payments/report/?{bad}")).await.refused(422, "validation_error");
    }
}
