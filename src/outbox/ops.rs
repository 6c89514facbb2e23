//! The acts of the outbox.

use std::ops::{Bound, ControlFlow};
use std::time::Duration;

use super::model::{Addressee, Cause, Mail, State};
use super::store::{BY_CAUSE, BY_STATE, MAILS, place};
use crate::clock::Time;
use crate::id::MailId;
use crate::page::{Page, Paged};
use crate::store::{Direction, Key, META, Reads, Span, StoreError, WriteTx};

/// How long a mail is known after it was sent, given up or cancelled.
pub const KEPT: Duration = Duration::from_hours(24 * 30);

/// Since when every cause has its mail, among the file's properties.
const COMPLETE_SINCE: &str = "mails_since";

/// Has the cause mailed, in the commit that it is part of. A cause that has its mail gets no second one.
pub fn post(tx: &mut WriteTx, cause: Cause) -> Result<(), StoreError> {
    if BY_CAUSE.find(tx, &cause.key())?.is_some() {
        return Ok(());
    }
    let id = MailId(tx.next_number("mails")?);
    let now = tx.now();
    let mail =
        Mail { cause, state: State::Waiting, created_at: now, at: now, tries: 0, last_said: String::new() };
    MAILS.put(tx, &id, &mail)
}

pub fn get(tx: &impl Reads, id: MailId) -> Result<Option<Mail>, StoreError> {
    MAILS.get(tx, &id)
}

/// The mail that has been due longest, of those that are `wanted`.
pub fn due(
    tx: &impl Reads,
    wanted: impl Fn(MailId, &Mail) -> bool,
) -> Result<Option<(MailId, Mail)>, StoreError> {
    let waiting = place(State::Waiting);
    let now = Bound::Excluded((waiting, Time(tx.now().0.saturating_add(1))).bytes());
    let span = Span { from: Bound::Included(waiting.bytes()), to: now, direction: Direction::Up };
    let mut found = Ok(None);
    BY_STATE.scan(tx, span, |_, id| {
        found = MAILS.expect(tx, &id).map(|mail| Some((id, mail)).filter(|(id, mail)| wanted(*id, mail)));
        if let Ok(None) = found { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    found
}

/// At most `limit` mails that have been due since before `end`.
pub fn due_before(tx: &impl Reads, end: Time, limit: usize) -> Result<Vec<MailId>, StoreError> {
    let waiting = place(State::Waiting);
    BY_STATE.between(tx, &(waiting, Time(0)), &(waiting, end), limit)
}

/// One page of the mails, or of those in one state, newest first.
pub fn page(tx: &impl Reads, state: Option<State>, page: Page) -> Result<Paged<(MailId, Mail)>, StoreError> {
    let Some(state) = state else { return MAILS.page(tx, page, Direction::Down) };
    let keys = BY_STATE.page(tx, Span::under(place(state).bytes(), Direction::Down), page)?;
    let items = keys.items.into_iter().map(|id| Ok((id, MAILS.expect(tx, &id)?)));
    Ok(Paged { count: keys.count, items: items.collect::<Result<_, StoreError>>()? })
}

/// How many mails are in a state; counts no further than `most`.
pub fn count(tx: &impl Reads, state: State, most: u64) -> Result<u64, StoreError> {
    let mut count = 0;
    BY_STATE.scan(tx, Span::under(place(state).bytes(), Direction::Up), |_, _| {
        count += 1;
        if count < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(count)
}

/// When the oldest of the mails that wait was posted; looks at no more than `most`.
pub fn oldest_waiting(tx: &impl Reads, most: usize) -> Result<Option<Time>, StoreError> {
    let end = (place(State::Waiting), Time(i64::MAX));
    let oldest = BY_STATE.below(tx, &end, most)?.into_iter().min();
    Ok(oldest.map(|id| MAILS.expect(tx, &id)).transpose()?.map(|mail| mail.created_at))
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
            last_said: said.to_owned(),
            ..mail.clone()
        };
    })
}

/// A try came to nothing; the next is at `next`.
pub fn put_off(tx: &mut WriteTx, id: MailId, said: &str, next: Time) -> Result<(), StoreError> {
    change(tx, id, |mail| {
        mail.tries = mail.tries.saturating_add(1);
        said.clone_into(&mut mail.last_said);
        mail.at = next;
    })
}

/// A try came to nothing, and there is no other.
pub fn give_up(tx: &mut WriteTx, id: MailId, said: &str) -> Result<(), StoreError> {
    let now = tx.now();
    change(tx, id, |mail| {
        mail.state = State::GivenUp;
        mail.tries = mail.tries.saturating_add(1);
        said.clone_into(&mut mail.last_said);
        mail.at = now;
    })
}

/// It makes no sense any more.
pub fn cancel(tx: &mut WriteTx, id: MailId, why: &str) -> Result<(), StoreError> {
    let now = tx.now();
    change(tx, id, |mail| {
        mail.state = State::Cancelled;
        why.clone_into(&mut mail.last_said);
        mail.at = now;
    })
}

/// The mails to a person, in no order.
pub fn to(tx: &impl Reads, person: &Addressee) -> Result<Vec<MailId>, StoreError> {
    let of_orders = person.orders.iter().flat_map(|id| Cause::TO_BUYERS_OF_ORDERS.map(|kind| (kind, id.0)));
    let of_payments = person.payments.iter().map(|id| (Cause::PAYMENT_FAILED, id.0));
    let of_refunds = person.refunds.iter().map(|id| (Cause::REFUNDED, id.0));
    let of_user = Cause::TO_USERS.map(|kind| (kind, person.user.0));
    let mut found = Vec::new();
    for cause in of_orders.chain(of_payments).chain(of_refunds).chain(of_user) {
        BY_CAUSE.scan(tx, Span::under(cause.bytes(), Direction::Up), |_, id| {
            found.push(id);
            ControlFlow::Continue(())
        })?;
    }
    Ok(found)
}

/// Takes a person out of the mails to them: what servers and banks said goes, and what waits is not sent any more.
pub fn scrub(tx: &mut WriteTx, person: &Addressee) -> Result<(), StoreError> {
    for id in to(tx, person)? {
        cancel(tx, id, "")?;
        let mut mail = MAILS.expect(tx, &id)?;
        mail.last_said.clear();
        if let Cause::PaymentFailed { said, .. } = &mut mail.cause {
            said.clear();
        }
        MAILS.put(tx, &id, &mail)?;
    }
    Ok(())
}

/// Makes a mail due now, whatever became of it, as if it had never been tried.
pub fn send_again(tx: &mut WriteTx, id: MailId, mail: &Mail) -> Result<Mail, StoreError> {
    let mail = Mail { state: State::Waiting, at: tx.now(), tries: 0, ..mail.clone() };
    MAILS.put(tx, &id, &mail)?;
    Ok(mail)
}

/// Every cause from this time on has its mail here; `None` in a file that never was this version's.
pub fn complete_since(tx: &impl Reads) -> Result<Option<Time>, StoreError> {
    Ok(META.get(tx, &COMPLETE_SINCE.to_owned())?.and_then(|at| Time::parse(&at)))
}

/// From now on every cause has its mail here.
pub fn begin(tx: &mut WriteTx) -> Result<(), StoreError> {
    let now = tx.now();
    tx.set_meta(COMPLETE_SINCE, &now.to_string())
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
    if !old.is_empty() && complete_since(tx)?.is_none_or(|since| since < end) {
        tx.set_meta(COMPLETE_SINCE, &end.to_string())?;
    }
    Ok(old.len())
}
