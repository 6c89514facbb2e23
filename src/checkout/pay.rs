//! Paying: an order that is there, or one that is placed in the same commit.

use std::ops::ControlFlow;

use super::place::{Basket, PlaceError, Placing, Rules, place};
use crate::app::App;
use crate::id::{OrderId, PaymentId, UserId};
use crate::money::Money;
use crate::orders::{self, OrderError, Status};
use crate::payments::gateway::Gateway;
use crate::payments::{self, Payment, PaymentError, Why};
use crate::store::{Direction, Key, Reads, Span, StoreError, WriteTx};

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
            let placed = place(tx, buyer, placing, rules, |total| gateway.takes(total));
            if let Err(PlaceError::CartEmpty) = &placed
                && matches!(placing.basket, Basket::Cart)
                && let Some(payment) = untold(tx, buyer, placing, gateway.provider())?
            {
                return Ok(Attempt::Begun(payment));
            }
            let (id, order) = placed?;
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

/// The payment of the buyer's newest order, if its making was not answered yet: whoever asks again to pay the cart
/// that it came from goes on with it.
fn untold(
    tx: &impl Reads,
    buyer: UserId,
    placing: &Placing,
    provider: &str,
) -> Result<Option<PaymentId>, PayError> {
    let mut newest = None;
    orders::store::BY_USER.scan(tx, Span::under(buyer.bytes(), Direction::Down), |_, order| {
        newest = Some(order);
        ControlFlow::Break(())
    })?;
    let Some(id) = newest else { return Ok(None) };
    let order = orders::get(tx, id)?;
    let is_it = order.shipping_address == placing.shipping_address
        && placing.total.is_none_or(|total| total == order.total);
    let live = payments::live_of(tx, id)?.filter(|_| is_it);
    let goes_on =
        live.filter(|(_, p)| p.reference.is_none() && p.closing.is_none() && p.provider == provider);
    Ok(goes_on.map(|(id, _)| id))
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
        None => Ok(Attempt::Begun(payments::begin_anew(tx, id, &order, gateway.provider())?)),
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
/// [`PaymentError::Ending`] if it is not ended yet.
pub(super) async fn end(app: &App, id: PaymentId) -> Result<Payment, PaymentError> {
    match payments::drive(app, id).await {
        Ok(payment) if payment.status.is_final() => Ok(payment),
        Ok(_) => Err(PaymentError::Ending(id)),
        Err(payments::DriveError::Payment(error)) => Err(error),
        Err(payments::DriveError::Gateway(error)) => {
            tracing::warn!(payment = id.0, %error, "a closing payment could not be ended yet; the reconciler goes on");
            Err(PaymentError::Ending(id))
        }
    }
}
