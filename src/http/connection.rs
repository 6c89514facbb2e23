//! What one connection may cost: how long a client may take over a request's head, over reading an answer, and over
//! asking for nothing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long a client may take over a request's head.
pub const HEADER_TIME: Duration = Duration::from_secs(10);
/// How long a client may stop to read an answer.
const READ_TIME: Duration = Duration::from_secs(30);
/// How long a connection is kept on which nothing is asked. Proxies keep theirs for a minute, and are to be the first to
/// close them.
const IDLE_TIME: Duration = Duration::from_secs(75);
/// How long, when the shop stops, is waited for who has just come or was just answered: what they ask may be on its way.
pub const ASK_TIME: Duration = Duration::from_secs(1);
/// Over HTTP/2, from how many bytes at once on an answer is gone on with: more than frames that carry none of it have.
const WORTH_NOTING: usize = 256;
/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why a connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Nothing is asked.
    Idle,
    SlowToAsk,
    SlowToRead,
}

/// What goes on on a connection. Times are milliseconds since it was opened, and 0 for none.
pub struct Pulse {
    opened: Instant,
    /// HTTP/2 frames that are no request may come at any time.
    is_http1: bool,
    /// Requests that are worked on.
    running: AtomicUsize,
    /// Answers of which a part is with the client's side to be taken.
    owed: AtomicUsize,
    /// When an answer was last begun, gone on with, or ended.
    moved: AtomicU64,
    /// Since when a request's head is coming in.
    asking: AtomicU64,
    /// Since when the client takes no more bytes.
    stuck: AtomicU64,
}

impl Pulse {
    pub fn new(is_http1: bool) -> Arc<Pulse> {
        Arc::new(Pulse {
            opened: Instant::now(),
            is_http1,
            running: AtomicUsize::new(0),
            owed: AtomicUsize::new(0),
            moved: AtomicU64::new(0),
            asking: AtomicU64::new(0),
            stuck: AtomicU64::new(0),
        })
    }

    fn now(&self) -> u64 {
        (self.opened.elapsed().as_millis() as u64).max(1)
    }

    fn moves(&self) {
        self.moved.store(self.now(), Ordering::Relaxed);
    }

    fn is_quiet(&self) -> bool {
        self.running.load(Ordering::Relaxed) == 0 && self.owed.load(Ordering::Relaxed) == 0
    }

    /// A request is worked on for as long as what this returns lives.
    pub fn run(self: &Arc<Self>) -> Run {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.asking.store(0, Ordering::Relaxed);
        self.moves();
        Run(Arc::clone(self))
    }

    fn reads(&self) {
        if self.is_http1 && self.is_quiet() && self.asking.load(Ordering::Relaxed) == 0 {
            self.asking.store(self.now(), Ordering::Relaxed);
        }
    }

    /// So many bytes went out, or the client takes none. Over HTTP/2 answers to pings go out, too: they are no progress.
    fn writes(&self, taken: Option<usize>) {
        if let Some(taken) = taken {
            self.stuck.store(0, Ordering::Relaxed);
            if self.is_http1 || taken >= WORTH_NOTING && self.owed.load(Ordering::Relaxed) > 0 {
                self.moves();
            }
        } else if self.stuck.load(Ordering::Relaxed) == 0 {
            self.stuck.store(self.now(), Ordering::Relaxed);
        }
    }

    fn look(&self) -> Option<Over> {
        let now = self.now();
        let is_past = |since: u64, span: Duration| now.saturating_sub(since) > span.as_millis() as u64;
        let is_since = |since: &AtomicU64, span| {
            let since = since.load(Ordering::Relaxed);
            since > 0 && is_past(since, span)
        };
        let moved = self.moved.load(Ordering::Relaxed);
        if is_since(&self.stuck, READ_TIME)
            || self.owed.load(Ordering::Relaxed) > 0 && is_past(moved, READ_TIME)
        {
            Some(Over::SlowToRead)
        } else if is_since(&self.asking, HEADER_TIME) {
            Some(Over::SlowToAsk)
        } else if self.is_quiet() && is_past(moved, IDLE_TIME) {
            Some(Over::Idle)
        } else {
            None
        }
    }

    /// Waits until nothing runs, and nobody has asked or was answered for a moment.
    pub async fn left(&self) {
        loop {
            let moved = self.moved.load(Ordering::Relaxed).max(self.asking.load(Ordering::Relaxed));
            let still = self.now().saturating_sub(moved);
            if self.is_quiet() && still > ASK_TIME.as_millis() as u64 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the connection is to end.
    pub async fn over(&self) -> Over {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Some(over) = self.look() {
                return over;
            }
        }
    }
}

/// A request that is worked on.
pub struct Run(Arc<Pulse>);

impl Drop for Run {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
        self.0.moves();
    }
}

/// A stream whose progress is noted.
pub struct Watched<S> {
    inner: S,
    pulse: Arc<Pulse>,
}

impl<S> Watched<S> {
    pub fn new(inner: S, pulse: Arc<Pulse>) -> Watched<S> {
        Watched { inner, pulse }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.pulse.reads();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.pulse.writes(taken(&polled));
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.pulse.writes(taken(&polled));
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// How many bytes were taken; `None` while the client takes none.
fn taken(polled: &Poll<io::Result<usize>>) -> Option<usize> {
    match polled {
        Poll::Ready(written) => Some(*written.as_ref().unwrap_or(&0)),
        Poll::Pending => None,
    }
}

/// The body of an answer. While it waits to be asked for more, it is the client that takes its time; while it has no
/// more to give, whoever writes it.
pub struct Owed<B> {
    inner: B,
    pulse: Arc<Pulse>,
    is_theirs: bool,
}

impl<B> Owed<B> {
    pub fn new(inner: B, pulse: Arc<Pulse>) -> Owed<B> {
        pulse.owed.fetch_add(1, Ordering::Relaxed);
        Owed { inner, pulse, is_theirs: true }
    }

    /// What is counted while it is whose turn.
    fn counted(&self) -> &AtomicUsize {
        if self.is_theirs { &self.pulse.owed } else { &self.pulse.running }
    }
}

impl<B: Body + Unpin> Body for Owed<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        self.counted().fetch_sub(1, Ordering::Relaxed);
        self.is_theirs = polled.is_ready();
        self.counted().fetch_add(1, Ordering::Relaxed);
        self.pulse.moves();
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B> Drop for Owed<B> {
    fn drop(&mut self) {
        self.counted().fetch_sub(1, Ordering::Relaxed);
        self.pulse.moves();
    }
}
