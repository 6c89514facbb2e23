//! The acts of promotions.

use std::ops::ControlFlow;

use super::coupon::Claim;
use super::model::{Code, Coupon, PromotionError, Terms, Use};
use super::store::{BY_TIMES, COUPONS, USES};
use crate::catalogue;
use crate::http::Faults;
use crate::id::UserId;
use crate::store::{Direction, Key, Reads, Span, StoreError, WriteTx};

/// A coupon, archived or not.
pub fn get(tx: &impl Reads, code: &Code) -> Result<Coupon, PromotionError> {
    COUPONS.get(tx, code)?.ok_or(PromotionError::NotFound)
}

/// A coupon that is not archived.
pub fn live(tx: &impl Reads, code: &Code) -> Result<Coupon, PromotionError> {
    find(tx, code)?.ok_or(PromotionError::NotFound)
}

fn find(tx: &impl Reads, code: &Code) -> Result<Option<Coupon>, StoreError> {
    Ok(COUPONS.get(tx, code)?.filter(|coupon| coupon.archived_at.is_none()))
}

/// The coupon in the buyer's hand, if there is one with this code. Whether it is good for a basket,
/// [`discounts`](super::discounts) says.
pub fn claim(tx: &impl Reads, code: &Code, buyer: UserId) -> Result<Option<Claim>, StoreError> {
    let Some(coupon) = find(tx, code)? else { return Ok(None) };
    Ok(Some(Claim { terms: coupon.terms, uses: coupon.used, own_uses: own_uses(tx, code, buyer)? }))
}

fn own_uses(tx: &impl Reads, code: &Code, buyer: UserId) -> Result<u64, StoreError> {
    Ok(USES.get(tx, &(code.clone(), buyer))?.map_or(0, |one| one.times))
}

/// Counts a use by the buyer, whose claim was found good in this transaction.
pub fn take(tx: &mut WriteTx, code: &Code, buyer: UserId) -> Result<(), StoreError> {
    let mut coupon = COUPONS.expect(tx, code)?;
    coupon.used += 1;
    coupon.last_used_at = Some(tx.now());
    COUPONS.put(tx, code, &coupon)?;
    let times = own_uses(tx, code, buyer)? + 1;
    USES.put(tx, &(code.clone(), buyer), &Use { coupon: code.clone(), times })
}

/// Gives the buyer's use back, because the order that carried the coupon is cancelled.
pub fn give_back(tx: &mut WriteTx, code: &Code, buyer: UserId) -> Result<(), StoreError> {
    let mut coupon = COUPONS.expect(tx, code)?;
    let key = (code.clone(), buyer);
    let own = USES.expect(tx, &key)?;
    coupon.used -= 1;
    COUPONS.put(tx, code, &coupon)?;
    match own.times - 1 {
        0 => USES.delete(tx, &key),
        times => USES.put(tx, &key, &Use { times, ..own }),
    }
}

pub fn create(tx: &mut WriteTx, code: &Code, terms: &Terms) -> Result<Coupon, PromotionError> {
    if COUPONS.get(tx, code)?.is_some() {
        return Err(PromotionError::CodeTaken(code.clone()));
    }
    check(tx, code, terms, 0)?;
    let now = tx.now();
    let coupon = Coupon {
        terms: terms.clone(),
        used: 0,
        last_used_at: None,
        archived_at: None,
        created_at: now,
        updated_at: now,
    };
    COUPONS.put(tx, code, &coupon)?;
    Ok(coupon)
}

/// Sets the terms. They hold for orders that are placed from now on. Terms that change nothing leave the record as
/// it is.
pub fn change(tx: &mut WriteTx, code: &Code, terms: &Terms) -> Result<Coupon, PromotionError> {
    let mut coupon = live(tx, code)?;
    check(tx, code, terms, coupon.used)?;
    if coupon.terms != *terms {
        coupon.terms.clone_from(terms);
        coupon.updated_at = tx.now();
        COUPONS.put(tx, code, &coupon)?;
    }
    Ok(coupon)
}

/// Takes the coupon out of the shop: deletes one that no order ever carried, and archives any other.
pub fn remove(tx: &mut WriteTx, code: &Code) -> Result<(), PromotionError> {
    let mut coupon = live(tx, code)?;
    if coupon.last_used_at.is_none() {
        return Ok(COUPONS.delete(tx, code)?);
    }
    coupon.archived_at = Some(tx.now());
    Ok(COUPONS.put(tx, code, &coupon)?)
}

/// What only the shop's records can say about terms.
fn check(tx: &impl Reads, code: &Code, terms: &Terms, used: u64) -> Result<(), PromotionError> {
    let mut faults = Faults::new();
    for (n, category) in terms.categories.iter().enumerate() {
        if !catalogue::has_category(tx, category)? {
            faults.insert(format!("categories.{n}"), vec!["there is no such category".into()]);
        }
    }
    let stop = "to end it, set is_active to false";
    if terms.max_uses.is_some_and(|most| most < used) {
        let said = format!("must be at least {used}, because it has been used so often; {stop}");
        faults.insert("max_uses".into(), vec![said]);
    }
    if let Some(most) = terms.max_uses_per_user {
        let had = most_by_one(tx, code)?;
        if most < had {
            let said = format!("must be at least {had}, because somebody has used it so often; {stop}");
            faults.insert("max_uses_per_user".into(), vec![said]);
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(PromotionError::Invalid(faults)) }
}

/// How often the one used it who used it most.
fn most_by_one(tx: &impl Reads, code: &Code) -> Result<u64, StoreError> {
    let mut most = 0;
    BY_TIMES.scan(tx, Span::under(code.bytes(), Direction::Down), |(_, times), _| {
        most = times;
        ControlFlow::Break(())
    })?;
    Ok(most)
}
