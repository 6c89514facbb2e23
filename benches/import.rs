//! Importing 100,000 rows into a shop that serves and sells meanwhile: how long it takes, how much memory the shop
//! needs for it, and how long the customers wait. It runs the real binary, over loopback.
//!
//! `cargo bench --bench import -- [ROWS]`

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const BUYERS: usize = 4;
const READERS: usize = 2;

fn till(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_till"));
    command
        .env("TILL_DATA_DIR", dir)
        .env("TILL_PAYMENT__TEST__ENABLED", "true")
        .env("TILL_LOG__LEVEL", "warn");
    command
}

/// A product catalogue as a shop has it: names, texts of 25 words, tags, categories.
fn file(rows: usize) -> String {
    const WORDS: [&str; 24] = [
        "ocean", "blue", "shirt", "cotton", "wool", "classic", "modern", "tea", "green", "black", "cup",
        "mug", "plate", "steel", "wood", "light", "heavy", "small", "large", "winter", "summer", "kitchen",
        "garden", "office",
    ];
    let word = |n: usize, m: usize| WORDS[(n * 7 + m * m * 5 + n / 24) % WORDS.len()];
    let mut file = String::from(
        "handle,name,description,category,tags,price,sku,stock_quantity,weight_grams,image_url\n",
    );
    for n in 0..rows {
        let text: Vec<_> = (0..25).map(|m| word(n, m)).collect();
        let _ = writeln!(
            file,
            "item-{n},{} {} {n},\"{}.\",Category {},\"{}, {}\",{}.{:02},SKU-{n:07},{},{},https://cdn.example.com/{n}.jpg",
            word(n, 1),
            word(n, 2),
            text.join(" "),
            n % 40,
            word(n, 3),
            word(n, 4),
            n % 200 + 1,
            n % 100,
            n % 90,
            n % 5000 + 10
        );
    }
    file
}

struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Client {
    async fn post(&self, path: &str, body: Value) -> Value {
        let asked = self.http.post(format!("{}{path}", self.base)).bearer_auth(&self.token);
        let answer = asked.header("Content-Type", "application/json").body(body.to_string()).send().await;
        let answer = answer.expect("the shop answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_slice(&answer.bytes().await.expect("whole")).expect("JSON")
    }
}

async fn buy(client: Client, product: u64, until: Arc<AtomicBool>) -> Vec<Duration> {
    let address = json!({"name": "Ann", "line1": "1 High Street", "city": "Leeds", "country": "GB"});
    let mut took = Vec::new();
    while !until.load(Ordering::Relaxed) {
        client.post("/api/cart/", json!({"product_id": product, "quantity": 1})).await;
        let begun = Instant::now();
        client.post("/api/orders/", json!({"shipping_address": address})).await;
        took.push(begun.elapsed());
    }
    took
}

async fn look(client: Client, until: Arc<AtomicBool>) -> Vec<Duration> {
    let mut took = Vec::new();
    while !until.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let asked = client.http.get(format!("{}/api/products/?ordering=price&search=tea", client.base));
        let answer = asked.send().await.expect("the shop answers");
        assert!(answer.status().is_success());
        drop(answer.bytes().await);
        took.push(begun.elapsed());
    }
    took
}

fn tell(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let at = |permille: usize| took[(took.len() - 1) * permille / 1000].as_secs_f64() * 1000.0;
    println!(
        "{what:<22} {:>8}   p50 {:>6.1} ms   p99 {:>6.1} ms   longest {:>6.1} ms",
        took.len(),
        at(500),
        at(990),
        at(1000)
    );
}

fn memory(process: u32, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Customers buy and look for as long as `work` takes.
async fn meanwhile(base: &str, product: u64, work: impl FnOnce() + Send + 'static) -> Duration {
    let over = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for n in 0..BUYERS + READERS {
        let mut client = Client {
            http: till::http::outgoing().build().expect("a client"),
            base: base.to_owned(),
            token: String::new(),
        };
        let email =
            format!("buyer{n}.{}@example.com", Instant::now().elapsed().as_nanos() + n as u128 + rand());
        let account =
            client.post("/api/auth/register/", json!({"email": email, "password": "a fine password"})).await;
        client.token = account["access"].as_str().expect("a token").to_owned();
        clients.push(client);
    }
    let readers = clients.split_off(BUYERS);
    let buyers: Vec<_> =
        clients.into_iter().map(|client| tokio::spawn(buy(client, product, Arc::clone(&over)))).collect();
    let readers: Vec<_> =
        readers.into_iter().map(|client| tokio::spawn(look(client, Arc::clone(&over)))).collect();
    let begun = Instant::now();
    tokio::task::spawn_blocking(work).await.expect("it ends");
    let took = begun.elapsed();
    over.store(true, Ordering::Relaxed);
    let (mut orders, mut lists) = (Vec::new(), Vec::new());
    for buyer in buyers {
        orders.append(&mut buyer.await.expect("it ends"));
    }
    for reader in readers {
        lists.append(&mut reader.await.expect("it ends"));
    }
    tell("orders", orders);
    tell("searched lists", lists);
    took
}

/// Something that no two runs have alike.
fn rand() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let rows = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(100_000);
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("products.csv");
    std::fs::write(&path, file(rows)).expect("written");
    let data = dir.path().join("data");
    let stdin = "handle,name,price,stock_quantity\nbest-seller,Best Seller,5,1000000000\n";
    std::fs::write(dir.path().join("one.csv"), stdin).expect("written");
    let imported = till(&data).args(["product", "import", "-q"]).arg(dir.path().join("one.csv")).status();
    assert!(imported.expect("it runs").success());

    let mut server = till(&data)
        .args(["serve", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("piped")).read_line(&mut line).expect("it says where");
    let base = line.trim().strip_prefix("listening on ").expect("where").to_owned();
    println!(
        "{rows} rows, {} MB; {BUYERS} buyers and {READERS} readers without pause",
        path.metadata().expect("there").len() >> 20
    );
    println!("at rest: {} MB", memory(server.id(), "VmRSS"));

    println!("\nwithout an import, 5 s");
    meanwhile(&base, 1, || std::thread::sleep(Duration::from_secs(5))).await;
    for what in ["new products", "the same file again"] {
        println!("\nimporting: {what}");
        let (data, path) = (data.clone(), path.clone());
        let work = move || {
            let imported = till(&data).args(["product", "import", "-q"]).arg(&path).status();
            assert!(imported.expect("it runs").success());
        };
        let took = meanwhile(&base, 1, work).await;
        println!("took {:.1} s; most memory so far {} MB", took.as_secs_f64(), memory(server.id(), "VmHWM"));
    }
    let _ = server.kill();
    let _ = server.wait();
}
