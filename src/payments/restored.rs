//! The mark of a shop that was restored from a backup. Its gateways may have payments and refunds that the backup does
//! not know of. Until an operator has looked at them, what the backup has of payments and refunds is held: its gateway
//! is asked how it stands, and nothing is begun, captured, ended or given back there. What was begun since goes on as
//! ever.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::store::{META, Reads, StoreError, WriteTx};

const NAME: &str = "restored";

/// From what, and when, the shop was restored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Restored {
    /// When the backup was made, and the commit that it shows.
    pub backup_of: Time,
    pub commit: u64,
    pub restored_at: Time,
}

/// Marks the shop.
pub fn mark(tx: &mut WriteTx, restored: &Restored) -> Result<(), StoreError> {
    let text = serde_json::to_string(restored).expect("plain data");
    tx.set_meta(NAME, &text)
}

/// The mark, as long as nobody has confirmed.
pub fn restored(tx: &impl Reads) -> Result<Option<Restored>, StoreError> {
    let text = META.get(tx, &NAME.to_owned())?.filter(|text| !text.is_empty());
    let read = |text: String| {
        serde_json::from_str(&text).map_err(|error| StoreError::corrupt("meta", format!("{NAME}: {error}")))
    };
    text.map(read).transpose()
}

/// Whether what was written down at this time came with the backup, and is held.
pub fn is_held(tx: &impl Reads, created_at: Time) -> Result<bool, StoreError> {
    Ok(restored(tx)?.is_some_and(|mark| created_at <= mark.restored_at))
}

/// An operator has seen to it: from now on all goes on by itself.
pub fn confirm(tx: &mut WriteTx) -> Result<(), StoreError> {
    tx.set_meta(NAME, "")
}
