//! The acts of sending an order.

use super::lifecycle::{Event, Status};
use super::model::{Fulfilment, Order, OrderError, Tracking};
use super::ops::{get, save, step};
use super::parcel::{GivenBack, pack};
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
/// shipped. What is given `back` is not sent. Gives the parcel's id.
pub fn send(
    tx: &mut WriteTx,
    id: OrderId,
    parcel: &Parcel,
    back: &GivenBack,
    by: &str,
    note: &str,
) -> Result<u64, OrderError> {
    let mut order = get(tx, id)?;
    if order.status != Status::Processing {
        return Err(OrderError::InvalidTransition(order.status, Event::Ship));
    }
    // An earlier till left units in the order whose money had gone back.
    order.withdraw_all(&back.done);
    let lines = pack(&order, &parcel.lines, back)?;
    let number = order.fulfilments.len() as u64 + 1;
    order.fulfilments.push(Fulfilment { id: number, lines, tracking: parcel.tracking.clone(), at: tx.now() });
    ship_when_done(tx, &mut order, by, note)?;
    save(tx, id, &mut order)?;
    tell(tx, id, number, &parcel.tracking)?;
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

/// Has the customer told of a parcel.
fn tell(tx: &mut WriteTx, order: OrderId, parcel: u64, tracking: &Tracking) -> Result<(), OrderError> {
    let tracked = !tracking.carrier.is_empty();
    Ok(outbox::post(tx, outbox::Cause::Shipped { order, parcel, tracked })?)
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
    let found = found.ok_or(OrderError::NoParcel)?;
    let was_unknown = found.tracking.carrier.is_empty();
    change(&mut found.tracking);
    let (number, tracking) = (found.id, found.tracking.clone());
    save(tx, id, &mut order)?;
    if was_unknown { tell(tx, id, number, &tracking) } else { Ok(()) }
}

/// Somebody says that the order arrived.
pub fn deliver(tx: &mut WriteTx, id: OrderId, by: &str, note: &str) -> Result<(), OrderError> {
    let mut order = get(tx, id)?;
    step(&mut order, Event::Deliver, tx.now(), by, note)?;
    Ok(save(tx, id, &mut order)?)
}

/// Units that a refund takes out of an order: line ids and units.
pub struct TakenBack<'a> {
    /// All of the order whose money has gone back, by this refund or an earlier one. Those that were not sent are not
    /// sent any more.
    pub gone: &'a [(u64, u32)],
    /// What goes back to the shelf now.
    pub to_shelf: &'a [(u64, u32)],
}

/// Takes units out of the order, with the refund that gave their money back.
pub fn take_back(
    tx: &mut WriteTx,
    id: OrderId,
    what: &TakenBack<'_>,
    refund: RefundId,
    by: &str,
) -> Result<(), OrderError> {
    let mut order = get(tx, id)?;
    let mut back = Vec::new();
    order.withdraw_all(what.gone);
    for (line_id, units) in what.to_shelf {
        if let Some(line) = order.lines.iter_mut().find(|line| line.id == *line_id) {
            let quantity = (*units).min(line.quantity - line.restocked);
            line.restocked += quantity;
            back.push(Want { variant: line.variant, quantity });
        }
    }
    back.retain(|want| want.quantity > 0);
    ship_when_done(tx, &mut order, by, "the rest was refunded")?;
    save(tx, id, &mut order)?;
    Ok(inventory::give_back(tx, &back, &Cause::Refund(refund), by)?)
}

/// Nothing of an order is sent any more, because all its money went back.
pub fn withdraw_rest(tx: &mut WriteTx, id: OrderId, by: &str) -> Result<(), OrderError> {
    let mut order = get(tx, id)?;
    if order.status != Status::Processing || order.to_send().is_empty() {
        return Ok(());
    }
    let all: Vec<_> = order.lines.iter().map(|line| (line.id, line.quantity)).collect();
    order.withdraw_all(&all);
    ship_when_done(tx, &mut order, by, "all of it was refunded")?;
    Ok(save(tx, id, &mut order)?)
}
