//! `till config`

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::output::{Column, Output, print};
use super::{CliError, Global};
use crate::app::unservable;
use crate::config::{Config, Flags};
use crate::mail::Templates;

#[derive(Subcommand)]
pub enum Options {
    /// Says whether the settings are good, and the certificates and mail templates that they name: every fault, and where
    /// it stands
    ///
    /// till config check --config /etc/till/config.toml
    #[command(verbatim_doc_comment)]
    Check,
    /// Prints every setting, where it comes from, with secrets masked
    ///
    /// till config show
    #[command(verbatim_doc_comment)]
    Show,
    /// Prints a commented settings file with all defaults: till config example > config.toml
    Example,
}

pub fn run(options: &Options, global: &Global, out: &Output) -> Result<ExitCode, CliError> {
    match options {
        Options::Example => print(&Config::example()),
        Options::Check => {
            let file = global.config_file();
            global.load_config_and(Flags::default(), faults)?;
            let from = file
                .map_or("no file, defaults and environment only".into(), |path| path.display().to_string());
            out.document(&json!({"ok": true, "file": from}), |_| {
                format!("The settings are good ({from}).\n")
            });
        }
        Options::Show => {
            let config = global.load_config(Flags::default())?;
            let shown = config.shown().into_iter();
            let rows: Vec<Value> = shown
                .map(|(key, value, source)| json!({"setting": key, "value": value, "source": source.to_string()}))
                .collect();
            out.list(
                &rows,
                &[
                    Column("setting", "setting", false),
                    Column("value", "value", false),
                    Column("from", "source", false),
                ],
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is wrong beside the settings themselves.
fn faults(config: &Config) -> Vec<String> {
    let dir = &config.mail_templates;
    let of_templates = if dir.is_empty() { Vec::new() } else { Templates::with(Path::new(dir)).1 };
    let of_templates =
        of_templates.into_iter().map(|fault| format!("mail.templates: {fault}; the built-in one is used"));
    unservable(config, false).into_iter().chain(of_templates).collect()
}
