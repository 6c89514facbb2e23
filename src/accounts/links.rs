//! Links in mails: to choose a new password, and to prove an address. A link is a token that is made from what is
//! stored and the signing key, and never stored itself, not even hashed: whoever reads the data file, or a backup, has
//! the nonce and can't make the token of it without the key; whoever has the key alone can't either without the nonce.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::model::{AccountError, Email, User};
use super::ops::{find, get, set_password};
use super::store::{RESETS, RESETS_BY_EXPIRY, USERS};
use super::tokens::Keys;
use crate::clock::Time;
use crate::id::UserId;
use crate::outbox::{self, Cause};
use crate::store::{Reads, StoreError, WriteTx};

/// How long a link to choose a new password is good.
pub(super) const RESET_LASTS: Duration = Duration::from_hours(1);
/// How soon another mail with a link goes to the same person, at the soonest.
const MAIL_EVERY: Duration = Duration::from_secs(60);
/// How long a link that proves an address is good.
pub(super) const PROOF_LASTS: Duration = Duration::from_hours(24 * 3);

/// That somebody may choose a new password: the link that was asked for, and not used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reset {
    /// Makes this link unlike any other.
    pub nonce: [u8; 16],
    /// When it was mailed last.
    pub asked_at: Time,
    pub expires_at: Time,
}

impl Reset {
    /// When it was asked for first.
    fn begun_at(&self) -> Time {
        self.expires_at.minus(RESET_LASTS)
    }

    /// When it may be mailed again: the pauses grow threefold, from a minute, so that it goes out five times at most.
    fn mailed_again_at(&self) -> Time {
        let age = (self.asked_at.0 - self.begun_at().0).max(0).cast_unsigned();
        self.asked_at.plus(MAIL_EVERY.max(Duration::from_millis(age) * 2))
    }
}

/// Has a link to choose a new password mailed to whoever has this address, if they may log in. Anybody may ask for
/// that, so a link that is good stays so, and is mailed again after some time.
pub fn ask_reset(tx: &mut WriteTx, email: &Email) -> Result<(), StoreError> {
    let now = tx.now();
    let Some((id, _)) = find(tx, email)?.filter(|(_, user)| user.is_active) else { return Ok(()) };
    let reset = match RESETS.get(tx, &id)?.filter(|known| known.expires_at > now) {
        Some(known) if now < known.mailed_again_at() => return Ok(()),
        Some(known) => Reset { asked_at: now, ..known },
        None => Reset { nonce: tx.random(), asked_at: now, expires_at: now.plus(RESET_LASTS) },
    };
    RESETS.put(tx, &id, &reset)?;
    outbox::post(tx, Cause::PasswordReset { user: id, asked_at: now })
}

/// The token of the link that a user asked for at this time, and until when it is good; `None` if it is not any more.
pub fn reset_token(
    tx: &impl Reads,
    keys: &Keys,
    user: UserId,
    asked_at: Time,
) -> Result<Option<(String, Time)>, StoreError> {
    let good = |reset: &Reset| reset.begun_at() <= asked_at && reset.expires_at > tx.now();
    let reset = RESETS.get(tx, &user)?.filter(good);
    Ok(reset.map(|reset| (keys.reset(user, &reset.nonce), reset.expires_at)))
}

/// Whose new password a token is for. It is good until the act that uses it says so again.
///
/// # Errors
/// [`AccountError::LinkInvalid`].
pub fn read_reset(tx: &impl Reads, keys: &Keys, token: &str) -> Result<(UserId, Reset), AccountError> {
    let user = Keys::read_reset(token).ok_or(AccountError::LinkInvalid)?;
    let reset = RESETS.get(tx, &user)?.filter(|reset| reset.expires_at > tx.now());
    let reset = reset.filter(|reset| keys.is_reset_of(token, user, &reset.nonce, tx.now()));
    Ok((user, reset.ok_or(AccountError::LinkInvalid)?))
}

/// Uses the link that `nonce` is of: sets the password, ends all sessions. Who got the link has the address.
pub fn reset_password(
    tx: &mut WriteTx,
    id: UserId,
    nonce: &[u8; 16],
    hash: &str,
) -> Result<(), AccountError> {
    let now = tx.now();
    let known = RESETS.get(tx, &id)?.filter(|reset| reset.nonce == *nonce && reset.expires_at > now);
    let user = get(tx, id)?;
    if known.is_none() || !user.is_active {
        return Err(AccountError::LinkInvalid);
    }
    RESETS.delete(tx, &id)?;
    USERS.put(tx, &id, &User { verified_at: user.verified_at.or(Some(now)), ..user })?;
    set_password(tx, id, None, hash, None)
}

/// Has a link mailed that proves the user's address, if it is not proven; at most once in a minute.
pub fn ask_proof(tx: &mut WriteTx, id: UserId) -> Result<(), AccountError> {
    if get(tx, id)?.verified_at.is_some() {
        return Ok(());
    }
    let every = MAIL_EVERY.as_millis() as i64;
    let asked_at = Time(tx.now().0 / every * every);
    Ok(outbox::post(tx, Cause::VerifyAddress { user: id, asked_at })?)
}

/// The token of the link that proves a user's address, and until when it is good; `None` if it is not any more, or
/// there is nothing left to prove.
pub fn proof_token(
    tx: &impl Reads,
    keys: &Keys,
    id: UserId,
    asked_at: Time,
) -> Result<Option<(String, Time)>, StoreError> {
    let expires = asked_at.plus(PROOF_LASTS);
    let user = USERS.get(tx, &id)?.filter(|user| user.is_active && user.verified_at.is_none());
    let user = user.filter(|_| expires > tx.now());
    Ok(user.map(|user| (keys.proof(id, asked_at, user.email.as_str()), expires)))
}

/// Whose address a token proves: the one that it was sent to.
///
/// # Errors
/// [`AccountError::LinkInvalid`].
pub fn read_proof(tx: &impl Reads, keys: &Keys, token: &str) -> Result<(UserId, Email), AccountError> {
    let (id, asked_at) = Keys::read_proof(token).ok_or(AccountError::LinkInvalid)?;
    let user = USERS.get(tx, &id)?.filter(|user| user.is_active).ok_or(AccountError::LinkInvalid)?;
    let is_good = asked_at.plus(PROOF_LASTS) > tx.now();
    if is_good && keys.is_proof_of(token, id, asked_at, user.email.as_str(), tx.now()) {
        Ok((id, user.email))
    } else {
        Err(AccountError::LinkInvalid)
    }
}

/// Writes down that a user gets what is sent to `email`. Again, it changes nothing.
pub fn prove(tx: &mut WriteTx, id: UserId, email: &Email) -> Result<(), AccountError> {
    let user = get(tx, id)?;
    if user.email != *email || !user.is_active {
        return Err(AccountError::LinkInvalid);
    }
    if user.verified_at.is_none() {
        let verified_at = Some(tx.now());
        USERS.put(tx, &id, &User { verified_at, ..user })?;
    }
    Ok(())
}

/// Has none of a user's links be good any more.
pub(super) fn forget_links(tx: &mut WriteTx, id: UserId) -> Result<(), StoreError> {
    RESETS.delete(tx, &id)
}

/// Forgets at most `limit` links that ran out; how many.
pub fn forget_resets(tx: &mut WriteTx, limit: usize) -> Result<usize, StoreError> {
    let now = tx.now();
    let old = RESETS_BY_EXPIRY.below(tx, &now, limit)?;
    for id in &old {
        RESETS.delete(tx, id)?;
    }
    Ok(old.len())
}
