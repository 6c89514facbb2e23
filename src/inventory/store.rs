//! Tables of inventory.

use super::model::{Movement, Stock};
use crate::id::{MovementId, VariantId};
use crate::store::{Index, Table, record};

record!(Stock as StoredStock: V1);
record!(Movement as StoredMovement: V1);

/// What is low, least first.
pub static LOW: Index<VariantId, Stock, i64> =
    Index::list("stock.low", |stock| if stock.is_low() { vec![stock.quantity] } else { vec![] });
pub static STOCK: Table<VariantId, Stock> = Table::new("stock", &[&LOW]);

pub static BY_VARIANT: Index<MovementId, Movement, VariantId> =
    Index::list("movements.by_variant", |movement| vec![movement.variant]);
pub static MOVEMENTS: Table<MovementId, Movement> = Table::new("movements", &[&BY_VARIANT]);
