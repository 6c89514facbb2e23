//! For whoever watches the process.

use till::http::{Door, Inherited, Listeners};

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
}

#[tokio::test]
async fn what_runs_here_and_how_it_does_is_told_to_those_in_charge_alone() {
    let shop = Shop::open().await;
    let (admin, staff, buyer) = (shop.admin().await, shop.staff().await, shop.buyer().await);
    let members = |answer: serde_json::Value| -> Vec<String> {
        answer.as_object().expect("an object").keys().cloned().collect()
    };
    for somebody in [&staff, &buyer] {
        assert_eq!(members(somebody.get("/healthz").await.status(200).json), ["status"]);
        let ready = members(somebody.get("/readyz").await.status(200).json);
        assert_eq!(ready, ["demo", "payment", "status"]);
    }
    assert_eq!(members(shop.get("/healthz").await.status(200).json), ["status"]);
    assert_eq!(members(shop.get("/readyz").await.status(200).json), ["demo", "payment", "status"]);
    assert_eq!(members(admin.get("/healthz").await.status(200).json), ["status", "version"]);
    let ready = members(admin.get("/readyz").await.status(200).json);
    assert_eq!(
        ready,
        [
            "backup",
            "commit",
            "demo",
            "https",
            "mail",
            "payment",
            "refunds_failed",
            "restored",
            "status",
            "version"
        ]
    );
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

#[tokio::test]
async fn the_operations_door_leads_to_what_watches_the_process_and_to_nothing_else() {
    let shop = Shop::open().await;
    let (address, mut none) = ("127.0.0.1:0".parse().unwrap(), Inherited::default());
    let doors = Listeners::default().open(Door::Operations, address, &mut none).expect("a port");
    let running = doors.serve(&shop.app);
    let base = format!("http://{}", running.address(Door::Operations).expect("it is open"));
    let client = till::http::outgoing().build().expect("a client");
    let status = async |path: &str| {
        let answer = client.get(format!("{base}{path}")).send().await.expect("an answer");
        answer.status().as_u16()
    };
    for path in ["/metrics", "/healthz", "/readyz", "/readyz/"] {
        assert_eq!(status(path).await, 200, "{path}");
    }
    for path in ["/api/products/", "/api/docs/", "/api/admin/check/", "/", "/nothing"] {
        assert_eq!(status(path).await, 404, "{path}");
    }
    shop.get("/metrics").await.refused(404, "not_found");
    running.stop().await;
}
