//! What went wrong, as it is told to whoever keeps errors: without personal data, and the same for all of them.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::sync::Arc;
use std::time::SystemTime;

use sentry_types::Uuid;

use super::asked::Asked;
use super::recent::Crumb;

/// Most frames of a backtrace that are told, and most characters of a function's name, which generics can make long.
const FRAMES: usize = 100;
const NAME: usize = 256;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A trial.
    Info,
    Error,
    /// A bug: the shop did what it must not.
    Critical,
}

/// Something that went wrong.
#[derive(Debug)]
pub struct Report {
    pub id: Uuid,
    pub at: SystemTime,
    pub level: Level,
    /// What kind of thing: `panic`, `error`, or a refusal's code.
    pub kind: &'static str,
    pub said: String,
    /// Reports with the same one are of the same fault: 32 hexadecimal digits.
    pub fingerprint: String,
    /// Where in the code.
    pub place: Option<String>,
    pub asked: Option<Arc<Asked>>,
    /// What was answered.
    pub status: Option<u16>,
    /// What else is known.
    pub data: Vec<(&'static str, String)>,
    /// How often this was not told since it was told the last time.
    pub untold: u64,
    /// What happened before, the newest last.
    pub crumbs: Vec<Crumb>,
    /// Resolved only when the report is written, because that takes long.
    pub backtrace: Option<Backtrace>,
}

impl Report {
    /// What the request was for, such as `GET /api/products/{id}/`.
    pub fn operation(&self) -> Option<String> {
        let asked = self.asked.as_ref()?;
        Some(format!("{} {}", asked.method, asked.route.unwrap_or("(no route)")))
    }

    /// Who called whom: the innermost first, from where it went wrong.
    pub fn frames(&self) -> Vec<Frame> {
        let captured = self.backtrace.as_ref().filter(|trace| trace.status() == BacktraceStatus::Captured);
        captured.map(|trace| frames(&trace.to_string())).unwrap_or_default()
    }
}

/// One call of a backtrace.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Frame {
    pub function: String,
    pub file: Option<String>,
    pub line: Option<u64>,
}

impl Frame {
    /// Whether it is till's own.
    pub fn is_own(&self) -> bool {
        self.function.trim_start_matches('<').starts_with("till::")
            || self.file.as_deref().is_some_and(|file| file.starts_with("src/"))
    }
}

/// Reads a backtrace as the standard library writes it, which is the one way it has to hand one out.
fn frames(text: &str) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(at) = line.strip_prefix("at ") {
            if let Some(frame) = frames.last_mut() {
                // The column's and the line's number are at the end.
                let mut parts = at.rsplitn(3, ':');
                let (_, number, file) = (parts.next(), parts.next(), parts.next());
                frame.line = number.and_then(|number| number.parse().ok());
                frame.file = file.map(|file| shown_path(file).to_owned());
            }
        } else if let Some((number, function)) = line.split_once(": ")
            && number.parse::<u32>().is_ok()
        {
            let function = function.chars().take(NAME).collect();
            frames.push(Frame { function, ..Frame::default() });
        }
    }
    // What is above is the machinery of panics, and the hook.
    let begin = frames.iter().rposition(|frame| {
        let function = frame.function.as_str();
        function.contains("rust_begin_unwind") || function.starts_with("core::panicking::")
    });
    frames.drain(..begin.map_or(0, |at| at + 1));
    frames.truncate(FRAMES);
    frames
}

/// A source file's path, without what only says where it was built.
pub fn shown_path(path: &str) -> &str {
    let path = path.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/")).unwrap_or(path);
    let path = path.strip_prefix("./").unwrap_or(path);
    let in_registry = path.split_once("/registry/src/").and_then(|(_, rest)| rest.split_once('/'));
    let in_std = path.find("/library/").filter(|_| path.starts_with("/rustc/")).map(|at| &path[at + 1..]);
    in_registry.map(|(_, rest)| rest).or(in_std).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backtrace_is_read_from_where_it_went_wrong() {
        let text = "   0: till::telemetry::panics::watch::{{closure}}\n             at ./src/telemetry/panics.rs:20:9\n   \
                    1: rust_begin_unwind\n   2: core::panicking::panic_fmt\n             at \
                    /rustc/59807616e/library/core/src/panicking.rs:80:14\n   3: hyper::proto::dispatch\n             at \
                    /home/x/.cargo/registry/src/index.crates.io-1949cf8c/hyper-1.8.0/src/proto.rs:7:5\n   4: till::store::open\n";
        let found = frames(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].file.as_deref(), Some("hyper-1.8.0/src/proto.rs"));
        assert_eq!((found[0].line, found[0].is_own()), (Some(7), false));
        assert_eq!((found[1].function.as_str(), found[1].is_own()), ("till::store::open", true));
    }

    #[test]
    fn a_real_backtrace_is_read() {
        let found = frames(&Backtrace::force_capture().to_string());
        assert!(found.iter().any(Frame::is_own), "{found:?}");
    }

    #[test]
    fn paths_say_what_was_built_and_not_where() {
        for (path, shown) in [
            ("./src/app.rs", "src/app.rs"),
            (concat!(env!("CARGO_MANIFEST_DIR"), "/src/app.rs"), "src/app.rs"),
            ("/rustc/abc/library/std/src/panic.rs", "library/std/src/panic.rs"),
            ("/home/x/.cargo/registry/src/index.crates.io-1/redb-4.6.0/src/db.rs", "redb-4.6.0/src/db.rs"),
        ] {
            assert_eq!(shown_path(path), shown);
        }
    }
}
