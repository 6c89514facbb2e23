//! Invoices: what they say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{Order, OrderLine};
use super::view::LineView;
use crate::address::Address;
use crate::clock::Time;
use crate::id::{InvoiceId, OrderId};
use crate::money::{Currency, Money};
use crate::promotions::Code;

/// Who sells, as invoices name them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Seller {
    pub name: String,
    /// Lines of text: address, tax number, bank.
    pub address: String,
}

/// What an invoice says. It is a copy, and never changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Invoice {
    pub order: OrderId,
    pub order_number: String,
    pub issued_at: Time,
    pub seller: Seller,
    pub email: String,
    pub billing_address: Address,
    pub shipping_address: Address,
    pub lines: Vec<OrderLine>,
    pub subtotal: Money,
    pub discount: Money,
    /// What the discount was given for.
    pub coupon_code: Option<Code>,
    pub shipping: Money,
    pub tax: Money,
    pub total: Money,
    /// How it was paid: a provider, cash, transfer, or nothing to pay.
    pub payment_method: String,
}

/// An invoice's number as it is printed.
pub fn number(id: InvoiceId) -> String {
    format!("INV-{:06}", id.0)
}

impl Invoice {
    pub fn of(id: OrderId, order: &Order, method: &str, seller: &Seller, now: Time) -> Invoice {
        Invoice {
            order: id,
            order_number: order.number.clone(),
            issued_at: now,
            seller: seller.clone(),
            email: order.email.to_string(),
            billing_address: order.billing_address.clone().unwrap_or_else(|| order.shipping_address.clone()),
            shipping_address: order.shipping_address.clone(),
            lines: order.lines.clone(),
            subtotal: order.subtotal,
            discount: order.discount,
            coupon_code: order.coupon_code.clone(),
            shipping: order.shipping,
            tax: order.tax,
            total: order.total,
            payment_method: method.to_owned(),
        }
    }

    pub fn view(&self, id: InvoiceId) -> InvoiceView {
        InvoiceView {
            number: number(id),
            order_id: self.order,
            order_number: self.order_number.clone(),
            issued_at: self.issued_at,
            seller: self.seller.clone(),
            email: self.email.clone(),
            billing_address: self.billing_address.clone(),
            shipping_address: self.shipping_address.clone(),
            items: self.lines.iter().map(LineView::of).collect(),
            subtotal: self.subtotal,
            discount: self.discount,
            coupon_code: self.coupon_code.clone(),
            shipping: self.shipping,
            tax: self.tax,
            total_price: self.total,
            currency: self.total.currency,
            payment_method: self.payment_method.clone(),
        }
    }
}

/// The invoice of an order, as it was when the order was paid.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Invoice")]
pub struct InvoiceView {
    /// Without gaps.
    number: String,
    order_id: OrderId,
    order_number: String,
    issued_at: Time,
    seller: Seller,
    email: String,
    billing_address: Address,
    shipping_address: Address,
    items: Vec<LineView>,
    /// Of all lines, before the discount.
    subtotal: Money,
    discount: Money,
    /// What the discount was given for.
    coupon_code: Option<Code>,
    shipping: Money,
    tax: Money,
    total_price: Money,
    currency: Currency,
    /// A provider, cash, transfer, or nothing to pay.
    payment_method: String,
}
