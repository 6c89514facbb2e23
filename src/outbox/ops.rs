//! The acts of the outbox.

use std::ops::ControlFlow;
use std::time::Duration;

use super::model::{Cause, Mail, State};
use super::store::{BY_CAUSE, BY_STATE, MAILS, place};
use crate::clock::Time;
use crate::id::MailId;
use crate::page::{Page, Paged};
use crate::store::{Direction, Key, Reads, Span, StoreError, WriteTx};

/// How long a mail is known after it was sent, given up or cancelled.
pub const KEPT: Duration = Duration::from_hours(24 * 30);

/// Has the cause mailed, in the commit that it is part of. A cause that has its mail gets no second one.
pub fn post(tx: &mut WriteTx, cause: Cause) -> Result<(), StoreError> {
    if BY_CAUSE.find(tx, &cause.key())?.is_some() {
        return Ok(());
    }
    let id = MailId(tx.next_number("mails")?);
    let now = tx.now();
    let mail =
        Mail { cause, state: State::Waiting, created_at: now, at: now, tries: 0, last_error: String::new() };
    MAILS.put(tx, &id, &mail)
}

pub fn get(tx: &impl Reads, id: MailId) -> Result<Option<Mail>, StoreError> {
    MAILS.get(tx, &id)
}

/// A mail that an index led to.
pub fn expect(tx: &impl Reads, id: MailId) -> Result<Mail, StoreError> {
    MAILS.expect(tx, &id)
}

/// At most `limit` mails that are due, the longest first.
pub fn due(tx: &impl Reads, limit: usize) -> Result<Vec<(MailId, Mail)>, StoreError> {
    let waiting = place(State::Waiting);
    let end = (waiting, Time(tx.now().0.saturating_add(1)));
    let ids = BY_STATE.between(tx, &(waiting, Time(0)), &end, limit)?;
    ids.into_iter().map(|id| Ok((id, expect(tx, id)?))).collect()
}

/// One page of the mails, or of those in one state, newest first.
pub fn page(tx: &impl Reads, state: Option<State>, page: Page) -> Result<Paged<(MailId, Mail)>, StoreError> {
    let Some(state) = state else { return MAILS.page(tx, page, Direction::Down) };
    let keys = BY_STATE.page(tx, Span::under(place(state).bytes(), Direction::Down), page)?;
    let items = keys.items.into_iter().map(|id| Ok((id, expect(tx, id)?)));
    Ok(Paged { count: keys.count, items: items.collect::<Result<_, StoreError>>()? })
}

/// How many mails wait, and since when the oldest of those that were tried in vain does.
pub fn waiting_since(tx: &impl Reads) -> Result<(u64, Option<Time>), StoreError> {
    let (mut count, mut since) = (0, None::<Time>);
    BY_STATE.scan(tx, Span::under(place(State::Waiting).bytes(), Direction::Up), |_, id| {
        count += 1;
        let tried = MAILS.get(tx, &id).ok().flatten().filter(|mail| mail.tries > 0);
        since = tried.map(|mail| mail.created_at).into_iter().chain(since).min();
        ControlFlow::Continue(())
    })?;
    Ok((count, since))
}

/// Changes a mail that waits; one that does not any more is left as it is.
fn change(tx: &mut WriteTx, id: MailId, change: impl FnOnce(&mut Mail)) -> Result<(), StoreError> {
    let Some(mut mail) = MAILS.get(tx, &id)?.filter(|mail| mail.state == State::Waiting) else {
        return Ok(());
    };
    change(&mut mail);
    MAILS.put(tx, &id, &mail)
}

/// The mail server took it.
pub fn sent(tx: &mut WriteTx, id: MailId, said: &str) -> Result<(), StoreError> {
    let now = tx.now();
    change(tx, id, |mail| {
        *mail = Mail {
            state: State::Sent,
            at: now,
            tries: mail.tries.saturating_add(1),
            last_error: said.to_owned(),
            ..mail.clone()
        };
    })
}

/// A try came to nothing; the next is at `next`.
pub fn put_off(tx: &mut WriteTx, id: MailId, said: &str, next: Time) -> Result<(), StoreError> {
    change(tx, id, |mail| {
        mail.tries = mail.tries.saturating_add(1);
        said.clone_into(&mut mail.last_error);
        mail.at = next;
    })
}

/// A try came to nothing, and there is no other.
pub fn give_up(tx: &mut WriteTx, id: MailId, said: &str) -> Result<(), StoreError> {
    let now = tx.now();
    change(tx, id, |mail| {
        mail.state = State::GivenUp;
        mail.tries = mail.tries.saturating_add(1);
        said.clone_into(&mut mail.last_error);
        mail.at = now;
    })
}

/// It makes no sense any more.
pub fn cancel(tx: &mut WriteTx, id: MailId, why: &str) -> Result<(), StoreError> {
    let now = tx.now();
    change(tx, id, |mail| {
        mail.state = State::Cancelled;
        why.clone_into(&mut mail.last_error);
        mail.at = now;
    })
}

/// Makes a mail due now, whatever became of it, as if it had never been tried; `None` if there is no such mail.
pub fn send_again(tx: &mut WriteTx, id: MailId) -> Result<Option<Mail>, StoreError> {
    let Some(mail) = MAILS.get(tx, &id)? else { return Ok(None) };
    let mail = Mail { state: State::Waiting, at: tx.now(), tries: 0, ..mail };
    MAILS.put(tx, &id, &mail)?;
    Ok(Some(mail))
}

/// Forgets at most `limit` mails that ended long ago; how many.
pub fn forget(tx: &mut WriteTx, limit: usize) -> Result<usize, StoreError> {
    let end = tx.now().minus(KEPT);
    let mut old = Vec::new();
    for state in [State::Sent, State::GivenUp, State::Cancelled] {
        let place = place(state);
        old.extend(BY_STATE.between(tx, &(place, Time(0)), &(place, end), limit - old.len())?);
        if old.len() == limit {
            break;
        }
    }
    for id in &old {
        MAILS.delete(tx, id)?;
    }
    Ok(old.len())
}
