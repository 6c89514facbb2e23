//! `kill -9` under load: what the clients were answered is in the shop that starts again.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::Value;

use crate::shoppers::{Client, compare, open_shop, seeded};
use crate::support::Home;

const ROUNDS: usize = 50;
/// Requests that are answered in all of them.
const ENOUGH: usize = 20 * ROUNDS;
/// The kill comes within this time of the load's begin.
const LOAD: Duration = Duration::from_millis(250);
/// Before, up to two starts are killed within this time: while the shop sees to what the kill before has left.
const START: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_before_kill_9_is_there_after_it() {
    let mut random = seeded();
    let (home, mut clients) = open_shop(&mut random).await;
    let http = till::http::outgoing().build().unwrap();
    let mut recoveries = Vec::new();
    let answered = |clients: &[Client]| clients.iter().map(|client| client.answered.len()).sum::<usize>();
    // On a machine that is slow or busy it takes some more rounds until enough was answered.
    while recoveries.len() < ROUNDS || (answered(&clients) < ENOUGH && recoveries.len() < 4 * ROUNDS) {
        for _ in 0..random.random_range(0..3) {
            let mut command = home.command(&["serve", "--listen", "127.0.0.1:0"]);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            tokio::time::sleep(START.mul_f64(random.random())).await;
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let begun = Instant::now();
        let server = home.serve();
        let answer = http.get(format!("{}/api/products/1/", server.base)).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        recoveries.push(begun.elapsed());

        compare(&server.base, &mut clients).await;
        let running: Vec<_> = clients
            .drain(..)
            .map(|client| tokio::spawn(client.shop_until_it_is_gone(server.base.clone())))
            .collect();
        tokio::time::sleep(LOAD.mul_f64(random.random())).await;
        server.kill();
        for client in running {
            clients.push(client.await.unwrap());
        }
    }
    home.run(&["check"]).ok();
    let listed = home.run(&["order", "list", "--json", "--limit", "0"]).ok().out;
    let there: BTreeSet<u64> = listed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64().unwrap())
        .collect();
    for order in clients.iter().flat_map(|client| client.orders.keys()) {
        assert!(there.contains(order), "order {order} was answered and is gone");
    }
    let server = home.serve();
    // This time all keys that were ever answered, not only the last round's.
    for client in &mut clients {
        client.repeated = 0;
    }
    compare(&server.base, &mut clients).await;
    let answered = answered(&clients);
    assert!(answered >= ENOUGH, "only {answered} requests were answered");
    recoveries.sort();
    let of = |at: usize| recoveries[at].as_millis();
    println!(
        "{} rounds, {answered} requests answered, {} orders; from the start to the first answer: {} ms at \
         best, {} in the middle, {} at worst",
        recoveries.len(),
        there.len(),
        of(0),
        of(recoveries.len() / 2),
        of(recoveries.len() - 1)
    );
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
