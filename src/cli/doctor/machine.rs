//! Memory, and what the system lets the shop's process have.

use std::fs::read_to_string;
use std::path::Path;

use super::patient::Patient;
use super::size;
use crate::advice::{Advice, ok, warning};
use crate::http::OTHER_FILES;

/// What a busy shop takes beside its cache (bytes).
const BESIDE: u64 = 200 << 20;
/// The queue of connections that the shop asks the system for.
const BACKLOG: u64 = 1024;

pub fn memory(patient: &Patient) -> Vec<Advice> {
    let Ok(text) = read_to_string("/proc/meminfo") else {
        return vec![ok("how much memory there is can't be told on this system")];
    };
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
    };
    let (total, available) = (figure("MemTotal").unwrap_or(0), figure("MemAvailable").unwrap_or(0));
    let limit = limit_of_group(patient.process);
    let cache = patient.config().data_cache_mb.0 << 20;
    let needed = cache + BESIDE;
    let most = limit.map_or(total, |limit| limit.min(total));
    let of =
        if limit.is_some_and(|limit| limit < total) { "the limit of its group" } else { "the machine's" };
    let says = format!(
        "{} of {} are free; {of} {} are enough for data.cache_mb",
        size(available),
        size(total),
        size(most)
    );
    if most < needed {
        return vec![warning(
            format!(
                "a busy shop with data.cache_mb = {} may take {}, and {of} memory is {}",
                cache >> 20,
                size(needed),
                size(most)
            ),
            "lower data.cache_mb, or give it more memory: the system ends a process that wants too much",
        )];
    }
    if !patient.is_running && available < needed {
        return vec![warning(
            format!(
                "{} of {} are free, and a busy shop may take {}",
                size(available),
                size(total),
                size(needed)
            ),
            "stop what else takes memory, or lower data.cache_mb",
        )];
    }
    vec![ok(says)]
}

/// What a process' control group may take, if that is limited.
fn limit_of_group(process: Option<i32>) -> Option<u64> {
    let of = process.map_or("self".into(), |process| process.to_string());
    let groups = read_to_string(format!("/proc/{of}/cgroup")).ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let leaf = Path::new("/sys/fs/cgroup").join(group.trim_start_matches('/'));
    let limits = leaf.ancestors().take_while(|place| place.starts_with("/sys/fs/cgroup"));
    limits.filter_map(|place| read_to_string(place.join("memory.max")).ok()?.trim().parse().ok()).min()
}

pub fn limits(patient: &Patient) -> Vec<Advice> {
    let [connections, _] = patient.config().connections();
    let wanted = connections as u64 + OTHER_FILES;
    let mut found = Vec::new();
    match open_files(patient.process) {
        Some(most) if most < wanted => found.push(warning(
            format!("the shop may have {most} files open, and server.max_connections = {connections} needs {wanted}"),
            "raise it (LimitNOFILE= in the systemd unit, ulimit -n), or lower server.max_connections",
        )),
        Some(most) => found.push(ok(format!("the shop may have {most} files open, enough for server.max_connections"))),
        None => {}
    }
    let backlog =
        read_to_string("/proc/sys/net/core/somaxconn").ok().and_then(|text| text.trim().parse::<u64>().ok());
    if let Some(most) = backlog.filter(|most| *most < BACKLOG) {
        found.push(warning(
            format!("the system queues only {most} new connections (net.core.somaxconn)"),
            format!("sysctl -w net.core.somaxconn={BACKLOG}, and write it into /etc/sysctl.d/"),
        ));
    }
    found.extend(replaced(patient.process));
    found
}

/// How many files the process may have open: as many as it may ask for.
fn open_files(process: Option<i32>) -> Option<u64> {
    let of = process.map_or("self".into(), |process| process.to_string());
    let limits = read_to_string(format!("/proc/{of}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let hard = line.split_whitespace().nth(1)?;
    Some(hard.parse().unwrap_or(u64::MAX))
}

/// Whether the program file was replaced under a shop that runs.
fn replaced(process: Option<i32>) -> Option<Advice> {
    let program = std::fs::read_link(format!("/proc/{}/exe", process?)).ok()?;
    program.to_string_lossy().ends_with(" (deleted)").then(|| {
        warning("the program file was replaced, and the shop still runs the one before", "restart the shop")
    })
}
