//! What a write has changed and not yet handed to redb: rows by table and key, the last value of each. Acts of one
//! batch change the same rows and tables again and again; so each row is entered once, in the order of keys, with each
//! table opened once.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use redb::{ReadOnlyTable, WriteTransaction};

use super::StoreError;
use super::tx::{Direction, Span, Visit, raw};

/// A row as it is to be.
struct Row {
    /// None: it is to be gone.
    value: Option<Vec<u8>>,
    /// Whether the file has one under its key.
    is_stored: bool,
}

/// Rows of one table.
#[derive(Default)]
pub(super) struct Rows {
    rows: BTreeMap<Vec<u8>, Row>,
    /// How many more rows than the file's the table will have.
    more: i64,
}

/// Rows of all tables. Their order is that of names and keys, whatever the order they came in.
#[derive(Default)]
pub(super) struct Held {
    tables: BTreeMap<&'static str, Rows>,
    #[cfg(test)]
    pub meets_a_broken_page: bool,
}

type Stored = ReadOnlyTable<&'static [u8], &'static [u8]>;

impl Held {
    pub fn of(&self, table: &'static str) -> Option<&Rows> {
        self.tables.get(table)
    }

    /// Sets a row, or has it be gone; what was there. `stored` finds what the file has.
    pub fn set(
        &mut self,
        table: &'static str,
        key: &[u8],
        value: Option<&[u8]>,
        stored: impl FnOnce() -> Result<Option<Vec<u8>>, StoreError>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let Rows { rows, more } = self.tables.entry(table).or_default();
        let value = value.map(<[u8]>::to_vec);
        let is_there = i64::from(value.is_some());
        let before = match rows.entry(key.to_vec()) {
            Entry::Occupied(mut row) => std::mem::replace(&mut row.get_mut().value, value),
            Entry::Vacant(row) => {
                let before = stored()?;
                row.insert(Row { value, is_stored: before.is_some() });
                before
            }
        };
        *more += is_there - i64::from(before.is_some());
        Ok(before)
    }

    /// Enters all of it.
    pub fn enter(self, file: &WriteTransaction) -> Result<(), StoreError> {
        #[cfg(test)]
        assert!(!self.meets_a_broken_page, "a broken page");
        for (name, Rows { rows, .. }) in self.tables {
            let mut table = file.open_table(raw(name))?;
            for (key, row) in rows {
                match row.value {
                    Some(value) => drop(table.insert(&key[..], &value[..])?),
                    None if row.is_stored => drop(table.remove(&key[..])?),
                    None => {}
                }
            }
        }
        Ok(())
    }
}

impl Rows {
    /// What is held under `key`: a value, or that there is to be none.
    pub fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.rows.get(key).map(|row| row.value.as_deref())
    }

    /// How many rows a table of `stored` rows will have.
    pub fn len_over(&self, stored: u64) -> u64 {
        stored.saturating_add_signed(self.more)
    }

    /// Hands the rows of `span` to `visit`: those of `stored`, but for what is held in their place.
    pub fn scan_over(&self, stored: &Stored, span: &Span, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if span.is_empty() {
            return Ok(());
        }
        let bounds = span.bounds();
        let (own, stored) = (self.rows.range::<[u8], _>(bounds), stored.range::<&[u8]>(bounds)?);
        let mut own = in_direction(own, span.direction).peekable();
        let mut stored = in_direction(stored, span.direction).peekable();
        loop {
            let order = match (stored.peek(), own.peek()) {
                (None, None) => return Ok(()),
                (None, Some(_)) => Ordering::Greater,
                (Some(Ok((key, _))), Some((own, _))) if span.direction == Direction::Up => {
                    key.value().cmp(own)
                }
                (Some(Ok((key, _))), Some((own, _))) => key.value().cmp(own).reverse(),
                (Some(_), _) => Ordering::Less,
            };
            let seen = if order == Ordering::Greater { None } else { stored.next().transpose()? };
            let own = if order == Ordering::Less { None } else { own.next() };
            let next = match (&seen, own) {
                (_, Some((key, row))) => row.value.as_ref().map(|value| visit(key, value)),
                (Some((key, value)), None) => Some(visit(key.value(), value.value())),
                (None, None) => None,
            };
            if next.is_some_and(|next| next.is_break()) {
                return Ok(());
            }
        }
    }
}

fn in_direction<'a, T>(
    rows: impl DoubleEndedIterator<Item = T> + 'a,
    direction: Direction,
) -> Box<dyn Iterator<Item = T> + 'a> {
    match direction {
        Direction::Up => Box::new(rows),
        Direction::Down => Box::new(rows.rev()),
    }
}
