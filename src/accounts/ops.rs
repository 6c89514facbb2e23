//! The acts of accounts.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::known;
use super::links;
use super::model::{
    AccountError, ApiToken, Bearer, Email, Identity, NewUser, Role, SessionRecord, Staff, User,
};
use super::scope::Scope;
use super::store::{ADMINS, ALIVE, API_TOKENS, BY_EMAIL, BY_EXPIRY, BY_HASH, SESSIONS, USERS};
use super::tokens::BadToken;
use crate::address::Address;
use crate::clock::Time;
use crate::hex::hex;
use crate::id::{SessionId, TokenId, UserId};
use crate::store::{COUNTERS, Reads, StoreError, WriteTx};

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
        verified_at: None,
    };
    let id = UserId(tx.next_number("users")?);
    USERS.put(tx, &id, &user)?;
    Ok((id, user))
}

/// Opens a session for a user whose password was found right. `hash` is the one it was compared with: if the
/// password was changed or the user deactivated meanwhile, there is no session. `stronger`, where given, is kept in its
/// place.
pub fn log_in(
    tx: &mut WriteTx,
    id: UserId,
    hash: &str,
    stronger: Option<&str>,
    lasts: Duration,
) -> Result<(User, SessionId, SessionRecord), AccountError> {
    let mut user = USERS.get(tx, &id)?.ok_or(AccountError::InvalidCredentials)?;
    if !user.is_active || user.password_hash != hash {
        return Err(AccountError::InvalidCredentials);
    }
    user.last_login_at = Some(tx.now());
    stronger.unwrap_or(hash).clone_into(&mut user.password_hash);
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

/// How far the sessions' numbers are moved on: by more than a shop ever has.
const SESSIONS_PASSED_OVER: u64 = 1 << 32;

/// Has no session get a number that one had which is not known any more, because the data was restored from a backup:
/// an access token names its session, and must not be good for somebody else's.
pub fn pass_over_sessions(tx: &mut WriteTx) -> Result<(), StoreError> {
    let counter = "sessions".to_owned();
    let last = COUNTERS.get(tx, &counter)?.unwrap_or(0);
    COUNTERS.put(tx, &counter, &(last + SESSIONS_PASSED_OVER))
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
    let mut user = active(tx, id)?;
    if let Some(name) = &change.name {
        user.name.clone_from(name);
    }
    if let Some(address) = &change.default_address {
        user.default_address.clone_from(address);
    }
    USERS.put(tx, &id, &user)?;
    Ok(user)
}

/// Sets a new password, has no link that was mailed be good any more, forgets where they logged in, and ends all
/// sessions but `keep`. `old_hash`, where given, is the one that the current password was compared with.
pub fn set_password(
    tx: &mut WriteTx,
    id: UserId,
    old_hash: Option<&str>,
    new_hash: &str,
    keep: Option<SessionId>,
) -> Result<(), AccountError> {
    let mut user = somebody(tx, id)?;
    if old_hash.is_some_and(|old| old != user.password_hash) {
        return Err(AccountError::InvalidCredentials);
    }
    links::forget_links(tx, id)?;
    known::forget(tx, id)?;
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

/// What others see of a user: the name that they gave, if they did.
pub fn shown_name(tx: &impl Reads, id: UserId) -> Result<String, StoreError> {
    Ok(USERS.get(tx, &id)?.map(|user| user.name).unwrap_or_default())
}

/// A user who was not erased.
fn somebody(tx: &impl Reads, id: UserId) -> Result<User, AccountError> {
    Some(get(tx, id)?).filter(|user| user.email != Email::nobodys(id)).ok_or(AccountError::Erased)
}

/// Changes what an administrator may change of a user. A deactivated user's sessions end.
pub fn set_role_and_activity(
    tx: &mut WriteTx,
    id: UserId,
    role: Option<Role>,
    is_active: Option<bool>,
) -> Result<User, AccountError> {
    let mut user = somebody(tx, id)?;
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
        links::forget_links(tx, id)?;
    }
    Ok(user)
}

/// Takes a person out of their account: what stays is a number that nobody can log in with.
pub fn erase(tx: &mut WriteTx, id: UserId) -> Result<(), AccountError> {
    let user = get(tx, id)?;
    set_role_and_activity(tx, id, Some(Role::Customer), Some(false))?;
    end_all_but(tx, id, None)?;
    known::forget(tx, id)?;
    let nobody = User {
        email: Email::nobodys(id),
        name: String::new(),
        role: Role::Customer,
        is_active: false,
        password_hash: String::new(),
        default_address: None,
        last_login_at: None,
        verified_at: None,
        ..user
    };
    Ok(USERS.put(tx, &id, &nobody)?)
}

/// A session as its user is shown it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Session")]
pub struct SessionView {
    created_at: Time,
    expires_at: Time,
}

/// Since when, and until when, a user is logged in.
pub fn sessions(tx: &impl Reads, user: UserId) -> Result<Vec<SessionView>, StoreError> {
    let shown = |id| {
        let session = SESSIONS.expect(tx, &id)?;
        Ok(SessionView { created_at: session.created_at, expires_at: session.expires_at })
    };
    ALIVE.all(tx, &user)?.into_iter().map(shown).collect()
}

/// A customer who does something, as they are inside the transaction: whoever was locked out or erased since the
/// request was let in leaves nothing behind.
pub fn active(tx: &impl Reads, id: UserId) -> Result<User, AccountError> {
    Some(get(tx, id)?).filter(|user| user.is_active).ok_or(AccountError::Forbidden)
}

/// Checks inside the transaction that `by` still is what the request found them to be.
pub fn confirm(tx: &impl Reads, by: &Staff) -> Result<(), AccountError> {
    let session = match &by.0 {
        Identity::Operator => return Ok(()),
        Identity::Token(bearer) => {
            let token = API_TOKENS.get(tx, &bearer.token)?.ok_or(AccountError::Forbidden)?;
            return if stands(tx, &token)? { Ok(()) } else { Err(AccountError::Forbidden) };
        }
        Identity::User(session) => session,
    };
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

/// What every API token's secret begins with, so that it can be told from other secrets.
pub const TOKEN_PREFIX: &str = "till_";
/// How exactly the last use of a token is kept: not every request is worth a write.
const USE_EVERY: Duration = Duration::from_secs(60);

/// How many tokens may come from one another: each request looks at all of them.
const MOST_ANCESTORS: usize = 8;

/// What it takes to make an API token.
#[derive(Clone, Debug)]
pub struct NewToken {
    pub name: String,
    pub scopes: Vec<Scope>,
    pub expires_at: Option<Time>,
}

/// Makes a token; its secret is not kept.
pub fn create_token(
    tx: &mut WriteTx,
    new: &NewToken,
    by: &Staff,
) -> Result<(TokenId, ApiToken, String), AccountError> {
    confirm(tx, by)?;
    if let Some(wide) = new.scopes.iter().find(|scope| !by.0.holds(**scope)) {
        return Err(AccountError::ScopeTooWide(*wide));
    }
    if let Identity::Token(bearer) = &by.0
        && ancestors(tx, Some(bearer.token))?.len() >= MOST_ANCESTORS
    {
        return Err(AccountError::TooDeep);
    }
    let secret = format!("{TOKEN_PREFIX}{}", hex(&tx.random::<24>()));
    let mut scopes = new.scopes.clone();
    scopes.sort_unstable();
    scopes.dedup();
    let token = ApiToken {
        name: new.name.clone(),
        scopes,
        hash: Sha256::digest(&secret).into(),
        hint: secret[..TOKEN_PREFIX.len() + 4].to_owned(),
        stands_on: match &by.0 {
            Identity::User(session) => Some(session.user),
            Identity::Token(bearer) => bearer.stands_on,
            Identity::Operator => None,
        },
        parent: match &by.0 {
            Identity::Token(bearer) => Some(bearer.token),
            Identity::User(_) | Identity::Operator => None,
        },
        created_by: by.label(),
        created_at: tx.now(),
        expires_at: new.expires_at,
        revoked_at: None,
        last_used_at: None,
    };
    let id = TokenId(tx.next_number("api_tokens")?);
    API_TOKENS.put(tx, &id, &token)?;
    Ok((id, token, secret))
}

/// Ends a token for good. One that has ended stays as it is.
pub fn revoke_token(tx: &mut WriteTx, id: TokenId) -> Result<(), AccountError> {
    let mut token = API_TOKENS.get(tx, &id)?.ok_or(AccountError::NotFound)?;
    if token.revoked_at.is_none() {
        token.revoked_at = Some(tx.now());
        API_TOKENS.put(tx, &id, &token)?;
    }
    Ok(())
}

/// Whether `by` may make or change an account that has, or gets, `role`. Who could make administrators with a token of
/// few scopes could do everything with it.
pub fn may_change(by: &Staff, role: Role) -> Result<(), AccountError> {
    let is_all = |bearer: &Bearer| bearer.scopes.contains(&Scope::All);
    match &by.0 {
        Identity::Token(bearer) if role > Role::Customer && !is_all(bearer) => {
            Err(AccountError::StaffNeedsAll)
        }
        _ => Ok(()),
    }
}

/// The token of this id, the one that made it, and so on.
fn ancestors(tx: &impl Reads, mut id: Option<TokenId>) -> Result<Vec<ApiToken>, StoreError> {
    let mut found = Vec::new();
    while let Some(known) = id {
        let token = API_TOKENS.expect(tx, &known)?;
        id = token.parent;
        found.push(token);
    }
    Ok(found)
}

/// Whether a token is good now, and so are those it comes from and whoever it stands on.
fn stands(tx: &impl Reads, token: &ApiToken) -> Result<bool, StoreError> {
    if !ancestors(tx, token.parent)?.iter().all(|token| token.is_good(tx.now())) {
        return Ok(false);
    }
    let is_admin = match token.stands_on {
        None => true,
        Some(user) => USERS.get(tx, &user)?.is_some_and(|user| user.is_active && user.role == Role::Admin),
    };
    Ok(is_admin && token.is_good(tx.now()))
}

/// The token of a secret. `true`: its last use is worth writing down.
pub fn find_token(tx: &impl Reads, secret: &str) -> Result<Result<(Bearer, bool), BadToken>, StoreError> {
    let Some(id) = BY_HASH.find(tx, &hex(&Sha256::digest(secret)))? else {
        return Ok(Err(BadToken::Invalid));
    };
    let token = API_TOKENS.expect(tx, &id)?;
    if token.revoked_at.is_none() && !token.is_good(tx.now()) {
        return Ok(Err(BadToken::Expired));
    }
    if !stands(tx, &token)? {
        return Ok(Err(BadToken::Invalid));
    }
    let is_stale = is_stale(&token, tx.now());
    Ok(Ok((Bearer { token: id, scopes: token.scopes, stands_on: token.stands_on }, is_stale)))
}

fn is_stale(token: &ApiToken, now: Time) -> bool {
    token.last_used_at.is_none_or(|at| at.plus(USE_EVERY) <= now)
}

/// Writes down that a token is used now, if that was not written a moment ago.
pub fn note_use(tx: &mut WriteTx, id: TokenId) -> Result<(), StoreError> {
    let now = tx.now();
    if let Some(mut token) = API_TOKENS.get(tx, &id)?.filter(|token| is_stale(token, now)) {
        token.last_used_at = Some(now);
        API_TOKENS.put(tx, &id, &token)?;
    }
    Ok(())
}
