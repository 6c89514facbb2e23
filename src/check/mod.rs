//! `till check`: the invariants of the shop, over one snapshot. Nothing waits for it.

#[cfg(test)]
mod tests;

use serde_json::json;

use crate::accounts::Scope;
use crate::app::App;
use crate::http::input::Nothing;
use crate::http::{Answer, ApiError, Req, Routes, ok, post};
use crate::store::{Finding, StoreError};
use crate::{inventory, orders, payments};

/// What is looked at, in this order.
pub const INVARIANTS: [(&str, &str); 7] = [
    ("I1", "stock is never below zero and is the sum of its movements"),
    ("I2", "orders add up"),
    ("I3", "live orders hold their quantities, cancelled ones gave them back once"),
    ("I4", "payment status follows from payments and refunds; no captured money is lost"),
    ("I5", "indexes and records agree"),
    ("I6", "invoices and credit notes are numbered without gaps, one invoice per paid order"),
    ("I9", "order states moved along the machine's edges, each move in the history"),
];

/// Everything that is not as it must be.
pub fn check(app: &App) -> Result<Vec<Finding>, StoreError> {
    app.store.read(|tx| {
        // The other rooms read records; what does not decode is said first, and ends the look.
        let mut findings = app.store.check(tx)?;
        if findings.is_empty() {
            inventory::check(tx, &mut findings)?;
            orders::check(tx, &mut findings)?;
            payments::check(tx, &mut findings)?;
        }
        Ok(findings)
    })
}

pub fn routes() -> Routes {
    Routes::new().at("/api/admin/check/", post(run))
}

async fn run(mut req: Req) -> Answer {
    req.admin(Scope::ShopRead)?;
    req.json_or_nothing::<Nothing>().await?;
    let app = std::sync::Arc::clone(&req.app);
    let findings = tokio::task::spawn_blocking(move || check(&app)).await.map_err(ApiError::internal)??;
    let invariants: Vec<_> = INVARIANTS
        .iter()
        .map(|(name, says)| {
            let count = findings.iter().filter(|finding| finding.invariant == *name).count();
            json!({"invariant": name, "says": says, "findings": count})
        })
        .collect();
    Ok(ok(&json!({"ok": findings.is_empty(), "invariants": invariants, "findings": findings})))
}
