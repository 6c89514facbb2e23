//! The list of products as a read model: filters and orders mix what several rooms own (price, stock, rating),
//! so it is kept in memory, fed by the store's change feed and published as one snapshot per commit. A reader
//! takes the newest snapshot and holds up nobody.

mod digits;
mod memo;
mod postings;
mod snapshot;
mod sorted;
#[cfg(test)]
mod tests;

use std::ops::{Bound, Range};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use self::memo::Memo;
use self::snapshot::{Building, slot};
pub use self::snapshot::{Listing, words};
use super::model::Product;
use super::ops::find_slug;
use super::store::PRODUCTS;
use super::view::Rendered;
use crate::id::{ProductId, VariantId};
use crate::inventory::Stock;
use crate::inventory::store::STOCK;
use crate::money::Money;
use crate::page::{Page, Paged};
use crate::store::{
    AnyTable, Change, Commit, Direction, Key, ReadTx, Record, Span, Store, StoreError, commit_of,
};

/// What a product is listed by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum By {
    Price,
    Name,
    CreatedAt,
    Rating,
    Popularity,
    StockQuantity,
}

/// An order: by what, and which way. Ties go by id, upwards in both, so that paging never repeats or skips.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Order {
    pub by: By,
    pub descending: bool,
}

const NAMES: [&str; 6] = ["price", "name", "created_at", "rating", "popularity", "stock_quantity"];

crate::words!(Order: NAMES.iter().flat_map(|by| [(*by).to_owned(), format!("-{by}")]).collect::<Vec<_>>());

impl FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (descending, by) = text.strip_prefix('-').map_or((false, text), |by| (true, by));
        let by = match by {
            "price" => By::Price,
            "name" => By::Name,
            "created_at" => By::CreatedAt,
            "rating" => By::Rating,
            "popularity" => By::Popularity,
            "stock_quantity" => By::StockQuantity,
            _ => return Err("must be price, name, created_at, rating, popularity or stock_quantity, with - for descending".into()),
        };
        Ok(Order { by, descending })
    }
}

/// Which products are wanted.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Filter {
    /// Those that customers see; or all that are not archived; or those that are.
    pub among: Among,
    /// Any of these, by name or slug; empty: all.
    pub categories: Vec<String>,
    pub tags: Vec<String>,
    pub min_price: Option<Money>,
    pub max_price: Option<Money>,
    /// From this average on, in tenths, as it is shown.
    pub min_rating: Option<i64>,
    pub in_stock: Option<bool>,
    /// Each of these words, or words that begin so, must be in name, description, SKU or tags.
    pub search: Vec<String>,
    pub ordering: Order,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Among {
    Public,
    Live,
    Archived,
}

/// How long a reader waits for the writer to publish a commit that it sees already. That takes microseconds, unless
/// the machine is busy with something else.
const PATIENCE: Duration = Duration::from_secs(10);

/// The published snapshots.
pub struct Listings {
    current: ArcSwap<Listing>,
    /// The sequence number of the newest commit that the list has taken over.
    heard: watch::Sender<u64>,
    memo: Memo,
}

/// How many products are read in one go, though there are more cores.
const PART: u64 = 1000;

/// What the list knows of these products, and the number of the commit that they were read from.
fn part(
    tx: &ReadTx,
    ids: Range<ProductId>,
    stocks: &[(VariantId, i64, i64)],
) -> Result<(u64, Building), StoreError> {
    let stock_of = |id: VariantId| {
        let at = stocks.binary_search_by_key(&id, |(variant, ..)| *variant);
        at.map(|at| stocks[at]).map_err(|_| StoreError::corrupt(STOCK.name, format!("variant {id} has none")))
    };
    let seq = commit_of(tx)?;
    let mut building = Building::of(seq);
    let (from, to) = (Bound::Included(ids.start.bytes()), Bound::Excluded(ids.end.bytes()));
    PRODUCTS.try_scan(tx, Span { from, to, direction: Direction::Up }, |id, product| {
        let stocks = product.variants.iter().map(|variant| stock_of(variant.id));
        building.add(slot(id), &product, stocks.collect::<Result<_, StoreError>>()?);
        Ok::<_, StoreError>(())
    })?;
    Ok((seq, building))
}

impl Listings {
    /// Builds the list from all products: from many of them, with all cores.
    pub fn build(store: &Store) -> Result<Listings, StoreError> {
        let mut stocks = Vec::new();
        let (seq, last) = store.read(|tx| {
            STOCK.each(tx, |variant, stock| stocks.push((variant, stock.quantity, stock.sold)))?;
            Ok::<_, StoreError>((commit_of(tx)?, PRODUCTS.highest(tx)?.unwrap_or(0)))
        })?;
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let size = last.div_ceil(cores).max(PART);
        let mut parts = std::thread::scope(|scope| {
            let begin = |from| {
                let stocks = &stocks;
                scope
                    .spawn(move || store.read(|tx| part(tx, ProductId(from)..ProductId(from + size), stocks)))
            };
            let begun: Vec<_> = (1..=last.max(1)).step_by(size as usize).map(begin).collect();
            let done = begun.into_iter().map(|part| part.join().expect("it does not panic"));
            done.collect::<Result<Vec<_>, StoreError>>()
        })?;
        if parts.iter().any(|(seen, _)| *seen != seq) {
            // A commit came between.
            return Listings::build(store);
        }
        let mut all = Building::of(seq);
        parts.drain(..).for_each(|(_, part)| all.append(part));
        let (listing, heard) = (all.finish(), watch::Sender::new(seq));
        Ok(Listings { current: ArcSwap::from_pointee(listing), heard, memo: Memo::default() })
    }

    /// One page of what `filter` lets through, and how much that is in all.
    pub async fn page(
        &self,
        store: &Store,
        filter: &Filter,
        page: Page,
    ) -> Result<Paged<Rendered>, StoreError> {
        // The newest list is never older than the last answered write, and what is known of its products already
        // needs no look into the file.
        let listing = self.current.load_full();
        let found = self.memo.page(&listing, filter, page);
        let known = found.items.iter().map(|slot| self.known(&listing, *slot)).collect::<Option<_>>();
        if let Some(items) = known {
            return Ok(Paged { count: found.count, items });
        }
        let look = |listing: &Listing, tx: &ReadTx| {
            let found = self.memo.page(listing, filter, page);
            let items = found.items.iter().map(|slot| self.rendered(listing, tx, *slot));
            Ok(Paged { count: found.count, items: items.collect::<Result<_, StoreError>>()? })
        };
        self.read(store, look).await
    }

    /// A product as it is sent, and whether customers see it; none where there is no such product.
    pub async fn product(
        &self,
        store: &Store,
        id: ProductId,
    ) -> Result<Option<(Rendered, bool)>, StoreError> {
        let Some(slot) = u32::try_from(id.0).ok() else { return Ok(None) };
        let listing = self.current.load_full();
        let Some(row) = listing.row(slot) else { return Ok(None) };
        if let Some(known) = self.known(&listing, slot) {
            return Ok(Some((known, row.is_public())));
        }
        self.read(store, |listing, tx| self.seen(listing, tx, slot)).await
    }

    /// [`Listings::product`], of the product that has this slug and is not archived.
    pub async fn product_by_slug(
        &self,
        store: &Store,
        slug: &str,
    ) -> Result<Option<(Rendered, bool)>, StoreError> {
        let look = |listing: &Listing, tx: &ReadTx| match find_slug(tx, slug)? {
            Some(id) => self.seen(listing, tx, slot(id)),
            None => Ok(None),
        };
        self.read(store, look).await
    }

    /// The product at this place, and whether customers see it.
    fn seen(
        &self,
        listing: &Listing,
        tx: &ReadTx,
        slot: u32,
    ) -> Result<Option<(Rendered, bool)>, StoreError> {
        let Some(row) = listing.row(slot) else { return Ok(None) };
        Ok(Some((self.rendered(listing, tx, slot)?, row.is_public())))
    }

    /// The product at this place as `listing` has it, if it was rendered lately.
    fn known(&self, listing: &Listing, slot: u32) -> Option<Rendered> {
        self.memo.product(slot, listing.row(slot)?.since())
    }

    /// The product at this place as the list and the records of one and the same commit have it.
    fn rendered(&self, listing: &Listing, tx: &ReadTx, slot: u32) -> Result<Rendered, StoreError> {
        if let Some(known) = self.known(listing, slot) {
            return Ok(known);
        }
        let id = ProductId(slot.into());
        let product = Rendered::of(tx, id, &PRODUCTS.expect(tx, &id)?)?;
        if let Some(row) = listing.row(slot) {
            self.memo.keep_product(slot, row.since(), &product);
        }
        Ok(product)
    }

    /// Hands `look` the list and the records of one and the same commit.
    pub async fn read<T>(
        &self,
        store: &Store,
        look: impl Fn(&Listing, &ReadTx) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        loop {
            // In this order: a list that is newer than what was heard comes from a commit that the transaction,
            // which begins after, sees too.
            let heard = *self.heard.borrow();
            let listing = self.current.load_full();
            let looked = store.read(|tx| {
                let seen = commit_of(tx)?;
                if seen == heard { look(&listing, tx).map(Ok) } else { Ok::<_, StoreError>(Err(seen)) }
            })?;
            let seen = match looked {
                Ok(found) => return Ok(found),
                Err(seen) => seen,
            };
            let mut hearing = self.heard.subscribe();
            let published = hearing.wait_for(|heard| *heard >= seen);
            if !matches!(tokio::time::timeout(PATIENCE, published).await, Ok(Ok(_))) {
                return Err(StoreError::Unavailable);
            }
        }
    }

    /// How many products customers see, and how many of these are sold out.
    pub fn public(&self) -> (u64, u64) {
        self.current.load().count_public()
    }

    /// Takes over what a commit changed.
    pub fn hear(&self, commit: &Commit) {
        let of = |table: &'static str| commit.changes.iter().filter(move |change| change.table == table);
        if of(PRODUCTS.name).next().is_none() && of(STOCK.name).next().is_none() {
            self.heard.send_replace(commit.seq);
            return;
        }
        let mut next = self.current.load().following(commit.seq);
        for change in of(PRODUCTS.name) {
            if let Some((id, product)) = decoded::<ProductId, Product>(change) {
                let before = change.before.as_deref().and_then(Product::decode);
                next.put_product(slot(id), before.as_ref(), &product);
            }
        }
        for change in of(STOCK.name) {
            if let Some((variant, stock)) = decoded::<VariantId, Stock>(change) {
                next.put_stock(slot(stock.product), variant, &stock);
            }
        }
        self.current.store(Arc::new(next));
        self.heard.send_replace(commit.seq);
    }
}

/// The key and the new value of a change. What this very process wrote always decodes.
fn decoded<K: Key, V: Record>(change: &Change) -> Option<(K, V)> {
    Some((K::from_bytes(&change.key)?, V::decode(change.after.as_ref()?)?))
}
