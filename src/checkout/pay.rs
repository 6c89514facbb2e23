//! Paying: an order that is there, or one that is placed in the same commit.

use super::place::{PlaceError, Placing, Rules, place};
use crate::app::App;
use crate::id::{OrderId, PaymentId, UserId};
use crate::money::Money;
use crate::orders::{self, OrderError, Status};
use crate::payments::gateway::Gateway;
use crate::payments::{self, Payment, PaymentError, Why};
use crate::store::{StoreError, WriteTx};

/// What is to be paid.
#[derive(Clone, Debug)]
pub enum Pay {
    Order(OrderId, Option<Money>),
    New(Box<Placing>),
}

/// What beginning to pay came to.
#[derive(Clone, Debug)]
pub enum Attempt {
    /// A payment is journalled, now or before.
    Begun(PaymentId),
    /// A payment with another provider is in the way, and journalled as closing.
    Blocked(PaymentId),
}

#[derive(Debug, thiserror::Error)]
pub enum PayError {
    #[error("{0}")]
    Place(#[from] PlaceError),
    #[error("{0}")]
    Payment(#[from] PaymentError),
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl From<OrderError> for PayError {
    fn from(error: OrderError) -> PayError {
        PayError::Place(error.into())
    }
}

/// Journals the attempt to pay, in one commit with the order where that is new.
pub fn pay(
    tx: &mut WriteTx,
    buyer: UserId,
    what: &Pay,
    gateway: &dyn Gateway,
    rules: &Rules,
) -> Result<Attempt, PayError> {
    match what {
        Pay::New(placing) => {
            let (id, order) = place(tx, buyer, placing, rules, |total| gateway.takes(total))?;
            let payment = if order.paid_at.is_some() {
                payments::record_nothing_to_pay(tx, id, &order)?
            } else {
                payments::begin(tx, id, &order, gateway.provider())?.0
            };
            Ok(Attempt::Begun(payment))
        }
        Pay::Order(id, total) => pay_order(tx, buyer, *id, *total, gateway),
    }
}

fn pay_order(
    tx: &mut WriteTx,
    buyer: UserId,
    id: OrderId,
    total: Option<Money>,
    gateway: &dyn Gateway,
) -> Result<Attempt, PayError> {
    let order = orders::get(tx, id)?;
    if order.user != buyer {
        return Err(OrderError::NotFound.into());
    }
    if order.paid_at.is_some() {
        return Err(PaymentError::AlreadyPaid.into());
    }
    if order.status == Status::Cancelled {
        return Err(PaymentError::OrderCancelled.into());
    }
    if total.is_some_and(|total| total != order.total) {
        return Err(PlaceError::AmountMismatch { now: order.total }.into());
    }
    gateway.takes(order.total).map_err(PlaceError::NotTaken)?;
    match payments::live_of(tx, id)? {
        None => Ok(Attempt::Begun(payments::begin(tx, id, &order, gateway.provider())?.0)),
        Some((payment, live)) if live.closing.is_some() => Err(PaymentError::Closing(payment).into()),
        Some((payment, live)) if live.provider == gateway.provider() => Ok(Attempt::Begun(payment)),
        Some((payment, _)) => {
            payments::close(tx, payment, Why::OtherProvider, "customer")?;
            Ok(Attempt::Blocked(payment))
        }
    }
}

/// Brings a closing payment to its end, if its gateway lets us.
///
/// # Errors
/// [`PaymentError::Closing`] if it is not ended yet.
pub(super) async fn end(app: &App, id: PaymentId) -> Result<Payment, PaymentError> {
    match payments::drive(app, id).await {
        Ok(payment) if payment.status.is_final() => Ok(payment),
        Ok(_) => Err(PaymentError::Closing(id)),
        Err(payments::DriveError::Payment(error)) => Err(error),
        Err(payments::DriveError::Gateway(error)) => {
            tracing::warn!(payment = id.0, %error, "a closing payment could not be ended yet; the reconciler goes on");
            Err(PaymentError::Closing(id))
        }
    }
}
