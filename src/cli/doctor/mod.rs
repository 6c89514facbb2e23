//! `till doctor`: is all well with the shop, and with the machine that it runs on? One file per subject, each a function
//! that says what it found.

mod backup;
mod clock;
mod data;
mod disk;
mod domain;
mod files;
mod gateways;
mod machine;
mod mail;
mod patient;
mod ports;
mod settings;

use std::io::IsTerminal;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::output::{Output, one_line, print};
use super::{CliError, Global, platform};
use crate::advice::{Advice, Level, error, ok, warning};
pub use backup::place as place_of_backups;
pub use mail::try_to_connect;
use patient::Patient;

/// How long a look may take, and how long the check of all data.
const PATIENCE: Duration = Duration::from_secs(40);
const PATIENCE_WITH_DATA: Duration = Duration::from_secs(90);

/// Says whether all is well with the shop and its machine, and what to do where it is not
///
/// Looks at the settings, files, disk, memory, clock, ports, domain, certificate, payment gateways and their
/// webhooks, mail server, backups, and at the shop itself, whether it runs or not; a shop elsewhere (--url) only as
/// far as it can be seen from here. Nothing is changed, no mail is sent, no money moves.
/// Exit code 0: there is no error; there may be warnings. 1: there is.
///
/// till doctor
/// till doctor --json | jq '.findings[] | select(.level != "ok")'
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// Asks nobody over the network: no gateway, mail server, bucket or name server
    #[arg(long)]
    offline: bool,
}

/// Looking at one subject.
struct Look {
    subject: &'static str,
    patience: Duration,
    looking: Pin<Box<dyn Future<Output = Vec<Advice>> + Send>>,
}

impl Look {
    fn at(subject: &'static str, looking: impl Future<Output = Vec<Advice>> + Send + 'static) -> Look {
        Look { subject, patience: PATIENCE, looking: Box::pin(looking) }
    }

    /// A look that waits for the disk or the system, beside the others.
    fn blocking(subject: &'static str, look: impl FnOnce() -> Vec<Advice> + Send + 'static) -> Look {
        let looking = tokio::task::spawn_blocking(look);
        Look::at(subject, async { looking.await.unwrap_or_else(|_| vec![broken()]) })
    }
}

pub async fn run(options: &Options, global: &Global, out: &Output) -> Result<ExitCode, CliError> {
    let looks = match global.shop_url() {
        Some(base) => from_afar(base, global, options.offline),
        None => near(global, options.offline).await,
    };
    let findings = tell(looks, out).await;
    let count = |level| findings.iter().filter(|(_, advice)| advice.level == level).count();
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    if out.json {
        let all = findings.iter().map(|(subject, advice)| {
            let mut finding = json!(advice);
            finding["subject"] = json!(subject);
            finding
        });
        let all: Vec<Value> = all.collect();
        let document = json!({"ok": errors == 0, "errors": errors, "warnings": warnings, "findings": all});
        print(&format!("{document}\n"));
    } else {
        let several =
            |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        out.note(&format!("{}, {}", several(errors, "error"), several(warnings, "warning")));
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What there is to look at beside the data directory.
async fn near(global: &Global, is_offline: bool) -> Vec<Look> {
    let config = match settings::load(global) {
        Ok(config) => config,
        Err(faults) => return vec![Look::at("settings", async { faults })],
    };
    let patient = Arc::new(Patient::near(config, is_offline).await);
    let with = |look: fn(&Patient) -> Vec<Advice>| {
        let patient = Arc::clone(&patient);
        move || look(&patient)
    };
    let file = global.config_file();
    let judged = settings::look(&patient, file.as_deref());
    let mut looks = vec![
        Look::at("settings", async { judged }),
        Look::blocking("platform", with(|patient| platform::examine(patient.config(), patient.is_running))),
        Look::blocking("files", {
            let patient = Arc::clone(&patient);
            move || files::look(&patient, file.as_deref())
        }),
        Look::blocking("disk", with(disk::look)),
        Look::blocking("memory", with(machine::memory)),
        Look::blocking("system", with(machine::limits)),
    ];
    macro_rules! looks {
        ($($subject:literal $look:path;)+) => {$(
            let own = Arc::clone(&patient);
            looks.push(Look::at($subject, async move { $look(&own).await }));
        )+};
    }
    looks! {
        "clock" clock::look;
        "ports" ports::look;
        "domain" domain::look;
        "payments" gateways::look;
        "mail" mail::look;
        "backups" backup::look;
        "shop" data::state;
    }
    looks.push(Look {
        patience: PATIENCE_WITH_DATA,
        ..Look::at("data", async move { data::check(&patient).await })
    });
    looks
}

/// What can be seen of a shop that is elsewhere.
fn from_afar(base: String, global: &Global, is_offline: bool) -> Vec<Look> {
    if is_offline {
        let said = error("a shop elsewhere can't be looked at offline", "leave --offline out, or --url");
        return vec![Look::at("shop", async { vec![said] })];
    }
    let patient = match Patient::afar(base, global) {
        Ok(patient) => Arc::new(patient),
        Err(CliError { said, .. }) => {
            return vec![Look::at("shop", async { vec![error(said, "look at --url")] })];
        }
    };
    let unseen =
        "its settings, files, disk, memory, ports, gateways, mail server and backups can't be seen from here";
    let unseen = warning(unseen, "run `till doctor` on its own machine");
    let [one, two, three, four] = [0; 4].map(|_| Arc::clone(&patient));
    vec![
        Look::at("machine", async { vec![unseen] }),
        Look::at("clock", async move { clock::look(&one).await }),
        Look::at("domain", async move { domain::look(&two).await }),
        Look::at("shop", async move { data::state(&three).await }),
        Look { patience: PATIENCE_WITH_DATA, ..Look::at("data", async move { data::check(&four).await }) },
    ]
}

/// Looks at everything at once, and tells what was found in the order of the looks, as soon as it is known.
async fn tell(looks: Vec<Look>, out: &Output) -> Vec<(&'static str, Advice)> {
    let bar = if std::io::stderr().is_terminal() && !out.quiet {
        ProgressBar::new_spinner()
    } else {
        ProgressBar::hidden()
    };
    bar.set_style(ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("the template is fixed"));
    bar.enable_steady_tick(Duration::from_millis(100));
    let running: Vec<_> = looks
        .into_iter()
        .map(|Look { subject, patience, looking }| {
            (subject, patience, tokio::spawn(timeout(patience, looking)))
        })
        .collect();
    let mut findings = Vec::new();
    for (subject, patience, looking) in running {
        bar.set_message(subject);
        let found = match looking.await {
            Ok(Ok(found)) => found,
            Ok(Err(_)) => vec![warning(
                format!("it took longer than {} s to look at", patience.as_secs()),
                "look again when the machine and the network are less busy",
            )],
            Err(_) => vec![broken()],
        };
        for advice in found {
            if !out.json {
                bar.suspend(|| print(&shown(subject, &advice, out)));
            }
            findings.push((subject, advice));
        }
    }
    bar.finish_and_clear();
    findings
}

fn broken() -> Advice {
    error(
        "it could not be looked at: the doctor itself failed",
        "tell the makers of till what stands on stderr",
    )
}

/// A finding as people read it: what is so, and below it what to do.
fn shown(subject: &str, advice: &Advice, out: &Output) -> String {
    let (word, color) = match advice.level {
        Level::Ok => ("ok", "32"),
        Level::Warning => ("warning", "33"),
        Level::Error => ("error", "1;31"),
    };
    let word = out.colored(color, &format!("{word:<8}"));
    let mut text = format!("{word} {subject:<9} {}\n", one_line(&advice.says));
    if let Some(todo) = &advice.todo {
        text.push_str(&format!("{:19}→ {}\n", "", one_line(todo)));
    }
    text
}

/// A size as people read it.
fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

/// That it was not looked at, because nobody is to be asked.
fn not_asked() -> Vec<Advice> {
    vec![ok("not looked at: --offline")]
}
