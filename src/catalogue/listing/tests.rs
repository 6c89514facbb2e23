//! The list that is built at a start, and the one that was fed all the while.

use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::catalogue::{CatalogueError, Draft, Rating, VariantDraft, create, rate};
use crate::clock::{ManualClock, Time};
use crate::inventory::{Cause, set};
use crate::money::Currency;
use crate::store::{FileDisk, Options, WriteTx};

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

fn cause() -> Cause {
    Cause::Adjustment { reason: "counted".into() }
}

/// A shop of so many products, and the list that was fed with them.
fn shop(dir: &Path, products: u64) -> (Store, Arc<Listings>) {
    let disk = Box::new(FileDisk::new(dir.join("till.redb"), 1 << 20));
    let clock = Arc::new(ManualClock::at(Time(1_800_000_000_000)));
    let store = Store::open(Options { disk, clock, seed: [1; 32], threaded: false }).expect("it opens");
    let fed = Arc::new(Listings::build(&store).expect("built"));
    let heard = Arc::clone(&fed);
    store.on_commit(move |commit| heard.hear(commit));
    for from in (0..products).step_by(50) {
        let act = move |tx: &mut WriteTx| {
            (from..from + 50).try_for_each(|n| create(tx, &draft(n), &cause(), "ann").map(drop))
        };
        store.write_now::<(), CatalogueError>(act).expect("they are good");
    }
    (store, fed)
}

#[test]
fn what_is_built_in_parts_is_what_was_fed() {
    let dir = tempfile::tempdir().expect("a directory");
    let many = PART * 2 + PART / 2;
    let (store, fed) = shop(dir.path(), many);
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

/// Something that changes what is shown of a product.
#[derive(Clone, Debug)]
enum Edit {
    Stock(i64),
    Rating(u64, u64),
    Price(i64),
    Name(u8),
    Active(bool),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (0_i64..3).prop_map(Edit::Stock),
        (1_u64..6, 1_u64..4).prop_map(|(stars, count)| Edit::Rating(stars * count, count)),
        (1_i64..9).prop_map(|price| Edit::Price(price * 100)),
        (0_u8..4).prop_map(Edit::Name),
        any::<bool>().prop_map(Edit::Active),
    ]
}

fn apply(tx: &mut WriteTx, id: ProductId, edit: &Edit) -> Result<(), StoreError> {
    let mut product = PRODUCTS.expect(tx, &id)?;
    match edit {
        Edit::Stock(units) => {
            set(tx, product.variants[0].id, *units, &cause(), "ann").expect("there is such a variant");
            return Ok(());
        }
        Edit::Rating(sum, count) => return rate(tx, id, Rating { sum: *sum, count: *count }),
        Edit::Price(minor) => product.variants[0].price.minor = *minor,
        Edit::Name(n) => product.name = format!("Name {n}"),
        Edit::Active(is_active) => product.is_active = *is_active,
    }
    PRODUCTS.put(tx, &id, &product)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// What was kept is what would be found and rendered now, whatever was looked at before.
    #[test]
    fn nothing_is_shown_that_is_older_than_the_last_write(
        edits in prop::collection::vec((1_u64..20, edit()), 1..12),
    ) {
        let dir = tempfile::tempdir().expect("a directory");
        let (store, kept) = shop(dir.path(), 50);
        let filters: Vec<_> = NAMES
            .iter()
            .flat_map(|by| [(*by).to_owned(), format!("-{by}")])
            .flat_map(|ordering| {
                let filter = |min_rating, in_stock, max_price: Option<i64>| Filter {
                    among: Among::Public,
                    categories: Vec::new(),
                    tags: Vec::new(),
                    min_price: None,
                    max_price: max_price.map(|minor| Money { minor, ..Currency::default().zero() }),
                    min_rating,
                    in_stock,
                    search: Vec::new(),
                    ordering: ordering.parse().expect("an order"),
                };
                [
                    filter(None, None, None),
                    filter(Some(30), None, None),
                    filter(None, Some(true), None),
                    filter(None, None, Some(500)),
                ]
            })
            .collect();
        for (id, edit) in edits {
            let id = ProductId(id);
            let change = edit.clone();
            store.write_now(move |tx| apply(tx, id, &change)).expect("done");
            let fresh = Listings::build(&store).expect("built");
            let shown = |listings: &Listings, filter: &Filter| {
                let page = listings.page(&store, filter, Page { number: 1, size: 7 });
                let page = page.now_or_never().expect("it waits for nobody").expect("it reads");
                (page.count, page.items.iter().map(|item| item.json.clone()).collect::<Vec<_>>())
            };
            for filter in &filters {
                prop_assert_eq!(shown(&kept, filter), shown(&fresh, filter), "{:?} {:?}", edit, filter);
            }
            let known = kept.product(&store, id).now_or_never().expect("it waits for nobody").expect("it reads");
            let (known, is_public) = known.expect("it is there");
            let (now, is_active) = store
                .read(|tx| {
                    let product = PRODUCTS.expect(tx, &id)?;
                    Ok::<_, StoreError>((Rendered::of(tx, id, &product)?, product.is_active))
                })
                .expect("it reads");
            prop_assert_eq!((known.json, known.tag, is_public), (now.json, now.tag, is_active));
        }
    }
}
