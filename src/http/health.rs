//! For whoever watches the process.

use std::sync::atomic::Ordering;

use http::{StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, ApiError, Origin, Reply, Req, Routes, for_everybody, get, ok};
use crate::accounts::Scope;
use crate::backup::standing;
use crate::certs::Failed;
use crate::clock::Time;
use crate::outbox::{self, State};
use crate::payments::gateway::Mode;
use crate::payments::gateway::test::PROVIDER;
use crate::payments::{failed, restored};
use crate::store::commit_of;

const VERSION: &str = env!("CARGO_PKG_VERSION");

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
    /// For those in charge.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
}

#[derive(Serialize, JsonSchema)]
struct ReadOnly {
    status: &'static str,
    /// For those in charge.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What everybody may know of a shop that can read and write.
#[derive(Serialize, JsonSchema)]
struct Ready {
    status: &'static str,
    /// Whether this is a demo, where no money moves.
    demo: bool,
    payment: Vec<GatewayView>,
    #[serde(flatten)]
    inside: Option<Inside>,
}

/// What those in charge should know of it.
#[derive(Serialize, JsonSchema)]
struct Inside {
    version: &'static str,
    /// The number of the last commit.
    commit: u64,
    /// Null where no schedule makes backups.
    backup: Option<BackupView>,
    mail: MailView,
    /// Null where the shop does not speak HTTPS by itself.
    https: Option<HttpsView>,
    /// Refunds that failed at their gateway, and whose money a person must give back.
    refunds_failed: u64,
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
#[schemars(rename = "ReadyFailure")]
struct FailureView {
    at: Time,
    said: String,
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
#[schemars(rename = "ReadyHttps")]
struct HttpsView {
    /// When the certificate ends; null before the first was had.
    certificate_until: Option<Time>,
    /// Why another could not be had.
    failed: Option<TryView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReadyTry")]
struct TryView {
    at: Time,
    said: String,
    /// When the next try is made.
    next_at: Time,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReadyRestored")]
struct RestoredView {
    restored_at: Time,
}

/// Whether who asks is in charge: at the operator's door or the operations', or with a token for that. What runs here, how
/// much it sells and what it lacks is nobody else's business.
fn is_in_charge(req: &Req) -> bool {
    req.origin == Origin::Operations || req.admin(Scope::ShopRead).is_ok()
}

/// The process lives.
async fn healthz(req: Req) -> Answer {
    Ok(ok(&Alive { status: "ok", version: is_in_charge(&req).then_some(VERSION) }))
}

/// It can write and read: the disk has room, and a small commit of its own goes to it.
async fn readyz(req: Req) -> Answer {
    let (now, store) = (req.now(), &req.app.store);
    // One probe a second is enough, however many ask.
    let probed =
        if now.0 - req.app.probed_at.load(Ordering::Relaxed) >= 1000 { store.probe().await } else { Ok(()) };
    if let Some(why) = store.trouble() {
        let said = ReadOnly { status: "read_only", reason: is_in_charge(&req).then_some(why) };
        return Ok(Reply::json(StatusCode::SERVICE_UNAVAILABLE, &said).header(header::RETRY_AFTER, "2"));
    }
    probed?;
    req.app.probed_at.fetch_max(now.0, Ordering::Relaxed);
    let gateways = req.app.gateways.all().map(|gateway| GatewayView {
        provider: gateway.provider().to_owned(),
        mode: gateway.mode(),
        warning: (gateway.provider() == PROVIDER)
            .then_some("The built-in test gateway is ON: orders are paid with no money at all."),
    });
    let inside = is_in_charge(&req).then(|| inside(&req)).transpose()?;
    Ok(ok(&Ready { status: "ready", demo: req.app.demo, payment: gateways.collect(), inside }))
}

fn inside(req: &Req) -> Result<Inside, ApiError> {
    let has_schedule = req.app.config.schedule().is_some();
    req.app.store.read(|tx| {
        let backup = has_schedule.then(|| standing(tx)).transpose()?;
        let backup = backup.map(|standing| BackupView {
            last_at: standing.last_at,
            age_seconds: standing.last_at.map(|at| (req.now().0 - at.0) / 1000),
            failed: standing.failed.map(|failed| FailureView { at: failed.at, said: failed.said }),
        });
        let count = |state| outbox::count(tx, state, MAILS);
        Ok(Inside {
            version: VERSION,
            commit: commit_of(tx)?,
            backup,
            mail: MailView {
                sends: req.app.mail.sends(),
                waiting: count(State::Waiting)?,
                given_up: count(State::GivenUp)?,
            },
            https: req.app.https().map(|https| {
                let standing = https.standing();
                HttpsView {
                    certificate_until: standing.ends_at,
                    failed: standing.failed.map(|Failed { at, said, next_at }| TryView { at, said, next_at }),
                }
            }),
            refunds_failed: failed(tx)?.len() as u64,
            restored: restored(tx)?.map(|mark| RestoredView { restored_at: mark.restored_at }),
        })
    })
}
