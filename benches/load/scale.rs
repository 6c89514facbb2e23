//! How cost grows with products and orders.

use std::path::Path;
use std::time::Duration;

use comfy_table::{CellAlignment, presets};
use serde_json::{Value, json};

use crate::acts::{self, Buyers};
use crate::client::drive;
use crate::process::Process;
use crate::support::{self, Bench};
use crate::table::Row;

const CONNECTIONS: usize = 32;
/// What is measured of lists.
const LISTS: [&str; 3] = ["list by price", "list in a price range, each once", "search, two words, by price"];

/// Measures a shop of so many products, with so many orders after the other; the figures.
pub async fn run(products: usize, orders: &[usize], span: Duration) -> Vec<Value> {
    let Bench { app, people, products: ids, dir, .. } = support::shop(products);
    drop(app);
    let mut made = 0;
    let mut all = Vec::new();
    for &count in orders {
        let app = support::open(dir.path());
        support::orders(&app, &people, &ids, count.saturating_sub(made));
        drop(app);
        made = count.max(made);
        all.push(measure(dir.path(), products, count, span).await);
    }
    all
}

async fn measure(dir: &Path, products: usize, orders: usize, span: Duration) -> Value {
    let file = std::fs::metadata(dir.join("till.redb")).expect("it is there").len();
    let check = Process::done(dir, &["check"]);
    let till = Process::till(dir);
    let (start, rest) = (till.began_in, till.memory("VmRSS"));
    let backup = Process::done(dir, &["backup", "create", "--out", "scale.backup"]);
    std::fs::remove_file(dir.join("scale.backup")).expect("it was made");
    let buyers = Buyers::register(&till, CONNECTIONS, products).await;
    let mut rounds = Vec::new();
    let page = acts::of(CONNECTIONS, 1, |_, rng| acts::product(products, rng));
    rounds.push(("product page", page));
    for list in acts::LISTS.into_iter().filter(|(name, _)| LISTS.contains(name)) {
        rounds.push((list.0, acts::of(CONNECTIONS, 1, |_, rng| acts::list(list, rng))));
    }
    rounds.push(("checkout", acts::of(CONNECTIONS, 1, |buyer, rng| buyers.checkout(buyer, rng))));
    let mut measured = Vec::new();
    for (name, acts) in rounds {
        let took = drive(till.address, acts, span, Duration::ZERO).await;
        measured.push(Row::of(name, CONNECTIONS, &took, Duration::ZERO, 0).brief());
    }
    json!({
        "products": products, "orders": orders,
        "start_ms": start.as_secs_f64() * 1e3, "rest_mb": rest, "most_mb": till.memory("VmHWM"),
        "file_mb": file >> 20, "check_s": check.as_secs_f64(), "backup_s": backup.as_secs_f64(),
        "rounds": measured,
    })
}

/// Prints what [`run`] said of several shops.
pub fn print(shops: &[Value]) {
    let mut table = comfy_table::Table::new();
    table.load_style(presets::NOTHING);
    let figures = ["products", "orders", "start_ms", "rest_mb", "most_mb", "file_mb", "check_s", "backup_s"];
    let rounds = |shop: &Value| shop["rounds"].as_array().cloned().unwrap_or_default();
    let names = shops.first().map(rounds).unwrap_or_default();
    let names = names
        .iter()
        .map(|round| format!("{}, a second (p99 ms)", round["name"].as_str().unwrap_or_default()));
    table.set_header(figures.iter().map(|name| name.replace('_', " ")).chain(names));
    for shop in shops {
        let number = |name: &&str| match shop[*name].as_f64() {
            Some(number) if name.ends_with("_s") => format!("{number:.2}"),
            Some(number) => format!("{number:.0}"),
            None => "-".into(),
        };
        let round = |round: &Value| {
            let of = |name: &str| round[name].as_f64().unwrap_or_default();
            format!("{:.0} ({:.1})", of("per_second"), of("p99_ms"))
        };
        table.add_row(figures.iter().map(number).chain(rounds(shop).iter().map(round)));
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
}
