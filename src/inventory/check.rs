//! The ledger's invariants, over one snapshot.

use std::collections::HashMap;

use super::model::Cause;
use super::store::{MOVEMENTS, STOCK};
use crate::id::VariantId;
use crate::store::{Look, ReadTx, StoreError};

/// What the movements of a variant add up to.
#[derive(Default, Clone, Copy)]
struct Sum {
    stock: i64,
    sold: i64,
}

/// I1: no movement took what was not there, and each variant's stock is the sum of its movements.
pub fn check(tx: &ReadTx, look: &Look<'_>) -> Result<(), StoreError> {
    look.begin("stock", MOVEMENTS.count(tx)? + STOCK.count(tx)?);
    let mut sums: HashMap<VariantId, Sum> = HashMap::new();
    look.each(tx, &MOVEMENTS, |id, movement| {
        let sum = sums.entry(movement.variant).or_default();
        sum.stock += movement.delta;
        if let Cause::Order(_) | Cause::Cancellation(_) = movement.cause {
            sum.sold -= movement.delta;
        }
        let subject = || format!("movement {id}");
        if sum.stock != movement.after {
            let said = format!(
                "it says that {} of variant {} were left, but the movements up to it add up to {}",
                movement.after, movement.variant, sum.stock
            );
            look.found("I1", subject(), said);
        }
        if sum.stock < 0 {
            look.found("I1", subject(), format!("it took what was not there: {} are left", sum.stock));
        }
    })?;
    look.each(tx, &STOCK, |variant, stock| {
        let sum = sums.remove(&variant).unwrap_or_default();
        let subject = || format!("variant {variant}");
        if stock.quantity < 0 {
            look.found("I1", subject(), format!("its stock is {}", stock.quantity));
        }
        for (what, said, sum) in [("stock", stock.quantity, sum.stock), ("units sold", stock.sold, sum.sold)]
        {
            if said != sum {
                look.found("I1", subject(), format!("its {what}: {said}, but its movements add up to {sum}"));
            }
        }
    })?;
    let mut left: Vec<_> = sums.into_iter().map(|(variant, sum)| (variant, sum.stock)).collect();
    left.sort_unstable();
    for (variant, sum) in left {
        let said = format!("it has movements of {sum} in all, but no stock");
        look.found("I1", format!("variant {variant}"), said);
    }
    Ok(())
}
