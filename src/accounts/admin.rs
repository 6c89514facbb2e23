//! `/api/admin/users/`, `/api/admin/tokens/`: for administrators.

use std::ops::ControlFlow;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::access::for_admin;
use super::http::{UserView, new_password};
use super::model::{ApiToken, Email, NewUser, Role, Staff, User};
use super::ops::{self, NewToken};
use super::scope::Scope;
use super::store::{API_TOKENS, USERS};
use crate::audit;
use crate::clock::Time;
use crate::http::input::{Fields, Input, Rule, boolean, line, list as list_of, rule, time, word};
use crate::http::{Answer, ApiError, Reply, Req, Routes, Stored, created, delete, get, ok, post};
use crate::id::{TokenId, UserId};
use crate::page::{Matches, Page, Paged};
use crate::store::{Direction, ReadTx, Span, StoreError};
use crate::telemetry::aside;

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/admin/users/",
            get(
                list,
                for_admin(Scope::UsersRead, "Accounts")
                    .lists::<UserView>()
                    .query::<Email>("email", "The one with this address.")
                    .query::<Role>("role", "Those of this role.")
                    .query::<bool>("is_active", "Those who may log in, or may not.")
                    .query::<String>("search", "Those with this in address or name.")
                    .query::<ByAge>("ordering", "Oldest first, unless said otherwise."),
            )
            .post(
                create,
                for_admin(Scope::UsersWrite, "Make an account for somebody")
                    .once()
                    .takes::<Creation>()
                    .creates::<UserView>()
                    .refuses(&[(409, "email_taken"), (503, "busy")]),
            ),
        )
        .at(
            "/api/admin/users/{id}/",
            get(show, for_admin(Scope::UsersRead, "An account").gives::<UserView>()).patch(
                change,
                for_admin(Scope::UsersWrite, "Change a role, or lock an account")
                    .more("It takes effect at once; who is locked out is logged out.")
                    .takes::<Change>()
                    .gives::<UserView>()
                    .refuses(&[(409, "last_admin"), (409, "user_erased")]),
            ),
        )
        .at(
            "/api/admin/users/{id}/password/",
            post(
                set_password,
                for_admin(Scope::UsersWrite, "Set somebody's password; all their sessions end")
                    .takes::<Password>()
                    .gives_nothing(204)
                    .refuses(&[(409, "user_erased"), (503, "busy")]),
            ),
        )
        .at(
            "/api/admin/tokens/",
            get(list_tokens, for_admin(Scope::TokensRead, "API tokens, newest first").lists::<TokenView>())
                .post(
                    create_token,
                    for_admin(Scope::TokensWrite, "Make an API token")
                        .more("Its secret is in this answer and nowhere else.")
                        .once()
                        .takes::<NewToken>()
                        .answers::<NewTokenView>(201, "Made."),
                ),
        )
        .at(
            "/api/admin/tokens/{id}/",
            delete(revoke_token, for_admin(Scope::TokensWrite, "Revoke an API token").gives_nothing(204)),
        )
}

async fn list(req: Req) -> Answer {
    req.admin(Scope::UsersRead)?;
    let (page, filter) = (req.page()?, Filter::of(&req)?);
    // A search may read every user, so it is done off the async threads.
    let app = std::sync::Arc::clone(&req.app);
    let found = aside(move || app.store.read(|tx| filter.find(tx, page)));
    let users = found.await.map_err(ApiError::internal)??;
    req.list(page, users.map(|(id, user)| UserView::new(id, user)))
}

#[derive(Clone, Copy)]
struct ByAge(Direction);

impl FromStr for ByAge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "created_at" => Ok(ByAge(Direction::Up)),
            "-created_at" => Ok(ByAge(Direction::Down)),
            _ => Err("must be created_at or -created_at".into()),
        }
    }
}

crate::words!(ByAge: ["created_at", "-created_at"]);

/// Which users are wanted.
struct Filter {
    email: Option<Email>,
    role: Option<Role>,
    is_active: Option<bool>,
    /// In e-mail and name; lower case.
    search: Option<String>,
    direction: Direction,
}

impl Filter {
    fn of(req: &Req) -> Result<Filter, ApiError> {
        Ok(Filter {
            email: req.query.word("email")?,
            role: req.query.word("role")?,
            is_active: req.query.flag("is_active")?,
            search: req.query.get("search").filter(|text| !text.is_empty()).map(str::to_lowercase),
            direction: req.query.word("ordering")?.unwrap_or(ByAge(Direction::Up)).0,
        })
    }

    fn lets_through(&self, user: &User) -> bool {
        let has = |search: &String| {
            user.email.as_str().contains(search.as_str())
                || user.name.to_lowercase().contains(search.as_str())
        };
        self.email.as_ref().is_none_or(|email| user.email == *email)
            && self.role.is_none_or(|role| user.role == role)
            && self.is_active.is_none_or(|active| user.is_active == active)
            && self.search.as_ref().is_none_or(has)
    }

    fn find(&self, tx: &ReadTx, page: Page) -> Result<Paged<(UserId, User)>, StoreError> {
        let mut found = Matches::of(page);
        let mut offer = |id, user| {
            if self.lets_through(&user) {
                found.add((id, user));
            }
            ControlFlow::Continue(())
        };
        match &self.email {
            Some(email) => {
                if let Some((id, user)) = ops::find(tx, email)? {
                    let _ = offer(id, user);
                }
            }
            None if self.role.is_none() && self.is_active.is_none() && self.search.is_none() => {
                return USERS.page(tx, page, self.direction);
            }
            None => USERS.scan(tx, Span::all(self.direction), offer)?,
        }
        Ok(found.done())
    }
}

fn subject(id: UserId) -> String {
    format!("user:{id}")
}

/// A user as the audit trail keeps them.
fn seen(id: UserId, user: &User) -> Value {
    json!(UserView::new(id, user.clone()))
}

struct Creation {
    email: Email,
    password: String,
    name: String,
    role: Role,
}

impl Input for Creation {
    fn read(from: &mut Fields<'_>) -> Self {
        Creation {
            email: from.req("email", word()),
            password: from.req("password", new_password()),
            name: from.opt("name", line(0..=200)).unwrap_or_default(),
            role: from.opt("role", word()).unwrap_or_default(),
        }
    }
}

async fn create(mut req: Req) -> Answer {
    let by: Staff = req.admin(Scope::UsersWrite)?.into();
    let Creation { email, password, name, role } = req.json().await?;
    let password_hash = req.app.passwords.hash(password).await?;
    let new = NewUser { email, name, role, password_hash };
    req.write_once(move |tx| {
        ops::confirm(tx, &by)?;
        ops::may_change(&by, new.role)?;
        let (id, user) = ops::create_user(tx, &new)?;
        let after = seen(id, &user);
        audit::note(tx, &by.label(), "user.create", &subject(id), Value::Null, after)?;
        Ok(created(&UserView::new(id, user)).location(&format!("/api/admin/users/{id}/")))
    })
    .await
}

async fn show(req: Req, id: UserId) -> Answer {
    req.admin(Scope::UsersRead)?;
    let user = req.app.store.read(|tx| ops::get(tx, id))?;
    Ok(ok(&UserView::new(id, user)))
}

struct Change {
    role: Option<Role>,
    is_active: Option<bool>,
}

impl Input for Change {
    fn read(from: &mut Fields<'_>) -> Self {
        Change { role: from.change("role", word()), is_active: from.change("is_active", boolean()) }
    }
}

async fn change(mut req: Req, id: UserId) -> Answer {
    let by: Staff = req.admin(Scope::UsersWrite)?.into();
    let Change { role, is_active } = req.json().await?;
    let user = req
        .write(move |tx| {
            ops::confirm(tx, &by)?;
            let before = ops::get(tx, id)?;
            ops::may_change(&by, before.role.max(role.unwrap_or_default()))?;
            let user = ops::set_role_and_activity(tx, id, role, is_active)?;
            let (before, after) = (seen(id, &before), seen(id, &user));
            audit::note(tx, &by.label(), "user.change", &subject(id), before, after)?;
            Ok(user)
        })
        .await?;
    Ok(ok(&UserView::new(id, user)))
}

struct Password {
    password: String,
}

impl Input for Password {
    fn read(from: &mut Fields<'_>) -> Self {
        Password { password: from.req("password", new_password()) }
    }
}

/// Sets a user's password, and ends all their sessions.
async fn set_password(mut req: Req, id: UserId) -> Answer {
    let by: Staff = req.admin(Scope::UsersWrite)?.into();
    let Password { password } = req.json().await?;
    let hash = req.app.passwords.hash(password).await?;
    req.write(move |tx| {
        ops::confirm(tx, &by)?;
        ops::may_change(&by, ops::get(tx, id)?.role)?;
        ops::set_password(tx, id, None, &hash, None)?;
        let after = json!({"password": "changed"});
        Ok(audit::note(tx, &by.label(), "user.set_password", &subject(id), Value::Null, after)?)
    })
    .await?;
    Ok(Reply::no_content())
}

/// An API token, without its secret.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Token")]
struct TokenView {
    id: TokenId,
    name: String,
    scopes: Vec<Scope>,
    /// The secret's first characters.
    hint: String,
    created_by: String,
    created_at: Time,
    expires_at: Option<Time>,
    last_used_at: Option<Time>,
    revoked_at: Option<Time>,
}

/// A token that was just made. The secret is shown this once; an answer given again has none.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NewToken")]
struct NewTokenView {
    #[serde(flatten)]
    token: TokenView,
    secret: Option<String>,
}

impl TokenView {
    fn new(id: TokenId, token: ApiToken) -> TokenView {
        TokenView {
            id,
            name: token.name,
            scopes: token.scopes,
            hint: token.hint,
            created_by: token.created_by,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
            revoked_at: token.revoked_at,
        }
    }
}

async fn list_tokens(req: Req) -> Answer {
    req.admin(Scope::TokensRead)?;
    let page = req.page()?;
    let tokens = req.app.store.read(|tx| API_TOKENS.page(tx, page, Direction::Down))?;
    req.list(page, tokens.map(|(id, token)| TokenView::new(id, token)))
}

fn some_scopes() -> impl Rule<Vec<Scope>> {
    let scopes = || list_of(word(), Scope::EACH.len());
    let schema = move || {
        let mut schema = scopes().schema();
        schema["minItems"] = json!(1);
        schema
    };
    rule(schema, move |value, at| match value.as_array() {
        Some(none) if none.is_empty() => at.fault("must not be empty"),
        _ => scopes().read(value, at),
    })
}

impl Input for NewToken {
    fn read(from: &mut Fields<'_>) -> Self {
        NewToken {
            name: from.req("name", line(1..=100)),
            scopes: from.req("scopes", some_scopes()),
            expires_at: from.opt("expires_at", time()),
        }
    }
}

async fn create_token(mut req: Req) -> Answer {
    let by: Staff = req.admin(Scope::TokensWrite)?.into();
    let new: NewToken = req.json().await?;
    if new.expires_at.is_some_and(|end| end <= req.now()) {
        return Err(ApiError::field("expires_at", "must be in the future"));
    }
    let (key, _guard) = req.once_key()?.unzip();
    if let Some(before) = req.answered(key.as_ref())? {
        return Ok(before);
    }
    req.write(move |tx| {
        let (id, token, secret) = ops::create_token(tx, &new, &by)?;
        let after = json!({"name": token.name, "scopes": token.scopes, "expires_at": token.expires_at});
        audit::note(tx, &by.label(), "token.create", &format!("token:{id}"), Value::Null, after)?;
        let view = |secret| created(&NewTokenView { token: TokenView::new(id, token.clone()), secret });
        if let Some(key) = &key {
            // What is kept to be given again must not hold the secret.
            key.done(tx, &Stored::from(&view(None)))?;
        }
        Ok(view(Some(secret)))
    })
    .await
}

async fn revoke_token(req: Req, id: TokenId) -> Answer {
    let by: Staff = req.admin(Scope::TokensWrite)?.into();
    req.write(move |tx| {
        ops::confirm(tx, &by)?;
        ops::revoke_token(tx, id)?;
        let (before, after) = (json!({"revoked": false}), json!({"revoked": true}));
        Ok(audit::note(tx, &by.label(), "token.revoke", &format!("token:{id}"), before, after)?)
    })
    .await?;
    Ok(Reply::no_content())
}
