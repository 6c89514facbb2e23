//! `/api/admin/mails/`: for administrators.

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::compose::{Composed, compose};
use super::model::{Attachment, Undelivered};
use super::send::try_out;
use crate::accounts::{self, Email, Identity, Scope, Staff, for_admin};
use crate::audit;
use crate::clock::Time;
use crate::http::input::{Fields, Input, Nothing, word};
use crate::http::{Answer, ApiError, Req, Routes, get, ok, post};
use crate::id::MailId;
use crate::outbox::{self, Mail, State};

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/admin/mails/",
            get(
                list,
                for_admin(Scope::MailsRead, "Mails, newest first")
                    .lists::<MailView>()
                    .query::<State>("state", "Those in this state."),
            ),
        )
        .at(
            "/api/admin/mails/test/",
            post(
                test,
                for_admin(Scope::MailsWrite, "Send a trial mail now")
                    .takes::<Trial>()
                    .gives::<Tried>()
                    .refuses(&[(502, "mail_error")]),
            ),
        )
        .at(
            "/api/admin/mails/{id}/",
            get(
                show,
                for_admin(Scope::MailsRead, "A mail, as it would go out now")
                    .more("What makes its links work is not in it.")
                    .gives::<Shown>(),
            ),
        )
        .at(
            "/api/admin/mails/{id}/retry/",
            post(
                retry,
                for_admin(Scope::MailsWrite, "Send a mail again")
                    .once()
                    .may_take::<Nothing>()
                    .gives::<MailView>(),
            ),
        )
}

/// A mail that calls to be sent, or was.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Mail")]
struct MailView {
    id: MailId,
    kind: &'static str,
    /// What it is about, such as order:12.
    about: String,
    state: State,
    /// How often it was handed to the mail server.
    tries: u32,
    /// What the server said last; empty before.
    last_said: String,
    /// While it waits.
    next_try_at: Option<Time>,
    /// Since it waits no more.
    ended_at: Option<Time>,
    created_at: Time,
}

impl MailView {
    fn new(id: MailId, mail: &Mail) -> MailView {
        let waits = mail.state == State::Waiting;
        MailView {
            id,
            kind: mail.cause.kind(),
            about: mail.cause.about(),
            state: mail.state,
            tries: mail.tries,
            last_said: mail.last_said.clone(),
            next_try_at: waits.then_some(mail.at),
            ended_at: (!waits).then_some(mail.at),
            created_at: mail.created_at,
        }
    }
}

/// A mail with its letter, or why there is none to be written any more.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MailShown")]
#[serde(untagged)]
enum Shown {
    Letter {
        #[serde(flatten)]
        mail: MailView,
        message_id: String,
        from: String,
        to: Vec<Email>,
        subject: String,
        text: String,
        html: String,
        attachments: Vec<Attached>,
    },
    Senseless {
        #[serde(flatten)]
        mail: MailView,
        senseless: &'static str,
    },
}

/// A file that is attached to a letter.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MailAttachment")]
struct Attached {
    name: String,
    content_type: &'static str,
    bytes: usize,
}

impl Attached {
    fn new(file: &Attachment) -> Attached {
        Attached { name: file.name.clone(), content_type: file.content_type, bytes: file.content.len() }
    }
}

/// What the mail server said to a trial mail.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MailTried")]
struct Tried {
    sent: bool,
    said: String,
}

async fn list(req: Req) -> Answer {
    req.admin(Scope::MailsRead)?;
    let page = req.page()?;
    let state = req.query.word::<State>("state")?;
    let mails = req.app.store.read(|tx| outbox::page(tx, state, page))?;
    req.list(page, mails.map(|(id, mail)| MailView::new(id, &mail)))
}

/// A mail as it would go out now. What makes its links work is for the operator alone, who has the data directory
/// anyway: whoever sees it can log in as the recipient.
async fn show(req: Req, id: MailId) -> Answer {
    let by = req.someone(Scope::MailsRead)?;
    let shows_secrets = matches!(by, Identity::Operator);
    req.admin(Scope::MailsRead)?;
    let voice = req.app.voice();
    let body = req.app.store.read(|tx| {
        let mail = outbox::get(tx, id)?.ok_or_else(ApiError::not_found)?;
        let known = MailView::new(id, &mail);
        let shown = match compose(tx, &req.app.desk(&voice, shows_secrets), id, &mail)? {
            Composed::Letter(letter) => Shown::Letter {
                mail: known,
                attachments: letter.attachments.iter().map(Attached::new).collect(),
                message_id: letter.message_id,
                from: letter.from,
                to: letter.to,
                subject: letter.subject,
                text: letter.text,
                html: letter.html,
            },
            Composed::Senseless(senseless) => Shown::Senseless { mail: known, senseless },
        };
        Ok::<_, ApiError>(shown)
    })?;
    Ok(ok(&body))
}

/// Makes a mail due now, whatever became of it.
async fn retry(mut req: Req, id: MailId) -> Answer {
    let by: Staff = req.admin(Scope::MailsWrite)?.into();
    req.json_or_nothing::<Nothing>().await?;
    req.write_once(move |tx| {
        accounts::confirm(tx, &by)?;
        let before = outbox::get(tx, id)?.ok_or_else(ApiError::not_found)?;
        let after = outbox::send_again(tx, id, &before)?;
        let seen = |mail: &Mail| json!({"state": mail.state, "tries": mail.tries});
        audit::note(tx, &by.label(), "mail.retry", &format!("mail:{id}"), seen(&before), seen(&after))?;
        Ok(ok(&MailView::new(id, &after)))
    })
    .await
}

struct Trial {
    to: Email,
}

impl Input for Trial {
    fn read(from: &mut Fields<'_>) -> Self {
        Trial { to: from.req("to", word()) }
    }
}

/// Sends a trial mail at once, past the outbox, and answers what the server said.
async fn test(mut req: Req) -> Answer {
    let by: Staff = req.admin(Scope::MailsWrite)?.into();
    let Trial { to } = req.json().await?;
    req.write(move |tx| {
        accounts::confirm(tx, &by)?;
        Ok(audit::note(tx, &by.label(), "mail.test", "mail:test", Value::Null, json!({"tried": true}))?)
    })
    .await?;
    match try_out(&req.app, to).await {
        Ok(said) => Ok(ok(&Tried { sent: true, said })),
        Err(Undelivered::Later(said) | Undelivered::Refused(said)) => {
            let detail = format!("The trial mail was not taken: {said}");
            Err(ApiError::new(StatusCode::BAD_GATEWAY.as_u16(), "mail_error", detail))
        }
    }
}
