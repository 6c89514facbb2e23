//! Places for connections: in all, and for each address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::client::Net;

/// So many connections may be open at a time.
pub struct Places {
    most: usize,
    most_of_one: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    of: HashMap<Net, usize>,
}

/// A connection's place, for as long as it is held.
pub struct Place {
    places: Arc<Places>,
    net: Option<Net>,
}

impl Places {
    pub fn new(most: usize, most_of_one: usize) -> Arc<Places> {
        Arc::new(Places { most, most_of_one, taken: Mutex::default() })
    }

    /// A place, if there is one left. Without a `net` only all are counted.
    pub fn take(self: &Arc<Self>, net: Option<Net>) -> Option<Place> {
        let mut taken = self.taken();
        if taken.all >= self.most {
            return None;
        }
        if let Some(net) = net {
            let own = taken.of.entry(net).or_default();
            if *own >= self.most_of_one {
                return None;
            }
            *own += 1;
        }
        taken.all += 1;
        Some(Place { places: Arc::clone(self), net })
    }

    /// How many are held.
    pub fn held(&self) -> usize {
        self.taken().all
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        let Some(net) = self.net else { return };
        if let Some(own) = taken.of.get_mut(&net) {
            *own -= 1;
            if *own == 0 {
                taken.of.remove(&net);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_can_t_take_the_places_of_all() {
        let places = Places::new(4, 2);
        let net = |text: &str| Some(Net::of(text.parse().expect("an address")));
        let (ann, bob) = (net("198.51.100.1"), net("198.51.100.2"));
        let held = [places.take(ann).expect("a place"), places.take(ann).expect("a place")];
        assert!(places.take(ann).is_none());
        let other = places.take(bob).expect("a place");
        let proxy = places.take(None).expect("a place");
        assert!(places.take(bob).is_none(), "all are taken");
        drop(held);
        assert_eq!(places.held(), 2);
        assert!(places.take(ann).is_some());
        drop((other, proxy));
        assert_eq!(places.held(), 0);
        assert!(places.taken().of.is_empty());
    }
}
