//! Card testing: somebody tries stolen cards out, with small orders that nobody wants. New payments are capped by account
//! and address, and so are declines; and while an unusual share of all payments is declined, only known customers begin
//! new ones. A payment that has begun is never hurt: it is asked after, told of and settled as ever.
//!
//! What the account caps and the breaker go by is read from the journal at the start. What came from which address is
//! kept in memory alone: an address is worth nothing an hour later, and is nobody's business.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Status;
use super::model::{BY_HAND, Payment};
use super::stopped::{Reason, Stops};
use super::store::PAYMENTS;
use crate::clock::{Clock, Time};
use crate::config::Config;
use crate::http::Net;
use crate::id::{PaymentId, UserId};
use crate::orders::PaymentStatus;
use crate::orders::store::{BY_USER, ORDERS};
use crate::pace::{Hourly, Limiter, Pace, Slots};
use crate::store::{Commit, Direction, Key, Reads, Record, Span, StoreError};

/// So many declines of one account in an hour weigh in the shop's share of them.
const MOST_OF_ONE: u32 = 5;
/// How many accounts and addresses are remembered, and of how many payments where they came from.
const KEYS: usize = 1 << 14;
/// How long ago somebody must have paid to be a known customer: before whatever goes on now began.
const KNOWN_AFTER: Duration = Duration::from_hours(24);
/// Most orders that are looked at for that.
const MOST_ORDERS: usize = 50;
/// Most payments of the journal that are looked at, at the start.
const MOST_PAYMENTS: usize = 10_000;
const HOUR: Duration = Duration::from_hours(1);
const MINUTE: i64 = 60_000;
const MINUTES: usize = 60;

/// Whose payments are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Payer {
    User(UserId),
    Net(Net),
}

/// Watches over all payments.
pub struct Cards {
    clock: Arc<dyn Clock>,
    /// None: nothing is limited.
    caps: Option<Caps>,
    declines: Slots<Hourly>,
    /// Where the payments of the last hour came from, and when.
    came_from: Slots<(Time, Option<Net>)>,
    outcomes: Mutex<Outcomes>,
    pub stops: Stops,
}

struct Caps {
    of_user: Limiter<Payer>,
    of_net: Limiter<Payer>,
    declines_of_user: u32,
    declines_of_net: u32,
    breaker: Breaker,
}

/// When too many payments are declined.
#[derive(Clone, Copy, Debug)]
struct Breaker {
    /// Declines within an hour, at the least.
    least: u32,
    /// Their share of all outcomes.
    percent: u32,
}

impl Breaker {
    fn is_open(self, (declined, succeeded): (u32, u32)) -> bool {
        declined >= self.least
            && u64::from(declined) * 100 >= u64::from(declined + succeeded) * u64::from(self.percent)
    }
}

/// How many payments were declined and succeeded, in each minute of the last hour.
struct Outcomes {
    /// Number of the minute, declined, succeeded. A minute's place is its number's rest.
    minutes: [(i64, u32, u32); MINUTES],
    /// Whether it was said that new payments are paused.
    is_told: bool,
}

impl Default for Outcomes {
    fn default() -> Outcomes {
        Outcomes { minutes: [(0, 0, 0); MINUTES], is_told: false }
    }
}

impl Outcomes {
    fn add(&mut self, at: Time, declined: u32, succeeded: u32) {
        let number = at.0.div_euclid(MINUTE);
        let minute = &mut self.minutes[number.rem_euclid(MINUTES as i64) as usize];
        if minute.0 < number {
            *minute = (number, 0, 0);
        }
        if minute.0 == number {
            (minute.1, minute.2) = (minute.1 + declined, minute.2 + succeeded);
        }
    }

    /// Of the hour that ends then.
    fn sum(&self, now: Time) -> (u32, u32) {
        let last = now.0.div_euclid(MINUTE);
        let within =
            self.minutes.iter().filter(|(number, ..)| (last - MINUTES as i64 + 1..=last).contains(number));
        within.fold((0, 0), |sum, (_, declined, succeeded)| (sum.0 + declined, sum.1 + succeeded))
    }

    /// Until when payments are paused, if nothing more is declined.
    fn paused_until(&self, breaker: Breaker, now: Time) -> Option<Time> {
        let next = |n: i64| Time((now.0.div_euclid(MINUTE) + n) * MINUTE);
        let mut times = (1..=MINUTES as i64).map(next);
        breaker
            .is_open(self.sum(now))
            .then(|| times.find(|at| !breaker.is_open(self.sum(*at))).unwrap_or(next(1)))
    }
}

/// How the hour stands.
pub struct Standing {
    pub declined: u32,
    pub succeeded: u32,
    /// Until when only known customers begin new payments, if nothing more is declined.
    pub paused_until: Option<Time>,
}

/// A payment that is not begun: why, and when to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    pub reason: Reason,
    pub wait: Duration,
}

/// Why a payment was not let in.
#[derive(Debug)]
pub enum NotAdmitted {
    Stopped(Stopped),
    Store(StoreError),
}

impl From<StoreError> for NotAdmitted {
    fn from(error: StoreError) -> NotAdmitted {
        NotAdmitted::Store(error)
    }
}

impl Cards {
    pub fn new(config: &Config, clock: &Arc<dyn Clock>) -> Cards {
        let slots = Arc::new(Slots::new(KEYS));
        let limiter = |pace: Pace| Limiter::new(pace, Arc::clone(&slots), Arc::clone(clock));
        let caps = config.limits_enabled.then(|| Caps {
            of_user: limiter(config.limits_payments_of_user),
            of_net: limiter(config.limits_payments),
            declines_of_user: config.limits_declines_of_user.0 as u32,
            declines_of_net: config.limits_declines.0 as u32,
            breaker: Breaker {
                least: config.limits_breaker_declines.0 as u32,
                percent: config.limits_breaker_percent.0 as u32,
            },
        });
        Cards {
            clock: Arc::clone(clock),
            caps,
            declines: Slots::new(KEYS),
            came_from: Slots::new(KEYS),
            outcomes: Mutex::default(),
            stops: Stops::default(),
        }
    }

    /// Reads from the journal what came of the last hour's payments.
    pub fn catch_up(&self, tx: &impl Reads) -> Result<(), StoreError> {
        let since = tx.now().minus(HOUR);
        let mut found = Vec::new();
        PAYMENTS.scan(tx, Span::all(Direction::Down), |id, payment| {
            if found.len() >= MOST_PAYMENTS || payment.created_at < since {
                return ControlFlow::Break(());
            }
            found.push((id, payment));
            ControlFlow::Continue(())
        })?;
        // Oldest first, as they came.
        found.sort_by_key(|(_, payment)| payment.updated_at);
        for (id, payment) in found {
            if let Some(user) = Some(payment.user).filter(|_| payment.provider != BY_HAND)
                && let Some(caps) = &self.caps
            {
                // What it was at the time does not matter: it was begun.
                let _ = caps.of_user.take(&Payer::User(user));
            }
            self.count(id, None, &payment, payment.updated_at);
        }
        Ok(())
    }

    /// Takes over what a commit says of payments.
    pub fn hear(&self, commit: &Commit) {
        for change in commit.changes.iter().filter(|change| change.table == PAYMENTS.name) {
            let after = change.after.as_deref().and_then(Payment::decode);
            if let (Some(id), Some(after)) = (PaymentId::from_bytes(&change.key), after) {
                let before = change.before.as_deref().and_then(Payment::decode);
                self.count(id, before.as_ref(), &after, self.clock.now());
            }
        }
    }

    fn count(&self, id: PaymentId, before: Option<&Payment>, after: &Payment, at: Time) {
        // Each try at a card has a charge of its own, where the gateway tells.
        let is_declined = after.last_error.is_some()
            && before
                .is_none_or(|before| before.last_error != after.last_error || before.charge != after.charge);
        let has_paid = |payment: &Payment| {
            payment.status == Status::Succeeded && payment.provider != BY_HAND && payment.captured.minor > 0
        };
        let is_paid = has_paid(after) && !before.is_some_and(has_paid);
        if !is_declined && !is_paid {
            return;
        }
        let mut weighs = true;
        if is_declined {
            let net = self.came_from.get(&id).and_then(|(_, net)| net).map(Payer::Net);
            for payer in std::iter::once(Payer::User(after.user)).chain(net) {
                let is_user = matches!(payer, Payer::User(_));
                self.declines.with(&payer, |known| {
                    let hourly = Hourly::now(*known, at);
                    // One account alone must not have the shop pause.
                    weighs &= !is_user || hourly.count < MOST_OF_ONE;
                    *known = Some(Hourly { count: hourly.count.saturating_add(1), ..hourly });
                });
            }
        }
        self.outcomes().add(at, u32::from(is_declined && weighs), u32::from(is_paid));
        self.tell(at);
    }

    /// Says it once when new payments are paused.
    fn tell(&self, now: Time) {
        let Some(caps) = &self.caps else { return };
        let mut outcomes = self.outcomes();
        let until = outcomes.paused_until(caps.breaker, now);
        if let Some(until) = until.filter(|_| !outcomes.is_told) {
            let (declined, succeeded) = outcomes.sum(now);
            tracing::warn!(
                declined,
                succeeded,
                %until,
                "an unusual share of payments is declined, as when stolen cards are tried out: until that is over, only \
                 customers who have paid before begin new payments; see `till payment stopped`"
            );
        }
        outcomes.is_told = until.is_some();
    }

    /// Lets a new payment begin, and counts it. `is_known`: whether this is a customer who has paid before.
    ///
    /// # Errors
    /// Why it is stopped.
    pub fn admit(
        &self,
        user: UserId,
        net: Option<Net>,
        is_known: impl FnOnce() -> Result<bool, StoreError>,
    ) -> Result<(), NotAdmitted> {
        let Some(caps) = &self.caps else { return Ok(()) };
        let now = self.clock.now();
        let stop = |reason, wait| {
            self.stops.note(now, reason, net);
            Err(NotAdmitted::Stopped(Stopped { reason, wait }))
        };
        let paused = self.outcomes().paused_until(caps.breaker, now);
        if let Some(until) = paused
            && !is_known()?
        {
            return stop(Reason::Paused, Duration::from_millis((until.0 - now.0).max(0).cast_unsigned()));
        }
        let payer = (Payer::User(user), net.map(Payer::Net));
        let declines = |payer: &Payer| Hourly::now(self.declines.get(payer), now);
        let of_user = declines(&payer.0);
        if of_user.count >= caps.declines_of_user {
            return stop(Reason::DeclinesOfAccount, of_user.rest(now));
        }
        if let Some(of_net) =
            payer.1.as_ref().map(declines).filter(|known| known.count >= caps.declines_of_net)
        {
            return stop(Reason::DeclinesOfAddress, of_net.rest(now));
        }
        // Who has had enough takes nothing from others at the same address.
        if let Err(wait) = caps.of_user.take(&payer.0) {
            return stop(Reason::PaymentsOfAccount, wait);
        }
        match payer.1.and_then(|payer| caps.of_net.take(&payer).err()) {
            Some(wait) => stop(Reason::PaymentsOfAddress, wait),
            None => Ok(()),
        }
    }

    /// Remembers for a while where a payment came from.
    pub fn began(&self, id: PaymentId, net: Option<Net>) {
        let now = self.clock.now();
        self.came_from.with(&id, |known| *known = known.or(Some((now, net))));
    }

    /// How the hour stands.
    pub fn standing(&self) -> Standing {
        let (outcomes, now) = (self.outcomes(), self.clock.now());
        let (declined, succeeded) = outcomes.sum(now);
        let paused_until = self.caps.as_ref().and_then(|caps| outcomes.paused_until(caps.breaker, now));
        Standing { declined, succeeded, paused_until }
    }

    fn outcomes(&self) -> MutexGuard<'_, Outcomes> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether somebody has bought here before, and it was fine.
pub fn is_known_customer(tx: &impl Reads, user: UserId) -> Result<bool, StoreError> {
    let since = tx.now().minus(KNOWN_AFTER);
    let mut newest = Vec::new();
    BY_USER.scan(tx, Span::under(user.bytes(), Direction::Down), |_, order| {
        newest.push(order);
        if newest.len() < MOST_ORDERS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    for id in newest {
        let order = ORDERS.expect(tx, &id)?;
        let is_fine = !matches!(order.payment_status, PaymentStatus::Refunded | PaymentStatus::Disputed);
        if order.total.minor > 0 && is_fine && order.paid_at.is_some_and(|at| at <= since) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BREAKER: Breaker = Breaker { least: 20, percent: 50 };

    #[test]
    fn it_takes_many_declines_and_an_unusual_share() {
        for (declined, succeeded, is_open) in [
            (0, 0, false),
            (19, 0, false),
            (20, 0, true),
            (20, 20, true),
            (20, 21, false),
            (300, 301, false),
            (300, 200, true),
        ] {
            assert_eq!(BREAKER.is_open((declined, succeeded)), is_open, "{declined} of {succeeded}");
        }
    }

    #[test]
    fn an_hour_later_it_is_over() {
        let start = Time(1_795_392_000_000);
        let minutes = |n| start.plus(Duration::from_mins(n));
        let mut outcomes = Outcomes::default();
        outcomes.add(start, 15, 2);
        outcomes.add(minutes(10), 5, 0);
        outcomes.add(minutes(30), 1, 0);
        assert_eq!(outcomes.sum(minutes(30)), (21, 2));
        assert_eq!(outcomes.paused_until(BREAKER, minutes(30)), Some(minutes(60)));
        assert_eq!(outcomes.paused_until(BREAKER, minutes(59)), Some(minutes(60)));
        assert_eq!(outcomes.paused_until(BREAKER, minutes(60)), None);
        assert_eq!(outcomes.sum(minutes(69)), (6, 0));
        outcomes.add(minutes(75), 0, 1);
        assert_eq!(outcomes.sum(minutes(89)), (1, 1));
        assert_eq!(outcomes.sum(minutes(1000)), (0, 0));
        // What is older than the hour is not counted as something newer.
        outcomes.add(minutes(15), 7, 7);
        assert_eq!(outcomes.sum(minutes(89)), (1, 1));
    }
}
