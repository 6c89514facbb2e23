//! The acts of orders. Those that are payments' or checkout's to decide are called by them.

use super::credit::{self, CreditNote};
use super::invoice::{Invoice, Seller};
use super::lifecycle::{Event, Status};
use super::model::{Moved, NewOrder, Order, OrderError, PaymentStatus, RefundNote};
use super::store::{BOUGHT, CREDIT_NOTES, INVOICE_OF, INVOICES, NOTES_OF, ORDERS};
use crate::clock::Time;
use crate::id::{CreditNoteId, InvoiceId, OrderId, ProductId, RefundId, UserId};
use crate::inventory::{self, Cause, Want};
use crate::money::Money;
use crate::outbox;
use crate::promotions;
use crate::store::{Reads, StoreError, WriteTx};

/// The first order's number is the one after this.
const NUMBERS_FROM: u64 = 1000;

pub fn get(tx: &impl Reads, id: OrderId) -> Result<Order, OrderError> {
    ORDERS.get(tx, &id)?.ok_or(OrderError::NotFound)
}

/// Whether an order of the user's that is paid and not cancelled has this product in it.
pub fn has_bought(tx: &impl Reads, user: UserId, product: ProductId) -> Result<bool, StoreError> {
    Ok(!BOUGHT.all(tx, &(user, product))?.is_empty())
}

/// The stock that lines of an order took and still hold.
pub fn wants(order: &Order) -> Vec<Want> {
    let held = order
        .lines
        .iter()
        .map(|line| Want { variant: line.variant, quantity: line.quantity - line.restocked });
    held.filter(|want| want.quantity > 0).collect()
}

/// Writes the order down, under an id that the caller took the stock for.
pub fn place(tx: &mut WriteTx, id: OrderId, new: NewOrder) -> Result<Order, StoreError> {
    let now = tx.now();
    let order = Order {
        number: (NUMBERS_FROM + id.0).to_string(),
        user: new.user,
        email: new.email,
        status: Status::Pending,
        payment_status: PaymentStatus::Unpaid,
        lines: new.lines,
        subtotal: new.subtotal,
        discount: new.discount,
        shipping: new.shipping,
        tax: new.tax,
        total: new.total,
        coupon_code: new.coupon_code,
        shipping_address: new.shipping_address,
        billing_address: new.billing_address,
        note: new.note,
        fulfilments: Vec::new(),
        refunds: Vec::new(),
        history: vec![Moved { status: Status::Pending, at: now, by: "customer".into(), note: String::new() }],
        hold_until: Some(new.hold_until),
        hold_extended: false,
        paid_at: None,
        created_at: now,
        updated_at: now,
    };
    ORDERS.put(tx, &id, &order)?;
    outbox::post(tx, outbox::Cause::OrderReceived(id))?;
    Ok(order)
}

/// Moves the status along an edge of its machine, and writes down who did it.
pub(super) fn step(
    order: &mut Order,
    event: Event,
    now: Time,
    by: &str,
    note: &str,
) -> Result<(), OrderError> {
    let status = order.status.after(event).ok_or(OrderError::InvalidTransition(order.status, event))?;
    order.status = status;
    order.history.push(Moved { status, at: now, by: by.to_owned(), note: note.to_owned() });
    Ok(())
}

pub(super) fn save(tx: &mut WriteTx, id: OrderId, order: &mut Order) -> Result<(), StoreError> {
    order.updated_at = tx.now();
    ORDERS.put(tx, &id, order)
}

/// The order was paid for in full: it goes to processing, and gets its invoice, in this commit.
pub fn record_paid(
    tx: &mut WriteTx,
    id: OrderId,
    method: &str,
    by: &str,
    seller: &Seller,
) -> Result<(), OrderError> {
    let mut order = get(tx, id)?;
    step(&mut order, Event::Pay, tx.now(), by, "")?;
    order.hold_until = None;
    order.paid_at = Some(tx.now());
    save(tx, id, &mut order)?;
    let invoice = InvoiceId(tx.next_number("invoices")?);
    INVOICES.put(tx, &invoice, &Invoice::of(id, &order, method, seller, tx.now()))?;
    Ok(outbox::post(tx, outbox::Cause::OrderPaid(id))?)
}

/// Cancels the order, puts back on the shelf what it holds, and gives back the use of its coupon.
pub fn cancel(tx: &mut WriteTx, id: OrderId, by: &str, note: &str) -> Result<(), OrderError> {
    let mut order = get(tx, id)?;
    step(&mut order, Event::Cancel, tx.now(), by, note)?;
    order.hold_until = None;
    let held = wants(&order);
    save(tx, id, &mut order)?;
    if let Some(code) = &order.coupon_code {
        promotions::give_back(tx, code, order.user)?;
    }
    outbox::post(tx, outbox::Cause::OrderCancelled(id))?;
    Ok(inventory::give_back(tx, &held, &Cause::Cancellation(id), by)?)
}

/// Keeps the stock of an unpaid order until `until`.
pub fn hold_until(tx: &mut WriteTx, id: OrderId, until: Time) -> Result<(), OrderError> {
    let mut order = get(tx, id)?;
    if order.hold_until.is_none_or(|now| until <= now) {
        return Ok(());
    }
    order.hold_until = Some(until);
    Ok(save(tx, id, &mut order)?)
}

/// [`hold_until`], for a customer who is at their bank: once per order.
pub fn extend_hold(tx: &mut WriteTx, id: OrderId, until: Time) -> Result<(), OrderError> {
    let mut order = get(tx, id)?;
    if order.hold_extended {
        return Ok(());
    }
    order.hold_extended = true;
    order.hold_until = order.hold_until.map(|now| now.max(until));
    Ok(save(tx, id, &mut order)?)
}

/// Takes note of what the order's payments and refunds add up to.
pub fn note_payment_status(tx: &mut WriteTx, id: OrderId, status: PaymentStatus) -> Result<(), OrderError> {
    let mut order = get(tx, id)?;
    if order.payment_status == status {
        return Ok(());
    }
    order.payment_status = status;
    Ok(save(tx, id, &mut order)?)
}

/// Takes note of a refund, or of what became of it.
pub fn note_refund(tx: &mut WriteTx, id: OrderId, note: RefundNote) -> Result<(), OrderError> {
    let mut order = get(tx, id)?;
    match order.refunds.iter_mut().find(|known| known.id == note.id) {
        Some(known) => *known = note,
        None => order.refunds.push(note),
    }
    Ok(save(tx, id, &mut order)?)
}

pub fn set_note(tx: &mut WriteTx, id: OrderId, note: &str) -> Result<(), OrderError> {
    let mut order = get(tx, id)?;
    // Nobody would take out of it again what it says of them.
    if order.email.is_nobodys() {
        return Err(OrderError::Erased);
    }
    note.clone_into(&mut order.note);
    Ok(save(tx, id, &mut order)?)
}

/// The invoice of a paid order.
pub fn invoice(tx: &impl Reads, id: OrderId) -> Result<(InvoiceId, Invoice), OrderError> {
    let number = INVOICE_OF.find(tx, &id)?.ok_or(OrderError::InvoiceNotReady)?;
    Ok((number, INVOICES.expect(tx, &number)?))
}

/// The credit notes of an order and their corrections, oldest first.
pub fn credit_notes(tx: &impl Reads, id: OrderId) -> Result<Vec<(CreditNoteId, CreditNote)>, StoreError> {
    let numbers = NOTES_OF.all(tx, &id)?.into_iter();
    numbers.map(|number| Ok((number, CREDIT_NOTES.expect(tx, &number)?))).collect()
}

/// Money that goes back with a refund.
pub struct Crediting<'a> {
    pub refund: RefundId,
    pub amount: Money,
    /// Line ids and units that it is for; none: an amount.
    pub lines: &'a [(u64, u32)],
    pub reason: &'a str,
}

/// Writes the credit note of a refund that succeeded, once. Money that was never invoiced has none.
pub fn credit(tx: &mut WriteTx, id: OrderId, what: &Crediting<'_>) -> Result<(), OrderError> {
    let Some(number) = INVOICE_OF.find(tx, &id)? else { return Ok(()) };
    let notes = credit_notes(tx, id)?;
    if credit::live(&notes, what.refund).is_some() {
        return Ok(());
    }
    let (lines, tax) = credit::split(&INVOICES.expect(tx, &number)?, &notes, what.amount, what.lines);
    let note = CreditNote {
        order: id,
        invoice: number,
        refund: what.refund,
        amount: what.amount,
        tax: Some(tax),
        lines,
        reason: what.reason.to_owned(),
        at: tx.now(),
        corrects: None,
    };
    let number = CreditNoteId(tx.next_number("credit_notes")?);
    Ok(CREDIT_NOTES.put(tx, &number, &note)?)
}

/// Takes back the credit note of a refund that failed after it had succeeded, if it has one, by a paper of its own.
pub fn uncredit(tx: &mut WriteTx, id: OrderId, refund: RefundId) -> Result<(), OrderError> {
    let notes = credit_notes(tx, id)?;
    let Some((wrong, note)) = credit::live(&notes, refund) else { return Ok(()) };
    let correction = CreditNote { at: tx.now(), corrects: Some(*wrong), ..note.clone() };
    let number = CreditNoteId(tx.next_number("credit_notes")?);
    Ok(CREDIT_NOTES.put(tx, &number, &correction)?)
}
