//! `till check`

use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::client::Shop;
use super::output::{Output, text_of};
use super::sealed::{Source, Unlock};
use super::{CliError, Global};
use crate::app::DATA_FILE;
use crate::backup::{BackupError, Header, Trial};
use crate::check::Report;
use crate::http::find_socket;

/// Proves that the shop's data is as it must be: stock, totals, payments, invoices, indexes
///
/// Without FILE it is the shop itself, which goes on selling meanwhile. A FILE is looked at as a copy beside it, so
/// that nothing is changed.
/// Exit code 0: all is as it must be. 1: there are findings, one to a line.
///
/// till check || mail -s "till: findings" owner@example.com
/// till check shop.backup --deep
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// A backup, or a stopped shop's data file [default: the shop]
    file: Option<PathBuf>,
    /// Looks at every page of the file, too, which must not be in use
    #[arg(long)]
    deep: bool,
    /// First makes anew what is derived: indexes and counters. Facts are never touched
    #[arg(long, conflicts_with_all = ["file", "deep"])]
    repair: bool,
    #[command(flatten)]
    unlock: Unlock,
}

impl Options {
    /// Whether this is about a file, and no shop need be found.
    pub fn of_file(&self) -> bool {
        self.file.is_some() || self.deep
    }
}

pub async fn run(options: &Options, shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
    let asked = json!({"repair": options.repair});
    let report = shop.follow("/api/admin/check/", Some(asked), out).await?;
    if let Some(repaired) = report["repaired"].as_u64() {
        out.note(&format!("{repaired} rows of indexes and counters were made anew"));
    }
    Ok(tell(&report, out))
}

/// Checks a file that is no running shop's.
pub fn run_on_file(options: Options, global: &Global, out: &Output) -> Result<ExitCode, CliError> {
    let file = match options.file {
        Some(file) => file,
        None => {
            let config = global.load_config(crate::config::Flags::default())?;
            if std::os::unix::net::UnixStream::connect(find_socket(&config.data_dir)).is_ok() {
                let said = "the shop is running, and --deep needs its file alone: stop it, or look at a fresh backup:\n  \
                            till backup create --out fresh.backup && till check fresh.backup --deep";
                return Err(CliError::failed(said));
            }
            config.data_dir.join(DATA_FILE)
        }
    };
    let looked = look(&file, options.deep, &options.unlock, global, out)?;
    Ok(shown(looked, out))
}

/// What a file's own look and every check say of it.
pub struct Looked {
    /// Of a backup.
    pub header: Option<Header>,
    report: Report,
    /// What the deep look said.
    is_sound: Option<bool>,
}

/// Looks at a backup, or at a copy of a stopped shop's data file.
pub fn look(
    file: &Path,
    deep: bool,
    unlock: &Unlock,
    global: &Global,
    out: &Output,
) -> Result<Looked, CliError> {
    let source = Source::open(file, unlock, global)?;
    // What is encrypted is not written beside itself as it is.
    let scratch = if source.is_sealed { std::env::temp_dir() } else { scratch(file) };
    let mut progress = out.progress();
    let mut tell = |stage: &'static str, done, of| {
        progress.at(stage, done, of, false);
        ControlFlow::Continue(())
    };
    let shown = file.display();
    let looking = || {
        let trial = if source.is_backup() {
            Trial::of_backup(source, &scratch, &mut tell)?
        } else {
            Trial::of_file(file, &scratch)?
        };
        let is_sound = deep.then(|| trial.is_sound()).transpose()?;
        let report = trial.check(&mut tell)?;
        Ok(Looked { header: trial.header, report, is_sound })
    };
    // redb panics where a page is not what it wrote; that is an answer, too.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let looked = std::panic::catch_unwind(AssertUnwindSafe(looking)).unwrap_or_else(|_| {
        Err(BackupError::Unfit("pages of it are damaged, so that it can't be read; restore a backup".into()))
    });
    std::panic::set_hook(hook);
    progress.end();
    looked.map_err(|error| match error {
        BackupError::InUse => CliError::failed(format!(
            "{shown} is in use by another process: `till check` without FILE checks a shop that runs"
        )),
        error => CliError::failed(format!("{shown}: {error}")),
    })
}

/// Shows what was found.
pub fn shown(looked: Looked, out: &Output) -> ExitCode {
    let Looked { header, report, is_sound } = looked;
    let mut document = json!(report);
    if let Some(header) = header {
        document["backup"] = json!(header);
    }
    if let Some(is_sound) = is_sound {
        document["pages_sound"] = json!(is_sound);
        document["ok"] = json!(report.ok && is_sound);
    }
    tell(&document, out)
}

/// Where a file's copy is made: beside it, where there is a place as large, or in the system's own place.
pub fn scratch(file: &Path) -> PathBuf {
    let beside = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_writable = file.exists() && tempfile::tempfile_in(beside).is_ok();
    if is_writable { beside.to_owned() } else { std::env::temp_dir() }
}

fn tell(report: &Value, out: &Output) -> ExitCode {
    out.document(report, people);
    if report["ok"] == Value::Bool(true) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn people(report: &Value) -> String {
    let members = |name: &str| report[name].as_array().cloned().unwrap_or_default();
    let mut text = String::new();
    if let Some(backup) = report["backup"].as_object() {
        let [at, commit, shop] = ["created_at", "commit", "shop"].map(|name| text_of(&json!(backup), name));
        text.push_str(&format!("a backup of shop {shop}, made {at}, of commit {commit}\n"));
    }
    for invariant in members("invariants") {
        let mark = match invariant["findings"].as_u64() {
            Some(0) => "ok",
            Some(_) => "NO",
            None => "--",
        };
        let [name, says] = ["invariant", "says"].map(|name| text_of(&invariant, name));
        text.push_str(&format!("{mark}  {name:<3}  {says}\n"));
    }
    match report["pages_sound"].as_bool() {
        Some(true) => text.push_str("ok       every page of the file is as it was written\n"),
        Some(false) => text.push_str("NO       pages of the file are not as they were written\n"),
        None => {}
    }
    for finding in members("findings") {
        let [invariant, subject, detail] =
            ["invariant", "subject", "detail"].map(|name| text_of(&finding, name));
        text.push_str(&format!("{invariant} {subject}: {detail}\n"));
    }
    text
}
