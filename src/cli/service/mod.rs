//! `till service`: the shop as a service of systemd.

mod hand;
mod status;
mod unit;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::client::Shop;
use super::output::{Output, print};
use super::{CliError, Global};
use crate::config::{Config, Flags, Source};
use hand::{Hand, Owner, run as ask};
pub use unit::{BINARY, CONFIG, SERVICE, SOCKET};
use unit::{CONFIG_DIR, DATA, PREVIOUS, SYSUSERS, USER, USERS, Units};

#[derive(Subcommand)]
pub enum Options {
    /// Has systemd run the shop, from now on and after every start of the machine
    ///
    /// Makes the user till, copies this program to /usr/local/bin, writes /etc/till/config.toml (or copies the file
    /// that --config names, and keeps what was there as config.toml.previous) and the units till.socket and
    /// till.service, starts them, and waits until the shop is ready. Run again after a change of where the shop listens
    /// or keeps its data, it does what is left to do.
    ///
    /// sudo till service install
    /// sudo till service install --config shop.toml
    /// till service install --dry-run
    #[command(verbatim_doc_comment)]
    Install(Plan),
    /// Stops the shop and removes the units; the data, the settings and the program stay
    Uninstall(Plan),
    /// Says how the service is, and what it runs
    ///
    /// Exits with 0 when the shop is ready, and else with 1.
    #[command(verbatim_doc_comment)]
    Status,
}

#[derive(Args)]
pub struct Plan {
    /// Says what would be done, with the text of each file, and changes nothing
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(options: &Options, global: &Global, out: &Output) -> Result<ExitCode, CliError> {
    match options {
        Options::Install(plan) => install(plan, global, out).await,
        Options::Uninstall(plan) => uninstall(plan, out),
        Options::Status => status::run(out).await,
    }
}

async fn install(plan: &Plan, global: &Global, out: &Output) -> Result<ExitCode, CliError> {
    if !plan.dry_run {
        can_be_done("service install")?;
    }
    let (text, config) = settings(global)?;
    let units = Units::of(&config).map_err(CliError::failed)?;
    let program = std::env::current_exe()?;
    let is_up = is_active("till.service");

    let mut hand = Hand::new(plan.dry_run, out);
    if is_up && !plan.dry_run && is_another(&program) {
        return Err(CliError::failed(format!(
            "the shop runs {BINARY}, which is another till than this; `{BINARY} upgrade --from {}` changes it and goes \
             back if the new one is no good",
            program.display()
        )));
    }
    let mut is_changed = hand.copy(&program, BINARY)?;
    hand.write(SYSUSERS, 0o644, Owner::Root, USERS)?;
    hand.run(&["systemd-sysusers", SYSUSERS])?;
    hand.dir(Path::new(CONFIG_DIR), 0o750, Owner::RootForShop)?;
    is_changed |= put_settings(&mut hand, &text, plan, out)?;
    // systemd makes the shop's own directory, and hands over what root has put there (StateDirectory=).
    for place in units.places.iter().filter(|place| !place.is_dir()) {
        hand.dir(place, 0o700, Owner::Shop)?;
    }
    let are_doors_new = hand.write(SOCKET, 0o644, Owner::Root, &units.socket)?;
    let is_unit_new = hand.write(SERVICE, 0o644, Owner::Root, &units.service)?;
    if are_doors_new || is_unit_new {
        hand.run(&["systemctl", "daemon-reload"])?;
    }
    if are_doors_new && (is_up || is_active("till.socket")) {
        // systemd changes no socket that a service has.
        hand.run(&["systemctl", "stop", "till.socket", "till.service"])?;
    }
    hand.run(&["systemctl", "enable", "--quiet", "till.socket", "till.service"])?;
    hand.run(&["systemctl", "start", "till.socket"]).map_err(|CliError { said: error, .. }| {
        let addresses: Vec<_> = unit::addresses(&config).iter().map(ToString::to_string).collect();
        CliError::failed(format!(
            "{error}\nAnother program may listen on {}: `ss -ltnp` shows it",
            addresses.join(" or ")
        ))
    })?;
    is_changed |= are_doors_new || is_unit_new;
    // Returns when the shop is ready (Type=notify).
    let verb = if is_changed { "restart" } else { "start" };
    hand.run(&["systemctl", verb, "till.service"]).map_err(|CliError { said: error, .. }| {
        let log = ask(&["journalctl", "--unit=till.service", "--lines=10", "--no-pager", "--output=cat"]);
        CliError::failed(format!("{error}\n{}", log.unwrap_or_default().trim_end()))
    })?;

    let is_ready = if plan.dry_run { None } else { Some(Shop::running(&config.data_dir).await?.is_some()) };
    if out.json {
        print(&format!(
            "{}\n",
            json!({"dry_run": plan.dry_run, "ready": is_ready, "steps": hand.into_steps()})
        ));
    }
    if plan.dry_run {
        out.note("Nothing was changed.");
        return Ok(ExitCode::SUCCESS);
    }
    out.note(
        "The shop runs, and will after every start of the machine. Next:\n  \
         till user create --email YOU --role admin --generate   makes the administrator\n  \
         till doctor   looks at everything that a shop needs\n  \
         till service status   says how the service is; journalctl -u till -f shows its log",
    );
    Ok(ExitCode::SUCCESS)
}

/// Writes the settings, and beside them those that they take the place of; whether that changed them.
fn put_settings(hand: &mut Hand, text: &str, plan: &Plan, out: &Output) -> Result<bool, CliError> {
    let replaced = match fs::read_to_string(CONFIG) {
        Ok(there) => Some(there).filter(|there| there != text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(CliError::failed(format!("{CONFIG}: {error}"))),
    };
    if let Some(there) = &replaced {
        hand.write(PREVIOUS, 0o640, Owner::RootForShop, there)?;
    }
    let is_changed = hand.write(CONFIG, 0o640, Owner::RootForShop, text)?;
    if replaced.is_some() && !plan.dry_run {
        out.note(&format!("The settings that were there before are in {PREVIOUS}."));
    }
    Ok(is_changed)
}

fn uninstall(plan: &Plan, out: &Output) -> Result<ExitCode, CliError> {
    if !plan.dry_run {
        can_be_done("service uninstall")?;
    }
    let mut hand = Hand::new(plan.dry_run, out);
    // An uninstall that was cut off may have left one of them, and systemctl refuses to disable what is not there.
    let units = [("till.socket", SOCKET), ("till.service", SERVICE)];
    let units: Vec<_> = units.into_iter().filter(|(_, file)| Path::new(file).exists()).collect();
    let is_there = !units.is_empty();
    if is_there {
        let mut disable = vec!["systemctl", "disable", "--quiet", "--now"];
        disable.extend(units.iter().map(|(unit, _)| unit));
        hand.run(&disable)?;
        for (_, file) in units {
            hand.remove(file)?;
        }
        hand.run(&["systemctl", "daemon-reload"])?;
    }
    if out.json {
        print(&format!("{}\n", json!({"dry_run": plan.dry_run, "steps": hand.into_steps()})));
    }
    if is_there {
        out.note(&format!(
            "What stays: the shop's data in {DATA}, its settings in {CONFIG}, the program {BINARY}, the user {USER}."
        ));
    } else {
        out.note("There is no such service.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether this process may, and this machine can.
fn can_be_done(command: &str) -> Result<(), CliError> {
    // As sd_booted(3) says.
    if !Path::new("/run/systemd/system").is_dir() {
        return Err(CliError::failed(
            "this machine is not run by systemd; have what runs it start `till serve`, send it SIGTERM to stop, and start \
             it again when it ends",
        ));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(CliError::failed(format!(
            "this takes root's rights: sudo till {command}; --dry-run shows what it does"
        )));
    }
    Ok(())
}

/// The settings of the service: the file that was named, or what is there, or the defaults; and their text.
fn settings(global: &Global) -> Result<(String, Config), CliError> {
    let named = global.config.as_deref();
    let from = named.unwrap_or(Path::new(CONFIG));
    let mut text = match fs::read_to_string(from) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => Config::example(),
        read => read.map_err(|error| CliError::failed(format!("{}: {error}", from.display())))?,
    };
    if let Some(dir) = &global.data_dir {
        return Err(CliError::failed(format!(
            "a service finds its data by its settings: write dir = \"{}\" under [data] in {}",
            dir.display(),
            from.display()
        )));
    }
    // What stands in this shell's environment does not stand in the service's.
    let read = |text: &str| {
        let mut file = tempfile::NamedTempFile::new()?;
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        Config::load(Some(file.path()), [], &Flags::default()).map_err(|error| {
            CliError::failed(
                error.to_string().replace(&file.path().display().to_string(), &from.display().to_string()),
            )
        })
    };
    let mut config = read(&text)?;
    if config.shown().iter().any(|(key, _, source)| *key == "data.dir" && **source == Source::Default) {
        text = unit::with_data_dir(&text);
        config = read(&text)?;
    }
    Ok((text, config))
}

/// Whether the program that is installed is another one.
fn is_another(program: &Path) -> bool {
    Path::new(BINARY).exists() && !hand::is_same(program, Path::new(BINARY)).unwrap_or(false)
}

fn is_active(unit: &str) -> bool {
    ask(&["systemctl", "is-active", "--quiet", unit]).is_ok()
}
