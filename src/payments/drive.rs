//! Going on with payments: asking the gateway, outside of any transaction, and settling what it says.

use std::sync::Arc;

use serde::Serialize;

use super::gateway::{Charge, Gateway, GatewayError, Return};
use super::model::{Payment, PaymentError};
use super::settle::{look_at_refund_later, look_later};
use super::store::{OPEN, OPEN_REFUNDS, PAYMENTS};
use super::{ops, settle, settle_refund};
use crate::app::App;
use crate::clock::Time;
use crate::id::{PaymentId, RefundId};
use crate::orders::RefundStatus;
use crate::store::StoreError;

/// Most payments and refunds that one pass asks after.
const MOST: usize = 200;

#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    #[error("{0}")]
    Gateway(#[from] GatewayError),
    #[error("{0}")]
    Payment(#[from] PaymentError),
}

impl From<StoreError> for DriveError {
    fn from(error: StoreError) -> DriveError {
        DriveError::Payment(error.into())
    }
}

fn gateway(app: &App, provider: &str) -> Result<Arc<dyn Gateway>, GatewayError> {
    let found = app.gateways.find(Some(provider)).cloned();
    found.ok_or_else(|| GatewayError::Off(provider.to_owned()))
}

/// Brings a payment as far as its gateway is: makes it there if that is not known to be done, has it cancelled
/// if it is closing, and settles what the gateway says. A final payment is left alone.
pub async fn drive(app: &App, id: PaymentId) -> Result<Payment, DriveError> {
    let mut payment = app.store.read(|tx| ops::get(tx, id))?;
    if payment.status.is_final() {
        return Ok(payment);
    }
    let gateway = gateway(app, &payment.provider)?;
    let reference = match &payment.reference {
        Some(reference) => reference.clone(),
        None => {
            let said = gateway.create(&Charge::of(id, &payment)).await?;
            let reference = said.reference.clone();
            payment = take_over(app, id, said).await?;
            if payment.closing.is_none() {
                return Ok(payment);
            }
            reference
        }
    };
    let is_closing = app.store.read(|tx| ops::get(tx, id))?.closing.is_some();
    let said = if is_closing { gateway.cancel(&reference).await? } else { gateway.fetch(&reference).await? };
    Ok(take_over(app, id, said).await?)
}

/// Asks the gateway after a payment even if our own record is final: money can come after all.
pub async fn look(app: &App, id: PaymentId) -> Result<Payment, DriveError> {
    let payment = app.store.read(|tx| ops::get(tx, id))?;
    match payment.reference {
        Some(reference) if payment.status.is_final() => {
            let said = gateway(app, &payment.provider)?.fetch(&reference).await?;
            Ok(take_over(app, id, said).await?)
        }
        _ => drive(app, id).await,
    }
}

/// Settles, and sends off at once what is to go back because of it.
async fn take_over(app: &App, id: PaymentId, said: super::gateway::Intent) -> Result<Payment, PaymentError> {
    let terms = app.terms();
    let payment = app.store.write(move |tx| settle(tx, id, &said, &terms)).await?;
    if payment.is_surplus {
        for (refund, record) in app.store.read(|tx| ops::refunds_of(tx, payment.order))? {
            if record.payment == id && record.status == RefundStatus::Pending {
                // What fails here is journalled, and the reconciler's.
                let _ = drive_refund(app, refund).await;
            }
        }
    }
    Ok(payment)
}

/// Has the gateway give money back, or finds out what became of that.
pub async fn drive_refund(app: &App, id: RefundId) -> Result<(), DriveError> {
    let (refund, payment) = app.store.read(|tx| {
        let refund = ops::get_refund(tx, id)?;
        let payment = ops::get(tx, refund.payment)?;
        Ok::<_, PaymentError>((refund, payment))
    })?;
    let Some(reference) = payment.reference.filter(|_| refund.status == RefundStatus::Pending) else {
        return Ok(());
    };
    let said = gateway(app, &refund.provider)?.refund(&Return::of(id, &refund, reference)).await?;
    Ok(app.store.write(move |tx| settle_refund(tx, id, &said)).await?)
}

/// What the reconciler did about a payment or refund.
#[derive(Debug, Clone, Serialize)]
pub struct Reconciled {
    pub kind: &'static str,
    pub id: u64,
    pub order_id: u64,
    pub before: String,
    pub after: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Asks after the payments that are not final and the refunds that are on their way, those first whose next look
/// is due first: at most some hundreds, up to `due`, or, with none, due or not.
pub async fn reconcile(app: &App, due: Option<Time>) -> Result<Vec<Reconciled>, StoreError> {
    let due = due.unwrap_or(Time(i64::MAX));
    let (payments, refunds) = app
        .store
        .read(|tx| Ok::<_, StoreError>((OPEN.below(tx, &due, MOST)?, OPEN_REFUNDS.below(tx, &due, MOST)?)))?;
    let mut report = Vec::new();
    for id in payments {
        let before = app.store.read(|tx| PAYMENTS.expect(tx, &id))?;
        let driven = drive(app, id).await;
        if driven.as_ref().map_or(true, |payment| !payment.status.is_final()) {
            let later = app.store.write(move |tx| look_later(tx, id)).await;
            note_failure("payment", later);
        }
        let after = app.store.read(|tx| PAYMENTS.expect(tx, &id))?;
        report.push(Reconciled {
            kind: "payment",
            id: id.0,
            order_id: before.order.0,
            before: before.status.as_str().into(),
            after: after.status.as_str().into(),
            error: driven.err().map(|error| error.to_string()),
        });
    }
    for id in refunds {
        let driven = drive_refund(app, id).await;
        // One that is done by now is left alone.
        let later = app.store.write(move |tx| look_at_refund_later(tx, id)).await;
        note_failure("refund", later);
        let after = app.store.read(|tx| super::store::REFUNDS.expect(tx, &id))?;
        report.push(Reconciled {
            kind: "refund",
            id: id.0,
            order_id: after.order.0,
            before: "pending".into(),
            after: format!("{:?}", after.status).to_lowercase(),
            error: driven.err().map(|error| error.to_string()),
        });
    }
    Ok(report)
}

fn note_failure(what: &str, result: Result<(), PaymentError>) {
    if let Err(error) = result {
        tracing::error!(what, %error, "the next look could not be put off");
    }
}
