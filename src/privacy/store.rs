//! The table of erasures.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::id::UserId;
use crate::store::{Index, Table, record};

/// That a person was erased.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Erasure {
    pub at: Time,
    /// Who did it, as histories name them.
    pub by: String,
    /// The address they had, until it is out of the answers that are stored under idempotency keys, too.
    pub address: Option<String>,
}

record!(Erasure as StoredErasure: V1);

/// Those that are to be finished.
pub static UNFINISHED: Index<UserId, Erasure, u8> =
    Index::list("erasures.unfinished", |erasure| erasure.address.iter().map(|_| 0).collect());
pub static ERASURES: Table<UserId, Erasure> = Table::new("erasures", &[&UNFINISHED]);
