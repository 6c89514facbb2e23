//! `/api/admin/inventory/`: for staff.

use serde::Serialize;
use serde_json::json;

use super::model::{Cause, InventoryError, MOST, Movement};
use super::ops;
use super::store::{BY_VARIANT, MOVEMENTS, STOCK};
use crate::accounts::{self, Scope};
use crate::audit;
use crate::clock::Time;
use crate::http::input::{Fields, Input, id, integer, text};
use crate::http::{Answer, ApiError, Req, Routes, get, ok, post};
use crate::id::{ImportId, MovementId, OrderId, RefundId, VariantId};
use crate::page::Paged;
use crate::store::{Direction, Key, Span, StoreError};

pub fn routes() -> Routes {
    Routes::new()
        .at("/api/admin/inventory/movements/", get(movements, crate::http::undescribed()))
        .at("/api/admin/inventory/adjust/", post(adjust, crate::http::undescribed()))
}

#[derive(Serialize)]
struct MovementView {
    id: MovementId,
    variant_id: VariantId,
    delta: i64,
    stock_after: i64,
    cause: &'static str,
    order_id: Option<OrderId>,
    refund_id: Option<RefundId>,
    import_id: Option<ImportId>,
    reason: Option<String>,
    by: String,
    at: Time,
}

impl MovementView {
    fn new(id: MovementId, movement: Movement) -> MovementView {
        let mut view = MovementView {
            id,
            variant_id: movement.variant,
            delta: movement.delta,
            stock_after: movement.after,
            cause: movement.cause.kind(),
            order_id: None,
            refund_id: None,
            import_id: None,
            reason: None,
            by: movement.by,
            at: movement.at,
        };
        match movement.cause {
            Cause::Import => {}
            Cause::Imported(import) | Cause::Unimported(import) => view.import_id = Some(import),
            Cause::Adjustment { reason } => view.reason = Some(reason),
            Cause::Order(order) | Cause::Cancellation(order) => view.order_id = Some(order),
            Cause::Refund(refund) => view.refund_id = Some(refund),
        }
        view
    }
}

/// The ledger, newest first; of one variant or of all.
async fn movements(req: Req) -> Answer {
    req.staff(Scope::StockRead)?;
    let page = req.page()?;
    let variant =
        req.query.read("variant_id", "must be a variant's id", |text| text.parse::<VariantId>().ok())?;
    let found = req.app.store.read(|tx| match variant {
        None => MOVEMENTS.page(tx, page, Direction::Down),
        Some(variant) => {
            let keys = BY_VARIANT.page(tx, Span::under(variant.bytes(), Direction::Down), page)?;
            let items = keys.items.into_iter().map(|id| Ok((id, MOVEMENTS.expect(tx, &id)?)));
            Ok(Paged { count: keys.count, items: items.collect::<Result<_, StoreError>>()? })
        }
    })?;
    req.list(page, found.map(|(id, movement)| MovementView::new(id, movement)))
}

struct Adjustment {
    variant: VariantId,
    set: Option<i64>,
    delta: Option<i64>,
    reason: String,
}

impl Input for Adjustment {
    fn read(from: &mut Fields<'_>) -> Self {
        let adjustment = Adjustment {
            variant: VariantId(from.req("variant_id", id())),
            set: from.opt("set", integer(0..=MOST)),
            delta: from.opt("delta", integer(-MOST..=MOST)),
            reason: from.req("reason", text(1..=500)),
        };
        if from.given("set") == from.given("delta") {
            from.fault("set", "give either set or delta");
        }
        adjustment
    }
}

async fn adjust(mut req: Req) -> Answer {
    let by = req.staff(Scope::StockWrite)?;
    let Adjustment { variant, set, delta, reason } = req.json().await?;
    req.write_once(move |tx| {
        accounts::confirm(tx, &by)?;
        let cause = Cause::Adjustment { reason: reason.clone() };
        let before = STOCK.get(tx, &variant)?.ok_or(InventoryError::NotFound)?.quantity;
        let stock = match (set, delta) {
            (Some(quantity), _) => ops::set(tx, variant, quantity, &cause, &by.label())?,
            (None, delta) => ops::adjust(tx, variant, delta.unwrap_or(0), &cause, &by.label())?,
        };
        let quantity = |units: i64| json!({"stock_quantity": units});
        let (subject, mut after) = (format!("variant:{variant}"), quantity(stock.quantity));
        if before != stock.quantity {
            after["reason"] = json!(reason);
            audit::note(tx, &by.label(), "stock.adjust", &subject, quantity(before), after)?;
        }
        Ok(ok(&json!({"variant_id": variant, "product_id": stock.product, "stock_quantity": stock.quantity})))
    })
    .await
}

impl From<InventoryError> for ApiError {
    fn from(error: InventoryError) -> ApiError {
        match error {
            InventoryError::NotFound => ApiError::field("variant_id", "there is no such variant"),
            InventoryError::OutOfRange(_) => ApiError::new(409, "stock_out_of_range", error),
            InventoryError::Store(error) => error.into(),
        }
    }
}
