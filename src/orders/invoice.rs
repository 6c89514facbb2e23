//! Invoices and credit notes: what they say, and how they look.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::model::{Order, OrderLine};
use crate::address::Address;
use crate::clock::Time;
use crate::id::{InvoiceId, OrderId, RefundId};
use crate::money::Money;
use crate::promotions::Code;

/// Who sells, as invoices name them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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

/// Money that was invoiced and given back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CreditNote {
    pub order: OrderId,
    pub invoice: InvoiceId,
    pub refund: RefundId,
    pub amount: Money,
    pub reason: String,
    pub at: Time,
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

    pub fn json(&self, id: InvoiceId) -> serde_json::Value {
        let lines: Vec<_> = self.lines.iter().map(super::view::line).collect();
        serde_json::json!({
            "number": number(id),
            "order_id": self.order,
            "order_number": self.order_number,
            "issued_at": self.issued_at,
            "seller": self.seller,
            "email": self.email,
            "billing_address": self.billing_address,
            "shipping_address": self.shipping_address,
            "items": lines,
            "subtotal": self.subtotal,
            "discount": self.discount,
            "coupon_code": self.coupon_code,
            "shipping": self.shipping,
            "tax": self.tax,
            "total_price": self.total,
            "currency": self.total.currency,
            "payment_method": self.payment_method,
        })
    }

    /// A page that prints well on A4 and Letter, and needs nothing from elsewhere.
    pub fn html(&self, id: InvoiceId) -> String {
        let mut rows = String::new();
        for line in &self.lines {
            let options: Vec<_> = line.options.iter().map(|c| format!("{}: {}", c.option, c.value)).collect();
            let mut small = options.join(", ");
            if let Some(sku) = &line.sku {
                let lead = if small.is_empty() { "" } else { " · " };
                let _ = write!(small, "{lead}SKU {sku}");
            }
            let _ = write!(
                rows,
                "<tr><td>{}<small>{}</small></td><td>{}</td><td>{}</td><td>{}</td></tr>",
                escape(&line.name),
                escape(&small),
                line.quantity,
                line.unit_price,
                line.total
            );
        }
        let mut sums = format!("<tr><th>Subtotal</th><td>{}</td></tr>", self.subtotal);
        let discount = match &self.coupon_code {
            Some(code) => format!("Discount ({code})"),
            None => "Discount".to_owned(),
        };
        for (name, amount, sign) in
            [(discount.as_str(), self.discount, "−"), ("Shipping", self.shipping, ""), ("Tax", self.tax, "")]
        {
            if !amount.is_zero() {
                let _ = write!(sums, "<tr><th>{name}</th><td>{sign}{amount}</td></tr>");
            }
        }
        let method = match self.payment_method.as_str() {
            "test" => "by the test gateway, with no money at all",
            other => other,
        };
        let currency = self.total.currency;
        let _ = write!(sums, "<tr class=\"total\"><th>Total</th><td>{} {currency}</td></tr>", self.total);
        PAGE.replace("{number}", &number(id))
            .replace("{date}", &self.issued_at.date())
            .replace("{order}", &escape(&self.order_number))
            .replace("{method}", &escape(method))
            .replace("{currency}", currency.code())
            .replace("{seller}", &escape(&self.seller.name))
            .replace("{seller_address}", &lines_of(self.seller.address.lines()))
            .replace("{billing}", &address(&self.billing_address, &self.email))
            .replace("{shipping}", &address(&self.shipping_address, ""))
            .replace("{sums}", &sums)
            // Last, because these hold what customers wrote.
            .replace("{rows}", &rows)
    }
}

const PAGE: &str = include_str!("invoice.html");

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // So that nobody's text is taken for a place in the template.
            '{' => out.push_str("&#123;"),
            _ => out.push(c),
        }
    }
    out
}

fn lines_of<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.map(str::trim).filter(|line| !line.is_empty()).map(escape).collect::<Vec<_>>().join("<br>")
}

fn address(address: &Address, email: &str) -> String {
    let city = format!("{} {}", address.postal_code, address.city);
    let lines = [&address.name, &address.line1, &address.line2, &city, &address.region, &address.country];
    lines_of(lines.into_iter().map(String::as_str).chain([email]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_customers_wrote_is_never_markup() {
        assert_eq!(escape("<b>{rows}&\"'"), "&lt;b&gt;&#123;rows}&amp;&quot;&#39;");
    }
}
