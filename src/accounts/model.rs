//! The nouns of accounts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::scope::Scope;
use crate::address::Address;
use crate::clock::Time;
use crate::described::Described;
use crate::id::{SessionId, TokenId, UserId};
use crate::store::StoreError;

/// What somebody may do; each role may do what those before it may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    #[default]
    Customer,
    Staff,
    Admin,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Customer => "customer",
            Role::Staff => "staff",
            Role::Admin => "admin",
        }
    }
}

crate::words!(Role: ["customer", "staff", "admin"]);

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Role::Customer, Role::Staff, Role::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| "must be customer, staff or admin".to_owned())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the addresses end that stand in the place of erased ones; nobody else can have such a one.
const NOBODYS: &str = "@erased.invalid";

/// An e-mail address, trimmed and in lower case.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Email(String);

impl Email {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands in the place of an erased user's address: none that mail could reach (RFC 2606).
    pub fn nobodys(user: UserId) -> Email {
        Email(format!("erased-{user}{NOBODYS}"))
    }

    /// Whether it is nobody's.
    pub fn is_nobodys(&self) -> bool {
        self.0.ends_with("@erased.invalid")
    }
}

// No format: what the shop takes for an address is more than every check of that name does.
crate::answered_as!(Email: json!({"type": "string", "description": "An e-mail address."}));

impl Described for Email {
    fn schema() -> Value {
        // What is an address to the shop is less than RFC 5322 allows, and more than most checks do.
        let (local, label) =
            (r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}", "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?");
        let pattern = format!(r"^{local}@{label}(\.{label})+$");
        let nobody = format!("{}$", NOBODYS.replace('.', r"\."));
        json!({
            "type": "string", "maxLength": 254, "pattern": pattern, "not": {"pattern": nobody},
            "description": "An e-mail address.",
        })
    }
}

/// Whether a character shows nothing, or only turns the direction of others: one address would look like another
/// (Unicode, `Default_Ignorable_Code_Point` and `Bidi_Control`).
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

impl FromStr for Email {
    type Err = String;

    /// Takes what can be an address at all; whether it is one, only a mail can tell.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().to_lowercase();
        let good = text.len() <= 254
            && text.split_once('@').is_some_and(|(local, domain)| {
                let label = |label: &str| {
                    !label.is_empty()
                        && !label.starts_with('-')
                        && !label.ends_with('-')
                        && label.chars().all(|c| c.is_alphanumeric() || c == '-')
                };
                (1..=64).contains(&local.len())
                    && !local.chars().any(|c| {
                        c.is_whitespace() || c.is_control() || is_unseen(c) || "@<>()[],;:\\\"".contains(c)
                    })
                    && domain.contains('.')
                    && domain.split('.').all(label)
            });
        if text.ends_with(NOBODYS) {
            return Err("must be an address that mail can reach".into());
        }
        if good { Ok(Email(text)) } else { Err("must be an e-mail address".into()) }
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    pub email: Email,
    pub name: String,
    pub role: Role,
    pub is_active: bool,
    /// A PHC string.
    pub password_hash: String,
    pub default_address: Option<Address>,
    pub created_at: Time,
    pub last_login_at: Option<Time>,
    /// When they showed that they get what is sent to their address.
    pub verified_at: Option<Time>,
}

/// What it takes to make a user. The password is hashed outside of any transaction.
#[derive(Clone, Debug)]
pub struct NewUser {
    pub email: Email,
    pub name: String,
    pub role: Role,
    pub password_hash: String,
}

/// A login that lasts: the family of refresh tokens that descend from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionRecord {
    pub user: UserId,
    /// Makes this session's tokens unlike those of any other that ever had its id.
    pub nonce: [u8; 16],
    /// Which refresh token is the good one; those before it were used.
    pub generation: u64,
    pub created_at: Time,
    pub expires_at: Time,
    pub ended_at: Option<Time>,
}

/// A logged-in user, as read from the store for this request.
#[derive(Clone, Debug)]
pub struct Session {
    pub user: UserId,
    pub session: SessionId,
    pub email: Email,
    pub role: Role,
}

/// A token for scripts and apps, which acts in an administrator's stead within its scopes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiToken {
    pub name: String,
    /// In order, none twice, never empty.
    pub scopes: Vec<Scope>,
    /// SHA-256 of the secret, which is random and long, so that it can't be guessed from this.
    pub hash: [u8; 32],
    /// The secret's first characters, to tell tokens by.
    pub hint: String,
    /// The administrator on whose word it stands: it is good for as long as they are one. None: the operator.
    pub stands_on: Option<UserId>,
    /// The token that made it, which it does not outlive.
    pub parent: Option<TokenId>,
    /// How histories name who made it.
    pub created_by: String,
    pub created_at: Time,
    pub expires_at: Option<Time>,
    pub revoked_at: Option<Time>,
    /// To the minute.
    pub last_used_at: Option<Time>,
}

impl ApiToken {
    pub fn is_good(&self, now: Time) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| end > now)
    }
}

/// A token that was found good for this request.
#[derive(Clone, Debug)]
pub struct Bearer {
    pub token: TokenId,
    pub scopes: Vec<Scope>,
    pub stands_on: Option<UserId>,
}

/// Who asks. Only signing in, a token, or the operator's socket makes one.
#[derive(Clone, Debug)]
pub enum Identity {
    User(Session),
    Token(Bearer),
    /// Whoever may open the data directory.
    Operator,
}

/// Somebody who may run the catalogue and the orders.
#[derive(Clone, Debug)]
pub struct Staff(pub(super) Identity);

/// Somebody who may touch users and money.
#[derive(Clone, Debug)]
pub struct Admin(pub(super) Identity);

impl Identity {
    fn role(&self) -> Role {
        match self {
            Identity::User(session) => session.role,
            Identity::Token(_) | Identity::Operator => Role::Admin,
        }
    }

    /// Whether a request for `scope` may be theirs at all. Users have roles and no scopes.
    pub fn holds(&self, scope: Scope) -> bool {
        match self {
            Identity::Token(bearer) => bearer.scopes.iter().any(|held| held.covers(scope)),
            Identity::User(_) | Identity::Operator => true,
        }
    }

    /// Whether they may see what belongs to `owner`: it is theirs, or they are staff.
    pub fn sees(&self, owner: UserId) -> bool {
        self.role() >= Role::Staff || matches!(self, Identity::User(session) if session.user == owner)
    }

    pub fn staff(self) -> Option<Staff> {
        (self.role() >= Role::Staff).then_some(Staff(self))
    }

    pub fn admin(self) -> Option<Admin> {
        (self.role() >= Role::Admin).then_some(Admin(self))
    }

    /// How histories name them.
    pub fn label(&self) -> String {
        match self {
            Identity::User(session) if session.role == Role::Customer => "customer".into(),
            Identity::User(session) => format!("{}:{}", session.role, session.user),
            Identity::Token(bearer) => format!("token:{}", bearer.token),
            Identity::Operator => "operator".into(),
        }
    }
}

impl Staff {
    pub fn label(&self) -> String {
        self.0.label()
    }
}

impl From<Admin> for Staff {
    fn from(admin: Admin) -> Staff {
        Staff(admin.0)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("An account with this e-mail address exists already.")]
    EmailTaken,
    #[error("The e-mail address or the password is wrong.")]
    InvalidCredentials,
    #[error("The refresh token is not valid; log in again.")]
    TokenInvalid,
    #[error("The refresh token was used before; for safety the whole session has been ended. Log in again.")]
    TokenReused,
    #[error("You may no longer do this.")]
    Forbidden,
    #[error("There is no such user or token.")]
    NotFound,
    #[error("A token can't give scopes that it has not itself: {0}.")]
    ScopeTooWide(Scope),
    #[error("This token comes from too many others to make one more; make it with an earlier one.")]
    TooDeep,
    #[error("Only a token with the scope all may make or change the accounts of staff and administrators.")]
    StaffNeedsAll,
    #[error("This person was erased.")]
    Erased,
    #[error("This is the last active administrator; make another one first.")]
    LastAdmin,
    #[error(
        "The link is not good any more: it was used, it ran out, or there is a newer one. Ask for another."
    )]
    LinkInvalid,
    #[error(transparent)]
    Store(#[from] StoreError),
}
