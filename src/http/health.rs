//! For whoever watches the process.

use std::sync::atomic::Ordering;

use http::{StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Origin, Reply, Req, Routes, for_everybody, get, ok};
use crate::backup::standing;
use crate::clock::Time;
use crate::outbox::{self, State};
use crate::payments::gateway::Mode;
use crate::payments::gateway::test::PROVIDER;
use crate::payments::restored;
use crate::store::StoreError;

/// Up to how many mails are counted: whoever watches asks often.
const MAILS: u64 = 1000;

pub fn routes() -> Routes {
    Routes::new().at("/healthz", get(healthz, for_everybody("The process lives").gives::<Alive>())).at(
        "/readyz",
        get(
            readyz,
            for_everybody("The shop can read and write")
                .gives::<Ready>()
                .answers::<ReadOnly>(503, "The disk takes no writes."),
        ),
    )
}

#[derive(Serialize, JsonSchema)]
struct Alive {
    status: &'static str,
    version: &'static str,
}

#[derive(Serialize, JsonSchema)]
struct ReadOnly {
    status: &'static str,
    version: &'static str,
    reason: String,
}

/// What whoever watches should know of a shop that can read and write.
#[derive(Serialize, JsonSchema)]
struct Ready {
    status: &'static str,
    version: &'static str,
    /// The number of the last commit.
    commit: u64,
    /// Whether this is a demo, where no money moves.
    demo: bool,
    payment: Vec<GatewayView>,
    /// Null where no schedule makes backups.
    backup: Option<BackupView>,
    mail: MailView,
    /// Where the data was restored from a backup, until an operator confirms it.
    restored: Option<RestoredView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReadyGateway")]
struct GatewayView {
    provider: String,
    mode: Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'static str>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReadyBackup")]
struct BackupView {
    last_at: Option<Time>,
    age_seconds: Option<i64>,
    failed: Option<FailureView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReadyBackupFailure")]
struct FailureView {
    at: Time,
    /// For the operator alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReadyMail")]
struct MailView {
    /// Whether there is a server that takes them.
    sends: bool,
    /// At most 1000 are counted.
    waiting: u64,
    given_up: u64,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReadyRestored")]
struct RestoredView {
    restored_at: Time,
}

/// The process lives.
async fn healthz(_req: Req) -> Answer {
    Ok(ok(&Alive { status: "ok", version: env!("CARGO_PKG_VERSION") }))
}

/// It can write and read: the disk has room, and a small commit of its own goes to it.
async fn readyz(req: Req) -> Answer {
    let (now, store) = (req.now(), &req.app.store);
    // One probe a second is enough, however many ask.
    let probed =
        if now.0 - req.app.probed_at.load(Ordering::Relaxed) >= 1000 { store.probe().await } else { Ok(()) };
    if let Some(why) = store.trouble() {
        let said = ReadOnly { status: "read_only", version: env!("CARGO_PKG_VERSION"), reason: why };
        return Ok(Reply::json(StatusCode::SERVICE_UNAVAILABLE, &said).header(header::RETRY_AFTER, "2"));
    }
    probed?;
    req.app.probed_at.fetch_max(now.0, Ordering::Relaxed);
    let seq = store.seq()?;
    let is_operator = req.origin == Origin::Operator;
    let backup = req.app.config.schedule().map(|_| req.app.store.read(standing)).transpose()?;
    let backup = backup.map(|standing| BackupView {
        last_at: standing.last_at,
        age_seconds: standing.last_at.map(|at| (req.now().0 - at.0) / 1000),
        // Where they are kept, and why that failed, is the operator's business.
        failed: standing
            .failed
            .map(|failed| FailureView { at: failed.at, said: is_operator.then_some(failed.said) }),
    });
    let restored = req.app.store.read(restored)?.map(|mark| RestoredView { restored_at: mark.restored_at });
    let (waiting, given_up) = req.app.store.read(|tx| {
        Ok::<_, StoreError>((
            outbox::count(tx, State::Waiting, MAILS)?,
            outbox::count(tx, State::GivenUp, MAILS)?,
        ))
    })?;
    let gateways = req.app.gateways.all().map(|gateway| GatewayView {
        provider: gateway.provider().to_owned(),
        mode: gateway.mode(),
        warning: (gateway.provider() == PROVIDER)
            .then_some("The built-in test gateway is ON: orders are paid with no money at all."),
    });
    Ok(ok(&Ready {
        status: "ready",
        version: env!("CARGO_PKG_VERSION"),
        commit: seq,
        demo: req.app.demo,
        payment: gateways.collect(),
        backup,
        mail: MailView { sends: req.app.mail.sends(), waiting, given_up },
        restored,
    }))
}
