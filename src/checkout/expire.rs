//! Holds that run out: the payment is ended first, and only then does the stock go back.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;

use crate::app::App;
use crate::id::{OrderId, PaymentId};
use crate::orders::{self, store::BY_HOLD};
use crate::payments::{self, PaymentError, Status, Why};
use crate::store::{Reads, WriteTx};

/// Most orders that one pass lets expire.
const MOST: usize = 200;

/// How long an order is left alone whose payment can't be ended at once: it is the reconciler's meanwhile.
const AGAIN_AFTER: Duration = Duration::from_secs(300);

/// Lets the order expire if its hold has run out: at once, or, where it has a live payment, after that is ended.
fn expire(tx: &mut WriteTx, id: OrderId, hold: Duration) -> Result<Option<PaymentId>, PaymentError> {
    let order = orders::get(tx, id)?;
    let now = tx.now();
    if order.hold_until.is_none_or(|until| until > now) {
        return Ok(None);
    }
    let Some((payment, live)) = payments::live_of(tx, id)? else {
        orders::cancel(tx, id, "system", "not paid in time")?;
        return Ok(None);
    };
    // Money that is on its way can take days, and the stock is kept for it.
    if live.status == Status::Processing {
        orders::hold_until(tx, id, now.plus(hold))?;
        return Ok(None);
    }
    orders::hold_until(tx, id, now.plus(AGAIN_AFTER))?;
    if live.closing.is_some() {
        return Ok(None);
    }
    payments::close(tx, payment, Why::Expired, "system")?;
    Ok(Some(payment))
}

/// Lets all orders expire whose hold has run out. One that can't is tried again, and holds up no other.
pub async fn expire_holds(app: &App) -> Result<(), PaymentError> {
    let now = app.clock.now();
    let hold = app.rules().hold;
    let mut to_end: BTreeMap<String, Vec<(OrderId, PaymentId)>> = BTreeMap::new();
    for id in app.store.read(|tx| BY_HOLD.below(tx, &now, MOST))? {
        match app.store.write(move |tx| expire(tx, id, hold)).await {
            Ok(Some(payment)) => {
                let provider = app.store.read(|tx| payments::get(tx, payment))?.provider;
                to_end.entry(provider).or_default().push((id, payment));
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(order = id.0, %error, "an order could not expire yet"),
        }
    }
    // Where a gateway does not answer, the reconciler goes on with what is closing.
    let end = async |(id, payment): (OrderId, PaymentId)| {
        let driven = payments::drive(app, payment).await;
        if let Err(error) = &driven {
            tracing::warn!(order = id.0, %error, "an order could not expire yet");
        }
        ((), driven.as_ref().err().is_some_and(payments::is_down))
    };
    join_all(to_end.into_values().map(|own| payments::beside(own, end))).await;
    Ok(())
}
