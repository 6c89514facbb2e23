//! Working the outbox off. Nobody waits for it, and it waits for nobody but the mail server.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;

use super::compose::{Composed, Desk, compose, trial};
use super::low::gather_low_stock;
use super::model::{Connection, Letter, Undelivered, Voice};
use super::retry::{GIVEN_UP_AFTER, pause, server_pause};
use super::smtp::{Smtp, Transport};
use super::templates::Templates;
use crate::accounts::Email;
use crate::app::App;
use crate::clock::Time;
use crate::config::Config;
use crate::hex::hex;
use crate::id::MailId;
use crate::outbox::{self, Mail};
use crate::payments;
use crate::store::{Reads, StoreError, WriteTx};

/// Most mails that one pass takes up.
const MOST: usize = 200;
/// How many connections to the mail server are open at a time.
const AT_ONCE: usize = 4;

/// What a shop sends mail with.
pub struct Mailer {
    /// None: mails are kept.
    transport: Option<Arc<dyn Transport>>,
    pub templates: Templates,
    /// Mails that the server took, and what it said, where that could not be written down yet: they must not go again.
    unwritten: Mutex<Vec<(MailId, String)>>,
    /// How often in a row the server could not be reached, and until when it is left alone.
    away: Mutex<Option<(u32, Time)>>,
}

impl Mailer {
    /// By the settings, unless `given` is what letters are handed to. A demo sends nothing.
    pub fn new(config: &Config, given: Option<Arc<dyn Transport>>, is_demo: bool) -> Mailer {
        let server = config.mail_server().expect("checked when the settings were read");
        let own = server.filter(|_| given.is_none() && !is_demo).and_then(|server| match Smtp::new(server) {
            Ok(smtp) => Some(Arc::new(smtp) as Arc<dyn Transport>),
            Err(said) => {
                tracing::error!(said, "mails can't be sent");
                None
            }
        });
        let templates = match config.mail_templates.as_str() {
            "" => Templates::built_in(),
            dir => {
                let (templates, faults) = Templates::with(Path::new(dir));
                for said in faults {
                    tracing::error!(
                        said,
                        "a mail template of the shop's own can't be used; the built-in one is"
                    );
                }
                templates
            }
        };
        Mailer { transport: given.or(own), templates, unwritten: Mutex::default(), away: Mutex::default() }
    }

    /// Whether there is a mail server to send with.
    pub fn sends(&self) -> bool {
        self.transport.is_some()
    }

    fn is_away(&self, now: Time) -> bool {
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.is_some_and(|(_, until)| now < until)
    }

    /// Notes whether the server could be reached; the log hears of each change.
    fn note(&self, now: Time, reached: Result<(), &str>) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        match (reached, *away) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => {
                *away = None;
                tracing::info!("the mail server can be reached again");
            }
            (Err(error), before) => {
                let failures = before.map_or(1, |(failures, _)| failures.saturating_add(1));
                *away = Some((failures, now.plus(server_pause(failures))));
                if before.is_none() {
                    tracing::error!(error, "the mail server can't be reached: mails wait until it can");
                }
            }
        }
    }
}

impl App {
    /// How this shop's mails speak.
    pub fn voice(&self) -> Voice {
        let public = self.config.server_public_url.trim_end_matches('/');
        if public.is_empty() {
            let address = self.listening.get().unwrap_or(&self.config.server_listen);
            return self.config.voice(&format!("http://{address}"));
        }
        self.config.voice(public)
    }

    /// What this shop's letters are made with.
    pub fn desk<'a>(&'a self, voice: &'a Voice, shows_secrets: bool) -> Desk<'a> {
        Desk { voice, templates: &self.mail.templates, keys: &self.keys, shop: &self.shop, shows_secrets }
    }
}

/// Tells of what got low, and sends what is due: at most some hundreds.
pub async fn send_due(app: &App) -> Result<(), StoreError> {
    // Two at a time would send a mail twice.
    let Ok(_alone) = app.in_flight.enter("mail") else { return Ok(()) };
    write_down(app).await?;
    let every = app.config.low_stock_every();
    app.store.write(move |tx| gather_low_stock(tx, every)).await?;
    let now = app.clock.now();
    let Some(transport) = &app.mail.transport else {
        return if app.demo { Ok(()) } else { give_up_old(app, "no mail server is set up").await };
    };
    if app.mail.is_away(now) {
        return Ok(());
    }
    let due = app.store.read(due)?;
    let lines = due.len().min(AT_ONCE);
    let queue = Mutex::new(VecDeque::from(due));
    let worked = join_all((0..lines).map(|_| work_off(app, &**transport, &queue))).await;
    worked.into_iter().collect()
}

/// Writes down what the server took when the disk did not.
async fn write_down(app: &App) -> Result<(), StoreError> {
    let unwritten = || app.mail.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let Some((id, said)) = unwritten().first().cloned() else { return Ok(()) };
        app.store.write(move |tx| outbox::sent(tx, id, &said)).await?;
        unwritten().retain(|(known, _)| *known != id);
    }
}

/// What is due, but for what a shop that was restored from a backup has from before: it was sent already, or is about
/// what is not so any more, and waits until an operator has confirmed.
fn due(tx: &impl Reads) -> Result<Vec<(MailId, Mail)>, StoreError> {
    let restored = payments::restored(tx)?;
    let held = |mail: &Mail| restored.as_ref().is_some_and(|mark| mail.created_at <= mark.restored_at);
    outbox::due(tx, MOST, |mail| !held(mail))
}

/// Takes one mail after the other, over one connection for as long as that lasts.
async fn work_off(
    app: &App,
    transport: &dyn Transport,
    queue: &Mutex<VecDeque<(MailId, Mail)>>,
) -> Result<(), StoreError> {
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let mut line: Option<Box<dyn Connection>> = None;
    while let Some((id, mail)) = next() {
        let voice = app.voice();
        let composed = app.store.read(|tx| compose(tx, &app.desk(&voice, true), id, &mail))?;
        let letter = match composed {
            Composed::Letter(letter) => letter,
            Composed::Senseless(why) => {
                app.store.write(move |tx| outbox::cancel(tx, id, why)).await?;
                continue;
            }
        };
        let mut open = match line.take().filter(|line| line.is_open()) {
            Some(open) => open,
            None => match transport.connect().await {
                Ok(open) => open,
                Err(said) => {
                    app.mail.note(app.clock.now(), Err(&said));
                    put_off(app, id, &mail, &letter, said.clone()).await?;
                    return give_up_old(app, &said).await;
                }
            },
        };
        app.mail.note(app.clock.now(), Ok(()));
        let sent = open.send(&letter).await;
        line = Some(open);
        match sent {
            Ok(said) => {
                app.mail.unwritten.lock().unwrap_or_else(PoisonError::into_inner).push((id, said));
                write_down(app).await?;
            }
            Err(Undelivered::Later(said)) => put_off(app, id, &mail, &letter, said).await?,
            Err(Undelivered::Refused(said)) => give_up(app, id, &letter, said).await?,
        }
    }
    if let Some(mut line) = line {
        line.close().await;
    }
    Ok(())
}

/// What the server said, without whom the letter is to: the outbox holds no address.
fn without_address(letter: &Letter, mut said: String) -> String {
    for to in &letter.to {
        let at = said.to_lowercase().find(to.as_str());
        if let Some(at) = at.filter(|at| said.is_char_boundary(*at)) {
            let end = (at + to.as_str().len()).min(said.len());
            if said.is_char_boundary(end) {
                said.replace_range(at..end, "the recipient");
            }
        }
    }
    said
}

async fn put_off(
    app: &App,
    id: MailId,
    mail: &Mail,
    letter: &Letter,
    said: String,
) -> Result<(), StoreError> {
    let Some(wait) = pause(mail.tries.saturating_add(1)) else { return give_up(app, id, letter, said).await };
    let said = without_address(letter, said);
    let act = move |tx: &mut WriteTx| {
        let next = tx.now().plus(tx.jittered(wait));
        outbox::put_off(tx, id, &said, next)
    };
    app.store.write(act).await
}

async fn give_up(app: &App, id: MailId, letter: &Letter, said: String) -> Result<(), StoreError> {
    let said = without_address(letter, said);
    tracing::error!(mail = id.0, said, "a mail is given up: `till mail list --state given_up`");
    app.store.write(move |tx| outbox::give_up(tx, id, &said)).await
}

/// Gives up what nobody could even try to send for days.
async fn give_up_old(app: &App, said: &str) -> Result<(), StoreError> {
    let before = app.clock.now().minus(GIVEN_UP_AFTER);
    for id in app.store.read(|tx| outbox::due_before(tx, before, MOST))? {
        let said = said.to_owned();
        app.store.write(move |tx| outbox::give_up(tx, id, &said)).await?;
    }
    Ok(())
}

/// Hands a trial letter over; what the server said to it.
///
/// # Errors
/// Why it could not be.
pub async fn try_out(app: &App, to: Email) -> Result<String, Undelivered> {
    let Some(transport) = &app.mail.transport else {
        return Err(Undelivered::Refused("no mail server is set up: mail.smtp_url is empty".into()));
    };
    let voice = app.voice();
    let nonce = hex(&app.keyed_digest(&[app.new_request_id().as_bytes()])[..8]);
    let letter = trial(&app.desk(&voice, true), to, app.clock.now(), &nonce);
    let mut line = transport.connect().await.map_err(Undelivered::Later)?;
    let sent = line.send(&letter).await;
    line.close().await;
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_kept_without_the_address() {
        let letter = Letter {
            message_id: String::new(),
            from: String::new(),
            to: vec!["ann@example.com".parse().expect("an address")],
            date: Time(0),
            subject: String::new(),
            text: String::new(),
            html: String::new(),
            attachments: Vec::new(),
        };
        let said = without_address(&letter, "550 5.1.1 <Ann@Example.com>: unknown".into());
        assert_eq!(said, "550 5.1.1 <the recipient>: unknown");
    }
}
