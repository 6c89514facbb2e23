//! The shop, put together: all that a handler or a job may reach.

use std::collections::HashSet;
use std::fs::DirBuilder;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::sync::Notify;

use crate::accounts::{Guesses, KeySource, Keys, Passwords, Ring};
use crate::audit;
use crate::cart::totals::Charges;
use crate::catalogue::Listings;
use crate::certs::Https;
use crate::checkout::Rules;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::http::idempotency::InFlights;
use crate::http::{Client, Limits, Meters, Origin};
use crate::mail::{Mailer, Transport};
use crate::metrics::Changes;
use crate::money::{Currency, Money};
use crate::orders::Seller;
use crate::outbox;
use crate::payments::gateway::paypal::{PayPal, Trust};
use crate::payments::gateway::stripe::Stripe;
use crate::payments::gateway::test::TestGateway;
use crate::payments::gateway::watched::{Calls, Watched};
use crate::payments::gateway::wire::HttpWire;
use crate::payments::gateway::{Gateway, Gateways, Mode};
use crate::payments::{Cards, Terms};
use crate::store::{
    ANSWERED_FORMAT, Disk, FORMAT, FileDisk, META, OpenError, Options, Store, StoreError, answered_format,
};
use crate::telemetry::Errors;
use crate::telemetry::otlp::Otlp;

/// In the data directory.
pub const DATA_FILE: &str = "till.redb";
const KEY_FILE: &str = "signing.key";
/// Among the file's properties: the version that last answered.
const ANSWERED_BY: &str = "answered_by";

pub struct App {
    pub store: Arc<Store>,
    pub clock: Arc<dyn Clock>,
    pub config: Config,
    pub charges: Charges,
    pub seller: Seller,
    pub keys: Keys,
    pub passwords: Passwords,
    pub guesses: Guesses,
    pub gateways: Gateways,
    /// What was asked of the gateways.
    pub gateway_calls: Vec<Arc<Calls>>,
    pub cards: Arc<Cards>,
    pub mail: Mailer,
    pub listings: Arc<Listings>,
    /// What became of orders, payments and mails since the start.
    pub changes: Arc<Changes>,
    pub in_flight: InFlights,
    pub limits: Limits,
    /// How requests go.
    pub requests: Meters,
    /// Who is told of the shop by OTLP.
    pub otlp: Option<Otlp>,
    /// Whether this is a demo, which says so.
    pub demo: bool,
    /// Where errors are told.
    pub errors: Arc<Errors>,
    https: OnceLock<Https>,
    /// Where customers reach this process, once it listens.
    pub listening: OnceLock<SocketAddr>,
    /// Whether the process has been asked to stop: long work ends where it can be gone on with.
    pub stopping: AtomicBool,
    /// This shop's own id, which its payments carry at the gateways.
    pub shop: String,
    /// Gateways that could not be asked the last time.
    pub silent_gateways: Mutex<HashSet<String>>,
    /// Wakes whoever works gateway events off.
    pub events_came: Notify,
    /// When the last readiness probe was written, in milliseconds since 1970.
    pub probed_at: AtomicI64,
    /// The API's description, once somebody asked for it.
    pub openapi: OnceLock<Bytes>,
    /// When it was opened, by the machine's own clock.
    pub started: SystemTime,
    request_ids: AtomicU64,
    /// Whether it was said that a proxy is not among those that are believed.
    met_unknown_proxy: AtomicBool,
}

/// What a shop is put together from. Tests and the simulation bring their own clock, disk, seed and gateways.
pub struct Parts {
    pub config: Config,
    pub clock: Arc<dyn Clock>,
    pub disk: Box<dyn Disk>,
    pub seed: [u8; 32],
    pub keys: KeySource,
    /// Whether the writer has a thread of its own.
    pub threaded: bool,
    /// Beside the ones that the configuration switches on.
    pub gateways: Vec<Arc<dyn Gateway>>,
    /// What letters are handed to, in the place of the mail server of the configuration.
    pub mail: Option<Arc<dyn Transport>>,
    pub demo: bool,
    /// Where errors are told; nowhere by itself, because only a shop that runs tells them.
    pub errors: Arc<Errors>,
}

/// Why the shop could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{path}: {error}")]
    File { path: String, error: io::Error },
    #[error(
        "the shop's data is in {has} and shop.currency is {wanted}; a shop's currency can't be changed. Set \
         shop.currency to {has}, or begin a new shop in another data directory"
    )]
    Currency { has: String, wanted: Currency },
    #[error(
        "a demo must move no real money, and the settings have live keys of {provider}: take them out (payment.{provider} \
         in the file, TILL_PAYMENT__… in the environment), or put test keys in"
    )]
    LiveDemo { provider: &'static str },
    #[error(
        "payment.test.enabled is on beside live keys of {provider}: whoever orders could pay with no money at all. Switch \
         it off, or put test keys in"
    )]
    TestBesideLive { provider: &'static str },
    #[error("HTTPS: {0}")]
    Https(String),
    #[error("{said}, the shop's currency; take the settings under payment.{provider} out")]
    NotTaken { provider: &'static str, said: String },
}

impl Parts {
    /// The parts of a real shop: files in the configured data directory, the machine's clock.
    pub fn real(config: Config) -> Result<Parts, AppError> {
        let dir = config.data_dir.clone();
        let file = |error| AppError::File { path: dir.display().to_string(), error };
        // What is in it is personal data and secrets: for this user alone.
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(file)?;
        let clock = SystemClock;
        let keys = match config.auth_signing_key.reveal() {
            "" => {
                let path = dir.join(KEY_FILE);
                let ring = Ring::of_file(&path, clock.now())
                    .map_err(|error| AppError::File { path: path.display().to_string(), error })?;
                KeySource { ring, file: Some(path) }
            }
            given => {
                let ring = Ring::given(given.as_bytes(), config.old_signing_keys());
                KeySource { ring, file: None }
            }
        };
        let cache = (config.data_cache_mb.0 as usize) << 20;
        Ok(Parts {
            clock: Arc::new(clock),
            disk: Box::new(FileDisk {
                upgrade: config.data_upgrade,
                ..FileDisk::new(dir.join(DATA_FILE), cache)
            }),
            seed: rand::make_rng::<StdRng>().random(),
            keys,
            threaded: true,
            gateways: Vec::new(),
            mail: None,
            demo: false,
            errors: Arc::default(),
            config,
        })
    }
}

impl App {
    pub fn open(parts: Parts) -> Result<Arc<App>, AppError> {
        let Parts { config, clock, disk, seed, keys, threaded, gateways, mail, demo, errors } = parts;
        let store = Store::open(Options { disk, clock: Arc::clone(&clock), seed, threaded })?;
        let store = Arc::new(store);
        fix_currency(&store, config.shop_currency)?;
        if store.read(outbox::complete_since)?.is_none() {
            store.write_now(outbox::begin)?;
        }

        let listings = Arc::new(Listings::build(&store)?);
        let heard = Arc::clone(&listings);
        store.on_commit(move |commit| heard.hear(commit));

        let cards = Arc::new(Cards::new(&config, &clock));
        store.read(|tx| cards.catch_up(tx))?;
        let heard = Arc::clone(&cards);
        store.on_commit(move |commit| heard.hear(commit));

        let shop = store.read(|tx| META.expect(tx, &"shop_id".to_owned()))?;
        let mut all = gateways;
        let (outside, gateway_calls) = outside_gateways(&config, &shop, &clock);
        all.extend(outside);
        let test: Arc<dyn Gateway> = Arc::new(TestGateway::new(Arc::clone(&store)));
        if let Some(fault) = unfit(&all, &config, demo).next() {
            return Err(fault);
        }
        if demo {
            // The demo's guide pays with it.
            all.insert(0, Arc::clone(&test));
        } else if config.payment_test_enabled {
            all.push(Arc::clone(&test));
        }
        let changes = Arc::new(Changes::new(all.iter().map(|gateway| gateway.provider())));
        let heard = Arc::clone(&changes);
        store.on_commit(move |commit| heard.hear(commit));
        Ok(Arc::new(App {
            charges: config.charges(),
            seller: config.seller(),
            keys: Keys::new(keys, &shop),
            passwords: Passwords::default(),
            guesses: Guesses::new(&config),
            gateways: Gateways::new(all, test),
            gateway_calls,
            cards,
            mail: Mailer::new(&config, mail, demo),
            https: OnceLock::new(),
            in_flight: InFlights::default(),
            openapi: OnceLock::new(),
            limits: Limits::new(&config, &clock),
            requests: Meters::new(&crate::http::operations()),
            otlp: config.otlp().map(|settings| Otlp::new(settings, &shop)),
            met_unknown_proxy: AtomicBool::new(false),
            started: SystemTime::now(),
            request_ids: AtomicU64::new(rand::make_rng::<StdRng>().random()),
            store,
            clock,
            config,
            listings,
            changes,
            demo,
            errors,
            listening: OnceLock::new(),
            stopping: AtomicBool::new(false),
            shop,
            silent_gateways: Mutex::default(),
            events_came: Notify::new(),
            probed_at: AtomicI64::new(0),
        }))
    }

    /// Notes, before the first request is answered, which till answers from now on. What an older one can't read and
    /// nobody was told of can be taken back (`till upgrade`); what somebody was told can't.
    pub fn begin_to_answer(&self) -> Result<(), StoreError> {
        let version = env!("CARGO_PKG_VERSION");
        let known = self.store.read(|tx| META.get(tx, &ANSWERED_BY.to_owned()))?;
        if known.as_deref() == Some(version) && self.store.read(answered_format)? == Some(FORMAT) {
            return Ok(());
        }
        self.store.write_now(move |tx| {
            if let Some(known) = known.as_deref().filter(|known| *known != version) {
                let [before, after] = [known, version].map(|version| json!({ "till": version }));
                audit::note(tx, "operator", "shop.upgrade", "shop", before, after)?;
            }
            tx.set_meta(ANSWERED_BY, version)?;
            tx.set_meta(ANSWERED_FORMAT, &FORMAT.to_string())
        })
    }

    pub fn currency(&self) -> Currency {
        self.config.shop_currency
    }

    pub fn refresh_lasts(&self) -> Duration {
        Duration::from_secs(24 * 3600 * self.config.auth_refresh_days.0)
    }

    pub fn access_lasts(&self) -> Duration {
        Duration::from_secs(60 * self.config.auth_access_minutes.0)
    }

    /// What orders are placed by.
    pub fn rules(&self) -> Rules {
        Rules { charges: self.charges.clone(), seller: self.seller.clone(), hold: self.config.hold() }
    }

    /// What payments are settled by.
    pub fn terms(&self) -> Terms {
        Terms { seller: self.seller.clone(), hold: self.config.hold() }
    }

    /// Who is at the other end of a request; nobody but the operator comes in by another way than the network.
    pub fn client(&self, origin: Origin, headers: &HeaderMap) -> Option<Client> {
        let Origin::Network(peer) = origin else { return None };
        let (proxies, header) = (&self.config.server_trusted_proxies, self.config.server_proxy_header);
        let client = Client::of(peer, headers, proxies, header);
        // From outside anybody may say so; within the shop's own network it is a proxy that somebody forgot.
        if client.is_unknown_proxy
            && is_near(client.address)
            && !self.met_unknown_proxy.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                address = %client.address,
                "a proxy is not in server.trusted_proxies: all whom it speaks for are taken for one client, and limited so"
            );
        }
        Some(client)
    }

    /// Begins with HTTPS, where the settings call for it: whoever serves the shop needs it, and nobody else.
    ///
    /// # Errors
    /// Files of certificates that are no good.
    pub fn begin_https(&self) -> Result<(), AppError> {
        if let Some(https) = Https::open(&self.config, self.clock.now()).map_err(AppError::Https)? {
            let _ = self.https.set(https);
        }
        Ok(())
    }

    /// What HTTPS is served with, where the shop is served so.
    pub fn https(&self) -> Option<&Https> {
        self.https.get()
    }

    /// Where this process listens, as a URL without a slash at the end.
    pub fn own_url(&self) -> String {
        let address = self.listening.get().copied().unwrap_or(self.config.listen());
        format!("{}://{address}", self.config.scheme())
    }

    /// An id for a request that brought none: unlike those of other processes, and counting up.
    pub fn new_request_id(&self) -> String {
        format!("{:016x}", self.request_ids.fetch_add(1, Ordering::Relaxed))
    }
}

/// Whether an address is of this machine or of a private network.
fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

/// The gateways of others that the settings have keys for.
pub fn outside_gateways(
    config: &Config,
    shop: &str,
    clock: &Arc<dyn Clock>,
) -> (Vec<Arc<dyn Gateway>>, Vec<Arc<Calls>>) {
    let (stripe, paypal) = (config.stripe(shop), config.paypal());
    if stripe.is_none() && paypal.is_none() {
        return (Vec::new(), Vec::new());
    }
    let http = Arc::new(HttpWire::new(config.payment_timeout(), Vec::new()));
    let wire = |calls: &Arc<Calls>| Arc::new(Watched { wire: http.clone(), calls: Arc::clone(calls) });
    let (mut all, mut calls): (Vec<Arc<dyn Gateway>>, Vec<_>) = (Vec::new(), Vec::new());
    if let Some(settings) = stripe {
        let own = Calls::of("stripe");
        all.push(Arc::new(Stripe::new(settings, wire(&own))));
        calls.push(own);
    }
    if let Some(settings) = paypal {
        let own = Calls::of("paypal");
        all.push(Arc::new(PayPal::new(settings, wire(&own), Arc::clone(clock), Trust::System)));
        calls.push(own);
    }
    (all, calls)
}

/// What can't be served with settings that are good each by itself: gateways that do not go with the shop, certificates
/// that are none.
pub fn unservable(config: &Config, demo: bool) -> Vec<String> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let gateways = outside_gateways(config, "", &clock).0;
    let https = Https::check(config, clock.now()).map_err(AppError::Https);
    let faults = unfit(&gateways, config, demo).chain(https.err());
    faults.map(|fault| fault.to_string()).collect()
}

/// What is wrong with having these gateways, the others' ones, in this shop.
fn unfit(gateways: &[Arc<dyn Gateway>], config: &Config, demo: bool) -> impl Iterator<Item = AppError> {
    let currency = config.shop_currency;
    let some = Money { minor: 10_i64.pow(currency.decimals() + 2), currency };
    let has_test = config.payment_test_enabled;
    gateways.iter().flat_map(move |gateway| {
        let (provider, is_live) = (gateway.provider(), gateway.mode() == Mode::Live);
        let live = match () {
            () if is_live && demo => Some(AppError::LiveDemo { provider }),
            () if is_live && has_test => Some(AppError::TestBesideLive { provider }),
            () => None,
        };
        let not_taken = gateway.takes(some).err().map(|said| AppError::NotTaken { provider, said });
        live.into_iter().chain(not_taken)
    })
}

/// Fixes the shop's currency at the first start, and holds the configuration against it at every other.
fn fix_currency(store: &Store, wanted: Currency) -> Result<(), AppError> {
    let key = "currency".to_owned();
    match store.read(|tx| META.get(tx, &key))? {
        None => Ok(store.write_now(move |tx| {
            outbox::begin(tx)?;
            tx.set_meta("currency", wanted.code())
        })?),
        Some(has) if has == wanted.code() => Ok(()),
        Some(has) => Err(AppError::Currency { has, wanted }),
    }
}
