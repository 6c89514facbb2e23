//! A sorted map whose copies share what they have in common: chunks of neighbours, copied when they are changed.
//! Compact in memory, quick to build from what is sorted already and to walk either way.

use std::sync::Arc;

/// Most entries of a chunk: copying one is what a change costs.
const MOST: usize = 256;
/// How many entries a chunk begins with, so that the first changes split none.
const FILL: usize = 192;

type Chunk<K, V> = Arc<Vec<(K, V)>>;

/// For how many more entries a chunk makes room when it is full or copied.
const ROOM: usize = 8;

/// A chunk to change: itself if nobody else has it, else a copy.
fn own<K: Clone, V: Clone>(chunk: &mut Chunk<K, V>) -> &mut Vec<(K, V)> {
    if Arc::get_mut(chunk).is_none() {
        let mut copy = Vec::with_capacity(chunk.len() + ROOM);
        copy.extend_from_slice(chunk);
        *chunk = Arc::new(copy);
    }
    Arc::get_mut(chunk).expect("nobody else has it")
}

#[derive(Clone)]
pub struct Sorted<K, V = ()> {
    /// None is empty, and they are in order.
    chunks: Arc<Vec<Chunk<K, V>>>,
}

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Sorted { chunks: Arc::default() }
    }
}

impl<K: Ord + Clone, V: Clone> Sorted<K, V> {
    /// Takes over entries that are in order, no key twice.
    pub fn from_sorted(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        let mut entries = entries.into_iter().peekable();
        let mut chunks = Vec::new();
        while entries.peek().is_some() {
            chunks.push(Arc::new(entries.by_ref().take(FILL).collect::<Vec<_>>()));
        }
        Sorted { chunks: Arc::new(chunks) }
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        let (chunk, at) = self.find(key);
        at.ok().map(|at| &self.chunks[chunk][at].1)
    }

    /// The value of `key`, to change it in place.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let (chunk, at) = self.find(key);
        let at = at.ok()?;
        Some(&mut own(&mut Arc::make_mut(&mut self.chunks)[chunk])[at].1)
    }

    /// Puts an entry in, or in the place of the one with its key, which is returned.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (n, at) = self.find(&key);
        let chunks = Arc::make_mut(&mut self.chunks);
        if chunks.is_empty() {
            chunks.push(Arc::new(vec![(key, value)]));
            return None;
        }
        let chunk = own(&mut chunks[n]);
        match at {
            Ok(at) => Some(std::mem::replace(&mut chunk[at].1, value)),
            Err(at) => {
                // A vector doubles by itself, which would waste half the memory.
                if chunk.len() == chunk.capacity() {
                    chunk.reserve_exact(ROOM);
                }
                chunk.insert(at, (key, value));
                if chunk.len() > MOST {
                    // What comes in order, as ids do, leaves full chunks behind.
                    let rest = chunk.split_off(if at == MOST { MOST } else { MOST / 2 });
                    chunk.shrink_to_fit();
                    chunks.insert(n + 1, Arc::new(rest));
                }
                None
            }
        }
    }

    pub fn remove(&mut self, key: &K) {
        let (n, Ok(at)) = self.find(key) else { return };
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = own(&mut chunks[n]);
        chunk.remove(at);
        // So that a map that shrinks keeps no crowd of small chunks.
        let (len, room) = (chunk.len(), FILL.saturating_sub(chunk.len()));
        if len == 0 {
            chunks.remove(n);
        } else if len < FILL / 4 && chunks.get(n + 1).is_some_and(|next| next.len() <= room) {
            let next = chunks.remove(n + 1);
            own(&mut chunks[n]).extend_from_slice(&next);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// The entries from `from` on.
    pub fn starting<'a>(&'a self, from: &K) -> impl Iterator<Item = &'a (K, V)> + use<'a, K, V> {
        let (n, at) = self.find(from);
        let at = at.unwrap_or_else(|at| at);
        let (first, rest) = match self.chunks.get(n..) {
            Some([first, rest @ ..]) => (&first[at..], rest),
            _ => (&[][..], &[][..]),
        };
        first.iter().chain(rest.iter().flat_map(|chunk| chunk.iter()))
    }

    /// The entries from one place to another.
    fn between(&self, from: (usize, usize), to: (usize, usize)) -> impl Iterator<Item = &(K, V)> {
        let chunks = self.chunks[from.0..].iter().take(to.0 + 1 - from.0).enumerate();
        chunks.flat_map(move |(n, chunk)| {
            let begin = if n == 0 { from.1 } else { 0 };
            let end = if from.0 + n == to.0 { to.1 } else { chunk.len() };
            &chunk[begin..end]
        })
    }

    /// The chunk that has, or would have, `key`, and its place there.
    fn find(&self, key: &K) -> (usize, Result<usize, usize>) {
        let after = self.chunks.partition_point(|chunk| chunk[0].0 <= *key);
        let n = after.saturating_sub(1);
        let at =
            self.chunks.get(n).map_or(Err(0), |chunk| chunk.binary_search_by(|(known, _)| known.cmp(key)));
        (n, at)
    }
}

impl<R: Ord + Clone, V: Clone> Sorted<(R, u32), V> {
    /// The numbers from the highest rank to the lowest; those of one rank in their own order.
    pub fn down(&self) -> impl Iterator<Item = u32> {
        let last = self.chunks.last().map(|chunk| (self.chunks.len() - 1, chunk.len()));
        std::iter::successors(last.map(|end| self.run_before(end)), |(from, _)| {
            let is_first = *from == (0, 0);
            (!is_first).then(|| self.run_before(*from))
        })
        .flat_map(|(from, to)| self.between(from, to).map(|((_, number), _)| *number))
    }

    /// From where to where those go that have the rank of the entry before `end`.
    fn run_before(&self, end: (usize, usize)) -> ((usize, usize), (usize, usize)) {
        let (n, at) = if end.1 == 0 { (end.0 - 1, self.chunks[end.0 - 1].len()) } else { end };
        let chunk = &self.chunks[n];
        let rank = &chunk[at - 1].0.0;
        let is_alone = at > 1 && chunk[at - 2].0.0 != *rank;
        if is_alone {
            return ((n, at - 1), (n, at));
        }
        let (first, place) = self.find(&(rank.clone(), 0));
        // What would come after all of a chunk comes before the next.
        let place = place.unwrap_or_else(|place| place);
        let from = if place == self.chunks[first].len() { (first + 1, 0) } else { (first, place) };
        (from, (n, at))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_sorted_map_and_copies_stay_as_they_were(
            first in prop::collection::btree_map(0_u16..2000, 0_u8..9, 0..1500),
            changes in prop::collection::vec((0_u16..2000, prop::option::of(0_u8..9)), 0..1500),
            from in 0_u16..2000,
        ) {
            let mut sorted = Sorted::from_sorted(first.clone());
            let copy = sorted.clone();
            let mut model: BTreeMap<u16, u8> = first.clone();
            for (key, value) in changes {
                match value {
                    Some(value) => prop_assert_eq!(sorted.insert(key, value), model.insert(key, value)),
                    None => {
                        sorted.remove(&key);
                        model.remove(&key);
                    }
                }
                prop_assert_eq!(sorted.get(&key), model.get(&key));
            }
            if let Some(value) = sorted.get_mut(&from) {
                *value = 42;
                model.insert(from, 42);
            }
            let pairs = |map: &BTreeMap<u16, u8>| map.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>();
            prop_assert_eq!(sorted.iter().copied().collect::<Vec<_>>(), pairs(&model));
            let rest: Vec<_> = sorted.starting(&from).copied().collect();
            prop_assert_eq!(rest, model.range(from..).map(|(k, v)| (*k, *v)).collect::<Vec<_>>());
            prop_assert_eq!(copy.iter().copied().collect::<Vec<_>>(), pairs(&first));
        }

        #[test]
        fn downwards_those_of_one_rank_keep_their_order(
            ranks in (1_u16..900).prop_flat_map(|most| prop::collection::vec(0..most, 0..1500)),
            gone in prop::collection::vec(any::<prop::sample::Index>(), 0..1500),
        ) {
            let numbered = ranks.iter().zip(1_u32..);
            let mut model: std::collections::BTreeSet<_> = numbered.map(|(rank, number)| (*rank, number)).collect();
            let mut sorted = Sorted::from_sorted(model.iter().map(|key| (*key, ())));
            for index in gone.iter().filter(|_| !ranks.is_empty()) {
                let n = index.index(ranks.len());
                let key = (ranks[n], u32::try_from(n + 1).expect("few"));
                sorted.remove(&key);
                model.remove(&key);
            }
            let mut all: Vec<_> = model.into_iter().collect();
            all.sort_by_key(|(rank, number)| (std::cmp::Reverse(*rank), *number));
            let all: Vec<_> = all.into_iter().map(|(_, number)| number).collect();
            prop_assert_eq!(sorted.down().collect::<Vec<_>>(), all);
        }
    }
}
