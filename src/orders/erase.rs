//! Taking a person out of their orders. Invoices and credit notes stay as they are: the law wants them kept.

use super::model::{Order, OrderError};
use super::ops::get;
use super::store::ORDERS;
use crate::accounts::Email;
use crate::address::Address;
use crate::id::OrderId;
use crate::store::{Reads, WriteTx};

/// Of an address only the country stays: taxes go by it.
fn nobodys(address: &Address) -> Address {
    Address { country: address.country.clone(), ..Address::default() }
}

/// Whether an order is without its person.
pub fn is_nobodys(order: &Order) -> bool {
    let is_bare = |address: &Address| *address == nobodys(address);
    order.email == Email::nobodys(order.user)
        && is_bare(&order.shipping_address)
        && order.billing_address.as_ref().is_none_or(is_bare)
        && order.note.is_empty()
}

/// Leaves of an order that is over what was sold, for how much, and when.
pub fn erase(tx: &mut WriteTx, id: OrderId) -> Result<(), OrderError> {
    let mut order: Order = get(tx, id)?;
    order.email = Email::nobodys(order.user);
    order.shipping_address = nobodys(&order.shipping_address);
    order.billing_address = order.billing_address.as_ref().map(nobodys);
    order.note.clear();
    for moved in &mut order.history {
        moved.note.clear();
    }
    for refund in &mut order.refunds {
        refund.reason.clear();
    }
    for parcel in &mut order.fulfilments {
        parcel.tracking.number.clear();
        parcel.tracking.url = None;
    }
    order.updated_at = tx.now();
    Ok(ORDERS.put(tx, &id, &order)?)
}
