//! The counters that ids are given by: never behind the ids that were given.

use crate::store::{COUNTERS, Look, Reads, StoreError, WriteTx, schema};

/// The tables whose keys are counted, each with its counter.
const COUNTED: &[(&str, &str)] = &[
    ("audit", "audit"),
    ("mails", "mails"),
    ("users", "users"),
    ("sessions", "sessions"),
    ("api_tokens", "api_tokens"),
    ("products", "products"),
    ("stock", "variants"),
    ("movements", "movements"),
    ("imports", "imports"),
    ("orders", "orders"),
    ("invoices", "invoices"),
    ("credit_notes", "credit_notes"),
    ("reviews", "reviews"),
    ("payments", "payments"),
    ("refunds", "refunds"),
];

/// A counter that would give an id again.
struct Behind {
    counter: &'static str,
    last: u64,
    table: &'static str,
    highest: u64,
}

fn behind(tx: &impl Reads) -> Result<Vec<Behind>, StoreError> {
    let mut found = Vec::new();
    for table in schema::tables() {
        let Some((name, counter)) = COUNTED.iter().find(|(name, _)| *name == table.name()) else { continue };
        let last = COUNTERS.get(tx, &(*counter).to_owned())?.unwrap_or(0);
        let highest = table.highest(tx)?.unwrap_or(0);
        if highest > last {
            found.push(Behind { counter, last, table: name, highest });
        }
    }
    Ok(found)
}

pub fn check(tx: &impl Reads, look: &Look<'_>) -> Result<(), StoreError> {
    for Behind { counter, last, table, highest } in behind(tx)? {
        let said = format!("it is at {last}, but {table} has {highest}: ids would be given twice");
        look.found("I5", format!("counter {counter}"), said);
    }
    Ok(())
}

/// Sets those that are behind; how many they were.
pub fn mend(tx: &mut WriteTx) -> Result<u64, StoreError> {
    let all = behind(tx)?;
    for Behind { counter, highest, .. } in &all {
        COUNTERS.put(tx, &(*counter).to_owned(), highest)?;
    }
    Ok(all.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_there() {
        for (table, _) in COUNTED {
            assert!(schema::tables().iter().any(|one| one.name() == *table), "{table}");
        }
    }
}
