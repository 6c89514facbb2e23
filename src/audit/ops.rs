//! The acts of the audit trail.

use serde_json::Value;

use super::model::Entry;
use super::store::{AUDIT, BY_SUBJECT};
use crate::id::AuditId;
use crate::store::{Reads, StoreError, WriteTx};

/// Fields that change with every change, and say nothing of it.
const NOISE: [&str; 2] = ["updated_at", "version"];

/// Notes that `by` did `act` to `subject`, which was `before` and is `after`; null where it was not there or is no
/// more. Of two objects only the fields that differ are kept, and if none does there is nothing to note.
pub fn note(
    tx: &mut WriteTx,
    by: &str,
    act: &str,
    subject: &str,
    mut before: Value,
    mut after: Value,
) -> Result<(), StoreError> {
    if let (Value::Object(old), Value::Object(new)) = (&mut before, &mut after) {
        let is_dull = |key: &str, value: &Value| NOISE.contains(&key) || new.get(key) == Some(value);
        let dull: Vec<String> =
            old.iter().filter(|(key, value)| is_dull(key, value)).map(|(key, _)| key.clone()).collect();
        for key in dull {
            old.remove(&key);
            new.remove(&key);
        }
        if old.is_empty() && new.is_empty() {
            return Ok(());
        }
    }
    let text = |value: Value| if value.is_null() { String::new() } else { value.to_string() };
    let id = AuditId(tx.next_number("audit")?);
    let entry = Entry {
        at: tx.now(),
        by: by.to_owned(),
        act: act.to_owned(),
        subject: subject.to_owned(),
        before: text(before),
        after: text(after),
    };
    AUDIT.put(tx, &id, &entry)
}

/// Takes out of all entries about `subject` what it was before and after, because it was a person's who is forgotten.
pub fn scrub(tx: &mut WriteTx, subject: &str) -> Result<(), StoreError> {
    for id in BY_SUBJECT.all(tx, &subject.to_owned())? {
        let entry = AUDIT.expect(tx, &id)?;
        AUDIT.put(tx, &id, &Entry { before: String::new(), after: String::new(), ..entry })?;
    }
    Ok(())
}
