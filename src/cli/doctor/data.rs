//! The shop itself: whether it works, what waits for a person, and whether its data is as it must be.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::super::CliError;
use super::super::client::{Payload, Shop};
use super::patient::{Here, Patient};
use crate::advice::{Advice, error, ok, warning};
use crate::clock::{Clock, SystemClock};
use crate::http::input::encode;

/// How long the check of all data may take.
const CHECKED_IN: Duration = Duration::from_secs(80);
/// A payment that is under way for so long is odd: bank debits take up to two weeks.
const LONG: Duration = Duration::from_hours(24 * 15);
const VERSION: &str = env!("CARGO_PKG_VERSION");

pub async fn state(patient: &Patient) -> Vec<Advice> {
    let shop = match &patient.shop {
        Here::Shop(shop) => shop,
        Here::None => {
            let dir = patient.config().data_dir.display();
            return vec![warning(
                format!("there is no shop in {dir} yet"),
                "`till serve` begins one; --data-dir names another directory",
            )];
        }
        Here::Closed(said) => {
            return vec![error(
                format!("it can't be opened: {said}"),
                "mend that; till serve could not start",
            )];
        }
    };
    let asked = if patient.ready.is_some() { patient.ready.clone() } else { patient.ask_ready().await };
    let Some((status, ready)) = asked else {
        return vec![error("it does not answer", "see that it runs, and look at its log")];
    };
    let mut found = vec![match (status, ready["status"].as_str()) {
        (200, _) if patient.is_running => ok("it runs, and can read and write"),
        (200, _) => ok("it is stopped, and its data can be read and written"),
        (_, Some("read_only")) => error(
            format!("it is read-only: {}", ready["reason"].as_str().unwrap_or("the disk takes no writes")),
            "make room on the disk, or see what is wrong with it; it sells again by itself",
        ),
        _ => error(format!("it answers {status}"), "look at its log"),
    }];
    if let Some(version) = ready["version"].as_str().filter(|version| *version != VERSION) {
        found.push(warning(
            format!("it runs till {version}, and this is till {VERSION}"),
            "restart the shop, or use its own till",
        ));
    }
    if patient.config.is_none() && ready["version"].is_null() {
        found.push(warning(
            "more is told only to those in charge",
            "give an administrator's API token with --token",
        ));
        return found;
    }
    found.extend(waiting(&ready));
    found.extend(stuck(shop).await);
    found
}

/// What waits for a person.
fn waiting(ready: &Value) -> Vec<Advice> {
    let mut found = Vec::new();
    if let Some(at) = ready["restored"]["restored_at"].as_str() {
        found.push(error(
            format!("its data was restored from a backup at {at}, and payments stand still until that is confirmed"),
            "`till payment reconcile` shows what the gateways know more; then add --after-restore",
        ));
    }
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    match count(&ready["mail"]["given_up"]) {
        0 => {}
        some => found.push(warning(
            format!("{some} mails of the last 30 days were given up"),
            "`till mail list --state given_up` says why; `till mail retry --given-up` sends them after all",
        )),
    }
    match count(&ready["refunds_failed"]) {
        0 => {}
        some => found.push(error(
            format!("{some} refunds failed at their gateway, and their money is still here"),
            "`till payment reconcile` lists them: refund again, or pay the customers some other way",
        )),
    }
    found
}

/// Payments that should have come to an end.
async fn stuck(shop: &Shop) -> Option<Advice> {
    let before = encode(&SystemClock.now().minus(LONG).to_string());
    let mut count = 0;
    for status in ["requires_payment", "requires_action", "processing"] {
        let path = format!("/api/admin/payments/?status={status}&created_before={before}&page_size=1");
        count += shop.get(&path).await.ok()?["count"].as_u64().unwrap_or(0);
    }
    (count > 0).then(|| {
        warning(
            format!("{count} payments are under way for more than {} days", LONG.as_secs() / 86_400),
            "`till payment reconcile` asks their gateways; `till payment list --status processing` shows some",
        )
    })
}

/// The invariants, over all that there is.
pub async fn check(patient: &Patient) -> Vec<Advice> {
    let Some(shop) = patient.opened() else { return Vec::new() };
    let asked = shop.call(Method::POST, "/api/admin/check/", Payload::Json(json!({"repair": false})));
    match timeout(CHECKED_IN, asked).await {
        Ok(Ok(report)) if report["ok"] == true => {
            let count = report["invariants"].as_array().map_or(0, Vec::len);
            vec![ok(format!("all {count} invariants hold"))]
        }
        Ok(Ok(report)) => {
            let count = report["findings"].as_array().map_or(0, Vec::len);
            let first = &report["findings"][0];
            let member = |name: &str| first[name].as_str().unwrap_or_default().to_owned();
            vec![error(
                format!(
                    "{count} things are not as they must be, such as {}: {}",
                    member("subject"),
                    member("detail")
                ),
                "`till check` lists them; indexes and counters are made anew by `till check --repair`",
            )]
        }
        // Who has no right to it was told so already.
        Ok(Err(_)) if patient.config.is_none() => Vec::new(),
        Ok(Err(CliError { said, .. })) => {
            vec![error(format!("it can't be checked: {said}"), "look at its log")]
        }
        Err(_) => vec![warning(
            format!("there is more of it than can be checked in {} s", CHECKED_IN.as_secs()),
            "`till check` takes the time that it needs",
        )],
    }
}
