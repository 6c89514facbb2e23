//! How long readers wait while everything else goes on, and how fast the shop is back when it is killed then.

use std::path::Path;
use std::time::Duration;

use crate::acts::{self, Buyers};
use crate::client::{Took, drive};
use crate::process::Process;
use crate::table::{Row, Table};

/// Readers, and buyers that check out beside them.
const CONNECTIONS: usize = 8;
/// How long each of them looks at what came: there is time left for what goes on beside them.
const PAUSE: Duration = Duration::from_millis(2);
/// Products that are imported: more than there is time for.
const IMPORTED: usize = 200_000;

/// Measures reads, then reads beside checkouts and an import, and kills the shop in the middle of it.
pub async fn run(till: Process, dir: &Path, products: usize, span: Duration, table: &mut Table) {
    let readers = || acts::of(CONNECTIONS, 3, |_, rng| acts::read(products, rng));
    let idle = drive(till.address, readers(), span, PAUSE).await;
    table.add(reads("reads, with pauses", idle));

    let buyers = Buyers::register(&till, CONNECTIONS, products).await;
    let file = acts::catalogue(dir, IMPORTED);
    let mut import = Process::command(dir, &["product", "import", &file]);
    let all = [readers(), acts::of(CONNECTIONS, 4, |buyer, rng| buyers.checkout(buyer, rng))].concat();
    let busy = drive(till.address, all, span, PAUSE).await;
    table.add(reads("the same, beside checkouts and an import", busy));

    let ended = import.try_wait().expect("it runs");
    assert!(ended.is_none(), "the import is over too soon: {ended:?}");
    till.kill();
    import.wait().expect("it runs");
}

fn reads(name: &'static str, took: Took) -> Row {
    let acts = took.acts.into_iter().filter(|(kind, _)| *kind != "checkout").collect();
    Row::of(name, CONNECTIONS, &Took { acts, ..took }, Duration::ZERO, 0)
}
