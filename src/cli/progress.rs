//! How far long work is, for whoever waits for it.

use std::fmt::Write;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// How often a line says how far work is, where there is no terminal for a bar.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Work that is shown while it goes on.
pub struct Progress {
    is_quiet: bool,
    bar: ProgressBar,
    stage: String,
    told: Instant,
}

impl Progress {
    pub fn new(is_quiet: bool) -> Progress {
        let is_shown = !is_quiet && std::io::stderr().is_terminal();
        let bar = if is_shown { ProgressBar::new(0) } else { ProgressBar::hidden() };
        Progress { is_quiet, bar, stage: String::new(), told: Instant::now() }
    }

    /// What is being done, and how much of it: `of` 0 where that is not known.
    pub fn at(&mut self, stage: &str, done: u64, of: u64, is_bytes: bool) {
        if stage != self.stage {
            self.stage = stage.to_owned();
            let figures = match (is_bytes, of) {
                (true, 0) => "{bytes} {bytes_per_sec}",
                (true, _) => "[{wide_bar}] {bytes}/{total_bytes} {bytes_per_sec} {eta} left",
                (false, 0) => "for {elapsed}",
                (false, _) => "[{wide_bar}] {human_pos}/{human_len} {rate} {eta} left",
            };
            let style = ProgressStyle::with_template(&format!("{{msg:<10}} {figures}"));
            let style = style.expect("the templates are fixed").progress_chars("=> ");
            let rate = |state: &ProgressState, to: &mut dyn Write| {
                let _ = write!(to, "{:.0}/s", state.per_sec());
            };
            self.bar.set_style(style.with_key("rate", rate));
            self.bar.set_message(self.stage.clone());
            self.bar.reset();
            self.bar.set_length(of);
            self.bar.enable_steady_tick(Duration::from_millis(100));
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
