//! For whoever watches the process.

use std::sync::atomic::Ordering;

use http::{StatusCode, header};
use serde_json::json;

use super::{Answer, Origin, Reply, Req, Routes, get, ok};
use crate::backup::standing;
use crate::outbox::{self, State};
use crate::payments::gateway::test::PROVIDER;
use crate::payments::restored;
use crate::store::StoreError;

/// Up to how many mails are counted: whoever watches asks often.
const MAILS: u64 = 1000;

pub fn routes() -> Routes {
    Routes::new()
        .at("/healthz", get(healthz, crate::http::undescribed()))
        .at("/readyz", get(readyz, crate::http::undescribed()))
}

/// The process lives.
async fn healthz(_req: Req) -> Answer {
    Ok(ok(&json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")})))
}

/// It can write and read: the disk has room, and a small commit of its own goes to it.
async fn readyz(req: Req) -> Answer {
    let (now, store) = (req.now(), &req.app.store);
    // One probe a second is enough, however many ask.
    let probed =
        if now.0 - req.app.probed_at.load(Ordering::Relaxed) >= 1000 { store.probe().await } else { Ok(()) };
    if let Some(why) = store.trouble() {
        let said = json!({"status": "read_only", "version": env!("CARGO_PKG_VERSION"), "reason": why});
        return Ok(Reply::json(StatusCode::SERVICE_UNAVAILABLE, &said).header(header::RETRY_AFTER, "2"));
    }
    probed?;
    req.app.probed_at.fetch_max(now.0, Ordering::Relaxed);
    let seq = store.seq()?;
    let is_operator = req.origin == Origin::Operator;
    let backup = req.app.config.schedule().map(|_| req.app.store.read(standing)).transpose()?;
    let backup = backup.map(|standing| {
        let age = standing.last_at.map(|at| (req.now().0 - at.0) / 1000);
        // Where they are kept, and why that failed, is the operator's business.
        let failed =
            standing.failed.map(|failed| if is_operator { json!(failed) } else { json!({"at": failed.at}) });
        json!({"last_at": standing.last_at, "age_seconds": age, "failed": failed})
    });
    let restored = req.app.store.read(restored)?.map(|mark| json!({"restored_at": mark.restored_at}));
    let (waiting, given_up) = req.app.store.read(|tx| {
        Ok::<_, StoreError>((
            outbox::count(tx, State::Waiting, MAILS)?,
            outbox::count(tx, State::GivenUp, MAILS)?,
        ))
    })?;
    let mail = json!({"sends": req.app.mail.sends(), "waiting": waiting, "given_up": given_up});
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
        "backup": backup,
        "mail": mail,
        "restored": restored,
    })))
}
