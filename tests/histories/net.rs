//! The gateways, and a network between them and the shop that loses, delays and repeats.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use till::clock::{Clock, ManualClock};
use till::payments::gateway::wire::{Lost, Wire};

use crate::support::fault::Fault;
use crate::support::paypal::FakePayPal;
use crate::support::stripe::FakeStripe;

/// The gateways' side of a history.
pub struct Gateways {
    pub stripe: FakeStripe,
    pub paypal: FakePayPal,
    /// Requests that arrive after the shop has given up waiting for their answers.
    pub late: Vec<Request<Vec<u8>>>,
    /// How many of them there were.
    pub given_up: u64,
    /// Open ones.
    pub disputes: Vec<String>,
    /// Whether the network and the gateways are hostile.
    pub hostile: bool,
    rng: StdRng,
}

impl Gateways {
    fn handle(&mut self, now: i64, request: &Request<Vec<u8>>) -> Response<Bytes> {
        let host = request.uri().host().unwrap_or_default();
        let answer = if host == "stripe.test" {
            if self.hostile && self.rng.random_ratio(1, 25) {
                let effect = self.rng.random();
                self.stripe.faults.push_back(Fault::StoredStatus { status: 500, effect });
            }
            self.stripe.handle(now, request)
        } else {
            self.paypal.handle(now, request)
        };
        answer.map(Bytes::from)
    }

    /// Lets the requests arrive that were held up.
    pub fn deliver_late(&mut self, now: i64) {
        for request in std::mem::take(&mut self.late) {
            self.handle(now, &request);
        }
    }
}

#[derive(Clone)]
pub struct Net {
    all: Arc<Mutex<Gateways>>,
    clock: Arc<ManualClock>,
}

/// What happens to one request.
#[derive(Clone, Copy)]
enum Fate {
    Answered,
    /// It never arrives.
    Swallowed,
    /// It has its effect, and the answer is lost.
    Unheard,
    /// It arrives after the shop has given up.
    Late,
    /// The gateway fails before it does anything.
    Fails(u16),
}

impl Net {
    pub fn new(seed: u64, clock: Arc<ManualClock>) -> Net {
        let mut paypal = FakePayPal::new();
        paypal.cert_url = "https://certificates.test/v1/notifications/certs/CERT-1".into();
        let all = Gateways {
            stripe: FakeStripe::new(),
            paypal,
            late: Vec::new(),
            given_up: 0,
            disputes: Vec::new(),
            hostile: true,
            rng: StdRng::seed_from_u64(seed ^ 0x6e65_7477),
        };
        Net { all: Arc::new(Mutex::new(all)), clock }
    }

    pub fn gateways(&self) -> MutexGuard<'_, Gateways> {
        self.all.lock().expect("nobody panics with it")
    }

    pub fn now(&self) -> i64 {
        self.clock.now().seconds()
    }

    fn fate(&self) -> (Fate, u32) {
        let mut all = self.gateways();
        if !all.hostile {
            return (Fate::Answered, 1);
        }
        let fate = match all.rng.random_range(0..100) {
            0..6 => Fate::Swallowed,
            6..14 => Fate::Unheard,
            14..20 => Fate::Late,
            20..23 => Fate::Fails(503),
            23..25 => Fate::Fails(429),
            25..27 => Fate::Fails(409),
            _ => Fate::Answered,
        };
        (fate, all.rng.random_range(0..4))
    }
}

/// Lets others go on, some times.
pub async fn wait(mut times: u32) {
    poll_fn(|context| {
        if times == 0 {
            return Poll::Ready(());
        }
        times -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[async_trait]
impl Wire for Net {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Bytes>, Lost> {
        let (fate, times) = self.fate();
        wait(times).await;
        let answer = match fate {
            Fate::Swallowed => Err(Lost::Broken("the connection broke".into())),
            Fate::Late => {
                let mut all = self.gateways();
                all.late.push(request);
                all.given_up += 1;
                Err(Lost::Timeout)
            }
            Fate::Fails(status) => {
                Ok(Response::builder().status(status).body(Bytes::new()).expect("a status"))
            }
            Fate::Answered => Ok(self.gateways().handle(self.now(), &request)),
            Fate::Unheard => {
                self.gateways().handle(self.now(), &request);
                Err(Lost::Timeout)
            }
        };
        wait(times).await;
        answer
    }

    async fn pause(&self, _: Duration) {
        wait(2).await;
    }
}
