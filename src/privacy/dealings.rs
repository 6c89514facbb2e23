//! What a person has to do with the shop: by what the rooms find it.

use crate::id::{OrderId, UserId};
use crate::orders::store::BY_USER;
use crate::outbox::Addressee;
use crate::payments::store::{OF_ORDER, REFUNDS_OF};
use crate::store::{Reads, StoreError};

/// A person's orders, with what was paid and given back of them.
pub fn of(tx: &impl Reads, user: UserId) -> Result<Addressee, StoreError> {
    let orders: Vec<OrderId> = BY_USER.all(tx, &user)?;
    let (mut payments, mut refunds) = (Vec::new(), Vec::new());
    for order in &orders {
        payments.extend(OF_ORDER.all(tx, order)?);
        refunds.extend(REFUNDS_OF.all(tx, order)?);
    }
    Ok(Addressee { user, orders, payments, refunds })
}

/// What the audit trail calls all of it, and the person.
pub fn subjects(of: &Addressee) -> Vec<String> {
    let orders = of.orders.iter().map(|id| format!("order:{id}"));
    let payments = of.payments.iter().map(|id| format!("payment:{id}"));
    let refunds = of.refunds.iter().map(|id| format!("refund:{id}"));
    orders.chain(payments).chain(refunds).chain([format!("user:{}", of.user)]).collect()
}
