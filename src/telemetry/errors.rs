//! Errors, told to Sentry and Rollbar: panics, answers that are our fault, and whatever is logged as an error. Each
//! kind of fault at most once a minute, with how often it was left out; written and sent in the background.

use std::backtrace::Backtrace;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, StatusCode};
use rand::RngExt;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::asked::{Asked, Finished};
use super::post::{Post, retry_after};
use super::recent::Recent;
use super::report::{Frame, Level, Report};
use super::rollbar::Rollbar;
use super::scrub::scrubbed;
use super::sentry::{self, Sentry};
use super::told::Told;
use crate::config::Config;
use crate::hex::hex;

/// How many reports may wait to be written.
const UNWRITTEN: usize = 64;
/// How long a stop waits for reports to be written.
const LAST_CALL: Duration = Duration::from_secs(1);

/// Where errors are told.
#[derive(Default)]
pub struct Errors(Option<Inner>);

struct Inner {
    recipients: Arc<Vec<Recipient>>,
    unwritten: Mutex<Option<mpsc::Sender<Report>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Reports that were not written, because too many waited.
    dropped: AtomicU64,
    sample_percent: u64,
    recent: Recent,
    told: Mutex<Told>,
}

struct Recipient {
    post: Post,
    kind: Kind,
}

enum Kind {
    Sentry(Sentry),
    Rollbar(Rollbar),
}

impl Recipient {
    fn letter(&self, report: &Report, frames: &[Frame]) -> Request<Bytes> {
        match &self.kind {
            Kind::Sentry(sentry) => sentry.letter(report, frames),
            Kind::Rollbar(rollbar) => rollbar.letter(report, frames),
        }
    }
}

/// What happened, before anything else is known of it.
struct Fault<'a> {
    level: Level,
    kind: &'static str,
    said: &'a str,
    /// What faults of the same kind have in common, beside it.
    of: &'a str,
    place: Option<String>,
    status: Option<StatusCode>,
    data: Vec<(&'static str, String)>,
}

impl Errors {
    /// To whom the settings say; to nobody when they name none.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn new(config: &Config) -> Errors {
        let environment = &config.server_environment.0;
        let mut recipients = Vec::new();
        if let Some(dsn) = config.sentry_dsn().expect("checked when the settings were read") {
            let kind = Kind::Sentry(Sentry { dsn, environment: environment.clone() });
            recipients.push(Recipient { post: Post::new("sentry", sentry::pause), kind });
        }
        let token = config.errors_rollbar_token.reveal();
        if !token.is_empty() {
            let url = config.errors_rollbar_url.clone();
            let kind =
                Kind::Rollbar(Rollbar { url, token: token.to_owned(), environment: environment.clone() });
            recipients.push(Recipient { post: Post::new("rollbar", retry_after), kind });
        }
        if recipients.is_empty() {
            return Errors::default();
        }
        let recipients = Arc::new(recipients);
        let (unwritten, reports) = mpsc::channel(UNWRITTEN);
        let writer = tokio::spawn(write(reports, Arc::clone(&recipients)));
        Errors(Some(Inner {
            recipients,
            unwritten: Mutex::new(Some(unwritten)),
            writer: Mutex::new(Some(writer)),
            dropped: AtomicU64::new(0),
            sample_percent: config.errors_sample_percent.0,
            recent: Recent::default(),
            told: Mutex::default(),
        }))
    }

    /// Whether anybody is told.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// What happened before; nothing is kept where nobody is told.
    pub fn recent(&self) -> Option<&Recent> {
        self.0.as_ref().map(|inner| &inner.recent)
    }

    /// The boxes of those who are told.
    pub fn posts(&self) -> impl Iterator<Item = &Post> {
        self.0.iter().flat_map(|inner| inner.recipients.iter().map(|recipient| &recipient.post))
    }

    /// A request was answered: tells of it if that went wrong, and was not told yet. A 503 is none: it says that the shop
    /// can't just now, and what it is that it can't is told by itself.
    pub fn finished(&self, request: &Finished) {
        let is_ours = request.status.is_server_error() && request.status != StatusCode::SERVICE_UNAVAILABLE;
        if is_ours && !request.asked.is_told() {
            let kind = request.code.unwrap_or("error");
            let said = scrubbed(request.cause.unwrap_or("no cause is known"));
            let of = request.asked.route.unwrap_or_default();
            let status = Some(request.status);
            self.tell(&Fault {
                level: Level::Error,
                kind,
                said: &said,
                of,
                place: None,
                status,
                data: vec![],
            });
        }
    }

    /// An error was logged; `said` and `data` are scrubbed.
    pub fn logged(&self, said: &str, place: Option<String>, data: Vec<(&'static str, String)>) {
        // One place speaks for all jobs.
        let jobs = data.iter().filter(|(name, _)| *name == "job").map(|(_, job)| job.as_str());
        let of = place.iter().map(String::as_str).chain(jobs).collect::<Vec<_>>().join(" ");
        self.tell(&Fault { level: Level::Error, kind: "error", said, of: &of, place, status: None, data });
        // The answer that comes of it, if any does, tells nothing new.
        if let Some(asked) = Asked::current() {
            asked.set_told();
        }
    }

    /// A thread panicked, at this place of the code: it is the one that calls this.
    pub fn panicked(&self, said: &str, place: String) {
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        let (said, of) = (scrubbed(said), place.clone());
        let data = vec![("thread", thread)];
        let (level, place) = (Level::Critical, Some(place));
        self.tell(&Fault { level, kind: "panic", said: &said, of: &of, place, status: None, data });
        if let Some(asked) = Asked::current() {
            asked.set_told();
        }
    }

    fn tell(&self, fault: &Fault) {
        let Some(inner) = &self.0 else { return };
        let fingerprint = fingerprint(fault);
        let due =
            inner.told.lock().unwrap_or_else(PoisonError::into_inner).is_due(&fingerprint, Instant::now());
        let Some(untold) = due else { return };
        if rand::rng().random_range(0..100) >= inner.sample_percent {
            return;
        }
        let report = Report {
            // Where it went wrong is known only of a panic.
            backtrace: (fault.level == Level::Critical).then(Backtrace::force_capture),
            untold,
            crumbs: inner.recent.all(),
            ..report(fault, fingerprint)
        };
        let unwritten = inner.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = unwritten.as_ref().is_some_and(|unwritten| unwritten.try_send(report).is_ok());
        if !kept {
            inner.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends everybody a report that nothing is wrong, now: who they are, and why they did not take it.
    pub async fn try_out(&self) -> Vec<(&'static str, Result<(), String>)> {
        let fault = Fault {
            level: Level::Info,
            kind: "test",
            said: "till errors test: what goes wrong in this shop is reported here",
            of: "",
            place: None,
            status: None,
            data: vec![],
        };
        let report = &report(&fault, fingerprint(&fault));
        let recipients = self.0.iter().flat_map(|inner| inner.recipients.iter());
        let tried = recipients.map(|recipient| async move {
            (recipient.post.to(), recipient.post.deliver(recipient.letter(report, &[])).await)
        });
        join_all(tried).await
    }

    /// How many reports were not told because there was no room for them.
    pub fn dropped(&self) -> u64 {
        let unwritten = self.0.as_ref().map_or(0, |inner| inner.dropped.load(Ordering::Relaxed));
        unwritten + self.posts().map(Post::dropped).sum::<u64>()
    }

    /// Tells what is still to be told, for a moment, and nothing after.
    pub async fn close(&self) {
        let Some(inner) = &self.0 else { return };
        drop(inner.unwritten.lock().unwrap_or_else(PoisonError::into_inner).take());
        let writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = tokio::time::timeout(LAST_CALL, writer).await;
        }
        join_all(self.posts().map(Post::close)).await;
    }
}

/// Writes reports, which may take long where a backtrace must be resolved.
async fn write(mut reports: mpsc::Receiver<Report>, recipients: Arc<Vec<Recipient>>) {
    while let Some(report) = reports.recv().await {
        let to = Arc::clone(&recipients);
        let work = move || {
            let frames = report.frames();
            for recipient in to.iter() {
                recipient.post.send(recipient.letter(&report, &frames));
            }
        };
        let _ = tokio::task::spawn_blocking(work).await;
    }
}

fn report(fault: &Fault, fingerprint: String) -> Report {
    Report {
        id: sentry_types::random_uuid(),
        at: SystemTime::now(),
        level: fault.level,
        kind: fault.kind,
        said: fault.said.to_owned(),
        fingerprint,
        place: fault.place.clone(),
        asked: Asked::current(),
        status: fault.status.map(|status| status.as_u16()),
        data: fault.data.clone(),
        untold: 0,
        crumbs: Vec::new(),
        backtrace: None,
    }
}

/// The same for faults that are the same but for numbers in what they say.
fn fingerprint(fault: &Fault) -> String {
    let said: String = fault.said.chars().filter(|c| !c.is_ascii_digit()).collect();
    // What a panic or a logged error says may be different each time; where it stands in the code is not.
    let said = if fault.place.is_some() { "" } else { &said };
    let whole = [fault.kind, fault.of, said].join("\n");
    hex(&Sha256::digest(whole)[..16])
}
