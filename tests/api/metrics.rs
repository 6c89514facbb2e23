//! `/metrics`: what happened is counted, under the right route, status and state.

#![expect(clippy::float_cmp, reason = "counts are whole numbers")]

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::json;
use till::http::{Door, Inherited, Listeners};

use crate::fakes::serve::Net;
use crate::fakes::stripe::Outcome;
use crate::gateways::{StripeShop, begun};
use crate::support::Shop;

/// Every sample of a scrape by its name and labels, as they are written.
async fn scrape(shop: &Shop) -> BTreeMap<String, f64> {
    let (address, mut none) = ("127.0.0.1:0".parse().expect("an address"), Inherited::default());
    let door = Listeners::default().open(Door::Operations, address, &mut none).expect("a port");
    let running = door.serve(&shop.app);
    let url = format!("http://{}/metrics", running.address(Door::Operations).expect("it is open"));
    let answer = reqwest::get(url).await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text().await.expect("whole");
    running.stop().await;
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let read = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        (name.to_owned(), value.parse().expect("a number"))
    };
    samples.map(read).collect()
}

/// How many requests a scrape has of an operation that ended so.
fn requests(of: &BTreeMap<String, f64>, method: &str, route: &str, status: u16) -> f64 {
    let labels = format!(
        "http_request_method=\"{method}\",http_route=\"{route}\",http_response_status_code=\"{status}\""
    );
    of.get(&format!("http_server_request_duration_seconds_count{{{labels}}}")).copied().unwrap_or(0.0)
}

#[tokio::test]
async fn a_sale_is_seen_in_the_figures() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 6).await;
    let ann = shop.buyer().await;
    let before = scrape(&shop).await;
    ann.bought(tea.id, 6).await;
    ann.puts_in_cart(tea.id, 1).await.refused(409, "insufficient_stock");
    shop.request(Method::HEAD, &format!("/api/products/{}/", tea.id)).send_bare().await;
    let after = scrape(&shop).await;

    assert_eq!(requests(&after, "POST", "/api/orders/", 201), 1.0);
    assert_eq!(requests(&after, "POST", "/api/cart/", 201), 1.0);
    assert_eq!(requests(&after, "POST", "/api/cart/", 409), 1.0);
    assert_eq!(requests(&after, "GET", "/api/products/{id}/", 200), 1.0, "HEAD is answered as GET");
    let grew = |name: &str| after[name] - before[name];
    assert_eq!(grew("till_orders_total{status=\"pending\"}"), 1.0);
    assert_eq!(grew("till_orders_total{status=\"processing\"}"), 1.0);
    assert_eq!(grew("till_payments_total{provider=\"test\",status=\"succeeded\"}"), 1.0);
    assert_eq!(grew("till_products_sold_out"), 1.0);
    assert_eq!(grew("till_stock_low"), 1.0);
    assert!(grew("till_mails_total{state=\"waiting\"}") > 0.0);
    assert!(grew("till_commit_duration_seconds_count") >= 4.0);
    assert_eq!(grew("till_commit_duration_seconds_count"), grew("till_writer_batch_size_count"));
    assert!(after["till_cache_hits_total"] > 0.0 && after["till_data_file_bytes"] > 0.0);
    // The scrape itself has a connection, and is being answered.
    assert_eq!(
        (after["till_connections{door=\"operations\"}"], after["http_server_active_requests"]),
        (1.0, 1.0)
    );
    // What is in use is measured behind the first scrape's back.
    assert!(after["till_data_live_bytes"] > 0.0 && after["till_data_used_ratio"] <= 1.0);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_one_series_however_many_there_are() {
    let shop = Shop::open().await;
    let series = |of: &BTreeMap<String, f64>| {
        of.keys().filter(|name| name.starts_with("http_server_request_duration_seconds_count")).count()
    };
    shop.get("/nothing").await.status(404);
    let before = scrape(&shop).await;
    for n in 0..50 {
        shop.get(&format!("/nothing/{n}")).await.status(404);
        let method = Method::from_bytes(format!("M{n}").as_bytes()).expect("a method");
        shop.request(method, "/nothing").send().await.status(404);
    }
    let after = scrape(&shop).await;
    // One more is the first scrape.
    assert_eq!(series(&after), series(&before) + 1);
    let unknown = "http_server_request_duration_seconds_count{http_request_method=\"_OTHER\",http_response_status_code=\"404\"}";
    assert_eq!(after[unknown] - before[unknown], 100.0);
}

#[tokio::test]
async fn what_limits_turn_away_is_counted_and_whoever_watches_is_not_limited() {
    let shop = Shop::with(&[("limits.enabled", "true"), ("limits.requests", "3/hour")]).await;
    for _ in 0..3 {
        shop.get("/api/products/").await.status(200);
    }
    for _ in 0..4 {
        shop.get("/api/products/").await.refused(429, "rate_limited");
    }
    for _ in 0..5 {
        let figures = scrape(&shop).await;
        assert_eq!(figures["till_requests_limited_total{limit=\"requests\"}"], 4.0);
        assert_eq!(requests(&figures, "GET", "/api/products/", 429), 4.0);
    }
}

#[tokio::test]
async fn calls_to_gateways_are_timed_by_how_they_end() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "4", 50).await;
    let ann = shop.buyer().await;
    let calls = |of: &BTreeMap<String, f64>, outcome: &str| {
        let labels = format!("provider=\"stripe\",outcome=\"{outcome}\"");
        of[&format!("till_gateway_request_duration_seconds_count{{{labels}}}")]
    };
    let (order, payment) = begun(&ann, tea.id, 1).await;
    let open = scrape(&shop).await;
    assert_eq!(open["till_payments_open{status=\"requires_payment\"}"], 1.0);
    assert_eq!(open["till_webhook_events"], 0.0);
    shop.confirm(&payment, Outcome::Succeed);
    shop.deliver().await;
    let good = scrape(&shop).await;
    assert!(calls(&good, "success") >= 2.0, "made, and fetched");
    assert_eq!(good["till_payments_open{status=\"requires_payment\"}"], 0.0);
    assert_eq!(ann.order(order).await["payment_status"], "paid");

    let second = ann.ordered(tea.id, 1).await;
    shop.stripe.network([Net::Late(std::time::Duration::from_secs(3))]);
    ann.post("/api/payment/", json!({"order_id": second})).await;
    let late = scrape(&shop).await;
    assert_eq!(calls(&late, "timeout"), 1.0);
    shop.later(std::time::Duration::from_secs(120));
    shop.run_jobs().await;
    let found = shop.admin().await.get("/api/admin/payments/?page_size=1").await.status(200).json;
    assert_eq!(found["results"][0]["status"], "requires_payment", "it goes on with the same key");
}

#[tokio::test]
async fn what_waits_longest_of_what_gateways_told_is_known_whatever_is_tried_next() {
    let shop = StripeShop::open().await;
    let tea = shop.product("Tea", "4", 50).await;
    let ann = shop.buyer().await;
    let (_, first) = begun(&ann, tea.id, 1).await;
    let (_, second) = begun(&ann, tea.id, 1).await;
    shop.stripe.network(std::iter::repeat_n(Net::LostBefore, 200));
    shop.confirm(&first, Outcome::Succeed);
    shop.deliver().await;
    for _ in 0..4 {
        shop.later(std::time::Duration::from_mins(10));
        shop.run_jobs().await;
    }
    shop.confirm(&second, Outcome::Succeed);
    shop.deliver().await;
    let figures = scrape(&shop).await;
    assert_eq!(figures["till_webhook_events"], 2.0);
    let age = figures["till_webhook_events_age_seconds"];
    assert!((2400.0..3000.0).contains(&age), "{age}");
}
