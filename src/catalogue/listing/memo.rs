//! What was found and rendered lately, kept for as long as it is what would be found and rendered again. Everything in
//! here carries the number of the commit that it is as of, and is passed over by whoever sees a later one.

use std::mem::size_of;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::Filter;
use super::snapshot::Listing;
use crate::catalogue::view::Rendered;
use crate::page::{Page, Paged};

/// Bytes of products that are kept at the most.
const PRODUCTS: u64 = 32 << 20;
/// Bytes of pages of lists.
const PAGES: u64 = 4 << 20;
/// What keeping anything takes beside itself (bytes): its key, its tag, and what the allocator and the cache need.
const BESIDE: usize = 250;

/// Something, and the number of the commit that it is as of.
#[derive(Clone)]
struct AsOf<T>(u64, T);

pub struct Memo {
    /// By place in the bitmaps.
    products: Cache<u32, AsOf<Rendered>, Bytes>,
    /// The places of the products of a page, and how many the whole list has.
    pages: Cache<Asked, AsOf<Arc<Paged<u32>>>, Bytes>,
}

type Asked = (Filter, Page);

#[derive(Clone)]
struct Bytes;

impl Weighter<u32, AsOf<Rendered>> for Bytes {
    fn weight(&self, _: &u32, AsOf(_, product): &AsOf<Rendered>) -> u64 {
        (BESIDE + product.json.len()) as u64
    }
}

impl Weighter<Asked, AsOf<Arc<Paged<u32>>>> for Bytes {
    fn weight(&self, (filter, _): &Asked, AsOf(_, found): &AsOf<Arc<Paged<u32>>>) -> u64 {
        let texts = [&filter.categories, &filter.tags, &filter.search].into_iter().flatten();
        let texts: usize = texts.map(|text| size_of::<String>() + text.len()).sum();
        (BESIDE + size_of::<Asked>() + texts + found.items.len() * size_of::<u32>()) as u64
    }
}

impl Default for Memo {
    fn default() -> Memo {
        Memo {
            products: Cache::with_weighter(PRODUCTS as usize / 1024, PRODUCTS, Bytes),
            pages: Cache::with_weighter(PAGES as usize / 512, PAGES, Bytes),
        }
    }
}

impl Memo {
    /// One page of what `filter` lets through.
    pub fn page(&self, listing: &Listing, filter: &Filter, page: Page) -> Arc<Paged<u32>> {
        let as_of = listing.as_of(filter);
        let asked = (filter.clone(), page);
        if let Some(AsOf(known, found)) = self.pages.get(&asked)
            && known == as_of
        {
            return found;
        }
        let found = Arc::new(listing.page(filter, page));
        if !found.items.is_empty() {
            self.pages.insert(asked, AsOf(as_of, Arc::clone(&found)));
        }
        found
    }

    /// The product at this place as commit number `since` left it.
    pub fn product(&self, slot: u32, since: u64) -> Option<Rendered> {
        let AsOf(known, product) = self.products.get(&slot)?;
        (known == since).then_some(product)
    }

    pub fn keep_product(&self, slot: u32, since: u64, product: &Rendered) {
        self.products.insert(slot, AsOf(since, product.clone()));
    }
}
