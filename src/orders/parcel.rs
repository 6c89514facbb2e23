//! What may go into a parcel. A unit is sent once, and not at all when its money went back before.

use super::model::{Order, OrderError, OrderLine, Tracking};

impl Order {
    /// Units of a line that are in parcels.
    pub fn sent(&self, line: u64) -> u32 {
        self.fulfilments.iter().map(|parcel| units_of(&parcel.lines, line)).sum()
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

    /// Takes units whose money went back out of what is to be sent, until `units` of the line are: those that are not
    /// sent yet first, because only what was sent can come back. So while some are left to send, all whose money went
    /// back are withdrawn.
    pub fn withdraw(&mut self, line: u64, units: u32) {
        let Some(at) = self.lines.iter().position(|one| one.id == line) else { return };
        let left = self.left(&self.lines[at]);
        let line = &mut self.lines[at];
        line.withdrawn += units.saturating_sub(line.withdrawn).min(left);
    }

    /// [`withdraw`](Order::withdraw), for lines and units, of which a line may have several.
    pub fn withdraw_all(&mut self, back: &[(u64, u32)]) {
        for (line, _) in back {
            self.withdraw(*line, units_of(back, *line));
        }
    }
}

/// What some line ids and units come to for a line.
pub fn units_of(all: &[(u64, u32)], line: u64) -> u32 {
    all.iter().filter(|(id, _)| *id == line).map(|(_, units)| *units).sum()
}

/// Line ids and units that refunds are for: of one that failed, none.
#[derive(Clone, Debug, Default)]
pub struct GivenBack {
    pub done: Vec<(u64, u32)>,
    pub pending: Vec<(u64, u32)>,
}

impl GivenBack {
    /// Units of a line whose money went back, or is about to.
    fn of(&self, line: u64) -> u32 {
        units_of(&self.done, line) + units_of(&self.pending, line)
    }
}

/// The lines of a new parcel: those that are asked for, or, where none are, all that is left. Units whose money is on
/// its way back stay.
pub fn pack(order: &Order, asked: &[(u64, u32)], back: &GivenBack) -> Result<Vec<(u64, u32)>, OrderError> {
    let held_back = |line: &OrderLine| back.of(line.id).saturating_sub(line.withdrawn);
    let free = order.lines.iter().map(|line| (line.id, order.left(line).saturating_sub(held_back(line))));
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
