//! Orders as JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::carriers::Carriers;
use super::lifecycle::Status;
use super::model::{Fulfilment, Moved, Order, OrderLine, PaymentStatus, RefundNote, Tracking};
use crate::accounts::Email;
use crate::address::Address;
use crate::clock::Time;
use crate::id::{OrderId, RefundId, UserId};
use crate::money::{Currency, Money};
use crate::promotions::Code;

#[derive(Serialize)]
pub struct OrderView {
    id: OrderId,
    number: String,
    user_id: UserId,
    email: Email,
    status: Status,
    payment_status: PaymentStatus,
    items: Vec<Value>,
    subtotal: Money,
    discount: Money,
    shipping: Money,
    tax: Money,
    total_price: Money,
    currency: Currency,
    coupon_code: Option<Code>,
    shipping_address: Address,
    billing_address: Option<Address>,
    note: String,
    tracking: Option<Tracking>,
    fulfilments: Vec<Value>,
    refunds: Vec<Value>,
    invoice_url: Option<String>,
    history: Vec<Moved>,
    hold_expires_at: Option<Time>,
    paid_at: Option<Time>,
    created_at: Time,
    updated_at: Time,
}

impl OrderView {
    /// `invoice_url` is the signed link, which only a paid order has.
    pub fn new(
        id: OrderId,
        mut order: Order,
        invoice_url: Option<String>,
        notes: &[(RefundId, Value)],
        carriers: &Carriers,
    ) -> OrderView {
        for parcel in &mut order.fulfilments {
            parcel.tracking = carriers.linked(&parcel.tracking, &order.shipping_address);
        }
        let tracking = order.newest_tracking().cloned();
        OrderView {
            id,
            number: order.number,
            user_id: order.user,
            email: order.email,
            status: order.status,
            payment_status: order.payment_status,
            items: order.lines.iter().map(line).collect(),
            subtotal: order.subtotal,
            discount: order.discount,
            shipping: order.shipping,
            tax: order.tax,
            total_price: order.total,
            currency: order.total.currency,
            coupon_code: order.coupon_code,
            shipping_address: order.shipping_address,
            billing_address: order.billing_address,
            note: order.note,
            tracking,
            fulfilments: order.fulfilments.iter().map(parcel).collect(),
            refunds: order.refunds.iter().map(|one| refund(one, notes)).collect(),
            invoice_url,
            history: order.history,
            hold_expires_at: order.hold_until,
            paid_at: order.paid_at,
            created_at: order.created_at,
            updated_at: order.updated_at,
        }
    }
}

pub fn line(line: &OrderLine) -> Value {
    let options: BTreeMap<_, _> = line.options.iter().map(|choice| (&choice.option, &choice.value)).collect();
    json!({
        "id": line.id,
        "product_id": line.product,
        "variant_id": line.variant,
        "sku": line.sku,
        "name": line.name,
        "options": options,
        "unit_price": line.unit_price,
        "quantity": line.quantity,
        "total_price": line.total,
        "discount": line.discount,
    })
}

/// A refund, with the papers about it.
fn refund(refund: &RefundNote, notes: &[(RefundId, Value)]) -> Value {
    let own = notes.iter().filter(|(id, _)| *id == refund.id).map(|(_, note)| note);
    json!({
        "id": refund.id,
        "amount": refund.amount,
        "status": refund.status,
        "reason": refund.reason,
        "at": refund.at,
        "credit_notes": own.collect::<Vec<_>>(),
    })
}

/// Null where nobody said anything.
pub fn said(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn parcel(parcel: &Fulfilment) -> Value {
    let lines =
        parcel.lines.iter().map(|(line_id, quantity)| json!({"line_id": line_id, "quantity": quantity}));
    json!({
        "id": parcel.id,
        "lines": lines.collect::<Vec<_>>(),
        "carrier": said(&parcel.tracking.carrier),
        "number": said(&parcel.tracking.number),
        "url": parcel.tracking.url,
        "at": parcel.at,
    })
}
