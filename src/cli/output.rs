//! Tables and JSON on stdout; progress and errors on stderr.

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use serde_json::Value;

use super::progress::Progress;
use super::{Global, table};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// How a command speaks.
pub struct Output {
    pub json: bool,
    pub quiet: bool,
    /// Whether stdout, and whether stderr, takes colour.
    colors: (bool, bool),
}

/// A column: its heading, the member it shows, and whether it is a figure.
pub struct Column(pub &'static str, pub &'static str, pub bool);

impl Output {
    pub fn new(global: &Global) -> Output {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colors = |is_terminal: bool| match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !no_color,
        };
        Output {
            json: global.json,
            quiet: global.quiet,
            colors: (colors(std::io::stdout().is_terminal()), colors(std::io::stderr().is_terminal())),
        }
    }

    pub fn error(&self, said: &str) {
        let label = if self.colors.1 { "\x1b[1;31merror:\x1b[0m" } else { "error:" };
        // What is quoted from elsewhere must not speak to the terminal.
        let plain = |c: char| if c.is_control() && c != '\n' { '\u{FFFD}' } else { c };
        eprintln!("{label} {}", said.chars().map(plain).collect::<String>());
    }

    /// Text for stdout in a colour (of ECMA-48), where it takes colours.
    pub fn colored(&self, color: &str, text: &str) -> String {
        if self.colors.0 { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Something for the reader, not for scripts.
    pub fn note(&self, said: &str) {
        if !self.quiet {
            eprintln!("{said}");
        }
    }

    /// One document, or its people's form.
    pub fn document(&self, document: &Value, people: impl FnOnce(&Value) -> String) {
        if self.json {
            print(&format!("{document}\n"));
        } else {
            print(&people(document));
        }
    }

    /// A list: JSON lines, or a table.
    pub fn list(&self, items: &[Value], columns: &[Column]) {
        if self.json {
            for item in items {
                print(&format!("{item}\n"));
            }
        } else if items.is_empty() {
            self.note("none");
        } else {
            print(&self.table(items, columns));
        }
    }

    pub fn table(&self, items: &[Value], columns: &[Column]) -> String {
        // A pipe has no width to fit into.
        let width = std::io::stdout().is_terminal().then(terminal_width);
        table::render(items, columns, width, self.colors.0)
    }

    /// Shows how long work goes on: a bar on a terminal, now and then a line elsewhere.
    pub fn progress(&self) -> Progress {
        Progress::new(self.quiet)
    }
}

/// Writes to stdout. A reader that has gone away ends the command quietly, as it does elsewhere; what can't be written
/// for another reason was not done, as far as the reader is concerned.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        eprintln!("error: the output can't be written: {error}");
        std::process::exit(1);
    }
}

/// How wide the terminal is, in characters.
fn terminal_width() -> usize {
    usize::from(console::Term::stdout().size().1)
}

/// A member of a document as people read it; `a.b` goes inside.
pub fn text_of(document: &Value, member: &str) -> String {
    let found = member.split('.').try_fold(document, |at, name| at.get(name));
    found.map_or_else(|| "-".into(), shown)
}

fn shown(value: &Value) -> String {
    let joined = |parts: Vec<String>| if parts.is_empty() { "-".into() } else { parts.join(", ") };
    match value {
        Value::Null => "-".into(),
        Value::String(text) => short_time(text),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Array(items) => joined(items.iter().map(shown).collect()),
        Value::Object(members) => {
            joined(members.iter().map(|(name, value)| format!("{name} {}", shown(value))).collect())
        }
        Value::Number(number) => number.to_string(),
    }
}

/// What somebody wrote, in one line and in its place: it must not look like the rows around it, nor speak to the
/// terminal.
pub fn one_line(text: &str) -> String {
    let plain = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => '\u{FFFD}',
        c if c.is_control() => '\u{FFFD}',
        c => c,
    };
    text.chars().map(plain).collect()
}

/// Times to the second, without the T and the Z.
fn short_time(text: &str) -> String {
    match crate::clock::Time::parse(text) {
        Some(_) if text.len() == 24 => format!("{} {}", &text[..10], &text[11..19]),
        _ => one_line(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::text_of;

    #[test]
    fn what_somebody_wrote_stays_in_its_place() {
        let user = json!({"name": "Ann\n  9  root\t\u{1b}[31m\u{202E}x"});
        assert_eq!(text_of(&user, "name"), "Ann   9  root \u{FFFD}[31m\u{FFFD}x");
    }
}
