//! Refunds.

use super::intents::id_of;
use super::refusal::Refusal;
use super::{FakeStripe, money, shape};
use serde_json::{Value, json};

impl FakeStripe {
    pub(super) fn create_refund(&mut self, now: i64, parameters: &Value) -> Result<Value, Refusal> {
        let metadata = shape::metadata(parameters)?;
        let asked = money::integer(parameters, "amount")?;
        if asked.is_some_and(|amount| amount < 1) {
            let message = "This value must be greater than or equal to 1.";
            return Err(Refusal::parameter(Some("amount"), "parameter_invalid_integer", message));
        }
        let charge = self.refundable(parameters)?;
        let amount = unrefunded(&charge, asked)?;
        let id = self.insert(
            "refund",
            "re_",
            now,
            json!({
                "amount": amount, "charge": charge["id"], "payment_intent": charge["payment_intent"],
                "currency": charge["currency"], "metadata": metadata, "reason": parameters["reason"],
                "status": if self.pending_refunds { "pending" } else { "succeeded" },
            }),
        );
        let transaction = self.book(now, &id, -amount, "refund");
        self.change(&id, json!({ "balance_transaction": transaction }));
        let charge = id_of(&charge);
        self.recount(&charge);
        self.emit(now, "charge.refunded", &charge);
        self.emit(now, "refund.created", &id);
        Ok(self.objects[&id].clone())
    }

    /// The charge that may be refunded.
    fn refundable(&self, parameters: &Value) -> Result<Value, Refusal> {
        let charge = match (parameters["payment_intent"].as_str(), parameters["charge"].as_str()) {
            (Some(intent), charge) => {
                let intent = self
                    .find("payment_intent", intent)
                    .map_err(|refusal| as_parameter(refusal, "payment_intent"))?;
                let latest = intent["latest_charge"].as_str().filter(|_| intent["status"] == "succeeded");
                let latest = latest.filter(|latest| charge.is_none_or(|charge| charge == *latest));
                let id = id_of(&intent);
                let message =
                    format!("This PaymentIntent ({id}) does not have a successful charge to refund.");
                self.find("charge", latest.ok_or_else(|| Refusal::state(None, message))?)?
            }
            (None, Some(charge)) => {
                self.find("charge", charge).map_err(|refusal| as_parameter(refusal, "charge"))?
            }
            (None, None) => {
                let message = "One of the following params should be provided: payment_intent or charge.";
                return Err(Refusal::parameter(None, "parameter_missing", message));
            }
        };
        let id = id_of(&charge);
        if charge["captured"] != true {
            return Err(Refusal::state(None, format!("Charge {id} is not captured and cannot be refunded.")));
        }
        // A charge that came back to the shop may be refunded; one that is still disputed, or lost, may not.
        if self.kind("dp_").any(|dispute| dispute["charge"] == *id && dispute["status"] != "won") {
            let message = format!("Charge {id} has been charged back; cannot issue a refund.");
            return Err(Refusal::state(Some("charge_disputed"), message));
        }
        Ok(charge)
    }

    /// Counts again what was given back of a charge.
    fn recount(&mut self, charge: &str) {
        let counts = |refund: &&Value| {
            refund["charge"] == *charge && !["failed", "canceled"].contains(&status(refund))
        };
        let sum: i64 = self.kind("re_").filter(counts).filter_map(|refund| refund["amount"].as_i64()).sum();
        let all = self.objects[charge]["amount_captured"] == sum;
        self.change(charge, json!({ "amount_refunded": sum, "refunded": all }));
    }

    /// A refund from the dashboard; of all that is left, if no amount is said.
    pub fn refund_from_dashboard(
        &mut self,
        now: i64,
        intent: &str,
        amount: Option<i64>,
    ) -> Result<String, String> {
        let mut parameters = json!({ "payment_intent": intent });
        if let Some(amount) = amount {
            parameters["amount"] = amount.to_string().into();
        }
        let refund = self.create_refund(now, &parameters);
        refund.map(|refund| id_of(&refund)).map_err(|refusal| refusal.message())
    }

    /// The customer's bank decides on a refund. It may also send back what had succeeded.
    pub fn finish_refund(&mut self, now: i64, refund: &str, status: &str) -> Result<(), String> {
        let object = self.find("refund", refund).map_err(|refusal| refusal.message())?;
        match (object["status"].as_str(), status) {
            (Some("pending" | "requires_action"), "succeeded" | "failed" | "canceled")
            | (Some("succeeded"), "failed") => {}
            (before, _) => return Err(format!("A refund that is {before:?} does not become {status}.")),
        }
        self.change(refund, json!({ "status": status }));
        if status != "succeeded" {
            let amount = object["amount"].as_i64().unwrap_or_default();
            let transaction = self.book(now, refund, amount, "refund_failure");
            self.change(refund, json!({ "failure_balance_transaction": transaction }));
        }
        if status == "failed" {
            self.change(refund, json!({ "failure_reason": "expired_or_canceled_card" }));
        }
        self.recount(object["charge"].as_str().unwrap_or_default());
        self.emit(now, "refund.updated", refund);
        self.emit(now, "charge.refund.updated", refund);
        if status == "failed" {
            self.emit(now, "refund.failed", refund);
        }
        Ok(())
    }
}

fn status(object: &Value) -> &str {
    object["status"].as_str().unwrap_or_default()
}

/// What a body names and is not there is a bad request, not a missing page.
fn as_parameter(mut refusal: Refusal, name: &str) -> Refusal {
    refusal.status = 400;
    refusal.with("param", name.into())
}

/// How much to give back of a charge.
fn unrefunded(charge: &Value, asked: Option<i64>) -> Result<i64, Refusal> {
    let number = |name: &str| charge[name].as_i64().unwrap_or_default();
    let left = number("amount_captured") - number("amount_refunded");
    if left <= 0 {
        let message = format!("Charge {} has already been refunded.", id_of(charge));
        return Err(Refusal::state(Some("charge_already_refunded"), message));
    }
    let amount = asked.unwrap_or(left);
    if amount > left {
        let shown = |amount| money::shown(amount, charge["currency"].as_str().unwrap_or_default());
        let message = format!(
            "Refund amount ({}) is greater than unrefunded amount on charge ({})",
            shown(amount),
            shown(left)
        );
        return Err(Refusal::state(None, message).with("param", "amount".into()));
    }
    Ok(amount)
}
