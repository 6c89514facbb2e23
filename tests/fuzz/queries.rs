//! Queries of every route that is read, lists above all: whatever is asked, the shop answers or says what is wrong.
//!
//! An input is `/path/?query`, all of it on one line.

use std::sync::LazyLock;

use serde_json::Value;

use super::shop::{self, Who};
use super::text::{filled, pick};

/// Every path that is read. Whether the shop is ready is no matter of the query, and backups have a directory.
static PATHS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let read = till::http::operations().into_iter().filter(|(verb, _)| *verb == "GET");
    read.flat_map(|(_, path)| filled(path))
        .filter(|path| path != "/readyz" && !path.contains("backup"))
        .collect()
});

pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (path, query) = text.split_once('?').unwrap_or((&text, ""));
    let target = format!("{}?{query}", pick(&PATHS, path.as_bytes(), |path| path.as_bytes()));
    shop::with(|shop| {
        for who in [Who::Customer, Who::Operator] {
            let came = shop.ask(who, "GET", &target, &[], b"");
            if came.status == 200
                && came.headers["content-type"] == "application/json"
                && let Value::Object(list) = serde_json::from_slice(&came.body).expect("JSON")
                && let Some(Value::Array(results)) = list.get("results")
            {
                let count = list["count"].as_u64().expect("a number");
                assert!(results.len() as u64 <= count.min(100), "{target}: {list:?}");
            }
        }
    });
}

pub fn seeds() -> Vec<Vec<u8>> {
    let queries = [
        "",
        "?page=1&page_size=2&ordering=-price&search=tea&min_price=1.00&max_price=20&in_stock=true",
        "?category=drinks&tags=green&min_rating=4.5&is_active=true&fields=id,name",
        "?status=pending&payment_status=paid&created_after=2026-01-01&created_before=2026-12-31T10:00:00Z&email=ann",
        "?format=html&expires=1795600000&signature=AAAA",
        "?format=csv&from=2026-01-01&to=2026-12-31&by=day&tz=UTC",
    ];
    let of = |path: &String| queries.map(|query| format!("{path}{query}").into_bytes());
    let once = |path: &&String| !path.contains("/2/") && !path.contains("/3/");
    PATHS.iter().filter(once).flat_map(of).collect()
}
