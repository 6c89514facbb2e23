//! Where people have logged in before. What is kept of an address is a digest that only this shop can make, and that is
//! another one for each user: it says whether somebody comes from there again, and nothing else. Under another signing
//! key none of them is known any more.

use std::ops::ControlFlow;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::store::{KNOWN, KNOWN_BY_AGE};
use super::tokens::{Keys, Purpose};
use crate::clock::Time;
use crate::http::Net;
use crate::id::UserId;
use crate::store::{Direction, Key, Reads, Span, StoreError, WriteTx};

/// How many are kept of one user.
const MOST: usize = 10;
/// For how long.
const KEPT: Duration = Duration::from_hours(24 * 180);
/// What their digests are made for.
const PLACE: Purpose = Purpose { name: "known place", lasts: KEPT };
/// How exactly it is kept when they were there last.
const NOTED_EVERY: Duration = Duration::from_hours(24);

/// An address from which somebody logged in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Known {
    pub at: Time,
}

/// The digest by the key that signs, and those by the keys before it.
fn digests(keys: &Keys, user: UserId, net: Net, now: Time) -> impl Iterator<Item = u64> {
    let (user, net) = (user.0.to_be_bytes(), net.to_string());
    let parts: [&[u8]; 2] = [&user, net.as_bytes()];
    let earlier = keys.earlier_digests_for(PLACE, &parts, now);
    let all = std::iter::once(keys.digest_for(PLACE, &parts)).chain(earlier);
    all.map(|digest| u64::from_be_bytes(std::array::from_fn(|n| digest[n])))
}

/// Whether a user has logged in from there.
pub fn is_known(tx: &impl Reads, keys: &Keys, user: UserId, net: Net) -> Result<bool, StoreError> {
    for digest in digests(keys, user, net, tx.now()) {
        if KNOWN.get(tx, &(user, digest))?.is_some_and(|known| tx.now() < known.at.plus(KEPT)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes down that a user logged in from there.
pub fn note(tx: &mut WriteTx, keys: &Keys, user: UserId, net: Option<Net>) -> Result<(), StoreError> {
    let (Some(net), now) = (net, tx.now()) else { return Ok(()) };
    let Some(digest) = digests(keys, user, net, now).next() else { return Ok(()) };
    let key = (user, digest);
    let before = KNOWN.get(tx, &key)?;
    if before.as_ref().is_some_and(|known| now < known.at.plus(NOTED_EVERY)) {
        return Ok(());
    }
    if before.is_none() {
        let mut all = of(tx, user)?;
        all.sort_unstable_by_key(|(_, at)| std::cmp::Reverse(*at));
        for (oldest, _) in all.into_iter().skip(MOST - 1) {
            KNOWN.delete(tx, &oldest)?;
        }
    }
    KNOWN.put(tx, &key, &Known { at: now })
}

type Place = (UserId, u64);

/// What a user is shown of a place from which they logged in: that it is known, and since when they were not there.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KnownPlace")]
pub struct KnownView {
    last_login_at: Time,
}

fn of(tx: &impl Reads, user: UserId) -> Result<Vec<(Place, Time)>, StoreError> {
    let mut found = Vec::new();
    KNOWN.scan(tx, Span::under(user.bytes(), Direction::Up), |key, known| {
        found.push((key, known.at));
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// Forgets where a user has been.
pub(super) fn forget(tx: &mut WriteTx, user: UserId) -> Result<(), StoreError> {
    for (key, _) in of(tx, user)? {
        KNOWN.delete(tx, &key)?;
    }
    Ok(())
}

/// When a user logged in from each of the places that are kept; which these are, nobody can tell.
pub fn shown(tx: &impl Reads, user: UserId) -> Result<Vec<KnownView>, StoreError> {
    Ok(of(tx, user)?.into_iter().map(|(_, last_login_at)| KnownView { last_login_at }).collect())
}

/// Whether nothing is kept of where a user has been.
pub fn is_nowhere(tx: &impl Reads, user: UserId) -> Result<bool, StoreError> {
    Ok(of(tx, user)?.is_empty())
}

/// Forgets at most `limit` that are too old; how many.
pub fn forget_old(tx: &mut WriteTx, limit: usize) -> Result<usize, StoreError> {
    let end = tx.now().minus(KEPT);
    let old = KNOWN_BY_AGE.below(tx, &end, limit)?;
    for key in &old {
        KNOWN.delete(tx, key)?;
    }
    Ok(old.len())
}
