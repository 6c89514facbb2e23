//! `/api/admin/keys/`: the keys that tokens and links are signed with, for administrators. The keys themselves are
//! never shown.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::access::for_admin;
use super::keyring::{Key, Ring};
use super::model::Staff;
use super::ops;
use super::scope::Scope;
use super::tokens::RotateError;
use crate::audit;
use crate::clock::Time;
use crate::http::input::{Fields, Input, boolean};
use crate::http::{Answer, ApiError, Req, Routes, Stored, created, get, post};
use crate::page::Paged;
use crate::telemetry::aside;

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/admin/keys/",
            get(list, for_admin(Scope::All, "The signing keys, newest first").lists::<KeyView>()),
        )
        .at(
            "/api/admin/keys/rotate/",
            post(
                rotate,
                for_admin(Scope::All, "Have a new key sign tokens and links")
                    .more("What an older one signed is good until it runs out, unless `revoke` is true.")
                    .once()
                    .may_take::<Rotation>()
                    .answers::<KeyView>(201, "It signs from now on.")
                    .refuses(&[(409, "key_configured"), (409, "too_many_keys")]),
            ),
        )
}

/// A signing key; never the key itself.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SigningKey")]
struct KeyView {
    /// As tokens name it in `kid`.
    id: String,
    signs: bool,
    made_at: Option<Time>,
    retired_at: Option<Time>,
    /// When the last of what it signed runs out.
    good_until: Option<Time>,
}

fn views(ring: &Ring, now: Time) -> impl Iterator<Item = KeyView> {
    let view = |(n, key): (usize, &Key)| KeyView {
        id: key.id.clone(),
        signs: n == 0,
        made_at: key.made_at,
        retired_at: key.retired.map(|retired| retired.at),
        good_until: key.retired.map(|retired| retired.until),
    };
    ring.keys(now).enumerate().map(view)
}

async fn list(req: Req) -> Answer {
    req.admin(Scope::All)?;
    let page = req.page()?;
    let ring = req.app.keys.ring();
    let items: Vec<_> = views(&ring, req.now()).collect();
    let count = items.len() as u64;
    let items = items.into_iter().skip(page.offset() as usize).take(page.size as usize).collect();
    req.list(page, Paged { count, items })
}

#[derive(Default)]
struct Rotation {
    /// Nothing that was signed before is good any more, as when a key became known.
    revoke: bool,
}

impl Input for Rotation {
    fn read(from: &mut Fields<'_>) -> Self {
        Rotation { revoke: from.opt("revoke", boolean()).unwrap_or_default() }
    }
}

/// The keys are no part of the data file, so the file that they are in is changed first, and then this is noted: who
/// is cut off in between, and asks again, gets one key more, which does no harm.
async fn rotate(mut req: Req) -> Answer {
    let by: Staff = req.admin(Scope::All)?.into();
    let Rotation { revoke } = req.json_or_nothing().await?;
    let (key, _guard) = req.once_key()?.unzip();
    if let Some(before) = req.answered(key.as_ref())? {
        return Ok(before);
    }
    let may = by.clone();
    req.write(move |tx| Ok(ops::confirm(tx, &may)?)).await?;
    let (app, now) = (Arc::clone(&req.app), req.now());
    let work = move || app.keys.rotate(now, app.refresh_lasts(), revoke);
    let ring = aside(work).await.map_err(ApiError::internal)??;
    let Some(made) = views(&ring, now).next() else { return Err(ApiError::internal("a ring without keys")) };
    let subject = format!("key:{}", made.id);
    tracing::warn!(key = made.id, revoke, "there is a new signing key");
    req.write(move |tx| {
        audit::note(tx, &by.label(), "key.rotate", &subject, Value::Null, json!({"revoke": revoke}))?;
        let answer = created(&made);
        if let Some(key) = &key {
            key.done(tx, &Stored::from(&answer))?;
        }
        Ok(answer)
    })
    .await
}

impl From<RotateError> for ApiError {
    fn from(error: RotateError) -> ApiError {
        match error {
            RotateError::Configured => ApiError::new(409, "key_configured", error),
            RotateError::Full => ApiError::new(409, "too_many_keys", error),
            RotateError::File(_) => ApiError::internal(error),
        }
    }
}
