//! The acts of sending an order.

use super::lifecycle::{Event, Status};
use super::model::{Fulfilment, Order, OrderError, Tracking};
use super::ops::{get, save, step};
use super::parcel::pack;
use crate::id::{OrderId, RefundId};
use crate::inventory::{self, Cause, Want};
use crate::outbox;
use crate::store::{Reads, WriteTx};

/// A parcel that goes out.
#[derive(Clone, Debug, Default)]
pub struct Parcel {
    /// Line ids and units; empty: all that is left to send.
    pub lines: Vec<(u64, u32)>,
    /// Empty where nobody says how it is sent.
    pub tracking: Tracking,
}

/// Sends a parcel, of which the customer is told: every parcel goes out through here. With the last one the order is
/// shipped. What is `returning` (line ids and units) has a refund on its way, and is not sent. Gives the parcel's id.
pub fn send(
    tx: &mut WriteTx,
    id: OrderId,
    parcel: &Parcel,
    returning: &[(u64, u32)],
    by: &str,
    note: &str,
) -> Result<u64, OrderError> {
    let mut order = get(tx, id)?;
    if order.status != Status::Processing {
        return Err(OrderError::InvalidTransition(order.status, Event::Ship));
    }
    let lines = pack(&order, &parcel.lines, returning)?;
    let number = order.fulfilments.len() as u64 + 1;
    order.fulfilments.push(Fulfilment { id: number, lines, tracking: parcel.tracking.clone(), at: tx.now() });
    ship_when_done(tx, &mut order, by, note)?;
    save(tx, id, &mut order)?;
    // Of one that has all of it, and of which nobody says how it is sent, is told again when somebody does.
    let is_bare = parcel.tracking.carrier.is_empty() && number == 1 && order.to_send().is_empty();
    outbox::post(tx, outbox::Cause::Shipped { order: id, parcel: if is_bare { 0 } else { number } })?;
    Ok(number)
}

/// The order is shipped when nothing of it is left to send.
fn ship_when_done(tx: &WriteTx, order: &mut Order, by: &str, note: &str) -> Result<(), OrderError> {
    let is_done = !order.fulfilments.is_empty() && order.to_send().is_empty();
    if order.status == Status::Processing && is_done {
        step(order, Event::Ship, tx.now(), by, note)?;
    }
    Ok(())
}

/// Corrects how a parcel is sent; `None`: the newest. The customer is told when there was nothing to tell before.
pub fn correct(
    tx: &mut WriteTx,
    id: OrderId,
    parcel: Option<u64>,
    change: impl Fn(&mut Tracking),
) -> Result<(), OrderError> {
    let mut order = get(tx, id)?;
    let found = match parcel {
        Some(parcel) => order.fulfilments.iter_mut().find(|one| one.id == parcel),
        None => order.fulfilments.last_mut(),
    };
    let found = found.ok_or(OrderError::NotFound)?;
    let was_unknown = found.tracking.carrier.is_empty();
    change(&mut found.tracking);
    let number = found.id;
    save(tx, id, &mut order)?;
    if was_unknown {
        outbox::post(tx, outbox::Cause::Shipped { order: id, parcel: number })?;
    }
    Ok(())
}

/// Somebody says that the order arrived.
pub fn deliver(tx: &mut WriteTx, id: OrderId, by: &str, note: &str) -> Result<(), OrderError> {
    let mut order = get(tx, id)?;
    step(&mut order, Event::Deliver, tx.now(), by, note)?;
    Ok(save(tx, id, &mut order)?)
}

/// Takes units of some lines out of the order, with the refund that gave their money back. Those that were not sent
/// are not sent any more; with `restock` all of them go back to the shelf.
pub fn take_back(
    tx: &mut WriteTx,
    id: OrderId,
    lines: &[(u64, u32)],
    restock: bool,
    refund: RefundId,
    by: &str,
) -> Result<(), OrderError> {
    let mut order = get(tx, id)?;
    let mut back = Vec::new();
    for (line_id, units) in lines {
        order.withdraw(*line_id, *units);
        if let Some(line) = order.lines.iter_mut().find(|line| restock && line.id == *line_id) {
            let quantity = (*units).min(line.quantity - line.restocked);
            line.restocked += quantity;
            back.push(Want { variant: line.variant, quantity });
        }
    }
    ship_when_done(tx, &mut order, by, "the rest was refunded")?;
    save(tx, id, &mut order)?;
    Ok(inventory::give_back(tx, &back, &Cause::Refund(refund), by)?)
}
