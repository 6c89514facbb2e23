//! All that the shop holds on a person, as JSON.

use serde_json::{Value, json};

use crate::app::App;
use crate::id::{OrderId, UserId};
use crate::orders::store::BY_USER;
use crate::payments::{self, PaymentError};
use crate::store::{ReadTx, Reads};
use crate::{accounts, cart, orders, reviews, wishlist};

/// `base` is what links begin with.
pub fn export(app: &App, tx: &ReadTx, id: UserId, base: &str) -> Result<Value, PaymentError> {
    let mut all = Vec::new();
    for order in BY_USER.all(tx, &id)? {
        all.push(of_order(app, tx, order, base)?);
    }
    Ok(json!({
        "exported_at": tx.now(),
        "user": accounts::view(id, accounts::get(tx, id)?),
        "sessions": accounts::sessions(tx, id)?,
        "cart": cart::get(tx, id)?.lines,
        "orders": all,
        "reviews": reviews::own(tx, id)?,
        "wishlist": wishlist::all(tx, id)?,
    }))
}

fn of_order(app: &App, tx: &ReadTx, id: OrderId, base: &str) -> Result<Value, PaymentError> {
    let order = orders::get(tx, id)?;
    let (invoice, notes) = match orders::invoice_of(tx, id) {
        Ok((number, invoice)) => {
            let notes = orders::credit_notes(tx, id)?;
            let notes = notes.iter().map(|(number, note)| note.json(*number, &invoice)).collect();
            (invoice.json(number), notes)
        }
        Err(orders::OrderError::InvoiceNotReady) => (Value::Null, Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut shown = json!(orders::http::view(app, base, tx, id, order)?);
    shown["invoice"] = invoice;
    shown["credit_notes"] = notes.into();
    let payments = payments::of_order(tx, id)?.into_iter();
    let payments = payments.map(|(id, payment)| payments::admin::view(tx, id, &payment));
    shown["payments"] = payments.collect::<Result<Vec<_>, _>>()?.into();
    Ok(shown)
}
