//! Bodies that nobody reads to their end, because the request was refused before. A client that is still sending must be
//! heard out, for as long as that is little: it would not read the answer from a connection that breaks.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::Body;

/// How much of the rest is read, and for how long.
const MOST: usize = 16 << 20;
const TIME: Duration = Duration::from_secs(10);

/// A body whose rest is read and dropped when it is dropped.
struct Lingering(Option<Body>);

/// Has what is not read of `body` be read and dropped, within bounds.
pub fn linger(body: Body) -> Body {
    Box::pin(Lingering(Some(body)))
}

impl Stream for Lingering {
    type Item = Result<Bytes, String>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let polled = body.as_mut().poll_next(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        polled
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let (Some(mut body), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        // Most bodies are empty, and there already.
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match body.as_mut().poll_next(&mut cx) {
            Poll::Ready(None | Some(Err(_))) => {}
            _ => drop(runtime.spawn(tokio::time::timeout(TIME, drain(body)))),
        }
    }
}

async fn drain(mut body: Body) {
    let mut length = 0;
    while let Some(Ok(piece)) = body.next().await {
        length += piece.len();
        if length > MOST {
            return;
        }
    }
}
