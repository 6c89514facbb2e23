//! Tables and JSON on stdout; progress and errors on stderr.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::Global;

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
        eprintln!("{label} {said}");
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
        } else {
            print(&self.table(items, columns));
        }
    }

    pub fn table(&self, items: &[Value], columns: &[Column]) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        if !std::io::stdout().is_terminal() {
            // A pipe has no width to fit into.
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        if self.colors.0 {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        let cell = |text: String, is_figure: bool| {
            let align = if is_figure { CellAlignment::Right } else { CellAlignment::Left };
            Cell::new(text).set_alignment(align)
        };
        table.set_header(columns.iter().map(|Column(name, _, figure)| {
            cell((*name).to_uppercase(), *figure).add_attribute(Attribute::Bold)
        }));
        for item in items {
            table.add_row(
                columns.iter().map(|Column(_, member, figure)| cell(text_of(item, member), *figure)),
            );
        }
        let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        format!("{}\n", lines.join("\n"))
    }

    /// Shows how long work goes on: a bar on a terminal, now and then a line elsewhere.
    pub fn progress(&self) -> Progress {
        let bar = if self.quiet || !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            let bar = ProgressBar::new(0);
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        };
        Progress { is_quiet: self.quiet, bar, stage: "", told: Instant::now() }
    }
}

/// How often a line says how far work is, where there is no terminal for a bar.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Work that is shown while it goes on.
pub struct Progress {
    is_quiet: bool,
    bar: ProgressBar,
    stage: &'static str,
    told: Instant,
}

impl Progress {
    /// What is being done, and how much of it: `of` 0 where that is not known.
    pub fn at(&mut self, stage: &'static str, done: u64, of: u64, is_bytes: bool) {
        if stage != self.stage {
            self.stage = stage;
            let figures = match (is_bytes, of) {
                (true, 0) => "{bytes} {bytes_per_sec}",
                (true, _) => "[{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta} left",
                (false, 0) => "{human_pos} {per_sec:.0}",
                (false, _) => "[{bar:30}] {human_pos}/{human_len} {per_sec} {eta} left",
            };
            let style = ProgressStyle::with_template(&format!("{{msg:<10}} {figures}"));
            self.bar.set_style(style.expect("the templates are fixed").progress_chars("=> "));
            self.bar.set_message(stage);
            self.bar.reset();
        }
        self.bar.set_length(of);
        self.bar.set_position(done);
        if self.bar.is_hidden() && !self.is_quiet && self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            let unit = if is_bytes { " bytes" } else { "" };
            let percent = (done * 100).checked_div(of);
            let of = percent.map(|percent| format!(" of {of} ({percent} %)")).unwrap_or_default();
            eprintln!("{stage}: {done}{of}{unit}");
        }
    }

    /// Takes the bar away.
    pub fn end(self) {
        self.bar.finish_and_clear();
    }
}

/// Writes to stdout. A reader that has gone away ends the command quietly, as it does elsewhere.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
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

/// Times to the second, without the T and the Z.
fn short_time(text: &str) -> String {
    match crate::clock::Time::parse(text) {
        Some(_) if text.len() == 24 => format!("{} {}", &text[..10], &text[11..19]),
        _ => text.to_owned(),
    }
}
