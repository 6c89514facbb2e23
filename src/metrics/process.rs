//! Figures of the process, by the names that Prometheus' own clients give them. Where the system has no `/proc`, what is
//! read from there is left out.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::family::{Figures, Unit};

#[expect(clippy::cast_precision_loss, reason = "seconds, to look at")]
pub fn figures(started: SystemTime, all: &mut Figures) {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = used.tv_sec as f64 + used.tv_nsec as f64 / 1e9;
    all.counter("process.cpu", Unit::Seconds, "Time on a processor, of the user's and the system's.")
        .is(seconds);
    all.gauge("process.start_time", Unit::Seconds, "When the process started, since 1970.")
        .is(started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    if let (Some(resident), Some(threads)) = (value("VmRSS"), value("Threads")) {
        all.gauge("process.resident_memory", Unit::Bytes, "Memory that is in use.").is(resident * 1024);
        all.gauge("process.threads", Unit::None, "Threads.").is(threads);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        all.gauge("process.open_fds", Unit::None, "Open files and connections.").is(open.count());
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        all.gauge("process.max_fds", Unit::None, "How many of them the system allows.").is(most);
    }
}
