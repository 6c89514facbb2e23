//! The list of products as a read model: filters and orders mix what several rooms own (price, stock, rating),
//! so it is kept in memory, fed by the store's change feed and published as one snapshot per commit. A reader
//! takes the newest snapshot and holds up nobody.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use imbl::{OrdMap, OrdSet};
use roaring::RoaringBitmap;
use tokio::sync::watch;

use super::model::{Product, slugify};
use super::store::PRODUCTS;
use crate::id::{ProductId, VariantId};
use crate::inventory::Stock;
use crate::inventory::store::STOCK;
use crate::money::Money;
use crate::page::{Page, Paged};
use crate::store::{Change, Commit, Direction, Key, ReadTx, Record, Span, Store, StoreError, commit_of};

/// What a product is listed by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    Price,
    Name,
    CreatedAt,
    Rating,
    Popularity,
    StockQuantity,
}

/// An order: by what, and which way. Ties go by id, so that paging never repeats or skips.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    pub by: By,
    pub descending: bool,
}

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
#[derive(Clone, Debug)]
pub struct Filter {
    /// Those that customers see; or all that are not archived; or those that are.
    pub among: Among,
    /// Any of these, by name or slug; empty: all.
    pub categories: Vec<String>,
    pub tags: Vec<String>,
    pub min_price: Option<Money>,
    pub max_price: Option<Money>,
    /// From this average on, in tenths.
    pub min_rating: Option<i64>,
    pub in_stock: Option<bool>,
    /// Each of these words, or words that begin so, must be in name, description, SKU or tags.
    pub search: Vec<String>,
    pub ordering: Order,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Among {
    Public,
    Live,
    Archived,
}

/// The words of a text: runs of letters and digits, in lower case.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// How long a reader waits for the writer to publish a commit that it sees already. That takes microseconds, unless
/// the machine is busy with something else.
const PATIENCE: Duration = Duration::from_secs(10);

/// The published snapshots.
pub struct Listings {
    current: ArcSwap<Listing>,
    /// The sequence number of the newest commit that the list has taken over.
    heard: watch::Sender<u64>,
}

impl Listings {
    /// Builds the list from all products.
    pub fn build(tx: &ReadTx) -> Result<Listings, StoreError> {
        let mut listing = Listing::default();
        let mut failed = None;
        PRODUCTS.scan(tx, Span::all(Direction::Up), |id, product| {
            let stocks = product.variants.iter().map(|v| {
                let stock = STOCK.expect(tx, &v.id)?;
                Ok((v.id, (stock.quantity, stock.sold)))
            });
            match stocks.collect::<Result<Vec<_>, StoreError>>() {
                Ok(stocks) => listing.put(Row::new(id, &product, &stocks)),
                Err(error) => {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        failed.map_or(Ok(()), Err)?;
        let heard = watch::Sender::new(commit_of(tx)?);
        Ok(Listings { current: ArcSwap::from_pointee(listing), heard })
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

    /// Takes over what a commit changed.
    pub fn hear(&self, commit: &Commit) {
        let of = |table: &'static str| commit.changes.iter().filter(move |change| change.table == table);
        if of(PRODUCTS.name).next().is_none() && of(STOCK.name).next().is_none() {
            self.heard.send_replace(commit.seq);
            return;
        }
        let mut next = Listing::clone(&self.current.load());
        for change in of(PRODUCTS.name) {
            if let Some((id, product)) = decoded::<ProductId, Product>(change) {
                let known = next.rows.get(&slot(id)).map(|row| row.stocks.clone()).unwrap_or_default();
                next.put(Row::new(id, &product, &known));
            }
        }
        for change in of(STOCK.name) {
            if let Some((variant, stock)) = decoded::<VariantId, Stock>(change)
                && let Some(row) = next.rows.get(&slot(stock.product))
            {
                let row = Row::with_stock(row, variant, &stock);
                next.put(row);
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

/// A product's place in the bitmaps.
fn slot(id: ProductId) -> u32 {
    u32::try_from(id.0).expect("ids of products are counted from 1, and memory ends before 32 bits do")
}

/// What the list knows of a product.
#[derive(Debug)]
struct Row {
    slot: u32,
    among: Among,
    price: i64,
    name: Arc<str>,
    created_at: i64,
    /// The average rating in tenths; below all others without one.
    rating: i64,
    stock: i64,
    sold: i64,
    category: Option<String>,
    tags: BTreeSet<String>,
    words: Arc<BTreeSet<String>>,
    /// Each variant's units in stock and sold.
    stocks: Vec<(VariantId, (i64, i64))>,
}

impl Row {
    fn new(id: ProductId, product: &Product, stocks: &[(VariantId, (i64, i64))]) -> Row {
        let skus = product.variants.iter().filter_map(|variant| variant.sku.as_deref());
        let texts = [product.name.as_str(), product.description.as_str()].into_iter();
        let texts = texts.chain(skus).chain(product.tags.iter().map(String::as_str));
        // A SKU such as AB-12 is found whole, too.
        let whole =
            product.variants.iter().filter_map(|variant| variant.sku.as_deref()).map(str::to_lowercase);
        let among = match (&product.archived_at, product.is_active) {
            (Some(_), _) => Among::Archived,
            (None, true) => Among::Public,
            (None, false) => Among::Live,
        };
        let mut row = Row {
            slot: slot(id),
            among,
            price: product.lowest_price().minor,
            name: product.name.to_lowercase().into(),
            created_at: product.created_at.0,
            rating: product
                .rating
                .sum
                .saturating_mul(10)
                .checked_div(product.rating.count)
                .map_or(-1, u64::cast_signed),
            stock: 0,
            sold: 0,
            category: product.category.clone(),
            tags: product.tags.iter().map(|tag| tag.to_lowercase()).collect(),
            words: Arc::new(texts.flat_map(words).chain(whole).collect()),
            stocks: product.variants.iter().map(|variant| known(stocks, variant.id)).collect(),
        };
        row.add_up();
        row
    }

    /// The row after one variant's stock moved.
    fn with_stock(row: &Row, variant: VariantId, stock: &Stock) -> Row {
        let mut stocks = row.stocks.clone();
        // What the product does not have any more counts for nothing.
        if let Some((_, known)) = stocks.iter_mut().find(|(id, _)| *id == variant) {
            *known = (stock.quantity, stock.sold);
        }
        let mut row = Row {
            stocks,
            name: Arc::clone(&row.name),
            words: Arc::clone(&row.words),
            category: row.category.clone(),
            tags: row.tags.clone(),
            ..*row
        };
        row.add_up();
        row
    }

    fn add_up(&mut self) {
        self.stock = self.stocks.iter().map(|(_, (quantity, _))| quantity).sum();
        self.sold = self.stocks.iter().map(|(_, (_, sold))| sold).sum();
    }
}

/// What is known of a variant; nothing, until its stock is heard of.
fn known(stocks: &[(VariantId, (i64, i64))], variant: VariantId) -> (VariantId, (i64, i64)) {
    stocks.iter().find(|(id, _)| *id == variant).copied().unwrap_or((variant, (0, 0)))
}

type Ranked = OrdSet<(i64, u32)>;
type Postings = OrdMap<String, Arc<RoaringBitmap>>;

/// One snapshot. Its parts are shared with the snapshots before and after it.
#[derive(Clone, Default)]
pub struct Listing {
    rows: OrdMap<u32, Arc<Row>>,
    by_price: Ranked,
    by_created_at: Ranked,
    by_rating: Ranked,
    by_sold: Ranked,
    by_stock: Ranked,
    by_name: OrdSet<(Arc<str>, u32)>,
    public: Arc<RoaringBitmap>,
    archived: Arc<RoaringBitmap>,
    in_stock: Arc<RoaringBitmap>,
    categories: Postings,
    tags: Postings,
    words: Postings,
}

impl Listing {
    /// Puts a product in, or in the place of its former self.
    fn put(&mut self, row: Row) {
        let slot = row.slot;
        let row = Arc::new(row);
        let old = self.rows.insert(slot, Arc::clone(&row));
        let old = old.as_deref();

        let rank = |set: &mut Ranked, of: fn(&Row) -> i64| {
            let (before, after) = (old.map(of), of(&row));
            if before != Some(after) {
                before.map(|key| set.remove(&(key, slot)));
                set.insert((after, slot));
            }
        };
        rank(&mut self.by_price, |row| row.price);
        rank(&mut self.by_created_at, |row| row.created_at);
        rank(&mut self.by_rating, |row| row.rating);
        rank(&mut self.by_sold, |row| row.sold);
        rank(&mut self.by_stock, |row| row.stock);
        if old.is_none_or(|old| old.name != row.name) {
            old.map(|old| self.by_name.remove(&(Arc::clone(&old.name), slot)));
            self.by_name.insert((Arc::clone(&row.name), slot));
        }
        set(&mut self.public, slot, row.among == Among::Public);
        set(&mut self.archived, slot, row.among == Among::Archived);
        set(&mut self.in_stock, slot, row.stock > 0);
        repost(&mut self.categories, slot, old.and_then(|old| old.category.as_ref()), row.category.as_ref());
        repost(&mut self.tags, slot, old.iter().flat_map(|old| &old.tags), &row.tags);
        if old.is_none_or(|old| !Arc::ptr_eq(&old.words, &row.words)) {
            repost(&mut self.words, slot, old.iter().flat_map(|old| old.words.iter()), row.words.iter());
        }
    }

    /// How many public products a category has.
    pub fn count_in(&self, category: &str) -> u64 {
        self.categories.get(category).map_or(0, |posted| posted.intersection_len(&self.public))
    }

    /// One page of what `filter` lets through, and how much that is in all.
    pub fn page(&self, filter: &Filter, page: Page) -> Paged<ProductId> {
        let wanted = self.matching(filter);
        let count = wanted.len();
        let (skip, take) = (page.offset(), page.size);
        let items = if count.saturating_mul(8) < self.rows.len() as u64 {
            self.sorted(&wanted, filter.ordering, skip, take)
        } else {
            self.walked(&wanted, filter.ordering, skip, take)
        };
        Paged { count, items: items.into_iter().map(|slot| ProductId(u64::from(slot))).collect() }
    }

    fn matching(&self, filter: &Filter) -> RoaringBitmap {
        let mut wanted = match filter.among {
            Among::Public => RoaringBitmap::clone(&self.public),
            Among::Archived => RoaringBitmap::clone(&self.archived),
            Among::Live => self.rows.keys().copied().collect::<RoaringBitmap>() - &*self.archived,
        };
        if !filter.categories.is_empty() {
            let slugs = filter.categories.iter().map(|category| slugify(category));
            wanted &= union(slugs.filter_map(|slug| self.categories.get(&slug)));
        }
        if !filter.tags.is_empty() {
            wanted &= union(filter.tags.iter().filter_map(|tag| self.tags.get(&tag.to_lowercase())));
        }
        for word in &filter.search {
            let ahead =
                self.words.range(word.clone()..).take_while(|(known, _)| known.starts_with(word.as_str()));
            wanted &= union(ahead.map(|(_, posted)| posted));
        }
        match filter.in_stock {
            Some(true) => wanted &= &*self.in_stock,
            Some(false) => wanted -= &*self.in_stock,
            None => {}
        }
        if filter.min_price.is_some() || filter.max_price.is_some() {
            let least = filter.min_price.map_or(i64::MIN, |price| price.minor);
            let most = filter.max_price.map_or(i64::MAX, |price| price.minor);
            wanted &= ranked_between(&self.by_price, least, most);
        }
        if let Some(least) = filter.min_rating {
            wanted &= ranked_between(&self.by_rating, least, i64::MAX);
        }
        wanted
    }

    /// Few are wanted: they are looked up and sorted.
    fn sorted(&self, wanted: &RoaringBitmap, ordering: Order, skip: u64, take: u64) -> Vec<u32> {
        let mut rows: Vec<_> = wanted.iter().filter_map(|slot| self.rows.get(&slot)).collect();
        if ordering.by == By::Name {
            rows.sort_by(|a, b| (&a.name, a.slot).cmp(&(&b.name, b.slot)));
            if ordering.descending {
                rows.sort_by_key(|row| Reverse(Arc::clone(&row.name)));
            }
        } else {
            let key = |row: &Row| match ordering.by {
                By::Price => row.price,
                By::CreatedAt => row.created_at,
                By::Rating => row.rating,
                By::Popularity => row.sold,
                By::StockQuantity | By::Name => row.stock,
            };
            rows.sort_by_key(|row| (if ordering.descending { !key(row) } else { key(row) }, row.slot));
        }
        rows.iter().map(|row| row.slot).skip(skip as usize).take(take as usize).collect()
    }

    /// Many are wanted: the order is walked, and who is not wanted is passed over.
    fn walked(&self, wanted: &RoaringBitmap, ordering: Order, skip: u64, take: u64) -> Vec<u32> {
        let ranked = match ordering.by {
            By::Name => return walk(&self.by_name, wanted, ordering.descending, skip, take),
            By::Price => &self.by_price,
            By::CreatedAt => &self.by_created_at,
            By::Rating => &self.by_rating,
            By::Popularity => &self.by_sold,
            By::StockQuantity => &self.by_stock,
        };
        walk(ranked, wanted, ordering.descending, skip, take)
    }
}

/// Walks an order; equal keys go by id both ways.
fn walk<K: Ord + Clone>(
    ranked: &OrdSet<(K, u32)>,
    wanted: &RoaringBitmap,
    descending: bool,
    skip: u64,
    take: u64,
) -> Vec<u32> {
    let (skip, take) = (skip as usize, take as usize);
    if !descending {
        let slots = ranked.iter().map(|(_, slot)| *slot).filter(|slot| wanted.contains(*slot));
        return slots.skip(skip).take(take).collect();
    }
    let (mut passed, mut found, mut ties) = (0, Vec::new(), Vec::new());
    let mut rest = ranked.iter().rev().filter(|(_, slot)| wanted.contains(*slot)).peekable();
    while let Some((key, slot)) = rest.next() {
        ties.push(*slot);
        if rest.peek().is_none_or(|(next, _)| next != key) {
            for slot in ties.drain(..).rev() {
                passed += 1;
                if passed > skip && found.len() < take {
                    found.push(slot);
                }
            }
            if found.len() == take {
                break;
            }
        }
    }
    found
}

fn ranked_between(ranked: &Ranked, least: i64, most: i64) -> RoaringBitmap {
    ranked.range((least, 0)..=(most, u32::MAX)).map(|(_, slot)| *slot).collect()
}

fn union<'a>(posted: impl Iterator<Item = &'a Arc<RoaringBitmap>>) -> RoaringBitmap {
    posted.fold(RoaringBitmap::new(), |all, one| all | &**one)
}

fn set(bitmap: &mut Arc<RoaringBitmap>, slot: u32, to: bool) {
    if bitmap.contains(slot) != to {
        let bitmap = Arc::make_mut(bitmap);
        if to {
            bitmap.insert(slot)
        } else {
            bitmap.remove(slot)
        };
    }
}

/// Takes `slot` off the lists of the words it had and puts it on those it has.
fn repost<'a>(
    postings: &mut Postings,
    slot: u32,
    had: impl IntoIterator<Item = &'a String>,
    has: impl IntoIterator<Item = &'a String>,
) {
    let had: BTreeSet<_> = had.into_iter().collect();
    let has: BTreeSet<_> = has.into_iter().collect();
    for word in had.difference(&has) {
        if let Some(posted) = postings.get_mut(*word) {
            Arc::make_mut(posted).remove(slot);
            if posted.is_empty() {
                postings.remove(*word);
            }
        }
    }
    for word in has.difference(&had) {
        // Changed in place, so that a list that nobody else holds is not copied.
        match postings.get_mut(*word) {
            Some(posted) => {
                Arc::make_mut(posted).insert(slot);
            }
            None => {
                postings.insert((*word).clone(), Arc::new(RoaringBitmap::from([slot])));
            }
        }
    }
}
