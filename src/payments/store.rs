//! Tables of payments.

use super::model::{GatewayEvent, Payment, Refund};
use crate::clock::Time;
use crate::id::{OrderId, PaymentId, RefundId};
use crate::store::{Index, Table, record};

record!(Payment as StoredPayment: V1);
record!(Refund as StoredRefund: V1);
record!(GatewayEvent as StoredGatewayEvent: V1);

pub static OF_ORDER: Index<PaymentId, Payment, OrderId> =
    Index::list("payments.of_order", |payment| vec![payment.order]);
/// Provider and the gateway's id.
pub static BY_REFERENCE: Index<PaymentId, Payment, (String, String)> =
    Index::unique("payments.by_reference", |p| {
        p.reference.iter().map(|reference| (p.provider.clone(), reference.clone())).collect()
    });
/// Payments that are not final, by when they are asked after.
pub static OPEN: Index<PaymentId, Payment, Time> =
    Index::list("payments.open", |payment| payment.next_look_at.into_iter().collect());
pub static PAYMENTS: Table<PaymentId, Payment> = Table::new("payments", &[&OF_ORDER, &BY_REFERENCE, &OPEN]);

pub static REFUNDS_OF: Index<RefundId, Refund, OrderId> =
    Index::list("refunds.of_order", |refund| vec![refund.order]);
pub static OPEN_REFUNDS: Index<RefundId, Refund, Time> =
    Index::list("refunds.open", |refund| refund.next_look_at.into_iter().collect());
pub static REFUNDS: Table<RefundId, Refund> = Table::new("refunds", &[&REFUNDS_OF, &OPEN_REFUNDS]);

/// Events that were not worked off, by when they are to be.
pub static UNDONE: Index<(String, String), GatewayEvent, Time> =
    Index::list("gateway_events.undone", |event| event.next_try_at.into_iter().collect());
/// By provider and event id.
pub static EVENTS: Table<(String, String), GatewayEvent> = Table::new("gateway_events", &[&UNDONE]);
