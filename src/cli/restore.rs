//! `till restore`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::output::Output;
use super::sealed::{Source, Unlock};
use super::{CliError, Global};
use crate::app::{App, Parts};
use crate::backup::{Done, Place, RestoreError, restore};
use crate::clock::{Clock, SystemClock};
use crate::config::Flags;

/// Puts a backup in the place of a stopped shop's data
///
/// The backup is read to its end and checked first; what was there before is kept beside it. The restored shop begins,
/// captures, ends and refunds nothing that the backup has of payments until `till payment reconcile --after-restore`,
/// because its gateways may have payments that the backup does not know of.
///
/// till restore shop.backup
/// till --data-dir /srv/shop restore shop.backup --force
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// The backup; - is stdin
    file: PathBuf,
    /// Restores over a shop that is there, and a backup in which the check finds something
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    unlock: Unlock,
}

pub fn run(options: &Options, global: &Global, out: &Output) -> Result<ExitCode, CliError> {
    if global.url.is_some() {
        return Err(CliError("a backup is restored on the shop's own machine, without --url".into()));
    }
    let config = global.load_config(Flags::default())?;
    let source = Source::open(&options.file, &options.unlock, global)?;
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
    let shown = options.file.display();
    let Done { header, report, aside } = restored.map_err(|error| match error {
        // The backup was read; it is the directory that can't be written.
        RestoreError::Io(error) => {
            let said = error.to_string();
            let said = said.split(" at path ").next().unwrap_or_default();
            CliError(format!("{}: {said}", config.data_dir.display()))
        }
        error => CliError(format!("{shown}: {error}")),
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
    opened
        .map_err(|error| CliError(format!("the data is restored, but the shop can't be opened: {error}")))?;
    out.note("Start it with `till serve`. Then look at what its gateways have that the backup has not: `till payment reconcile`");
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
