//! What happens on a clock rather than on a request. Every job is safe to run twice, to be cut short anywhere, and
//! can be run by hand.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;

use crate::accounts;
use crate::app::App;
use crate::catalogue;
use crate::checkout;
use crate::payments;
use crate::payments::gateway::test::{PROVIDER, TestGateway};
use crate::store::{self, WriteTx};

/// How often is looked whether something is due.
const EVERY: Duration = Duration::from_secs(1);
/// How often the gateways are asked what they have that the journal lacks.
const SWEEP_EVERY: Duration = Duration::from_mins(15);
/// Most rows that one commit of the housekeeping removes, so that it never holds up a checkout.
const SWEPT: usize = 200;

/// Does once whatever is due.
pub async fn run_due(app: &App) {
    expire(app).await;
    hear(app).await;
    reconcile(app).await;
    keep_house(app).await;
}

async fn expire(app: &App) {
    report("expire holds", checkout::expire_holds(app).await);
}

async fn hear(app: &App) {
    if app.gateways.find(Some(PROVIDER)).is_some() {
        report("test gateway", TestGateway::tell_late(app).await);
    }
    report("gateway events", payments::work_events(app).await);
}

async fn reconcile(app: &App) {
    report("reconcile", payments::reconcile(app, Some(app.clock.now())).await);
}

/// Removes idempotency keys, sessions, old events of gateways, and undo data of imports that ran out.
async fn keep_house(app: &App) {
    report("housekeeping", sweep(app).await);
}

/// A few rows in each commit, until none are left. With nothing to remove nothing is written.
async fn sweep(app: &App) -> Result<(), accounts::AccountError> {
    loop {
        let act = |tx: &mut WriteTx| {
            let sessions = accounts::forget_sessions(tx, SWEPT)?;
            let swept = [store::forget(tx, SWEPT)?, sessions, payments::forget_events(tx, SWEPT)?];
            Ok::<_, accounts::AccountError>((swept, catalogue::forget_imports(tx, SWEPT)?))
        };
        let (swept, imported) = app.store.write(act).await?;
        if swept.iter().all(|rows| *rows < SWEPT) && imported == 0 {
            return Ok(());
        }
    }
}

fn report<T, E: std::fmt::Display>(job: &str, result: Result<T, E>) {
    if let Err(error) = result {
        tracing::error!(job, %error, "a job failed; it will be tried again");
    }
}

/// Runs the jobs until `stop` says so, each beside the others: a gateway that does not answer holds up none but its
/// own. What is cut short by the stop is journalled, and gone on with at the next start.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let app = &*app;
    let all = async {
        tokio::join!(
            again("expire holds", || expire(app), pause),
            again(
                "gateway events",
                || hear(app),
                || async {
                    tokio::select! {
                        () = app.events_came.notified() => {}
                        () = pause() => {}
                    }
                }
            ),
            again("reconcile", || reconcile(app), pause),
            again("sweep", || ask_the_gateways(app), || tokio::time::sleep(SWEEP_EVERY)),
            again("housekeeping", || keep_house(app), pause),
        )
    };
    tokio::select! {
        _ = all => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

/// Payments that a crash cut short are gone on with, whenever they are due; and what the gateways have is read.
async fn ask_the_gateways(app: &App) {
    report("reconcile", payments::reconcile(app, None).await);
    report("sweep", payments::sweep(app).await);
}

async fn pause() {
    tokio::time::sleep(EVERY).await;
}

/// Does a job again and again. A bug in it must not end it, nor the others.
async fn again<W, P>(job: &str, work: impl Fn() -> W, pause: impl Fn() -> P)
where
    W: Future<Output = ()>,
    P: Future<Output = ()>,
{
    loop {
        if AssertUnwindSafe(work()).catch_unwind().await.is_err() {
            tracing::error!(job, "a job panicked; it goes on");
        }
        pause().await;
    }
}
