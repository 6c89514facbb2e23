//! Which request is worked on: known wherever work is done for it, also on other threads, so that whatever is told of the
//! work says for which request it was.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::task::JoinHandle;

use super::scrub::scrubbed;
use super::trace;

/// What the log's lines of requests are told apart by.
pub const TARGET: &str = module_path!();

tokio::task_local! {
    static CURRENT: Arc<Asked>;
}

/// Who asks, as far as others may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    User(u64),
    /// An API token.
    Token(u64),
}

/// What is known of a request while it is worked on.
#[derive(Debug)]
pub struct Asked {
    /// The request id, which stands in the answer.
    pub id: String,
    pub method: Method,
    /// As it stands in the table of routes, such as `/api/products/{id}/`; none for a path that leads nowhere.
    pub route: Option<&'static str>,
    /// Where it is in a trace, if it is traced.
    pub trace: Option<trace::Context>,
    asker: OnceLock<Asker>,
    is_told: AtomicBool,
}

/// A request that was answered.
pub struct Finished<'a> {
    pub asked: &'a Asked,
    /// As it was asked for, without its query.
    pub path: &'a str,
    pub status: StatusCode,
    /// How long it took until the answer could be sent; a long one may still have to be written.
    pub took: Duration,
    /// A refusal's code.
    pub code: Option<&'static str>,
    /// What happened inside, of a failure: never for the client.
    pub cause: Option<&'a str>,
}

impl Asked {
    pub fn new(
        id: String,
        method: Method,
        route: Option<&'static str>,
        trace: Option<trace::Context>,
    ) -> Asked {
        Asked { id, method, route, trace, asker: OnceLock::new(), is_told: AtomicBool::new(false) }
    }

    /// The request that is worked on here and now.
    pub fn current() -> Option<Arc<Asked>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Works on the request.
    pub async fn scope<T>(self: Arc<Asked>, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    /// Who asks, once the handler has found out; none for guests and the operator.
    pub fn asker(&self) -> Option<Asker> {
        self.asker.get().copied()
    }

    /// Notes who asks.
    pub fn is_by(&self, asker: Asker) {
        let _ = self.asker.set(asker);
    }

    /// Notes that what failed in it is told already.
    pub fn set_told(&self) {
        self.is_told.store(true, Ordering::Relaxed);
    }

    pub fn is_told(&self) -> bool {
        self.is_told.load(Ordering::Relaxed)
    }
}

/// Does `work` for `asked`, if it is for a request at all.
pub fn on_behalf<T>(asked: Option<Arc<Asked>>, work: impl FnOnce() -> T) -> T {
    match asked {
        Some(asked) => CURRENT.sync_scope(asked, work),
        None => work(),
    }
}

/// Does `work` on a thread that may wait, for the same request.
pub fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let asked = Asked::current();
    tokio::task::spawn_blocking(move || on_behalf(asked, work))
}

impl Finished<'_> {
    /// Writes the log's line, which gets the request's id where it is written.
    pub fn log(&self) {
        let Finished { asked, path, status, took, code, cause } = self;
        let (user_id, token_id) = match asked.asker() {
            Some(Asker::User(id)) => (Some(id), None),
            Some(Asker::Token(id)) => (None, Some(id)),
            None => (None, None),
        };
        let (method, route) = (asked.method.as_str(), asked.route);
        // Anybody can ask for anything.
        let path = if route.is_some() { Cow::Borrowed(*path) } else { scrubbed(path).into() };
        let path = &*path;
        let status = status.as_u16();
        // To the microsecond.
        let ms = (took.as_secs_f64() * 1e6).round() / 1e3;
        if let Some(cause) = cause {
            tracing::error!(
                method,
                route,
                path,
                status,
                ms,
                user_id,
                token_id,
                code,
                cause,
                "request failed"
            );
        } else {
            tracing::info!(method, route, path, status, ms, user_id, token_id, code, "request");
        }
    }
}
