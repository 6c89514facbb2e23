//! Going on with payments: asking the gateway, outside of any transaction, and settling what it says. Every step is
//! journalled before it is taken, so that whoever comes next goes on from there.

use std::time::Duration;

use super::gateway::{Charge, Gateway, GatewayError, Intent, Return};
use super::lifecycle::Status;
use super::model::{Payment, PaymentError, Refund};
use super::ops::{self, refunds_of_payment};
use super::restored::is_held;
use super::returned::{self, BY_ITSELF};
use super::settle::{drop_unmade, refuse, settle};
use crate::app::App;
use crate::hex::hex;
use crate::id::{PaymentId, RefundId};
use crate::money::Money;
use crate::orders::{self, RefundStatus};
use crate::store::{StoreError, WriteTx};

/// How long a capture with an unknown outcome may still take effect at the gateway.
const IN_FLIGHT: Duration = Duration::from_mins(10);

/// Why a payment or refund could not be gone on with.
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

/// Brings a payment as far as its gateway is: makes it there if that is not known to be done, takes the money that
/// its customer has approved, has it cancelled if it is closing, and settles what the gateway says. A final payment
/// is left alone.
pub async fn drive(app: &App, id: PaymentId) -> Result<Payment, DriveError> {
    let payment = app.store.read(|tx| ops::get(tx, id))?;
    if payment.status.is_final() {
        return Ok(payment);
    }
    let gateway = app.gateways.of(&payment.provider)?;
    let driver = Driver { app, gateway: &*gateway, id };
    if payment.reference.is_none() {
        if driver.is_held(&payment)? {
            return Ok(payment);
        }
        let payment = driver.make(payment).await?;
        if payment.closing.is_none() || payment.status.is_final() {
            return Ok(payment);
        }
    }
    driver.go_on().await
}

/// Asks the gateway after a payment even if our own record is final: money can come after all, and go.
pub async fn look(app: &App, id: PaymentId) -> Result<Payment, DriveError> {
    let payment = app.store.read(|tx| ops::get(tx, id))?;
    match &payment.reference {
        Some(reference) if payment.status.is_final() => {
            let gateway = app.gateways.of(&payment.provider)?;
            let driver = Driver { app, gateway: &*gateway, id };
            let said = gateway.fetch(reference).await?;
            driver.take_over(said, false).await
        }
        _ => drive(app, id).await,
    }
}

/// Takes over a payment object that was found at its gateway.
pub async fn adopt(app: &App, id: PaymentId, said: Intent) -> Result<Payment, DriveError> {
    let payment = app.store.read(|tx| ops::get(tx, id))?;
    let gateway = app.gateways.of(&payment.provider)?;
    Driver { app, gateway: &*gateway, id }.take_over(said, false).await
}

/// Settles every refund that the gateway has of a payment.
pub async fn look_at_refunds(app: &App, id: PaymentId) -> Result<(), DriveError> {
    let payment = app.store.read(|tx| ops::get(tx, id))?;
    let Some(reference) = &payment.reference else { return Ok(()) };
    let all = app.gateways.of(&payment.provider)?.refunds(reference).await?;
    let settle_all =
        move |tx: &mut WriteTx| all.iter().try_for_each(|said| returned::settle_returned(tx, id, said));
    Ok(app.store.write(settle_all).await?)
}

/// One payment and its gateway.
struct Driver<'a> {
    app: &'a App,
    gateway: &'a dyn Gateway,
    id: PaymentId,
}

impl Driver<'_> {
    /// Makes the payment at the gateway, or finds the one that was made.
    async fn make(&self, mut payment: Payment) -> Result<Payment, DriveError> {
        let (app, id) = (self.app, self.id);
        let order = app.store.read(|tx| orders::get(tx, payment.order)).map_err(PaymentError::from)?;
        let charge = |payment: &Payment| Charge::of(payment, &order, &app.shop, &app.seller.name);
        let mut made = Err(GatewayError::KeySpent);
        if payment.key.is_fresh(app.clock.now()) {
            made = self.gateway.create(&charge(&payment)).await;
        }
        if made == Err(GatewayError::KeySpent) {
            made = match self.gateway.find(&charge(&payment)).await? {
                Some(said) => Ok(said),
                None if payment.closing.is_some() => {
                    let terms = app.terms();
                    return Ok(app.store.write(move |tx| drop_unmade(tx, id, &terms)).await?);
                }
                None => {
                    let spent = payment.key;
                    payment = app.store.write(move |tx| ops::renew_key(tx, id, spent)).await?;
                    self.gateway.create(&charge(&payment)).await
                }
            };
        }
        match made {
            Ok(said) if said.tag.as_ref().is_some_and(|tag| tag.payment != hex(&payment.nonce)) => {
                let said = format!("it answered with {}, which is another payment", said.reference);
                Err(GatewayError::Failed(said).into())
            }
            Ok(said) => self.take_over(said, false).await,
            Err(GatewayError::Refused(told)) => {
                tracing::error!(
                    payment = id.0,
                    order = payment.order.0,
                    code = told.code,
                    said = told.message,
                    "the gateway refused to make a payment; its order can be paid anew"
                );
                let terms = app.terms();
                Ok(app.store.write(move |tx| refuse(tx, id, &told, &terms)).await?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Goes on with a payment that is at the gateway.
    async fn go_on(&self) -> Result<Payment, DriveError> {
        let (app, id) = (self.app, self.id);
        let payment = app.store.read(|tx| ops::get(tx, id))?;
        let Some(reference) = payment.reference.clone() else { return Ok(payment) };
        if self.is_held(&payment)? {
            let said = self.gateway.fetch(&reference).await?;
            return self.take_over(said, false).await;
        }
        if payment.closing.is_some() {
            let said = self.end(&payment, &reference).await?;
            return self.take_over(said, false).await;
        }
        let mut said = match self.gateway.fetch(&reference).await {
            // An approval that nobody gave runs out, and its object with it. Money is taken by our asking alone.
            Err(GatewayError::Gone(_)) if self.may_run_out(&payment) => {
                Intent::new(&reference, Status::Canceled, payment.amount)
            }
            other => other?,
        };
        if said.is_approved && said.amount == payment.amount {
            if let Some(key) = app.store.write(move |tx| ops::begin_capture(tx, id)).await? {
                let said = self.gateway.capture(&reference, &key).await?;
                return self.take_over(said, true).await;
            }
            // The customer is still to be told of the decline.
            said.status = payment.status;
        }
        self.take_over(said, false).await
    }

    /// Whether it is only asked after: it came with a backup, and nobody has confirmed.
    fn is_held(&self, payment: &Payment) -> Result<bool, StoreError> {
        self.app.store.read(|tx| is_held(tx, payment.created_at))
    }

    /// Whether it is no wonder when the gateway has no such object any more: no money has been under way.
    fn may_run_out(&self, payment: &Payment) -> bool {
        !self.gateway.cancels()
            && !self.is_capturing(payment)
            && payment.charge.is_none()
            && payment.status != Status::Processing
    }

    /// Whether a capture with an unknown outcome may still take effect.
    fn is_capturing(&self, payment: &Payment) -> bool {
        payment.capturing.is_some_and(|asked| self.app.clock.now() <= asked.plus(IN_FLIGHT))
    }

    /// Has a closing payment cancelled. Where that can't be asked for, it is enough that its money was not taken and
    /// that no capture is under way: none can begin any more.
    async fn end(&self, payment: &Payment, reference: &str) -> Result<Intent, GatewayError> {
        if self.gateway.cancels() {
            let key = format!("{}-cancel-{}", hex(&payment.nonce), payment.looks);
            let said = self.gateway.cancel(reference, &key).await;
            // What is stored under the key may be a failure, or a refusal from before the payment became what it is.
            let is_old = match &said {
                Ok(said) => !said.status.is_final() && said.status != Status::Processing,
                Err(error) => *error == GatewayError::KeySpent,
            };
            if is_old {
                return self.gateway.cancel(reference, &format!("{key}-again")).await;
            }
            if let Err(GatewayError::Gone(said)) = &said {
                // It may be paid all the same, where the keys are another account's now.
                tracing::error!(
                    payment = self.id.0,
                    said,
                    "the gateway does not know a payment that is to end: are the keys another account's? If that is meant, \
                     end it with `till payment cancel --force`"
                );
            }
            return said;
        }
        let mut said = match self.gateway.fetch(reference).await {
            // It has run out.
            Err(GatewayError::Gone(_)) if self.may_run_out(payment) => {
                Intent::new(reference, Status::RequiresPayment, payment.amount)
            }
            other => other?,
        };
        if !said.status.is_final() && said.status != Status::Processing && !self.is_capturing(payment) {
            said.status = Status::Canceled;
            said.is_approved = false;
        }
        Ok(said)
    }

    /// Settles, and sends off at once what is to go back because of it. `is_capture`: it is what a capture came to.
    async fn take_over(&self, said: Intent, is_capture: bool) -> Result<Payment, DriveError> {
        let (app, id, terms) = (self.app, self.id, self.app.terms());
        let refunded = said.refunded;
        let is_live = !said.status.is_final();
        let reference = said.reference.clone();
        let payment = app
            .store
            .write(move |tx| {
                if is_capture {
                    ops::end_capture(tx, id)?;
                }
                settle(tx, id, &said, &terms)
            })
            .await?;
        if payment.status.is_final() && is_live && self.gateway.cancels() && !self.is_held(&payment)? {
            // Made at the gateway while it was given up here. Nobody was told its secret: this is tidiness.
            let key = format!("{}-cancel-late", hex(&payment.nonce));
            let _ = self.gateway.cancel(&reference, &key).await;
        }
        if payment.is_surplus {
            self.send_back().await?;
        }
        if let Some(refunded) = refunded
            && payment.status == Status::Succeeded
            && refunded != self.known_back()?
        {
            look_at_refunds(app, id).await?;
        }
        Ok(payment)
    }

    async fn send_back(&self) -> Result<(), DriveError> {
        for (refund, record) in self.refunds()? {
            if record.status == RefundStatus::Pending {
                // What fails here is journalled, and the reconciler's.
                let _ = drive_refund(self.app, refund).await;
            }
        }
        Ok(())
    }

    fn refunds(&self) -> Result<Vec<(RefundId, Refund)>, PaymentError> {
        Ok(self.app.store.read(|tx| refunds_of_payment(tx, self.id))?)
    }

    /// What we know to have been given back, or to be on its way.
    fn known_back(&self) -> Result<Money, PaymentError> {
        let currency = self.app.store.read(|tx| ops::get(tx, self.id))?.captured.currency;
        let known = self.refunds()?.into_iter().map(|(_, refund)| refund);
        let live = known.filter(|r| r.status != RefundStatus::Failed && r.reference.is_some());
        Ok(Money::sum(currency, live.map(|refund| refund.amount))?)
    }
}

/// Has the gateway give money back, or finds out what became of that.
///
/// # Errors
/// [`GatewayError::Refused`] when the gateway said no: the refund is failed then.
pub async fn drive_refund(app: &App, id: RefundId) -> Result<(), DriveError> {
    let (mut refund, payment) = app.store.read(|tx| {
        let refund = ops::get_refund(tx, id)?;
        let payment = ops::get(tx, refund.payment)?;
        Ok::<_, PaymentError>((refund, payment))
    })?;
    let Some(reference) = payment.reference.filter(|_| refund.status == RefundStatus::Pending) else {
        return Ok(());
    };
    let gateway = app.gateways.of(&refund.provider)?;
    // One that the shop begins by itself is held with the payment that it is of.
    let since = if refund.by == BY_ITSELF { payment.created_at } else { refund.created_at };
    if refund.reference.is_some() || app.store.read(|tx| is_held(tx, since))? {
        return look_at_refunds(app, refund.payment).await;
    }
    let mut made = Err(GatewayError::KeySpent);
    if refund.key.is_fresh(app.clock.now()) {
        made = gateway.refund(&Return::of(&refund, reference.clone())).await;
    }
    if made == Err(GatewayError::KeySpent) {
        // What became of it? Only if that is nothing is it asked for again.
        look_at_refunds(app, refund.payment).await?;
        let known = app.store.read(|tx| ops::get_refund(tx, id))?;
        if known.reference.is_some() || known.status != RefundStatus::Pending {
            return Ok(());
        }
        let spent = refund.key;
        refund = app.store.write(move |tx| ops::renew_refund_key(tx, id, spent)).await?;
        made = gateway.refund(&Return::of(&refund, reference)).await;
    }
    match made {
        Ok(said) => Ok(app.store.write(move |tx| returned::settle_refund(tx, id, &said)).await?),
        Err(GatewayError::Refused(told)) => {
            // It may have been done all the same, under a key before this one.
            look_at_refunds(app, refund.payment).await?;
            let error = GatewayError::Refused(told.clone());
            let refused = app.store.write(move |tx| returned::refuse_refund(tx, id, &told)).await?;
            if refused { Err(error.into()) } else { Ok(()) }
        }
        Err(error) => Err(error.into()),
    }
}
