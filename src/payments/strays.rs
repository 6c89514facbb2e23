//! Money at a gateway that was taken in this shop's name, and that no attempt in the journal accounts for: it is
//! written down, and goes back.

use super::drive::DriveError;
use super::gateway::{GatewayError, Intent, Return, Returned};
use super::model::{Key, PaymentError, Stray, Told};
use super::ops::{FIRST_LOOK, next_wait};
use super::store::STRAYS;
use crate::app::App;
use crate::hex::hex;
use crate::orders::RefundStatus;
use crate::store::{Reads, WriteTx};

/// Provider and the gateway's id of the payment.
pub type StrayId = (String, String);

/// Writes down stray money, once.
pub fn note_stray(tx: &mut WriteTx, provider: &str, said: &Intent) -> Result<StrayId, PaymentError> {
    let key = (provider.to_owned(), said.reference.clone());
    if STRAYS.get(tx, &key)?.is_some() {
        return Ok(key);
    }
    let now = tx.now();
    let stray = Stray {
        amount: said.captured,
        order: said.tag.as_ref().and_then(|tag| tag.order),
        nonce: tx.random(),
        key: Key::first(now),
        status: RefundStatus::Pending,
        refund: None,
        last_error: None,
        next_look_at: Some(now.plus(FIRST_LOOK)),
        looks: 0,
        found_at: now,
        updated_at: now,
    };
    STRAYS.put(tx, &key, &stray)?;
    tracing::error!(
        provider,
        reference = said.reference,
        amount = %said.captured,
        "money was taken in this shop's name that its journal does not know of; it is refunded"
    );
    Ok(key)
}

/// Has the gateway give stray money back, or finds out what became of that.
pub async fn drive_stray(app: &App, id: &StrayId) -> Result<Stray, DriveError> {
    let mut stray = app.store.read(|tx| STRAYS.expect(tx, id))?;
    if stray.status != RefundStatus::Pending {
        return Ok(stray);
    }
    let gateway = app.gateways.of(&id.0)?;
    let is_ours = |said: &Returned| said.tag == Some(hex(&stray.nonce));
    let known = gateway.refunds(&id.1).await?.into_iter().find(is_ours);
    let made = match known {
        Some(said) => Ok(said),
        None => {
            if !stray.key.is_fresh(app.clock.now()) {
                stray = renew(app, id).await?;
            }
            gateway.refund(&Return::of_stray(&stray, id.1.clone())).await
        }
    };
    if made == Err(GatewayError::KeySpent) {
        // The next look finds what was made under this key; if nothing was, the next key is used then.
        renew(app, id).await?;
    }
    let (status, refund, error) = match made {
        Ok(said) => (said.status, Some(said.reference), said.error),
        Err(GatewayError::Refused(told)) => (RefundStatus::Failed, None, Some(told)),
        Err(error) => return Err(error.into()),
    };
    let key = id.clone();
    let act = move |tx: &mut WriteTx| settle(tx, &key, status, refund.as_ref(), error.as_ref());
    Ok(app.store.write(act).await?)
}

async fn renew(app: &App, id: &StrayId) -> Result<Stray, PaymentError> {
    let key = id.clone();
    app.store
        .write(move |tx| {
            let mut stray = STRAYS.expect(tx, &key)?;
            stray.key = stray.key.next(tx.now());
            STRAYS.put(tx, &key, &stray)?;
            Ok(stray)
        })
        .await
}

fn settle(
    tx: &mut WriteTx,
    id: &StrayId,
    status: RefundStatus,
    refund: Option<&String>,
    error: Option<&Told>,
) -> Result<Stray, PaymentError> {
    let mut stray = STRAYS.expect(tx, id)?;
    if stray.status != RefundStatus::Pending {
        return Ok(stray);
    }
    stray.status = status;
    stray.refund = refund.cloned().or(stray.refund);
    stray.last_error = error.cloned();
    stray.updated_at = tx.now();
    if status != RefundStatus::Pending {
        stray.next_look_at = None;
    }
    STRAYS.put(tx, id, &stray)?;
    Ok(stray)
}

/// Puts off the next look at stray money whose refund is not done.
pub fn look_at_stray_later(tx: &mut WriteTx, id: &StrayId) -> Result<(), PaymentError> {
    let mut stray = STRAYS.expect(tx, id)?;
    if stray.status != RefundStatus::Pending {
        return Ok(());
    }
    stray.looks = stray.looks.saturating_add(1);
    let wait = next_wait(tx, stray.looks);
    stray.next_look_at = Some(tx.now().plus(wait));
    Ok(STRAYS.put(tx, id, &stray)?)
}
