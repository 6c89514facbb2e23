//! Moving orders and their money, for staff and administrators.

use std::str::FromStr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::advance::{AdvanceError, Step, advance};
use super::by_hand::{ByHand, record_by_hand};
use super::cancel::{Cancelling, cancel};
use super::pay::end;
use super::refund::{self, Asked};
use crate::accounts::{self, Scope, Staff, for_admin, for_staff};
use crate::app::App;
use crate::audit;
use crate::http::input::{Fields, Input, Rule, boolean, id, money, object, rule, some, text, whole, word};
use crate::http::{Answer, ApiError, Req, Routes, Stored, created, ok, patch, post};
use crate::id::{OrderId, PaymentId, RefundId};
use crate::money::Money;
use crate::orders::{self, OrderView, RefundStatus, Status};
use crate::payments::gateway::GatewayError;
use crate::payments::{self, AdminView, DriveError, PaymentError, Why};
use crate::store::Seen;

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/admin/orders/{id}/",
            patch(
                change,
                for_staff(Scope::OrdersWrite, "Move an order on, say how it is sent, or note something on it")
                    .more(
                        "status is shipped, completed or cancelled. tracking sends all that is left to send, or corrects \
                         the newest parcel. note stands with the move, or else on the order.",
                    )
                    .takes::<Step>()
                    .gives::<OrderView>()
                    .refuses(&[
                        (409, "invalid_transition"),
                        (409, "refund_pending"),
                        (409, "payment_closing"),
                        (409, "order_disputed"),
                        (409, "user_erased"),
                    ]),
            ),
        )
        .at(
            "/api/admin/orders/{id}/mark-paid/",
            post(
                mark_paid,
                for_staff(Scope::PaymentsWrite, "Record money that was taken by hand")
                    .more("A live payment at a gateway is ended first.")
                    .once()
                    .takes::<MarkPaid>()
                    .gives::<OrderView>()
                    .refuses(&[(409, "already_paid"), (409, "order_cancelled"), (409, "payment_closing")]),
            ),
        )
        .at(
            "/api/admin/orders/{id}/refund/",
            post(
                refund_order,
                for_admin(Scope::PaymentsWrite, "Give money back")
                    .more(
                        "For units of lines, an amount, or, with neither, all that is left. restock puts the units back \
                         on the shelf, and goes with lines or with all that is left.",
                    )
                    .once()
                    .may_take::<Asked>()
                    .answers::<OrderView>(201, "The order, with the refund, which may be pending still.")
                    .refuses(&[
                        (409, "nothing_to_refund"),
                        (409, "refund_too_large"),
                        (409, "order_disputed"),
                        (502, "gateway_error"),
                    ]),
            ),
        )
        .at(
            "/api/admin/payments/{id}/cancel/",
            post(
                cancel_payment,
                for_admin(Scope::PaymentsWrite, "End a payment that is not final")
                    .more("Its order can be paid anew. force ends it even where its gateway can't be asked.")
                    .may_take::<Ending>()
                    .gives::<AdminView>()
                    .refuses(&[(409, "invalid_transition"), (409, "payment_closing")]),
            ),
        )
}

impl Input for Step {
    fn read(from: &mut Fields<'_>) -> Self {
        let step = Step {
            status: from.change("status", word()),
            tracking: from.change("tracking", object()),
            note: from.change("note", text(0..=2000)),
        };
        from.says(|| json!({"not": {"required": ["status", "tracking"], "properties": {"status": {"const": "cancelled"}}}}));
        if step.status == Some(Status::Cancelled) && step.tracking.is_some() {
            from.fault("tracking", "a cancelled order is not sent");
        }
        step
    }
}

async fn change(mut req: Req, id: OrderId) -> Answer {
    let by = req.staff(Scope::OrdersWrite)?;
    let step: Step = req.json().await?;
    if step.status == Some(Status::Cancelled) {
        let note = step.note.unwrap_or_default();
        cancel(&req.app, Cancelling { order: id, staff: Some(by), note, key: None }).await?;
    } else {
        req.write(move |tx| Ok(advance(tx, id, &step, &by)?)).await?;
    }
    let order = req.app.store.read(|tx| orders::get(tx, id))?;
    Ok(ok(&req.order_view(id, order)?))
}

/// How money is taken by hand.
#[derive(Default)]
enum Method {
    #[default]
    Cash,
    Transfer,
}

crate::words!(Method: ["cash", "transfer"]);

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
        MarkPaid { method: from.req("method", word()), reference: from.opt("reference", text(0..=200)) }
    }
}

/// Records money that was taken by hand. A live payment is ended first.
async fn mark_paid(mut req: Req, id: OrderId) -> Answer {
    let by = req.staff(Scope::PaymentsWrite)?;
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
    record_by_hand(&req.app, ByHand { order: id, how, staff: by, key: key.clone() }).await?;
    let order = req.app.store.read(|tx| orders::get(tx, id))?;
    let reply = ok(&req.order_view(id, order)?);
    req.remember(key, &reply).await?;
    Ok(reply)
}

/// Units of a line of an order.
pub struct LineInput {
    line: u64,
    quantity: u32,
}

impl LineInput {
    /// Line ids and units; none where no lines were given.
    pub fn pairs(given: Option<Vec<LineInput>>) -> Vec<(u64, u32)> {
        given.unwrap_or_default().into_iter().map(|line| (line.line, line.quantity)).collect()
    }
}

impl Input for LineInput {
    fn read(from: &mut Fields<'_>) -> Self {
        LineInput { line: from.req("line_id", id()), quantity: from.req("quantity", whole(1..=1_000_000)) }
    }
}

/// An amount that is not nothing.
fn sum() -> impl Rule<Money> {
    let nothing = || json!({"anyOf": [{"const": 0}, {"type": "string", "pattern": r"^0+(\.0+)?$"}]});
    rule(
        move || json!({"allOf": [money().schema()], "not": nothing()}),
        |value, at| match money().read(value, at)? {
            amount if amount.is_zero() => at.fault("must be more than nothing"),
            amount => Some(amount),
        },
    )
}

impl Input for Asked {
    fn read(from: &mut Fields<'_>) -> Self {
        let asked = Asked {
            lines: LineInput::pairs(from.change("lines", some(object(), 100))),
            amount: from.change("amount", sum()),
            payment: from.opt("payment_id", id()).map(PaymentId),
            reason: from.opt("reason", text(0..=500)).unwrap_or_default(),
            restock: from.opt("restock", boolean()).unwrap_or(false),
        };
        from.says(|| {
            let is_amount = json!({"restock": {"const": true}, "lines": false});
            json!({"not": {"required": ["amount", "restock"], "properties": is_amount}})
        });
        if asked.restock && asked.amount.is_some() && asked.lines.is_empty() {
            from.fault("restock", "goes with lines, or with all that is left");
        }
        asked
    }
}

async fn refund_order(mut req: Req, id: OrderId) -> Answer {
    let by: Staff = req.admin(Scope::PaymentsWrite)?.into();
    let asked: Asked = req.json_or_nothing().await?;
    let (key, _guard) = req.once_key()?.unzip();
    if let Some(before) = req.answered(key.as_ref())? {
        return Ok(before);
    }
    // Somebody may have given money back at the gateway; when it does not answer, its refusal says so later.
    for (payment, _) in req.app.store.read(|tx| payments::of_order(tx, id))? {
        if let Err(error) = payments::look_at_refunds(&req.app, payment).await {
            tracing::warn!(payment = payment.0, %error, "a gateway could not be asked for its refunds");
        }
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
            let after = json!({"refund_id": refund, "amount": payments::get_refund(tx, refund)?.amount,
                "lines": asked.lines, "restock": asked.restock, "reason": asked.reason});
            audit::note(tx, &by.label(), "order.refund", &format!("order:{id}"), Value::Null, after)?;
            if let Some(key) = &once {
                key.began(tx, refund.0)?;
            }
            Ok(refund)
        })
        .await?;
    if let Err(error) = payments::drive_refund(&req.app, refund).await {
        // It is journalled and stays pending: the reconciler goes on with it, and nobody should ask for it again.
        tracing::warn!(refund = refund.0, %error, "a refund could not be finished; the reconciler goes on");
        if let DriveError::Gateway(GatewayError::Off(_) | GatewayError::Denied(_)) = error {
            let detail = format!(
                "The refund is journalled, but {error}. It is made as soon as the gateway can be asked; don't ask for it again."
            );
            return Err(ApiError::new(502, "gateway_error", detail).with("refund_id", refund));
        }
    }
    let made = req.app.store.read(|tx| payments::get_refund(tx, refund))?;
    if made.status == RefundStatus::Failed {
        let said = made.last_error.map_or_else(String::new, |told| told.message);
        let detail = format!("The payment gateway refused the refund: {said}");
        return Err(ApiError::new(502, "gateway_error", detail).with("refund_id", refund));
    }
    let order = req.app.store.read(|tx| orders::get(tx, id))?;
    let reply = created(&req.order_view(id, order)?);
    req.remember(key, &reply).await?;
    Ok(reply)
}

/// How a payment is ended.
#[derive(Default)]
struct Ending {
    /// Without its gateway's word, where that can't be had.
    force: bool,
}

impl Input for Ending {
    fn read(from: &mut Fields<'_>) -> Self {
        Ending { force: from.opt("force", boolean()).unwrap_or(false) }
    }
}

/// Ends a payment that is not final; its order can be paid anew.
async fn cancel_payment(mut req: Req, id: PaymentId) -> Answer {
    let by: Staff = req.admin(Scope::PaymentsWrite)?.into();
    let Ending { force } = req.json_or_nothing().await?;
    let app: Arc<App> = Arc::clone(&req.app);
    req.write(move |tx| {
        accounts::confirm(tx, &by)?;
        let payment = payments::get(tx, id)?;
        if payment.status.is_final() {
            let detail = format!("The payment is {} already.", payment.status.as_str());
            return Err(ApiError::new(409, "invalid_transition", detail));
        }
        let (before, after) =
            (json!({"status": payment.status}), json!({"status": "closing", "force": force}));
        audit::note(tx, &by.label(), "payment.cancel", &format!("payment:{id}"), before, after)?;
        Ok(payments::close(tx, id, Why::Operator, &by.label())?)
    })
    .await?;
    let payment = match end(&app, id).await {
        Err(PaymentError::Ending(_)) if force => {
            tracing::warn!(payment = id.0, "a payment is ended by force, without its gateway's word");
            let terms = app.terms();
            app.store.write(move |tx| payments::give_up(tx, id, &terms)).await?
        }
        ended => ended?,
    };
    Ok(ok(&app.store.read(|tx| payments::admin_view(tx, id, &payment))?))
}

impl From<AdvanceError> for ApiError {
    fn from(error: AdvanceError) -> ApiError {
        match error {
            AdvanceError::Account(error) => error.into(),
            AdvanceError::Order(error) => error.into(),
            AdvanceError::Payment(error) => error.into(),
        }
    }
}
