//! What may go into a parcel. A unit is sent once, and not at all when its money went back before.

use super::model::{Order, OrderError, OrderLine, Tracking};

impl Order {
    /// Units of a line that are in parcels.
    pub fn sent(&self, line: u64) -> u32 {
        let packed = self.fulfilments.iter().flat_map(|parcel| &parcel.lines);
        packed.filter(|(id, _)| *id == line).map(|(_, units)| *units).sum()
    }

    /// Lines and their units that are still to be sent.
    pub fn to_send(&self) -> Vec<(u64, u32)> {
        let left = self.lines.iter().map(|line| (line.id, self.left(line)));
        left.filter(|(_, units)| *units > 0).collect()
    }

    /// How the newest parcel is sent, where somebody said so.
    pub fn newest_tracking(&self) -> Option<&Tracking> {
        self.fulfilments.last().map(|parcel| &parcel.tracking).filter(|tracking| !tracking.carrier.is_empty())
    }

    fn left(&self, line: &OrderLine) -> u32 {
        line.quantity.saturating_sub(self.sent(line.id)).saturating_sub(line.withdrawn)
    }

    /// Takes units whose money went back out of what is to be sent: those that are not sent yet first, because only
    /// what was sent can come back.
    pub fn withdraw(&mut self, line: u64, units: u32) {
        let Some(at) = self.lines.iter().position(|one| one.id == line) else { return };
        let left = self.left(&self.lines[at]);
        self.lines[at].withdrawn += units.min(left);
    }
}

/// The lines of a new parcel: those that are asked for, or, where none are, all that is left. What is `returning` is on
/// its way back to the customer as money, and stays.
pub fn pack(
    order: &Order,
    asked: &[(u64, u32)],
    returning: &[(u64, u32)],
) -> Result<Vec<(u64, u32)>, OrderError> {
    let held_back =
        |line: u64| -> u32 { returning.iter().filter(|(id, _)| *id == line).map(|(_, units)| *units).sum() };
    let free = order.to_send().into_iter().map(|(id, units)| (id, units.saturating_sub(held_back(id))));
    let free: Vec<_> = free.filter(|(_, units)| *units > 0).collect();
    if free.is_empty() {
        return Err(OrderError::NothingToSend);
    }
    if asked.is_empty() {
        return Ok(free);
    }
    for (n, (id, units)) in asked.iter().enumerate() {
        let fault = |said: String| Err(OrderError::ParcelLines(said));
        if !order.lines.iter().any(|line| line.id == *id) {
            return fault(format!("the order has no line {id}"));
        }
        if asked[..n].iter().any(|(other, _)| other == id) {
            return fault(format!("line {id} is given twice"));
        }
        let left = free.iter().find(|(free, _)| free == id).map_or(0, |(_, units)| *units);
        if *units > left {
            return fault(format!("line {id} has {left} units that are to be sent"));
        }
    }
    Ok(asked.to_vec())
}
