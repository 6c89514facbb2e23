//! Where an order is, as its customer sees it: what was sent with whom, what is still to come, and when what happened.
//! Who in the shop did it, and their notes, are the shop's.

use schemars::JsonSchema;
use serde::Serialize;

use super::carriers::Carriers;
use super::lifecycle::Status;
use super::model::{Order, OrderLine, Tracking};
use super::view::said;
use crate::clock::Time;
use crate::id::OrderId;

/// Where an order is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OrderTracking")]
pub struct TrackingView {
    order_id: OrderId,
    number: String,
    status: Status,
    /// Of the newest parcel; null where nobody said how it is sent.
    tracking: Option<Tracking>,
    /// The parcels, oldest first.
    fulfilments: Vec<ParcelView>,
    /// What is still to come; nothing of an order that is cancelled.
    to_send: Vec<LineView>,
    /// Oldest first.
    history: Vec<MoveView>,
}

/// A parcel, with the names of what is in it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TrackedFulfilment")]
struct ParcelView {
    /// From 1, within the order.
    id: u64,
    lines: Vec<LineView>,
    /// Null where nobody said how it is sent.
    carrier: Option<String>,
    number: Option<String>,
    /// Where it can be followed; null for a carrier that the shop doesn't know.
    url: Option<String>,
    at: Time,
}

/// Units of a line of the order.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TrackedLine")]
struct LineView {
    line_id: u64,
    name: Option<String>,
    quantity: u32,
}

/// A move of the order's status.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TrackedChange")]
struct MoveView {
    status: Status,
    at: Time,
}

fn named(all: &[OrderLine], units: &[(u64, u32)]) -> Vec<LineView> {
    let line = |(line_id, quantity): &(u64, u32)| {
        let name = all.iter().find(|line| line.id == *line_id).map(|line| line.name.clone());
        LineView { line_id: *line_id, name, quantity: *quantity }
    };
    units.iter().map(line).collect()
}

impl TrackingView {
    pub fn new(id: OrderId, order: Order, carriers: &Carriers) -> TrackingView {
        let linked = |tracking| carriers.linked(tracking, &order.shipping_address);
        let parcels = order.fulfilments.iter().map(|one| {
            let Tracking { carrier, number, url } = linked(&one.tracking);
            let lines = named(&order.lines, &one.lines);
            ParcelView { id: one.id, lines, carrier: said(carrier), number: said(number), url, at: one.at }
        });
        let is_open = matches!(order.status, Status::Pending | Status::Processing);
        let to_send = if is_open { order.to_send() } else { Vec::new() };
        TrackingView {
            order_id: id,
            status: order.status,
            tracking: order.newest_tracking().map(linked),
            fulfilments: parcels.collect(),
            to_send: named(&order.lines, &to_send),
            history: order.history.iter().map(|one| MoveView { status: one.status, at: one.at }).collect(),
            number: order.number,
        }
    }
}
