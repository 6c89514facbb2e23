//! What happens on a clock rather than on a request. Every job is safe to run twice, and can be run by hand.

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
/// Most rows that one commit of the housekeeping removes, so that it never holds up a checkout.
const SWEPT: usize = 200;

/// Does once whatever is due.
pub async fn run_due(app: &App) {
    report("expire holds", checkout::expire_holds(app).await);
    if app.gateways.find(Some(PROVIDER)).is_some() {
        report("test gateway", TestGateway::tell_late(app).await);
    }
    report("gateway events", payments::work_events(app).await);
    report("reconcile", payments::reconcile(app, Some(app.clock.now())).await);
    report("housekeeping", sweep(app).await);
}

/// Removes idempotency keys, sessions and undo data of imports that ran out, a few in each commit, until none are left. With nothing to
/// remove nothing is written.
async fn sweep(app: &App) -> Result<(), accounts::AccountError> {
    loop {
        let act = |tx: &mut WriteTx| {
            let swept = [store::forget(tx, SWEPT)?, accounts::forget_sessions(tx, SWEPT)?];
            Ok::<_, accounts::AccountError>((swept, catalogue::forget_imports(tx, SWEPT)?))
        };
        let ([keys, sessions], imported) = app.store.write(act).await?;
        if keys < SWEPT && sessions < SWEPT && imported == 0 {
            return Ok(());
        }
    }
}

fn report<T, E: std::fmt::Display>(job: &str, result: Result<T, E>) {
    if let Err(error) = result {
        tracing::error!(job, %error, "a job failed; it will be tried again");
    }
}

/// Runs the jobs until `stop` says so. Payments that a crash cut short are gone on with first of all.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    report("reconcile", payments::reconcile(&app, None).await);
    loop {
        // A bug in one job must not end them all.
        if AssertUnwindSafe(run_due(&app)).catch_unwind().await.is_err() {
            tracing::error!("a job panicked; the jobs go on");
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}
