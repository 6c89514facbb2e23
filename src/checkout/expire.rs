//! Holds that run out: the payment is ended first, and only then does the stock go back.

use std::time::Duration;

use crate::app::App;
use crate::id::OrderId;
use crate::orders::{self, store::BY_HOLD};
use crate::payments::{self, PaymentError, Status, Why};
use crate::store::{Reads, WriteTx};

/// Most orders that one pass lets expire.
const MOST: usize = 200;

/// How long an order is left alone whose payment can't be ended at once: it is the reconciler's meanwhile.
const AGAIN_AFTER: Duration = Duration::from_secs(300);

/// Lets the order expire if its hold has run out: at once, or, where it has a live payment, after that is ended, which
/// is the reconciler's to do.
fn expire(tx: &mut WriteTx, id: OrderId, hold: Duration) -> Result<(), PaymentError> {
    let order = orders::get(tx, id)?;
    let now = tx.now();
    if order.hold_until.is_none_or(|until| until > now) {
        return Ok(());
    }
    let Some((payment, live)) = payments::live_of(tx, id)? else {
        orders::cancel(tx, id, "system", "not paid in time")?;
        return Ok(());
    };
    // Money that is on its way can take days, and the stock is kept for it.
    if live.status == Status::Processing {
        orders::hold_until(tx, id, now.plus(hold))?;
        return Ok(());
    }
    orders::hold_until(tx, id, now.plus(AGAIN_AFTER))?;
    if live.closing.is_some() {
        return Ok(());
    }
    payments::close(tx, payment, Why::Expired, "system")
}

/// Lets all orders expire whose hold has run out. One that can't is tried again, and holds up no other.
pub async fn expire_holds(app: &App) -> Result<(), PaymentError> {
    let now = app.clock.now();
    let hold = app.rules().hold;
    for id in app.store.read(|tx| BY_HOLD.below(tx, &now, MOST))? {
        if let Err(error) = app.store.write(move |tx| expire(tx, id, hold)).await {
            tracing::warn!(order = id.0, %error, "an order could not expire yet");
        }
    }
    Ok(())
}
