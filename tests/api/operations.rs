//! For whoever watches the process.

use crate::support::Shop;

#[tokio::test]
async fn the_test_gateway_is_said_loudly_in_readyz() {
    let shop = Shop::open().await;
    let ready = shop.get("/readyz").await.status(200).json;
    assert_eq!(
        (ready["status"].as_str(), ready["payment"][0]["mode"].as_str()),
        (Some("ready"), Some("test"))
    );
    assert!(ready["payment"][0]["warning"].as_str().unwrap().contains("no money"));
    let real = Shop::with(&[("payment.test.enabled", "false")]).await;
    assert_eq!(real.get("/readyz").await.status(200).json["payment"], serde_json::json!([]));
    shop.get("/healthz").await.status(200);
}

#[tokio::test]
async fn without_a_gateway_nothing_can_be_paid_and_the_test_route_is_not_there() {
    let shop = Shop::with(&[("payment.test.enabled", "false")]).await;
    let tea = shop.product("Tea", "4", 5).await;
    let ann = shop.buyer().await;
    let order = ann.ordered(tea.id, 1).await;
    ann.post("/api/payment/", serde_json::json!({"order_id": order})).await.faults(&["provider"]);
    ann.decides(1, serde_json::json!({"outcome": "succeed"})).await.refused(404, "not_found");
}

#[tokio::test]
async fn the_check_answers_over_http() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 5).await;
    shop.buyer().await.bought(tea.id, 1).await;
    let report =
        shop.admin().await.asks(reqwest::Method::POST, "/api/admin/check/").send().await.status(200).json;
    assert_eq!((&report["ok"], &report["findings"]), (&serde_json::json!(true), &serde_json::json!([])));
}
