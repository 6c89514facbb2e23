//! For whoever watches the process.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::{Answer, ApiError, Req, Routes, get, ok};
use crate::payments::gateway::test::PROVIDER;
use crate::store::COUNTERS;

pub fn routes() -> Routes {
    Routes::new().at("/healthz", get(healthz)).at("/readyz", get(readyz))
}

/// The process lives.
async fn healthz(_req: Req) -> Answer {
    Ok(ok(&json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")})))
}

/// It can write and read: a small commit of its own goes to the disk.
async fn readyz(req: Req) -> Answer {
    let now = req.now();
    // One probe a second is enough, however many ask.
    if now.0 - req.app.probed_at.load(Ordering::Relaxed) >= 1000 {
        req.write(|tx| {
            let probe = "readiness probe".to_owned();
            let probes = COUNTERS.get(tx, &probe)?.unwrap_or(0) + 1;
            COUNTERS.put(tx, &probe, &probes).map_err(ApiError::from)
        })
        .await?;
        req.app.probed_at.store(now.0, Ordering::Relaxed);
    }
    let seq = req.app.store.seq()?;
    let gateways = req.app.gateways.all().map(|gateway| {
        let mut shown = json!({"provider": gateway.provider(), "mode": gateway.mode()});
        if gateway.provider() == PROVIDER {
            let warning = "The built-in test gateway is ON: orders are paid with no money at all.";
            shown["warning"] = warning.into();
        }
        shown
    });
    Ok(ok(&json!({
        "status": "ready",
        "version": env!("CARGO_PKG_VERSION"),
        "commit": seq,
        "demo": req.app.demo,
        "payment": gateways.collect::<Vec<_>>(),
    })))
}
