//! All that the shop holds on a person, as JSON.

use serde_json::{Value, json};

use super::dealings;
use crate::app::App;
use crate::id::{MailId, OrderId, UserId};
use crate::outbox::store::MAILS;
use crate::payments::{self, PaymentError};
use crate::store::{ReadTx, Reads, StoreError};
use crate::{accounts, cart, orders, outbox, reviews, wishlist};

/// `base` is what links begin with.
pub fn export(app: &App, tx: &ReadTx, id: UserId, base: &str) -> Result<Value, PaymentError> {
    let theirs = dealings::of(tx, id)?;
    let mut all = Vec::new();
    for order in &theirs.orders {
        all.push(of_order(app, tx, *order, base)?);
    }
    let mut mails = outbox::to(tx, &theirs)?;
    mails.sort_unstable();
    let mails = mails.into_iter().map(|mail| of_mail(tx, mail)).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({
        "exported_at": tx.now(),
        "user": accounts::view(id, accounts::get(tx, id)?),
        "sessions": accounts::sessions(tx, id)?,
        "cart": cart::get(tx, id)?.lines,
        "orders": all,
        "reviews": reviews::own(tx, id)?,
        "wishlist": wishlist::all(tx, id)?,
        "mails": mails,
    }))
}

fn of_mail(tx: &ReadTx, id: MailId) -> Result<Value, StoreError> {
    let mail = MAILS.expect(tx, &id)?;
    Ok(json!({"kind": mail.cause.kind(), "state": mail.state, "created_at": mail.created_at}))
}

fn of_order(app: &App, tx: &ReadTx, id: OrderId, base: &str) -> Result<Value, PaymentError> {
    let order = orders::get(tx, id)?;
    let (invoice, notes) = match orders::invoice_of(tx, id) {
        Ok((number, invoice)) => {
            let notes = orders::credit_notes(tx, id)?;
            let notes = notes.iter().map(|(number, note)| json!(note.view(*number, &invoice))).collect();
            (json!(invoice.view(number)), notes)
        }
        Err(orders::OrderError::InvoiceNotReady) => (Value::Null, Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut shown = json!(orders::http::view(app, base, tx, id, order)?);
    shown["invoice"] = invoice;
    shown["credit_notes"] = notes.into();
    let payments = payments::of_order(tx, id)?.into_iter();
    let payments = payments.map(|(id, payment)| Ok(json!(payments::admin_view(tx, id, &payment)?)));
    shown["payments"] = payments.collect::<Result<Vec<_>, StoreError>>()?.into();
    Ok(shown)
}
