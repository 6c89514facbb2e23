//! `/api/auth/password/reset/`, `/api/auth/verify/`: what goes by a link in a mail.

use std::sync::Arc;

use http::{StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;

use super::access::for_user;
use super::http::new_password;
use super::known;
use super::links;
use super::model::Email;
use super::ops;
use crate::http::input::{Fields, Input, Nothing, text, word};
use crate::http::{Answer, ApiError, Reply, Req, Routes, for_everybody, post};

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/auth/password/reset/",
            post(
                ask_reset,
                for_everybody("Have a link mailed to choose a new password")
                    .more("The answer is the same whether or not there is an account.")
                    .takes::<Forgotten>()
                    .answers::<Said>(202, "A mail is on its way, if there is an account."),
            ),
        )
        .at(
            "/api/auth/password/reset/confirm/",
            post(
                reset,
                for_everybody("Choose a new password by the link's token; all sessions end")
                    .takes::<Chosen>()
                    .gives_nothing(204)
                    .refuses(&[(422, "link_invalid"), (503, "busy")]),
            ),
        )
        .at(
            "/api/auth/verify/",
            post(
                verify,
                for_everybody("Prove an address by the link's token")
                    .takes::<Proof>()
                    .gives_nothing(204)
                    .refuses(&[(422, "link_invalid")]),
            ),
        )
        .at(
            "/api/auth/verify/resend/",
            post(
                ask_proof,
                for_user("Have a link mailed that proves one's address")
                    .may_take::<Nothing>()
                    .answers::<Said>(202, "A mail is on its way, unless the address is proven."),
            ),
        )
}

/// What happens now, for people.
#[derive(Serialize, JsonSchema)]
struct Said {
    detail: &'static str,
}

/// With so many acts before the writer, none is added that nobody waits for.
const MOST_WAITING: usize = 2000;

struct Forgotten {
    email: Email,
}

impl Input for Forgotten {
    fn read(from: &mut Fields<'_>) -> Self {
        Forgotten { email: from.req("email", word()) }
    }
}

/// Answers before anything is looked up: neither what it says nor how long it takes tells who has an account. What a
/// crash loses by that can be asked for again.
async fn ask_reset(mut req: Req) -> Answer {
    let Forgotten { email } = req.json().await?;
    if req.app.store.trouble().is_some() || req.app.store.waiting() >= MOST_WAITING {
        return Err(ApiError::new(503, "unavailable", "No mail can be written just now; try again soon.")
            .header(header::RETRY_AFTER, "2"));
    }
    req.app.store.write_later(move |tx| links::ask_reset(tx, &email));
    let said = "If there is an account with this address, a mail with a link is on its way to it.";
    Ok(Reply::json(StatusCode::ACCEPTED, &Said { detail: said }))
}

struct Chosen {
    token: String,
    new_password: String,
}

impl Input for Chosen {
    fn read(from: &mut Fields<'_>) -> Self {
        Chosen {
            token: from.req("token", text(1..=200)),
            new_password: from.req("new_password", new_password()),
        }
    }
}

async fn reset(mut req: Req) -> Answer {
    let Chosen { token, new_password } = req.json().await?;
    let (user, reset) = req.app.store.read(|tx| links::read_reset(tx, &req.app.keys, &token))?;
    let hash = req.app.passwords.hash(new_password).await?;
    let (app, net) = (Arc::clone(&req.app), req.net());
    req.write(move |tx| {
        links::reset_password(tx, user, &reset.nonce, &hash)?;
        // Whoever gets their mail is let in from here, whatever others have tried.
        Ok(known::note(tx, &app.keys, user, net)?)
    })
    .await?;
    let email = req.app.store.read(|tx| ops::get(tx, user))?.email;
    req.app.guesses.forget(email.as_str(), net);
    Ok(Reply::no_content())
}

struct Proof {
    token: String,
}

impl Input for Proof {
    fn read(from: &mut Fields<'_>) -> Self {
        Proof { token: from.req("token", text(1..=200)) }
    }
}

async fn verify(mut req: Req) -> Answer {
    let Proof { token } = req.json().await?;
    let app = Arc::clone(&req.app);
    let (user, email) = app.store.read(|tx| links::read_proof(tx, &app.keys, &token))?;
    req.write(move |tx| Ok(links::prove(tx, user, &email)?)).await?;
    Ok(Reply::no_content())
}

async fn ask_proof(mut req: Req) -> Answer {
    let user = req.user()?.user;
    req.json_or_nothing::<Nothing>().await?;
    req.write(move |tx| Ok(links::ask_proof(tx, user)?)).await?;
    let said = "Unless the address is proven already, a mail with a link is on its way to it.";
    Ok(Reply::json(StatusCode::ACCEPTED, &Said { detail: said }))
}
