//! Erasing a person.

use std::sync::Arc;

use serde_json::{Value, json};

use super::dealings;
use super::store::{ERASURES, Erasure, UNFINISHED};
use crate::accounts::{self, AccountError};
use crate::app::App;
use crate::http::Stored;
use crate::id::{OrderId, UserId};
use crate::orders::{self, Status};
use crate::payments::{self, PaymentError};
use crate::store::{Reads, StoreError, WriteTx, answers_with, forget_answers_of, replace_answer};
use crate::telemetry::aside;
use crate::{audit, cart, outbox, reviews, wishlist};

/// Why a person can't be erased now.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    #[error("Order {}: {said}; erase the account when that is over.", some(orders))]
    Live { said: &'static str, orders: Vec<OrderId> },
    #[error("{0}")]
    Account(#[from] AccountError),
    #[error("{0}")]
    Payment(#[from] PaymentError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The first few, for people.
fn some(orders: &[OrderId]) -> String {
    let shown: Vec<_> = orders.iter().take(5).map(ToString::to_string).collect();
    let more = orders.len().saturating_sub(5);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

impl From<orders::OrderError> for EraseError {
    fn from(error: orders::OrderError) -> EraseError {
        EraseError::Payment(error.into())
    }
}

/// Refuses while an order is under way, or money.
fn may_erase(tx: &impl Reads, all: &[OrderId]) -> Result<(), EraseError> {
    let (mut orders, mut money) = (Vec::new(), Vec::new());
    for id in all {
        let order = orders::get(tx, *id)?;
        // One whose money went back before it was sent is over, whatever it is called.
        let is_to_send = order.status == Status::Processing && !order.to_send().is_empty();
        if order.status == Status::Pending || is_to_send {
            orders.push(*id);
        } else if payments::is_under_way(tx, *id)? {
            money.push(*id);
        }
    }
    if !orders.is_empty() {
        return Err(EraseError::Live { said: "it is to be paid or sent", orders });
    }
    if !money.is_empty() {
        return Err(EraseError::Live {
            said: "a payment, a refund or a dispute is under way",
            orders: money,
        });
    }
    Ok(())
}

/// Takes the person out of everything but invoices and credit notes. What is stored under idempotency keys follows
/// in commits of its own; see [`finish`].
///
/// # Errors
/// [`EraseError::Live`] while an order, payment, refund or dispute is under way; [`AccountError::LastAdmin`] for the
/// last administrator; [`AccountError::NotFound`] for one who is erased already.
pub fn erase(tx: &mut WriteTx, id: UserId, by: &str) -> Result<(), EraseError> {
    let user = accounts::get(tx, id)?;
    if ERASURES.get(tx, &id)?.is_some() {
        return Err(AccountError::NotFound.into());
    }
    let theirs = dealings::of(tx, id)?;
    may_erase(tx, &theirs.orders)?;

    accounts::erase(tx, id)?;
    cart::clear(tx, id)?;
    wishlist::forget(tx, id)?;
    reviews::erase(tx, id)?;
    for order in &theirs.orders {
        orders::erase(tx, *order)?;
        payments::erase(tx, *order)?;
    }
    outbox::scrub(tx, &theirs)?;
    for subject in dealings::subjects(&theirs) {
        audit::scrub(tx, &subject)?;
    }
    audit::note(tx, by, "user.erase", &format!("user:{id}"), Value::Null, Value::Null)?;
    let erasure = Erasure { at: tx.now(), by: by.to_owned(), address: Some(user.email.to_string()) };
    Ok(ERASURES.put(tx, &id, &erasure)?)
}

/// Takes erased persons out of the answers that are stored under idempotency keys: their own are forgotten, and in
/// those of others stands that it was so. It is done apart, and off the writer, because it reads all of them.
pub async fn finish(app: &App) -> Result<(), StoreError> {
    for id in app.store.read(|tx| UNFINISHED.all(tx, &0))? {
        let erasure = app.store.read(|tx| ERASURES.expect(tx, &id))?;
        // As it stands in JSON.
        let address = json!(erasure.address).to_string();
        let store = Arc::clone(&app.store);
        let found = move || store.read(|tx| answers_with(tx, address.as_bytes()));
        let found = aside(found).await.map_err(|_| StoreError::Unavailable)??;
        for scope in found {
            app.store.write(move |tx| replace_answer(tx, &scope, Stored::erased)).await?;
        }
        app.store
            .write(move |tx| {
                forget_answers_of(tx, &id.to_string())?;
                ERASURES.put(tx, &id, &Erasure { address: None, ..erasure.clone() })
            })
            .await?;
    }
    Ok(())
}
