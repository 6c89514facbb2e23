//! The data file's upkeep: compaction.

use std::sync::Arc;

use serde_json::json;

use crate::accounts::{Scope, for_admin};
use crate::http::input::Nothing;
use crate::http::{Answer, ApiError, Req, Routes, ok, post, teller};
use crate::store::Compacted;
use crate::telemetry::aside;

pub fn routes() -> Routes {
    Routes::new().at(
        "/api/admin/compact/",
        post(
            compact,
            for_admin(Scope::All, "Give the data file's free room back to the disk")
                .may_take::<Nothing>()
                .gives::<Compacted>()
                .tells()
                .refuses(&[(409, "compaction_running")]),
        ),
    )
}

async fn compact(mut req: Req) -> Answer {
    req.admin(Scope::All)?;
    req.json_or_nothing::<Nothing>().await?;
    let (app, (teller, told)) = (Arc::clone(&req.app), teller(&req.app));
    let ending = async move {
        let work = move || {
            app.store
                .compact(&mut |stage, done, of| teller.tell(&json!({"stage": stage, "done": done, "of": of})))
        };
        Ok(ok(&aside(work).await.map_err(ApiError::internal)??))
    };
    told.answer(&req, ending).await
}
