//! Figures of the shop: orders, payments, mails, stock, backups.

use std::sync::PoisonError;

use super::changes::What;
use super::family::{Figures, Unit};
use crate::app::App;
use crate::backup;
use crate::clock::Time;
use crate::inventory;
use crate::outbox::{self, State};
use crate::payments;
use crate::store::{ReadTx, StoreError};

/// Of what is waiting no more than so many are counted.
const MOST: u64 = 10_000;

pub fn figures(app: &App, all: &mut Figures) -> Result<(), StoreError> {
    changed(app, all);
    gateways(app, all);
    goods(app, all);
    app.store.read(|tx| {
        unpaid(tx, all)?;
        mails(tx, all)?;
        let help = "Variants whose stock is at its threshold or below.";
        all.gauge("till.stock.low", Unit::None, help).is(inventory::count_low(tx)?);
        backups(app, tx, all)
    })
}

#[expect(clippy::cast_precision_loss, reason = "seconds, to look at")]
fn age(tx_now: Time, since: Option<Time>) -> f64 {
    since.map_or(0.0, |since| (tx_now.0 - since.0).max(0) as f64 / 1000.0)
}

/// What came to be since the start.
fn changed(app: &App, all: &mut Figures) {
    let orders = all.counter("till.orders", Unit::None, "Orders that came to this status; pending: placed.");
    for (_, status, count) in app.changes.of(What::Order) {
        orders.of([("status", status.into())], count);
    }
    let mails = all.counter("till.mails", Unit::None, "Mails that came to this state; waiting: posted.");
    for (_, state, count) in app.changes.of(What::Mail) {
        mails.of([("state", state.into())], count);
    }
    for (what, name, help) in [
        (What::Payment, "till.payments", "Payments that came to this status."),
        (What::Refund, "till.refunds", "Refunds that came to this status."),
    ] {
        let family = all.counter(name, Unit::None, help);
        for (provider, status, count) in app.changes.of(what) {
            family.of([("provider", provider.into()), ("status", status.into())], count);
        }
    }
    let stopped =
        all.counter("till.payments.stopped", Unit::None, "Payments that were not let begin (card testing).");
    for (reason, count) in app.cards.stops.totals() {
        stopped.of([("reason", reason.as_str().into())], count);
    }
}

fn gateways(app: &App, all: &mut Figures) {
    let help = "How long requests to a payment gateway took, by how they ended.";
    let calls = all.histogram("till.gateway.request.duration", Unit::Seconds, help);
    for of_one in &app.gateway_calls {
        for (outcome, histogram) in of_one.each() {
            calls.spread(vec![("provider", of_one.provider.into()), ("outcome", outcome.into())], histogram);
        }
    }
    let silent = app.silent_gateways.lock().unwrap_or_else(PoisonError::into_inner);
    let help = "1 while a payment gateway can't be asked after what is open.";
    let family = all.gauge("till.gateway.silent", Unit::None, help);
    for gateway in app.gateways.all() {
        let provider = gateway.provider();
        family.of([("provider", provider.into())], silent.contains(provider));
    }
    let is_paused = app.cards.standing().paused_until.is_some();
    all.gauge("till.payments.paused", Unit::None, "1 while only known customers begin new payments.")
        .is(is_paused);
}

fn goods(app: &App, all: &mut Figures) {
    let (public, sold_out) = app.listings.public();
    all.gauge("till.products", Unit::None, "Products that customers see.").is(public);
    all.gauge("till.products.sold_out", Unit::None, "Those of them that are sold out.").is(sold_out);
}

fn unpaid(tx: &ReadTx, all: &mut Figures) -> Result<(), StoreError> {
    let now = crate::store::Reads::now(tx);
    let open = payments::open(tx, MOST)?;
    let family =
        all.gauge("till.payments.open", Unit::None, "Payments whose status is not final; 10000 at the most.");
    for one in &open {
        family.of([("status", one.status.as_str().into())], one.count);
    }
    let family =
        all.gauge("till.payments.open.age", Unit::Seconds, "How old the oldest of them is; 0 for none.");
    for one in &open {
        family.of([("status", one.status.as_str().into())], age(now, one.oldest));
    }
    let help = "Refunds that the gateway has not said its last word on.";
    all.gauge("till.refunds.open", Unit::None, help).is(payments::open_refunds(tx)?);
    let (events, oldest) = payments::waiting_events(tx, MOST as usize)?;
    let help = "Events of gateways (webhooks) that were not worked off.";
    all.gauge("till.webhook.events", Unit::None, help).is(events);
    let help = "How long the oldest of them waits; 0 for none.";
    all.gauge("till.webhook.events.age", Unit::Seconds, help).is(age(now, oldest));
    Ok(())
}

fn mails(tx: &ReadTx, all: &mut Figures) -> Result<(), StoreError> {
    let now = crate::store::Reads::now(tx);
    let waiting = outbox::count(tx, State::Waiting, MOST)?;
    all.gauge("till.mails.waiting", Unit::None, "Mails that are not sent yet; 10000 at the most.")
        .is(waiting);
    let oldest = outbox::oldest_waiting(tx, MOST as usize)?;
    all.gauge("till.mails.waiting.age", Unit::Seconds, "How old the oldest of them is; 0 for none.")
        .is(age(now, oldest));
    let given_up = outbox::count(tx, State::GivenUp, MOST)?;
    let help = "Mails of the last 30 days that were given up; 10000 at the most.";
    all.gauge("till.mails.given_up", Unit::None, help).is(given_up);
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "seconds, to look at")]
fn backups(app: &App, tx: &ReadTx, all: &mut Figures) -> Result<(), StoreError> {
    let now = crate::store::Reads::now(tx);
    let standing = backup::standing(tx)?;
    all.gauge("till.backup.scheduled", Unit::None, "1 when the shop backs itself up.")
        .is(app.config.schedule().is_some());
    if let Some(last) = standing.last_at {
        all.gauge("till.backup.age", Unit::Seconds, "Since the last good backup was made.")
            .is(age(now, Some(last)));
        all.gauge(
            "till.backup.last_success.timestamp",
            Unit::Seconds,
            "When the last good backup was made, since 1970.",
        )
        .is(last.0 as f64 / 1000.0);
    }
    all.gauge(
        "till.backup.failed",
        Unit::None,
        "1 when the last try to back up failed, or found something wrong.",
    )
    .is(standing.failed.is_some());
    all.gauge("till.restored", Unit::None, "1 until a restored shop is confirmed.")
        .is(payments::restored(tx)?.is_some());
    Ok(())
}
