//! `/api/admin/inventory/`: for staff.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::model::{Cause, CauseKind, InventoryError, MOST, Movement, Stock};
use super::ops;
use super::store::{BY_VARIANT, MOVEMENTS, STOCK};
use crate::accounts::{self, Scope, for_staff};
use crate::audit;
use crate::clock::Time;
use crate::http::input::{Fields, Input, id, integer, text};
use crate::http::{Answer, ApiError, Req, Routes, get, ok, post};
use crate::id::{ImportId, MovementId, OrderId, ProductId, RefundId, VariantId};
use crate::page::Paged;
use crate::store::{Direction, Key, Span, StoreError};

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/admin/inventory/movements/",
            get(
                movements,
                for_staff(Scope::StockRead, "Movements of stock, newest first")
                    .query::<VariantId>("variant_id", "Of this variant alone.")
                    .lists::<MovementView>(),
            ),
        )
        .at(
            "/api/admin/inventory/adjust/",
            post(
                adjust,
                for_staff(Scope::StockWrite, "Correct a variant's stock")
                    .more("To a figure that was counted (set), or by a difference (delta).")
                    .once()
                    .takes::<Adjustment>()
                    .gives::<StockView>()
                    .refuses(&[(409, "stock_out_of_range")]),
            ),
        )
}

/// A movement of a variant's stock.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Movement")]
struct MovementView {
    id: MovementId,
    variant_id: VariantId,
    /// In units; below zero for what left the shelf.
    delta: i64,
    /// Units after it.
    stock_after: i64,
    cause: CauseKind,
    /// Of the causes order and cancellation; else null.
    order_id: Option<OrderId>,
    /// Of the cause refund; else null.
    refund_id: Option<RefundId>,
    /// Of the causes import and import_undo, where it is known; else null.
    import_id: Option<ImportId>,
    /// Of the cause adjustment; else null.
    reason: Option<String>,
    /// Who moved it.
    by: String,
    at: Time,
}

/// The stock of a variant.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Stock")]
struct StockView {
    variant_id: VariantId,
    product_id: ProductId,
    /// Units that can be sold.
    stock_quantity: i64,
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
        from.require_one(&["set", "delta"]);
        Adjustment {
            variant: VariantId(from.req("variant_id", id())),
            set: from.change("set", integer(0..=MOST)),
            delta: from.change("delta", integer(-MOST..=MOST)),
            reason: from.req("reason", text(1..=500)),
        }
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
        let Stock { product: product_id, quantity: stock_quantity, .. } = stock;
        Ok(ok(&StockView { variant_id: variant, product_id, stock_quantity }))
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
