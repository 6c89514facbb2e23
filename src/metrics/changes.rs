//! What became of orders, payments and mails since the start, counted from the change feed: reading the shop for it
//! would mean to count all there ever were.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::orders::store::ORDERS;
use crate::orders::{self, Order, RefundStatus};
use crate::outbox::store::MAILS;
use crate::outbox::{Mail, State};
use crate::payments::store::{PAYMENTS, REFUNDS};
use crate::payments::{self, Payment, Refund};
use crate::store::{Change, Commit, Record};

/// How many came to be so: what, of which provider (empty for what has none), and which state.
pub struct Changes(Mutex<BTreeMap<(What, String, &'static str), u64>>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Order,
    Payment,
    Refund,
    Mail,
}

impl Changes {
    /// Counts from nothing, of these providers: what did not happen yet is told as 0, so that the first is seen to come.
    pub fn new<'a>(providers: impl Iterator<Item = &'a str>) -> Changes {
        let mut counts = BTreeMap::new();
        let own = |what, state| ((what, String::new(), state), 0);
        counts.extend(orders::Status::ALL.map(|status| own(What::Order, status.as_str())));
        counts.extend(
            [State::Waiting, State::Sent, State::GivenUp, State::Cancelled]
                .map(|one| own(What::Mail, word(one))),
        );
        for provider in providers {
            let own = |what, state| ((what, provider.to_owned(), state), 0);
            counts.extend(payments::Status::ALL.map(|status| own(What::Payment, status.as_str())));
            counts.extend(RefundStatus::ALL.map(|status| own(What::Refund, status.as_str())));
        }
        Changes(Mutex::new(counts))
    }

    pub fn hear(&self, commit: &Commit) {
        for change in &commit.changes {
            let (what, state) = if change.table == ORDERS.name {
                (What::Order, now_is(change, |order: &Order| (String::new(), order.status.as_str())))
            } else if change.table == PAYMENTS.name {
                (What::Payment, now_is(change, |one: &Payment| (one.provider.clone(), one.status.as_str())))
            } else if change.table == REFUNDS.name {
                (What::Refund, now_is(change, |one: &Refund| (one.provider.clone(), one.status.as_str())))
            } else if change.table == MAILS.name {
                (What::Mail, now_is(change, |mail: &Mail| (String::new(), word(mail.state))))
            } else {
                continue;
            };
            if let Some((provider, state)) = state {
                *self.counts().entry((what, provider, state)).or_default() += 1;
            }
        }
    }

    /// Provider, state and count of all that were counted of a kind.
    pub fn of(&self, what: What) -> Vec<(String, &'static str, u64)> {
        let counts = self.counts();
        let own = counts.iter().filter(|((of, ..), _)| *of == what);
        own.map(|((_, provider, state), count)| (provider.clone(), *state, *count)).collect()
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<(What, String, &'static str), u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a record's state is after a change, where it was another or there was no record.
fn now_is<V: Record, S: PartialEq>(change: &Change, state: impl Fn(&V) -> S) -> Option<S> {
    let of = |bytes: &Option<Vec<u8>>| bytes.as_deref().and_then(V::decode).as_ref().map(&state);
    of(&change.after).filter(|after| of(&change.before).as_ref() != Some(after))
}

fn word(state: State) -> &'static str {
    match state {
        State::Waiting => "waiting",
        State::Sent => "sent",
        State::GivenUp => "given_up",
        State::Cancelled => "cancelled",
    }
}
