//! Tables of orders.

use super::credit::CreditNote;
use super::invoice::Invoice;
use super::lifecycle::Status;
use super::model::Order;
use super::old::{CreditNoteV1, InvoiceV1, OrderV1};
use crate::clock::Time;
use crate::id::{CreditNoteId, InvoiceId, OrderId, ProductId, UserId};
use crate::store::{Index, Table, record};

record!(Order as StoredOrder: V2, was V1(OrderV1));
record!(Invoice as StoredInvoice: V2, was V1(InvoiceV1));
record!(CreditNote as StoredCreditNote: V2, was V1(CreditNoteV1));

pub static BY_USER: Index<OrderId, Order, UserId> = Index::list("orders.by_user", |order| vec![order.user]);
pub static BY_EMAIL: Index<OrderId, Order, String> =
    Index::list("orders.by_email", |order| vec![order.email.as_str().to_owned()]);
pub static BY_STATUS: Index<OrderId, Order, String> =
    Index::list("orders.by_status", |order| vec![order.status.as_str().to_owned()]);
pub static BY_PAYMENT_STATUS: Index<OrderId, Order, String> =
    Index::list("orders.by_payment_status", |order| vec![order.payment_status.as_str().to_owned()]);
/// Unpaid orders by the end of their hold.
pub static BY_HOLD: Index<OrderId, Order, Time> =
    Index::list("orders.by_hold", |order| order.hold_until.into_iter().collect());
/// Orders that are paid and not cancelled, by whose they are and what is in them.
pub static BOUGHT: Index<OrderId, Order, (UserId, ProductId)> = Index::list("orders.bought", |order| {
    if order.paid_at.is_none() || order.status == Status::Cancelled {
        return vec![];
    }
    let mut bought: Vec<_> = order.lines.iter().map(|line| (order.user, line.product)).collect();
    bought.sort_unstable();
    bought.dedup();
    bought
});
pub static ORDERS: Table<OrderId, Order> =
    Table::new("orders", &[&BY_USER, &BY_EMAIL, &BY_STATUS, &BY_PAYMENT_STATUS, &BY_HOLD, &BOUGHT]);

/// By their number, which counts from 1.
pub static INVOICE_OF: Index<InvoiceId, Invoice, OrderId> =
    Index::unique("invoices.by_order", |invoice| vec![invoice.order]);
pub static INVOICES: Table<InvoiceId, Invoice> = Table::new("invoices", &[&INVOICE_OF]);

pub static NOTES_OF: Index<CreditNoteId, CreditNote, OrderId> =
    Index::list("credit_notes.of_order", |note| vec![note.order]);
/// By their number, which counts from 1 over notes and corrections.
pub static CREDIT_NOTES: Table<CreditNoteId, CreditNote> = Table::new("credit_notes", &[&NOTES_OF]);
