//! The last that happened in the process, kept so that a report can say what went before.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::asked::Asked;
use super::errors::Errors;
use super::scrub::scrubbed;

/// How many events are kept.
const KEPT: usize = 50;
/// What the parts that tell of requests and reports log themselves, which is reported in other ways or not at all.
const OWN: &str = "till::telemetry";

/// Something that happened, without personal data.
#[derive(Clone, Debug)]
pub struct Crumb {
    pub at: SystemTime,
    pub level: Level,
    /// The module that said so.
    pub target: &'static str,
    pub said: String,
    pub data: Vec<(&'static str, String)>,
}

/// The last events.
#[derive(Default, Debug)]
pub struct Recent(Mutex<VecDeque<Crumb>>);

impl Recent {
    fn add(&self, crumb: Crumb) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(crumb);
    }

    pub fn all(&self) -> Vec<Crumb> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Hears what is logged: keeps the last of it, and reports errors.
pub struct Heard(pub Arc<Errors>);

impl Heard {
    /// Of whose events, and how grave ones.
    pub fn wants(about: &tracing::Metadata<'_>) -> bool {
        about.target().starts_with("till") && *about.level() <= Level::INFO
    }
}

impl<S: Subscriber> Layer<S> for Heard {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields { said, mut data } = fields;
        if *about.level() == Level::ERROR && !about.target().starts_with(OWN) {
            let place = about.file().zip(about.line()).map(|(file, line)| format!("{file}:{line}"));
            self.0.logged(&said, place, data.clone());
        }
        if let Some(asked) = Asked::current() {
            data.push(("request_id", asked.id.clone()));
        }
        if let Some(recent) = self.0.recent() {
            let (level, target) = (*about.level(), about.target());
            recent.add(Crumb { at: SystemTime::now(), level, target, said, data });
        }
    }
}

/// An event's fields, without what must not leave the shop.
#[derive(Default)]
struct Fields {
    said: String,
    data: Vec<(&'static str, String)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.said = scrubbed(value),
            // A path is written by whoever asks, and the route says as much; a report has a backtrace of its own.
            "path" | "backtrace" => {}
            // Written in the code.
            name @ ("route" | "code" | "job") => self.data.push((name, value.to_owned())),
            name => self.data.push((name, scrubbed(value))),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, &format!("{value:?}"));
    }
}
