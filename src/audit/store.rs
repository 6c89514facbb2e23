//! The audit trail's table.

use super::model::Entry;
use crate::id::AuditId;
use crate::store::{Index, Table, record};

record!(Entry as StoredEntry: V1);

pub static BY_SUBJECT: Index<AuditId, Entry, String> =
    Index::list("audit.by_subject", |entry| vec![entry.subject.clone()]);
pub static BY_WHO: Index<AuditId, Entry, String> =
    Index::list("audit.by_who", |entry| vec![entry.by.clone()]);
/// In the order of time.
pub static AUDIT: Table<AuditId, Entry> = Table::new("audit", &[&BY_SUBJECT, &BY_WHO]);
