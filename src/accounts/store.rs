//! Tables of accounts.

use super::known::Known;
use super::links::Reset;
use super::model::{ApiToken, Role, SessionRecord, User};
use super::old::UserV1;
use crate::clock::Time;
use crate::id::{SessionId, TokenId, UserId};
use crate::store::{Index, Table, record};

record!(User as StoredUser: V2, was V1(UserV1));
record!(SessionRecord as StoredSession: V1);
record!(ApiToken as StoredApiToken: V1);
record!(Reset as StoredReset: V1);
record!(Known as StoredKnown: V1);

pub static BY_EMAIL: Index<UserId, User, String> =
    Index::unique("users.by_email", |user| vec![user.email.as_str().to_owned()]);
/// Active administrators, under nothing but their id.
pub static ADMINS: Index<UserId, User, u8> =
    Index::list(
        "users.admins",
        |user| if user.is_active && user.role == Role::Admin { vec![0] } else { vec![] },
    );
pub static USERS: Table<UserId, User> = Table::new("users", &[&BY_EMAIL, &ADMINS]);

/// Sessions that have not ended, by their user.
pub static ALIVE: Index<SessionId, SessionRecord, UserId> =
    Index::list(
        "sessions.alive",
        |session| if session.ended_at.is_none() { vec![session.user] } else { vec![] },
    );
/// For housekeeping.
pub static BY_EXPIRY: Index<SessionId, SessionRecord, Time> =
    Index::list("sessions.by_expiry", |session| vec![session.expires_at]);
pub static SESSIONS: Table<SessionId, SessionRecord> = Table::new("sessions", &[&ALIVE, &BY_EXPIRY]);

/// By the hash of their secret.
pub static BY_HASH: Index<TokenId, ApiToken, String> =
    Index::unique("api_tokens.by_hash", |token| vec![crate::hex::hex(&token.hash)]);
pub static API_TOKENS: Table<TokenId, ApiToken> = Table::new("api_tokens", &[&BY_HASH]);

/// For housekeeping.
pub static RESETS_BY_EXPIRY: Index<UserId, Reset, Time> =
    Index::list("resets.by_expiry", |reset| vec![reset.expires_at]);
pub static RESETS: Table<UserId, Reset> = Table::new("resets", &[&RESETS_BY_EXPIRY]);

/// For housekeeping.
pub static KNOWN_BY_AGE: Index<(UserId, u64), Known, Time> =
    Index::list("known_places.by_age", |known| vec![known.at]);
/// By user and a digest of the address.
pub static KNOWN: Table<(UserId, u64), Known> = Table::new("known_places", &[&KNOWN_BY_AGE]);
