//! `till serve`

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use clap::Args;
use listenfd::ListenFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::{CliError, Global, Output, notify, platform};
use crate::app::{App, Parts, unservable};
use crate::config::{Config, Flags, Setting, Source};
use crate::http::{Door, Inherited, Listeners, find_socket};
use crate::payments::gateway::test::PROVIDER;
use crate::telemetry::{Errors, otlp, start_log, watch_panics};
use crate::{demo, jobs};

/// Runs the shop
///
/// Prints `listening on http://ADDRESS:PORT` (https:// with HTTPS) on stdout when it answers; logs on stderr.
/// SIGTERM and Ctrl-C let running requests finish; a second one stops at once.
/// systemd is told when it asks (Type=notify, WatchdogSec=).
///
/// till serve --demo
/// till serve --listen 0.0.0.0:8080
/// till serve --domain shop.example.com
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// A shop to try things out: products, customers, past orders, an administrator, and the test gateway on.
    /// Its data is in a temporary directory, unless --data-dir names one
    #[arg(long)]
    demo: bool,
    /// Where to listen; port 0 picks a free one [default: the setting server.listen, 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT", value_parser = <SocketAddr as Setting>::read)]
    listen: Option<SocketAddr>,
    /// Speaks HTTPS as this name, with certificates from Let's Encrypt; several by giving it again
    #[arg(long, value_name = "NAME")]
    domain: Vec<String>,
}

/// Most sockets that are handed in.
const MOST_SOCKETS: usize = 64;

/// The sockets that a service manager has opened for the shop and hands in (sd_listen_fds(3)). What says so is taken
/// out of the environment, which no thread may read meanwhile: so this comes before there are any.
pub fn inherited() -> Inherited {
    let said = |name: &str| std::env::var(name).ok();
    let is_for_us = said("LISTEN_PID").is_some_and(|process| process == std::process::id().to_string());
    let count = said("LISTEN_FDS").and_then(|count| count.parse::<usize>().ok());
    if !is_for_us || count.is_none_or(|count| count > MOST_SOCKETS) {
        return Inherited::default();
    }
    let mut handed = ListenFd::from_env();
    let sockets = (0..handed.len()).filter_map(|at| {
        let taken = handed.take_tcp_listener(at);
        taken.inspect_err(|error| eprintln!("a socket that was handed in can't be used: {error}")).ok()?
    });
    Inherited::new(sockets.collect())
}

pub async fn run(
    options: Options,
    mut inherited: Inherited,
    global: &Global,
    out: &Output,
) -> Result<ExitCode, CliError> {
    let mut flags = Flags::default();
    if let Some(listen) = &options.listen {
        flags.0.push(("server.listen", "--listen", listen.to_string()));
    }
    if !options.domain.is_empty() {
        flags.0.push(("https.domain", "--domain", options.domain.join(",")));
    }
    // Before anything is made.
    let mut config = global.load_config_and(flags, |config| unservable(config, options.demo))?;
    let errors = Arc::new(Errors::new(&config));
    let said = start_log(&config.log_level.0, config.log_format, &errors);
    said.map_err(|error| CliError::failed(format!("log.level is {:?}: {error}", config.log_level.0)))?;
    watch_panics(&errors);
    platform::tell_port(&config);
    let starting = notify::starting();

    let mut temporary = None;
    let mut login = None;
    if options.demo {
        let is_named = |(key, _, source): &(_, _, &Source)| *key == "data.dir" && **source != Source::Default;
        if !config.shown().iter().any(is_named) {
            let dir = tempfile::Builder::new().prefix("till-demo-").tempdir()?;
            config.data_dir = dir.path().to_owned();
            temporary = Some(dir);
        }
        login = Some(demo::prepare(&config).await?);
    } else {
        platform::may_start(&config).await?;
    }
    let parts = Parts { demo: options.demo, errors: Arc::clone(&errors), ..Parts::real(config)? };
    let app = App::open(parts)?;
    let (version, data) = (env!("CARGO_PKG_VERSION"), app.config.data_dir.display().to_string());
    tracing::info!(version, data, currency = %app.currency(), "till starts");
    for gateway in app.gateways.all() {
        let (provider, mode) = (gateway.provider(), gateway.mode());
        tracing::info!(provider, ?mode, "takes payments");
    }
    for (key, endpoint) in app.config.deaf_webhooks() {
        tracing::warn!(
            "{key} is not set: what happens at the gateway is found out by asking. Have it tell {endpoint}"
        );
    }
    if app.gateways.find(Some(PROVIDER)).is_some() {
        tracing::warn!("the built-in TEST GATEWAY is ON: orders are paid with no money at all");
    }

    if !app.mail.sends() {
        tracing::info!("mails are kept and not sent: `till mail list`");
    }

    app.begin_https()?;
    let listeners = open_doors(&app.config, &mut inherited)?;
    for unused in inherited.addresses() {
        tracing::warn!(address = %unused, "a socket was handed in for an address where the shop does not listen");
    }
    // Whoever connects there is to be refused, and not to wait.
    drop(inherited);
    app.begin_to_answer()?;
    let running = listeners.with_socket(&app.config.data_dir)?.serve(&app);
    warn_of_root(&app.config);
    let (stop, stopping) = watch::channel(false);
    // Before anybody is told that the shop runs: whoever is told may stop it.
    let mut stops = Stops::new()?;
    let clock = tokio::spawn(jobs::run(Arc::clone(&app), stopping.clone()));
    let told = tokio::spawn(otlp::run(Arc::clone(&app), stopping));

    if let Some(address) = running.address(Door::Operations) {
        tracing::info!(%address, "whoever watches is answered");
    }
    println!("listening on {}", app.own_url());
    if let Some(login) = &login
        && !out.quiet
    {
        print!("{}", demo::guide(login, &app.own_url()));
    }
    std::io::stdout().flush()?;
    starting.end().await;
    let alive = notify::ready(&app);
    stops.next().await;
    notify::stopping();
    tracing::info!("stopping: requests that run may finish; a second signal stops at once");
    app.stopping.store(true, Ordering::Relaxed);
    tokio::spawn(async move {
        stops.next().await;
        std::process::exit(1);
    });
    running.stop().await;
    let _ = stop.send(true);
    clock.await?;
    told.await?;
    if let Some(alive) = alive {
        alive.end().await;
    }
    drop(app);
    errors.close().await;
    drop(temporary);
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// The ways in that the settings call for.
fn open_doors(config: &Config, inherited: &mut Inherited) -> Result<Listeners, CliError> {
    config.doors().into_iter().try_fold(Listeners::default(), |listeners, (door, setting, address)| {
        listeners.open(door, address, inherited).map_err(|error| {
            let why = match error.kind() {
                ErrorKind::PermissionDenied => "a port below 1024 takes root, or CAP_NET_BIND_SERVICE",
                _ => "another program may",
            };
            CliError::failed(format!(
                "can't listen on {address}: {error}; {why}. The setting {setting} picks another"
            ))
        })
    })
}

/// The signals that ask for a stop, from the moment that this is made.
struct Stops {
    terminate: Signal,
    interrupt: Signal,
}

impl Stops {
    fn new() -> std::io::Result<Stops> {
        Ok(Stops { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The shop needs no more rights than its data directory's user has. The socket was made just now, by this user.
fn warn_of_root(config: &Config) {
    let is_root = find_socket(&config.data_dir).metadata().is_ok_and(|socket| socket.uid() == 0);
    if is_root {
        tracing::warn!(
            "the shop runs as root and needs not: have a user of its own own the data directory and run it"
        );
    }
}
