//! Tables of inventory.

use super::model::{Alert, Movement, Notice, Stock};
use crate::id::{MovementId, VariantId};
use crate::store::{Index, Table, record};

record!(Stock as StoredStock: V1);
record!(Movement as StoredMovement: V1);
record!(Alert as StoredAlert: V1);

/// What is low, least first.
pub static LOW: Index<VariantId, Stock, i64> =
    Index::list("stock.low", |stock| if stock.is_low() { vec![stock.quantity] } else { vec![] });
pub static STOCK: Table<VariantId, Stock> = Table::new("stock", &[&LOW]);

pub static BY_VARIANT: Index<MovementId, Movement, VariantId> =
    Index::list("movements.by_variant", |movement| vec![movement.variant]);
pub static MOVEMENTS: Table<MovementId, Movement> = Table::new("movements", &[&BY_VARIANT]);

/// The place of a notice in [`ALERTS`].
pub(super) fn place(notice: Notice) -> u8 {
    match notice {
        Notice::Low => 0,
        Notice::Back => 1,
    }
}

/// What is to be told of stock, and was not yet.
pub static ALERTS: Table<(u8, VariantId), Alert> = Table::new("stock_alerts", &[]);
