//! The outbox's table.

use super::model::{CauseKey, Mail, State};
use crate::clock::Time;
use crate::id::MailId;
use crate::store::{Index, Table, record};

record!(Mail as StoredMail: V1);

/// The place of a state in [`BY_STATE`].
pub(super) fn place(state: State) -> u8 {
    match state {
        State::Waiting => 0,
        State::Sent => 1,
        State::GivenUp => 2,
        State::Cancelled => 3,
    }
}

pub static BY_CAUSE: Index<MailId, Mail, CauseKey> =
    Index::unique("mails.by_cause", |mail| vec![mail.cause.key()]);
/// Those that wait by when they are due, the others by when they ended.
pub static BY_STATE: Index<MailId, Mail, (u8, Time)> =
    Index::list("mails.by_state", |mail| vec![(place(mail.state), mail.at)]);
pub static MAILS: Table<MailId, Mail> = Table::new("mails", &[&BY_CAUSE, &BY_STATE]);
