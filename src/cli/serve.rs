//! `till serve`

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::{CliError, Global, Output, notify};
use crate::app::{App, Parts};
use crate::config::{Config, Flags, LogFormat, Setting, Source};
use crate::http::{Listeners, find_socket};
use crate::payments::gateway::test::PROVIDER;
use crate::{demo, jobs};

/// Runs the shop
///
/// Prints `listening on http://ADDRESS:PORT` on stdout when it answers; logs on stderr.
/// SIGTERM and Ctrl-C let running requests finish; a second one stops at once.
/// systemd is told when it asks (Type=notify, WatchdogSec=).
///
/// till serve --demo
/// till serve --listen 0.0.0.0:8080
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
}

pub async fn run(options: Options, global: &Global, out: &Output) -> Result<ExitCode, CliError> {
    let mut flags = Flags::default();
    if let Some(listen) = &options.listen {
        flags.0.push(("server.listen", "--listen", listen.to_string()));
    }
    let mut config = global.load_config(flags)?;
    start_log(&config)?;
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
    }
    let parts = Parts { demo: options.demo, ..Parts::real(config)? };
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

    let address = app.config.server_listen;
    let listeners = Listeners::tcp(address).await.map_err(|error| {
        CliError(format!(
            "can't listen on {address}: {error}. Another program may; --listen picks another port"
        ))
    })?;
    let running = listeners.with_socket(&app.config.data_dir)?.serve(&app);
    warn_of_root(&app.config);
    let (stop, stopping) = watch::channel(false);
    // Before anybody is told that the shop runs: whoever is told may stop it.
    let mut stops = Stops::new()?;
    let clock = tokio::spawn(jobs::run(Arc::clone(&app), stopping));

    if let Some(address) = running.address() {
        println!("listening on http://{address}");
        if let Some(login) = &login
            && !out.quiet
        {
            print!("{}", demo::guide(login, address));
        }
        std::io::stdout().flush()?;
    }
    starting.end().await;
    let alive = notify::ready(&app, running.address());
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
    if let Some(alive) = alive {
        alive.end().await;
    }
    drop(app);
    drop(temporary);
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
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

fn start_log(config: &Config) -> Result<(), CliError> {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log_level.0)
        .map_err(|error| CliError(format!("log.level is {:?}: {error}", config.log_level.0)))?;
    // A log that can't be written (a full disk, a reader that is gone) must not stop the shop.
    let log = tracing_subscriber::fmt().log_internal_errors(false).with_env_filter(filter);
    let log = log.with_writer(std::io::stderr).with_target(false);
    match config.log_format {
        LogFormat::Json => log.json().init(),
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
    }
    Ok(())
}
