//! Records as earlier versions of till wrote them. They are read for ever, and rewritten when touched.

use serde::{Deserialize, Serialize};

use super::lifecycle::Status;
use super::model::{Closing, GatewayEvent, Key, Payment, Refund, Subject, Told};
use crate::clock::Time;
use crate::id::{OrderId, PaymentId, UserId};
use crate::money::Money;
use crate::orders::RefundStatus;

/// Before there were gateways that capture, and charge fees.
#[derive(Clone, Serialize, Deserialize)]
pub struct PaymentV1 {
    order: OrderId,
    user: UserId,
    provider: String,
    status: Status,
    amount: Money,
    nonce: [u8; 16],
    reference: Option<String>,
    client_secret: Option<String>,
    approve_url: Option<String>,
    last_error: Option<Told>,
    captured: Money,
    is_surplus: bool,
    closing: Option<Closing>,
    by_hand: Option<String>,
    next_look_at: Option<Time>,
    looks: u32,
    created_at: Time,
    updated_at: Time,
}

impl From<PaymentV1> for Payment {
    fn from(old: PaymentV1) -> Payment {
        Payment {
            order: old.order,
            user: old.user,
            provider: old.provider,
            status: old.status,
            amount: old.amount,
            nonce: old.nonce,
            key: Key::first(old.created_at),
            reference: old.reference,
            charge: None,
            client_secret: old.client_secret,
            approve_url: old.approve_url,
            last_error: old.last_error,
            capturing: None,
            capture_key: Key::first(old.created_at),
            captured: old.captured,
            captured_at: (old.status == Status::Succeeded).then_some(old.updated_at),
            fee: None,
            is_surplus: old.is_surplus,
            closing: old.closing,
            by_hand: old.by_hand,
            next_look_at: old.next_look_at,
            looks: old.looks,
            created_at: old.created_at,
            updated_at: old.updated_at,
        }
    }
}

/// Before refunds had more than one idempotency key.
#[derive(Clone, Serialize, Deserialize)]
pub struct RefundV1 {
    order: OrderId,
    payment: PaymentId,
    provider: String,
    amount: Money,
    status: RefundStatus,
    reason: String,
    nonce: [u8; 16],
    reference: Option<String>,
    lines: Vec<(u64, u32)>,
    is_surplus: bool,
    last_error: Option<Told>,
    by: String,
    next_look_at: Option<Time>,
    looks: u32,
    created_at: Time,
    updated_at: Time,
}

impl From<RefundV1> for Refund {
    fn from(old: RefundV1) -> Refund {
        Refund {
            order: old.order,
            payment: old.payment,
            provider: old.provider,
            amount: old.amount,
            status: old.status,
            reason: old.reason,
            nonce: old.nonce,
            key: Key::first(old.created_at),
            reference: old.reference,
            lines: old.lines,
            // What was to go back to the shelf went there when the refund was asked for; what was not, was left in the
            // order.
            restock: false,
            is_taken_back: old.status != RefundStatus::Failed,
            is_surplus: old.is_surplus,
            last_error: old.last_error,
            by: old.by,
            ended_at: (old.status != RefundStatus::Pending).then_some(old.updated_at),
            next_look_at: old.next_look_at,
            looks: old.looks,
            created_at: old.created_at,
            updated_at: old.updated_at,
        }
    }
}

/// Before events said what they are about.
#[derive(Clone, Serialize, Deserialize)]
pub struct GatewayEventV1 {
    reference: String,
    received_at: Time,
    next_try_at: Option<Time>,
    tries: u32,
}

impl From<GatewayEventV1> for GatewayEvent {
    fn from(old: GatewayEventV1) -> GatewayEvent {
        GatewayEvent {
            // There was no other.
            provider: super::gateway::test::PROVIDER.to_owned(),
            kind: String::new(),
            subject: Subject::Payment(old.reference),
            received_at: old.received_at,
            next_try_at: old.next_try_at,
            tries: old.tries,
        }
    }
}
