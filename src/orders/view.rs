//! Orders as JSON.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::carriers::Carriers;
use super::credit::Kind;
use super::lifecycle::Status;
use super::model::{Fulfilment, Moved, Order, OrderLine, PaymentStatus, RefundNote, RefundStatus, Tracking};
use crate::accounts::Email;
use crate::address::Address;
use crate::clock::Time;
use crate::id::{OrderId, ProductId, RefundId, UserId, VariantId};
use crate::money::{AnyMoney, Currency, Money};
use crate::promotions::Code;

/// An order, at the prices at which it was placed.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Order")]
pub struct OrderView {
    id: OrderId,
    /// What customers call it.
    number: String,
    user_id: UserId,
    email: Email,
    status: Status,
    /// What its payments and refunds come to.
    payment_status: PaymentStatus,
    items: Vec<LineView>,
    /// Of all lines, before the discount.
    subtotal: Money,
    discount: Money,
    shipping: Money,
    tax: Money,
    total_price: Money,
    currency: Currency,
    /// What took the discount off.
    coupon_code: Option<Code>,
    shipping_address: Address,
    /// Null where it is the same as the shipping address.
    billing_address: Option<Address>,
    /// The customer's, or the shop's.
    note: String,
    /// Of the newest parcel; null where nobody said how it is sent.
    tracking: Option<Tracking>,
    /// The parcels, oldest first.
    fulfilments: Vec<ParcelView>,
    /// Oldest first.
    refunds: Vec<RefundView>,
    /// A link that a browser can open for 24 hours; null until the order is paid.
    invoice_url: Option<String>,
    /// Each move of the status, oldest first.
    history: Vec<Moved>,
    /// Until when an unpaid order keeps its stock; null for others.
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
        notes: &[(RefundId, NoteLink)],
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
            items: order.lines.iter().map(LineView::of).collect(),
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
            fulfilments: order.fulfilments.into_iter().map(ParcelView::of).collect(),
            refunds: order.refunds.into_iter().map(|one| RefundView::of(one, notes)).collect(),
            invoice_url,
            history: order.history,
            hold_expires_at: order.hold_until,
            paid_at: order.paid_at,
            created_at: order.created_at,
            updated_at: order.updated_at,
        }
    }
}

/// A line of an order.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OrderItem")]
pub struct LineView {
    /// From 1, within the order.
    id: u64,
    product_id: ProductId,
    variant_id: VariantId,
    sku: Option<String>,
    name: String,
    /// What was chosen, by option.
    options: BTreeMap<String, String>,
    unit_price: Money,
    quantity: u32,
    /// Before the discount.
    total_price: Money,
    /// Its share of what the coupon took off.
    discount: Money,
}

impl LineView {
    pub fn of(line: &OrderLine) -> LineView {
        let choices = line.options.iter();
        LineView {
            id: line.id,
            product_id: line.product,
            variant_id: line.variant,
            sku: line.sku.clone(),
            name: line.name.clone(),
            options: choices.map(|choice| (choice.option.clone(), choice.value.clone())).collect(),
            unit_price: line.unit_price,
            quantity: line.quantity,
            total_price: line.total,
            discount: line.discount,
        }
    }
}

/// A refund, with the papers about it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OrderRefund")]
struct RefundView {
    id: RefundId,
    /// In the currency that was taken, where that was not the order's.
    #[schemars(with = "AnyMoney")]
    amount: Money,
    status: RefundStatus,
    reason: String,
    at: Time,
    /// None until it succeeded, and for money that was never invoiced.
    credit_notes: Vec<NoteLink>,
}

impl RefundView {
    fn of(refund: RefundNote, notes: &[(RefundId, NoteLink)]) -> RefundView {
        let own = notes.iter().filter(|(id, _)| *id == refund.id).map(|(_, note)| note.clone());
        RefundView {
            id: refund.id,
            amount: refund.amount,
            status: refund.status,
            reason: refund.reason,
            at: refund.at,
            credit_notes: own.collect(),
        }
    }
}

/// A credit note, and where it is.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "CreditNoteLink")]
pub struct NoteLink {
    pub number: String,
    pub kind: Kind,
    /// A link that a browser can open for 24 hours.
    pub url: String,
}

/// Null where nobody said anything.
pub fn said(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// A parcel.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Fulfilment")]
struct ParcelView {
    /// From 1, within the order.
    id: u64,
    lines: Vec<ParcelLine>,
    /// Null where nobody said how it is sent.
    carrier: Option<String>,
    number: Option<String>,
    /// Where it can be followed; null for a carrier that the shop doesn't know.
    url: Option<String>,
    at: Time,
}

/// Units of a line of the order.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FulfilmentLine")]
struct ParcelLine {
    line_id: u64,
    quantity: u32,
}

impl ParcelView {
    fn of(parcel: Fulfilment) -> ParcelView {
        let lines = parcel.lines.into_iter();
        ParcelView {
            id: parcel.id,
            lines: lines.map(|(line_id, quantity)| ParcelLine { line_id, quantity }).collect(),
            carrier: said(parcel.tracking.carrier),
            number: said(parcel.tracking.number),
            url: parcel.tracking.url,
            at: parcel.at,
        }
    }
}
