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

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &(K, V)> {
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

    /// The chunk that has, or would have, `key`, and its place there.
    fn find(&self, key: &K) -> (usize, Result<usize, usize>) {
        let after = self.chunks.partition_point(|chunk| chunk[0].0 <= *key);
        let n = after.saturating_sub(1);
        let at =
            self.chunks.get(n).map_or(Err(0), |chunk| chunk.binary_search_by(|(known, _)| known.cmp(key)));
        (n, at)
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
            let mut down: Vec<_> = sorted.iter().rev().copied().collect();
            down.reverse();
            prop_assert_eq!(down, pairs(&model));
            let rest: Vec<_> = sorted.starting(&from).copied().collect();
            prop_assert_eq!(rest, model.range(from..).map(|(k, v)| (*k, *v)).collect::<Vec<_>>());
            prop_assert_eq!(copy.iter().copied().collect::<Vec<_>>(), pairs(&first));
        }
    }
}
