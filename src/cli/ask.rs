//! Asking before what can't be taken back.

use std::io::{BufRead, IsTerminal, Write};

use super::CliError;

/// Goes on when `yes` was said with the command, or is said now.
///
/// # Errors
/// Anything but yes; and where nobody can be asked.
pub fn confirm(yes: bool, question: &str) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(CliError::failed("this can't be taken back; say --yes where nobody can be asked"));
    }
    eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    match line.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::failed("nothing was done")),
    }
}
