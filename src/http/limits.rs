//! How many requests are answered: of each address before the body is read, and of each user once it is known who asks.

use std::hash::Hash;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::client::Net;
use super::error::ApiError;
use super::reply::Reply;
use crate::clock::Clock;
use crate::config::Config;
use crate::meters::Counter;
use crate::pace::{Left, Limiter, Slots, whole_seconds};

/// How many addresses and users are remembered, by all limits together: in two megabytes at the most.
const KEYS: usize = 1 << 16;

/// Which limit holds for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    Usual,
    /// A password is compared, or whose it is.
    Login,
    Register,
    /// A mail goes out.
    Mail,
    /// A secret that is short, or worth guessing.
    Guess,
    Webhook,
    /// None.
    Free,
}

/// The classes that have limits, in their order, by the names of their settings.
const CLASSES: [&str; 6] = ["requests", "logins", "registrations", "mails", "guesses", "webhooks"];

/// Whose requests are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whom {
    Net(Net),
    User(u64),
    Token(u64),
}

type Key = (Class, Whom);

/// All limits of requests.
pub struct Limits {
    is_on: bool,
    usual: Limiter<Key>,
    of_user: Limiter<Key>,
    login: Limiter<Key>,
    register: Limiter<Key>,
    mail: Limiter<Key>,
    guess: Limiter<Key>,
    webhook: Limiter<Key>,
    /// Requests that were turned away, by class.
    refused: [Counter; CLASSES.len()],
}

impl Limits {
    pub fn new(config: &Config, clock: &Arc<dyn Clock>) -> Limits {
        let slots = Arc::new(Slots::new(KEYS));
        let limiter = |pace| Limiter::new(pace, Arc::clone(&slots), Arc::clone(clock));
        Limits {
            is_on: config.limits_enabled,
            usual: limiter(config.limits_requests),
            of_user: limiter(config.limits_user_requests),
            login: limiter(config.limits_logins),
            register: limiter(config.limits_registrations),
            mail: limiter(config.limits_mails),
            guess: limiter(config.limits_guesses),
            webhook: limiter(config.limits_webhooks),
            refused: Default::default(),
        }
    }

    /// Takes a request of this class off what `whom` is allowed; what is left, where there is a limit.
    fn take(&self, class: Class, whom: Whom) -> Result<Option<Left>, ApiError> {
        if !self.is_on {
            return Ok(None);
        }
        let limiter = match (class, whom) {
            (Class::Free, _) => return Ok(None),
            (Class::Usual, Whom::Net(_)) => &self.usual,
            (Class::Usual, Whom::User(_) | Whom::Token(_)) => &self.of_user,
            (Class::Login, _) => &self.login,
            (Class::Register, _) => &self.register,
            (Class::Mail, _) => &self.mail,
            (Class::Guess, _) => &self.guess,
            (Class::Webhook, _) => &self.webhook,
        };
        limiter.take(&(class, whom)).map(Some).map_err(|wait| {
            self.refused[class as usize].add(1);
            rate_limited(wait)
        })
    }

    /// How many requests were turned away since the start, by which limit.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CLASSES.into_iter().zip(self.refused.iter().map(Counter::get))
    }
}

/// What a request may take, and has taken.
#[derive(Clone)]
pub struct Allowance {
    class: Class,
    left: Option<Left>,
    /// Set once it was taken off what a user is allowed.
    of_user: Arc<OnceLock<Option<Left>>>,
}

impl Allowance {
    /// Takes a request of this class off what the address is allowed; the operator, who has none, has no limits.
    ///
    /// # Errors
    /// 429 `rate_limited`.
    pub fn begin(limits: &Limits, class: Class, net: Option<Net>) -> Result<Allowance, ApiError> {
        let left = net.map_or(Ok(None), |net| limits.take(class, Whom::Net(net)))?;
        Ok(Allowance { class, left, of_user: Arc::default() })
    }

    pub fn charge(&self, limits: &Limits, whom: Whom) -> Result<(), ApiError> {
        if self.of_user.get().is_none() {
            let left = limits.take(self.class, whom)?;
            let _ = self.of_user.set(left);
        }
        Ok(())
    }

    /// Tells the client what is left: of the limit that it meets first.
    pub fn tell(&self, reply: &mut Reply) {
        if reply.status == StatusCode::TOO_MANY_REQUESTS {
            return;
        }
        let of_user = self.of_user.get().copied().flatten();
        let Some(left) = self.left.into_iter().chain(of_user).min_by_key(|left| left.remaining) else {
            return;
        };
        reply.push(LIMIT, HeaderValue::from(left.limit));
        reply.push(REMAINING, HeaderValue::from(left.remaining));
        reply.push(RESET, HeaderValue::from(left.reset));
    }
}

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// 429, and when to come again.
pub fn rate_limited(wait: Duration) -> ApiError {
    let seconds = whole_seconds(wait).max(1);
    let detail = format!("There were too many requests like this; try again in {seconds} s.");
    ApiError::new(429, "rate_limited", detail).header(header::RETRY_AFTER, &seconds.to_string())
}
