//! `till init`

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::file::OutFile;
use super::output::Output;
use super::{CliError, Global};
use crate::config::{Config, Flags};

/// Writes config.toml: asks, or takes flags
///
/// On a terminal, what no flag says is asked for, with a default to accept by Enter.
/// Elsewhere, and with --yes, the defaults are taken. The file names every other
/// setting too, with its meaning and its default.
///
/// till init
/// till init --name "Corner Shop" --currency EUR --shipping 4.90 --tax 19 --yes
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// The shop's name, on invoices
    #[arg(long)]
    name: Option<String>,
    /// The seller's address and tax number, on invoices; \n between lines
    #[arg(long)]
    address: Option<String>,
    /// The shop's one currency, such as EUR; it can't be changed later
    #[arg(long)]
    currency: Option<String>,
    /// What customers call the shop, such as https://shop.example.com
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Where the shop listens, such as 127.0.0.1:8080
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// What sending an order costs
    #[arg(long, value_name = "AMOUNT")]
    shipping: Option<String>,
    /// From which subtotal on sending is free
    #[arg(long, value_name = "AMOUNT")]
    free_shipping_from: Option<String>,
    /// Tax that is added to every line, in percent
    #[arg(long, value_name = "PERCENT")]
    tax: Option<String>,
    /// Whether the built-in test gateway is on, which pays orders with no money at all
    #[arg(long, value_name = "true|false")]
    test_payments: Option<String>,
    /// The file to write [default: --config, else ./config.toml]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A question: the setting, what is asked, the flag that answers it.
struct Question<'a> {
    key: &'static str,
    asks: &'static str,
    flag: &'static str,
    given: Option<&'a String>,
}

impl Options {
    fn questions(&self) -> [Question<'_>; 9] {
        let question = |key, asks, flag, given| Question { key, asks, flag, given };
        [
            question("shop.name", "What is the shop called?", "--name", self.name.as_ref()),
            question(
                "shop.address",
                "The seller's address and tax number for invoices, \\n between lines?",
                "--address",
                self.address.as_ref(),
            ),
            question(
                "shop.currency",
                "Which currency (ISO 4217)? It can't be changed later.",
                "--currency",
                self.currency.as_ref(),
            ),
            question(
                "shipping.flat",
                "What does sending an order cost?",
                "--shipping",
                self.shipping.as_ref(),
            ),
            question(
                "shipping.free_from",
                "From which subtotal on is sending free (nothing: never)?",
                "--free-shipping-from",
                self.free_shipping_from.as_ref(),
            ),
            question("tax.percent", "How much tax is added, in percent?", "--tax", self.tax.as_ref()),
            question(
                "server.public_url",
                "What do customers call the shop, such as https://shop.example.com (nothing: not known yet)?",
                "--public-url",
                self.public_url.as_ref(),
            ),
            question("server.listen", "Where does it listen?", "--listen", self.listen.as_ref()),
            question(
                "payment.test.enabled",
                "Switch the test gateway on, to try the shop out without money (true, false)?",
                "--test-payments",
                self.test_payments.as_ref(),
            ),
        ]
    }
}

pub fn run(options: &Options, global: &Global, out: &Output) -> Result<ExitCode, CliError> {
    let file = options.out.clone().or_else(|| global.config.clone()).unwrap_or_else(|| "config.toml".into());
    let asks = std::io::stdin().is_terminal() && !global.yes;
    if file.is_dir() {
        return Err(CliError(format!("{} is a directory; --out names a file", file.display())));
    }
    if file.exists() && !global.yes {
        let said = format!("{} is there already", file.display());
        if !asks || !is_yes(&ask(&format!("{said}; write it anew? [y/N] "))?) {
            return Err(CliError(format!(
                "{said}, and stays as it is; --yes writes it anew, --out another one"
            )));
        }
    }
    let mut answers: Vec<(&'static str, String)> = Vec::new();
    for question in options.questions() {
        let answer = match question.given {
            Some(given) => {
                let meant = meant(question.key, given);
                good(&answers, question.key, &meant)
                    .map_err(|said| CliError(format!("{} {given}: {said}", question.flag)))?;
                Some(meant)
            }
            None if asks => asked(&answers, &question)?,
            None => None,
        };
        if let Some(answer) = answer {
            answers.push((question.key, answer));
        }
    }
    let mut to = OutFile::create(&file, true)?;
    to.write_all(Config::written(&answers).as_bytes())?;
    to.finish()?;
    if file == Path::new("-") {
        return Ok(ExitCode::SUCCESS);
    }
    let shown = file.display().to_string();
    out.document(&json!({"file": shown}), |_| format!("{shown} is written\n"));
    let flag = if file == Path::new("config.toml") { String::new() } else { format!(" --config {shown}") };
    out.note(&format!(
        "Next:\n  till user create --email YOU --role admin --generate{flag}   makes the administrator\n  \
         till product import FILE{flag}   brings the products\n  \
         till serve{flag}   opens the shop"
    ));
    Ok(ExitCode::SUCCESS)
}

/// An answer as the setting wants it, where it is plain what is meant: 4,50 and 19% and 8081 and yes.
fn meant(key: &str, answer: &str) -> String {
    let answer = answer.trim();
    match key {
        "shop.currency" => answer.to_ascii_uppercase(),
        "shipping.flat" | "shipping.free_from" | "tax.percent" => {
            let number = answer.trim_end_matches('%').trim_end();
            let is_comma = number.matches(',').count() == 1 && !number.contains('.');
            if is_comma { number.replace(',', ".") } else { number.to_owned() }
        }
        "server.listen" => {
            let port = answer.strip_prefix(':').unwrap_or(answer);
            if port.parse::<u16>().is_ok() { format!("127.0.0.1:{port}") } else { answer.to_owned() }
        }
        "server.public_url" if !answer.is_empty() && !answer.contains("://") => format!("https://{answer}"),
        "payment.test.enabled" => match answer.to_ascii_lowercase().as_str() {
            "y" | "yes" => "true".into(),
            "n" | "no" => "false".into(),
            other => other.to_owned(),
        },
        _ => answer.to_owned(),
    }
}

/// Asks until the answer is good; `None` for the default.
fn asked(answers: &[(&'static str, String)], question: &Question<'_>) -> Result<Option<String>, CliError> {
    let default = Config::default_of(question.key);
    loop {
        let hint = if default.is_empty() { String::new() } else { format!(" [{default}]") };
        let answer = ask(&format!("{}{hint} ", question.asks))?;
        if answer.is_empty() {
            return Ok(None);
        }
        let answer = meant(question.key, &answer);
        match good(answers, question.key, &answer) {
            Ok(()) => return Ok(Some(answer)),
            Err(said) => eprintln!("  {said}"),
        }
    }
}

/// Holds an answer against what the setting allows, beside the answers before it.
fn good(answers: &[(&'static str, String)], key: &'static str, answer: &str) -> Result<(), String> {
    let all = answers.iter().cloned().chain([(key, answer.to_owned())]);
    let flags = Flags(all.map(|(key, value)| (key, "", value)).collect());
    let Err(error) = Config::load(None, [], &flags) else { return Ok(()) };
    let said = error.0.join("; ");
    // Without the setting's name: the question is known.
    Err(said.rsplit_once("; ").or(said.rsplit_once(": ")).map_or(said.clone(), |(_, said)| said.to_owned()))
}

fn ask(question: &str) -> Result<String, CliError> {
    eprint!("{question}");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    if std::io::stdin().lock().read_line(&mut answer)? == 0 {
        eprintln!();
        return Err(CliError("stopped; nothing was written".into()));
    }
    Ok(answer.trim().to_owned())
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.to_ascii_lowercase().as_str())
}
