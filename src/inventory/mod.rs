//! The stock ledger, by variant. No other room changes a stock figure.
//!
//! - A variant's stock is never below zero and is the sum of its movements; every movement has its cause (I1).
//! - Stock is taken when an order is placed and given back when it is cancelled: there are no other holds.

pub mod admin;
mod model;
mod ops;
pub(crate) mod store;

pub use model::{Cause, InventoryError, MOST, Movement, Short, Stock, Want};
pub use ops::{adjust, give_back, low, open, set, short, stock_of, take, watch};

use std::collections::HashMap;

use crate::store::{Finding, ReadTx, StoreError};

/// I1.
pub fn check(tx: &ReadTx, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    let mut sums: HashMap<_, i64> = HashMap::new();
    store::MOVEMENTS.each(tx, |_, movement| *sums.entry(movement.variant).or_default() += movement.delta)?;
    store::STOCK.each(tx, |variant, stock| {
        let sum = sums.remove(&variant).unwrap_or(0);
        let subject = format!("variant {variant}");
        if stock.quantity < 0 {
            findings.push(Finding::new("I1", &subject, format!("its stock is {}", stock.quantity)));
        }
        if stock.quantity != sum {
            let said = format!("its stock is {}, but its movements add up to {sum}", stock.quantity);
            findings.push(Finding::new("I1", &subject, said));
        }
    })?;
    for (variant, sum) in sums {
        let said = format!("it has movements of {sum} in all, but no stock");
        findings.push(Finding::new("I1", format!("variant {variant}"), said));
    }
    Ok(())
}
