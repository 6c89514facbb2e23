//! Stored records: whatever is in the file, reading it neither panics nor takes memory without bound, and what is a
//! record is the same one when it is written and read again.
//!
//! An input is a table's name, a line feed and the bytes of a record.

use till::store::schema;

use super::shop;
use super::text::{line, pick};

pub fn run(data: &[u8]) {
    let (name, record) = line(data);
    let tables = schema::tables();
    let table = pick(&tables, name, |table| table.name().as_bytes());
    // What an older till wrote is written as this one does; from then on it stays what it is.
    if let Some(now) = table.recoded(record) {
        assert_eq!(table.recoded(&now).as_ref(), Some(&now), "{} changes when it is read", table.name());
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let all = shop::rows().into_iter();
    all.flat_map(|(table, rows)| {
        let seed = move |row: Vec<u8>| [table.as_bytes(), b"\n", &row].concat();
        rows.into_iter().take(3).map(seed)
    })
    .collect()
}
