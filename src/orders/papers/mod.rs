//! Papers: what invoices and credit notes say to a person, in what order. As a page and as a PDF they say the same.

mod html;
pub mod http;
mod layout;
mod pdf;
#[cfg(test)]
pub mod tests;
mod typeset;

use super::credit::{self, CreditNote, Credited};
use super::invoice::{self, Invoice, Seller};
use crate::address::Address;
use crate::clock::Time;
use crate::id::{CreditNoteId, InvoiceId};
use crate::money::{Currency, Money};

/// What a paper says.
pub struct Paper {
    /// What kind of paper it is.
    title: &'static str,
    number: String,
    issued_at: Time,
    /// What else it is about, such as its order.
    facts: Vec<String>,
    seller: Seller,
    /// Names and addresses, each under a heading.
    parties: Vec<(&'static str, Vec<String>)>,
    currency: Currency,
    rows: Vec<Row>,
    /// What leads to the total.
    sums: Vec<(String, String)>,
    total: (&'static str, Money),
    /// Sentences under the total, each on a line of its own.
    closing: Vec<String>,
}

/// A row of a paper's table.
struct Row {
    name: String,
    /// Small, under the name.
    details: String,
    units: Option<u32>,
    /// Of one unit.
    price: Option<Money>,
    amount: Money,
}

/// An invoice as a PDF: A4, with its fonts in it. The same invoice makes the same bytes.
pub fn invoice_pdf(id: InvoiceId, invoice: &Invoice) -> Vec<u8> {
    Paper::of_invoice(id, invoice).pdf()
}

impl Paper {
    pub fn of_invoice(id: InvoiceId, invoice: &Invoice) -> Paper {
        let mut sums = vec![("Subtotal".to_owned(), invoice.subtotal.to_string())];
        let discount = match &invoice.coupon_code {
            Some(code) => format!("Discount ({code})"),
            None => "Discount".to_owned(),
        };
        for (name, amount, sign) in [
            (discount.as_str(), invoice.discount, "−"),
            ("Shipping", invoice.shipping, ""),
            ("Tax", invoice.tax, ""),
        ] {
            if !amount.is_zero() {
                sums.push((name.to_owned(), format!("{sign}{amount}")));
            }
        }
        let method = match invoice.payment_method.as_str() {
            "test" => "by the test gateway, with no money at all",
            other => other,
        };
        Paper {
            title: "Invoice",
            number: invoice::number(id),
            issued_at: invoice.issued_at,
            facts: vec![format!("Order {}", invoice.order_number)],
            seller: invoice.seller.clone(),
            parties: vec![
                ("Billed to", address(&invoice.billing_address, &invoice.email)),
                ("Shipped to", address(&invoice.shipping_address, "")),
            ],
            currency: invoice.total.currency,
            rows: invoice.lines.iter().map(Row::of).collect(),
            sums,
            total: ("Total", invoice.total),
            closing: vec![format!("Paid in full: {method}. Thank you.")],
        }
    }
}

impl Paper {
    /// A credit note, or the correction of one. `invoice` is the one that it is about.
    pub fn of_credit_note(id: CreditNoteId, note: &CreditNote, invoice: &Invoice) -> Paper {
        let currency = note.amount.currency;
        let money = |minor: i64| Money { minor, currency };
        let net = money(note.amount.minor - note.tax.map_or(0, |tax| tax.minor));
        let row = |one: &Credited| {
            let line = invoice.lines.iter().find(|line| line.id == one.line)?;
            Some(Row { units: Some(one.units), price: None, amount: one.net, ..Row::of(line) })
        };
        let mut rows: Vec<_> = note.lines.iter().filter_map(row).collect();
        let rest = money(net.minor - note.lines.iter().map(|one| one.net.minor).sum::<i64>());
        if rows.is_empty() {
            rows.push(Row::plain("Refund", rest));
        } else if !rest.is_zero() {
            rows.push(Row::plain(if rest == invoice.shipping { "Shipping" } else { "Adjustment" }, rest));
        }
        let mut sums = Vec::new();
        if let Some(tax) = note.tax.filter(|tax| !tax.is_zero()) {
            sums.extend([("Net".to_owned(), net.to_string()), ("Tax".to_owned(), tax.to_string())]);
        }
        let mut facts = vec![
            format!("Invoice {}", invoice::number(note.invoice)),
            format!("Order {}", invoice.order_number),
        ];
        let mut closing = Vec::new();
        let title = if let Some(wrong) = note.corrects {
            let wrong = credit::number(wrong);
            closing.push(format!(
                "The money of credit note {wrong} did not arrive and came back. That note is reversed by this paper and \
                 counts no more."
            ));
            facts.insert(0, format!("Reverses {wrong}"));
            "Correction"
        } else {
            if !note.reason.is_empty() {
                closing.push(format!("Reason: {}", note.reason));
            }
            closing.push("The total was given back to you.".into());
            "Credit note"
        };
        Paper {
            title,
            number: credit::number(id),
            issued_at: note.at,
            facts,
            seller: invoice.seller.clone(),
            parties: vec![("Issued to", address(&invoice.billing_address, &invoice.email))],
            currency,
            rows,
            sums,
            total: (if note.is_correction() { "Total reversed" } else { "Total credited" }, note.amount),
            closing,
        }
    }

    fn has_units(&self) -> bool {
        self.rows.iter().any(|row| row.units.is_some())
    }

    fn has_prices(&self) -> bool {
        self.rows.iter().any(|row| row.price.is_some())
    }
}

impl Row {
    fn of(line: &super::model::OrderLine) -> Row {
        let options = line.options.iter().map(|choice| format!("{}: {}", choice.option, choice.value));
        let mut details = options.collect::<Vec<_>>().join(", ");
        if let Some(sku) = &line.sku {
            let lead = if details.is_empty() { "" } else { " · " };
            details.push_str(&format!("{lead}SKU {sku}"));
        }
        Row {
            name: line.name.clone(),
            details,
            units: Some(line.quantity),
            price: Some(line.unit_price),
            amount: line.total,
        }
    }

    /// What is no line's.
    fn plain(name: &str, amount: Money) -> Row {
        Row { name: name.to_owned(), details: String::new(), units: None, price: None, amount }
    }
}

/// The lines of an envelope, and the e-mail address.
fn address(address: &Address, email: &str) -> Vec<String> {
    let city = format!("{} {}", address.postal_code, address.city);
    let lines = [&address.name, &address.line1, &address.line2, &city, &address.region, &address.country];
    filled(lines.into_iter().map(String::as_str).chain([email]))
}

/// Those lines that are not empty.
fn filled<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    lines.map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}
