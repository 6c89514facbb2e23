//! A number of each product as sets of products, one for each binary digit, so that finding those between two bounds
//! costs words of bitmaps and not a step for each product (O'Neil and Quass, Improved Query Performance with Variant
//! Indexes, 1997).

use std::sync::Arc;

use roaring::RoaringBitmap;

#[derive(Clone, Default)]
pub struct Digits {
    /// The products whose number has this digit set, the lowest first.
    sets: Vec<Arc<RoaringBitmap>>,
}

impl Digits {
    /// Takes over numbers of products that are in the order of their slots.
    pub fn from_sorted(numbers: &(impl Iterator<Item = (u32, u64)> + Clone)) -> Digits {
        let most = numbers.clone().map(|(_, number)| number).max().unwrap_or(0);
        let set = |digit: u32| {
            let slots = numbers.clone().filter(|(_, number)| number >> digit & 1 == 1).map(|(slot, _)| slot);
            Arc::new(RoaringBitmap::from_sorted_iter(slots).expect("slots come in order"))
        };
        Digits { sets: (0..u64::BITS - most.leading_zeros()).map(set).collect() }
    }

    /// Notes another number of a product; one that was not heard of before has 0.
    pub fn change(&mut self, slot: u32, from: u64, to: u64) {
        let digits = (u64::BITS - to.leading_zeros()) as usize;
        if self.sets.len() < digits {
            self.sets.resize_with(digits, Arc::default);
        }
        for (digit, set) in self.sets.iter_mut().enumerate() {
            match (from >> digit & 1, to >> digit & 1) {
                (0, 1) => drop(Arc::make_mut(set).insert(slot)),
                (1, 0) => drop(Arc::make_mut(set).remove(slot)),
                _ => {}
            }
        }
    }

    /// Those of `among` whose number is at most `most`.
    pub fn up_to(&self, most: u64, among: &RoaringBitmap) -> RoaringBitmap {
        if most.checked_shr(self.sets.len() as u32).unwrap_or(0) > 0 {
            return among.clone();
        }
        // Of the digits looked at so far: those that are as in `most`, and those that are below it already.
        let (mut same, mut below) = (among.clone(), RoaringBitmap::new());
        for (digit, set) in self.sets.iter().enumerate().rev() {
            if most >> digit & 1 == 1 {
                below |= &same - &**set;
                same &= &**set;
            } else {
                same -= &**set;
            }
        }
        below | same
    }

    /// Those of `among` whose number is at least `least`.
    pub fn from(&self, least: u64, among: RoaringBitmap) -> RoaringBitmap {
        let Some(most) = least.checked_sub(1) else { return among };
        let below = self.up_to(most, &among);
        among - below
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_finds_what_looking_at_each_finds(
            first in prop::collection::btree_map(0_u32..3000, 0_u64..100_000, 0..500),
            changes in prop::collection::vec((0_u32..3000, 0_u64..1_000_000), 0..200),
            bound in prop::num::u64::ANY.prop_map(|n| n % 1_100_000),
            among in prop::collection::btree_set(0_u32..3000, 0..1000),
        ) {
            let mut numbers: BTreeMap<u32, u64> = first;
            let mut digits = Digits::from_sorted(&numbers.iter().map(|(slot, number)| (*slot, *number)));
            for (slot, number) in changes {
                digits.change(slot, numbers.get(&slot).copied().unwrap_or(0), number);
                numbers.insert(slot, number);
            }
            let among: RoaringBitmap = among.into_iter().filter(|slot| numbers.contains_key(slot)).collect();
            let those = |is: &dyn Fn(u64) -> bool| among.iter().filter(|slot| is(numbers[slot])).collect::<RoaringBitmap>();
            prop_assert_eq!(digits.up_to(bound, &among), those(&|number| number <= bound));
            prop_assert_eq!(digits.from(bound, among.clone()), those(&|number| number >= bound));
            prop_assert_eq!(digits.up_to(u64::MAX, &among), among.clone());
        }
    }
}
