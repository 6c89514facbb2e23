//! Charges, and the money that they bring.

use super::FakeStripe;
use serde_json::{Value, json};
use std::collections::BTreeMap;

impl FakeStripe {
    /// A try to pay: its charge, which begins as pending.
    pub(super) fn new_charge(&mut self, now: i64, intent: &Value) -> String {
        let method = self.id("pm_");
        let charge = self.insert(
            "charge",
            "ch_",
            now,
            json!({
                "amount": intent["amount"], "currency": intent["currency"], "description": intent["description"],
                "receipt_email": intent["receipt_email"], "metadata": intent["metadata"], "customer": intent["customer"],
                "payment_intent": intent["id"], "payment_method": method, "balance_transaction": null, "paid": false,
                "status": "pending", "receipt_url": null, "livemode": intent["livemode"],
            }),
        );
        // Since 2022-11-15 only there when asked for.
        self.objects.get_mut(&charge).and_then(Value::as_object_mut).map(|charge| charge.remove("refunds"));
        charge
    }

    /// The bank gave the money, or promised it until it is captured.
    pub(super) fn charge_paid(&mut self, now: i64, charge: &str, captured: Option<i64>) {
        let receipt = format!("https://pay.stripe.com/receipts/{charge}");
        let outcome = json!({
            "network_status": "approved_by_network", "reason": null, "risk_level": "normal", "risk_score": 20,
            "seller_message": "Payment complete.", "type": "authorized",
        });
        let fields =
            json!({ "status": "succeeded", "paid": true, "outcome": outcome, "receipt_url": receipt });
        self.change(charge, fields);
        if let Some(amount) = captured {
            let transaction = self.book(now, charge, amount, "charge");
            let fields =
                json!({ "captured": true, "amount_captured": amount, "balance_transaction": transaction });
            self.change(charge, fields);
        }
    }

    pub(super) fn charge_declined(&mut self, charge: &str, error: &Value) {
        let reason = if error["decline_code"].is_null() { &error["code"] } else { &error["decline_code"] };
        let outcome = json!({
            "network_status": "declined_by_network", "reason": reason, "risk_level": "normal", "risk_score": 20,
            "seller_message": "The bank did not return any further details with this decline.",
            "type": "issuer_declined",
        });
        self.change(
            charge,
            json!({
                "status": "failed", "paid": false, "outcome": outcome, "failure_code": error["code"],
                "failure_message": error["message"],
            }),
        );
    }

    /// Writes money that came or went into the balance. Only what customers pay costs a fee.
    pub(super) fn book(&mut self, now: i64, source: &str, amount: i64, kind: &str) -> String {
        let fee = if kind == "charge" { (amount * 29 + 500) / 1000 + 30 } else { 0 };
        let currency = self.objects[source]["currency"].clone();
        let details = json!({
            "amount": fee, "application": null, "currency": currency, "description": "Stripe processing fees",
            "type": "stripe_fee",
        });
        self.insert(
            "balance_transaction",
            "txn_",
            now,
            json!({
                "amount": amount, "available_on": now, "currency": currency, "description": null, "fee": fee,
                "fee_details": if fee == 0 { json!([]) } else { json!([details]) }, "net": amount - fee,
                "source": source, "type": kind, "reporting_category": kind,
            }),
        )
    }

    pub(super) fn balance(&self) -> Value {
        let mut sums = BTreeMap::from([("usd", 0)]);
        for transaction in self.kind("txn_") {
            let currency = transaction["currency"].as_str().unwrap_or_default();
            *sums.entry(currency).or_default() += transaction["net"].as_i64().unwrap_or_default();
        }
        let funds = |(currency, amount): (&&str, &i64)| json!({ "amount": amount, "currency": currency, "source_types": { "card": amount } });
        let available: Vec<Value> = sums.iter().map(funds).collect();
        let pending: Vec<Value> = sums.keys().map(|currency| funds((currency, &0))).collect();
        json!({ "object": "balance", "available": available, "pending": pending, "livemode": self.livemode })
    }
}
