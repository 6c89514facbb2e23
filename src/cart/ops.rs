//! The acts of the cart.

use std::time::Duration;

use super::model::{Cart, CartError, Line, MOST_LINES, MOST_UNITS};
use super::store::{BY_DAY, CARTS};
use super::totals::{Charges, Priced, Totals, totals};
use crate::accounts;
use crate::catalogue;
use crate::clock::Time;
use crate::id::{CartLineId, ProductId, UserId, VariantId};
use crate::inventory;
use crate::promotions::{self, Code, Refusal};
use crate::store::{Reads, StoreError, WriteTx};

/// How long a cart is kept that nobody changes.
const KEPT: Duration = Duration::from_hours(90 * 24);
const DAY_MILLIS: i64 = 24 * 3600 * 1000;

/// A buyer's cart; an empty one until they put something in.
pub fn get(tx: &impl Reads, buyer: UserId) -> Result<Cart, StoreError> {
    Ok(CARTS.get(tx, &buyer)?.unwrap_or_default())
}

/// Puts so many units of a variant into the buyer's cart; the same variant again adds to its line. Refuses more
/// than the shelf has now, but holds nothing.
pub fn add(
    tx: &mut WriteTx,
    buyer: UserId,
    product: ProductId,
    variant: Option<VariantId>,
    quantity: u32,
) -> Result<Line, CartError> {
    accounts::active(tx, buyer)?;
    let variant = catalogue::sellable(tx, product, variant)?;
    let available = inventory::stock_of(tx, variant.variant)?.quantity;
    let mut cart = get(tx, buyer)?;
    let at = cart.lines.iter().position(|line| line.variant == variant.variant);
    let wanted = at.map_or(0, |at| cart.lines[at].quantity).saturating_add(quantity);
    if wanted > MOST_UNITS {
        return Err(CartError::TooManyUnits);
    }
    if i64::from(wanted) > available {
        return Err(CartError::InsufficientStock { available });
    }
    if at.is_none() && cart.lines.len() >= MOST_LINES {
        return Err(CartError::TooManyLines);
    }
    variant.price.times(wanted)?;

    let line = match at {
        Some(at) => {
            let line = &mut cart.lines[at];
            line.quantity = wanted;
            line.price_seen = variant.price;
            line.clone()
        }
        None => {
            let id = CartLineId(tx.next_number("cart_lines")?);
            let line = Line { id, product, variant: variant.variant, quantity, price_seen: variant.price };
            cart.lines.push(line.clone());
            line
        }
    };
    save(tx, buyer, cart)?;
    Ok(line)
}

/// Sets a line's quantity, under the same limits, and takes note of today's price.
pub fn set_quantity(
    tx: &mut WriteTx,
    buyer: UserId,
    id: CartLineId,
    quantity: u32,
) -> Result<Line, CartError> {
    let mut cart = get(tx, buyer)?;
    let line = cart.lines.iter_mut().find(|line| line.id == id).ok_or(CartError::NoSuchLine)?;
    let variant = catalogue::sellable(tx, line.product, Some(line.variant))?;
    let available = inventory::stock_of(tx, line.variant)?.quantity;
    if i64::from(quantity) > available {
        return Err(CartError::InsufficientStock { available });
    }
    variant.price.times(quantity)?;

    line.quantity = quantity;
    line.price_seen = variant.price;
    let line = line.clone();
    save(tx, buyer, cart)?;
    Ok(line)
}

pub fn remove(tx: &mut WriteTx, buyer: UserId, id: CartLineId) -> Result<(), CartError> {
    let mut cart = get(tx, buyer)?;
    let at = cart.lines.iter().position(|line| line.id == id).ok_or(CartError::NoSuchLine)?;
    cart.lines.remove(at);
    Ok(save(tx, buyer, cart)?)
}

/// Applies a coupon to the cart, in place of any other. It must be good for what is in the cart now; whether it still is,
/// is looked at again when the order is placed, which alone counts as a use.
pub fn apply_coupon(tx: &mut WriteTx, buyer: UserId, code: &str, charges: &Charges) -> Result<(), CartError> {
    accounts::active(tx, buyer)?;
    let code = code.parse().map_err(|_| Refusal::Unknown)?;
    let mut cart = get(tx, buyer)?;
    let mut basket = Vec::new();
    for line in &cart.lines {
        if let Some((product, variant, _)) = catalogue::offer(tx, line.product, line.variant)? {
            basket.push(Priced::new(&product, &variant, line.quantity));
        }
    }
    price(tx, buyer, &basket, Some(&code), charges)?;

    cart.coupon = Some(code);
    Ok(save(tx, buyer, cart)?)
}

/// Takes the coupon off the cart, if it has one.
pub fn drop_coupon(tx: &mut WriteTx, buyer: UserId) -> Result<(), StoreError> {
    let mut cart = get(tx, buyer)?;
    if cart.coupon.take().is_some() {
        save(tx, buyer, cart)?;
    }
    Ok(())
}

/// What a basket costs the buyer now, with `coupon`.
///
/// # Errors
/// [`CartError::Coupon`] when the coupon is not good for it.
pub fn price(
    tx: &impl Reads,
    buyer: UserId,
    basket: &[Priced],
    coupon: Option<&Code>,
    charges: &Charges,
) -> Result<Totals, CartError> {
    let claim = match coupon {
        Some(code) => Some(promotions::claim(tx, code, buyer)?.ok_or(Refusal::Unknown)?),
        None => None,
    };
    totals(basket, claim.as_ref(), charges, tx.now())
}

/// Empties the cart.
pub fn clear(tx: &mut WriteTx, buyer: UserId) -> Result<(), StoreError> {
    CARTS.delete(tx, &buyer)
}

/// Keeps the cart, changed now. Only the day is noted, so that the index by age has work once a day and not with
/// every change.
fn save(tx: &mut WriteTx, buyer: UserId, mut cart: Cart) -> Result<(), StoreError> {
    let now = tx.now().0;
    cart.changed_on = Some(Time(now - now.rem_euclid(DAY_MILLIS)));
    CARTS.put(tx, &buyer, &cart)
}

/// Forgets carts that nobody changed for 90 days, at most `limit`; how many were looked at. Of an old one whose last
/// change is not known the time begins now.
pub fn forget(tx: &mut WriteTx, limit: usize) -> Result<usize, StoreError> {
    // A cart was changed on that day, not before.
    let end = tx.now().minus(KEPT + Duration::from_hours(24));
    let old = BY_DAY.below(tx, &end, limit)?;
    for buyer in &old {
        let cart = CARTS.expect(tx, buyer)?;
        if cart.changed_on.is_some() {
            CARTS.delete(tx, buyer)?;
        } else {
            save(tx, *buyer, cart)?;
        }
    }
    Ok(old.len())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::model::CartV1;
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::store::{FileDisk, Options, Store, Table, record};

    record!(CartV1 as StoredCartV1: V1);
    /// The table as it was.
    static OLD: Table<UserId, CartV1> = Table::new("carts", &[]);

    #[test]
    fn the_time_of_a_cart_that_an_earlier_till_wrote_begins_when_it_is_first_looked_at() {
        let dir = tempfile::tempdir().expect("a directory");
        let clock = Arc::new(ManualClock::at(Time::parse("2026-11-23T07:00:00Z").expect("a time")));
        let disk = || Box::new(FileDisk::new(dir.path().join("till.redb"), 1 << 20));
        let clocked = || Arc::clone(&clock) as Arc<dyn Clock>;
        let store = Store::open(Options { disk: disk(), clock: clocked(), seed: [1; 32], threaded: false });
        let store = store.expect("it opens");
        let lines = |n: u64| {
            let price_seen = "USD".parse::<crate::money::Currency>().expect("a currency").zero();
            let line = |id| Line {
                id: CartLineId(id),
                product: ProductId(1),
                variant: VariantId(1),
                quantity: 2,
                price_seen,
            };
            vec![line(n)]
        };
        for n in 1..=5 {
            let lines = lines(n);
            let old = move |tx: &mut WriteTx| OLD.put(tx, &UserId(n), &CartV1 { lines: lines.clone() });
            store.write_now(old).expect("written");
        }
        let kept = |store: &Store| store.read(|tx| CARTS.count(tx)).expect("it reads");
        // As opening does with a file that has no such index yet.
        let fill = |tx: &mut WriteTx| {
            for n in 1..=5 {
                let cart = CARTS.expect(tx, &UserId(n))?;
                CARTS.delete(tx, &UserId(n))?;
                CARTS.put(tx, &UserId(n), &cart)?;
            }
            Ok::<_, StoreError>(())
        };
        store.write_now(fill).expect("written");
        let sweep = |store: &Store| store.write_now(|tx| forget(tx, 3)).expect("written");
        assert_eq!((sweep(&store), sweep(&store), sweep(&store)), (3, 2, 0));
        assert_eq!(kept(&store), 5);
        clock.advance(KEPT);
        assert_eq!((sweep(&store), kept(&store)), (0, 5));
        clock.advance(Duration::from_hours(24));
        assert_eq!((sweep(&store), sweep(&store), sweep(&store), kept(&store)), (3, 2, 0, 0));
    }
}
