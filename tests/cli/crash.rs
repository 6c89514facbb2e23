//! `kill -9` under load: what the client was answered is in the shop that starts again.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Home;

const ROUNDS: usize = 5;
const BUYERS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_before_kill_9_is_there_after_it() {
    let home = Home::new();
    home.run_with(
        &["product", "import", "-"],
        "handle,name,price,sku,stock_quantity\ntea,Tea,4,T-1,1000000\n",
    )
    .ok();
    for n in 0..BUYERS {
        let email = format!("buyer{n}@example.com");
        home.run_with(
            &["user", "create", "--email", &email, "--role", "customer", "--password-stdin"],
            "a fine password\n",
        )
        .ok();
    }
    // By idempotency key: the order that the shop answered with.
    let answered: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
    for round in 0..ROUNDS {
        let server = home.serve();
        let client = till::http::outgoing().build().unwrap();
        let buyers: Vec<_> = (0..BUYERS)
            .map(|n| tokio::spawn(buy(client.clone(), server.base.clone(), n, round, Arc::clone(&answered))))
            .collect();
        // Long enough to log in and place some orders; which of them the kill meets is left to chance.
        let before = answered.lock().unwrap().len();
        while answered.lock().unwrap().len() < before + 20 + 7 * round {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.kill();
        for buyer in buyers {
            buyer.await.unwrap();
        }
    }
    home.run(&["check"]).ok();
    let orders = home.run(&["order", "list", "--json", "--limit", "0"]).ok().out;
    let there: Vec<u64> = orders
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64().unwrap())
        .collect();
    let answered = answered.lock().unwrap().clone();
    assert!(answered.len() >= 20 * ROUNDS);
    for (key, order) in &answered {
        assert!(there.contains(order), "{key}: order {order} was answered and is gone");
    }
    let distinct: std::collections::BTreeSet<_> = answered.values().collect();
    assert_eq!(distinct.len(), answered.len(), "each key has an order of its own");
    // A key that was answered before the kills is answered the same after them.
    let server = home.serve();
    let client = till::http::outgoing().build().unwrap();
    let token = log_in(&client, &server.base, 0).await.expect("it runs");
    let (key, order) = answered.iter().find(|(key, _)| key.starts_with("0-")).expect("buyer 0 bought");
    assert_eq!(place(&client, &server.base, &token, key).await, Some(*order));
}

/// Places orders until the shop is gone.
async fn buy(
    client: reqwest::Client,
    base: String,
    n: usize,
    round: usize,
    answered: Arc<Mutex<BTreeMap<String, u64>>>,
) {
    let Some(token) = log_in(&client, &base, n).await else { return };
    for count in 0.. {
        let key = format!("{n}-{round}-{count}");
        let Some(order) = place(&client, &base, &token, &key).await else { return };
        answered.lock().unwrap().insert(key, order);
    }
}

async fn log_in(client: &reqwest::Client, base: &str, n: usize) -> Option<String> {
    let login = json!({"email": format!("buyer{n}@example.com"), "password": "a fine password"});
    let answer = post(client, &format!("{base}/api/auth/login/"), None, "login", &login).await?;
    Some(answer["access"].as_str()?.to_owned())
}

/// The order that the shop answers with.
async fn place(client: &reqwest::Client, base: &str, token: &str, key: &str) -> Option<u64> {
    let address = json!({"name": "B", "line1": "1 High Street", "city": "Leeds", "country": "GB"});
    let body = json!({"items": [{"product_id": 1, "quantity": 1}], "shipping_address": address});
    post(client, &format!("{base}/api/payment/"), Some(token), key, &body).await?["order_id"].as_u64()
}

async fn post(
    client: &reqwest::Client,
    url: &str,
    token: Option<&str>,
    key: &str,
    body: &Value,
) -> Option<Value> {
    let mut request = client.post(url).header("Content-Type", "application/json").body(body.to_string());
    if let Some(token) = token {
        request = request.bearer_auth(token).header("Idempotency-Key", key);
    }
    let answer = request.send().await.ok()?;
    assert!(answer.status().is_success(), "{}", answer.status());
    serde_json::from_slice(&answer.bytes().await.ok()?).ok()
}

/// Three thousand products, as a file in `home`.
fn many(home: &Home) -> String {
    let rows = (0..3000).map(|n| format!("item-{n},Item {n},{}.50,SKU-{n},{}\n", n % 90, n % 7));
    let path = home.dir.path().join("many.csv");
    std::fs::write(&path, format!("handle,name,price,sku,stock_quantity\n{}", rows.collect::<String>()))
        .expect("written");
    path.display().to_string()
}

#[test]
fn an_import_that_kill_9_cuts_short_goes_on_where_it_stopped() {
    let home = Home::new();
    let file = many(&home);
    let server = home.serve();
    let mut import = home.command(&["product", "import", &file, "--mode", "create"]);
    let import = import.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let done = || {
        home.run(&["product", "imports", "--json"]).out.lines().next().map(|line| {
            let import: Value = serde_json::from_str(line).expect("JSON");
            import["done"].as_u64().expect("a figure")
        })
    };
    while done().is_none_or(|done| done == 0) {}
    server.kill();
    let said = import.wait_with_output().expect("it ends");
    let err = String::from_utf8(said.stderr).expect("UTF-8");
    assert!(said.status.code() == Some(1) && err.contains("--resume"), "{err}");
    let left = done().expect("it is known");
    assert!(left < 3000, "{left}");
    home.run(&["check"]).ok();
    let again = home.run(&["product", "import", &file, "--mode", "create"]);
    assert!(again.code == 1 && again.err.contains("in the shop already"), "{again:?}");
    let resumed = home.run(&["product", "import", &file, "--mode", "create", "--resume"]).ok();
    assert!(resumed.out.contains("3000 rows: 3000 created"), "{resumed:?}");
    home.run(&["check"]).ok();
    assert_eq!(home.run(&["product", "export", "--format", "jsonl"]).ok().out.lines().count(), 3000);
}
