//! What happens on a clock rather than on a request. Every job is safe to run twice, to be cut short anywhere, and
//! can be run by hand.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::accounts;
use crate::app::App;
use crate::backup;
use crate::cart;
use crate::catalogue;
use crate::certs;
use crate::checkout;
use crate::mail;
use crate::outbox;
use crate::payments;
use crate::payments::gateway::test::{PROVIDER, TestGateway};
use crate::privacy;
use crate::store::{self, WriteTx};
use crate::wishlist;

/// How often is looked whether something is due.
const EVERY: Duration = Duration::from_secs(1);
/// How often the gateways are asked what they have that the journal lacks.
const SWEEP_EVERY: Duration = Duration::from_mins(15);
/// Most rows that one commit of the housekeeping removes, so that it never holds up a checkout.
const SWEPT: usize = 200;

/// Most people who are told in one commit that what they wish for is back.
const TOLD: usize = 100;

/// How soon a backup that failed is tried again.
const TRY_BACKUP_AFTER: Duration = Duration::from_mins(15);

/// Does once whatever is due.
pub async fn run_due(app: &App) {
    expire(app).await;
    tell(app).await;
    for provider in providers(app) {
        hear(app, provider).await;
    }
    for provider in providers(app) {
        reconcile(app, provider).await;
    }
    try_again(app).await;
    tell_wishers(app).await;
    send_mails(app).await;
    keep_house(app).await;
    finish_erasures(app).await;
    note_stopped(app).await;
    certs::look_after(app).await;
}

/// Whose payments there may be: those that are switched on, and the built-in one.
fn providers(app: &App) -> BTreeSet<&'static str> {
    app.gateways.all().map(|gateway| gateway.provider()).chain([PROVIDER]).collect()
}

async fn expire(app: &App) {
    report("expire holds", checkout::expire_holds(app).await);
}

async fn tell(app: &App) {
    if app.gateways.find(Some(PROVIDER)).is_some() {
        report("test gateway", TestGateway::tell_late(app).await);
    }
}

async fn hear(app: &App, provider: &str) {
    report("gateway events", payments::work_events(app, provider).await);
}

async fn reconcile(app: &App, provider: &str) {
    report("reconcile", payments::reconcile(app, provider, Some(app.clock.now())).await);
}

async fn try_again(app: &App) {
    report("failed refunds", payments::try_again(app).await);
}

/// The count of payments that were not let begin.
async fn note_stopped(app: &App) {
    report("stopped payments", payments::note_stopped(app).await);
}

async fn send_mails(app: &App) {
    report("mail", mail::send_due(app).await);
}

/// Persons whose erasure was cut short.
async fn finish_erasures(app: &App) {
    report("erasures", privacy::finish(app).await);
}

async fn tell_wishers(app: &App) {
    report("wishes come back", tell_of_wishes(app).await);
}

/// Some people in each commit, until all were told. With nobody to tell nothing is written.
async fn tell_of_wishes(app: &App) -> Result<(), store::StoreError> {
    while app.store.write(|tx| wishlist::tell_of_one(tx, TOLD)).await? {}
    Ok(())
}

/// Removes idempotency keys, sessions and undo data of imports that ran out, old events of gateways, mails that were
/// sent long ago, and carts that were left.
async fn keep_house(app: &App) {
    report("housekeeping", sweep(app).await);
}

/// A few rows in each commit, until none are left. With nothing to remove nothing is written.
async fn sweep(app: &App) -> Result<(), accounts::AccountError> {
    loop {
        let act = |tx: &mut WriteTx| {
            let sessions = accounts::forget_sessions(tx, SWEPT)?;
            let (events, carts) = (payments::forget_events(tx, SWEPT)?, cart::forget(tx, SWEPT)?);
            let (mails, resets) = (outbox::forget(tx, SWEPT)?, accounts::forget_resets(tx, SWEPT)?);
            let known = accounts::forget_known(tx, SWEPT)?;
            let stopped = payments::forget_stopped(tx, SWEPT)?;
            let swept = [store::forget(tx, SWEPT)?, sessions, events, carts, mails, resets, known, stopped];
            Ok::<_, accounts::AccountError>((swept, catalogue::forget_imports(tx, SWEPT)?))
        };
        let (swept, imported) = app.store.write(act).await?;
        if swept.iter().all(|rows| *rows < SWEPT) && imported == 0 {
            return Ok(());
        }
    }
}

async fn report_of<T, E: std::fmt::Display>(job: &str, work: impl Future<Output = Result<T, E>>) {
    report(job, work.await);
}

fn report<T, E: std::fmt::Display>(job: &str, result: Result<T, E>) {
    if let Err(error) = result {
        tracing::error!(job, %error, "a job failed; it will be tried again");
    }
}

/// Makes a backup if one is due by the schedule. How it went is told by the log, `/readyz` and the metrics.
pub async fn back_up(app: &Arc<App>) {
    let Some(schedule) = app.config.schedule() else { return };
    let standing = match app.store.read(backup::standing) {
        Ok(standing) => standing,
        Err(error) => return report("backup", Err::<(), _>(error)),
    };
    let now = app.clock.now();
    let due = schedule.last_due(now);
    let is_made = standing.made_at.is_some_and(|at| at >= due);
    let is_early = standing.failed.is_some_and(|failed| now < failed.at.plus(TRY_BACKUP_AFTER));
    if !is_made && !is_early {
        // It says itself how it went.
        let _ = backup::make(app, Some(schedule.keeping)).await;
    }
}

/// Runs the jobs until `stop` says so, each beside the others, and each provider's beside the other providers': a
/// gateway that does not answer holds up none but its own. A letter that is being handed over is handed over; whatever
/// else is cut short by the stop is journalled, and gone on with at the next start.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let whole = &app;
    let app = &*app;
    report("backups that were cut off", backup::clear_away(app));
    report("open payments", payments::warn_of_switched_off(app));
    let of_providers = providers(app).into_iter().map(|provider| async move {
        tokio::join!(
            // Payments that a crash cut short are gone on with at once, whenever they are due.
            once("reconcile", report_of("reconcile", payments::reconcile(app, provider, None))),
            again(app, "gateway events", || hear(app, provider), || event_or_pause(app)),
            again(app, "reconcile", || reconcile(app, provider), pause),
        )
    });
    let of_gateways = app.gateways.all().map(|gateway| {
        let look = move || async move { report("sweep", payments::look_around(app, &**gateway).await) };
        again(app, "sweep", look, || tokio::time::sleep(SWEEP_EVERY))
    });
    let helpers = (0..mail::HELPERS)
        .map(|_| again(app, "mail", move || report_of("mail", mail::help_send(app)), pause));
    let all = async {
        tokio::join!(
            again(app, "expire holds", || expire(app), pause),
            again(app, "test gateway", || tell(app), pause),
            again(app, "backup", || back_up(whole), pause),
            again(app, "housekeeping", || keep_house(app), pause),
            again(app, "mail", || send_mails(app), pause),
            again(app, "wishes", || tell_wishers(app), pause),
            again(app, "stopped payments", || note_stopped(app), pause),
            again(app, "erasures", || finish_erasures(app), pause),
            // Customers need it also where nothing can be written.
            always("certificate", || certs::look_after(app), pause),
            again(app, "failed refunds", || try_again(app), || tokio::time::sleep(SWEEP_EVERY)),
            join_all(helpers),
            join_all(of_providers),
            join_all(of_gateways),
        )
    };
    let stopped = async {
        let _ = stop.wait_for(|stop| *stop).await;
        // A letter that the server is about to take would go out a second time at the next start.
        let _ = timeout(app.config.mail_timeout().min(LETTER_TIME), app.mail.settled()).await;
    };
    tokio::select! {
        _ = all => {}
        () = stopped => {}
    }
}

/// How long a stop waits for the mail server: customers wait, too, for whoever comes next.
const LETTER_TIME: Duration = Duration::from_secs(10);

async fn event_or_pause(app: &App) {
    tokio::select! {
        () = app.events_came.notified() => {}
        () = pause() => {}
    }
}

async fn pause() {
    tokio::time::sleep(EVERY).await;
}

/// Does a job again and again, while there is a disk to write to.
async fn again<W, P>(app: &App, job: &str, work: impl Fn() -> W, pause: impl Fn() -> P)
where
    W: Future<Output = ()>,
    P: Future<Output = ()>,
{
    let work = || async {
        if app.store.trouble().is_none() {
            work().await;
        }
    };
    always(job, work, pause).await;
}

/// Does a job again and again. A bug in it must not end it, nor the others.
async fn always<W, P>(job: &str, work: impl Fn() -> W, pause: impl Fn() -> P)
where
    W: Future<Output = ()>,
    P: Future<Output = ()>,
{
    loop {
        once(job, work()).await;
        pause().await;
    }
}

async fn once(job: &str, work: impl Future<Output = ()>) {
    if AssertUnwindSafe(work).catch_unwind().await.is_err() {
        tracing::error!(job, "a job panicked; it goes on");
    }
}
