//! Accounts: who somebody is and what they may do.
//!
//! - An e-mail address belongs to one user, compared after trimming and lower-casing.
//! - Role, activity and session are read from the store on every request, never from the token's claims: a
//!   change of either takes effect at once.
//! - A refresh token works once; a second use ends its session.
//! - What is signed says by which key, or is held against each that is still good: a new key logs nobody out.
//! - There is always an active administrator, once there was one.
//! - An API token is kept as a hash. It acts within its scopes, until it expires, is revoked, or the administrator
//!   who made it is none any more.

mod access;
pub mod admin;
pub mod by_mail;
mod guesses;
pub mod http;
mod keyring;
pub mod keys;
mod known;
mod links;
mod model;
mod old;
mod ops;
mod password;
mod scope;
pub(crate) mod store;
mod tokens;

pub use access::{for_admin, for_staff, for_user, for_user_or_token};
pub use guesses::Guesses;
pub use http::{UserView, given_password};
pub use keyring::{Ring, SHORTEST};
pub use known::{KnownView, forget_old as forget_known, is_nowhere, shown as known_places};
pub use links::{ask_reset, forget_resets, proof_token, reset_token};
pub use model::{AccountError, Admin, Email, Identity, NewUser, Role, Session, Staff, User};
pub use ops::{
    SessionView, active, confirm, create_user, erase, find, forget_sessions, get, may_change, name_of,
    pass_over_sessions, sessions, set_password_of, shown_name,
};
pub use password::{Passwords, acceptable as good_password, random_password};
pub use scope::Scope;
pub use tokens::{KeySource, Keys, Purpose};
