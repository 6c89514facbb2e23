//! Moving an order on by hand: shipped, arrived. What a payment moves is no person's to move.

use serde_json::{Value, json};

use crate::accounts::{self, AccountError, Staff};
use crate::audit;
use crate::id::OrderId;
use crate::orders::{self, Event, Order, OrderError, Parcel, Status, Tracking};
use crate::payments::{self, PaymentError};
use crate::store::WriteTx;

/// What staff say of an order.
#[derive(Clone)]
pub struct Step {
    pub status: Option<Status>,
    pub tracking: Option<Tracking>,
    pub note: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum AdvanceError {
    #[error("{0}")]
    Account(#[from] AccountError),
    #[error("{0}")]
    Order(#[from] OrderError),
    #[error("{0}")]
    Payment(#[from] PaymentError),
}

impl From<crate::store::StoreError> for AdvanceError {
    fn from(error: crate::store::StoreError) -> AdvanceError {
        AdvanceError::Order(error.into())
    }
}

/// The event that a step means, if it means one.
fn event(order: &Order, step: &Step) -> Result<Option<Event>, OrderError> {
    let status = order.status;
    // Its first parcel, with all that is to be sent, is the order's shipping.
    let is_first = step.tracking.is_some() && status == Status::Processing && order.fulfilments.is_empty();
    let event = match step.status.filter(|wanted| *wanted != status) {
        None => is_first.then_some(Event::Ship),
        Some(wanted) => Some(wanted.event().ok_or(OrderError::NoWayBack(status))?),
    };
    match event {
        Some(event @ (Event::Pay | Event::Cancel)) => Err(OrderError::InvalidTransition(status, event)),
        Some(event) if status.after(event).is_none() => Err(OrderError::InvalidTransition(status, event)),
        _ if step.tracking.is_some() && matches!(status, Status::Pending | Status::Cancelled) => {
            Err(OrderError::InvalidTransition(status, Event::Ship))
        }
        event => Ok(event),
    }
}

/// What staff can change of an order, as the audit trail keeps it.
fn seen(order: &Order) -> Value {
    let tracking = order.fulfilments.last().map(|newest| &newest.tracking);
    json!({"status": order.status, "note": order.note, "tracking": tracking})
}

/// Moves the order on, says how it is sent, or notes something on it.
pub fn advance(tx: &mut WriteTx, id: OrderId, step: &Step, by: &Staff) -> Result<(), AdvanceError> {
    accounts::confirm(tx, by)?;
    let before = orders::get(tx, id)?;
    let note = step.note.as_deref().unwrap_or_default();
    match (event(&before, step)?, &step.tracking) {
        (Some(Event::Ship), tracking) => {
            let back = payments::may_send(tx, id)?;
            if step.status == Some(Status::Shipped) && !back.pending.is_empty() {
                return Err(OrderError::Returning.into());
            }
            let parcel = Parcel { lines: Vec::new(), tracking: tracking.clone().unwrap_or_default() };
            orders::send(tx, id, &parcel, &back, &by.label(), note)?;
        }
        (event, tracking) => {
            if let Some(tracking) = tracking {
                orders::correct(tx, id, None, |newest| newest.clone_from(tracking))?;
            }
            if event.is_some() {
                orders::deliver(tx, id, &by.label(), note)?;
            } else if let Some(note) = &step.note {
                orders::set_note(tx, id, note)?;
            }
        }
    }
    let (before, after) = (seen(&before), seen(&orders::get(tx, id)?));
    audit::note(tx, &by.label(), "order.change", &format!("order:{id}"), before, after)?;
    Ok(())
}
