//! `/api/admin/users/`: for administrators.

use super::http::{UserView, new_password};
use super::model::{Email, NewUser, Role, User};
use super::ops;
use super::store::USERS;
use crate::http::input::{Fields, Input, boolean, text, word};
use crate::http::{Answer, Reply, Req, Routes, created, get, ok, post};
use crate::id::UserId;
use crate::store::Direction;

pub fn routes() -> Routes {
    Routes::new()
        .at("/api/admin/users/", get(list).post(create))
        .at("/api/admin/users/{id}/", get(show).patch(change))
        .at("/api/admin/users/{id}/password/", post(set_password))
}

async fn list(req: Req) -> Answer {
    req.admin()?;
    let page = req.page()?;
    let users = req.app.store.read(|tx| match req.query.word::<Email>("email")? {
        Some(email) => {
            let found: Vec<(UserId, User)> = ops::find(tx, &email)?.into_iter().collect();
            Ok::<_, crate::http::ApiError>(crate::page::Paged { count: found.len() as u64, items: found })
        }
        None => Ok(USERS.page(tx, page, Direction::Up)?),
    })?;
    req.list(page, users.map(|(id, user)| UserView::new(id, user)))
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
            email: from.req("email", word),
            password: from.req("password", new_password),
            name: from.opt("name", text(0..=200)).unwrap_or_default(),
            role: from.opt("role", word).unwrap_or_default(),
        }
    }
}

async fn create(mut req: Req) -> Answer {
    let by = req.admin()?.into();
    let Creation { email, password, name, role } = req.json().await?;
    let password_hash = req.app.passwords.hash(password).await?;
    let new = NewUser { email, name, role, password_hash };
    req.write_once(move |tx| {
        ops::confirm(tx, &by)?;
        let (id, user) = ops::create_user(tx, &new)?;
        Ok(created(&UserView::new(id, user)).location(&format!("/api/admin/users/{id}/")))
    })
    .await
}

async fn show(req: Req, id: UserId) -> Answer {
    req.admin()?;
    let user = req.app.store.read(|tx| ops::get(tx, id))?;
    Ok(ok(&UserView::new(id, user)))
}

struct Change {
    role: Option<Role>,
    is_active: Option<bool>,
}

impl Input for Change {
    fn read(from: &mut Fields<'_>) -> Self {
        Change { role: from.change("role", word), is_active: from.change("is_active", boolean) }
    }
}

async fn change(mut req: Req, id: UserId) -> Answer {
    let by = req.admin()?.into();
    let Change { role, is_active } = req.json().await?;
    let user = req
        .write(move |tx| {
            ops::confirm(tx, &by)?;
            Ok(ops::set_role_and_activity(tx, id, role, is_active)?)
        })
        .await?;
    Ok(ok(&UserView::new(id, user)))
}

struct Password {
    password: String,
}

impl Input for Password {
    fn read(from: &mut Fields<'_>) -> Self {
        Password { password: from.req("password", new_password) }
    }
}

/// Sets a user's password, and ends all their sessions.
async fn set_password(mut req: Req, id: UserId) -> Answer {
    let by = req.admin()?.into();
    let Password { password } = req.json().await?;
    let hash = req.app.passwords.hash(password).await?;
    req.write(move |tx| {
        ops::confirm(tx, &by)?;
        Ok(ops::set_password(tx, id, None, &hash, None)?)
    })
    .await?;
    Ok(Reply::no_content())
}
