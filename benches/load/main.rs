//! The load bench: the release binary on a fresh data directory, driven over loopback, beside a bare hyper server that
//! sends the same bytes, a bare redb loop that commits the same rows, and raw syncs. Machines differ, so what counts
//! is the ratios.
//!
//! `cargo bench --bench load -- --help`

// Figures for people.
#![allow(clippy::cast_precision_loss)]

mod acts;
mod bare;
mod busy;
mod client;
mod process;
mod scale;
mod soak;
#[path = "../support/mod.rs"]
mod support;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use serde_json::json;

use acts::{Buyers, LISTS};
use client::{Act, Connection, drive};
use process::Process;
use table::{Row, Table};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many answers the bare server sends in turn.
const SAMPLES: usize = 64;
/// Megabytes of till's page cache, by default.
const CACHE: usize = 32;
/// How many orders are waited for at the most in one commit of the bare loop.
const BATCH: usize = 32;
/// How many pairs of commits it does.
const PAIRS: usize = 150;

/// Drives a shop, and says how it went beside servers that do nothing but send, commit and sync.
#[derive(Parser)]
struct Args {
    /// How many products the shop has; each in a shop of its own.
    #[arg(long, value_delimiter = ',', default_value = "10000,100000")]
    products: Vec<usize>,
    /// Connections at a time; each in a round of its own.
    #[arg(long, value_delimiter = ',', default_value = "1,8,32")]
    connections: Vec<usize>,
    /// How long each round takes.
    #[arg(long, default_value = "2")]
    seconds: f64,
    /// Only what has this in its name.
    #[arg(long, default_value = "")]
    only: String,
    /// Instead of all that: so many minutes of the mixed day, with an import, a backup and a compaction in the middle.
    #[arg(long, value_name = "MINUTES")]
    soak: Option<u64>,
    /// Instead of all that: how cost grows, with so many paid orders in each shop, one number after the other.
    #[arg(long, value_delimiter = ',', conflicts_with = "soak")]
    orders: Vec<usize>,
    /// Writes the figures there, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
    /// Runs as the bare server, with the answers that are in this directory.
    #[arg(long, hide = true)]
    bare: Option<PathBuf>,
}

impl Args {
    fn span(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    fn wants(&self, name: &str) -> bool {
        name.contains(&self.only)
    }
}

fn main() {
    let args = Args::parse();
    if let Some(dir) = &args.bare {
        return bare::serve(dir);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut shops = Vec::new();
    for products in &args.products {
        println!("\n{products} products");
        if !args.orders.is_empty() {
            let measured = runtime.block_on(scale::run(*products, &args.orders, args.span()));
            scale::print(&measured);
            shops.extend(measured);
            continue;
        }
        let shop = support::shop(*products);
        if let Some(minutes) = args.soak {
            let support::Bench { dir, app, .. } = shop;
            drop(app);
            runtime.block_on(soak::run(dir.path(), *products, minutes));
            continue;
        }
        let written = args.wants("checkout").then(|| committed(&shop));
        // What runs is the only one that has the file.
        let support::Bench { dir, app, .. } = shop;
        drop(app);
        shops.push(runtime.block_on(measure(&args, *products, dir.path(), written)));
    }
    if let Some(path) = &args.json {
        fs::write(path, json!({ "shops": shops }).to_string()).expect("written");
    }
}

/// Measures the shop of so many products that is in `dir`; its figures.
async fn measure(args: &Args, products: usize, dir: &Path, written: Option<(f64, f64)>) -> serde_json::Value {
    let till = Process::till(dir);
    let (began_ms, rest_mb) = (milliseconds(till.began_in), till.memory("VmRSS"));
    println!("start to first answer {began_ms:.0} ms, {rest_mb} MB at rest");
    let mut table = Table::default();
    if args.wants("product page") {
        beside_bare(args, &till, dir, "product page", |rng| acts::product(products, rng), &mut table).await;
    }
    for of in LISTS {
        if args.wants(of.0) {
            beside_bare(args, &till, dir, of.0, |rng| acts::list(of, rng), &mut table).await;
        }
    }
    let most = args.connections.iter().max().copied().unwrap_or(1);
    let buyers = Buyers::register(&till, most, products).await;
    for &connections in &args.connections {
        let seed = connections as u64;
        for (name, acts) in [
            ("login", acts::of(connections, seed, |buyer, _| buyers.login(buyer))),
            ("view of a cart", acts::of(connections, seed, |buyer, _| buyers.view(buyer))),
            ("add to cart", acts::of(connections, seed, |buyer, rng| buyers.add(buyer, rng))),
            ("checkout", acts::of(connections, seed, |buyer, rng| buyers.checkout(buyer, rng))),
            ("mixed day", acts::of(connections, seed, |buyer, rng| buyers.day(buyer, rng))),
        ] {
            if args.wants(name) {
                let bare = written.as_ref().filter(|_| name == "checkout" && connections == BATCH);
                let row = round(args, &till, name, acts).await;
                table.add(Row { bare: bare.map(|(bare, _)| *bare), ..row });
            }
        }
    }
    let most_mb = till.memory("VmHWM");
    till.kill();
    let till = Process::till(dir);
    let restart_ms = milliseconds(till.began_in);
    let mut killed_ms = None;
    if args.wants("reads beside") {
        busy::run(till, dir, products, args.span(), &mut table).await;
        killed_ms = Some(milliseconds(Process::till(dir).began_in));
    }
    table.print();
    println!("most memory {most_mb} MB; start to first answer after kill -9 {restart_ms:.0} ms");
    if let Some(ms) = killed_ms {
        println!("start to first answer after kill -9 in the middle of checkouts and an import {ms:.0} ms");
    }
    json!({
        "products": products,
        "start_ms": began_ms,
        "restart_ms": restart_ms,
        "restart_in_the_middle_ms": killed_ms,
        "rest_mb": rest_mb,
        "most_mb": most_mb,
        "bare_checkouts_per_second": written.map(|(bare, _)| bare),
        "syncs_per_second": written.map(|(_, syncs)| syncs),
        "rounds": table.rows(),
    })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Checkouts a second that the bare store commits, and syncs a second of the disk.
fn committed(shop: &support::Bench) -> (f64, f64) {
    let checkouts = bare::checkouts(shop, BATCH, PAIRS);
    let dir = shop.dir.path();
    let mut bare: Vec<_> = (0..3).map(|_| checkouts.in_bare_redb(dir, CACHE << 20)).collect();
    bare.sort_by(f64::total_cmp);
    let syncs = bare::syncs(dir, Duration::from_secs(1));
    let (rows, bytes) = checkouts.each();
    println!(
        "bare redb: {:.0} checkouts/s in pairs of commits of {BATCH} ({rows:.1} rows, {bytes:.0} bytes each); {syncs:.0} syncs/s",
        bare[1]
    );
    (bare[1], syncs)
}

/// Measures reads with as many connections as are wanted, and the bare server with the same answers.
async fn beside_bare(
    args: &Args,
    till: &Process,
    dir: &Path,
    name: &'static str,
    act: impl Fn(&mut rand::rngs::StdRng) -> Act,
    table: &mut Table,
) {
    let samples = dir.join(name.replace(' ', "-"));
    let mut connection = Connection::open(till.address).await;
    let mut answers = Vec::new();
    for act in acts::of(1, 0, |_, rng| act(rng))[0].iter().take(SAMPLES) {
        answers.push(connection.ask(&act.requests[0]).await);
    }
    bare::keep(&samples, &answers);
    let bare = Process::own(&["--bare", &samples.display().to_string()]);
    for &connections in &args.connections {
        let acts = || acts::of(connections, 1, |_, rng| act(rng));
        let row = round(args, till, name, acts()).await;
        let other = round(args, &bare, name, acts()).await;
        table.add(Row { bare: Some(other.rate), bare_cpu: Some(other.cpu), ..row });
    }
}

/// One round with these acts; what came of it.
async fn round(args: &Args, server: &Process, name: &'static str, acts: Vec<Vec<Act>>) -> Row {
    let connections = acts.len();
    let before = server.usage();
    let took = drive(server.address, acts, args.span(), Duration::ZERO).await;
    let after = server.usage();
    Row::of(name, connections, &took, after.cpu.saturating_sub(before.cpu), after.written - before.written)
}
