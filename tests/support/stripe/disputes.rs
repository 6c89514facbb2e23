//! Disputes: the customer asks the bank for the money.

use super::FakeStripe;
use serde_json::{Value, json};

impl FakeStripe {
    /// The customer disputes a payment; the bank takes the money until somebody decides.
    ///
    /// # Panics
    /// If the intent has no charge.
    pub fn open_dispute(&mut self, now: i64, intent: &str, reason: &str, due_by: i64) -> String {
        let charge = self.objects[intent]["latest_charge"].as_str().expect("a charge to dispute").to_owned();
        let object = &self.objects[&charge];
        let amount = object["amount_captured"].as_i64().unwrap_or_default();
        let evidence =
            json!({ "due_by": due_by, "has_evidence": false, "past_due": false, "submission_count": 0 });
        let fields = json!({
            "amount": amount, "charge": charge, "payment_intent": intent, "currency": object["currency"],
            "reason": reason, "status": "needs_response", "is_charge_refundable": false,
            "evidence_details": evidence,
        });
        let dispute = self.insert("dispute", "dp_", now, fields);
        self.change(&charge, json!({ "disputed": true }));
        self.emit(now, "charge.dispute.created", &dispute);
        self.move_funds(now, &dispute, -amount, "funds_withdrawn");
        dispute
    }

    /// The bank decided.
    ///
    /// # Panics
    /// If there is no such dispute.
    pub fn close_dispute(&mut self, now: i64, dispute: &str, won: bool) {
        let amount = self.objects[dispute]["amount"].as_i64().expect("a dispute has an amount");
        let status = if won { "won" } else { "lost" };
        self.change(dispute, json!({ "status": status, "is_charge_refundable": won }));
        self.emit(now, "charge.dispute.updated", dispute);
        if won {
            self.move_funds(now, dispute, amount, "funds_reinstated");
        }
        self.emit(now, "charge.dispute.closed", dispute);
    }

    fn move_funds(&mut self, now: i64, dispute: &str, amount: i64, what: &str) {
        let transaction = self.book(now, dispute, amount, "adjustment");
        let transaction = self.objects[&transaction].clone();
        let moved = self.objects.get_mut(dispute).map(|object| &mut object["balance_transactions"]);
        if let Some(Value::Array(moved)) = moved {
            moved.push(transaction);
        }
        self.emit(now, &format!("charge.dispute.{what}"), dispute);
    }
}
