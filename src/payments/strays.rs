//! Money at a gateway that was taken in this shop's name, and that no attempt in the journal accounts for. It is
//! written down, and goes back: by itself where it was taken twice for one attempt; on an operator's word where the
//! journal has never heard of the attempt, because then the data may be an older copy of itself.

use super::drive::DriveError;
use super::gateway::{GatewayError, Intent, Return};
use super::model::{Key, PaymentError, Stray};
use super::ops::{FIRST_LOOK, next_wait};
use super::restored::restored;
use super::store::STRAYS;
use crate::app::App;
use crate::hex::hex;
use crate::money::Money;
use crate::orders::RefundStatus;
use crate::outbox::{self, Cause};
use crate::store::{Reads, StoreError, WriteTx};

/// Provider and the gateway's id of the payment.
pub type StrayId = (String, String);

/// Writes down stray money; whether it is news.
pub fn note_stray(
    tx: &mut WriteTx,
    provider: &str,
    said: &Intent,
    goes_back: bool,
) -> Result<(StrayId, bool), PaymentError> {
    let key = (provider.to_owned(), said.reference.clone());
    if STRAYS.get(tx, &key)?.is_some() {
        return Ok((key, false));
    }
    let now = tx.now();
    let stray = Stray {
        provider: provider.to_owned(),
        amount: said.captured,
        order: said.tag.as_ref().and_then(|tag| tag.order),
        nonce: tx.random(),
        key: Key::first(now),
        status: RefundStatus::Pending,
        refund: None,
        next_look_at: goes_back.then(|| now.plus(FIRST_LOOK)),
        looks: 0,
        found_at: now,
        updated_at: now,
    };
    STRAYS.put(tx, &key, &stray)?;
    outbox::post(tx, Cause::Stray { provider: key.0.clone(), reference: key.1.clone() })?;
    let what = if goes_back {
        "money was taken twice for one payment; it is refunded"
    } else {
        "money was taken in this shop's name that its journal does not know of. If this data is an older copy, put the \
         newest in its place; if not, `till payment reconcile` gives the money back"
    };
    tracing::error!(provider, reference = said.reference, amount = %said.captured, "{what}");
    Ok((key, true))
}

/// Has the gateway give stray money back, or finds out what became of that.
pub async fn drive_stray(app: &App, id: &StrayId) -> Result<Stray, DriveError> {
    let mut stray = app.store.read(|tx| STRAYS.expect(tx, id))?;
    if stray.status != RefundStatus::Pending || app.store.read(restored)?.is_some() {
        return Ok(stray);
    }
    let gateway = app.gateways.of(&id.0)?;
    let known = gateway.refunds(&id.1).await?;
    let back = known.iter().filter(|said| said.status != RefundStatus::Failed).map(|said| said.amount.minor);
    let left = Money { minor: stray.amount.minor - back.sum::<i64>(), ..stray.amount };
    let ours = known.into_iter().find(|said| said.tag == Some(hex(&stray.nonce)));
    let said = match ours {
        Some(said) => said,
        // Somebody gave it back there.
        None if left.minor <= 0 => {
            return Ok(app.store.write(end(id, RefundStatus::Succeeded, None)).await?);
        }
        None => {
            if !stray.key.is_fresh(app.clock.now()) {
                stray = renew(app, id, stray.key).await?;
            }
            let back = Return::of_stray(&stray, id.1.clone(), left);
            match gateway.refund(&back).await {
                Ok(said) => said,
                Err(error) => {
                    if matches!(error, GatewayError::KeySpent | GatewayError::Refused(_)) {
                        // The next look finds what was made under this key; if nothing was, the next key is used.
                        renew(app, id, stray.key).await?;
                    }
                    let reference = &id.1;
                    tracing::error!(reference, %error, "stray money could not be given back; tried again later");
                    return Err(error.into());
                }
            }
        }
    };
    Ok(app.store.write(end(id, said.status, Some(said.reference))).await?)
}

async fn renew(app: &App, id: &StrayId, spent: Key) -> Result<Stray, PaymentError> {
    let id = id.clone();
    app.store
        .write(move |tx| {
            let mut stray = STRAYS.expect(tx, &id)?;
            if stray.key == spent {
                stray.key = spent.next(tx.now());
                STRAYS.put(tx, &id, &stray)?;
            }
            Ok(stray)
        })
        .await
}

/// The act that takes over what became of stray money's refund. One that failed is asked for anew.
fn end(
    id: &StrayId,
    status: RefundStatus,
    refund: Option<String>,
) -> impl Fn(&mut WriteTx) -> Result<Stray, PaymentError> + use<> {
    let id = id.clone();
    move |tx| {
        let mut stray = STRAYS.expect(tx, &id)?;
        if stray.status != RefundStatus::Pending {
            return Ok(stray);
        }
        if status == RefundStatus::Failed {
            stray.nonce = tx.random();
            stray.key = Key::first(tx.now());
        } else {
            stray.status = status;
            stray.refund.clone_from(&refund);
        }
        if stray.status != RefundStatus::Pending {
            stray.next_look_at = None;
        }
        stray.updated_at = tx.now();
        STRAYS.put(tx, &id, &stray)?;
        Ok(stray)
    }
}

/// Has stray money that waits for a person's word go back.
pub fn release(tx: &mut WriteTx, id: &StrayId) -> Result<(), PaymentError> {
    let mut stray = STRAYS.expect(tx, id)?;
    if stray.status == RefundStatus::Pending && stray.next_look_at.is_none() {
        stray.next_look_at = Some(tx.now());
        STRAYS.put(tx, id, &stray)?;
    }
    Ok(())
}

/// Those that wait for a person's word.
pub fn waiting(tx: &impl Reads) -> Result<Vec<StrayId>, StoreError> {
    let mut found = Vec::new();
    STRAYS.each(tx, |id, stray| {
        if stray.status == RefundStatus::Pending && stray.next_look_at.is_none() {
            found.push(id);
        }
    })?;
    Ok(found)
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
