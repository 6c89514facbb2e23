//! What a request went through, as spans of a trace (W3C Trace Context, OpenTelemetry). Only a request that is traced has a
//! [`Context`] with it, so that for all others a span costs one look at whether there is one.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rand::RngExt;
use tokio::sync::Notify;

use super::Asked;
use crate::hex::hex;
use crate::meters::Counter;

/// Most spans that wait to be sent; what comes on top is dropped.
const MOST: usize = 4096;
/// With so many they are sent at once.
const MANY: usize = 512;

/// Numbers of a trace and of a span; never all zero.
pub type TraceId = [u8; 16];
pub type SpanId = [u8; 8];

/// What stands beside a span.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    Text(Cow<'static, str>),
    Number(i64),
    Seconds(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It answers somebody else's request.
    Server,
    /// It asks somebody else.
    Client,
    Internal,
}

/// A part of a trace that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub trace: TraceId,
    pub id: SpanId,
    pub parent: Option<SpanId>,
    pub name: Cow<'static, str>,
    pub kind: Kind,
    pub began: SystemTime,
    pub took: Duration,
    pub attributes: Vec<(&'static str, Attribute)>,
    pub is_error: bool,
}

/// Decides which requests are traced, and keeps their spans until they are sent.
pub struct Tracer {
    /// Of each hundred requests that bring no decision with them, so many are traced.
    percent: u64,
    /// Whether a caller's decision is followed.
    follows: bool,
    ended: Mutex<Vec<Span>>,
    many: Notify,
    pub dropped: Counter,
}

/// The span that others are part of.
#[derive(Clone)]
pub struct Context {
    tracer: Arc<Tracer>,
    trace: TraceId,
    span: SpanId,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.trace))
    }
}

/// A span that has begun.
pub struct Open {
    context: Context,
    clock: Instant,
    span: Span,
}

/// The part of a trace that a caller sends along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    trace: TraceId,
    span: SpanId,
    is_sampled: bool,
}

impl Parent {
    /// Reads a `traceparent` header (W3C Trace Context, 3.2). A later version may have more after what is known.
    pub fn read(header: &str) -> Option<Parent> {
        let (known, rest) = header.split_at_checked(55)?;
        let mut parts = known.split('-');
        let (version, trace) = (bytes::<1>(parts.next()?)?, bytes(parts.next()?)?);
        let (span, flags) = (bytes(parts.next()?)?, bytes::<1>(parts.next()?)?);
        let is_whole = match version[0] {
            0 => rest.is_empty(),
            0xFF => false,
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        let is_good = is_whole && trace != [0; 16] && span != [0; 8];
        is_good.then_some(Parent { trace, span, is_sampled: flags[0] & 1 == 1 })
    }
}

/// Lower-case hexadecimal.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

impl Tracer {
    pub fn new(percent: u64, follows: bool) -> Tracer {
        Tracer { percent, follows, ended: Mutex::default(), many: Notify::new(), dropped: Counter::default() }
    }

    /// Begins the span of a request, if that is to be traced.
    pub fn begin(self: &Arc<Self>, parent: Option<Parent>) -> Option<Open> {
        let is_wanted = match parent {
            Some(parent) if self.follows => parent.is_sampled,
            _ => self.percent > 0 && rand::rng().random_range(0..100) < self.percent,
        };
        is_wanted.then(|| {
            let trace = parent.map_or_else(|| rand::rng().random(), |parent| parent.trace);
            Open::new(self, trace, parent.map(|parent| parent.span), "request", Kind::Server)
        })
    }

    /// What has ended since the last time.
    pub fn take(&self) -> Vec<Span> {
        std::mem::take(&mut *self.ended.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until there is much to send.
    pub async fn has_many(&self) {
        self.many.notified().await;
    }

    fn keep(&self, span: Span) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.len() >= MOST {
            self.dropped.add(1);
            return;
        }
        ended.push(span);
        if ended.len() == MANY {
            self.many.notify_one();
        }
    }
}

/// Begins a span of the request that is worked on, if that is traced.
pub fn child(name: impl Into<Cow<'static, str>>, kind: Kind) -> Option<Open> {
    let asked = Asked::current()?;
    let of = asked.trace.as_ref()?;
    Some(Open::new(&of.tracer, of.trace, Some(of.span), name, kind))
}

impl Open {
    fn new(
        tracer: &Arc<Tracer>,
        trace: TraceId,
        parent: Option<SpanId>,
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
    ) -> Open {
        let id: SpanId = rand::rng().random();
        let span = Span {
            trace,
            id,
            parent,
            name: name.into(),
            kind,
            began: SystemTime::now(),
            took: Duration::ZERO,
            attributes: Vec::new(),
            is_error: false,
        };
        let context = Context { tracer: Arc::clone(tracer), trace, span: id };
        Open { context, clock: Instant::now(), span }
    }

    /// What makes other spans part of this one.
    pub fn context(&self) -> Context {
        self.context.clone()
    }

    pub fn rename(&mut self, name: String) {
        self.span.name = name.into();
    }

    pub fn note(&mut self, name: &'static str, value: impl Into<Attribute>) {
        self.span.attributes.push((name, value.into()));
    }

    /// It went wrong; `kind` says in a word how.
    pub fn fails(&mut self, kind: impl Into<Attribute>) {
        self.span.is_error = true;
        self.note("error.type", kind);
    }

    /// It is over.
    pub fn end(mut self) {
        self.span.took = self.clock.elapsed();
        self.context.tracer.keep(self.span);
    }
}

impl From<&'static str> for Attribute {
    fn from(text: &'static str) -> Attribute {
        Attribute::Text(text.into())
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Attribute {
        Attribute::Text(text.into())
    }
}

impl From<u16> for Attribute {
    fn from(number: u16) -> Attribute {
        Attribute::Number(number.into())
    }
}

impl From<usize> for Attribute {
    fn from(number: usize) -> Attribute {
        Attribute::Number(number as i64)
    }
}

impl From<Duration> for Attribute {
    fn from(span: Duration) -> Attribute {
        Attribute::Seconds(span.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_callers_place_in_a_trace_is_read_as_the_standard_says() {
        let parent = Parent::read(SAMPLED).expect("the standard's own example");
        assert_eq!((parent.trace[0], parent.span[7], parent.is_sampled), (0x4B, 0xB7, true));
        assert!(!Parent::read(&SAMPLED.replace("-01", "-00")).expect("not sampled").is_sampled);
        assert!(
            Parent::read(&format!("{}-more", SAMPLED.replacen("00", "01", 1))).is_some(),
            "a later version"
        );
        let bad = [
            "",
            "00",
            &SAMPLED[..54],
            &format!("{SAMPLED}-more"),
            &SAMPLED.to_uppercase(),
            &SAMPLED.replacen("00", "ff", 1),
            &SAMPLED.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &SAMPLED.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &SAMPLED.replace("00f067aa0ba902b7", "00f067aa0ba902é"),
        ];
        for bad in bad {
            assert_eq!(Parent::read(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn what_is_begun_in_a_span_is_its_child() {
        let tracer = Arc::new(Tracer::new(100, false));
        let open = tracer.begin(Parent::read(SAMPLED)).expect("all are traced");
        let asked = |trace| Arc::new(Asked::new("1".into(), Method::GET, None, trace));
        asked(Some(open.context()))
            .scope(async {
                let mut commit = child("commit", Kind::Internal).expect("it is traced");
                commit.note("acts", 3_usize);
                commit.end();
            })
            .await;
        asked(None).scope(async { assert!(child("commit", Kind::Internal).is_none()) }).await;
        open.end();
        let spans = tracer.take();
        let [commit, request] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!((commit.parent, commit.trace), (Some(request.id), request.trace));
        assert_eq!(request.parent, Parent::read(SAMPLED).map(|parent| parent.span));
        assert!(tracer.take().is_empty());
    }

    #[test]
    fn a_caller_decides_only_where_it_is_followed() {
        let (sampled, not) = (Parent::read(SAMPLED), Parent::read(&SAMPLED.replace("-01", "-00")));
        let own = Arc::new(Tracer::new(0, false));
        assert!(own.begin(sampled).is_none() && own.begin(None).is_none());
        let follows = Arc::new(Tracer::new(0, true));
        assert!(follows.begin(sampled).is_some() && follows.begin(not).is_none());
        let all = Arc::new(Tracer::new(100, true));
        assert!(all.begin(not).is_none() && all.begin(None).is_some());
    }

    #[test]
    fn a_flood_is_dropped_and_counted() {
        let tracer = Arc::new(Tracer::new(100, false));
        for _ in 0..MOST + 3 {
            tracer.begin(None).expect("all are traced").end();
        }
        assert_eq!((tracer.take().len(), tracer.dropped.get()), (MOST, 3));
    }
}
