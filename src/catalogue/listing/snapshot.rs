//! One snapshot of the list: every product's figures, in each order, and who has which word.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::digits::Digits;
use super::postings::{Gathering, Postings};
use super::sorted::Sorted;
use super::{Among, By, Filter, Order};
use crate::catalogue::model::{Product, slugify};
use crate::id::{ProductId, VariantId};
use crate::inventory::Stock;
use crate::page::{Page, Paged};

/// The words of a text: runs of letters and digits, in lower case.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// [`words`], each in the same memory.
fn each_word(text: &str, lower: &mut String, mut see: impl FnMut(&str)) {
    if !text.is_ascii() {
        return words(text).for_each(|word| see(&word));
    }
    lower.clear();
    lower.push_str(text);
    lower.make_ascii_lowercase();
    lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).for_each(see);
}

/// A product's place in the bitmaps.
pub fn slot(id: ProductId) -> u32 {
    u32::try_from(id.0).expect("ids of products are counted from 1, and memory ends before 32 bits do")
}

/// A variant's units in stock and sold.
type Figures = (VariantId, i64, i64);

/// What the list knows of a product.
#[derive(Clone, Debug)]
pub struct Row {
    slot: u32,
    among: Among,
    /// The average rating in thousandths; below all others without one.
    rating: i16,
    price: i64,
    name: Arc<str>,
    created_at: i64,
    stocks: Box<[Figures]>,
    /// The number of the commit that changed it last, or that it was read from.
    since: u64,
}

impl Row {
    fn new(slot: u32, product: &Product, stocks: Box<[Figures]>, since: u64) -> Row {
        let thousandths = product.rating.sum.saturating_mul(1000).checked_div(product.rating.count);
        Row {
            slot,
            among: match (&product.archived_at, product.is_active) {
                (Some(_), _) => Among::Archived,
                (None, true) => Among::Public,
                (None, false) => Among::Live,
            },
            rating: thousandths.map_or(-1, |rating| i16::try_from(rating).unwrap_or(i16::MAX)),
            price: product.lowest_price().minor,
            name: product.name.to_lowercase().into(),
            created_at: product.created_at.0,
            stocks,
            since,
        }
    }

    /// The number of the commit that changed it last.
    pub fn since(&self) -> u64 {
        self.since
    }

    pub fn is_public(&self) -> bool {
        self.among == Among::Public
    }

    fn price_digits(&self) -> u64 {
        self.price.max(0).cast_unsigned()
    }

    /// 0 without a rating, else a thousandth more than it is.
    fn rating_digits(&self) -> u64 {
        (i64::from(self.rating) + 1).max(0).cast_unsigned()
    }

    fn stock(&self) -> i64 {
        self.stocks.iter().map(|(_, quantity, _)| quantity).sum()
    }

    fn sold(&self) -> i64 {
        self.stocks.iter().map(|(.., sold)| sold).sum()
    }

    /// What it is ranked by, in each order but that of names.
    fn rank(&self, by: By) -> i64 {
        match by {
            By::Price => self.price,
            By::CreatedAt => self.created_at,
            By::Rating => self.rating.into(),
            By::Popularity => self.sold(),
            By::StockQuantity | By::Name => self.stock(),
        }
    }
}

/// What a product can be found by.
#[derive(Default)]
struct Terms {
    category: Vec<String>,
    tags: Vec<String>,
    words: Vec<String>,
}

impl Terms {
    /// What words are taken from.
    fn texts(product: &Product) -> impl Iterator<Item = &str> {
        let skus = product.variants.iter().filter_map(|variant| variant.sku.as_deref());
        let texts = [product.name.as_str(), product.description.as_str()].into_iter();
        texts.chain(skus).chain(product.tags.iter().map(String::as_str))
    }

    /// Each kind in order, none twice.
    fn of(product: &Product) -> Terms {
        let sorted = |mut all: Vec<String>| {
            all.sort_unstable();
            all.dedup();
            all
        };
        Terms {
            category: product.category.iter().cloned().collect(),
            tags: sorted(product.tags.iter().map(|tag| tag.to_lowercase()).collect()),
            words: sorted(Terms::texts(product).flat_map(words).collect()),
        }
    }

    /// Whether two products are found by the same.
    fn are_same(one: &Product, other: &Product) -> bool {
        let skus = |product: &Product| product.variants.iter().map(|v| v.sku.clone()).collect::<Vec<_>>();
        (&one.name, &one.description, &one.category, &one.tags)
            == (&other.name, &other.description, &other.category, &other.tags)
            && skus(one) == skus(other)
    }
}

type Ranked = Sorted<(i64, u32)>;

/// The numbers of the commits that last changed what lists go by.
#[derive(Clone, Copy, Default)]
struct Changed {
    /// Anything but stock.
    figures: u64,
    /// Which products are in stock.
    in_stock: u64,
    /// How many units are in stock, and were sold.
    units: u64,
}

/// One snapshot. Its parts are shared with the snapshots before and after it.
#[derive(Clone, Default)]
pub struct Listing {
    /// The number of the commit that it is as of.
    seq: u64,
    changed: Changed,
    rows: Sorted<u32, Arc<Row>>,
    by_price: Ranked,
    by_created_at: Ranked,
    by_rating: Ranked,
    by_sold: Ranked,
    by_stock: Ranked,
    by_name: Sorted<(Arc<str>, u32)>,
    prices: Digits,
    ratings: Digits,
    public: Arc<RoaringBitmap>,
    live: Arc<RoaringBitmap>,
    archived: Arc<RoaringBitmap>,
    in_stock: Arc<RoaringBitmap>,
    categories: Postings,
    tags: Postings,
    words: Postings,
}

impl Listing {
    /// A copy, for what the commit of this number changed to be put in.
    pub fn following(&self, seq: u64) -> Listing {
        Listing { seq, ..self.clone() }
    }

    /// Puts a product in, or in the place of its former self.
    pub fn put_product(&mut self, slot: u32, before: Option<&Product>, product: &Product) {
        let old = self.rows.get(&slot).cloned();
        let known = |id| {
            let stocks = old.iter().flat_map(|row| &row.stocks);
            // Nothing is known of a new variant until its stock is heard of.
            stocks.copied().find(|(known, ..)| *known == id).unwrap_or((id, 0, 0))
        };
        let stocks = product.variants.iter().map(|variant| known(variant.id)).collect();
        self.put(old.as_deref(), Row::new(slot, product, stocks, self.seq));
        if before.is_none_or(|before| !Terms::are_same(before, product)) {
            self.changed.figures = self.seq;
            let (had, has) = (before.map(Terms::of).unwrap_or_default(), Terms::of(product));
            self.categories.move_from(slot, &had.category, &has.category);
            self.tags.move_from(slot, &had.tags, &has.tags);
            self.words.move_from(slot, &had.words, &has.words);
        }
    }

    /// Takes over a variant's stock; what the product does not have any more counts for nothing.
    pub fn put_stock(&mut self, slot: u32, variant: VariantId, stock: &Stock) {
        let Some(old) = self.rows.get(&slot).cloned() else { return };
        let mut row = Row::clone(&old);
        if let Some(known) = row.stocks.iter_mut().find(|(id, ..)| *id == variant) {
            *known = (variant, stock.quantity, stock.sold);
            row.since = self.seq;
            self.put(Some(&old), row);
        }
    }

    fn put(&mut self, old: Option<&Row>, row: Row) {
        let slot = row.slot;
        for (set, by) in [
            (&mut self.by_price, By::Price),
            (&mut self.by_created_at, By::CreatedAt),
            (&mut self.by_rating, By::Rating),
            (&mut self.by_sold, By::Popularity),
            (&mut self.by_stock, By::StockQuantity),
        ] {
            let (before, after) = (old.map(|old| old.rank(by)), row.rank(by));
            if before != Some(after) {
                if let Some(before) = before {
                    set.remove(&(before, slot));
                }
                set.insert((after, slot), ());
                match by {
                    By::Popularity | By::StockQuantity => self.changed.units = self.seq,
                    By::Price | By::Name | By::CreatedAt | By::Rating => self.changed.figures = self.seq,
                }
            }
        }
        let before = |figure: fn(&Row) -> u64| old.map_or(0, figure);
        self.prices.change(slot, before(Row::price_digits), row.price_digits());
        self.ratings.change(slot, before(Row::rating_digits), row.rating_digits());
        if old.is_none_or(|old| old.name != row.name) {
            if let Some(old) = old {
                self.by_name.remove(&(Arc::clone(&old.name), slot));
            }
            self.by_name.insert((Arc::clone(&row.name), slot), ());
            self.changed.figures = self.seq;
        }
        if old.is_none_or(|old| old.among != row.among) {
            self.changed.figures = self.seq;
        }
        if self.in_stock.contains(slot) != (row.stock() > 0) {
            self.changed.in_stock = self.seq;
        }
        set(&mut self.public, slot, row.among == Among::Public);
        set(&mut self.live, slot, row.among != Among::Archived);
        set(&mut self.archived, slot, row.among == Among::Archived);
        set(&mut self.in_stock, slot, row.stock() > 0);
        self.rows.insert(slot, Arc::new(row));
    }

    /// What is known of the product at this place.
    pub fn row(&self, slot: u32) -> Option<&Row> {
        self.rows.get(&slot).map(|row| &**row)
    }

    /// The number of the last commit that may have changed what `filter` finds.
    pub fn as_of(&self, filter: &Filter) -> u64 {
        let Changed { figures, in_stock, units } = self.changed;
        let is_of_units = matches!(filter.ordering.by, By::Popularity | By::StockQuantity);
        let of_units = if is_of_units { units } else { 0 };
        figures.max(if filter.in_stock.is_some() { in_stock } else { 0 }).max(of_units)
    }

    /// How many products are public, and how many of these are sold out.
    pub fn count_public(&self) -> (u64, u64) {
        let all = self.public.len();
        (all, all - self.public.intersection_len(&self.in_stock))
    }

    /// How many public products a category has; none where no product has it that is not archived.
    pub fn count_in(&self, category: &str) -> Option<u64> {
        let posted = self.categories.get(&category.into())?;
        (posted.count_among(&self.live) > 0).then(|| posted.count_among(&self.public))
    }

    /// One page of what `filter` lets through, and how much that is in all.
    pub fn page(&self, filter: &Filter, page: Page) -> Paged<u32> {
        let wanted = self.matching(filter);
        let count = wanted.len();
        if page.offset() >= count {
            // There is no such page, and nothing to walk for it.
            return Paged { count, items: Vec::new() };
        }
        let (skip, take) = (page.offset() as usize, page.size as usize);
        let walked = self.walked(&wanted, filter.ordering, skip, take);
        let items = walked.unwrap_or_else(|| self.sorted(&wanted, filter.ordering, skip, take));
        Paged { count, items }
    }

    fn matching(&self, filter: &Filter) -> RoaringBitmap {
        let mut wanted = RoaringBitmap::clone(match filter.among {
            Among::Public => &self.public,
            Among::Live => &self.live,
            Among::Archived => &self.archived,
        });
        if !filter.categories.is_empty() {
            let slugs: Vec<_> = filter.categories.iter().map(|category| slugify(category)).collect();
            wanted &= self.categories.any(slugs.iter().map(String::as_str));
        }
        if !filter.tags.is_empty() {
            let tags: Vec<_> = filter.tags.iter().map(|tag| tag.to_lowercase()).collect();
            wanted &= self.tags.any(tags.iter().map(String::as_str));
        }
        for word in &filter.search {
            wanted &= self.words.beginning(word);
        }
        match filter.in_stock {
            Some(true) => wanted &= &*self.in_stock,
            Some(false) => wanted -= &*self.in_stock,
            None => {}
        }
        if let Some(most) = filter.max_price {
            wanted = self.prices.up_to(most.minor.max(0).cast_unsigned(), &wanted);
        }
        if let Some(least) = filter.min_price {
            wanted = self.prices.from(least.minor.max(0).cast_unsigned(), wanted);
        }
        if let Some(least) = filter.min_rating {
            // From here on an average is shown as `least`.
            let thousandths = (least * 100 - 50).max(0);
            wanted = self.ratings.from(thousandths.cast_unsigned() + 1, wanted);
        }
        wanted
    }

    /// Few are wanted: they are looked up and sorted.
    fn sorted(&self, wanted: &RoaringBitmap, ordering: Order, skip: usize, take: usize) -> Vec<u32> {
        let mut rows: Vec<_> = wanted.iter().filter_map(|slot| self.rows.get(&slot)).collect();
        rows.sort_unstable_by(|a, b| {
            let order = match ordering.by {
                By::Name => a.name.cmp(&b.name),
                by => a.rank(by).cmp(&b.rank(by)),
            };
            let order = if ordering.descending { order.reverse() } else { order };
            order.then(a.slot.cmp(&b.slot))
        });
        rows.iter().map(|row| row.slot).skip(skip).take(take).collect()
    }

    /// Many are wanted: the order is walked, and who is not wanted is passed over. None if so many are passed over that
    /// sorting those who are wanted costs less.
    fn walked(&self, wanted: &RoaringBitmap, ordering: Order, skip: usize, take: usize) -> Option<Vec<u32>> {
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

/// How many entries of an order are walked over in the time in which one is looked up and sorted.
const STEPS: u64 = 8;

fn walk<K: Ord + Clone>(
    ranked: &Sorted<(K, u32)>,
    wanted: &RoaringBitmap,
    descending: bool,
    skip: usize,
    take: usize,
) -> Option<Vec<u32>> {
    let most = (wanted.len() * STEPS) as usize;
    let last = wanted.len().min((skip + take) as u64) as usize;
    let of = |slots: &mut dyn Iterator<Item = u32>| {
        slots.take(most).filter(|slot| wanted.contains(*slot)).take(last).collect::<Vec<_>>()
    };
    let mut found =
        if descending { of(&mut ranked.down()) } else { of(&mut ranked.iter().map(|((_, slot), ())| *slot)) };
    let is_all = found.len() == last;
    is_all.then(|| found.split_off(skip.min(last)))
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

/// A snapshot in the making, of products that come in the order of their ids.
#[derive(Default)]
pub struct Building {
    seq: u64,
    rows: Vec<Arc<Row>>,
    categories: Gathering,
    tags: Gathering,
    words: Gathering,
    /// Room for a text in lower case.
    lower: String,
}

impl Building {
    /// Of products as this commit left them.
    pub fn of(seq: u64) -> Building {
        Building { seq, ..Building::default() }
    }

    pub fn add(&mut self, slot: u32, product: &Product, stocks: Box<[Figures]>) {
        self.rows.push(Arc::new(Row::new(slot, product, stocks, self.seq)));
        if let Some(category) = &product.category {
            self.categories.add(slot, category);
        }
        for tag in &product.tags {
            self.tags.add(slot, &tag.to_lowercase());
        }
        for text in Terms::texts(product) {
            each_word(text, &mut self.lower, |word| self.words.add(slot, word));
        }
    }

    /// Adds products that come after these.
    pub fn append(&mut self, later: Building) {
        self.rows.extend(later.rows);
        self.categories.append(later.categories);
        self.tags.append(later.tags);
        self.words.append(later.words);
    }

    pub fn finish(self) -> Listing {
        let Building { seq, rows, categories, tags, words, lower: _ } = self;
        std::thread::scope(|scope| {
            let found_by = scope.spawn(move || (categories.finish(), tags.finish(), words.finish()));
            let ordered = Listing::ordered(seq, &rows);
            let (categories, tags, words) = found_by.join().expect("it does not panic");
            Listing { categories, tags, words, ..ordered }
        })
    }
}

impl Listing {
    /// These rows in every order; nothing is found by words yet.
    fn ordered(seq: u64, rows: &[Arc<Row>]) -> Listing {
        let ranked = |by| {
            let mut all: Vec<_> = rows.iter().map(|row| ((row.rank(by), row.slot), ())).collect();
            all.sort_unstable();
            Ranked::from_sorted(all)
        };
        let mut by_name: Vec<_> = rows.iter().map(|row| ((Arc::clone(&row.name), row.slot), ())).collect();
        by_name.sort_unstable();
        let those = |is: fn(&Row) -> bool| {
            Arc::new(rows.iter().filter(|row| is(row)).map(|row| row.slot).collect::<RoaringBitmap>())
        };
        Listing {
            seq,
            changed: Changed { figures: seq, in_stock: seq, units: seq },
            by_price: ranked(By::Price),
            by_created_at: ranked(By::CreatedAt),
            by_rating: ranked(By::Rating),
            by_sold: ranked(By::Popularity),
            by_stock: ranked(By::StockQuantity),
            by_name: Sorted::from_sorted(by_name),
            prices: Digits::from_sorted(&rows.iter().map(|row| (row.slot, row.price_digits()))),
            ratings: Digits::from_sorted(&rows.iter().map(|row| (row.slot, row.rating_digits()))),
            public: those(|row| row.among == Among::Public),
            live: those(|row| row.among != Among::Archived),
            archived: those(|row| row.among == Among::Archived),
            in_stock: those(|row| row.stock() > 0),
            rows: Sorted::from_sorted(rows.iter().map(|row| (row.slot, Arc::clone(row)))),
            ..Listing::default()
        }
    }
}
