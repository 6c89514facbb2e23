//! Long work that tells how far it is: as JSON lines to whoever accepts them, the last of which is the answer.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::stream;
use http::header;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::error::ApiError;
use super::pipe::LINES;
use super::reply::{Answer, Reply};
use super::request::Req;
use crate::app::App;

/// Told how far work is. When nobody listens any more, or the process is asked to stop, so does the work.
#[derive(Clone)]
pub struct Teller {
    app: Arc<App>,
    lines: mpsc::Sender<Bytes>,
}

/// What was told, on its way out.
pub struct Told(mpsc::Receiver<Bytes>);

/// Both ends.
pub fn teller(app: &Arc<App>) -> (Teller, Told) {
    let (lines, told) = mpsc::channel(64);
    (Teller { app: Arc::clone(app), lines }, Told(told))
}

impl Teller {
    /// `line` has the members `stage`, `done` and `of`, and what else there is to say.
    pub fn tell(&self, line: &Value) -> ControlFlow<()> {
        // A reader that is slow misses some of them; one that is gone has the work stop.
        let sent = self.lines.try_send(format!("{line}\n").into());
        let is_gone = matches!(sent, Err(mpsc::error::TrySendError::Closed(_)));
        if is_gone || self.app.stopping.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

impl Told {
    /// The answer to a request whose work is `ending`: whole, or after the lines that it tells.
    pub async fn answer(self, req: &Req, ending: impl Future<Output = Answer> + Send + 'static) -> Answer {
        let Told(mut told) = self;
        if req.header(header::ACCEPT).is_none_or(|accept| !accept.contains(LINES)) {
            // Whoever hangs up drops `told`, and the work stops.
            let drain = async { while told.recv().await.is_some() {} };
            tokio::pin!(ending);
            return tokio::select! {
                answer = &mut ending => answer,
                () = drain => ending.await,
            };
        }
        let asked = Arc::clone(&req.asked);
        let (last, end) = mpsc::channel(1);
        let id = asked.id.clone();
        tokio::spawn(asked.scope(async move {
            let reply = ending.await.unwrap_or_else(|error: ApiError| {
                if let Some(cause) = error.cause() {
                    tracing::error!(cause, "long work failed");
                }
                error.into_reply(&id)
            });
            let body: Value = serde_json::from_slice(reply.body.whole()).unwrap_or(Value::Null);
            let line = json!({"stage": "end", "status": reply.status.as_u16(), "body": body});
            let _ = last.send(Bytes::from(format!("{line}\n"))).await;
        }));
        // The work lets go of its teller before its answer comes.
        let lines = stream::unfold((told, end), |(mut told, mut end)| async {
            let line = match told.recv().await {
                Some(line) => line,
                None => end.recv().await?,
            };
            Some((Ok(line), (told, end)))
        });
        Ok(Reply::stream(LINES, Box::pin(lines)))
    }
}
