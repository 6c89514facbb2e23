//! One page of a list.

/// Which page was asked for.
#[derive(Clone, Copy, Debug)]
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

/// A page's items, with the size of the whole list.
#[derive(Debug)]
pub struct Paged<T> {
    pub count: u64,
    pub items: Vec<T>,
}

impl<T> Paged<T> {
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Paged<U> {
        Paged { count: self.count, items: self.items.into_iter().map(f).collect() }
    }
}
