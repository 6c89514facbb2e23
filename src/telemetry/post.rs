//! What is sent to those who watch over the shop: in the background, some letters at the most, each tried a few times.
//! Handing one in never waits. What can't be kept or delivered is dropped and counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::http::outgoing;

/// Most letters that wait, and most bytes of them.
const MOST: usize = 256;
const MOST_BYTES: usize = 4 << 20;
/// How long a letter may take on its way.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often one is tried.
const TRIES: u32 = 4;
/// The pause after a failure, doubled with each that follows, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// No wish for a pause is heard beyond this.
const MOST_PATIENCE: Duration = Duration::from_hours(24);
/// How long a stop waits for what is still to be sent.
const LAST_CALL: Duration = Duration::from_secs(2);
/// How often the log has it that letters are lost.
const LOG_EVERY: Duration = Duration::from_mins(5);
/// Most bytes of a refusal that stand in the log.
const SAID: usize = 200;

/// A box that letters are put into, for one recipient.
pub struct Post {
    shared: Arc<Shared>,
    line: Line,
    closing: watch::Sender<bool>,
    carrier: Mutex<Option<JoinHandle<()>>>,
}

/// The way to a recipient.
#[derive(Clone)]
struct Line {
    client: reqwest::Client,
    pause: Pause,
}

/// How long nothing is to be sent after an answer.
type Pause = fn(StatusCode, &HeaderMap) -> Option<Duration>;

struct Shared {
    /// Whom the letters are for, in the log.
    to: &'static str,
    waiting: Mutex<Waiting>,
    came: tokio::sync::Notify,
    sent: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    letters: VecDeque<Request<Bytes>>,
    bytes: usize,
}

impl Post {
    /// Begins to carry what is put in. `pause` is how long nothing is to be sent after an answer, as the recipient
    /// says it; [`retry_after`] for one without ways of its own.
    ///
    /// # Panics
    /// Outside of a runtime, or when the system's certificate authorities can't be read.
    pub fn new(to: &'static str, pause: Pause) -> Post {
        let client = outgoing().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
        let client = client.build().expect("the system's certificate authorities are readable");
        let shared = Arc::new(Shared {
            to,
            waiting: Mutex::default(),
            came: tokio::sync::Notify::new(),
            sent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        });
        let (closing, stop) = watch::channel(false);
        let line = Line { client, pause };
        let carrier =
            Carrier { shared: Arc::clone(&shared), line: line.clone(), stop, failures: 0, logged_at: None };
        Post { shared, line, closing, carrier: Mutex::new(Some(tokio::spawn(carrier.run()))) }
    }

    /// Puts a letter in; one that finds no room is dropped. What came first is kept, because what follows is more often
    /// its consequence than the other way round.
    pub fn send(&self, letter: Request<Bytes>) {
        let size = letter.body().len();
        let mut waiting = self.shared.waiting();
        if waiting.letters.len() >= MOST || waiting.bytes + size > MOST_BYTES || *self.closing.borrow() {
            drop(waiting);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.bytes += size;
        waiting.letters.push_back(letter);
        drop(waiting);
        self.shared.came.notify_one();
    }

    /// Sends a letter at once, past those that wait, and tells what came of it.
    ///
    /// # Errors
    /// Why it was not taken.
    pub async fn deliver(&self, letter: Request<Bytes>) -> Result<(), String> {
        self.line.send(letter).await.0.map_err(|failure| failure.said)
    }

    /// Whom the letters are for.
    pub fn to(&self) -> &'static str {
        self.shared.to
    }

    /// How many letters were delivered.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// How many letters were dropped: no room, refused, or tried too often.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Takes nothing more, and sends what still waits, for two seconds at the most.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        let carrier = self.carrier.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut carrier) = carrier
            && timeout(LAST_CALL, &mut carrier).await.is_err()
        {
            carrier.abort();
        }
        let left = self.shared.waiting().letters.len() as u64;
        self.shared.dropped.fetch_add(left, Ordering::Relaxed);
    }
}

impl Shared {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first letter that waits; it stays where it is until it is [`Shared::done`] with.
    fn first(&self) -> Option<Request<Bytes>> {
        self.waiting().letters.front().cloned()
    }

    fn done(&self, is_sent: bool) {
        let mut waiting = self.waiting();
        if let Some(letter) = waiting.letters.pop_front() {
            waiting.bytes -= letter.body().len();
        }
        drop(waiting);
        let count = if is_sent { &self.sent } else { &self.dropped };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Who carries the letters of one box.
struct Carrier {
    shared: Arc<Shared>,
    line: Line,
    stop: watch::Receiver<bool>,
    /// How often nothing came through since something did.
    failures: u32,
    logged_at: Option<Instant>,
}

/// Why a letter was not taken.
struct Failure {
    said: String,
    /// Whether it may come through later.
    may_pass: bool,
}

impl Carrier {
    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let is_last_call = *self.stop.borrow();
            match shared.first() {
                Some(letter) => {
                    if !self.carry(letter).await {
                        return;
                    }
                }
                None if is_last_call => return,
                None => tokio::select! {
                    () = shared.came.notified() => {}
                    _ = self.stop.wait_for(|stop| *stop) => {}
                },
            }
        }
    }

    /// Tries a letter until it is taken or given up; false when there is no time for the others.
    async fn carry(&mut self, letter: Request<Bytes>) -> bool {
        for tries in 1..=TRIES {
            let (tried, wanted) = self.line.send(letter.clone()).await;
            let (is_over, pause) = match tried {
                Ok(()) => {
                    self.shared.done(true);
                    if std::mem::take(&mut self.failures) > 0 {
                        self.logged_at = None;
                        tracing::info!(to = self.shared.to, "what is told gets through again");
                    }
                    (true, None)
                }
                Err(Failure { said, may_pass }) => {
                    let is_over = !may_pass || tries == TRIES;
                    if is_over {
                        self.shared.done(false);
                    }
                    self.failures += 1;
                    self.complain(&said);
                    let pause = FIRST_PAUSE.saturating_mul(1 << (self.failures - 1).min(10));
                    (is_over, may_pass.then(|| pause.min(LONGEST_PAUSE)))
                }
            };
            if let Some(pause) = wanted.max(pause)
                && !self.rest(pause).await
            {
                return false;
            }
            if is_over {
                return true;
            }
        }
        true
    }

    /// Waits; false when a stop cuts that short.
    async fn rest(&mut self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        tokio::select! {
            () = sleep_until(until) => true,
            _ = self.stop.wait_for(|stop| *stop) => false,
        }
    }

    /// Says in the log, now and then, that letters do not get through. It is no error, which would be reported in turn.
    fn complain(&mut self, said: &str) {
        if self.logged_at.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            self.logged_at = Some(Instant::now());
            let dropped = self.shared.dropped.load(Ordering::Relaxed);
            tracing::warn!(to = self.shared.to, said, dropped, "what is told does not get through");
        }
    }
}

impl Line {
    /// Sends a letter; also tells how long nothing is to be sent now.
    async fn send(&self, letter: Request<Bytes>) -> (Result<(), Failure>, Option<Duration>) {
        let failed = |error: &reqwest::Error, may_pass| Failure { said: reason(error), may_pass };
        let request = match reqwest::Request::try_from(letter) {
            Ok(request) => request,
            Err(error) => return (Err(failed(&error, false)), None),
        };
        let mut answer = match self.client.execute(request).await {
            Ok(answer) => answer,
            Err(error) => return (Err(failed(&error, true)), None),
        };
        let status = answer.status();
        let pause = (self.pause)(status, answer.headers()).map(|pause| pause.min(MOST_PATIENCE));
        // Read to its end, so that the connection can be used again.
        let said = answer.chunk().await.ok().flatten().unwrap_or_default();
        if status.is_success() {
            return (Ok(()), pause);
        }
        let said = String::from_utf8_lossy(&said[..said.len().min(SAID)]).into_owned();
        let said = format!("it answered {status}: {said}");
        let may_pass = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        (Err(Failure { said, may_pass }), pause)
    }
}

/// What lies at the bottom of an error, without the URL, which may hold a key.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// How long a recipient wants to be left alone: what it says after 429 and 503, a minute where it does not say.
pub fn retry_after(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    if status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::SERVICE_UNAVAILABLE {
        return None;
    }
    let said = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = said.and_then(|said| said.trim().parse::<f64>().ok()).filter(|seconds| *seconds >= 0.0);
    let default = (status == StatusCode::TOO_MANY_REQUESTS).then_some(60.0);
    seconds.or(default).map(|seconds| Duration::from_secs_f64(seconds.min(MOST_PATIENCE.as_secs_f64())))
}
