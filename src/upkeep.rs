//! The data file's upkeep: compaction, and what the operator's tools are told of it.

use std::fmt::Display;
use std::sync::Arc;

use http::header;
use serde_json::json;

use crate::accounts::{Scope, for_admin};
use crate::backup;
use crate::http::input::Nothing;
use crate::http::{Answer, ApiError, Origin, Reply, Req, Routes, for_everybody, get, ok, post, teller};
use crate::outbox::{self, State};
use crate::payments;
use crate::store::Compacted;

/// What the Prometheus text format is sent as.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub fn routes() -> Routes {
    Routes::new()
        .at(
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
        .at(
            "/metrics",
            get(
                metrics,
                for_everybody("Figures for Prometheus, on the operator's socket alone")
                    .gives_files(&["text/plain"])
                    .refuses(&[(404, "not_found")]),
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
        Ok(ok(&tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)??))
    };
    told.answer(&req, ending).await
}

/// Figures for Prometheus, on the operator's socket alone.
async fn metrics(req: Req) -> Answer {
    if req.origin != Origin::Operator {
        return Err(ApiError::not_found());
    }
    let app = Arc::clone(&req.app);
    let measured = tokio::task::spawn_blocking(move || app.store.measure());
    let size = measured.await.map_err(ApiError::internal)??;
    let (standing, restored) =
        req.app.store.read(|tx| Ok::<_, ApiError>((backup::standing(tx)?, payments::restored(tx)?)))?;
    let mut text = String::new();
    let mut put = |name: &str, kind: &str, says: &str, value: &dyn Display| {
        text.push_str(&format!(
            "# HELP till_{name} {says}\n# TYPE till_{name} {kind}\ntill_{name} {value}\n"
        ));
    };
    let flag = u8::from;
    put("commits_total", "counter", "Durable commits of this shop.", &req.app.store.seq()?);
    put("read_only", "gauge", "1 while the disk takes no writes.", &flag(req.app.store.trouble().is_some()));
    put("data_file_bytes", "gauge", "What the data file takes on the disk.", &size.file_bytes);
    put("data_live_bytes", "gauge", "Pages of the data file that something is in.", &size.live_bytes);
    put("data_file_ratio", "gauge", "File to live bytes; `till compact` brings it near 1.", &size.ratio());
    put("restored", "gauge", "1 until a restored shop is confirmed.", &flag(restored.is_some()));
    if let Some(last) = standing.last_at {
        let age = (req.now().0 - last.0) / 1000;
        put("backup_age_seconds", "gauge", "Since the last good backup was made.", &age);
    }
    put("backup_failed", "gauge", "1 when the last try to back up failed.", &flag(standing.failed.is_some()));
    let (waiting, given_up) = req.app.store.read(|tx| {
        Ok::<_, ApiError>((
            outbox::count(tx, State::Waiting, u64::MAX)?,
            outbox::count(tx, State::GivenUp, u64::MAX)?,
        ))
    })?;
    let computed = req.app.passwords.computed();
    put("password_hashes_total", "counter", "Password hashes that this process computed.", &computed);
    put("mails_waiting", "gauge", "Mails that are not sent yet.", &waiting);
    put("mails_given_up", "gauge", "Mails of the last 30 days that were given up.", &given_up);
    Ok(Reply::bytes(http::StatusCode::OK, METRICS_TYPE, text).header(header::CACHE_CONTROL, "no-store"))
}
