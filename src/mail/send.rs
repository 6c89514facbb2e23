//! Working the outbox off. Nobody waits for it, and it waits for nobody but the mail server.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

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

/// Most mails that are given up in one pass.
const MOST: usize = 200;
/// How many connections to the mail server are open at a time beside that of [`send_due`]: as many as are to run
/// [`help_send`].
pub const HELPERS: usize = 3;
/// Most letters of a server's answer that are kept.
const SAID: usize = 500;
/// What stands in the place of an address.
const THE_RECIPIENT: &str = "the recipient";

/// What a shop sends mail with.
pub struct Mailer {
    /// None: mails are kept.
    transport: Option<Arc<dyn Transport>>,
    pub templates: Templates,
    /// Mails that the server took, and what it said, where that could not be written down yet: they must not go again.
    unwritten: Mutex<Vec<(MailId, String)>>,
    /// Mails that somebody is sending: another would send them twice.
    claimed: Mutex<BTreeSet<MailId>>,
    /// How often in a row the server could not be reached, and until when it is left alone.
    away: Mutex<Option<(u32, Time)>>,
    /// Has one line at a time try to reach the server.
    door: tokio::sync::Mutex<()>,
    /// How many letters are being handed over.
    in_hand: watch::Sender<usize>,
}

/// That a letter is being handed over, for as long as this lives.
struct InHand<'a>(&'a watch::Sender<usize>);

impl<'a> InHand<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        InHand(count)
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
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
        Mailer {
            transport: given.or(own),
            templates,
            unwritten: Mutex::default(),
            claimed: Mutex::default(),
            away: Mutex::default(),
            door: tokio::sync::Mutex::default(),
            in_hand: watch::Sender::new(0),
        }
    }

    /// Whether there is a mail server to send with.
    pub fn sends(&self) -> bool {
        self.transport.is_some()
    }

    /// Waits until no letter is being handed over: whoever is cut off then does not know whether it was taken.
    pub async fn settled(&self) {
        // The count outlives whoever waits for it.
        let _ = self.in_hand.subscribe().wait_for(|count| *count == 0).await;
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
        let public = self.config.public_url();
        self.config.voice(&if public.is_empty() { self.own_url() } else { public })
    }

    /// What this shop's letters are made with.
    pub fn desk<'a>(&'a self, voice: &'a Voice, shows_secrets: bool) -> Desk<'a> {
        Desk { voice, templates: &self.mail.templates, keys: &self.keys, shop: &self.shop, shows_secrets }
    }
}

/// Tells of what got low, and sends what is due.
pub async fn send_due(app: &App) -> Result<(), StoreError> {
    let every = app.config.low_stock_every();
    app.store.write(move |tx| gather_low_stock(tx, every)).await?;
    if app.mail.transport.is_none() && !app.demo {
        return give_up_old(app, "no mail server is set up").await;
    }
    help_send(app).await
}

/// Sends what is due and nobody else is sending. A server that is slow with a mail holds up whoever sends that.
pub async fn help_send(app: &App) -> Result<(), StoreError> {
    write_down(app).await?;
    match &app.mail.transport {
        Some(transport) if !app.mail.is_away(app.clock.now()) => work_off(app, &**transport).await,
        _ => Ok(()),
    }
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

/// A mail that somebody is sending, for as long as this lives.
struct Claim<'a>(&'a Mutex<BTreeSet<MailId>>, MailId);

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

/// What has been due longest and nobody is sending, but for what a shop that was restored from a backup has from before:
/// it was sent already, or is about what is not so any more, and waits until an operator has confirmed.
fn next(app: &App) -> Result<Option<(Claim<'_>, Mail)>, StoreError> {
    // Under this lock, or two would find the same mail.
    let mut claimed = app.mail.claimed.lock().unwrap_or_else(PoisonError::into_inner);
    let taken: Vec<MailId> = {
        let unwritten = app.mail.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        unwritten.iter().map(|(id, _)| *id).collect()
    };
    let found = app.store.read(|tx| {
        let restored = payments::restored(tx)?;
        let is_held = |mail: &Mail| restored.as_ref().is_some_and(|mark| mail.created_at <= mark.restored_at);
        outbox::due(tx, |id, mail| !claimed.contains(&id) && !taken.contains(&id) && !is_held(mail))
    })?;
    Ok(found.map(|(id, mail)| {
        claimed.insert(id);
        (Claim(&app.mail.claimed, id), mail)
    }))
}

/// Takes one mail after the other, over one connection for as long as that lasts.
async fn work_off(app: &App, transport: &dyn Transport) -> Result<(), StoreError> {
    let mut line: Option<Box<dyn Connection>> = None;
    while !app.stopping.load(Ordering::Relaxed) {
        let Some((claim, mail)) = next(app)? else { break };
        let id = claim.1;
        let letter = match compose_safely(app, id, &mail)? {
            Some(Composed::Letter(letter)) => letter,
            Some(Composed::Senseless(why)) => {
                app.store.write(move |tx| outbox::cancel(tx, id, why)).await?;
                continue;
            }
            None => {
                put_off(app, id, &mail, "it can't be made; the log says why".into()).await?;
                continue;
            }
        };
        let mut open = match line.take().filter(|line| line.is_open()) {
            Some(open) => open,
            None => match reach(app, transport).await {
                Some(Ok(open)) => open,
                Some(Err(said)) => {
                    put_off(app, id, &mail, without_addresses(&letter, &said)).await?;
                    return give_up_old(app, &said).await;
                }
                None => return Ok(()),
            },
        };
        let _in_hand = InHand::new(&app.mail.in_hand);
        let sent = open.send(&letter).await;
        line = Some(open);
        match sent {
            Ok(said) => {
                let said = without_addresses(&letter, &said);
                app.mail.unwritten.lock().unwrap_or_else(PoisonError::into_inner).push((id, said));
                write_down(app).await?;
            }
            Err(Undelivered::Later(said)) => {
                put_off(app, id, &mail, without_addresses(&letter, &said)).await?;
            }
            Err(Undelivered::Refused(said)) => give_up(app, id, without_addresses(&letter, &said)).await?,
        }
    }
    if let Some(mut line) = line {
        line.close().await;
    }
    Ok(())
}

/// The letter of a mail; `None` if it can't be made, which must not hold up the mails behind it.
fn compose_safely(app: &App, id: MailId, mail: &Mail) -> Result<Option<Composed>, StoreError> {
    let voice = app.voice();
    let made = catch_unwind(AssertUnwindSafe(|| {
        app.store.read(|tx| compose(tx, &app.desk(&voice, true), id, mail))
    }));
    match made {
        Ok(Ok(composed)) => return Ok(Some(composed)),
        Ok(Err(error @ StoreError::Corrupt { .. })) => {
            tracing::error!(mail = id.0, %error, "a mail can't be made; it will be tried again");
        }
        Ok(Err(error)) => return Err(error),
        Err(_) => tracing::error!(mail = id.0, "a mail can't be made: that panicked; it will be tried again"),
    }
    Ok(None)
}

/// A new line to the server, or why there is none; `None` if another found just now that it can't be reached.
async fn reach(app: &App, transport: &dyn Transport) -> Option<Result<Box<dyn Connection>, String>> {
    let _one = app.mail.door.lock().await;
    if app.mail.is_away(app.clock.now()) {
        return None;
    }
    let reached = transport.connect().await;
    app.mail.note(app.clock.now(), reached.as_ref().map(|_| ()).map_err(String::as_str));
    Some(reached)
}

/// What the server said, without whom the letter is to: the outbox holds no address. Shortened only then, or half an
/// address could stay.
fn without_addresses(letter: &Letter, said: &str) -> String {
    let mut said = said.to_owned();
    for to in &letter.to {
        let address = to.as_str();
        let mut from = 0;
        while let Some(at) = find_ignoring_case(&said[from..], address) {
            said.replace_range(from + at..from + at + address.len(), THE_RECIPIENT);
            from += at + THE_RECIPIENT.len();
        }
    }
    said.chars().take(SAID).collect()
}

/// Where `wanted` begins in `text`, in whichever case its ASCII letters are.
fn find_ignoring_case(text: &str, wanted: &str) -> Option<usize> {
    let at =
        |at: &usize| text.get(*at..at + wanted.len()).is_some_and(|own| own.eq_ignore_ascii_case(wanted));
    (0..text.len()).find(at)
}

async fn put_off(app: &App, id: MailId, mail: &Mail, said: String) -> Result<(), StoreError> {
    let Some(wait) = pause(mail.tries.saturating_add(1)) else { return give_up(app, id, said).await };
    let act = move |tx: &mut WriteTx| {
        let next = tx.now().plus(tx.jittered(wait));
        outbox::put_off(tx, id, &said, next)
    };
    app.store.write(act).await
}

async fn give_up(app: &App, id: MailId, said: String) -> Result<(), StoreError> {
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
    let nonce = hex(&app.keys.digest(&[app.new_request_id().as_bytes()])[..8]);
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
        let without = |said: &str| without_addresses(&letter, said);
        assert_eq!(
            without("550 5.1.1 <Ann@Example.com>: ann@example.com is unknown"),
            "550 5.1.1 <the recipient>: the recipient is unknown"
        );
        let long = without(&format!("{}ann@example.com", "İ".repeat(SAID - 5)));
        assert!(long.ends_with("İthe r") && long.chars().count() == SAID, "{long}");
    }
}
