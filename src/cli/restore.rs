//! `till restore`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::backup::kept_in;
use super::client::is_own;
use super::output::Output;
use super::sealed::{Source, Unlock};
use super::{CliError, Global, platform};
use crate::app::{App, Parts};
use crate::backup::shelf::BACKUPS;
use crate::backup::{Done, Place, RestoreError, restore};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Flags};

/// Puts a backup in the place of a stopped shop's data
///
/// The backup is read to its end and checked first; what was there before is kept beside it. The restored shop begins,
/// captures, ends and refunds nothing that the backup has of payments until `till payment reconcile --after-restore`,
/// because its gateways may have payments that the backup does not know of.
///
/// till restore shop.backup
/// till restore --latest
/// till --data-dir /srv/shop restore shop.backup --force
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// The backup; - is stdin
    #[arg(required_unless_present = "latest")]
    file: Option<PathBuf>,
    /// The newest backup of those that are there [default: where backup.to says]
    #[arg(long, value_name = "PLACE", num_args = 0..=1, conflicts_with = "file")]
    latest: Option<Option<PathBuf>>,
    /// Restores over a shop that is there, and a backup in which the check finds something
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    unlock: Unlock,
}

pub fn run(options: &Options, global: &Global, out: &Output) -> Result<ExitCode, CliError> {
    if global.url.is_some() {
        return Err(CliError::usage("a backup is restored on the shop's own machine, without --url"));
    }
    let config = global.load_config(Flags::default())?;
    is_own(&config.data_dir)?;
    let file = match &options.file {
        Some(file) => file.clone(),
        None => newest(options.latest.clone().flatten(), &config, global)?,
    };
    if !options.force {
        platform::may_restore(&file, &config, global)?;
    }
    let source = Source::open(&file, &options.unlock, global)?;
    let mut progress = out.progress();
    let place = Place {
        dir: &config.data_dir,
        currency: config.shop_currency,
        force: options.force,
        now: SystemClock.now(),
    };
    let restored = restore(source, &place, &mut |stage, done, of| {
        progress.at(stage, done, of, false);
        std::ops::ControlFlow::Continue(())
    });
    progress.end();
    let shown = file.display();
    let Done { header, report, aside } = restored.map_err(|error| match error {
        // The backup was read; it is the directory that can't be written.
        RestoreError::Io(error) => {
            let said = error.to_string();
            let said = said.split(" at path ").next().unwrap_or_default();
            CliError::failed(format!("{}: {said}", config.data_dir.display()))
        }
        error => CliError::failed(format!("{shown}: {error}")),
    })?;

    let dir = config.data_dir.display().to_string();
    let document = json!({"data_dir": dir, "backup": header, "ok": report.ok, "findings": report.findings, "aside": aside});
    out.document(&document, |_| {
        format!(
            "restored to {dir}: shop {}, as it was at {} (commit {}, {} rows); the check finds {} things wrong in it\n",
            header.shop,
            header.created_at,
            header.commit,
            header.rows(),
            report.findings.len()
        )
    });
    if let Some(aside) = &aside {
        out.note(&format!("what was there before: {}", aside.display()));
    }
    for finding in &report.findings {
        eprintln!("{finding}");
    }
    // What does not go with the settings is better known now than at the next start.
    let opened = App::open(Parts::real(config)?);
    opened.map_err(|error| {
        CliError::failed(format!("the data is restored, but the shop can't be opened: {error}"))
    })?;
    out.note("Start it with `till serve`. Then look at what its gateways have that the backup has not: `till payment reconcile`");
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The newest backup of a shop that is alone there.
fn newest(place: Option<PathBuf>, config: &Config, global: &Global) -> Result<PathBuf, CliError> {
    let place = place.unwrap_or_else(|| match config.backup_to.as_str() {
        "" => config.data_dir.join(BACKUPS),
        to => to.into(),
    });
    let (kept, shown) = (kept_in(&place, global)?, place.display());
    let Some(last) = kept.first() else {
        return Err(CliError::failed(format!(
            "{shown} has no backups; `till backup list {shown}` looks there"
        )));
    };
    if kept.iter().any(|other| other.shop != last.shop) {
        return Err(CliError::failed(format!(
            "{shown} has backups of several shops: name the one that is meant (`till backup list {shown}`)"
        )));
    }
    Ok(place.join(&last.name))
}
