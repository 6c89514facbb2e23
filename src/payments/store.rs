//! Tables of payments.

use super::model::{Dispute, GatewayEvent, Payment, Refund, Stray};
use super::old::{GatewayEventV1, PaymentV1, RefundV1};
use super::stopped::{StoppedCount, StoppedKey};
use crate::clock::Time;
use crate::id::{OrderId, PaymentId, RefundId};
use crate::orders::RefundStatus;
use crate::store::{Index, Table, record};

record!(Payment as StoredPayment: V2, was V1(PaymentV1));
record!(Refund as StoredRefund: V2, was V1(RefundV1));
record!(GatewayEvent as StoredGatewayEvent: V2, was V1(GatewayEventV1));
record!(Dispute as StoredDispute: V1);
record!(Stray as StoredStray: V1);
record!(StoppedCount as StoredStoppedCount: V1);

pub static OF_ORDER: Index<PaymentId, Payment, OrderId> =
    Index::list("payments.of_order", |payment| vec![payment.order]);
/// Provider and the gateway's id.
pub static BY_REFERENCE: Index<PaymentId, Payment, (String, String)> =
    Index::unique("payments.by_reference", |p| {
        p.reference.iter().map(|reference| (p.provider.clone(), reference.clone())).collect()
    });
/// Provider and the gateway's id of the charge.
pub static BY_CHARGE: Index<PaymentId, Payment, (String, String)> = Index::list("payments.by_charge", |p| {
    p.charge.iter().map(|charge| (p.provider.clone(), charge.clone())).collect()
});
pub static BY_STATUS: Index<PaymentId, Payment, String> =
    Index::list("payments.by_status", |payment| vec![payment.status.as_str().to_owned()]);
pub static BY_PROVIDER: Index<PaymentId, Payment, String> =
    Index::list("payments.by_provider", |payment| vec![payment.provider.clone()]);
/// By when the money was taken.
pub static CAPTURED: Index<PaymentId, Payment, Time> =
    Index::list("payments.captured", |payment| payment.captured_at.into_iter().collect());
/// Payments that are not final, by provider and when they are asked after.
pub static OPEN: Index<PaymentId, Payment, (String, Time)> =
    Index::list("payments.due", |p| p.next_look_at.map(|at| (p.provider.clone(), at)).into_iter().collect());
pub static PAYMENTS: Table<PaymentId, Payment> = Table::new(
    "payments",
    &[&OF_ORDER, &BY_REFERENCE, &BY_CHARGE, &BY_STATUS, &BY_PROVIDER, &OPEN, &CAPTURED],
);

pub static REFUNDS_OF: Index<RefundId, Refund, OrderId> =
    Index::list("refunds.of_order", |refund| vec![refund.order]);
/// Refunds that are not done, by provider and when they are asked after.
pub static OPEN_REFUNDS: Index<RefundId, Refund, (String, Time)> =
    Index::list("refunds.due", |r| r.next_look_at.map(|at| (r.provider.clone(), at)).into_iter().collect());
/// By when they succeeded or failed.
pub static ENDED: Index<RefundId, Refund, Time> =
    Index::list("refunds.ended", |refund| refund.ended_at.into_iter().collect());
/// Those that failed, by when.
pub static FAILED: Index<RefundId, Refund, Time> = Index::list("refunds.failed", |refund| {
    refund.ended_at.filter(|_| refund.status == RefundStatus::Failed).into_iter().collect()
});
pub static REFUNDS: Table<RefundId, Refund> =
    Table::new("refunds", &[&REFUNDS_OF, &OPEN_REFUNDS, &ENDED, &FAILED]);

pub static DISPUTES_OF: Index<(String, String), Dispute, OrderId> =
    Index::list("disputes.of_order", |dispute| vec![dispute.order]);
/// By provider and the gateway's id.
pub static DISPUTES: Table<(String, String), Dispute> = Table::new("disputes", &[&DISPUTES_OF]);

/// Those that are not given back, by provider and when that is tried.
pub static OPEN_STRAYS: Index<(String, String), Stray, (String, Time)> =
    Index::list("strays.due", |s| s.next_look_at.map(|at| (s.provider.clone(), at)).into_iter().collect());
/// By provider and the gateway's id of the payment.
pub static STRAYS: Table<(String, String), Stray> = Table::new("strays", &[&OPEN_STRAYS]);

/// Events that were not worked off, by provider and when they are to be.
pub static UNDONE: Index<(String, String), GatewayEvent, (String, Time)> =
    Index::list("gateway_events.due", |event| {
        event.next_try_at.map(|at| (event.provider.clone(), at)).into_iter().collect()
    });
/// By when they came.
pub static RECEIVED: Index<(String, String), GatewayEvent, Time> =
    Index::list("gateway_events.received", |event| vec![event.received_at]);
/// By provider and event id.
pub static EVENTS: Table<(String, String), GatewayEvent> =
    Table::new("gateway_events", &[&UNDONE, &RECEIVED]);

/// Payments that were not let begin, by hour, reason and network.
pub static STOPPED: Table<StoppedKey, StoppedCount> = Table::new("payments_stopped", &[]);
