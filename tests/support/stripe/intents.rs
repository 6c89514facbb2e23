//! Payment intents, and the customers who confirm them.

use super::refusal::Refusal;
use super::{FakeStripe, money, shape};
use serde_json::{Value, json};

const CANCELABLE: [&str; 4] =
    ["requires_payment_method", "requires_capture", "requires_confirmation", "requires_action"];

/// How a customer's try to pay goes.
#[derive(Clone, Debug)]
pub enum Outcome {
    Succeed,
    Decline {
        code: String,
        decline_code: Option<String>,
        message: String,
    },
    /// The bank wants to see the customer first.
    RequireAction,
    /// The money takes days.
    Process,
}

impl FakeStripe {
    pub(super) fn create_intent(&mut self, now: i64, parameters: &Value) -> Result<Value, Refusal> {
        let (amount, currency) = money::charged(parameters)?;
        let metadata = shape::metadata(parameters)?;
        if parameters["confirm"] == "true" {
            let message = "You cannot confirm this PaymentIntent because it's missing a payment method.";
            return Err(Refusal::state(Some("parameter_missing"), message));
        }
        if parameters["receipt_email"].as_str().is_some_and(|email| !email.contains('@')) {
            let message = "Invalid email address";
            return Err(Refusal::parameter(Some("receipt_email"), "email_invalid", message));
        }
        let id = self.new_intent(now, amount, &currency, &metadata);
        for name in
            ["description", "receipt_email", "capture_method", "customer", "statement_descriptor_suffix"]
        {
            if let Some(value) = parameters.get(name) {
                self.change(&id, json!({ name: value }));
            }
        }
        self.emit(now, "payment_intent.created", &id);
        Ok(self.objects[&id].clone())
    }

    fn new_intent(&mut self, now: i64, amount: i64, currency: &str, metadata: &Value) -> String {
        let methods = json!({ "enabled": true, "allow_redirects": "always" });
        let fields = json!({
            "amount": amount, "currency": currency, "metadata": metadata, "automatic_payment_methods": methods,
            "canceled_at": null, "payment_method_types": ["card", "link"],
        });
        let id = self.insert("payment_intent", "pi_", now, fields);
        let secret = format!("{id}_secret_{:016}", self.ids);
        self.change(&id, json!({ "client_secret": secret }));
        id
    }

    /// An intent that this shop did not ask for.
    pub fn foreign_intent(
        &mut self,
        now: i64,
        amount: i64,
        currency: &str,
        metadata: &[(&str, &str)],
        paid: bool,
    ) -> String {
        let metadata =
            metadata.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
        let id = self.new_intent(now, amount, currency, &Value::Object(metadata));
        self.emit(now, "payment_intent.created", &id);
        if paid {
            self.attempt(now, &id, Outcome::Succeed);
        }
        id
    }

    /// The customer confirms in the browser.
    pub fn confirm(&mut self, now: i64, client_secret: &str, outcome: Outcome) -> Result<(), String> {
        let intent = self.kind("pi_").find(|intent| intent["client_secret"] == *client_secret);
        let intent = intent.ok_or("No such payment_intent")?;
        match intent["status"].as_str() {
            Some("requires_payment_method" | "requires_confirmation" | "requires_action") => {}
            status => {
                return Err(format!(
                    "A PaymentIntent that is {} cannot be confirmed.",
                    status.unwrap_or("broken")
                ));
            }
        }
        let id = id_of(intent);
        self.attempt(now, &id, outcome);
        Ok(())
    }

    /// The bank decides on an intent that is processing, or whose customer was asked to do something.
    pub fn finish(&mut self, now: i64, intent: &str, outcome: Outcome) -> Result<(), String> {
        let object = self.find("payment_intent", intent).map_err(|refusal| refusal.message())?;
        match (object["status"].as_str(), &outcome) {
            (Some("processing" | "requires_action"), Outcome::Succeed | Outcome::Decline { .. })
            | (Some("requires_action"), Outcome::Process) => {}
            (status, outcome) => return Err(format!("{status:?} does not end with {outcome:?}")),
        }
        self.attempt(now, intent, outcome);
        Ok(())
    }

    fn attempt(&mut self, now: i64, id: &str, outcome: Outcome) {
        let intent = self.objects[id].clone();
        if let Outcome::RequireAction = outcome {
            let url = format!("https://hooks.stripe.com/redirect/authenticate/{id}");
            let action =
                json!({ "type": "redirect_to_url", "redirect_to_url": { "return_url": null, "url": url } });
            let method = self.id("pm_");
            let fields =
                json!({ "status": "requires_action", "next_action": action, "payment_method": method });
            self.change(id, fields);
            return self.emit(now, "payment_intent.requires_action", id);
        }
        let charge = match intent["latest_charge"].as_str() {
            Some(pending) if intent["status"] == "processing" => pending.to_owned(),
            _ => self.new_charge(now, &intent),
        };
        let method = self.objects[&charge]["payment_method"].clone();
        let fields = json!({
            "latest_charge": charge, "payment_method": method, "next_action": null, "last_payment_error": null,
        });
        self.change(id, fields);
        match outcome {
            Outcome::Decline { code, decline_code, message } => {
                let mut error =
                    json!({ "type": "card_error", "code": code, "message": message, "charge": charge });
                if let Some(decline_code) = decline_code {
                    error["decline_code"] = decline_code.into();
                }
                self.decline(now, id, &charge, &error);
            }
            Outcome::Process => {
                self.change(id, json!({ "status": "processing" }));
                self.emit(now, "charge.pending", &charge);
                self.emit(now, "payment_intent.processing", id);
            }
            _ if intent["capture_method"] == "manual" => {
                self.charge_paid(now, &charge, None);
                self.change(
                    id,
                    json!({ "status": "requires_capture", "amount_capturable": intent["amount"] }),
                );
                self.emit(now, "charge.succeeded", &charge);
                self.emit(now, "payment_intent.amount_capturable_updated", id);
            }
            _ => self.succeed(
                now,
                id,
                &charge,
                intent["amount"].as_i64().unwrap_or_default(),
                "charge.succeeded",
            ),
        }
    }

    fn decline(&mut self, now: i64, id: &str, charge: &str, error: &Value) {
        self.charge_declined(charge, error);
        let fields = json!({ "status": "requires_payment_method", "payment_method": null, "last_payment_error": error });
        self.change(id, fields);
        self.emit(now, "charge.failed", charge);
        self.emit(now, "payment_intent.payment_failed", id);
    }

    fn succeed(&mut self, now: i64, id: &str, charge: &str, amount: i64, kind: &str) {
        self.charge_paid(now, charge, Some(amount));
        self.change(id, json!({ "status": "succeeded", "amount_received": amount, "amount_capturable": 0 }));
        self.emit(now, kind, charge);
        self.emit(now, "payment_intent.succeeded", id);
    }

    pub(super) fn cancel(&mut self, now: i64, id: &str, reason: &Value) -> Result<Value, Refusal> {
        self.in_state(id, "cancel", &CANCELABLE)?;
        let fields = json!({
            "status": "canceled", "canceled_at": now, "cancellation_reason": reason, "next_action": null,
            "amount_capturable": 0,
        });
        self.change(id, fields);
        self.emit(now, "payment_intent.canceled", id);
        Ok(self.objects[id].clone())
    }

    pub fn cancel_from_dashboard(&mut self, now: i64, intent: &str) -> Result<(), String> {
        let result = self.cancel(now, intent, &json!("requested_by_customer"));
        result.map(|_| ()).map_err(|refusal| refusal.message())
    }

    pub(super) fn capture(&mut self, now: i64, id: &str, parameters: &Value) -> Result<Value, Refusal> {
        let intent = self.in_state(id, "capture", &["requires_capture"])?;
        let most = intent["amount_capturable"].as_i64().unwrap_or_default();
        let amount = money::integer(parameters, "amount_to_capture")?.unwrap_or(most);
        if !(1..=most).contains(&amount) {
            let message = format!("The amount to capture is between 1 and {most}.");
            return Err(Refusal::parameter(Some("amount_to_capture"), "amount_too_large", message));
        }
        let charge = intent["latest_charge"].as_str().unwrap_or_default().to_owned();
        self.succeed(now, id, &charge, amount, "charge.captured");
        Ok(self.objects[id].clone())
    }

    fn in_state(&self, id: &str, verb: &str, allowed: &[&str]) -> Result<Value, Refusal> {
        let intent = self.find("payment_intent", id)?;
        let status = intent["status"].as_str().unwrap_or_default();
        if allowed.contains(&status) {
            return Ok(intent);
        }
        let ending = if verb.ends_with('e') { "d" } else { "ed" };
        let message = format!(
            "You cannot {verb} this PaymentIntent because it has a status of {status}. Only a PaymentIntent with one \
             of the following statuses may be {verb}{ending}: {}.",
            allowed.join(", ")
        );
        let mut shown = intent;
        self.present(&mut shown, &[]);
        Err(Refusal::state(Some("payment_intent_unexpected_state"), message).with("payment_intent", shown))
    }
}

pub fn id_of(object: &Value) -> String {
    object["id"].as_str().unwrap_or_default().to_owned()
}
