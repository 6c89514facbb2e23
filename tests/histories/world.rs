//! A shop, its customers, its gateways, its disk and its clock, moved on by one random source.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use http::Method;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use till::app::App;
use till::clock::{Clock, ManualClock, Time};
use till::jobs;

use super::audit;
use super::disk::{End, SimDisk};
use super::mirror::{Mirror, Records};
use super::net::Net;
use super::post::{self, Post};
use super::shop::{Asked, CUSTOMERS, Came, Template, Who, ask, begin, user_of};
use super::tally::Tally;
use super::trade::Sheet;
use super::upkeep::COMPACT;

/// For so long at least a key gives its answer again.
pub const KEYS_HOLD: Duration = Duration::from_hours(20);

/// Something that goes on while other things do.
struct Task {
    work: Pin<Box<dyn Future<Output = Option<Came>>>>,
    /// Whether a part of it is done on another thread.
    blocks: bool,
}

/// Whom a request to this path erases.
fn erased_by(path: &str) -> Option<usize> {
    path.strip_prefix("/api/admin/users/")?.strip_suffix("/erase/")?.parse().ok()
}

/// Whether a task was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A payment as a client knows it.
#[derive(Clone, Debug)]
pub struct Known {
    pub id: u64,
    pub order: u64,
    pub customer: Who,
    pub provider: String,
    pub secret: Option<String>,
}

/// What clients were told, which must hold ever after.
#[derive(Default)]
pub struct Promises {
    pub orders: BTreeMap<u64, Who>,
    pub cancelled: BTreeSet<u64>,
    pub succeeded: BTreeSet<u64>,
    /// Adjustments of stock, each by its own reason.
    pub adjusted: BTreeSet<String>,
    /// Parcels that went out: order and tracking number.
    pub parcels: Vec<(u64, String)>,
    /// The rows of each import that was done.
    pub imported: BTreeMap<u64, u64>,
    /// Customers who are to be nowhere any more, by their ids in the shop.
    pub erased: BTreeSet<usize>,
    /// What each keyed request was answered with, and when.
    keyed: BTreeMap<(Who, String, String), (Time, String, Value)>,
}

pub struct World<'a> {
    pub rng: StdRng,
    pub clock: Arc<ManualClock>,
    pub net: Net,
    pub post: Post,
    pub disk: SimDisk,
    pub app: Option<Arc<App>>,
    pub mirror: Mirror,
    pub promises: Promises,
    pub payments: Vec<Known>,
    /// How many customers there are.
    pub customers: usize,
    /// Requests under a key, and when they were first made.
    pub sent: Vec<(Time, Asked)>,
    pub sheets: Vec<Sheet>,
    /// Events that the gateways have, with the headers they are sent with.
    pub events: Vec<(&'static str, String)>,
    pub trace: Vec<String>,
    pub tally: Tally,
    /// The last backup.
    pub backup: Option<Vec<u8>>,
    /// Whether the disk may do what it likes.
    pub is_rough: bool,
    /// Whom somebody wanted to have erased.
    leaving: BTreeSet<usize>,
    tasks: Vec<Task>,
    template: &'a Template,
    seed: u64,
    starts: u64,
    aloud: bool,
    steps: u64,
    /// The power fails after this many steps.
    pub crash_at: Option<u64>,
    /// Bodies are read under a time limit, which wants a runtime's clock, and imports want its other threads.
    runtime: tokio::runtime::Runtime,
}

impl<'a> World<'a> {
    pub fn new(template: &'a Template, seed: u64, aloud: bool) -> World<'a> {
        let clock = begin();
        let mut rng = StdRng::seed_from_u64(seed);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
        let mut world = World {
            customers: rng.random_range(12..=CUSTOMERS),
            rng,
            net: Net::new(seed, Arc::clone(&clock)),
            post: Post::new(seed),
            clock,
            disk: SimDisk::of(&template.image, seed),
            app: None,
            mirror: Mirror::of(&template.records),
            promises: Promises::default(),
            payments: Vec::new(),
            sent: Vec::new(),
            sheets: Vec::new(),
            events: Vec::new(),
            trace: Vec::new(),
            tally: Tally::default(),
            backup: None,
            is_rough: true,
            leaving: BTreeSet::new(),
            tasks: Vec::new(),
            template,
            seed,
            starts: 0,
            aloud,
            steps: 0,
            crash_at: None,
            runtime: runtime.expect("a runtime"),
        };
        world.start();
        world
    }

    pub fn note(&mut self, what: String) {
        if self.aloud {
            println!("{} {what}", self.clock.now());
        }
        self.trace.push(what);
    }

    /// How many steps it has had.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// What a GET of the operator's answers, now.
    pub fn look(&self, path: &str) -> Value {
        let asked = Asked::new(Who::Operator, Method::GET, path, &Value::Null);
        let mut looking = Box::pin(ask(self.app(), None, asked));
        let _within = self.runtime.enter();
        match looking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(came) if came.status == 200 => came.json,
            Poll::Ready(came) => panic!("{path}: {}", came.json),
            Poll::Pending => panic!("{path} waits"),
        }
    }

    pub fn app(&self) -> &Arc<App> {
        self.app.as_ref().expect("it runs")
    }

    fn open(&mut self) -> Result<Arc<App>, till::app::AppError> {
        self.starts += 1;
        // Randomness comes from the operating system in the real shop: never twice the same.
        let seed = self.seed.wrapping_mul(1000) + self.starts;
        App::open(self.template.shop(&self.net, &self.post, &self.clock, &self.disk, seed))
    }

    /// Opens the shop from its disk, and holds what is there against what was answered.
    fn start(&mut self) {
        self.disk.calm(true);
        self.tally.leftovers += u64::from(self.disk.has_beside());
        let app = self.open().expect("it opens");
        if self.mirror.compare(Records::of(&app).expect("it can be read")) {
            self.tally.landed += 1;
            self.note("the commit that was cut off is there".into());
        }
        self.mirror.follow(&app);
        self.app = Some(app);
        audit::holds(self);
        self.disk.calm(!self.is_rough);
    }

    /// The shop ends wherever it is, with all that it was doing, and is opened again.
    pub fn crash(&mut self, end: End) {
        let doings = self.disk.doings();
        self.note(format!("{end:?}, with {} things under way, {doings:?}", self.tasks.len()));
        self.tally.crashes += 1;
        self.disk.cut();
        self.tasks.clear();
        self.app = None;
        self.post.shop_was_cut_short();
        self.disk.come_back(end);
        if self.is_rough && self.rng.random_ratio(1, 4) {
            self.stumble();
        }
        self.start();
        self.sweep();
    }

    /// The power fails once more, while the shop is opened.
    fn stumble(&mut self) {
        self.tally.crashes += 1;
        self.disk.calm(false);
        self.disk.light(self.rng.random_range(1..30));
        let opened = self.open();
        self.note(format!("opened on a bad disk: {:?}", opened.as_ref().err().map(ToString::to_string)));
        self.disk.cut();
        drop(opened);
        self.disk.come_back(End::PowerCut);
    }

    /// The shop is stopped in good order, and started.
    pub fn restart(&mut self) {
        self.note(format!("stopped, with {} things under way", self.tasks.len()));
        self.tally.restarts += 1;
        self.tasks.clear();
        self.app = None;
        self.post.shop_was_cut_short();
        let end = if self.disk.is_off() { End::PowerCut } else { End::Killed };
        self.disk.come_back(end);
        self.start();
        self.sweep();
    }

    fn begin(&mut self, blocks: bool, work: impl Future<Output = Option<Came>> + 'static) {
        self.tasks.push(Task { work: Box::pin(work), blocks });
    }

    /// Begins a request; with a null body it is a GET, with a text that is sent as it is.
    pub fn request(&mut self, who: Who, path: String, body: Value, headers: Vec<(&'static str, String)>) {
        let method = if body.is_null() { Method::GET } else { Method::POST };
        let mut asked = Asked::new(who, method, path, &body);
        if let Value::String(raw) = body {
            asked.body = raw;
        }
        self.send(Asked { headers, ..asked });
    }

    pub fn send(&mut self, asked: Asked) {
        self.tally.requests += 1;
        let shown =
            if asked.who == Who::Gateway { "(event)" } else { &asked.body[..asked.body.len().min(300)] };
        self.note(format!("-> {:?} {} {} {shown}", asked.who, asked.path, asked.key().unwrap_or_default()));
        let is_same =
            |sent: &Asked| (sent.who, sent.key(), &sent.path) == (asked.who, asked.key(), &asked.path);
        if asked.key().is_some() && !self.sent.iter().any(|(_, sent)| is_same(sent)) {
            self.sent.push((self.clock.now(), asked.clone()));
        }
        let app = Arc::clone(self.app());
        let access = match asked.who {
            Who::Customer(n) => Some(self.template.access[n].clone()),
            Who::Operator | Who::Gateway => None,
        };
        self.leaving.extend(erased_by(&asked.path));
        let blocks =
            asked.path.contains("/import/") || asked.path == COMPACT || erased_by(&asked.path).is_some();
        self.begin(blocks, async move { Some(ask(&app, access.as_deref(), asked).await) });
    }

    pub fn run_jobs(&mut self) {
        let app = Arc::clone(self.app());
        // An erasure that was cut short is finished on another thread.
        self.begin(true, async move {
            jobs::run_due(&app).await;
            None
        });
    }

    pub fn sweep(&mut self) {
        let app = Arc::clone(self.app());
        self.begin(false, async move {
            // A disk that fails is met again at the next try.
            let _ = till::payments::reconcile_all(&app, false).await;
            None
        });
    }

    /// Moves one of the things on that are under way, or the writer. `false` when there was nothing to move.
    pub fn step(&mut self) -> bool {
        self.steps += 1;
        if self.crash_at == Some(self.steps) {
            self.crash(End::PowerCut);
        }
        let moved = self.move_on();
        if self.disk.is_off() {
            self.crash(End::PowerCut);
            return true;
        }
        moved
    }

    pub fn move_on(&mut self) -> bool {
        if self.tasks.is_empty() || self.rng.random_ratio(1, 3) {
            let stepped = self.app().store.step();
            if stepped > 0 || self.tasks.is_empty() {
                return stepped > 0;
            }
        }
        let at = self.rng.random_range(0..self.tasks.len());
        if let Poll::Ready(came) = self.poll(at) {
            drop(self.tasks.remove(at));
            // After the power has failed nobody hears anything.
            if let Some(came) = came.filter(|_| !self.disk.is_off()) {
                self.learn(came);
            }
        }
        true
    }

    /// Moves a task on. What it has done on another thread is done before anything else happens, so that a seed is one
    /// history.
    fn poll(&mut self, at: usize) -> Poll<Option<Came>> {
        let task = &mut self.tasks[at];
        let _within = self.runtime.enter();
        loop {
            let woken = Arc::new(Woken::default());
            let waker = Waker::from(Arc::clone(&woken));
            let polled = task.work.as_mut().poll(&mut Context::from_waker(&waker));
            if polled.is_ready() || !task.blocks {
                return polled;
            }
            // There is one such thread, and it takes one thing after the other.
            let fence = self.runtime.spawn_blocking(|| ());
            self.runtime.block_on(fence).expect("it does nothing");
            if !woken.0.load(Ordering::SeqCst) {
                return polled;
            }
        }
    }

    /// Moves on until nothing is under way.
    pub fn settle_down(&mut self) {
        for _ in 0..200_000 {
            if !self.step() && self.tasks.is_empty() {
                return;
            }
        }
        panic!("{} things are under way for ever", self.tasks.len());
    }

    /// What a client remembers of an answer.
    fn learn(&mut self, came: Came) {
        let Came { asked, status, json } = came;
        let code = json["code"].as_str().unwrap_or_default();
        let id = json["id"].as_u64();
        self.note(format!("<- {:?} {} {status} {code}", asked.who, asked.path));
        // Whoever is being erased may be turned away before that is answered.
        let is_out = matches!(asked.who, Who::Customer(n) if self.leaving.contains(&user_of(n)));
        assert!(status != 500 && (status != 401 || is_out), "{}: {json}", asked.path);
        if status == 503 && code == "unavailable" {
            self.tally.refused += 1;
        }
        let order = if asked.path == "/api/orders/" {
            id.filter(|_| status == 201)
        } else {
            json["order_id"].as_u64()
        };
        if let Some(order) = order {
            self.promises.orders.entry(order).or_insert(asked.who);
        }
        if ["used_up", "already_used"].contains(&json["reason"].as_str().unwrap_or_default()) {
            self.tally.spent += 1;
        }
        if status >= 400 {
            return;
        }
        if let Some(id) = id.filter(|_| json["status"] == "cancelled" && json["number"].is_string()) {
            self.promises.cancelled.insert(id);
        }
        if asked.path == "/api/orders/" && json["coupon_code"].is_string() {
            self.tally.discounts += 1;
        }
        if asked.path.ends_with("/reviews/") {
            self.tally.reviews += 1;
        }
        if asked.path.ends_with("/fulfilments/")
            && let Some(order) = id
        {
            self.tally.parcels += 1;
            let body: Value = serde_json::from_str(&asked.body).expect("it was sent");
            let number = body["number"].as_str().expect("a number").to_owned();
            self.promises.parcels.push((order, number));
        }
        if asked.path.ends_with("/adjust/") {
            let body: Value = serde_json::from_str(&asked.body).expect("it was sent");
            // What changes nothing is not written down.
            if body["delta"].as_i64().is_some_and(|delta| delta != 0) {
                self.promises.adjusted.insert(body["reason"].as_str().expect("a reason").to_owned());
            }
        }
        if asked.path.contains("/import/")
            && let Some(id) = id
        {
            self.tally.imports += 1;
            self.promises.imported.insert(id, json["rows"].as_u64().expect("rows"));
        }
        if asked.path == COMPACT {
            self.is_compacted();
        }
        if let Some(user) = erased_by(&asked.path) {
            self.tally.erased += 1;
            self.promises.erased.insert(user);
        }
        self.remember(&asked, &json);
        if json["provider"].is_string() && json["amount"].is_string() {
            self.learn_payment(asked.who, &json);
        }
    }

    /// The same request under the same key is answered with the same thing.
    fn remember(&mut self, asked: &Asked, json: &Value) {
        let Some(key) = asked.key() else { return };
        let names: &[&str] =
            if asked.path == "/api/payment/" { &["order_id"] } else { &["id", "variant_id"] };
        let what: Value = names.iter().map(|name| json[name].clone()).collect();
        let now = self.clock.now();
        let of = (asked.who, asked.path.clone(), key.to_owned());
        match self.promises.keyed.get(&of) {
            Some((at, body, first)) if at.plus(KEYS_HOLD) > now => {
                assert_eq!((body, first), (&asked.body, &what), "{asked:?} was answered with something else");
            }
            _ => drop(self.promises.keyed.insert(of, (now, asked.body.clone(), what))),
        }
    }

    fn learn_payment(&mut self, who: Who, json: &Value) {
        let text = |name: &str| json[name].as_str().map(str::to_owned);
        let (id, order) = (json["id"].as_u64().expect("an id"), json["order_id"].as_u64().expect("an order"));
        let known = Known {
            id,
            order,
            customer: self.promises.orders.get(&order).copied().unwrap_or(who),
            provider: text("provider").expect("a provider"),
            secret: text("client_secret").or_else(|| text("approve_url")),
        };
        if json["status"] == "succeeded" {
            self.promises.succeeded.insert(id);
        }
        match self.payments.iter_mut().find(|payment| payment.id == id) {
            Some(payment) if known.secret.is_some() => *payment = known,
            Some(_) => {}
            None => self.payments.push(known),
        }
    }

    pub fn some_payment(&mut self) -> Option<Known> {
        self.payments.choose(&mut self.rng).cloned()
    }

    /// An order, and whose it is.
    pub fn some_order(&mut self) -> Option<(u64, Who)> {
        let all: Vec<_> = self.promises.orders.iter().map(|(order, who)| (*order, *who)).collect();
        all.choose(&mut self.rng).copied()
    }

    pub fn some_customer(&mut self) -> Who {
        Who::Customer(self.rng.random_range(0..self.customers))
    }

    pub fn later(&mut self, span: Duration) {
        self.clock.advance(span);
    }

    /// A good deal of everything.
    pub fn live(&mut self) {
        for _ in 0..self.rng.random_range(15..50) {
            self.act();
            if self.disk.is_off() {
                self.crash(End::PowerCut);
            }
            for _ in 0..self.rng.random_range(0..30) {
                self.step();
            }
        }
    }

    /// The disk is sound again, the gateways answer again, what was under way ends, and time goes by until nothing is
    /// open.
    pub fn come_to_rest(&mut self) {
        self.is_rough = false;
        self.disk.calm(true);
        self.disk.free();
        self.net.gateways().hostile = false;
        self.post.of().hostile = false;
        self.net.gateways().stripe.faults.clear();
        self.net.gateways().pending_ends();
        for round in 0..30 {
            let now = self.net.now();
            self.net.gateways().deliver_late(now);
            self.sweep();
            self.settle_down();
            self.run_jobs();
            self.settle_down();
            self.net.gateways().end_what_hangs(now);
            self.later(Duration::from_hours(2));
            if round > 3 && audit::is_at_rest(self) && post::is_at_rest(self) {
                break;
            }
        }
        assert_eq!(self.app().store.trouble(), None, "the shop comes back by itself");
        let doings = self.disk.doings();
        self.note(format!("{doings:?}"));
        self.tally.disk(&doings);
        self.tally.mails += self.post.of().taken.len() as u64;
        self.tally.mails_again += self.post.of().again;
        self.tally.late += self.net.gateways().given_up;
        self.tally.commits += self.mirror.records().seq - self.template.records.seq;
    }
}
