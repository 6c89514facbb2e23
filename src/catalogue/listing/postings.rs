//! Which products have a word, a tag or a category: a set of products for each.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::BitOrAssign;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::sorted::Sorted;

/// The products under one word. Most words of a large catalogue are one product's own (its number, its SKU).
#[derive(Clone)]
pub enum Posted {
    One(u32),
    Many(Arc<RoaringBitmap>),
}

impl Posted {
    fn insert(&mut self, slot: u32) {
        match self {
            Posted::One(known) if *known == slot => {}
            Posted::One(known) => *self = Posted::Many(Arc::new(RoaringBitmap::from([*known, slot]))),
            Posted::Many(all) => {
                Arc::make_mut(all).insert(slot);
            }
        }
    }

    /// Whether any are left.
    fn remove(&mut self, slot: u32) -> bool {
        match self {
            Posted::One(known) => *known != slot,
            Posted::Many(all) => {
                let all = Arc::make_mut(all);
                all.remove(slot);
                !all.is_empty()
            }
        }
    }

    /// How many of these are in `those`.
    pub fn count_among(&self, those: &RoaringBitmap) -> u64 {
        match self {
            Posted::One(slot) => u64::from(those.contains(*slot)),
            Posted::Many(all) => all.intersection_len(those),
        }
    }
}

impl BitOrAssign<&Posted> for RoaringBitmap {
    fn bitor_assign(&mut self, posted: &Posted) {
        match posted {
            Posted::One(slot) => drop(self.insert(*slot)),
            Posted::Many(all) => *self |= &**all,
        }
    }
}

/// The words of a catalogue.
pub type Postings = Sorted<Arc<str>, Posted>;

impl Postings {
    /// The products under any of `words`.
    pub fn any<'a>(&self, words: impl Iterator<Item = &'a str>) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        for posted in words.filter_map(|word| self.get(&word.into())) {
            all |= posted;
        }
        all
    }

    /// The products under the words that begin with `start`.
    pub fn beginning(&self, start: &str) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        for (_, posted) in self.starting(&start.into()).take_while(|(word, _)| word.starts_with(start)) {
            all |= posted;
        }
        all
    }

    /// Takes `slot` off the lists of the words it `had` and puts it on those it `has`; both are in order.
    pub fn move_from(&mut self, slot: u32, had: &[String], has: &[String]) {
        for word in had.iter().filter(|word| has.binary_search(word).is_err()) {
            let word = word.as_str().into();
            if self.get_mut(&word).is_some_and(|posted| !posted.remove(slot)) {
                self.remove(&word);
            }
        }
        for word in has.iter().filter(|word| had.binary_search(word).is_err()) {
            let word = word.as_str().into();
            match self.get_mut(&word) {
                Some(posted) => posted.insert(slot),
                None => drop(self.insert(word, Posted::One(slot))),
            }
        }
    }
}

/// [`Postings`] in the making, of products that come in the order of their slots.
#[derive(Default)]
pub struct Gathering {
    slots: HashMap<Box<str>, Slots>,
}

enum Slots {
    One(u32),
    Many(Vec<u32>),
}

impl Slots {
    fn append(&mut self, later: Slots) {
        let mut all = match std::mem::replace(self, Slots::Many(Vec::new())) {
            Slots::One(slot) => vec![slot],
            Slots::Many(slots) => slots,
        };
        match later {
            Slots::One(slot) => all.push(slot),
            Slots::Many(slots) => all.extend(slots),
        }
        *self = Slots::Many(all);
    }
}

impl Gathering {
    pub fn add(&mut self, slot: u32, word: &str) {
        match self.slots.get_mut(word) {
            None => drop(self.slots.insert(word.into(), Slots::One(slot))),
            Some(Slots::Many(slots)) => {
                if slots.last() != Some(&slot) {
                    slots.push(slot);
                }
            }
            Some(one) => {
                if let Slots::One(first) = one
                    && *first != slot
                {
                    *one = Slots::Many(vec![*first, slot]);
                }
            }
        }
    }

    /// Adds what was gathered of products that come after these.
    pub fn append(&mut self, later: Gathering) {
        for (word, slots) in later.slots {
            match (self.slots.entry(word), slots) {
                (Entry::Vacant(place), slots) => drop(place.insert(slots)),
                (Entry::Occupied(mut known), slots) => known.get_mut().append(slots),
            }
        }
    }

    pub fn finish(self) -> Postings {
        let posted = |slots| match slots {
            Slots::One(slot) => Posted::One(slot),
            Slots::Many(slots) => {
                let all = RoaringBitmap::from_sorted_iter(slots).expect("slots came in order");
                Posted::Many(Arc::new(all))
            }
        };
        let mut all: Vec<_> =
            self.slots.into_iter().map(|(word, slots)| (Arc::from(word), posted(slots))).collect();
        all.sort_unstable_by(|(a, _), (b, _): &(Arc<str>, Posted)| a.cmp(b));
        Postings::from_sorted(all)
    }
}
