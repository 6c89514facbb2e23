//! `/api/auth`: for everybody.

use std::sync::Arc;

use http::header;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::access::for_user;
use super::known;
use super::links;
use super::model::{
    AccountError, Admin, Bearer, Email, Identity, NewUser, Role, Session, SessionRecord, Staff, User,
};
use super::ops::{self, Profile, Rotated};
use super::password::{self, Busy};
use super::scope::Scope;
use super::store::{SESSIONS, USERS};
use super::tokens::{BadToken, Keys};
use crate::address::Address;
use crate::app::App;
use crate::clock::Time;
use crate::http::input::{Fields, Input, Rule, line, object, rule, text, word};
use crate::http::{
    Answer, ApiError, Origin, Reply, Req, Routes, Whom, created, for_everybody, get, ok, post,
};
use crate::id::{SessionId, UserId};

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/auth/register/",
            post(
                register,
                for_everybody("Make an account, and log in")
                    .takes::<Registration>()
                    .answers::<SignedIn>(201, "The account is made.")
                    .refuses(&[(409, "email_taken"), (503, "busy")]),
            ),
        )
        .at(
            "/api/auth/login/",
            post(
                log_in,
                for_everybody("Log in")
                    .takes::<Credentials>()
                    .gives::<SignedIn>()
                    .refuses(&[(401, "invalid_credentials"), (503, "busy")]),
            ),
        )
        .at(
            "/api/auth/token/refresh/",
            post(
                refresh,
                for_everybody("Trade a refresh token for the next one, and a new access token")
                    .more("Each refresh token works once: a second use ends the session.")
                    .takes::<Refresh>()
                    .gives::<Tokens>()
                    .refuses(&[(401, "token_invalid"), (401, "token_reused")]),
            ),
        )
        .at(
            "/api/auth/logout/",
            post(
                log_out,
                for_everybody("End a session")
                    .takes::<Refresh>()
                    .gives_nothing(204)
                    .refuses(&[(401, "token_invalid")]),
            ),
        )
        .at(
            "/api/auth/me/",
            get(me, for_user("One's own account").gives::<UserView>()).patch(
                change_me,
                for_user("Change one's own account").takes::<Profile>().gives::<UserView>(),
            ),
        )
        .at(
            "/api/auth/password/",
            post(
                change_password,
                for_user("Choose a new password; all other sessions end")
                    .takes::<NewPassword>()
                    .gives_nothing(204)
                    .refuses(&[(401, "invalid_credentials"), (503, "busy")]),
            ),
        )
}

/// An account.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "User")]
pub struct UserView {
    id: UserId,
    email: Email,
    name: String,
    role: Role,
    is_active: bool,
    default_address: Option<Address>,
    email_verified: bool,
    created_at: Time,
    last_login_at: Option<Time>,
}

impl UserView {
    pub fn new(id: UserId, user: User) -> UserView {
        UserView {
            id,
            email: user.email,
            name: user.name,
            role: user.role,
            is_active: user.is_active,
            default_address: user.default_address,
            email_verified: user.verified_at.is_some(),
            created_at: user.created_at,
            last_login_at: user.last_login_at,
        }
    }
}

impl Req {
    /// Who asks, if they say so: the request's token and, from the store, whoever it speaks of.
    ///
    /// # Errors
    /// 401 `token_invalid` or `token_expired` for a token that is there but no good.
    pub fn identity(&self) -> Result<Option<Identity>, ApiError> {
        let Some(value) = self.headers.get(header::AUTHORIZATION) else {
            return Ok((self.origin == Origin::Operator).then_some(Identity::Operator));
        };
        let token = value.to_str().ok().and_then(|value| value.split_once(' '));
        let Some((_, token)) = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) else {
            return Err(token_invalid());
        };
        if token.trim().starts_with(ops::TOKEN_PREFIX) {
            return self.bearer(token.trim()).map(|bearer| Some(Identity::Token(bearer)));
        }
        let (user, session) =
            self.app.keys.read_access(token.trim(), self.now()).map_err(|bad| match bad {
                BadToken::Invalid => token_invalid(),
                BadToken::Expired => {
                    unauthorized("token_expired", "The access token has expired; refresh it.")
                }
            })?;
        let session = self.app.store.read(|tx| {
            let alive =
                SESSIONS.get(tx, &session)?.filter(|record| record.user == user && record.ended_at.is_none());
            let found = USERS.get(tx, &user)?.filter(|user| user.is_active);
            match (alive, found) {
                (Some(_), Some(found)) => Ok(Session { user, session, email: found.email, role: found.role }),
                _ => Err(token_invalid()),
            }
        })?;
        // Whose session has ended asks at the cost of the address alone.
        self.charge(Whom::User(user.0))?;
        Ok(Some(Identity::User(session)))
    }

    fn bearer(&self, secret: &str) -> Result<Bearer, ApiError> {
        let found = self.app.store.read(|tx| ops::find_token(tx, secret))?;
        let (bearer, is_stale) = found.map_err(|bad| match bad {
            BadToken::Expired => {
                unauthorized("token_expired", "The API token has expired; make another one.")
            }
            BadToken::Invalid => {
                let detail =
                    "The API token is not known or was revoked, or who made it is no administrator now.";
                unauthorized("token_invalid", detail)
            }
        })?;
        self.charge(Whom::Token(bearer.token.0))?;
        if is_stale {
            let id = bearer.token;
            self.app.store.write_later(move |tx| ops::note_use(tx, id));
        }
        Ok(bearer)
    }

    /// Whoever asks, for what a token needs `scope` for.
    ///
    /// # Errors
    /// 401 if they don't say; 403 for a token without that scope.
    pub fn someone(&self, scope: Scope) -> Result<Identity, ApiError> {
        let who = self.identity()?.ok_or_else(not_authenticated)?;
        if who.holds(scope) {
            Ok(who)
        } else {
            let detail = format!("This token lacks the scope {scope}.");
            Err(ApiError::new(403, "permission_denied", detail))
        }
    }

    /// Somebody who is logged in.
    pub fn user(&self) -> Result<Session, ApiError> {
        let who = match self.identity()?.ok_or_else(not_authenticated)? {
            Identity::User(session) => return Ok(session),
            Identity::Token(_) => "an API token",
            Identity::Operator => "the operator",
        };
        let detail = format!("This is for customers; {who} has no account of its own.");
        Err(ApiError::new(403, "permission_denied", detail))
    }

    pub fn staff(&self, scope: Scope) -> Result<Staff, ApiError> {
        self.someone(scope)?.staff().ok_or_else(permission_denied)
    }

    pub fn admin(&self, scope: Scope) -> Result<Admin, ApiError> {
        self.someone(scope)?.admin().ok_or_else(permission_denied)
    }

    /// Whether staff ask, on a route that is open to all.
    pub fn is_staff(&self, scope: Scope) -> Result<bool, ApiError> {
        Ok(self.identity()?.filter(|who| who.holds(scope)).and_then(Identity::staff).is_some())
    }

    /// Whose idempotency keys this request's key is among.
    pub fn asker(&self) -> Result<String, ApiError> {
        Ok(match self.identity()? {
            Some(Identity::User(session)) => session.user.to_string(),
            Some(Identity::Token(bearer)) => format!("token:{}", bearer.token),
            Some(Identity::Operator) => "operator".into(),
            None => "-".into(),
        })
    }
}

fn unauthorized(code: &'static str, detail: &str) -> ApiError {
    ApiError::new(401, code, detail).header(header::WWW_AUTHENTICATE, "Bearer")
}

fn not_authenticated() -> ApiError {
    unauthorized("not_authenticated", "Log in, and send the access token as Authorization: Bearer.")
}

fn token_invalid() -> ApiError {
    unauthorized("token_invalid", "The access token is not valid, or its session has ended; log in again.")
}

fn permission_denied() -> ApiError {
    ApiError::new(403, "permission_denied", "Your role does not allow this.")
}

struct Registration {
    email: Email,
    password: String,
    name: String,
}

impl Input for Registration {
    fn read(from: &mut Fields<'_>) -> Self {
        Registration {
            email: from.req("email", word()),
            password: from.req("password", new_password()),
            name: from.opt("name", line(0..=200)).unwrap_or_default(),
        }
    }
}

/// The rule of a password that is being chosen.
pub(super) fn new_password() -> impl Rule<String> {
    let schema = || {
        json!({
            "type": "string",
            "format": "password",
            "minLength": password::LENGTH.start(),
            "maxLength": password::LENGTH.end(),
            "description": "Not one of the commonest.",
        })
    };
    rule(schema, |value, at| {
        let Value::String(text) = value else { return at.fault("must be a string") };
        password::acceptable(text).map_or_else(|said| at.fault(said), Some)
    })
}

/// Any string that could be a password: what is wrong with it, comparing it will tell.
pub fn given_password() -> impl Rule<String> {
    let schema = || json!({"type": "string", "format": "password", "maxLength": password::LENGTH.end()});
    rule(schema, |value, at| match value {
        Value::String(text) if text.chars().count() <= *password::LENGTH.end() => Some(text.clone()),
        _ => at.fault(format!("must be a string of at most {} characters", password::LENGTH.end())),
    })
}

async fn register(mut req: Req) -> Answer {
    let Registration { email, password, name } = req.json().await?;
    if req.app.store.read(|tx| ops::find(tx, &email))?.is_some() {
        return Err(AccountError::EmailTaken.into());
    }
    let password_hash = req.app.passwords.hash(password).await?;
    let new = NewUser { email, name, role: Role::Customer, password_hash };
    let lasts = req.app.refresh_lasts();
    let (app, net) = (Arc::clone(&req.app), req.net());
    let (id, user, session_id, session) = req
        .write(move |tx| {
            let (id, user) = ops::create_user(tx, &new)?;
            let (user, session_id, session) = ops::log_in(tx, id, &user.password_hash, None, lasts)?;
            known::note(tx, &app.keys, id, net)?;
            links::ask_proof(tx, id)?;
            Ok((id, user, session_id, session))
        })
        .await?;
    Ok(created(&signed_in(&req.app, id, user, session_id, &session)))
}

struct Credentials {
    email: String,
    password: String,
}

impl Input for Credentials {
    fn read(from: &mut Fields<'_>) -> Self {
        Credentials {
            email: from.req("email", text(1..=254)),
            password: from.req("password", given_password()),
        }
    }
}

async fn log_in(mut req: Req) -> Answer {
    let Credentials { email, password } = req.json().await?;
    let known = match email.parse() {
        Ok(email) => req.app.store.read(|tx| ops::find(tx, &email))?,
        Err(_) => None,
    };
    let address = email.trim().to_lowercase();
    let compared = req.is_password(&address, known.as_ref().map(|(id, user)| (*id, user)), password).await?;
    let Some((id, user)) = known.filter(|_| compared.is_right) else {
        return Err(AccountError::InvalidCredentials.into());
    };
    let (lasts, stronger) = (req.app.refresh_lasts(), compared.stronger);
    let (app, net, hash) = (Arc::clone(&req.app), req.net(), user.password_hash);
    let (user, session_id, session) = req
        .write(move |tx| {
            let session = ops::log_in(tx, id, &hash, stronger.as_deref(), lasts)?;
            known::note(tx, &app.keys, id, net)?;
            Ok(session)
        })
        .await?;
    Ok(ok(&signed_in(&req.app, id, user, session_id, &session)))
}

/// The tokens of a session.
#[derive(Serialize, JsonSchema)]
struct Tokens {
    /// For Authorization: Bearer.
    access: String,
    /// For the next access token; works once.
    refresh: String,
    token_type: &'static str,
    /// How long the access token is good, in seconds.
    expires_in: u64,
}

/// An account, and the tokens of a new session.
#[derive(Serialize, JsonSchema)]
struct SignedIn {
    user: UserView,
    #[serde(flatten)]
    tokens: Tokens,
}

fn signed_in(app: &App, id: UserId, user: User, session_id: SessionId, session: &SessionRecord) -> SignedIn {
    SignedIn { user: UserView::new(id, user), tokens: tokens(app, session_id, session) }
}

fn tokens(app: &App, id: SessionId, session: &SessionRecord) -> Tokens {
    let (now, lasts) = (app.clock.now(), app.access_lasts());
    Tokens {
        access: app.keys.access(id, session, now, now.plus(lasts)),
        refresh: app.keys.refresh(id, session),
        token_type: "Bearer",
        expires_in: lasts.as_secs(),
    }
}

struct Refresh {
    refresh: String,
}

impl Input for Refresh {
    fn read(from: &mut Fields<'_>) -> Self {
        Refresh { refresh: from.req("refresh", text(1..=200)) }
    }
}

/// The session and generation of a refresh token that this shop made.
fn read_refresh(app: &App, token: &str) -> Result<(SessionId, u64), ApiError> {
    let invalid = || ApiError::from(AccountError::TokenInvalid);
    let (id, generation, mac) = Keys::read_refresh(token).ok_or_else(invalid)?;
    let session = app.store.read(|tx| SESSIONS.get(tx, &id))?.ok_or_else(invalid)?;
    let now = app.clock.now();
    if app.keys.is_refresh_of(id, generation, &mac, &session, now) {
        Ok((id, generation))
    } else {
        Err(invalid())
    }
}

async fn refresh(mut req: Req) -> Answer {
    let Refresh { refresh } = req.json().await?;
    let (id, generation) = read_refresh(&req.app, &refresh)?;
    let lasts = req.app.refresh_lasts();
    match req.write(move |tx| Ok(ops::rotate(tx, id, generation, lasts)?)).await? {
        Rotated::Fresh(session) => Ok(ok(&tokens(&req.app, id, &session))),
        Rotated::Reused => Err(AccountError::TokenReused.into()),
    }
}

async fn log_out(mut req: Req) -> Answer {
    let Refresh { refresh } = req.json().await?;
    let (id, _) = read_refresh(&req.app, &refresh)?;
    req.write(move |tx| Ok(ops::end(tx, id)?)).await?;
    Ok(Reply::no_content())
}

async fn me(req: Req) -> Answer {
    let session = req.user()?;
    let user = req.app.store.read(|tx| ops::get(tx, session.user))?;
    Ok(ok(&UserView::new(session.user, user)))
}

impl Input for Profile {
    fn read(from: &mut Fields<'_>) -> Self {
        Profile {
            name: from.change("name", line(0..=200)),
            default_address: from.change_or_null("default_address", object()),
        }
    }
}

async fn change_me(mut req: Req) -> Answer {
    let id = req.user()?.user;
    let change: Profile = req.json().await?;
    let user = req.write(move |tx| Ok(ops::change_profile(tx, id, &change)?)).await?;
    Ok(ok(&UserView::new(id, user)))
}

struct NewPassword {
    current_password: String,
    new_password: String,
}

impl Input for NewPassword {
    fn read(from: &mut Fields<'_>) -> Self {
        NewPassword {
            current_password: from.req("current_password", given_password()),
            new_password: from.req("new_password", new_password()),
        }
    }
}

async fn change_password(mut req: Req) -> Answer {
    let session = req.user()?;
    let NewPassword { current_password, new_password } = req.json().await?;
    let (is_right, user) = req.is_own_password(session.user, current_password).await?;
    if !is_right {
        return Err(AccountError::InvalidCredentials.into());
    }
    let old = user.password_hash;
    let new = req.app.passwords.hash(new_password).await?;
    let (app, net) = (Arc::clone(&req.app), req.net());
    req.write(move |tx| {
        ops::set_password(tx, session.user, Some(&old), &new, Some(session.session))?;
        Ok(known::note(tx, &app.keys, session.user, net)?)
    })
    .await?;
    Ok(Reply::no_content())
}

impl From<Busy> for ApiError {
    fn from(_: Busy) -> ApiError {
        ApiError::new(503, "busy", "Too many logins are under way; try again in a moment.")
            .header(header::RETRY_AFTER, "1")
    }
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> ApiError {
        match error {
            AccountError::EmailTaken => ApiError::new(409, "email_taken", error),
            AccountError::InvalidCredentials => unauthorized("invalid_credentials", &error.to_string()),
            AccountError::TokenInvalid => unauthorized("token_invalid", &error.to_string()),
            AccountError::TokenReused => unauthorized("token_reused", &error.to_string()),
            AccountError::Forbidden => permission_denied(),
            AccountError::NotFound => ApiError::not_found(),
            AccountError::ScopeTooWide(_) | AccountError::TooDeep | AccountError::StaffNeedsAll => {
                ApiError::new(403, "permission_denied", error)
            }
            AccountError::Erased => ApiError::new(409, "user_erased", error),
            AccountError::LastAdmin => ApiError::new(409, "last_admin", error),
            AccountError::LinkInvalid => ApiError::new(422, "link_invalid", error),
            AccountError::Store(error) => error.into(),
        }
    }
}
