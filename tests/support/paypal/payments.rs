//! Captures and refunds. They live in their order; a capture's status follows from its refunds.

use super::clock::stamp;
use super::money::Money;
use super::orders::{Order, payee};
use super::wire::{Answer, Call, Refusal, link, refusal};
use super::{FakePayPal, Made};
use serde_json::{Value, json};

impl FakePayPal {
    pub(super) fn make_capture(&mut self, now: i64, order: &str, pending: bool) {
        let id = self.name("CAPTURE");
        let here = self.url(&format!("/v2/payments/captures/{id}"));
        let up = self.url(&format!("/v2/checkout/orders/{order}"));
        let unit = self.orders[order].unit();
        let mut capture = json!({
            "id": id,
            "status": "PENDING",
            "status_details": { "reason": "PENDING_REVIEW" },
            "amount": { "currency_code": unit["amount"]["currency_code"], "value": unit["amount"]["value"] },
            "final_capture": true,
            "seller_protection": {
                "status": "ELIGIBLE",
                "dispute_categories": ["ITEM_NOT_RECEIVED", "UNAUTHORIZED_TRANSACTION"],
            },
            "links": [
                link(&here, "self", "GET"),
                link(&format!("{here}/refund"), "refund", "POST"),
                link(&up, "up", "GET"),
            ],
            "create_time": stamp(now),
            "update_time": stamp(now),
        });
        keep_ids(&mut capture, unit);
        self.orders.get_mut(order).expect("an order to capture").payments_mut("captures").push(capture);
        self.payments.insert(id, order.to_owned());
        if pending {
            self.capture_event(now, "PAYMENT.CAPTURE.PENDING", "Payment pending", order);
        } else {
            self.complete_capture(now, order);
        }
    }

    /// Ends a pending capture with `COMPLETED`, `DECLINED` or `FAILED`. PayPal calls the first of the bad ends
    /// `PAYMENT.CAPTURE.DENIED`.
    pub fn finish_capture(&mut self, now: i64, order: &str, status: &str) -> Result<(), String> {
        let capture = self.orders.get(order).and_then(Order::capture);
        if capture.is_none_or(|capture| capture["status"] != "PENDING") {
            return Err(format!("{order} has no pending capture"));
        }
        if status == "COMPLETED" {
            self.complete_capture(now, order);
            return Ok(());
        }
        self.set_capture(now, order, status);
        let kind = if status == "DECLINED" { "PAYMENT.CAPTURE.DENIED" } else { "PAYMENT.CAPTURE.DECLINED" };
        self.capture_event(now, kind, "Payment not completed", order);
        Ok(())
    }

    fn complete_capture(&mut self, now: i64, order: &str) {
        let capture = self.set_capture(now, order, "COMPLETED");
        let gross = amount_of(capture);
        let fee = gross.fee();
        capture["seller_receivable_breakdown"] = json!({
            "gross_amount": gross.json(),
            "paypal_fee": fee.json(),
            "net_amount": gross.of(gross.minor - fee.minor).json(),
        });
        self.capture_event(now, "PAYMENT.CAPTURE.COMPLETED", "Payment completed", order);
        self.order_event(now, "CHECKOUT.ORDER.COMPLETED", "Checkout order is completed", order);
    }

    fn set_capture(&mut self, now: i64, order: &str, status: &str) -> &mut Value {
        let order = self.orders.get_mut(order).expect("an order with a capture");
        order.touch(now);
        let capture = order.payments_mut("captures").first_mut().expect("a capture");
        capture["status"] = json!(status);
        capture["update_time"] = json!(stamp(now));
        capture.as_object_mut().expect("a capture is an object").remove("status_details");
        capture
    }

    fn capture_event(&mut self, now: i64, kind: &str, summary: &str, order: &str) {
        let resource = self.whole_capture(order).expect("an event about a capture");
        self.event(now, kind, "capture", summary, resource);
    }

    /// A capture by itself says more than inside of its order.
    fn whole_capture(&self, order: &str) -> Option<Value> {
        let mut capture = self.orders.get(order)?.capture()?.clone();
        capture["supplementary_data"] = json!({ "related_ids": { "order_id": order } });
        capture["payee"] = payee();
        Some(capture)
    }

    pub(super) fn show_capture(&self, id: &str) -> Answer {
        let capture = self.payments.get(id).and_then(|order| self.whole_capture(order));
        let capture = capture.filter(|capture| capture["id"] == id);
        capture.map(|capture| (200, capture)).ok_or_else(|| refusal("INVALID_RESOURCE_ID"))
    }

    pub(super) fn show_refund(&self, id: &str) -> Answer {
        self.find_refund(id).map(|refund| (200, refund.clone())).ok_or_else(|| refusal("INVALID_RESOURCE_ID"))
    }

    pub(super) fn find_refund(&self, id: &str) -> Option<&Value> {
        self.orders.get(self.payments.get(id)?)?.refunds().iter().find(|refund| refund["id"] == id)
    }

    pub(super) fn refund(&mut self, call: &Call, capture: &str) -> Result<Made, Refusal> {
        let order = self.show_capture(capture).map(|_| self.payments[capture].clone())?;
        self.refund_order(call.now, &order, &call.json).map(Made::Refund)
    }

    /// The shop refunds in PayPal's dashboard: all that is left, or an amount such as `"5.00"`. Answers the refund's id.
    pub fn refund_from_dashboard(
        &mut self,
        now: i64,
        order: &str,
        amount: Option<&str>,
    ) -> Result<String, String> {
        let capture = self.orders.get(order).and_then(Order::capture).ok_or("nothing was captured")?;
        let currency = &capture["amount"]["currency_code"];
        let sent = amount
            .map_or(json!({}), |value| json!({ "amount": { "currency_code": currency, "value": value } }));
        self.refund_order(now, order, &sent).map_err(|refused| refused.issue.to_owned())
    }

    fn refund_order(&mut self, now: i64, order: &str, sent: &Value) -> Result<String, Refusal> {
        let amount = self.refundable(order, sent)?;
        let pending = self.pending_refunds;
        let id = self.make_refund(now, order, sent, &amount);
        if pending {
            self.refund_event(now, "PAYMENT.REFUND.PENDING", "A refund is pending", &id);
        } else {
            self.finish_refund(now, &id, "COMPLETED");
        }
        Ok(id)
    }

    /// What a refund would give back, or why it may not be made.
    fn refundable(&self, order: &str, sent: &Value) -> Result<Money, Refusal> {
        let capture = self.orders[order].capture().expect("a capture to refund");
        match capture["status"].as_str() {
            Some("PENDING") => return Err(refusal("PENDING_CAPTURE")),
            Some("DECLINED" | "FAILED") => return Err(refusal("REFUND_NOT_ALLOWED")),
            _ => {}
        }
        let left = self.left(order);
        if left.minor == 0 {
            return Err(refusal("CAPTURE_FULLY_REFUNDED"));
        }
        if self.disputed(order) {
            return Err(refusal("TRANSACTION_DISPUTED"));
        }
        if self.refund_invoice_taken(&sent["invoice_id"]) {
            return Err(
                refusal("DUPLICATE_INVOICE_ID").saying("Invoice ID was previously used to refund a capture.")
            );
        }
        if sent["amount"].is_null() {
            return Ok(left);
        }
        let amount = Money::read_positive(&sent["amount"]).map_err(|refused| refused.at("/amount/value"))?;
        if amount.currency != left.currency {
            return Err(refusal("REFUND_CAPTURE_CURRENCY_MISMATCH").at("/amount/currency_code"));
        }
        if amount.minor > left.minor {
            return Err(refusal("REFUND_AMOUNT_EXCEEDED").at("/amount/value"));
        }
        Ok(amount)
    }

    fn refund_invoice_taken(&self, invoice: &Value) -> bool {
        let mut refunds = self.orders.values().flat_map(Order::refunds);
        !invoice.is_null() && refunds.any(|refund| counts(refund) && refund["invoice_id"] == *invoice)
    }

    /// What of a capture is neither given back nor on its way.
    pub(super) fn left(&self, order: &str) -> Money {
        let order = &self.orders[order];
        let captured = amount_of(order.capture().expect("a capture"));
        let gone: i64 =
            order.refunds().iter().filter(|refund| counts(refund)).map(|r| amount_of(r).minor).sum();
        captured.of(captured.minor - gone)
    }

    pub(super) fn make_refund(&mut self, now: i64, order: &str, sent: &Value, amount: &Money) -> String {
        let id = self.name("REFUND");
        let here = self.url(&format!("/v2/payments/refunds/{id}"));
        let order_json = &self.orders[order];
        let capture = order_json.capture().expect("a capture to refund");
        let up = self.url(&format!("/v2/payments/captures/{}", capture["id"].as_str().unwrap_or_default()));
        let gone = amount_of(capture).minor - self.left(order).minor + amount.minor;
        let mut refund = json!({
            "id": id,
            "status": "PENDING",
            "status_details": { "reason": "ECHECK" },
            "amount": amount.json(),
            "seller_payable_breakdown": {
                "gross_amount": amount.json(),
                "paypal_fee": amount.of(0).json(),
                "net_amount": amount.json(),
                "total_refunded_amount": amount.of(gone).json(),
            },
            "links": [link(&here, "self", "GET"), link(&up, "up", "GET")],
            "create_time": stamp(now),
            "update_time": stamp(now),
        });
        keep_ids(&mut refund, capture);
        keep_ids(&mut refund, sent);
        if let Some(note) = sent["note_to_payer"].as_str() {
            refund["note_to_payer"] = json!(note);
        }
        self.orders.get_mut(order).expect("an order to refund").payments_mut("refunds").push(refund);
        self.payments.insert(id.clone(), order.to_owned());
        id
    }

    /// Ends a pending refund with `COMPLETED`, `FAILED` or `CANCELLED`; PayPal has one event for both bad ends.
    pub fn finish_refund(&mut self, now: i64, refund: &str, status: &str) {
        self.settle_refund(now, refund, status);
        let (kind, summary) = match status {
            "COMPLETED" => ("PAYMENT.CAPTURE.REFUNDED", "A capture payment was refunded"),
            _ => ("PAYMENT.REFUND.FAILED", "A refund failed"),
        };
        self.refund_event(now, kind, summary, refund);
    }

    fn settle_refund(&mut self, now: i64, id: &str, status: &str) {
        let order_id = self.payments[id].clone();
        let order = self.orders.get_mut(&order_id).expect("the refund's order");
        let refund = order.payments_mut("refunds").iter_mut().find(|r| r["id"] == id).expect("a refund");
        assert_eq!(refund["status"], "PENDING", "{id} has ended already");
        refund["status"] = json!(status);
        refund["update_time"] = json!(stamp(now));
        refund.as_object_mut().expect("a refund is an object").remove("status_details");
        let given_back: i64 =
            order.refunds().iter().filter(|r| r["status"] == "COMPLETED").map(|r| amount_of(r).minor).sum();
        let captured = amount_of(order.capture().expect("a capture")).minor;
        let status = match given_back {
            0 => "COMPLETED",
            all if all == captured => "REFUNDED",
            _ => "PARTIALLY_REFUNDED",
        };
        self.set_capture(now, &order_id, status);
    }

    /// PayPal itself takes back what is left of a payment. Nothing happens when there is nothing to take.
    pub fn reverse(&mut self, now: i64, order: &str) {
        let left = self.left(order);
        let status = &self.orders[order].capture().expect("a capture to reverse")["status"];
        if left.minor > 0 && (status == "COMPLETED" || status == "PARTIALLY_REFUNDED") {
            let id = self.make_refund(now, order, &Value::Null, &left);
            self.settle_refund(now, &id, "COMPLETED");
            self.refund_event(now, "PAYMENT.CAPTURE.REVERSED", "A capture payment was reversed", &id);
        }
    }

    fn refund_event(&mut self, now: i64, kind: &str, summary: &str, refund: &str) {
        let resource = self.find_refund(refund).expect("an event about a refund").clone();
        self.event(now, kind, "refund", summary, resource);
    }
}

/// Whether a refund takes from what is left.
fn counts(refund: &Value) -> bool {
    refund["status"] == "COMPLETED" || refund["status"] == "PENDING"
}

fn amount_of(payment: &Value) -> Money {
    Money::read(&payment["amount"]).expect("amounts were checked when they came in")
}

fn keep_ids(into: &mut Value, from: &Value) {
    for name in ["custom_id", "invoice_id"] {
        if let Some(id) = from[name].as_str() {
            into[name] = json!(id);
        }
    }
}
