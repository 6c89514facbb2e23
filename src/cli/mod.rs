//! The command line: a client of the admin API at three distances. One file per command.

mod ask;
mod audit;
mod backup;
mod check;
mod client;
mod compact;
mod config;
mod coupon;
mod doctor;
mod errors;
mod export;
mod file;
mod healthcheck;
mod import;
mod init;
mod keys;
mod mail;
mod notify;
mod order;
mod output;
mod payment;
mod platform;
pub(crate) mod product;
mod progress;
mod restore;
mod review;
mod sealed;
mod serve;
mod service;
mod stats;
mod stock;
mod table;
mod token;
mod upgrade;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, ConfigError, Flags};
use crate::store::FORMAT;
use client::Shop;
use output::{Output, print};

/// A whole online shop in one binary.
///
/// `till serve --demo` shows a shop at work; `till serve` runs yours. Every other command works on the shop
/// that runs in the data directory, on a stopped one's data file, or, with --url, on a shop elsewhere: the same
/// command, the same output.
#[derive(Parser)]
#[command(name = "till", version, propagate_version = true, disable_help_subcommand = false)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args, Clone)]
pub struct Global {
    /// The settings file [else $TILL_CONFIG, ./config.toml, /etc/till/config.toml]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    config: Option<PathBuf>,
    /// Where the shop's data is [else $TILL_DATA_DIR, the settings file, ./till-data]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    data_dir: Option<PathBuf>,
    /// A shop elsewhere, such as https://shop.example.com [else $TILL_URL]
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    url: Option<String>,
    /// An API token (till token create), or an administrator's access token, for --url [else $TILL_TOKEN]
    #[arg(long, global = true, value_name = "TOKEN", help_heading = "Global options")]
    token: Option<String>,
    /// Prints JSON that a script can read; long lists as JSON lines
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,
    /// Prints results and errors only
    #[arg(long, short, global = true, help_heading = "Global options")]
    quiet: bool,
    /// Says yes to what would be asked
    #[arg(long, short, global = true, help_heading = "Global options")]
    yes: bool,
    /// Whether to use colour: auto, always, never
    #[arg(long, global = true, default_value = "auto", value_name = "WHEN", help_heading = "Global options")]
    color: output::Color,
}

#[derive(Subcommand)]
enum Command {
    Init(Box<init::Options>),
    Serve(serve::Options),
    /// Accounts: customers, staff, administrators
    #[command(subcommand)]
    User(user::Options),
    /// API tokens, for scripts and apps
    #[command(subcommand)]
    Token(token::Options),
    /// The keys that tokens and links are signed with: list them, have a new one sign
    #[command(subcommand)]
    Keys(keys::Options),
    /// The catalogue: import and export, list, archive
    #[command(subcommand)]
    Product(product::Options),
    /// What is on the shelf
    #[command(subcommand)]
    Stock(stock::Options),
    /// Orders: list, look at, move on, refund, write invoices
    #[command(subcommand)]
    Order(order::Options),
    /// Payments: list, look at, ask the gateways, end, refund
    #[command(subcommand)]
    Payment(payment::Options),
    /// Coupons: make, list, end them
    #[command(subcommand)]
    Coupon(coupon::Options),
    /// Reviews: list, hide, delete them
    #[command(subcommand)]
    Review(review::Options),
    /// Mails: what was sent and what waits, try the mail server, change the templates
    #[command(subcommand)]
    Mail(mail::Options),
    /// Errors: whether they are reported
    #[command(subcommand)]
    Errors(errors::Options),
    /// The settings: check them, see where each comes from
    #[command(subcommand)]
    Config(config::Options),
    /// Backups: make one, list those that are kept, prove one good
    #[command(subcommand)]
    Backup(backup::Options),
    Restore(restore::Options),
    Check(check::Options),
    Doctor(doctor::Options),
    Healthcheck(healthcheck::Options),
    Compact(compact::Options),
    /// The shop as a service of systemd: install it, look at it, remove it
    #[command(subcommand)]
    Service(service::Options),
    Upgrade(upgrade::Options),
    Stats(stats::Options),
    /// The audit trail: who changed what, and when
    #[command(subcommand)]
    Audit(audit::Options),
    /// Prints the API's description (OpenAPI 3.1): till openapi > openapi.json
    Openapi,
    /// Prints a shell's completion script: till completions bash > /etc/bash_completion.d/till
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Prints the version
    Version,
}

/// Why a command failed. What is shown says what to do.
#[derive(Debug)]
pub struct CliError {
    pub said: String,
    code: u8,
}

impl CliError {
    /// It was refused, or did not work.
    pub fn failed(said: impl Into<String>) -> CliError {
        CliError { said: said.into(), code: 1 }
    }

    /// What it was told is no good: the settings, or a flag.
    pub fn usage(said: impl Into<String>) -> CliError {
        CliError { said: said.into(), code: 2 }
    }
}

impl<E: std::error::Error> From<E> for CliError {
    fn from(error: E) -> CliError {
        CliError::failed(error.to_string())
    }
}

impl From<ConfigError> for CliError {
    fn from(faults: ConfigError) -> CliError {
        CliError::usage(faults.to_string())
    }
}

/// Runs the command line that the process was started with.
pub fn main() -> ExitCode {
    // Help and errors of the command line itself are coloured before it is read, or not.
    let colored = Cli::command().color(wanted_color());
    let Cli { global, command } =
        Cli::from_arg_matches(&colored.get_matches()).unwrap_or_else(|error| error.exit());
    let out = Output::new(&global);
    match run(&global, command, &out) {
        Ok(code) => code,
        Err(CliError { said, code }) => {
            out.error(&said);
            code.into()
        }
    }
}

fn run(global: &Global, command: Command, out: &Output) -> Result<ExitCode, CliError> {
    match command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "till", &mut script);
            print(&String::from_utf8_lossy(&script));
            return Ok(ExitCode::SUCCESS);
        }
        Command::Version => {
            let version = env!("CARGO_PKG_VERSION");
            let document = serde_json::json!({"version": version, "format": FORMAT});
            out.document(&document, |_| format!("till {version}\n"));
            return Ok(ExitCode::SUCCESS);
        }
        Command::Openapi => {
            print(&format!(
                "{:#}\n",
                crate::http::openapi(global.load_config(Flags::default())?.shop_currency)
            ));
            return Ok(ExitCode::SUCCESS);
        }
        Command::Config(options) => return config::run(&options, global, out),
        Command::Mail(mail::Options::Templates(options)) => return mail::templates(&options, out),
        Command::Check(options) if options.of_file() => return check::run_on_file(options, global, out),
        Command::Restore(options) => return restore::run(&options, global, out),
        Command::Backup(backup::Options::List { from: Some(from) }) => {
            return backup::list(&from, global, out);
        }
        Command::Backup(backup::Options::Verify(options)) => return backup::verify(&options, global, out),
        _ => {}
    }
    let inherited = serve::inherited();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        // What looks at the machine, too, and finds the shop by itself.
        let command = match command {
            Command::Serve(options) => return serve::run(options, inherited, global, out).await,
            Command::Service(options) => return service::run(&options, global, out).await,
            Command::Upgrade(options) => return upgrade::run(options, global, out).await,
            Command::Init(options) => return init::run(&options, global, out).await,
            Command::Healthcheck(options) => return healthcheck::run(&options, global, out).await,
            Command::Doctor(options) => return doctor::run(&options, global, out).await,
            other => other,
        };
        let begins = match &command {
            Command::User(user::Options::Create(_)) => true,
            Command::Product(product::Options::Import(import)) => import.begins(),
            _ => false,
        };
        if let Command::Product(product::Options::Import(import)) = &command {
            import.is_readable()?;
        }
        let shop = Shop::find(global, begins).await?;
        match command {
            Command::User(options) => user::run(options, &shop, global.yes, out).await,
            Command::Token(options) => token::run(options, &shop, out).await,
            Command::Keys(options) => keys::run(options, &shop, global.yes, out).await,
            Command::Product(options) => product::run(options, &shop, out).await,
            Command::Stock(options) => stock::run(options, &shop, out).await,
            Command::Order(options) => order::run(options, &shop, out).await,
            Command::Payment(options) => payment::run(options, &shop, out).await,
            Command::Coupon(options) => coupon::run(options, &shop, out).await,
            Command::Review(options) => review::run(options, &shop, out).await,
            Command::Mail(options) => mail::run(options, &shop, out).await,
            Command::Errors(options) => errors::run(options, &shop, out).await,
            Command::Compact(_) => compact::run(&shop, out).await,
            Command::Stats(options) => stats::run(&options, &shop, out).await,
            Command::Audit(options) => audit::run(options, &shop, out).await,
            Command::Backup(options) => backup::run(options, &shop, global, out).await,
            Command::Check(options) => check::run(&options, &shop, out).await,
            Command::Init(_)
            | Command::Restore(_)
            | Command::Serve(_)
            | Command::Service(_)
            | Command::Upgrade(_)
            | Command::Doctor(_)
            | Command::Healthcheck(_)
            | Command::Config(_)
            | Command::Openapi
            | Command::Completions { .. }
            | Command::Version => {
                unreachable!("these have run already")
            }
        }
    })
}

/// What --color says, wherever it stands.
fn wanted_color() -> ColorChoice {
    let words: Vec<_> = std::env::args().collect();
    let next = words.windows(2).find(|pair| pair[0] == "--color").map(|pair| pair[1].as_str());
    match next.or_else(|| words.iter().find_map(|word| word.strip_prefix("--color="))) {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
}

/// Waits for Ctrl-C, or whatever else asks the command to stop.
async fn stopped() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}

/// What the environment says, if that is anything.
fn from_env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What the environment says, as far as that is text.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

impl Global {
    /// Where the shop is, if it is elsewhere. A data directory that is named on the command line beats a URL in the
    /// environment.
    fn shop_url(&self) -> Option<String> {
        let url =
            self.url.clone().or_else(|| if self.data_dir.is_none() { from_env("TILL_URL") } else { None });
        url.map(|url| url.trim_end_matches('/').to_owned())
    }

    /// The settings file: the one that is named, or the first that is there of the usual ones.
    fn config_file(&self) -> Option<PathBuf> {
        let usual = || {
            ["config.toml", "/etc/till/config.toml"].map(PathBuf::from).into_iter().find(|path| path.exists())
        };
        self.named_config().or_else(usual)
    }

    /// The settings file that is named.
    fn named_config(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| std::env::var_os("TILL_CONFIG").map(PathBuf::from))
    }

    /// The settings, with `flags` above all.
    pub fn load_config(&self, flags: Flags) -> Result<Config, ConfigError> {
        self.load_config_and(flags, |_| Vec::new())
    }

    /// The settings, where `look` has nothing to say against them either.
    fn load_config_and(
        &self,
        mut flags: Flags,
        look: impl FnOnce(&Config) -> Vec<String>,
    ) -> Result<Config, ConfigError> {
        if let Some(dir) = &self.data_dir {
            flags.0.push(("data.dir", "--data-dir", dir.display().to_string()));
        }
        Config::load_and(self.config_file().as_deref(), environment(), &flags, look)
    }
}
