//! Every setting: its name, meaning, default and check. A value comes from the file, the environment or a flag,
//! each beating the one before, and every fault is said at once, with where it stands and what is allowed.

mod bucket;
mod errors;
mod gateways;
mod https;
mod limits;
mod mail;
mod otlp;
mod read;
mod schedule;
#[cfg(test)]
mod tests;
mod urls;
mod value;
mod written;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use https::Domains;
pub use read::{ConfigError, Flags};
pub use value::{Environment, LogFormat, LogLevel, Secret, Setting};

use crate::accounts::SHORTEST;
use crate::cart::totals::Charges;
use crate::http::{Origins, Proxies, ProxyHeader};
use crate::money::{Currency, Money, Rate};
use crate::orders::{Carriers, Seller};
use crate::pace::Pace;
use crate::store::Upgrade;
use crate::telemetry::otlp::Temporality;
use read::Faults;

/// One setting as a table row: what it is called, what it is for, and what it is when nobody says.
pub struct Declared {
    pub key: &'static str,
    pub doc: &'static [&'static str],
    pub default: &'static str,
    pub is_secret: bool,
    /// In the example file it stands in quotes.
    pub is_text: bool,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Default,
    File { path: PathBuf, line: usize },
    Environment(String),
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File { path, line } => write!(f, "{}:{line}", path.display()),
            Source::Environment(name) => write!(f, "${name}"),
            Source::Flag(name) => f.write_str(name),
        }
    }
}

/// Declares the settings: a field for each, a table of all, and how they are read.
macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $key:literal $field:ident: $type:ty = $default:literal;)+) => {
        /// All settings, read and checked.
        #[derive(Clone, Debug)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $field: $type,)+
            sources: Vec<Source>,
        }

        /// All settings there are, in the order of the example file.
        pub const SETTINGS: &[Declared] = &[$(Declared {
            key: $key,
            doc: &[$($doc),+],
            default: $default,
            is_secret: <$type as Setting>::IS_SECRET,
            is_text: <$type as Setting>::IS_TEXT,
        }),+];

        impl Config {
            fn assemble(given: &mut read::Given) -> Config {
                let mut sources = Vec::with_capacity(SETTINGS.len());
                Config {
                    $($field: {
                        let (value, source) = given.take::<$type>($key, $default);
                        sources.push(source);
                        value
                    },)+
                    sources,
                }
            }

            /// Each setting's value, masked where it is a secret, and where it came from.
            pub fn shown(&self) -> Vec<(&'static str, String, &Source)> {
                let values = [$(($key, Setting::show(&self.$field))),+];
                values.into_iter().zip(&self.sources).map(|((key, value), source)| (key, value, source)).collect()
            }
        }
    };
}

settings! {
    /// Where the shop listens: address and port. Port 0 picks a free one. Where this is not set, it is [::]:443 with HTTPS,
    /// and $PORT on all addresses on platforms that tell a program its port so.
    "server.listen" server_listen: SocketAddr = "127.0.0.1:8080";
    /// Where whoever watches over the process asks for /metrics, /healthz and /readyz, such as 127.0.0.1:9180: a listener
    /// of its own, which is there for nothing else and asks nobody who they are. Bind it to this machine or to a private
    /// network. Empty: these are on the operator's socket, and all but /metrics on server.listen.
    "server.ops_listen" server_ops_listen: Option<SocketAddr> = "";
    /// What customers call the shop, such as https://shop.example.com: links in answers begin with it.
    /// Empty: the first https.domain, or whatever the request was sent to.
    "server.public_url" server_public_url: String = "";
    /// Proxies whose word on who asks is believed: addresses and nets with commas between them, such as
    /// 127.0.0.1,10.0.0.0/8. All others are clients, whatever they say.
    "server.trusted_proxies" server_trusted_proxies: Proxies = "";
    /// Where these proxies write whom they speak for: x-forwarded-for (with X-Forwarded-Proto and X-Forwarded-Host), or
    /// forwarded (RFC 7239). The other is not looked at, because a proxy passes on what it does not write.
    "server.proxy_header" server_proxy_header: ProxyHeader = "x-forwarded-for";
    /// What this shop is called among others that tell the same places of errors and by OTLP, such as staging: 1 to 64
    /// characters.
    "server.environment" server_environment: Environment = "production";
    /// Most connections at a time, in all (16 to 1000000), and from one address, proxies excepted (1 to 1000000).
    "server.max_connections" server_max_connections: MaxConnections = "4096";
    /// See max_connections.
    "server.connections_per_address" server_connections_per_address: PerAddress = "256";
    /// Sites whose pages may use the API from a browser, such as https://www.example.com, with commas between them; *
    /// for all. Empty: none.
    "server.cors_origins" server_cors_origins: Origins = "";
    /// The names that the shop answers to by HTTPS, such as shop.example.com,www.example.com: certificates for them are
    /// had from a certificate authority by ACME, and renewed, by themselves. Empty: plain HTTP, unless there is a
    /// cert_file. With HTTPS, server.listen is [::]:443 where nothing else is set.
    "https.domain" https_domain: Domains = "";
    /// The authority's ACME directory; Let's Encrypt's for trying things out is
    /// https://acme-staging-v02.api.letsencrypt.org/directory.
    "https.acme_directory" https_acme_directory: String = "https://acme-v02.api.letsencrypt.org/directory";
    /// Where the authority may write to about the account.
    "https.acme_email" https_acme_email: String = "";
    /// Certificates (PEM) that the directory's own server is trusted by, in the place of the system's.
    "https.acme_ca_file" https_acme_ca_file: String = "";
    /// A certificate with its chain (PEM), in the place of ACME; it is read again when it changes.
    "https.cert_file" https_cert_file: String = "";
    /// The certificate's private key (PEM).
    "https.key_file" https_key_file: String = "";
    /// Where plain HTTP is sent on to HTTPS, and the authority's questions are answered. Empty: nowhere.
    "https.http_listen" https_http_listen: Option<SocketAddr> = "[::]:80";
    /// Where the data file, the signing key and the operator's socket are kept.
    "data.dir" data_dir: PathBuf = "./till-data";
    /// Memory for the data file's pages, in mebibytes (4 to 65536).
    "data.cache_mb" data_cache_mb: CacheSize = "32";
    /// What is done with a data file that an older till wrote, before it is brought up to date: snapshot keeps a copy
    /// beside it, direct does not, refuse leaves the file as it is and does not start.
    "data.upgrade" data_upgrade: Upgrade = "snapshot";
    /// The shop's name, on invoices.
    "shop.name" shop_name: String = "till";
    /// The seller's address and tax number, on invoices; lines are split at "\n".
    "shop.address" shop_address: String = "";
    /// The shop's one currency, an ISO 4217 code. It can't be changed once the shop has data.
    "shop.currency" shop_currency: Currency = "USD";
    /// What signs tokens and links: at least 32 characters. Empty: a key that is made at the first start and
    /// kept in the data directory.
    "auth.signing_key" auth_signing_key: Secret = "";
    /// Keys that auth.signing_key took the place of, with commas between them: what they signed stays good for its time
    /// while they stand here. Take them out after refresh_days. A key of the data directory is replaced by
    /// till keys rotate.
    "auth.signing_keys_old" auth_signing_keys_old: Secret = "";
    /// How long an access token is good, in minutes (1 to 1440).
    "auth.access_minutes" auth_access_minutes: AccessMinutes = "15";
    /// How long a login lasts without being used, in days (1 to 365).
    "auth.refresh_days" auth_refresh_days: RefreshDays = "30";
    /// How long an unpaid order keeps its stock, in minutes (1 to 43200).
    "orders.hold_minutes" orders_hold_minutes: HoldMinutes = "60";
    /// What sending an order costs.
    "shipping.flat" shipping_flat: String = "0";
    /// From this subtotal on, sending is free. Empty: never.
    "shipping.free_from" shipping_free_from: String = "";
    /// Carriers beside those that are built in (till order carriers), as NAME=URL with commas between them; {number} in a
    /// URL stands for the parcel's number, {country} and {postal_code} for where it goes.
    "shipping.carriers" shipping_carriers: Carriers = "";
    /// Tax that is added to every line, in percent.
    "tax.percent" tax_percent: Rate = "0";
    /// Whether requests are limited by address and account. What follows is of one address (of IPv6, a /64) unless it
    /// says otherwise, and may come all at once; it is given back evenly. The operator's socket has no limits.
    "limits.enabled" limits_enabled: bool = "true";
    /// All requests that have no limit of their own. Customers who share an address share this, too.
    "limits.requests" limits_requests: Pace = "6000/minute";
    /// The same, of one user or API token.
    "limits.user_requests" limits_user_requests: Pace = "1200/minute";
    /// Logins.
    "limits.logins" limits_logins: Pace = "300/hour";
    /// Wrong passwords for one account, after which each further try has to wait, for longer each time (1 to 100). Where
    /// its owner has logged in before has a count of its own.
    "limits.wrong_passwords" limits_wrong_passwords: WrongPasswords = "5";
    /// New accounts.
    "limits.registrations" limits_registrations: Pace = "60/hour";
    /// Requests that send a mail: links to choose a password or to prove an address.
    "limits.mails" limits_mails: Pace = "30/hour";
    /// Codes that could be guessed: coupons, and links that were mailed. Also of one user.
    "limits.guesses" limits_guesses: Pace = "120/hour";
    /// New payments; to ask after one, or to go on with it, is none.
    "limits.payments" limits_payments: Pace = "120/hour";
    /// The same, of one account.
    "limits.payments_of_user" limits_payments_of_user: Pace = "30/hour";
    /// Declined payments within an hour, after which no new one is begun (1 to 10000).
    "limits.declines" limits_declines: Declines = "30";
    /// The same, of one account.
    "limits.declines_of_user" limits_declines_of_user: Declines = "10";
    /// When, within an hour, so many payments are declined (1 to 10000), and they are so much of all that were declined
    /// or succeeded (percent, 1 to 100), only customers who paid before begin new ones, until that is over.
    "limits.breaker_declines" limits_breaker_declines: Declines = "20";
    /// See breaker_declines.
    "limits.breaker_percent" limits_breaker_percent: Percent = "50";
    /// What payment gateways tell.
    "limits.webhooks" limits_webhooks: Pace = "6000/minute";
    /// The built-in test gateway: orders are paid with no money at all. For trying the shop out, never for selling.
    "payment.test.enabled" payment_test_enabled: bool = "false";
    /// Stripe's secret key, sk_test_… or sk_live_…, or a restricted one, rk_…, that may use PaymentIntents, Refunds,
    /// Charges, Disputes and Events. Empty: no Stripe.
    "payment.stripe.secret_key" payment_stripe_secret_key: Secret = "";
    /// The secret of Stripe's webhook endpoint, whsec_…; several with commas between them, while one is replaced.
    "payment.stripe.webhook_secret" payment_stripe_webhook_secret: Secret = "";
    /// Where Stripe's API is.
    "payment.stripe.api_base" payment_stripe_api_base: String = "https://api.stripe.com";
    /// The client id and the secret of PayPal's REST application. Empty: no PayPal.
    "payment.paypal.client_id" payment_paypal_client_id: String = "";
    /// See client_id.
    "payment.paypal.client_secret" payment_paypal_client_secret: Secret = "";
    /// The id that PayPal gave to the shop's webhook.
    "payment.paypal.webhook_id" payment_paypal_webhook_id: String = "";
    /// Where PayPal's API is; https://api-m.sandbox.paypal.com is PayPal's for trying things out.
    "payment.paypal.api_base" payment_paypal_api_base: String = "https://api-m.paypal.com";
    /// Where PayPal keeps the certificates that its webhooks are signed with: hosts, with commas between them.
    "payment.paypal.cert_hosts" payment_paypal_cert_hosts: String = "api.paypal.com,api-m.paypal.com,api.sandbox.paypal.com,api-m.sandbox.paypal.com";
    /// Where PayPal sends the buyer back to. Empty: server.public_url.
    "payment.paypal.return_url" payment_paypal_return_url: String = "";
    /// How long a payment gateway may take to answer, in seconds (1 to 120).
    "payment.timeout_seconds" payment_timeout_seconds: TimeoutSeconds = "20";
    /// When the shop backs itself up each day, as a time in UTC such as 03:30. Empty: never.
    "backup.daily_at" backup_daily_at: String = "";
    /// Where these backups are kept: a directory, or a bucket, s3://BUCKET/PREFIX. Empty: backups in the data directory,
    /// which a broken disk takes with it.
    "backup.to" backup_to: String = "";
    /// Of how many days, weeks and months the last backup is kept (0 to 1000 each).
    "backup.keep_daily" backup_keep_daily: Kept = "7";
    /// See keep_daily.
    "backup.keep_weekly" backup_keep_weekly: Kept = "4";
    /// See keep_daily.
    "backup.keep_monthly" backup_keep_monthly: Kept = "6";
    /// Encrypts these backups, in the age format. Empty: no passphrase.
    "backup.passphrase" backup_passphrase: Secret = "";
    /// Encrypts them for these recipients instead, age1…, with commas between them: the shop itself can't read them.
    "backup.recipients" backup_recipients: String = "";
    /// Where the bucket is that s3://… names, such as https://minio.example.com. Empty: at AWS.
    /// What is not set under s3_ is taken from AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID,
    /// AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN in the environment.
    "backup.s3_endpoint" backup_s3_endpoint: String = "";
    /// The bucket's region.
    "backup.s3_region" backup_s3_region: String = "us-east-1";
    /// The access key that may put, get, list and delete objects in the bucket.
    "backup.s3_access_key" backup_s3_access_key: String = "";
    /// The secret key that belongs to it.
    "backup.s3_secret_key" backup_s3_secret_key: Secret = "";
    /// The token that belongs to keys which are good for a while only.
    "backup.s3_session_token" backup_s3_session_token: Secret = "";
    /// The mail server that mails are handed to: smtps://USER:PASSWORD@HOST for TLS from the first byte (port 465), or
    /// smtp://USER:PASSWORD@HOST for STARTTLS (port 587); a user or password with special characters is written as in
    /// URLs (%40 for @). A server that offers no STARTTLS is refused, unless ?tls=opportunistic, or ?tls=off, which never
    /// uses it, is at the end. Empty: mails are kept and can be read with till mail, and none is sent.
    "mail.smtp_url" mail_smtp_url: Secret = "";
    /// Whom mails are from, such as Ann's Teas <orders@shop.example.com>.
    "mail.from" mail_from: String = "";
    /// Who gets what is for the shop's people (low stock, a refund that failed): addresses with commas between them.
    /// Empty: all administrators.
    "mail.admin_to" mail_admin_to: String = "";
    /// A directory with templates that take the place of the built-in ones; till mail templates --write DIR makes one.
    "mail.templates" mail_templates: String = "";
    /// Where customers look at an order: its id is added. Empty: server.public_url and /orders/.
    "mail.order_url" mail_order_url: String = "";
    /// Where customers choose a new password: the token is added. Empty: server.public_url and /reset?token=.
    "mail.reset_url" mail_reset_url: String = "";
    /// Where customers prove their address: the token is added. Empty: server.public_url and /verify?token=.
    "mail.verify_url" mail_verify_url: String = "";
    /// What got low is told in one mail, at most once in so many minutes (1 to 10080).
    "mail.low_stock_minutes" mail_low_stock_minutes: LowStockMinutes = "60";
    /// How long the mail server may take over each step, in seconds (1 to 120).
    "mail.timeout_seconds" mail_timeout_seconds: TimeoutSeconds = "60";
    /// Where errors are reported to Sentry: the project's DSN, https://KEY@HOST/PROJECT. Empty: they are not.
    "errors.sentry_dsn" errors_sentry_dsn: Secret = "";
    /// The token that errors are reported to Rollbar with, of the scope post_server_item. Empty: they are not.
    "errors.rollbar_token" errors_rollbar_token: Secret = "";
    /// Where Rollbar takes items.
    "errors.rollbar_url" errors_rollbar_url: String = "https://api.rollbar.com/api/1/item/";
    /// How many of a hundred errors are reported (1 to 100).
    "errors.sample_percent" errors_sample_percent: Percent = "100";
    /// Where traces and metrics are sent by OTLP over HTTP, such as http://127.0.0.1:4318 for a collector on this machine:
    /// /v1/traces and /v1/metrics are added. deploy/monitoring/README.md has what several services want here. Empty:
    /// nothing is sent.
    "otlp.endpoint" otlp_endpoint: String = "";
    /// What the receiver wants to see with each message, as NAME=VALUE with commas between them: its key, mostly.
    "otlp.headers" otlp_headers: Secret = "";
    /// How many of a hundred requests are traced (0 to 100).
    "otlp.trace_percent" otlp_trace_percent: TracePercent = "10";
    /// Whether a traceparent that comes with a request decides instead (W3C Trace Context). Only for a shop whose
    /// callers are one's own: others could have everything traced.
    "otlp.follow_callers" otlp_follow_callers: bool = "false";
    /// How often metrics are sent, in seconds (1 to 3600; 0: never).
    "otlp.interval_seconds" otlp_interval_seconds: IntervalSeconds = "60";
    /// Whether counts are told from the start of the shop on (cumulative) or since they were told last (delta, which
    /// Datadog wants).
    "otlp.temporality" otlp_temporality: Temporality = "cumulative";
    /// What is logged: error, warn, info, debug or trace, or a filter such as till=debug,hyper=warn.
    "log.level" log_level: LogLevel = "info";
    /// How it is logged: text or json.
    "log.format" log_format: LogFormat = "text";
}

macro_rules! ranged {
    ($($name:ident $range:expr),+) => {$(
        #[doc = concat!("A number in the range of its setting (", stringify!($range), ").")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub u64);

        impl Setting for $name {
            const IS_TEXT: bool = false;

            fn read(text: &str) -> Result<Self, String> {
                let range: std::ops::RangeInclusive<u64> = $range;
                let said = || format!("must be an integer from {} to {}", range.start(), range.end());
                text.parse().ok().filter(|n| range.contains(n)).map($name).ok_or_else(said)
            }

            fn show(&self) -> String {
                self.0.to_string()
            }
        }
    )+};
}
ranged!(CacheSize 4..=65_536, AccessMinutes 1..=1440, RefreshDays 1..=365, HoldMinutes 1..=43_200, TimeoutSeconds 1..=120, MaxConnections 16..=1_000_000, PerAddress 1..=1_000_000, WrongPasswords 1..=100, Declines 1..=10_000, Percent 1..=100, LowStockMinutes 1..=10_080, TracePercent 0..=100, IntervalSeconds 0..=3600, Kept 0..=1000);

impl Config {
    /// Reads the settings: the file, if there is one, then the environment, then the flags.
    ///
    /// # Errors
    /// Every fault of all three, with its place.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &Flags,
    ) -> Result<Config, ConfigError> {
        Config::load_and(file, environment, flags, |_| Vec::new())
    }

    /// [`Config::load`], where `look` has nothing to say against the settings either.
    ///
    /// # Errors
    /// Every fault of the settings, and what `look` says of them, as far as they can be read.
    pub fn load_and(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &Flags,
        look: impl FnOnce(&Config) -> Vec<String>,
    ) -> Result<Config, ConfigError> {
        let mut given = read::Given::gather(file, environment, flags)?;
        let config = Config::assemble(&mut given);
        let mut faults = given.faults();
        config.cross_check(&mut faults);
        given.note(faults);
        given.note_all(look(&config));
        given.finish()?;
        Ok(config)
    }

    /// Whether somebody set `key`.
    fn is_set(&self, key: &str) -> bool {
        let at = SETTINGS.iter().position(|setting| setting.key == key).expect("it is a setting");
        self.sources[at] != Source::Default
    }

    /// What a shop is on that nobody configured.
    pub fn defaults() -> Config {
        Config::load(None, [], &Flags::default()).expect("the defaults are good")
    }

    /// What one setting's check can't see.
    fn cross_check(&self, faults: &mut Faults) {
        if faults.can_judge("shop.currency") {
            faults.of("shipping.flat", self.amount(&self.shipping_flat));
            faults.of("shipping.free_from", self.free_from());
        }
        let key = self.auth_signing_key.reveal();
        if !key.is_empty() && key.len() < SHORTEST {
            faults.say("auth.signing_key", format!("must have at least {SHORTEST} characters"));
        }
        if self.old_signing_keys().any(|old| old.len() < SHORTEST) {
            let said = format!("must be keys of at least {SHORTEST} characters, with commas between them");
            faults.say("auth.signing_keys_old", said);
        }
        if key.is_empty() && self.old_signing_keys().next().is_some() {
            faults.say("auth.signing_keys_old", "goes with auth.signing_key, which is empty");
        }
        let Seller { name, address } = self.seller();
        if name.chars().count() > 200 {
            faults.say("shop.name", "must have at most 200 characters");
        }
        if address.lines().count() > 15 || address.lines().any(|line| line.chars().count() > 200) {
            faults.say("shop.address", "must have at most 15 lines of at most 200 characters");
        }
        urls::check(self, faults);
        https::check(self, faults);
        gateways::check(self, faults);
        schedule::check(self, faults);
        bucket::check(self, faults);
        mail::check(self, faults);
        errors::check(self, faults);
        otlp::check(self, faults);
    }

    fn amount(&self, text: &str) -> Result<Money, String> {
        let currency = self.shop_currency;
        currency.parse(text).map_err(|said| format!("{said}, in {currency}"))
    }

    fn free_from(&self) -> Result<Option<Money>, String> {
        let text = &self.shipping_free_from;
        if text.is_empty() { Ok(None) } else { self.amount(text).map(Some) }
    }

    /// What an order is reckoned by.
    pub fn charges(&self) -> Charges {
        let known = "checked when the settings were read";
        Charges {
            currency: self.shop_currency,
            shipping: self.amount(&self.shipping_flat).expect(known),
            free_shipping_from: self.free_from().expect(known),
            tax: self.tax_percent,
        }
    }

    pub fn seller(&self) -> Seller {
        Seller { name: self.shop_name.clone(), address: self.shop_address.replace("\\n", "\n") }
    }

    pub fn old_signing_keys(&self) -> impl Iterator<Item = &str> {
        value::list(self.auth_signing_keys_old.reveal())
    }

    pub fn low_stock_every(&self) -> Duration {
        Duration::from_secs(60 * self.mail_low_stock_minutes.0)
    }

    pub fn hold(&self) -> Duration {
        Duration::from_secs(60 * self.orders_hold_minutes.0)
    }

    /// A setting's default, as it is written.
    pub fn default_of(key: &str) -> &'static str {
        SETTINGS.iter().find(|setting| setting.key == key).map_or("", |setting| setting.default)
    }
}
