//! Taking a person out of the payments of an order that is over.

use super::disputes;
use super::model::{PaymentError, Stand};
use super::ops::{live_of, of_order, refunds_of};
use super::store::{PAYMENTS, REFUNDS};
use crate::id::OrderId;
use crate::orders::RefundStatus;
use crate::store::{Reads, StoreError, WriteTx};

/// Whether money of the order may still move: a payment or refund that is not final, an open dispute.
pub fn is_under_way(tx: &impl Reads, order: OrderId) -> Result<bool, StoreError> {
    Ok(live_of(tx, order)?.is_some()
        || refunds_of(tx, order)?.iter().any(|(_, refund)| refund.status == RefundStatus::Pending)
        || disputes::of_order(tx, order)?.iter().any(|(_, dispute)| dispute.stand == Stand::Open))
}

/// Leaves amounts, times, and the gateways' ids, by which the books are kept.
pub fn erase(tx: &mut WriteTx, order: OrderId) -> Result<(), PaymentError> {
    for (id, mut payment) in of_order(tx, order)? {
        (payment.client_secret, payment.approve_url, payment.closing) = (None, None, None);
        // How stays, with what reference goes.
        payment.by_hand = payment.by_hand.and_then(|how| Some(how.split(" (").next()?.to_owned()));
        if let Some(told) = &mut payment.last_error {
            told.message.clear();
        }
        PAYMENTS.put(tx, &id, &payment)?;
    }
    for (id, mut refund) in refunds_of(tx, order)? {
        refund.reason.clear();
        if let Some(told) = &mut refund.last_error {
            told.message.clear();
        }
        REFUNDS.put(tx, &id, &refund)?;
    }
    Ok(())
}
