//! The parts of Stripe's objects that till reads, in the shapes of 2023 and of now. Unknown fields are welcome.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::amount::from_stripe;
use super::super::{GatewayError, Intent, Returned, Tag};
use crate::clock::Time;
use crate::id::OrderId;
use crate::money::Money;
use crate::orders::RefundStatus;
use crate::payments::lifecycle::Status;
use crate::payments::model::{Disputed, Stand, Subject, Told};

/// What a customer is told where Stripe's words are not for them.
const DECLINED: &str = "The payment did not go through. Try again, or pay in another way.";

/// <https://docs.stripe.com/api/pagination>
#[derive(Deserialize)]
pub struct List {
    data: Vec<Value>,
    #[serde(default)]
    has_more: bool,
}

impl List {
    /// What the next page comes after, if there is one.
    pub fn next(&self) -> Option<String> {
        self.data.last().filter(|_| self.has_more).and_then(id_of)
    }

    /// Those that can be read. One odd object of anybody's on the account spoils no others.
    pub fn read<T: DeserializeOwned>(self) -> impl Iterator<Item = T> {
        self.data.into_iter().filter_map(|object| {
            let id = id_of(&object);
            let read = serde_json::from_value(object);
            if let Err(error) = &read {
                tracing::warn!(id, %error, "an object of Stripe's can't be read; it is passed over");
            }
            read.ok()
        })
    }
}

#[derive(Deserialize)]
pub struct ErrorBody {
    pub error: ErrorObject,
}

/// <https://docs.stripe.com/api/errors>
#[derive(Deserialize)]
pub struct ErrorObject {
    #[serde(rename = "type", default)]
    pub kind: String,
    pub code: Option<String>,
    pub message: Option<String>,
}

impl ErrorObject {
    /// As the shop's own people are told.
    pub fn told(self) -> Told {
        Told { code: self.code.unwrap_or(self.kind), message: self.message.unwrap_or_default() }
    }

    /// As the customer is told: only the messages of card errors are for them.
    fn to_customer(&self) -> Told {
        let for_them = self.message.clone().filter(|said| self.kind == "card_error" && !said.is_empty());
        let message = for_them.unwrap_or_else(|| DECLINED.to_owned());
        Told { code: self.code.clone().unwrap_or_else(|| self.kind.clone()), message }
    }
}

/// An expandable field's id.
fn id_of(field: &Value) -> Option<String> {
    field.as_str().or_else(|| field["id"].as_str()).map(str::to_owned)
}

fn money(units: i64, currency: &str) -> Result<Money, GatewayError> {
    let said = || GatewayError::Failed(format!("it says {units} {currency}, which is no amount we know"));
    from_stripe(units, currency).ok_or_else(said)
}

/// <https://docs.stripe.com/api/payment_intents/object>
#[derive(Deserialize)]
pub struct IntentObject {
    pub id: String,
    pub amount: i64,
    #[serde(default)]
    pub amount_received: i64,
    pub currency: String,
    pub status: String,
    pub client_secret: Option<String>,
    pub livemode: Option<bool>,
    #[serde(default)]
    pub metadata: Value,
    pub last_payment_error: Option<ErrorObject>,
    /// An id, or the object.
    #[serde(default)]
    pub latest_charge: Value,
}

impl IntentObject {
    fn tag(&self) -> Option<Tag> {
        let field = |name: &str| self.metadata[name].as_str().map(str::to_owned);
        let order = field("order_id").and_then(|id| id.parse().ok()).map(OrderId);
        Some(Tag { shop: field("till_shop")?, payment: field("till_payment")?, order })
    }

    pub fn is_tagged(&self, wanted: &Tag) -> bool {
        self.tag().is_some_and(|tag| tag.shop == wanted.shop && tag.payment == wanted.payment)
    }

    pub fn into_intent(self) -> Result<Intent, GatewayError> {
        let status = match self.status.as_str() {
            "requires_payment_method" => Status::RequiresPayment,
            "requires_confirmation" | "requires_action" | "requires_capture" => Status::RequiresAction,
            "processing" => Status::Processing,
            "succeeded" => Status::Succeeded,
            "canceled" => Status::Canceled,
            other => return Err(GatewayError::Failed(format!("{} has the unknown status {other}", self.id))),
        };
        let taken = if status == Status::Succeeded { self.amount_received } else { 0 };
        let charge: Option<ChargeObject> = serde_json::from_value(self.latest_charge.clone()).ok();
        let refunded = charge.as_ref().map(|charge| money(charge.amount_refunded, &self.currency));
        Ok(Intent {
            status,
            amount: money(self.amount, &self.currency)?,
            captured: money(taken, &self.currency)?,
            is_approved: self.status == "requires_capture",
            // A last error of an earlier try says nothing once the payment is on its way.
            declined: self
                .last_payment_error
                .as_ref()
                .filter(|_| status == Status::RequiresPayment)
                .map(ErrorObject::to_customer),
            charge: id_of(&self.latest_charge),
            fee: charge.and_then(|charge| charge.fee()),
            refunded: refunded.transpose()?,
            tag: self.tag(),
            client_secret: self.client_secret,
            approve_url: None,
            reference: self.id,
        })
    }
}

/// <https://docs.stripe.com/api/charges/object>
#[derive(Deserialize)]
pub struct ChargeObject {
    #[serde(default)]
    payment_intent: Value,
    #[serde(default)]
    amount_refunded: i64,
    /// An id, or the object.
    #[serde(default)]
    balance_transaction: Value,
}

impl ChargeObject {
    pub fn payment(&self) -> Option<String> {
        id_of(&self.payment_intent)
    }

    /// In the currency that it is charged in, which may be another than the payment's.
    fn fee(&self) -> Option<Money> {
        let (fee, currency) = (&self.balance_transaction["fee"], &self.balance_transaction["currency"]);
        from_stripe(fee.as_i64()?, currency.as_str()?)
    }
}

/// <https://docs.stripe.com/api/refunds/object>
#[derive(Deserialize)]
pub struct RefundObject {
    pub id: String,
    amount: i64,
    currency: String,
    status: Option<String>,
    failure_reason: Option<String>,
    #[serde(default)]
    payment_intent: Value,
    #[serde(default)]
    metadata: Value,
}

impl RefundObject {
    pub fn payment(&self) -> Option<String> {
        id_of(&self.payment_intent)
    }

    pub fn into_returned(self) -> Result<Returned, GatewayError> {
        let (status, error) = match self.status.as_deref() {
            Some("succeeded") => (RefundStatus::Succeeded, None),
            Some(end @ ("failed" | "canceled")) => {
                let code = self.failure_reason.unwrap_or_else(|| end.to_owned());
                let message = format!("Stripe could not give the money back ({code}).");
                (RefundStatus::Failed, Some(Told { code, message }))
            }
            _ => (RefundStatus::Pending, None),
        };
        Ok(Returned {
            amount: money(self.amount, &self.currency)?,
            reference: self.id,
            status,
            error,
            tag: self.metadata["till_refund"].as_str().map(str::to_owned),
            is_inferred: false,
        })
    }
}

/// <https://docs.stripe.com/api/disputes/object>
#[derive(Deserialize)]
pub struct DisputeObject {
    id: String,
    amount: i64,
    currency: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    payment_intent: Value,
    #[serde(default)]
    charge: Value,
    #[serde(default)]
    evidence_details: Value,
}

impl DisputeObject {
    pub fn into_disputed(self) -> Result<Disputed, GatewayError> {
        let stand = match self.status.as_str() {
            "won" | "warning_closed" | "prevented" => Stand::Won,
            "lost" => Stand::Lost,
            _ => Stand::Open,
        };
        Ok(Disputed {
            payment: id_of(&self.payment_intent),
            charge: id_of(&self.charge),
            amount: money(self.amount, &self.currency)?,
            reason: self.reason,
            stand,
            status: self.status,
            due_by: self.evidence_details["due_by"].as_i64().map(|seconds| Time(seconds * 1000)),
            told_at: None,
            reference: self.id,
        })
    }
}

/// <https://docs.stripe.com/api/events/object>
#[derive(Deserialize)]
pub struct EventObject {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub livemode: Option<bool>,
    data: EventData,
}

#[derive(Deserialize)]
struct EventData {
    object: Value,
}

impl EventObject {
    /// What is to be asked after.
    pub fn subject(&self) -> Option<Subject> {
        let object = &self.data.object;
        match object["object"].as_str()? {
            "payment_intent" => id_of(&object["id"]).map(Subject::Payment),
            "dispute" => id_of(&object["id"]).map(Subject::Dispute),
            "charge" => {
                let payment = id_of(&object["payment_intent"]).map(Subject::Payment);
                payment.or_else(|| id_of(&object["id"]).map(Subject::Charge))
            }
            "refund" => {
                let payment = id_of(&object["payment_intent"]).map(Subject::Payment);
                payment.or_else(|| id_of(&object["charge"]).map(Subject::Charge))
            }
            _ => None,
        }
    }
}
