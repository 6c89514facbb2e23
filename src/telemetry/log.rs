//! The log, on stderr: a line for each event, as text for people or as JSON for whatever collects it. What is logged of work
//! for a request has the request's id.

use std::fmt::{self, Debug, Write};
use std::io::{self, IsTerminal};
use std::sync::Arc;

use serde::Serializer as _;
use serde::ser::SerializeMap;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::asked::Asked;
use super::errors::Errors;
use super::outlet::Outlet;
use super::recent::Heard;
use crate::config::LogFormat;

/// Begins to log what passes `filter`, for the whole process; `errors` hears what is told to others.
///
/// # Errors
/// What is wrong with the filter.
pub fn start(filter: &str, format: LogFormat, errors: &Arc<Errors>) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
    let outlet = Outlet::new(io::stderr()).map_err(|error| error.to_string())?;
    // A log that can't be written (a full disk, a reader that is gone) must not stop the shop.
    let log = tracing_subscriber::fmt::layer().log_internal_errors(false).with_writer(outlet);
    let log = match format {
        LogFormat::Json => log.event_format(Json).with_filter(filter).boxed(),
        LogFormat::Text => {
            let colours = io::stderr().is_terminal();
            log.event_format(Text { colours }).with_filter(filter).boxed()
        }
    };
    let heard = errors.is_on().then(|| Heard(Arc::clone(errors)).with_filter(filter_fn(Heard::wants)));
    tracing_subscriber::registry().with(log).with(heard).init();
    Ok(())
}

/// Time, level, message, the event's other fields, and the request's id at the end.
struct Text {
    colours: bool,
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        SystemTime.format_time(&mut writer)?;
        let level = *event.metadata().level();
        let colour = match level {
            Level::ERROR => 31,
            Level::WARN => 33,
            Level::INFO => 32,
            Level::DEBUG => 34,
            Level::TRACE => 35,
        };
        if self.colours {
            write!(writer, " \x1b[{colour}m{:>5}\x1b[0m", level.as_str())?;
        } else {
            write!(writer, " {:>5}", level.as_str())?;
        }
        let mut pairs = Pairs { writer, said: Ok(()) };
        event.record(&mut pairs);
        let Pairs { mut writer, said } = pairs;
        said?;
        if let Some(asked) = Asked::current() {
            writer.write_str(" request_id=")?;
            writer.write_str(&asked.id)?;
        }
        writer.write_char('\n')
    }
}

/// An event's fields as ` name=value`, and its message as it is.
struct Pairs<'a> {
    writer: Writer<'a>,
    said: fmt::Result,
}

impl Pairs<'_> {
    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.said.is_ok() {
            self.said = self.write(field.name(), value);
        }
    }

    fn write(&mut self, name: &str, value: fmt::Arguments<'_>) -> fmt::Result {
        self.writer.write_char(' ')?;
        if name != "message" {
            self.writer.write_str(name)?;
            self.writer.write_char('=')?;
        }
        Harmless(&mut self.writer).write_fmt(value)
    }
}

impl Visit for Pairs<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, format_args!("{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, format_args!("{value:?}"));
    }
}

/// Passes text on without what a terminal takes for orders.
struct Harmless<'a, 'b>(&'a mut Writer<'b>);

impl Write for Harmless<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_order = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
        for part in text.split_inclusive(is_order) {
            let end = part.char_indices().next_back().filter(|(_, c)| is_order(*c));
            self.0.write_str(end.map_or(part, |(at, _)| &part[..at]))?;
            if let Some((_, order)) = end {
                write!(self.0, "{}", order.escape_default())?;
            }
        }
        Ok(())
    }
}

/// One object a line: `time`, `level`, `target`, `request_id`, and the event's own fields beside them, among which is its
/// `message`.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::with_capacity(32);
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Vec::with_capacity(256);
        let fill = |line: &mut Vec<u8>| {
            let mut json = serde_json::Serializer::new(line);
            let mut object = json.serialize_map(None)?;
            object.serialize_entry("time", &time)?;
            object.serialize_entry("level", event.metadata().level().as_str())?;
            object.serialize_entry("target", event.metadata().target())?;
            if let Some(asked) = Asked::current() {
                object.serialize_entry("request_id", &asked.id)?;
            }
            let mut fields = Entries { object, said: Ok(()) };
            event.record(&mut fields);
            fields.said?;
            fields.object.end()
        };
        fill(&mut line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{}", str::from_utf8(&line).map_err(|_| fmt::Error)?)
    }
}

/// An event's fields as entries of an object.
struct Entries<M: SerializeMap> {
    object: M,
    said: Result<(), M::Error>,
}

impl<M: SerializeMap> Entries<M> {
    fn add(&mut self, field: &Field, value: &(impl serde::Serialize + ?Sized)) {
        if self.said.is_ok() {
            self.said = self.object.serialize_entry(field.name(), value);
        }
    }
}

impl<M: SerializeMap> Visit for Entries<M> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, &format!("{value:?}"));
    }
}
