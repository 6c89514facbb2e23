//! One page of a list.

/// Which page was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Page {
    /// From 1.
    pub number: u64,
    /// 1 to [`Page::MAX_SIZE`].
    pub size: u64,
}

impl Page {
    pub const DEFAULT_SIZE: u64 = 20;
    pub const MAX_SIZE: u64 = 100;

    /// How many items come before this page.
    pub fn offset(self) -> u64 {
        (self.number - 1).saturating_mul(self.size)
    }
}

/// A page of those things that fit, as they are looked at one after the other.
pub struct Matches<T> {
    page: Page,
    found: Paged<T>,
}

impl<T> Matches<T> {
    pub fn of(page: Page) -> Matches<T> {
        Matches { page, found: Paged { count: 0, items: Vec::new() } }
    }

    /// Counts one, and keeps it if it is on the page.
    pub fn add(&mut self, item: T) {
        self.found.count += 1;
        if self.found.count > self.page.offset() && (self.found.items.len() as u64) < self.page.size {
            self.found.items.push(item);
        }
    }

    pub fn done(self) -> Paged<T> {
        self.found
    }
}

/// A page's items, with the size of the whole list.
#[derive(Debug)]
pub struct Paged<T> {
    pub count: u64,
    pub items: Vec<T>,
}

impl<T> Paged<T> {
    pub fn try_map<U, E>(self, f: impl FnMut(T) -> Result<U, E>) -> Result<Paged<U>, E> {
        Ok(Paged { count: self.count, items: self.items.into_iter().map(f).collect::<Result<_, E>>()? })
    }

    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Paged<U> {
        Paged { count: self.count, items: self.items.into_iter().map(f).collect() }
    }
}
