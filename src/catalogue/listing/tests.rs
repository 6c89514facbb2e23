//! The list that is built at a start, and the one that was fed all the while.

use std::sync::Arc;

use super::*;
use crate::catalogue::{Draft, VariantDraft, create};
use crate::clock::{ManualClock, Time};
use crate::inventory::Cause;
use crate::money::Currency;
use crate::store::{FileDisk, Options};

fn draft(n: u64) -> Draft {
    let price = Currency::default().parse(&format!("{}.50", n % 90)).expect("an amount");
    Draft {
        name: format!("{} {n}", ["Tea", "ΟΔΟΣ Kettle", "Straße", "tea İstanbul"][n as usize % 4]),
        description: "A fine-tea, for ΣΑΣ.ΒΑΣ and all; TEA tea".into(),
        category: Some(format!("Category {}", n % 3)),
        tags: vec![format!("Tag {}", n % 5)],
        variants: vec![VariantDraft {
            sku: Some(format!("S-{n}")),
            price,
            stock: Some(i64::try_from(n % 4).expect("few")),
            ..VariantDraft::default()
        }],
        ..Draft::default()
    }
}

#[test]
fn what_is_built_in_parts_is_what_was_fed() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = Box::new(FileDisk::new(dir.path().join("till.redb"), 1 << 20));
    let clock = Arc::new(ManualClock::at(Time(1_800_000_000_000)));
    let store = Store::open(Options { disk, clock, seed: [1; 32], threaded: false }).expect("it opens");
    let fed = Arc::new(Listings::build(&store).expect("built"));
    let heard = Arc::clone(&fed);
    store.on_commit(move |commit| heard.hear(commit));
    let many = PART * 2 + PART / 2;
    for from in (0..many).step_by(250) {
        let cause = Cause::Adjustment { reason: "counted".into() };
        let act = move |tx: &mut crate::store::WriteTx| {
            (from..from + 250).try_for_each(|n| create(tx, &draft(n), &cause, "ann").map(drop))
        };
        store.write_now::<(), crate::catalogue::CatalogueError>(act).expect("they are good");
    }
    let built = Listings::build(&store).expect("built");
    let (fed, built) = (fed.current.load_full(), built.current.load_full());
    let found = |listing: &Listing, search: &str, category: &str, ordering: &str| {
        let filter = Filter {
            among: Among::Public,
            categories: if category.is_empty() { Vec::new() } else { vec![category.into()] },
            tags: Vec::new(),
            min_price: None,
            max_price: None,
            min_rating: None,
            in_stock: None,
            search: words(search).collect(),
            ordering: ordering.parse().expect("an order"),
        };
        let found = listing.page(&filter, Page { number: 1, size: many });
        assert_eq!(found.count, found.items.len() as u64);
        found.items
    };
    for ordering in NAMES.iter().flat_map(|by| [(*by).to_owned(), format!("-{by}")]) {
        for category in ["", "Category 1"] {
            for search in ["", "tea", "οδος", "ΣΑΣ", "βας", "straße", "istanbul", "s 7", "tag 4", "2001"]
            {
                let (of_fed, of_built) =
                    (found(&fed, search, category, &ordering), found(&built, search, category, &ordering));
                assert_eq!(of_fed, of_built, "{ordering} {category} {search}");
            }
        }
        assert_eq!(found(&built, "", "", &ordering).len() as u64, many);
    }
}
