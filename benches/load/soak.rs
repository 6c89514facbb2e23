//! A long day: whether memory stays what it is, the file no larger than what is in it, every request is answered, and
//! how long the slowest wait, while operators do what they do.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use comfy_table::presets;

use crate::acts::{self, Buyers};
use crate::client::{Took, drive};
use crate::process::Process;

const CONNECTIONS: usize = 32;
/// How long each customer looks at what came: the day has some three thousand acts a second then.
const PAUSE: Duration = Duration::from_millis(10);
/// How many products are imported in the middle.
const IMPORTED: usize = 20_000;

/// What an operator began, and when.
struct Begun {
    name: &'static str,
    child: Child,
    at: Instant,
}

/// Runs `minutes` of the mixed day on the shop in `dir`, and prints each of them.
///
/// # Panics
/// When any request is refused or not answered, or when an operator's command fails.
pub async fn run(dir: &Path, products: usize, minutes: u64) {
    let till = Process::till(dir);
    let buyers = Buyers::register(&till, CONNECTIONS, products).await;
    let file = acts::catalogue(dir, IMPORTED);
    let mut work = vec![
        (minutes * 3 / 4, "compaction", vec!["compact"]),
        (minutes / 2, "backup", vec!["backup", "create", "--out", "soak.backup"]),
        (minutes / 4, "import", vec!["product", "import", file.as_str()]),
    ];
    let mut begun: Option<Begun> = None;
    let mut table = comfy_table::Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "minute",
        "acts a second",
        "reads p99 ms",
        "checkout p99 ms",
        "longest ms",
        "MB",
        "file MB",
        "",
    ]);
    for minute in 1..=minutes {
        let mut told = String::new();
        if work.last().is_some_and(|(at, ..)| *at < minute) {
            let (_, name, words) = work.pop().expect("there is one");
            begun = Some(Begun { name, child: Process::command(dir, &words), at: Instant::now() });
            let _ = write!(told, "{name} begins ");
        }
        let acts = acts::of(CONNECTIONS, minute * 1000, |buyer, rng| buyers.day(buyer, rng));
        let driving = drive(till.address, acts, Duration::from_secs(60), PAUSE);
        let mut driving = std::pin::pin!(driving);
        let took = loop {
            tokio::select! {
                took = &mut driving => break took,
                () = tokio::time::sleep(Duration::from_millis(20)) => {
                    let Some(Begun { name, child, at }) = &mut begun else { continue };
                    if let Some(status) = child.try_wait().expect("it runs") {
                        Process::must_be_well(dir, name, status);
                        let _ = write!(told, "{name} took {:.1} s", at.elapsed().as_secs_f64());
                        begun = None;
                    }
                }
            }
        };
        table.add_row([
            minute.to_string(),
            format!("{:.0}", took.acts.len() as f64 / 60.0),
            format!("{:.2}", of(&took, |kind| kind != "checkout" && kind != "add to cart", 990)),
            format!("{:.2}", of(&took, |kind| kind == "checkout", 990)),
            format!("{:.1}", of(&took, |_| true, 1000)),
            till.memory("VmRSS").to_string(),
            (fs::metadata(dir.join("till.redb")).expect("it is there").len() >> 20).to_string(),
            told,
        ]);
    }
    println!("{table}");
    println!("most memory {} MB; no request was refused or lost", till.memory("VmHWM"));
    till.kill();
    let took = Process::done(dir, &["check"]);
    println!("killed, and checked in {:.1} s: all is as it must be", took.as_secs_f64());
}

/// Of a thousand acts of these kinds, how long the so manyth took, in milliseconds.
fn of(took: &Took, kinds: impl Fn(&str) -> bool, permille: usize) -> f64 {
    let acts = took.acts.iter().filter(|(kind, _)| kinds(kind));
    let mut times: Vec<_> = acts.map(|(_, time)| *time).collect();
    times.sort_unstable();
    let at = (times.len() * permille / 1000).min(times.len().saturating_sub(1));
    times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}
