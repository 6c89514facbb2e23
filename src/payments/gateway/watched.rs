//! A wire that is watched: how long a provider takes over each request, and how that ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};

use super::wire::{Lost, Wire};
use crate::meters::{Histogram, SECONDS};
use crate::telemetry::trace::{self, Kind};

/// How a request to a provider ended.
const OUTCOMES: [&str; 5] = ["success", "refused", "error", "timeout", "unreachable"];

/// What was asked of a provider.
pub struct Calls {
    pub provider: &'static str,
    by_outcome: [Histogram; OUTCOMES.len()],
}

impl Calls {
    pub fn of(provider: &'static str) -> Arc<Calls> {
        Arc::new(Calls { provider, by_outcome: std::array::from_fn(|_| Histogram::new(&SECONDS)) })
    }

    /// Each outcome, and how long the requests took that ended so.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        OUTCOMES.into_iter().zip(&self.by_outcome)
    }
}

/// Which of [`OUTCOMES`] this is.
fn outcome_of(answer: &Result<Response<Bytes>, Lost>) -> usize {
    match answer {
        Ok(answer) if answer.status().is_client_error() => 1,
        Ok(answer) if answer.status().is_server_error() => 2,
        Ok(_) => 0,
        Err(Lost::Timeout) => 3,
        Err(Lost::Broken(_)) => 4,
    }
}

/// Carries as `wire` does, and notes how that went.
pub struct Watched {
    pub wire: Arc<dyn Wire>,
    pub calls: Arc<Calls>,
}

#[async_trait]
impl Wire for Watched {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Bytes>, Lost> {
        let began = Instant::now();
        let span = trace::child(request.method().to_string(), Kind::Client).map(|mut span| {
            span.note("http.request.method", request.method().to_string());
            span.note("server.address", request.uri().host().unwrap_or_default().to_owned());
            span.note("peer.service", self.calls.provider);
            span
        });
        let answer = self.wire.send(request).await;
        let outcome = outcome_of(&answer);
        self.calls.by_outcome[outcome].took(began.elapsed());
        if let Some(mut span) = span {
            if let Ok(answer) = &answer {
                span.note("http.response.status_code", answer.status().as_u16());
            }
            if outcome > 0 {
                span.fails(OUTCOMES[outcome]);
            }
            span.end();
        }
        answer
    }

    async fn pause(&self, span: Duration) {
        self.wire.pause(span).await;
    }
}
