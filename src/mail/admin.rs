//! `/api/admin/mails/`: for administrators.

use http::StatusCode;
use serde_json::{Value, json};

use super::compose::{Composed, compose};
use super::model::Undelivered;
use super::send::try_out;
use crate::accounts::{self, Email, Identity, Scope, Staff};
use crate::audit;
use crate::http::input::{Fields, Input, Nothing, word};
use crate::http::{Answer, ApiError, Req, Routes, get, ok, post};
use crate::id::MailId;
use crate::outbox::{self, Mail, State};

pub fn routes() -> Routes {
    Routes::new()
        .at("/api/admin/mails/", get(list, crate::http::undescribed()))
        .at("/api/admin/mails/test/", post(test, crate::http::undescribed()))
        .at("/api/admin/mails/{id}/", get(show, crate::http::undescribed()))
        .at("/api/admin/mails/{id}/retry/", post(retry, crate::http::undescribed()))
}

fn view(id: MailId, mail: &Mail) -> Value {
    let waits = mail.state == State::Waiting;
    json!({
        "id": id,
        "kind": mail.cause.kind(),
        "about": mail.cause.about(),
        "state": mail.state,
        "tries": mail.tries,
        "last_said": mail.last_said,
        "next_try_at": waits.then_some(mail.at),
        "ended_at": (!waits).then_some(mail.at),
        "created_at": mail.created_at,
    })
}

async fn list(req: Req) -> Answer {
    req.admin(Scope::MailsRead)?;
    let page = req.page()?;
    let state = req.query.word::<State>("state")?;
    let mails = req.app.store.read(|tx| outbox::page(tx, state, page))?;
    req.list(page, mails.map(|(id, mail)| view(id, &mail)))
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
        let mut body = view(id, &mail);
        match compose(tx, &req.app.desk(&voice, shows_secrets), id, &mail)? {
            Composed::Letter(letter) => {
                let attachments = letter.attachments.iter().map(|attached| {
                    json!({"name": attached.name, "content_type": attached.content_type,
                           "bytes": attached.content.len()})
                });
                body["message_id"] = json!(letter.message_id);
                body["from"] = json!(letter.from);
                body["to"] = json!(letter.to);
                body["subject"] = json!(letter.subject);
                body["text"] = json!(letter.text);
                body["html"] = json!(letter.html);
                body["attachments"] = attachments.collect();
            }
            Composed::Senseless(why) => body["senseless"] = json!(why),
        }
        Ok::<_, ApiError>(body)
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
        Ok(ok(&view(id, &after)))
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
        Ok(said) => Ok(ok(&json!({"sent": true, "said": said}))),
        Err(Undelivered::Later(said) | Undelivered::Refused(said)) => {
            let detail = format!("The trial mail was not taken: {said}");
            Err(ApiError::new(StatusCode::BAD_GATEWAY.as_u16(), "mail_error", detail))
        }
    }
}
