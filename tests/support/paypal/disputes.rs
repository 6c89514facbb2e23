//! Disputes: the buyer complains, PayPal decides.

use super::clock::stamp;
use super::wire::link;
use super::{FakePayPal, SHOP};
use serde_json::{Value, json};

impl FakePayPal {
    /// The buyer opens a case on a captured order, to be answered by `due` (RFC 3339). Answers the dispute's id.
    pub fn open_dispute(&mut self, now: i64, order: &str, reason: &str, due: &str) -> String {
        let number = self.name("");
        let id = format!("PP-D-{}", number.trim_start_matches('0'));
        let here = self.url(&format!("/v1/customer/disputes/{id}"));
        let capture = self.orders[order].capture().expect("a captured order");
        let mut transaction = json!({
            "seller_transaction_id": capture["id"],
            "create_time": capture["create_time"],
            "transaction_status": "COMPLETED",
            "gross_amount": capture["amount"],
            "seller": { "merchant_id": SHOP, "name": "Test Shop" },
            "seller_protection_eligible": true,
            "items": [],
        });
        for (name, ours) in [("custom", "custom_id"), ("invoice_number", "invoice_id")] {
            if capture[ours].is_string() {
                transaction[name] = capture[ours].clone();
            }
        }
        let dispute = json!({
            "dispute_id": id,
            "create_time": stamp(now),
            "disputed_transactions": [transaction],
            "reason": reason,
            "dispute_amount": capture["amount"],
            "dispute_channel": "INTERNAL",
            "seller_response_due_date": due,
            "links": [link(&here, "self", "GET")],
        });
        self.disputes.insert(id.clone(), dispute);
        let words = json!({ "status": "OPEN", "dispute_life_cycle_stage": "INQUIRY" });
        self.change_dispute(now, &id, "CUSTOMER.DISPUTE.CREATED", &words);
        id
    }

    /// The inquiry becomes a claim.
    pub fn escalate_dispute(&mut self, now: i64, dispute: &str) {
        let words =
            json!({ "status": "WAITING_FOR_SELLER_RESPONSE", "dispute_life_cycle_stage": "CHARGEBACK" });
        self.change_dispute(now, dispute, "CUSTOMER.DISPUTE.UPDATED", &words);
    }

    /// PayPal decides, for example `RESOLVED_SELLER_FAVOUR`. With `RESOLVED_BUYER_FAVOUR` it takes the money back first.
    pub fn close_dispute(&mut self, now: i64, dispute: &str, outcome: &str) {
        let mut decision = json!({ "outcome_code": outcome });
        if outcome == "RESOLVED_BUYER_FAVOUR" {
            let order = self.disputed_order(&self.disputes[dispute]).to_owned();
            decision["amount_refunded"] = self.left(&order).json();
            self.reverse(now, &order);
        }
        let words = json!({ "status": "RESOLVED", "dispute_outcome": decision });
        self.change_dispute(now, dispute, "CUSTOMER.DISPUTE.RESOLVED", &words);
    }

    fn change_dispute(&mut self, now: i64, id: &str, kind: &str, words: &Value) {
        let dispute = self.disputes.get_mut(id).expect("a dispute");
        for (name, value) in words.as_object().into_iter().flatten() {
            dispute[name] = value.clone();
        }
        dispute["update_time"] = json!(stamp(now));
        let resource = dispute.clone();
        self.event(now, kind, "dispute", &format!("A dispute with case # {id}"), resource);
    }

    /// Whether a case on this order is open.
    pub(super) fn disputed(&self, order: &str) -> bool {
        let mut open = self.disputes.values().filter(|dispute| dispute["status"] != "RESOLVED");
        open.any(|dispute| self.disputed_order(dispute) == order)
    }

    fn disputed_order(&self, dispute: &Value) -> &str {
        let capture =
            dispute["disputed_transactions"][0]["seller_transaction_id"].as_str().unwrap_or_default();
        &self.payments[capture]
    }
}
