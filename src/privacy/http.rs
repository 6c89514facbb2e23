//! A person's data: for themselves, and for administrators in their stead.

use std::sync::Arc;

use http::header;
use serde_json::Value;

use super::erase::{EraseError, erase, finish};
use super::export::{Export, export};
use crate::accounts::{self, AccountError, Scope, Staff, for_admin, for_user};
use crate::audit;
use crate::http::input::{Fields, Input, Nothing};
use crate::http::{Answer, ApiError, Op, Reply, Req, Routes, delete, get, ok, post};
use crate::id::UserId;
use crate::telemetry::aside;

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/auth/me/",
            delete(
                erase_me,
                for_user("Have one's account and data erased")
                    .more("What the law wants kept, such as invoices, stays. It waits while an order is to be paid or sent.")
                    .takes::<Password>()
                    .gives_nothing(204)
                    .refuses(&[(401, "invalid_credentials"), (409, "erasure_refused"), (409, "last_admin"), (503, "busy")]),
            ),
        )
        .at(
            "/api/auth/me/export/",
            get(export_me, exported_as(for_user("All that the shop holds on oneself"))),
        )
        .at(
            "/api/admin/users/{id}/export/",
            get(export_user, exported_as(for_admin(Scope::All, "All that the shop holds on somebody"))),
        )
        .at(
            "/api/admin/users/{id}/erase/",
            post(
                erase_user,
                for_admin(Scope::UsersWrite, "Have somebody's account and data erased")
                    .may_take::<Nothing>()
                    .gives_nothing(204)
                    .refuses(&[(409, "erasure_refused"), (409, "last_admin"), (409, "user_erased")]),
            ),
        )
}

fn exported_as(op: Op) -> Op {
    op.gives::<Export>().with_headers(&["Content-Disposition"])
}

async fn export_me(req: Req) -> Answer {
    let id = req.user()?.user;
    exported(&req, id).await
}

async fn export_user(req: Req, id: UserId) -> Answer {
    // Account, orders and payments at once.
    let by: Staff = req.admin(Scope::All)?.into();
    let exported = exported(&req, id).await?;
    req.write(move |tx| {
        let subject = format!("user:{id}");
        Ok(audit::note(tx, &by.label(), "user.export", &subject, Value::Null, Value::Null)?)
    })
    .await?;
    Ok(exported)
}

async fn exported(req: &Req, id: UserId) -> Answer {
    let (app, base) = (Arc::clone(&req.app), req.absolute(""));
    let all = aside(move || app.store.read(|tx| export(&app, tx, id, &base)));
    let all = all.await.map_err(ApiError::internal)??;
    let name = format!("attachment; filename=\"user-{id}.json\"");
    Ok(ok(&all).header(header::CONTENT_DISPOSITION, &name))
}

struct Password {
    password: String,
}

impl Input for Password {
    fn read(from: &mut Fields<'_>) -> Self {
        Password { password: from.req("password", accounts::given_password()) }
    }
}

async fn erase_me(mut req: Req) -> Answer {
    let session = req.user()?;
    let Password { password } = req.json().await?;
    let (is_right, user) = req.is_own_password(session.user, password).await?;
    if !is_right {
        return Err(AccountError::InvalidCredentials.into());
    }
    let hash = user.password_hash;
    req.write(move |tx| {
        if accounts::get(tx, session.user)?.password_hash != hash {
            return Err(AccountError::InvalidCredentials.into());
        }
        Ok(erase(tx, session.user, "customer")?)
    })
    .await?;
    erased(&req).await
}

async fn erase_user(mut req: Req, id: UserId) -> Answer {
    let by: Staff = req.admin(Scope::UsersWrite)?.into();
    req.json_or_nothing::<Nothing>().await?;
    req.write(move |tx| {
        accounts::confirm(tx, &by)?;
        accounts::may_change(&by, accounts::get(tx, id)?.role)?;
        Ok(erase(tx, id, &by.label())?)
    })
    .await?;
    erased(&req).await
}

/// The person is gone; what is left to be done is done here, or by the jobs.
async fn erased(req: &Req) -> Answer {
    if let Err(error) = finish(&req.app).await {
        tracing::warn!(%error, "an erasure could not be finished yet; it is gone on with");
    }
    Ok(Reply::no_content())
}

impl From<EraseError> for ApiError {
    fn from(error: EraseError) -> ApiError {
        match error {
            EraseError::Live { ref orders, .. } => {
                let orders = orders.clone();
                ApiError::new(409, "erasure_refused", error).with("orders", orders)
            }
            EraseError::Account(error) => error.into(),
            EraseError::Payment(error) => error.into(),
            EraseError::Store(error) => error.into(),
        }
    }
}
