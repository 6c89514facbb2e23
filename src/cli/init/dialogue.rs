//! Questions and answers on a terminal.

use std::io::{BufRead, ErrorKind, Write, stdin};

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::super::CliError;
use super::questions::{Answers, Question, good, meant};
use crate::config::Config;

/// What a shell says of a program that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

/// While it is there, Ctrl-C ends the process: with a word about it, and the terminal as it was.
pub struct Interruptible(JoinHandle<()>);

impl Interruptible {
    pub fn new() -> std::io::Result<Interruptible> {
        let before = tcgetattr(stdin()).ok();
        let mut interrupts = signal(SignalKind::interrupt())?;
        Ok(Interruptible(tokio::spawn(async move {
            interrupts.recv().await;
            if let Some(before) = before {
                let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
            }
            eprintln!("\nstopped; nothing was written");
            std::process::exit(INTERRUPTED);
        })))
    }
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks until the answer is good; `None` for the default. What was answered the last time is what Enter takes, and - takes
/// it back.
pub fn asked(so_far: &Answers, question: &Question, last: &str) -> Result<Option<String>, CliError> {
    let default = Config::default_of(question.key);
    let taken = if last.is_empty() { question.suggests.unwrap_or(default) } else { last };
    let can_be_none = default.is_empty() && !is_needed(question.key);
    let shown = if question.is_secret() && !taken.is_empty() { "as before" } else { taken };
    let hint = match shown {
        "" => String::new(),
        shown if can_be_none => format!(" [{shown}, - for none]"),
        shown => format!(" [{shown}]"),
    };
    let asks = format!("{}{hint} ", question.asks);
    loop {
        let answer = if question.is_secret() { hidden(&asks)? } else { ask(&asks)? };
        let answer = match answer.as_str() {
            "" => taken.to_owned(),
            "-" if can_be_none => String::new(),
            answer => meant(question.key, answer),
        };
        if answer == default && !is_needed(question.key) {
            return Ok(None);
        }
        match good(so_far, question.key, &answer) {
            Ok(()) if answer.is_empty() => eprintln!("  it is needed"),
            Ok(()) => return Ok(Some(answer)),
            Err(said) => eprintln!("  {said}"),
        }
    }
}

/// Whether a question, once it is asked, must be answered.
fn is_needed(key: &str) -> bool {
    ["mail.from", "payment.paypal.client_secret", "backup.s3_secret_key"].contains(&key)
}

pub fn ask(question: &str) -> Result<String, CliError> {
    eprint!("{question}");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    if stdin().lock().read_line(&mut answer)? == 0 {
        eprintln!();
        return Err(stopped());
    }
    Ok(answer.trim().to_owned())
}

/// Asks for a secret, which is not shown.
pub fn hidden(question: &str) -> Result<String, CliError> {
    match rpassword::prompt_password(question) {
        Ok(answer) => Ok(answer.trim_end().to_owned()),
        // The signal that Ctrl-C stands for has been sent, and ends the process.
        Err(error) if error.kind() == ErrorKind::Interrupted => loop {
            std::thread::park();
        },
        Err(_) => Err(stopped()),
    }
}

/// Asks for yes or no.
pub fn is_yes(question: &str, default: bool) -> Result<bool, CliError> {
    let choice = if default { "[Y/n]" } else { "[y/N]" };
    Ok(match ask(&format!("{question} {choice} "))?.to_ascii_lowercase().as_str() {
        "" => default,
        answer => ["y", "yes"].contains(&answer),
    })
}

fn stopped() -> CliError {
    CliError::failed("stopped; nothing was written")
}
