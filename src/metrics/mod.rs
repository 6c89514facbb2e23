//! Figures for whoever watches over the shop: gathered in one list, and written in two forms. `/metrics` is Prometheus'
//! text, on the operations listener and the operator's socket; [`crate::telemetry::otlp`] sends the same figures out.

mod changes;
mod family;
mod machine;
mod process;
mod prometheus;
mod shop;

use std::sync::Arc;

use http::{StatusCode, header};

pub use changes::Changes;
pub use family::{Family, Figures, Kind, Label, Labels, Sample, Unit, Value};

use crate::app::App;
use crate::http::{Answer, ApiError, Origin, Reply, Req, Routes, for_everybody, get};
use crate::store::StoreError;
use crate::telemetry::aside;

pub fn routes() -> Routes {
    Routes::new().at(
        "/metrics",
        get(
            metrics,
            for_everybody(
                "Figures for Prometheus, on the operations listener and the operator's socket alone",
            )
            .gives_files(&["text/plain"])
            .refuses(&[(404, "not_found")]),
        ),
    )
}

/// All figures as they are now. It reads the data file, but never much of it.
pub fn gather(app: &App) -> Result<Vec<Family>, StoreError> {
    let mut all = Figures::default();
    process::figures(app.started, &mut all);
    machine::figures(app, &mut all)?;
    shop::figures(app, &mut all)?;
    Ok(all.0)
}

async fn metrics(req: Req) -> Answer {
    if !matches!(req.origin, Origin::Operator | Origin::Operations) {
        return Err(ApiError::not_found());
    }
    let app = Arc::clone(&req.app);
    let text =
        aside(move || gather(&app).map(|all| prometheus::text(&all))).await.map_err(ApiError::internal)??;
    let app = Arc::clone(&req.app);
    // That takes long when the file is large; whoever asks next is told.
    aside(move || app.store.measure());
    let reply = Reply::bytes(StatusCode::OK, prometheus::MEDIA_TYPE, text);
    Ok(reply.header(header::CACHE_CONTROL, "no-store"))
}
