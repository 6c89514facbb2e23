//! Panics, of whichever thread: a line in the log, and a report.

use std::backtrace::Backtrace;
use std::panic::PanicHookInfo;
use std::sync::Arc;

use super::errors::Errors;
use super::report::shown_path;

/// From now on, all panics of the process are logged and reported. The backtrace stands in the log where
/// `RUST_BACKTRACE` asks for it.
pub fn watch(errors: &Arc<Errors>) {
    let errors = Arc::clone(errors);
    std::panic::set_hook(Box::new(move |panic: &PanicHookInfo<'_>| {
        let said = panic.payload_as_str().unwrap_or("no message");
        let place = panic
            .location()
            .map(|place| format!("{}:{}:{}", shown_path(place.file()), place.line(), place.column()));
        let place = place.unwrap_or_default();
        let thread = std::thread::current();
        let backtrace = Backtrace::capture();
        let thread = thread.name().unwrap_or("unnamed");
        if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
            tracing::error!(thread, place, %backtrace, "panicked: {said}");
        } else {
            tracing::error!(thread, place, "panicked: {said}");
        }
        errors.panicked(said, place);
    }));
}
