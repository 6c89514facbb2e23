//! What is not done yet, for whoever watches over the shop: read from the indexes, without counting what is done.

use std::ops::ControlFlow;

use super::Status;
use super::store::{BY_STATUS, EVENTS, OPEN_REFUNDS, OPEN_STRAYS, PAYMENTS, UNDONE};
use crate::clock::Time;
use crate::store::{Direction, Reads, Span, StoreError};

/// Payments of a state that is not final.
pub struct Open {
    pub status: Status,
    pub count: u64,
    /// When the oldest of them was begun.
    pub oldest: Option<Time>,
}

/// Each state that is not final. No more than `most` are counted of any.
pub fn open(tx: &impl Reads, most: u64) -> Result<Vec<Open>, StoreError> {
    let states = Status::ALL.into_iter().filter(|status| !status.is_final());
    let read = |status: Status| {
        let at = status.as_str().to_owned();
        let first = BY_STATUS.first_of(tx, &at)?;
        let oldest = first.map(|id| PAYMENTS.expect(tx, &id)).transpose()?.map(|payment| payment.created_at);
        Ok(Open { status, count: BY_STATUS.count_of(tx, &at, most)?, oldest })
    };
    states.map(read).collect()
}

/// Refunds that the gateway has not said its last word on, those of stray money among them.
pub fn open_refunds(tx: &impl Reads) -> Result<u64, StoreError> {
    Ok(OPEN_REFUNDS.count(tx)? + OPEN_STRAYS.count(tx)?)
}

/// Events of gateways that were not worked off, and when the oldest of them came; looks at no more than `most`.
pub fn waiting_events(tx: &impl Reads, most: usize) -> Result<(u64, Option<Time>), StoreError> {
    // In the order in which they are tried next, which is not that in which they came.
    let mut ids = Vec::new();
    UNDONE.scan(tx, Span::all(Direction::Up), |_, id| {
        ids.push(id);
        if ids.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let mut oldest = None;
    for id in &ids {
        let came = EVENTS.expect(tx, id)?.received_at;
        oldest = Some(oldest.map_or(came, |oldest: Time| oldest.min(came)));
    }
    Ok((UNDONE.count(tx)?, oldest))
}
