//! Figures of the machine under the shop: requests, the store, the pool of password hashes.

use rustix::fs::statvfs;

use super::family::{Figures, Labels, Unit};
use crate::app::App;
use crate::certs::Https;
use crate::http::Went;
use crate::store::StoreError;

pub fn figures(app: &App, all: &mut Figures) -> Result<(), StoreError> {
    let version = ("version", env!("CARGO_PKG_VERSION").into());
    all.gauge("till.build.info", Unit::None, "1, for the version that runs.").of([version], true);
    requests(app, all);
    certificate(app, all);
    writer(app, all);
    file(app, all)?;
    let load = app.passwords.load();
    all.counter("till.password.hashes", Unit::None, "Password hashes that were computed: logins, mostly.")
        .is(app.passwords.computed());
    all.gauge("till.password.computing", Unit::None, "Password hashes that are being computed.")
        .is(load.computing);
    all.gauge("till.password.waiting", Unit::None, "Password hashes that wait for a processor.")
        .is(load.waiting);
    Ok(())
}

fn requests(app: &App, all: &mut Figures) {
    let help = "How long requests took until their answers could be sent, by route and status.";
    let family = all.histogram("http.server.request.duration", Unit::Seconds, help);
    for Went { method, route, status, took } in app.requests.each() {
        let mut labels: Labels = vec![("http.request.method", method.into())];
        labels.extend(route.map(|route| ("http.route", route.into())));
        labels.push(("http.response.status_code", status.to_string().into()));
        family.spread(labels, took);
    }
    all.gauge("http.server.active_requests", Unit::None, "Requests that are being answered.")
        .is(app.requests.active.get());
    let family = all.gauge("till.connections", Unit::None, "Open connections.");
    for (door, connections) in app.requests.doors() {
        family.of([("door", door.into())], connections.open.get());
    }
    let family =
        all.counter("till.connections.refused", Unit::None, "Connections that there was no place for.");
    for (door, connections) in app.requests.doors() {
        family.of([("door", door.into())], connections.refused.get());
    }
    let family = all.counter("till.requests.limited", Unit::None, "Requests that a limit turned away.");
    for (limit, count) in app.limits.refused() {
        family.of([("limit", limit.into())], count);
    }
    let help = "What could not be told, because nobody took it in time.";
    let family = all.counter("till.telemetry.dropped", Unit::None, help);
    if let Some(otlp) = &app.otlp {
        family.of([("to", "otlp".into())], otlp.dropped());
    }
    if app.errors.is_on() {
        family.of([("to", "errors".into())], app.errors.dropped());
    }
}

fn certificate(app: &App, all: &mut Figures) {
    let Some(standing) = app.https().map(Https::standing) else { return };
    if let Some(ends) = standing.ends_at {
        let help = "When the certificate ends that HTTPS is served with, since 1970.";
        all.gauge("till.certificate.expiry.timestamp", Unit::Seconds, help).is(ends.seconds());
    }
    let help = "1 while the last try to get or read a certificate failed.";
    all.gauge("till.certificate.failed", Unit::None, help).is(standing.failed.is_some());
}

fn writer(app: &App, all: &mut Figures) {
    let meters = app.store.meters();
    all.gauge("till.read_only", Unit::None, "1 while the disk takes no writes.")
        .is(app.store.trouble().is_some());
    all.gauge("till.writer.queue", Unit::None, "Writes that wait for the writer.").is(app.store.waiting());
    all.histogram("till.writer.wait", Unit::Seconds, "How long writes waited for the writer.")
        .spread(Vec::new(), &meters.waited);
    all.histogram("till.writer.batch.size", Unit::None, "How many writes shared a commit.")
        .spread(Vec::new(), &meters.batch);
    all.histogram("till.commit.duration", Unit::Seconds, "How long commits took to be on the disk.")
        .spread(Vec::new(), &meters.commit);
    all.counter(
        "till.writer.batches.undone",
        Unit::None,
        "Batches that were rolled back to run one by one; a bug.",
    )
    .is(meters.undone.get());
}

fn file(app: &App, all: &mut Figures) -> Result<(), StoreError> {
    let (size, cache) = (app.store.size()?, app.store.cache()?);
    all.gauge("till.data.file", Unit::Bytes, "What the data file takes on the disk.").is(size.file_bytes);
    if let (Some(live), Some(ratio)) = (size.live_bytes, size.live_ratio()) {
        all.gauge("till.data.live", Unit::Bytes, "How much of it something is in; measured once an hour.")
            .is(live);
        let help = "Live to all bytes of the data file; `till compact` brings it near 1.";
        all.gauge("till.data.used", Unit::Ratio, help).is(ratio);
    }
    if let Ok(disk) = statvfs(&app.config.data_dir) {
        let help = "Room that is left on the data directory's disk.";
        all.gauge("till.disk.free", Unit::Bytes, help).is(disk.f_bavail * disk.f_frsize);
        let help = "The size of the data directory's disk.";
        all.gauge("till.disk.size", Unit::Bytes, help).is(disk.f_blocks * disk.f_frsize);
    }
    let help = "Pages of the data file that were found in memory.";
    all.counter("till.cache.hits", Unit::None, help).is(cache.hits);
    all.counter("till.cache.misses", Unit::None, "Pages that had to be read from the disk.").is(cache.misses);
    all.counter("till.cache.evictions", Unit::None, "Pages that gave way to others.").is(cache.evictions);
    all.gauge("till.cache.used", Unit::Bytes, "Memory that pages are kept in.").is(cache.bytes);
    Ok(())
}
