//! I11: whoever was erased has no account, cart, wish, words in reviews, or address in orders.

use super::store::ERASURES;
use crate::accounts::{self, Email, store::USERS};
use crate::cart::store::CARTS;
use crate::id::UserId;
use crate::orders;
use crate::orders::store::BY_USER;
use crate::store::{Look, ReadTx, Reads, StoreError};
use crate::{reviews, wishlist};

pub fn check(tx: &ReadTx, look: &Look<'_>) -> Result<(), StoreError> {
    ERASURES.try_each(tx, |id, _| {
        if let Some(left) = left(tx, id)? {
            look.found("I11", format!("user {id}"), format!("was erased, and still has {left}"));
        }
        Ok(())
    })
}

/// The first thing that is left of an erased user.
fn left(tx: &impl Reads, id: UserId) -> Result<Option<String>, StoreError> {
    let nobody = Email::nobodys(id);
    let user = USERS.expect(tx, &id)?;
    if user.email != nobody || !user.name.is_empty() || user.is_active || user.default_address.is_some() {
        return Ok(Some("an account".into()));
    }
    if !accounts::is_nowhere(tx, id)? {
        return Ok(Some("addresses that they logged in from".into()));
    }
    if CARTS.get(tx, &id)?.is_some() {
        return Ok(Some("a cart".into()));
    }
    if !wishlist::is_empty(tx, id)? {
        return Ok(Some("a wishlist".into()));
    }
    if !reviews::are_nobodys(tx, id)? {
        return Ok(Some("reviews".into()));
    }
    for order in BY_USER.all(tx, &id)? {
        if !orders::is_nobodys(&orders::store::ORDERS.expect(tx, &order)?) {
            return Ok(Some(format!("order {order}")));
        }
    }
    Ok(None)
}
