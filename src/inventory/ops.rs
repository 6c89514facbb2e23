//! The acts of inventory.

use super::alerts::note_change;
use super::model::{Cause, InventoryError, MOST, Movement, Short, Stock, Want};
use super::store::{LOW, MOVEMENTS, STOCK};
use crate::id::{MovementId, ProductId, VariantId};
use crate::page::{Page, Paged};
use crate::store::{Direction, Reads, Span, StoreError, WriteTx};

/// The stock of a variant that exists.
pub fn stock_of(tx: &impl Reads, variant: VariantId) -> Result<Stock, StoreError> {
    STOCK.expect(tx, &variant)
}

/// Opens the ledger of a new variant.
pub fn open(
    tx: &mut WriteTx,
    variant: VariantId,
    product: ProductId,
    quantity: i64,
    low_at: Option<i64>,
    cause: &Cause,
    by: &str,
) -> Result<(), StoreError> {
    let stock = Stock { product, quantity: 0, low_at, sold: 0 };
    STOCK.put(tx, &variant, &stock)?;
    write_down(tx, variant, stock, quantity, cause, by)
}

/// Sets from which figure on a variant is reported as low.
pub fn watch(tx: &mut WriteTx, variant: VariantId, low_at: Option<i64>) -> Result<(), StoreError> {
    let stock = stock_of(tx, variant)?;
    if stock.low_at == low_at {
        return Ok(());
    }
    let after = Stock { low_at, ..stock };
    STOCK.put(tx, &variant, &after)?;
    // What is low because somebody says so now is no news to them.
    if after.is_low() { Ok(()) } else { note_change(tx, variant, &stock, &after) }
}

/// Moves the stock by `delta`, which leaves it in range, and writes down why.
fn record(
    tx: &mut WriteTx,
    variant: VariantId,
    delta: i64,
    cause: &Cause,
    by: &str,
) -> Result<(), StoreError> {
    if delta == 0 {
        return Ok(());
    }
    let before = stock_of(tx, variant)?;
    write_down(tx, variant, before.clone(), delta, cause, by)?;
    note_change(tx, variant, &before, &Stock { quantity: before.quantity + delta, ..before.clone() })
}

/// Makes the stock what it is after a movement, and writes that down.
fn write_down(
    tx: &mut WriteTx,
    variant: VariantId,
    mut stock: Stock,
    delta: i64,
    cause: &Cause,
    by: &str,
) -> Result<(), StoreError> {
    if delta == 0 {
        return Ok(());
    }
    stock.quantity += delta;
    assert!(stock.quantity >= 0, "acts look before they take");
    if matches!(cause, Cause::Order(_) | Cause::Cancellation(_)) {
        stock.sold -= delta;
    }
    let after = stock.quantity;
    STOCK.put(tx, &variant, &stock)?;
    let id = MovementId(tx.next_number("movements")?);
    let movement = Movement { variant, delta, after, cause: cause.clone(), by: by.to_owned(), at: tx.now() };
    MOVEMENTS.put(tx, &id, &movement)
}

/// Those of `wants` that the shelf can't fill.
pub fn short(tx: &impl Reads, wants: &[Want]) -> Result<Vec<Short>, StoreError> {
    let mut short = Vec::new();
    for want in wants {
        let available = stock_of(tx, want.variant)?.quantity;
        if available < i64::from(want.quantity) {
            short.push(Short { variant_id: want.variant, requested: want.quantity, available });
        }
    }
    Ok(short)
}

/// Takes `wants`, none of which is short, off the shelf.
pub fn take(tx: &mut WriteTx, wants: &[Want], cause: &Cause, by: &str) -> Result<(), StoreError> {
    for want in wants {
        record(tx, want.variant, -i64::from(want.quantity), cause, by)?;
    }
    Ok(())
}

/// Puts `wants` back on the shelf.
pub fn give_back(tx: &mut WriteTx, wants: &[Want], cause: &Cause, by: &str) -> Result<(), StoreError> {
    for want in wants {
        record(tx, want.variant, i64::from(want.quantity), cause, by)?;
    }
    Ok(())
}

/// Changes a variant's stock by `delta`.
pub fn adjust(
    tx: &mut WriteTx,
    variant: VariantId,
    delta: i64,
    cause: &Cause,
    by: &str,
) -> Result<Stock, InventoryError> {
    let stock = STOCK.get(tx, &variant)?.ok_or(InventoryError::NotFound)?;
    let after = stock.quantity.saturating_add(delta);
    if !(0..=MOST).contains(&after) {
        return Err(InventoryError::OutOfRange(after));
    }
    record(tx, variant, delta, cause, by)?;
    Ok(stock_of(tx, variant)?)
}

/// Changes a variant's stock to `quantity`.
pub fn set(
    tx: &mut WriteTx,
    variant: VariantId,
    quantity: i64,
    cause: &Cause,
    by: &str,
) -> Result<Stock, InventoryError> {
    let stock = STOCK.get(tx, &variant)?.ok_or(InventoryError::NotFound)?;
    adjust(tx, variant, quantity.saturating_sub(stock.quantity), cause, by)
}

/// One page of what is low, least first.
pub fn low(tx: &impl Reads, page: Page) -> Result<Paged<(VariantId, Stock)>, StoreError> {
    let keys = LOW.page(tx, Span::all(Direction::Up), page)?;
    let items = keys.items.into_iter().map(|variant| Ok((variant, stock_of(tx, variant)?)));
    Ok(Paged { count: keys.count, items: items.collect::<Result<_, StoreError>>()? })
}

/// How many variants are low.
pub fn count_low(tx: &impl Reads) -> Result<u64, StoreError> {
    LOW.count(tx)
}
