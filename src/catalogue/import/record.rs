//! The record of an import: how far it got, and what it changed.

use serde::{Deserialize, Serialize};

use super::check::How;
use super::{Counts, Mode, RowError};
use crate::catalogue::model::Product;
use crate::clock::Time;
use crate::hex::hex;
use crate::id::{ImportId, ProductId, VariantId};
use crate::store::{Index, Reads, StoreError, Table, record};

/// Most faults that a record keeps for an import that is gone on with later.
pub const KEPT_ERRORS: usize = 100;

/// Where an import stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum State {
    /// It is being applied, or was cut short.
    Begun,
    Done,
    /// It is being put back, or that was cut short.
    Undoing,
    Undone,
    /// What it changed is not known any more.
    Forgotten,
}

impl State {
    const ALL: [State; 5] = [State::Begun, State::Done, State::Undoing, State::Undone, State::Forgotten];

    pub fn as_str(self) -> &'static str {
        match self {
            State::Begun => "unfinished",
            State::Done => "done",
            State::Undoing => "undoing",
            State::Undone => "undone",
            State::Forgotten => "kept_no_more",
        }
    }
}

crate::words!(State: State::ALL.map(State::as_str));

/// How an import is done, and how far it got.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Import {
    pub by: String,
    pub at: Time,
    /// Of the file, by which it is known again.
    pub digest: [u8; 32],
    pub mode: Mode,
    /// Whether the file was read as JSON lines.
    pub is_lines: bool,
    pub skip_bad: bool,
    /// How many entries the file has, and how many of them were dealt with.
    pub entries: u32,
    pub done: u32,
    /// Of those that were dealt with.
    pub counts: Counts,
    /// The first of them.
    pub errors: Vec<RowError>,
    pub state: State,
    pub finished_at: Option<Time>,
    /// Products that were put back, and those it had made that left the shop again, so far.
    pub restored: u64,
    pub archived: u64,
}

impl Import {
    /// Whether its changes can be put back, all or what is left of them.
    pub fn is_undoable(&self) -> bool {
        !matches!(self.state, State::Undone | State::Forgotten)
    }

    /// So many entries are dealt with; with the last it is done.
    pub fn advance(&mut self, done: u32, now: Time) {
        self.done = done;
        if self.done == self.entries {
            self.state = State::Done;
            self.finished_at = Some(now);
        }
    }

    /// More of it was put back; `is_over`: and nothing is left to.
    pub fn put_back(&mut self, is_over: bool) {
        self.state = if is_over { State::Undone } else { State::Undoing };
    }

    /// What it changed is not known any more.
    pub fn forget(&mut self) {
        self.state = State::Forgotten;
    }

    /// Keeps the first faults.
    pub fn keep(&mut self, errors: &[RowError]) {
        let room = KEPT_ERRORS.saturating_sub(self.errors.len());
        self.errors.extend(errors.iter().take(room).cloned());
    }
}

/// What an import did to a product.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Touched {
    /// Whether it made it; then the rest is empty.
    pub created: bool,
    /// Before its first change and after its last, where the record itself was changed.
    pub product: Option<(Product, Product)>,
    /// How much it moved each variant's stock.
    pub stock: Vec<(VariantId, i64)>,
}

record!(Import as StoredImport: V1);
record!(Touched as StoredTouched: V1);

/// Those that can be gone on with, by their file's digest.
pub static UNFINISHED: Index<ImportId, Import, String> = Index::list("imports.unfinished", |import| {
    if import.state == State::Begun { vec![hex(&import.digest)] } else { vec![] }
});
/// Those whose changes are known, by age.
pub static KEPT: Index<ImportId, Import, Time> =
    Index::list("imports.kept", |import| if import.is_undoable() { vec![import.at] } else { vec![] });
pub static IMPORTS: Table<ImportId, Import> = Table::new("imports", &[&UNFINISHED, &KEPT]);
pub static TOUCHED: Table<(ImportId, ProductId), Touched> = Table::new("imports.touched", &[]);

/// The unfinished import of a file that was to be done just so.
pub fn unfinished(
    tx: &impl Reads,
    digest: &[u8; 32],
    how: How,
) -> Result<Option<(ImportId, Import)>, StoreError> {
    for id in UNFINISHED.all(tx, &hex(digest))?.into_iter().rev() {
        let import = IMPORTS.expect(tx, &id)?;
        if (import.mode, import.skip_bad, import.is_lines) == (how.mode, how.skip_bad, how.is_lines) {
            return Ok(Some((id, import)));
        }
    }
    Ok(None)
}
