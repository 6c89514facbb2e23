//! `/api/admin/payments/stopped/`: the payments that were not let begin, counted by hour, reason and network. Networks are
//! kept so wide that they name nobody.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cards::Stopped;
use super::store::STOPPED;
use crate::accounts::{Scope, for_admin};
use crate::app::App;
use crate::clock::Time;
use crate::http::{Answer, ApiError, ListBody, Net, Req, Routes, get, ok, rate_limited};
use crate::meters::Counter;
use crate::store::{Direction, Reads, Span, StoreError, WriteTx};

/// Most rows of one hour; what is beyond them is counted as of elsewhere.
const MOST_ROWS: usize = 1000;
const ELSEWHERE: &str = "elsewhere";
/// How long the counts are kept.
const KEPT: Duration = Duration::from_hours(24 * 30);
const HOUR: i64 = 3_600_000;

/// Why a payment was not let begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Too many were begun.
    PaymentsOfAccount,
    PaymentsOfAddress,
    /// Too many were declined.
    DeclinesOfAccount,
    DeclinesOfAddress,
    /// Too many of all are declined, and this is no known customer.
    Paused,
}

impl Reason {
    pub const ALL: [Reason; 5] = [
        Reason::PaymentsOfAccount,
        Reason::PaymentsOfAddress,
        Reason::DeclinesOfAccount,
        Reason::DeclinesOfAddress,
        Reason::Paused,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Reason::PaymentsOfAccount => "payments_of_account",
            Reason::PaymentsOfAddress => "payments_of_address",
            Reason::DeclinesOfAccount => "declines_of_account",
            Reason::DeclinesOfAddress => "declines_of_address",
            Reason::Paused => "paused",
        }
    }
}

/// How many payments were stopped in an hour, for a reason, from a network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoppedCount {
    pub count: u64,
}

/// An hour's first moment, the reason, the network.
pub type StoppedKey = (Time, (String, String));

/// What was stopped in this hour: how many of each are not written down yet. A flood of refusals is no flood of writes.
#[derive(Default)]
pub struct Stops {
    counts: Mutex<Counts>,
    /// Of each reason, since the start.
    total: [Counter; Reason::ALL.len()],
}

#[derive(Default)]
struct Counts {
    hour: Time,
    of: HashMap<(Reason, String), u64>,
    /// Of hours that are over.
    left: HashMap<StoppedKey, u64>,
}

impl Counts {
    /// Takes out what is not written down.
    fn take(&mut self) -> Vec<(StoppedKey, u64)> {
        let mut all: Vec<_> = std::mem::take(&mut self.left).into_iter().collect();
        for ((reason, network), count) in self.of.iter_mut().filter(|(_, count)| **count > 0) {
            all.push(((self.hour, (reason.as_str().to_owned(), network.clone())), std::mem::take(count)));
        }
        all
    }
}

impl Stops {
    pub(super) fn note(&self, now: Time, reason: Reason, net: Option<Net>) {
        self.total[reason as usize].add(1);
        let mut counts = self.counts();
        let hour = Time(now.0.div_euclid(HOUR) * HOUR);
        if counts.hour != hour {
            counts.left = counts.take().into_iter().collect();
            counts.of.clear();
            counts.hour = hour;
        }
        let network = net.map_or_else(|| ELSEWHERE.to_owned(), Net::surroundings);
        let mut key = (reason, network);
        if counts.of.len() >= MOST_ROWS && !counts.of.contains_key(&key) {
            key.1 = ELSEWHERE.to_owned();
        }
        *counts.of.entry(key).or_default() += 1;
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many payments were stopped since the start, for each reason.
    pub fn totals(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().map(|reason| (reason, self.total[reason as usize].get()))
    }
}

/// Writes down what was stopped since the last time. With nothing to write nothing is written.
pub async fn note_stopped(app: &App) -> Result<(), StoreError> {
    let new = app.cards.stops.counts().take();
    if new.is_empty() {
        return Ok(());
    }
    let rows = new.clone();
    let noted =
        app.store.write(move |tx| rows.iter().try_for_each(|(key, count)| add(tx, key, *count))).await;
    if noted.is_err() {
        let mut counts = app.cards.stops.counts();
        for (key, count) in new {
            *counts.left.entry(key).or_default() += count;
        }
    }
    noted
}

fn add(tx: &mut WriteTx, key: &StoppedKey, count: u64) -> Result<(), StoreError> {
    let known = STOPPED.get(tx, key)?.map_or(0, |known| known.count);
    STOPPED.put(tx, key, &StoppedCount { count: known + count })
}

/// Forgets at most `limit` counts that are too old; how many.
pub fn forget_stopped(tx: &mut WriteTx, limit: usize) -> Result<usize, StoreError> {
    let end = tx.now().minus(KEPT);
    let mut old = Vec::new();
    STOPPED.scan(tx, Span::all(Direction::Up), |key, _| {
        if key.0 >= end || old.len() == limit {
            return ControlFlow::Break(());
        }
        old.push(key);
        ControlFlow::Continue(())
    })?;
    for key in &old {
        STOPPED.delete(tx, key)?;
    }
    Ok(old.len())
}

pub fn routes() -> Routes {
    Routes::new().at(
        "/api/admin/payments/stopped/",
        get(
            list,
            for_admin(Scope::PaymentsRead, "Payments that were not let begin, by hour, reason and network")
                .gives::<Report>()
                .pages(),
        ),
    )
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StoppedPayments")]
struct Row {
    /// Its first moment.
    hour: Time,
    reason: String,
    network: String,
    count: u64,
}

/// What was stopped, newest first, and how the last hour's payments stand.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StoppedPaymentsReport")]
struct Report {
    declined: u32,
    succeeded: u32,
    /// Until when only known customers begin new payments.
    paused_until: Option<Time>,
    #[serde(flatten)]
    stopped: ListBody<Row>,
}

async fn list(req: Req) -> Answer {
    req.admin(Scope::PaymentsRead)?;
    let page = req.page()?;
    if let Err(error) = note_stopped(&req.app).await {
        tracing::warn!(%error, "what was stopped lately is not written down yet");
    }
    let found = req.app.store.read(|tx| STOPPED.page(tx, page, Direction::Down))?;
    let rows =
        found.map(|((hour, (reason, network)), StoppedCount { count })| Row { hour, reason, network, count });
    let stopped = req.envelope(page, rows)?;
    let standing = req.app.cards.standing();
    Ok(ok(&Report {
        declined: standing.declined,
        succeeded: standing.succeeded,
        paused_until: standing.paused_until,
        stopped,
    }))
}

impl From<Stopped> for ApiError {
    fn from(Stopped { reason, wait }: Stopped) -> ApiError {
        let again = "The cart is as it was, and payments that have begun go on.";
        match reason {
            Reason::PaymentsOfAccount | Reason::PaymentsOfAddress => rate_limited(wait).and_says(again),
            Reason::DeclinesOfAccount | Reason::DeclinesOfAddress => {
                rate_limited(wait).and_says("Too many payments were declined.").and_says(again)
            }
            Reason::Paused => ApiError::new(
                503,
                "payments_paused",
                format!("The shop takes new payments only from customers who have paid before, for a while. {again}"),
            )
            .header(http::header::RETRY_AFTER, &crate::pace::whole_seconds(wait).max(1).to_string()),
        }
    }
}
