//! Holds that run out: the payment is ended first, and only then does the stock go back.

use super::pay::end;
use crate::app::App;
use crate::id::{OrderId, PaymentId};
use crate::orders::{self, OrderError, store::BY_HOLD};
use crate::payments::{self, PaymentError, Status, Why};
use crate::store::{Reads, WriteTx};

/// Most orders that one pass lets expire.
const MOST: usize = 200;

/// Lets the order expire if its hold has run out: at once, or, where it has a live payment, after that.
fn expire(
    tx: &mut WriteTx,
    id: OrderId,
    hold: std::time::Duration,
) -> Result<Option<PaymentId>, PaymentError> {
    let order = orders::get(tx, id)?;
    if order.hold_until.is_none_or(|until| until > tx.now()) {
        return Ok(None);
    }
    match payments::live_of(tx, id)? {
        None => {
            orders::cancel(tx, id, "system", "not paid in time")?;
            Ok(None)
        }
        // The money is on its way, which can take days: the stock is kept for it.
        Some((_, live)) if live.status == Status::Processing => {
            let until = tx.now().plus(hold);
            orders::extend_hold(tx, id, until, false)?;
            Ok(None)
        }
        Some((payment, _)) => {
            payments::close(tx, payment, Why::Expired, "system")?;
            Ok(Some(payment))
        }
    }
}

/// Lets all orders expire whose hold has run out.
pub async fn expire_holds(app: &App) -> Result<(), PaymentError> {
    let now = app.clock.now();
    let hold = app.rules().hold;
    for id in app.store.read(|tx| BY_HOLD.below(tx, &now, MOST))? {
        match app.store.write(move |tx| expire(tx, id, hold)).await {
            Ok(None) => {}
            Ok(Some(payment)) => match end(app, payment).await {
                // One that can't be ended now is the reconciler's.
                Ok(_) | Err(PaymentError::Closing(_)) => {}
                Err(error) => return Err(error),
            },
            Err(PaymentError::Order(OrderError::InvalidTransition(..))) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
