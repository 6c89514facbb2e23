//! I10, of payments: what happens at a gateway is taken in once, and what is open there is asked after until it is
//! done.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::model::BY_HAND;
use super::store::{BY_CHARGE, EVENTS, PAYMENTS, REFUNDS, STRAYS};
use crate::orders::RefundStatus;
use crate::store::{Direction, Look, ReadTx, Span, StoreError};

const UNASKED: &str = "it is open, and nobody will ask after it";

pub fn check(tx: &ReadTx, look: &Look<'_>) -> Result<(), StoreError> {
    let rows = PAYMENTS.count(tx)? + REFUNDS.count(tx)? + STRAYS.count(tx)? + EVENTS.count(tx)?;
    look.begin("gateway objects", rows);
    look.each(tx, &PAYMENTS, |id, payment| {
        if !payment.status.is_final() && payment.provider != BY_HAND && payment.next_look_at.is_none() {
            look.found("I10", format!("payment {id}"), UNASKED);
        }
    })?;
    let mut last = None;
    BY_CHARGE.scan(tx, Span::all(Direction::Up), |charge, payment| {
        if last.as_ref() == Some(&charge) {
            let said = format!("charge {} was taken in for another payment, too", charge.1);
            look.found("I10", format!("payment {payment}"), said);
        }
        last = Some(charge);
        ControlFlow::Continue(())
    })?;

    let mut taken = BTreeSet::new();
    look.each(tx, &REFUNDS, |id, refund| {
        let is_open = refund.status == RefundStatus::Pending;
        if is_open && refund.provider != BY_HAND && refund.next_look_at.is_none() {
            look.found("I10", format!("refund {id}"), UNASKED);
        }
        if let Some(reference) = refund.reference
            && !taken.insert((refund.provider, reference.clone()))
        {
            look.found("I10", format!("refund {id}"), format!("{reference} was taken in before"));
        }
    })?;
    look.each(tx, &STRAYS, |(provider, reference), stray| {
        if stray.status == RefundStatus::Succeeded && stray.next_look_at.is_some() {
            let said = "it went back, and would be given back again";
            look.found("I10", format!("stray {provider} {reference}"), said);
        }
    })?;
    look.each(tx, &EVENTS, |(provider, id), event| {
        if event.provider != provider {
            let said = format!("it is kept as {provider}'s, and says that it is {}'s", event.provider);
            look.found("I10", format!("event {id}"), said);
        }
        if event.next_try_at.is_none() && event.tries == 0 {
            look.found("I10", format!("event {id}"), "it is marked as done, and was never worked off");
        }
    })
}
