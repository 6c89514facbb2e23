//! The acts of accounts.

use std::time::Duration;

use super::model::{AccountError, Email, Identity, NewUser, Role, SessionRecord, Staff, User};
use super::store::{ADMINS, ALIVE, BY_EMAIL, BY_EXPIRY, SESSIONS, USERS};
use crate::address::Address;
use crate::id::{SessionId, UserId};
use crate::store::{Reads, StoreError, WriteTx};

/// The user of an address.
pub fn find(tx: &impl Reads, email: &Email) -> Result<Option<(UserId, User)>, StoreError> {
    let Some(id) = BY_EMAIL.find(tx, &email.as_str().to_owned())? else { return Ok(None) };
    Ok(Some((id, USERS.expect(tx, &id)?)))
}

/// A user by id.
pub fn get(tx: &impl Reads, id: UserId) -> Result<User, AccountError> {
    USERS.get(tx, &id)?.ok_or(AccountError::NotFound)
}

pub fn create_user(tx: &mut WriteTx, new: &NewUser) -> Result<(UserId, User), AccountError> {
    if find(tx, &new.email)?.is_some() {
        return Err(AccountError::EmailTaken);
    }
    let user = User {
        email: new.email.clone(),
        name: new.name.clone(),
        role: new.role,
        is_active: true,
        password_hash: new.password_hash.clone(),
        default_address: None,
        created_at: tx.now(),
        last_login_at: None,
    };
    let id = UserId(tx.next_number("users")?);
    USERS.put(tx, &id, &user)?;
    Ok((id, user))
}

/// Opens a session for a user whose password was found right. `hash` is the one it was compared with: if the
/// password was changed or the user deactivated meanwhile, there is no session.
pub fn log_in(
    tx: &mut WriteTx,
    id: UserId,
    hash: &str,
    lasts: Duration,
) -> Result<(User, SessionId, SessionRecord), AccountError> {
    let mut user = USERS.get(tx, &id)?.ok_or(AccountError::InvalidCredentials)?;
    if !user.is_active || user.password_hash != hash {
        return Err(AccountError::InvalidCredentials);
    }
    user.last_login_at = Some(tx.now());
    let session = SessionRecord {
        user: id,
        nonce: tx.random(),
        generation: 0,
        created_at: tx.now(),
        expires_at: tx.now().plus(lasts),
        ended_at: None,
    };
    let session_id = SessionId(tx.next_number("sessions")?);
    USERS.put(tx, &id, &user)?;
    SESSIONS.put(tx, &session_id, &session)?;
    Ok((user, session_id, session))
}

/// What using a refresh token came to. Reuse leaves its trace, so it is an outcome and no refusal.
pub enum Rotated {
    Fresh(SessionRecord),
    Reused,
}

/// Trades the refresh token of `generation` for the next one. The token's signature was found right.
pub fn rotate(
    tx: &mut WriteTx,
    id: SessionId,
    generation: u64,
    lasts: Duration,
) -> Result<Rotated, AccountError> {
    let mut session = SESSIONS.get(tx, &id)?.ok_or(AccountError::TokenInvalid)?;
    let user = USERS.get(tx, &session.user)?.ok_or(AccountError::TokenInvalid)?;
    let alive = session.ended_at.is_none() && session.expires_at > tx.now() && user.is_active;
    if generation < session.generation {
        if alive {
            end(tx, id)?;
        }
        return Ok(Rotated::Reused);
    }
    if !alive || generation > session.generation {
        return Err(AccountError::TokenInvalid);
    }
    session.generation += 1;
    session.expires_at = tx.now().plus(lasts);
    SESSIONS.put(tx, &id, &session)?;
    Ok(Rotated::Fresh(session))
}

/// Ends a session, if it has not ended yet.
pub fn end(tx: &mut WriteTx, id: SessionId) -> Result<(), AccountError> {
    if let Some(mut session) = SESSIONS.get(tx, &id)?.filter(|session| session.ended_at.is_none()) {
        session.ended_at = Some(tx.now());
        SESSIONS.put(tx, &id, &session)?;
    }
    Ok(())
}

fn end_all_but(tx: &mut WriteTx, user: UserId, keep: Option<SessionId>) -> Result<(), AccountError> {
    for id in ALIVE.all(tx, &user)? {
        if Some(id) != keep {
            end(tx, id)?;
        }
    }
    Ok(())
}

/// What a user may change of themselves.
#[derive(Clone, Debug)]
pub struct Profile {
    pub name: Option<String>,
    pub default_address: Option<Option<Address>>,
}

pub fn change_profile(tx: &mut WriteTx, id: UserId, change: &Profile) -> Result<User, AccountError> {
    let mut user = get(tx, id)?;
    if let Some(name) = &change.name {
        user.name.clone_from(name);
    }
    if let Some(address) = &change.default_address {
        user.default_address.clone_from(address);
    }
    USERS.put(tx, &id, &user)?;
    Ok(user)
}

/// Sets a new password and ends all sessions but `keep`. `old_hash`, where given, is the one that the current
/// password was compared with.
pub fn set_password(
    tx: &mut WriteTx,
    id: UserId,
    old_hash: Option<&str>,
    new_hash: &str,
    keep: Option<SessionId>,
) -> Result<(), AccountError> {
    let mut user = get(tx, id)?;
    if old_hash.is_some_and(|old| old != user.password_hash) {
        return Err(AccountError::InvalidCredentials);
    }
    new_hash.clone_into(&mut user.password_hash);
    USERS.put(tx, &id, &user)?;
    end_all_but(tx, id, keep)
}

/// Sets the password of whoever has this address, and ends their sessions.
pub fn set_password_of(tx: &mut WriteTx, email: &Email, hash: &str) -> Result<(), AccountError> {
    let (id, _) = find(tx, email)?.ok_or(AccountError::NotFound)?;
    set_password(tx, id, None, hash, None)
}

/// What to call a user.
pub fn name_of(tx: &impl Reads, id: UserId) -> Result<String, AccountError> {
    Ok(get(tx, id)?.name)
}

/// Changes what an administrator may change of a user. A deactivated user's sessions end.
pub fn set_role_and_activity(
    tx: &mut WriteTx,
    id: UserId,
    role: Option<Role>,
    is_active: Option<bool>,
) -> Result<User, AccountError> {
    let mut user = get(tx, id)?;
    let was_admin = user.is_active && user.role == Role::Admin;
    user.role = role.unwrap_or(user.role);
    user.is_active = is_active.unwrap_or(user.is_active);
    let is_admin = user.is_active && user.role == Role::Admin;
    if was_admin && !is_admin && ADMINS.all(tx, &0)?.len() == 1 {
        return Err(AccountError::LastAdmin);
    }
    USERS.put(tx, &id, &user)?;
    if !user.is_active {
        end_all_but(tx, id, None)?;
    }
    Ok(user)
}

/// Checks inside the transaction that `by` still is what the request found them to be.
pub fn confirm(tx: &impl Reads, by: &Staff) -> Result<(), AccountError> {
    let Identity::User(session) = &by.0 else { return Ok(()) };
    let user = USERS.get(tx, &session.user)?.ok_or(AccountError::Forbidden)?;
    let alive = SESSIONS.get(tx, &session.session)?.is_some_and(|record| record.ended_at.is_none());
    if user.is_active && alive && user.role >= session.role { Ok(()) } else { Err(AccountError::Forbidden) }
}

/// Forgets at most `limit` sessions that ran out; how many.
pub fn forget_sessions(tx: &mut WriteTx, limit: usize) -> Result<usize, AccountError> {
    let now = tx.now();
    let old = BY_EXPIRY.below(tx, &now, limit)?;
    for id in &old {
        SESSIONS.delete(tx, id)?;
    }
    Ok(old.len())
}
