//! Places for connections: in all, and for each address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

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

/// Files that are open beside connections: the data, uploads, calls to gateways.
pub const OTHER_FILES: u64 = 256;

/// How many of `wanted` connections the system lets this process have. Each is an open file, and many systems begin with
/// 1024 of these, though more may be had for the asking.
pub fn room_for(wanted: usize) -> usize {
    let files = getrlimit(Resource::Nofile);
    let needed = wanted as u64 + OTHER_FILES;
    let most = files.maximum.map_or(needed, |maximum| maximum.min(needed));
    let mut has = files.current.unwrap_or(u64::MAX);
    if has < most && setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..files }).is_ok() {
        has = most;
    }
    let room = has.saturating_sub(OTHER_FILES).max(16) as usize;
    if room < wanted {
        tracing::warn!(
            wanted,
            room,
            "the system allows too few open files for server.max_connections (ulimit -n)"
        );
    }
    wanted.min(room)
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
