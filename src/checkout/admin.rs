//! Moving orders and their money, for staff and administrators.

use std::str::FromStr;
use std::sync::Arc;

use super::cancel::{Cancelling, cancel};
use super::pay::end;
use super::refund::{self, Asked};
use crate::accounts::{self, Staff};
use crate::app::App;
use crate::http::input::{Fields, Input, Nothing, boolean, id, list, money, object, text, url, whole, word};
use crate::http::{Answer, ApiError, Req, Routes, Stored, created, ok, patch, post};
use crate::id::{OrderId, PaymentId, RefundId};
use crate::orders::{self, Event, Status, Tracking};
use crate::payments::{self, Closing, PaymentError, Why};
use crate::store::Seen;

pub fn routes() -> Routes {
    Routes::new()
        .at("/api/admin/orders/{id}/", patch(change))
        .at("/api/admin/orders/{id}/mark-paid/", post(mark_paid))
        .at("/api/admin/orders/{id}/refund/", post(refund_order))
        .at("/api/admin/payments/{id}/cancel/", post(cancel_payment))
}

#[derive(Clone)]
struct Change {
    status: Option<Status>,
    tracking: Option<Tracking>,
    note: Option<String>,
}

impl Input for Tracking {
    fn read(from: &mut Fields<'_>) -> Self {
        Tracking {
            carrier: from.req("carrier", text(1..=100)),
            number: from.req("number", text(1..=100)),
            url: from.opt("url", url),
        }
    }
}

impl Input for Change {
    fn read(from: &mut Fields<'_>) -> Self {
        Change {
            status: from.change("status", word),
            tracking: from.change("tracking", object),
            note: from.change("note", text(0..=2000)),
        }
    }
}

async fn change(mut req: Req, id: OrderId) -> Answer {
    let by = req.staff()?;
    let change: Change = req.json().await?;
    if change.status == Some(Status::Cancelled) {
        if change.tracking.is_some() {
            return Err(ApiError::field("tracking", "a cancelled order is not sent"));
        }
        let note = change.note.clone().unwrap_or_default();
        cancel(&req.app, Cancelling { order: id, staff: Some(by), note, key: None }).await?;
    } else {
        req.write(move |tx| {
            accounts::confirm(tx, &by)?;
            apply(tx, id, &change, &by)
        })
        .await?;
    }
    let order = req.app.store.read(|tx| orders::get(tx, id))?;
    Ok(ok(&req.order_view(id, order)))
}

fn apply(tx: &mut crate::store::WriteTx, id: OrderId, change: &Change, by: &Staff) -> Result<(), ApiError> {
    let order = orders::get(tx, id)?;
    // A step that a payment makes is no person's to make: mark-paid is how money taken by hand is recorded.
    let event = match change.status {
        // A parcel with all that is left to send is the order's shipping.
        None if change.tracking.is_some() && order.status == Status::Processing => Some(Event::Ship),
        None => None,
        Some(status) if status == order.status => None,
        Some(status) => match status.event() {
            Some(event @ (Event::Ship | Event::Deliver)) => Some(event),
            Some(event) => return Err(orders::OrderError::InvalidTransition(order.status, event).into()),
            None => {
                let detail = format!("The order is {}, and no order goes back to pending.", order.status);
                return Err(ApiError::new(409, "invalid_transition", detail));
            }
        },
    };
    if let Some(event) = event
        && order.status.after(event).is_none()
    {
        return Err(orders::OrderError::InvalidTransition(order.status, event).into());
    }
    if change.tracking.is_some() && matches!(order.status, Status::Pending | Status::Cancelled) {
        return Err(ApiError::new(
            409,
            "invalid_transition",
            format!("The order is {}, so it is not sent.", order.status),
        ));
    }
    match (event, &change.note) {
        (Some(event), note) => {
            orders::act(tx, id, event, &by.label(), note.as_deref().unwrap_or_default())?;
        }
        (None, Some(note)) => orders::set_note(tx, id, note)?,
        (None, None) => {}
    }
    if let Some(tracking) = &change.tracking {
        orders::send(tx, id, tracking)?;
    }
    Ok(())
}

/// How money is taken by hand.
#[derive(Default)]
enum Method {
    #[default]
    Cash,
    Transfer,
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cash" => Ok(Method::Cash),
            "transfer" => Ok(Method::Transfer),
            _ => Err("must be cash or transfer".into()),
        }
    }
}

struct MarkPaid {
    method: Method,
    reference: Option<String>,
}

impl Input for MarkPaid {
    fn read(from: &mut Fields<'_>) -> Self {
        MarkPaid { method: from.req("method", word), reference: from.opt("reference", text(0..=200)) }
    }
}

/// Records money that was taken by hand. A live payment is ended first.
async fn mark_paid(mut req: Req, id: OrderId) -> Answer {
    let by = req.staff()?;
    let MarkPaid { method, reference } = req.json().await?;
    let method = match method {
        Method::Cash => "cash",
        Method::Transfer => "transfer",
    };
    let how = match reference.filter(|reference| !reference.is_empty()) {
        Some(reference) => format!("{method} ({reference})"),
        None => method.to_owned(),
    };
    let (key, _guard) = req.once_key()?.unzip();
    if let Some(before) = req.answered(key.as_ref())? {
        return Ok(before);
    }
    let (seller, once) = (req.app.seller.clone(), key.clone());
    let must_end = req
        .write(move |tx| {
            accounts::confirm(tx, &by)?;
            let order = orders::get(tx, id)?;
            if let Some(key) = &once {
                // This key recorded it before, and was cut short before it could answer.
                let is_done = order.paid_at.is_some() && matches!(key.seen::<Stored>(tx)??, Seen::Began(_));
                if is_done {
                    return Ok(None);
                }
            }
            if order.paid_at.is_some() {
                return Err(PaymentError::AlreadyPaid.into());
            }
            if order.status == Status::Cancelled {
                return Err(PaymentError::OrderCancelled.into());
            }
            let live = payments::live_of(tx, id)?;
            let wanted = Why::PaidByHand { how: how.clone() };
            let ends_otherwise = |closing: &Closing| closing.why != wanted;
            if let Some((payment, live)) = &live
                && live.closing.as_ref().is_some_and(ends_otherwise)
            {
                return Err(PaymentError::Closing(*payment).into());
            }
            if let Some(key) = &once {
                key.began(tx, id.0)?;
            }
            if let Some((payment, _)) = live {
                payments::close(tx, payment, wanted, &by.label())?;
                return Ok(Some(payment));
            }
            payments::pay_by_hand(tx, id, &how, &by.label(), &seller)?;
            Ok(None)
        })
        .await?;
    if let Some(payment) = must_end {
        // The customer may have paid at the gateway meanwhile: then the money by hand is not recorded.
        if end(&req.app, payment).await?.status == payments::Status::Succeeded {
            return Err(PaymentError::AlreadyPaid.into());
        }
    }
    let order = req.app.store.read(|tx| orders::get(tx, id))?;
    let reply = ok(&req.order_view(id, order));
    req.remember(key, &reply).await?;
    Ok(reply)
}

struct LineInput {
    line: u64,
    quantity: u32,
}

impl Input for LineInput {
    fn read(from: &mut Fields<'_>) -> Self {
        LineInput { line: from.req("line_id", id()), quantity: from.req("quantity", whole(1..=1_000_000)) }
    }
}

impl Input for Asked {
    fn read(from: &mut Fields<'_>) -> Self {
        let lines: Option<Vec<LineInput>> = from.change("lines", list(object, 100));
        if lines.as_ref().is_some_and(Vec::is_empty) {
            from.fault("lines", "must not be empty; leave it out to refund all that is left");
        }
        let asked = Asked {
            lines: lines.unwrap_or_default().into_iter().map(|line| (line.line, line.quantity)).collect(),
            amount: from.change("amount", money),
            reason: from.opt("reason", text(0..=500)).unwrap_or_default(),
            restock: from.opt("restock", boolean).unwrap_or(false),
        };
        if asked.amount.is_some_and(crate::money::Money::is_zero) {
            from.fault("amount", "must be more than nothing");
        }
        if asked.restock && asked.amount.is_some() && asked.lines.is_empty() {
            from.fault("restock", "goes with lines, or with all that is left");
        }
        asked
    }
}

async fn refund_order(mut req: Req, id: OrderId) -> Answer {
    let by: Staff = req.admin()?.into();
    let asked: Asked = req.json_or_nothing().await?;
    let (key, _guard) = req.once_key()?.unzip();
    if let Some(before) = req.answered(key.as_ref())? {
        return Ok(before);
    }
    let once = key.clone();
    let refund = req
        .write(move |tx| {
            if let Some(Seen::Began(refund)) =
                once.as_ref().map(|key| key.seen::<Stored>(tx)).transpose()?.transpose()?
            {
                return Ok(RefundId(refund));
            }
            accounts::confirm(tx, &by)?;
            let refund = refund::begin(tx, id, &asked, &by.label())?;
            if let Some(key) = &once {
                key.began(tx, refund.0)?;
            }
            Ok(refund)
        })
        .await?;
    payments::drive_refund(&req.app, refund).await?;
    let order = req.app.store.read(|tx| orders::get(tx, id))?;
    let reply = created(&req.order_view(id, order));
    req.remember(key, &reply).await?;
    Ok(reply)
}

/// Ends a payment that is not final; its order can be paid anew.
async fn cancel_payment(mut req: Req, id: PaymentId) -> Answer {
    let by: Staff = req.admin()?.into();
    req.json_or_nothing::<Nothing>().await?;
    let app: Arc<App> = Arc::clone(&req.app);
    req.write(move |tx| {
        accounts::confirm(tx, &by)?;
        let payment = payments::get(tx, id)?;
        if payment.status.is_final() {
            let detail = format!("The payment is {} already.", payment.status.as_str());
            return Err(ApiError::new(409, "invalid_transition", detail));
        }
        Ok(payments::close(tx, id, Why::Operator, &by.label())?)
    })
    .await?;
    let payment = end(&app, id).await?;
    Ok(ok(&payments::admin::view(id, &payment)))
}
