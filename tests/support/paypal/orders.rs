//! Orders: made by the shop, approved by the buyer, captured by the shop, and gone after a while if they were not.

use super::clock::stamp;
use super::money::Money;
use super::wire::{Answer, Call, Refusal, link, refusal};
use super::{FakePayPal, Instrument, KEPT, Made, SHOP};
use serde_json::{Value, json};

pub struct Order {
    pub json: Value,
    created: i64,
    /// The status in which it waits for the buyer.
    waiting: &'static str,
    instrument: Option<Instrument>,
}

impl Order {
    pub fn unit(&self) -> &Value {
        &self.json["purchase_units"][0]
    }

    pub fn capture(&self) -> Option<&Value> {
        self.unit()["payments"]["captures"].get(0)
    }

    pub fn refunds(&self) -> &[Value] {
        self.unit()["payments"]["refunds"].as_array().map_or(&[], Vec::as_slice)
    }

    pub fn payments_mut(&mut self, kind: &str) -> &mut Vec<Value> {
        let list = &mut self.json["purchase_units"][0]["payments"][kind];
        if list.is_null() {
            *list = json!([]);
        }
        list.as_array_mut().expect("payments are lists")
    }

    pub fn touch(&mut self, now: i64) {
        self.json["update_time"] = json!(stamp(now));
    }

    fn expired(&self, now: i64) -> bool {
        now >= self.created + KEPT && self.capture().is_none()
    }

    /// Whether a payment took this invoice id for good.
    fn holds_invoice(&self, invoice: &Value) -> bool {
        self.capture().is_some_and(|capture| {
            capture["invoice_id"] == *invoice
                && capture["status"] != "DECLINED"
                && capture["status"] != "FAILED"
        })
    }
}

impl FakePayPal {
    pub(super) fn create(&mut self, call: &Call) -> Result<Made, Refusal> {
        let sent = &call.json;
        let [unit] = sent["purchase_units"].as_array().map_or(&[][..], Vec::as_slice) else {
            return Err(refusal("INVALID_PARAMETER_SYNTAX").at("/purchase_units"));
        };
        let amount = order_amount(&unit["amount"])
            .map_err(|refused| refused.at("/purchase_units/@reference_id=='default'/amount/value"))?;
        let source = &sent["payment_source"];
        if sent["intent"] != "CAPTURE" || !(source.is_null() || source["paypal"].is_object()) {
            return Err(refusal("INVALID_PARAMETER_SYNTAX").at("/intent"));
        }
        let id = self.name("ORDER");
        let mut unit = unit.clone();
        if unit["reference_id"].is_null() {
            unit["reference_id"] = json!("default");
        }
        unit["amount"]["value"] = amount.json()["value"].clone();
        unit["payee"] = payee();
        let mut order = json!({ "id": id, "intent": "CAPTURE", "create_time": stamp(call.now), "purchase_units": [unit] });
        let waiting = if source.is_null() { "CREATED" } else { "PAYER_ACTION_REQUIRED" };
        if !source.is_null() {
            order["payment_source"] = json!({ "paypal": {} });
        }
        self.orders.insert(id.clone(), Order { json: order, created: call.now, waiting, instrument: None });
        self.advance(call.now, &id, waiting);
        Ok(Made::Order(id))
    }

    /// Gives an order a status and the links that go with it.
    fn advance(&mut self, now: i64, id: &str, status: &str) {
        let here = self.url(&format!("/v2/checkout/orders/{id}"));
        let mut links = vec![link(&here, "self", "GET")];
        match status {
            "CREATED" => links.push(link(&approve_link(id), "approve", "GET")),
            "PAYER_ACTION_REQUIRED" => links.push(link(&approve_link(id), "payer-action", "GET")),
            _ => {}
        }
        if status == "CREATED" || status == "APPROVED" {
            links.extend([
                link(&here, "update", "PATCH"),
                link(&format!("{here}/capture"), "capture", "POST"),
            ]);
        }
        let order = self.orders.get_mut(id).expect("an order to advance");
        order.json["status"] = json!(status);
        order.json["links"] = links.into();
        order.touch(now);
    }

    fn live(&self, now: i64, id: &str) -> Result<&Order, Refusal> {
        self.orders.get(id).filter(|order| !order.expired(now)).ok_or_else(|| refusal("INVALID_RESOURCE_ID"))
    }

    pub(super) fn show_order(&self, now: i64, id: &str) -> Answer {
        Ok((200, self.live(now, id)?.json.clone()))
    }

    /// The buyer, at the link. Refuses an order that waits for no approval.
    pub fn approve(&mut self, now: i64, order: &str, with: Instrument) -> Result<(), String> {
        let found = self.live(now, order).map_err(|refused| refused.issue.to_owned())?;
        if found.json["status"] != found.waiting {
            return Err(format!("{order} is {}", found.json["status"]));
        }
        let found = self.orders.get_mut(order).expect("it was there just now");
        found.instrument = Some(with);
        let name = json!({ "given_name": "Ann", "surname": "Buyer" });
        let email = "ann@buyer.example";
        let buyer = "BUYER23456789";
        found.json["payer"] = json!({ "name": name, "email_address": email, "payer_id": buyer });
        found.json["payment_source"] = json!({
            "paypal": { "name": name, "email_address": email, "account_id": buyer, "account_status": "VERIFIED" },
        });
        self.advance(now, order, "APPROVED");
        self.order_event(now, "CHECKOUT.ORDER.APPROVED", "An order has been approved by buyer", order);
        Ok(())
    }

    pub(super) fn capture(&mut self, now: i64, id: &str) -> Result<Made, Refusal> {
        let order = self.live(now, id)?;
        match order.json["status"].as_str() {
            Some("COMPLETED") => return Err(refusal("ORDER_ALREADY_CAPTURED")),
            Some("APPROVED") => {}
            _ => return Err(refusal("ORDER_NOT_APPROVED")),
        }
        let invoice = &order.unit()["invoice_id"];
        if !invoice.is_null() && self.orders.values().any(|other| other.holds_invoice(invoice)) {
            return Err(refusal("DUPLICATE_INVOICE_ID"));
        }
        let (instrument, waiting) = (order.instrument, order.waiting);
        if instrument == Some(Instrument::Declined) {
            self.advance(now, id, waiting);
            return Err(refusal("INSTRUMENT_DECLINED").redirecting(approve_link(id)));
        }
        self.advance(now, id, "COMPLETED");
        self.make_capture(now, id, instrument == Some(Instrument::Pending));
        Ok(Made::Order(id.to_owned()))
    }

    pub(super) fn order_event(&mut self, now: i64, kind: &str, summary: &str, order: &str) {
        let resource = self.orders[order].json.clone();
        self.event(now, kind, "checkout-order", summary, resource);
    }
}

pub fn payee() -> Value {
    json!({ "email_address": "shop@seller.example", "merchant_id": SHOP })
}

fn approve_link(order: &str) -> String {
    format!("https://www.sandbox.paypal.com/checkoutnow?token={order}")
}

/// An order's amount; its breakdown has to add up to it. The description of this call has one word less.
fn order_amount(sent: &Value) -> Result<Money, Refusal> {
    let amount = Money::read_positive(sent).map_err(|refused| match refused.issue {
        "DECIMALS_NOT_SUPPORTED" => refusal("DECIMAL_PRECISION"),
        _ => refused,
    })?;
    let mut sum = 0;
    for (part, value) in sent["breakdown"].as_object().into_iter().flatten() {
        let minor = Money::read(value)?.minor;
        sum += if part.ends_with("discount") { -minor } else { minor };
    }
    if sent["breakdown"].is_null() || sum == amount.minor {
        Ok(amount)
    } else {
        Err(refusal("AMOUNT_MISMATCH"))
    }
}
