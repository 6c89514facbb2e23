//! The parts of PayPal's objects that till reads. Unknown fields are welcome.

use serde::Deserialize;
use serde_json::Value;

use super::super::amount::from_paypal;
use super::super::{GatewayError, Intent, Notice, Returned, Tag};
use crate::clock::Time;
use crate::id::OrderId;
use crate::money::{Currency, Money};
use crate::orders::RefundStatus;
use crate::payments::lifecycle::Status;
use crate::payments::model::{Disputed, Stand, Subject, Told};

#[derive(Deserialize)]
pub struct TokenObject {
    pub access_token: String,
    /// Seconds.
    pub expires_in: u64,
}

/// <https://developer.paypal.com/api/rest/responses/#error-messages>
#[derive(Deserialize)]
pub struct ErrorBody {
    #[serde(default)]
    name: String,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default)]
    issue: String,
    #[serde(default)]
    description: String,
}

impl ErrorBody {
    pub fn told(self) -> Told {
        match self.details.into_iter().next() {
            Some(Detail { issue, description }) => Told { code: issue, message: description },
            None => Told { code: self.name, message: self.message },
        }
    }
}

/// Why the money could not be taken, as the customer is told.
pub fn declined(told: &Told) -> Told {
    let message = match told.code.as_str() {
        "INSTRUMENT_DECLINED" => {
            "PayPal could not charge this means of payment. Choose another one at PayPal, or pay in another way."
        }
        _ => "The payment did not go through. Approve it at PayPal again, or pay in another way.",
    };
    Told { code: told.code.clone(), message: message.into() }
}

#[derive(Deserialize)]
struct Amount {
    currency_code: String,
    value: String,
}

impl Amount {
    fn money(&self) -> Result<Money, GatewayError> {
        let Amount { currency_code, value } = self;
        let said =
            || GatewayError::Failed(format!("it says {value} {currency_code}, which is no amount we know"));
        from_paypal(value, currency_code).ok_or_else(said)
    }
}

#[derive(Deserialize)]
struct Link {
    href: String,
    rel: String,
}

fn link<'a>(links: &'a [Link], rel: &str) -> Option<&'a str> {
    links.iter().find(|link| link.rel == rel).map(|link| link.href.as_str())
}

/// <https://developer.paypal.com/docs/api/orders/v2/#orders_get>
#[derive(Deserialize)]
pub struct OrderObject {
    id: String,
    status: String,
    #[serde(default)]
    purchase_units: Vec<Unit>,
    #[serde(default)]
    links: Vec<Link>,
}

#[derive(Deserialize)]
struct Unit {
    amount: Amount,
    custom_id: Option<String>,
    #[serde(default)]
    payments: Payments,
}

#[derive(Deserialize, Default)]
struct Payments {
    #[serde(default)]
    captures: Vec<CaptureObject>,
    #[serde(default)]
    refunds: Vec<RefundObject>,
}

/// <https://developer.paypal.com/docs/api/payments/v2/#captures_get>
#[derive(Deserialize)]
pub struct CaptureObject {
    id: String,
    status: String,
    amount: Amount,
    #[serde(default)]
    seller_receivable_breakdown: Value,
    #[serde(default)]
    supplementary_data: Value,
}

impl CaptureObject {
    pub fn order(&self) -> Option<String> {
        self.supplementary_data["related_ids"]["order_id"].as_str().map(str::to_owned)
    }

    /// Whether the buyer's money came, whatever became of it since.
    fn has_money(&self) -> bool {
        matches!(self.status.as_str(), "COMPLETED" | "PARTIALLY_REFUNDED" | "REFUNDED")
    }

    fn fee(&self) -> Option<Money> {
        let fee = &self.seller_receivable_breakdown["paypal_fee"];
        from_paypal(fee["value"].as_str()?, fee["currency_code"].as_str()?)
    }
}

fn tag(custom_id: &str) -> Option<Tag> {
    let mut parts = custom_id.strip_prefix("till.")?.split('.');
    let (shop, payment) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let order = parts.next().and_then(|id| id.parse().ok()).map(OrderId);
    Some(Tag { shop, payment, order })
}

impl OrderObject {
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it is the short form, without what is in it: PayPal answers so where it passes over `Prefer`.
    pub fn is_minimal(&self) -> bool {
        let is_done = self.status == "COMPLETED";
        self.purchase_units.first().is_none_or(|unit| is_done && unit.payments.captures.is_empty())
    }

    fn unit(&self) -> Result<&Unit, GatewayError> {
        self.purchase_units
            .first()
            .ok_or_else(|| GatewayError::Failed("its order has no purchase unit".into()))
    }

    pub fn into_intent(self) -> Result<Intent, GatewayError> {
        let unit = self.unit()?;
        let captures = &unit.payments.captures;
        let paid = captures.iter().find(|capture| capture.has_money());
        let pending = captures.iter().find(|capture| capture.status == "PENDING");
        let status = match (paid, pending, self.status.as_str()) {
            (Some(_), _, _) => Status::Succeeded,
            (None, Some(_), _) => Status::Processing,
            // What was captured was denied in the end.
            (None, None, "COMPLETED") if !captures.is_empty() => Status::Failed,
            (None, None, "CREATED" | "SAVED" | "PAYER_ACTION_REQUIRED") => Status::RequiresPayment,
            (None, None, "APPROVED") => Status::RequiresAction,
            (None, None, "VOIDED") => Status::Canceled,
            (None, None, other) => {
                return Err(GatewayError::Failed(format!("{} has the unknown status {other}", self.id)));
            }
        };
        let amount = unit.amount.money()?;
        let mut intent = Intent::new(self.id.clone(), status, amount);
        intent.is_approved = status == Status::RequiresAction;
        intent.tag = unit.custom_id.as_deref().and_then(tag);
        let approve = link(&self.links, "payer-action").or_else(|| link(&self.links, "approve"));
        intent.approve_url = approve.map(str::to_owned);
        intent.charge = paid.or(pending).map(|capture| capture.id.clone());
        if let Some(paid) = paid {
            intent.captured = paid.amount.money()?;
            intent.fee = paid.fee();
        }
        if status == Status::Failed {
            let told = Told { code: "DENIED".into(), message: String::new() };
            intent.declined = Some(declined(&told));
        }
        if paid.is_some() {
            let back: Vec<_> = self.into_refunds()?;
            let live = back.iter().filter(|refund| refund.status != RefundStatus::Failed);
            let minor = live.map(|refund| refund.amount.minor).sum();
            intent.refunded = Some(Money { minor, currency: intent.captured.currency });
        }
        Ok(intent)
    }

    /// The refunds, and what PayPal itself took back.
    pub fn into_refunds(self) -> Result<Vec<Returned>, GatewayError> {
        let Some(unit) = self.purchase_units.into_iter().next() else { return Ok(Vec::new()) };
        let Payments { captures, refunds } = unit.payments;
        let mut all = refunds.into_iter().map(RefundObject::into_returned).collect::<Result<Vec<_>, _>>()?;
        if let Some(gone) = captures.iter().find(|capture| capture.status == "REFUNDED") {
            let taken = gone.amount.money()?;
            let back = all.iter().filter(|refund| refund.status != RefundStatus::Failed);
            let minor = taken.minor - back.map(|refund| refund.amount.minor).sum::<i64>();
            if minor > 0 {
                all.push(Returned {
                    reference: format!("{}-reversal", gone.id),
                    amount: Money { minor, ..taken },
                    status: RefundStatus::Succeeded,
                    error: None,
                    tag: None,
                    is_inferred: true,
                });
            }
        }
        Ok(all)
    }
}

/// <https://developer.paypal.com/docs/api/payments/v2/#refunds_get>
#[derive(Deserialize)]
pub struct RefundObject {
    id: String,
    status: String,
    amount: Amount,
    custom_id: Option<String>,
}

impl RefundObject {
    pub fn into_returned(self) -> Result<Returned, GatewayError> {
        let (status, error) = match self.status.as_str() {
            "COMPLETED" => (RefundStatus::Succeeded, None),
            code @ ("FAILED" | "CANCELLED") => {
                let message = "PayPal could not give the money back.".into();
                (RefundStatus::Failed, Some(Told { code: code.to_owned(), message }))
            }
            _ => (RefundStatus::Pending, None),
        };
        Ok(Returned {
            reference: self.id,
            amount: self.amount.money()?,
            status,
            error,
            tag: self.custom_id,
            is_inferred: false,
        })
    }
}

/// <https://developer.paypal.com/docs/api/webhooks/v1/#webhooks-events_get>
#[derive(Deserialize)]
pub struct EventObject {
    id: String,
    event_type: String,
    #[serde(default)]
    resource: Value,
}

#[derive(Deserialize)]
pub struct EventList {
    #[serde(default)]
    pub events: Vec<EventObject>,
    #[serde(default)]
    links: Vec<Link>,
}

impl EventList {
    /// The path of the next page, below the API that is asked anyway.
    pub fn next(&self) -> Option<String> {
        let href: http::Uri = link(&self.links, "next")?.parse().ok()?;
        href.path_and_query().map(ToString::to_string)
    }
}

impl EventObject {
    /// `None` for events that till does not go by.
    pub fn into_notice(self) -> Option<Notice> {
        let resource = &self.resource;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let kind = self.event_type.as_str();
        let subject = if kind.starts_with("CHECKOUT.ORDER.") {
            Subject::Payment(text(&resource["id"])?)
        } else if kind == "PAYMENT.CAPTURE.REFUNDED"
            || kind == "PAYMENT.CAPTURE.REVERSED"
            || kind.starts_with("PAYMENT.REFUND.")
        {
            Subject::Charge(capture_of(resource)?)
        } else if kind.starts_with("PAYMENT.CAPTURE.") {
            let order = text(&resource["supplementary_data"]["related_ids"]["order_id"]);
            order.map(Subject::Payment).or_else(|| text(&resource["id"]).map(Subject::Charge))?
        } else if kind.starts_with("CUSTOMER.DISPUTE.") {
            Subject::Disputed(Box::new(disputed(resource)?))
        } else {
            return None;
        };
        Some(Notice { id: self.id, kind: self.event_type, subject })
    }
}

/// The capture that a refund gives back of: its link `up`.
fn capture_of(refund: &Value) -> Option<String> {
    let links: Vec<Link> = serde_json::from_value(refund["links"].clone()).ok()?;
    let up = link(&links, "up")?;
    up.rsplit('/').next().map(str::to_owned)
}

/// <https://developer.paypal.com/docs/api/customer-disputes/v1/#disputes_get>
fn disputed(resource: &Value) -> Option<Disputed> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let time = |value: &Value| value.as_str().and_then(Time::parse);
    let amount = &resource["dispute_amount"];
    let status = text(&resource["status"]).unwrap_or_default();
    let outcome = resource["dispute_outcome"]["outcome_code"].as_str().unwrap_or_default();
    let stand = match (status.as_str(), outcome) {
        ("RESOLVED", "RESOLVED_BUYER_FAVOUR" | "ACCEPTED") => Stand::Lost,
        ("RESOLVED", _) => Stand::Won,
        _ => Stand::Open,
    };
    let about = &resource["disputed_transactions"][0];
    let amount = match (amount["value"].as_str(), amount["currency_code"].as_str()) {
        (Some(value), Some(code)) => from_paypal(value, code)?,
        _ => Currency::default().zero(),
    };
    Some(Disputed {
        reference: text(&resource["dispute_id"])?,
        payment: None,
        charge: Some(text(&about["seller_transaction_id"])?),
        amount,
        reason: text(&resource["reason"]).unwrap_or_default(),
        stand,
        status: if stand == Stand::Open { status } else { outcome.to_owned() },
        due_by: time(&resource["seller_response_due_date"]),
        told_at: time(&resource["update_time"]).or_else(|| time(&resource["create_time"])),
    })
}

/// A value in a query.
pub fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_of_an_order_is_known() {
        let amount = r#""amount": {"currency_code": "USD", "value": "4.00"}"#;
        for (json, is_minimal) in [
            (r#"{"id": "1", "status": "CREATED"}"#.to_owned(), true),
            (format!(r#"{{"id": "1", "status": "CREATED", "purchase_units": [{{{amount}}}]}}"#), false),
            (format!(r#"{{"id": "1", "status": "COMPLETED", "purchase_units": [{{{amount}}}]}}"#), true),
        ] {
            let order: OrderObject = serde_json::from_str(&json).expect("an order");
            assert_eq!(order.is_minimal(), is_minimal, "{json}");
        }
    }
}
