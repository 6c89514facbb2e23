//! What can happen in a history, and what happens with money above all.

use std::time::Duration;

use http::Method;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::disk::End;
use super::net::Gateways;
use super::shop::{Asked, Who};
use super::trade::address;
use super::world::World;
use crate::support::paypal::Instrument;
use crate::support::stripe::{FakeStripe, Outcome};

fn decline() -> Outcome {
    Outcome::Decline { code: "card_declined".into(), decline_code: None, message: "Declined.".into() }
}

fn id_of(object: &Value) -> String {
    object["id"].as_str().expect("objects have ids").to_owned()
}

impl World<'_> {
    /// One thing happens.
    pub fn act(&mut self) {
        match self.rng.random_range(0..150) {
            0..14 => self.buy(),
            14..20 => self.pay_again(),
            20..43 => self.customer_at_gateway(),
            43..49 => self.ask_about_payment(),
            49..53 => self.cancel(),
            53..56 => self.operator_refunds(),
            56..58 => self.operator_takes_cash(),
            58..60 => self.operator_ends_payment(),
            60..63 => self.dashboard(),
            63..65 => self.dispute(),
            65..67 => self.tamper(),
            67..78 => self.tell(),
            78..86 => self.time_goes_by(),
            86..93 => self.run_jobs(),
            93 => self.sweep(),
            94 => self.request(Who::Operator, "/api/admin/payments/reconcile/".into(), json!({}), Vec::new()),
            95..97 => {
                let now = self.net.now();
                self.net.gateways().deliver_late(now);
            }
            97..99 => self.disk.light(self.rng.random_range(1..60)),
            99 => self.crash(End::Killed),
            100..106 => self.send_parcel(),
            _ => self.trade(),
        }
    }

    /// What shops see most: an order paid by card, one paid by PayPal, told by webhook; some money back, and an order
    /// cancelled.
    pub fn two_purchases(&mut self) {
        for provider in ["stripe", "paypal"] {
            let items = json!([{"product_id": 1, "quantity": 1}]);
            let body = json!({"items": items, "shipping_address": address(), "provider": provider});
            let key = || vec![("idempotency-key", format!("buy-{provider}"))];
            self.request(Who::Customer(0), "/api/payment/".into(), body.clone(), key());
            self.settle_down();
            // Whoever got no answer asks again.
            self.request(Who::Customer(0), "/api/payment/".into(), body, key());
            self.settle_down();
        }
        let now = self.net.now();
        for payment in self.payments.clone() {
            let secret = payment.secret.expect("it was handed on");
            let mut all = self.net.gateways();
            if payment.provider == "stripe" {
                all.stripe.confirm(now, &secret, Outcome::Succeed).expect("it can be confirmed");
            } else {
                let reference = secret.rsplit(['/', '=']).next().unwrap_or_default().to_owned();
                all.paypal.approve(now, &reference, Instrument::Good).expect("it can be approved");
            }
        }
        self.tell_all();
        let refund = || vec![("idempotency-key", "refund".to_owned())];
        for _ in 0..2 {
            let path = "/api/admin/orders/1/refund/".to_owned();
            self.request(Who::Operator, path, json!({"amount": "1.50"}), refund());
            self.settle_down();
            self.request(Who::Customer(0), "/api/orders/2/cancel/".into(), json!({}), Vec::new());
            self.settle_down();
        }
        self.tell_all();
    }

    /// Every event is delivered, and worked off.
    fn tell_all(&mut self) {
        let now = self.net.now();
        let (stripe, paypal) = {
            let mut all = self.net.gateways();
            (all.stripe.take_events(), all.paypal.take_events())
        };
        for event in stripe {
            let signature = FakeStripe::signature("whsec_fake", now, &event);
            let headers = vec![("stripe-signature", signature)];
            self.request(Who::Gateway, "/api/payment/webhook/".into(), Value::String(event), headers);
        }
        for event in paypal {
            let headers = self.net.gateways().paypal.signed(now, &event);
            self.request(Who::Gateway, "/api/payment/webhook/paypal/".into(), Value::String(event), headers);
        }
        self.settle_down();
        self.run_jobs();
        self.settle_down();
    }

    fn provider(&mut self) -> &'static str {
        if self.rng.random_ratio(2, 3) { "stripe" } else { "paypal" }
    }

    fn buy(&mut self) {
        let product = if self.rng.random_ratio(1, 12) {
            self.rng.random_range(3..6)
        } else {
            self.rng.random_range(1..3)
        };
        let items = json!([{"product_id": product, "quantity": self.rng.random_range(1..4)}]);
        let body = json!({"items": items, "shipping_address": address(), "provider": self.provider()});
        let (who, key) = (self.some_customer(), self.key());
        self.request(who, "/api/payment/".into(), body, key);
    }

    /// The same order once more, perhaps with the other provider: another tab.
    fn pay_again(&mut self) {
        let Some((order, who)) = self.some_order() else { return self.buy() };
        let body = json!({"order_id": order, "provider": self.provider()});
        self.request(who, "/api/payment/".into(), body, Vec::new());
    }

    /// The customer confirms or approves what the shop handed them, and nothing else.
    fn customer_at_gateway(&mut self) {
        let Some(payment) = self.some_payment() else { return self.buy() };
        let Some(secret) = payment.secret.clone() else { return };
        let (now, dice) = (self.net.now(), self.rng.random_range(0..10));
        let done = if payment.provider == "stripe" {
            let outcome = match dice {
                0..5 => Outcome::Succeed,
                5..7 => decline(),
                7 => Outcome::RequireAction,
                _ => Outcome::Process,
            };
            let mut all = self.net.gateways();
            let hanging = all.stripe.intents().into_iter().find(|intent| {
                intent["client_secret"] == secret.as_str()
                    && (intent["status"] == "processing" || intent["status"] == "requires_action")
            });
            match hanging {
                Some(intent) => all.stripe.finish(
                    now,
                    &id_of(&intent),
                    if dice < 6 { Outcome::Succeed } else { decline() },
                ),
                None => all.stripe.confirm(now, &secret, outcome),
            }
        } else {
            let instrument = match dice {
                0..7 => Instrument::Good,
                7..9 => Instrument::Declined,
                _ => Instrument::Pending,
            };
            let reference = secret.rsplit(['/', '=']).next().unwrap_or_default().to_owned();
            let mut all = self.net.gateways();
            match all.paypal.approve(now, &reference, instrument) {
                Ok(()) => Ok(()),
                Err(_) => {
                    let end = if dice < 6 { "COMPLETED" } else { "DECLINED" };
                    all.paypal.finish_capture(now, &reference, end)
                }
            }
        };
        self.note(format!("customer pays {} of order {}: {done:?}", payment.provider, payment.order));
    }

    fn ask_about_payment(&mut self) {
        let Some(payment) = self.some_payment() else { return };
        if self.rng.random() {
            self.request(payment.customer, format!("/api/payment/{}/", payment.id), Value::Null, Vec::new());
        } else {
            let body = json!({"payment_id": payment.id});
            self.request(payment.customer, "/api/orders/".into(), body, Vec::new());
        }
    }

    fn cancel(&mut self) {
        let Some((order, who)) = self.some_order() else { return };
        let key = self.key();
        self.request(who, format!("/api/orders/{order}/cancel/"), json!({}), key);
    }

    fn operator_refunds(&mut self) {
        let Some((order, _)) = self.some_order() else { return };
        let body = match self.rng.random_range(0..5) {
            0 => json!({}),
            1 => json!({"restock": true}),
            2 => json!({"amount": "1.25"}),
            _ => {
                let lines = json!([{"line_id": 1, "quantity": self.rng.random_range(1..3)}]);
                json!({"lines": lines, "restock": self.rng.random::<bool>()})
            }
        };
        let key = self.key();
        self.request(Who::Operator, format!("/api/admin/orders/{order}/refund/"), body, key);
    }

    /// Staff send an order, or some units of it; or say that it arrived, or is all sent.
    fn send_parcel(&mut self) {
        let Some((order, _)) = self.some_order() else { return };
        let path = format!("/api/admin/orders/{order}/");
        if self.rng.random_ratio(1, 5) {
            let status = if self.rng.random() { "shipped" } else { "completed" };
            let body = json!({"status": status});
            self.send(Asked::new(Who::Operator, Method::PATCH, path, &body));
            return;
        }
        let mut body = json!({"carrier": "DHL", "number": format!("P{}", self.tally.requests)});
        if self.rng.random_ratio(2, 3) {
            body["lines"] = json!([{"line_id": self.rng.random_range(1..3), "quantity": 1}]);
        }
        let key = self.key();
        self.request(Who::Operator, format!("{path}fulfilments/"), body, key);
    }

    fn operator_takes_cash(&mut self) {
        let Some((order, _)) = self.some_order() else { return };
        let path = format!("/api/admin/orders/{order}/mark-paid/");
        self.request(Who::Operator, path, json!({"method": "cash"}), Vec::new());
    }

    fn operator_ends_payment(&mut self) {
        let Some(payment) = self.some_payment() else { return };
        let path = format!("/api/admin/payments/{}/cancel/", payment.id);
        let body = json!({"force": self.rng.random_ratio(1, 4)});
        self.request(Who::Operator, path, body, Vec::new());
    }

    /// Somebody gives money back, or cancels, at the gateway itself; a bank sends a refund back.
    fn dashboard(&mut self) {
        let now = self.net.now();
        let dice = self.rng.random_range(0..6);
        let part = self.rng.random::<bool>();
        let mut rng = StdRng::seed_from_u64(self.rng.random());
        let said = {
            let mut all = self.net.gateways();
            let intents = all.stripe.intents();
            let orders = all.paypal.orders();
            match dice {
                0 | 1 => intents.choose(&mut rng).map(|intent| {
                    let amount = part.then_some(75);
                    format!("{:?}", all.stripe.refund_from_dashboard(now, &id_of(intent), amount))
                }),
                2 => intents.choose(&mut rng).map(|intent| {
                    format!("cancel {:?}", all.stripe.cancel_from_dashboard(now, &id_of(intent)))
                }),
                3 => orders.choose(&mut rng).map(|order| {
                    let amount = part.then_some("0.75");
                    format!("{:?}", all.paypal.refund_from_dashboard(now, &id_of(order), amount))
                }),
                4 => {
                    all.stripe.pending_refunds = part;
                    all.paypal.pending_refunds = part;
                    Some(format!("refunds take time: {part}"))
                }
                _ => all.stripe.refunds().choose(&mut rng).map(|refund| {
                    let status = if part { "succeeded" } else { "failed" };
                    format!("{status} {:?}", all.stripe.finish_refund(now, &id_of(refund), status))
                }),
            }
        };
        if let Some(said) = said {
            self.tally.dashboard += 1;
            self.note(format!("dashboard: {said}"));
        }
    }

    fn dispute(&mut self) {
        let now = self.net.now();
        let paid = |intent: &&Value| intent["status"] == "succeeded";
        let intents = self.net.gateways().stripe.intents();
        let paid: Vec<_> = intents.iter().filter(paid).collect();
        let Some(intent) = paid.choose(&mut self.rng) else { return };
        let id = self.net.gateways().stripe.open_dispute(now, &id_of(intent), "fraudulent", now + 86_400);
        self.note(format!("dispute {id} about {}", id_of(intent)));
        self.net.gateways().disputes_opened(id);
    }

    /// What no gateway ever does, and what must do no harm all the same.
    fn tamper(&mut self) {
        let intents = self.net.gateways().stripe.intents();
        let Some(intent) = intents.choose(&mut self.rng) else { return };
        let (id, dice) = (id_of(intent), self.rng.random_range(0..3));
        let more = if self.rng.random() { 1 } else { -1 };
        let open = intent["status"] == "requires_payment_method";
        let mut all = self.net.gateways();
        let said = match dice {
            0 if open => {
                all.stripe.tamper(&id, |object| {
                    object["amount"] = json!(object["amount"].as_i64().unwrap_or(0) + more);
                });
                "costs a cent more or less"
            }
            1 if open => {
                all.stripe.tamper(&id, |object| object["currency"] = json!("eur"));
                "is in euros"
            }
            2 if intent["status"] == "canceled" => {
                all.stripe.tamper(&id, |object| object["status"] = json!("requires_payment_method"));
                "is cancelled no more"
            }
            _ => return,
        };
        drop(all);
        self.tally.tampered += 1;
        self.note(format!("{id} {said}"));
    }

    /// An event is delivered: one of those that are not told yet, or one from before, again.
    pub fn tell(&mut self) {
        let new: Vec<_> = {
            let mut all = self.net.gateways();
            let stripe = all.stripe.take_events().into_iter().map(|event| ("stripe", event));
            let paypal = all.paypal.take_events().into_iter().map(|event| ("paypal", event));
            stripe.collect::<Vec<_>>().into_iter().chain(paypal).collect()
        };
        self.events.extend(new);
        let times = *[0, 1, 1, 2, 5].choose(&mut self.rng).expect("some");
        let Some((provider, event)) = self.events.choose(&mut self.rng).cloned() else { return };
        let now = self.net.now();
        for _ in 0..times {
            let (path, headers) = if provider == "stripe" {
                let signature = FakeStripe::signature("whsec_fake", now, &event);
                ("/api/payment/webhook/", vec![("stripe-signature", signature)])
            } else {
                ("/api/payment/webhook/paypal/", self.net.gateways().paypal.signed(now, &event))
            };
            self.tally.events += 1;
            self.request(Who::Gateway, path.into(), Value::String(event.clone()), headers);
        }
    }

    fn time_goes_by(&mut self) {
        let seconds = match self.rng.random_range(0..10) {
            0..5 => self.rng.random_range(1..60),
            5..9 => self.rng.random_range(60..3600),
            _ => self.rng.random_range(3600..8000),
        };
        self.later(Duration::from_secs(seconds));
        self.note(format!("{seconds} s go by"));
    }
}

impl Gateways {
    pub fn disputes_opened(&mut self, id: String) {
        self.disputes.push(id);
    }

    /// From now on refunds are done at once.
    pub fn pending_ends(&mut self) {
        self.stripe.pending_refunds = false;
        self.paypal.pending_refunds = false;
    }

    /// Banks decide: what is processing or pending ends.
    pub fn end_what_hangs(&mut self, now: i64) {
        for intent in self.stripe.intents() {
            if intent["status"] == "processing" {
                let outcome = if intent["amount"].as_i64().is_some_and(|amount| amount % 3 == 0) {
                    Outcome::Succeed
                } else {
                    decline()
                };
                self.stripe.finish(now, &id_of(&intent), outcome).expect("it was processing");
            }
        }
        for refund in self.stripe.refunds() {
            if refund["status"] == "pending" {
                self.stripe.finish_refund(now, &id_of(&refund), "succeeded").expect("it was pending");
            }
        }
        for dispute in std::mem::take(&mut self.disputes) {
            let won = !dispute.ends_with(['1', '5', '8']);
            self.stripe.close_dispute(now, &dispute, won);
        }
        for order in self.paypal.orders() {
            let payments = &order["purchase_units"][0]["payments"];
            if payments["captures"][0]["status"] == "PENDING" {
                self.paypal.finish_capture(now, &id_of(&order), "COMPLETED").expect("it was pending");
            }
            for refund in payments["refunds"].as_array().into_iter().flatten() {
                if refund["status"] == "PENDING" {
                    self.paypal.finish_refund(now, &id_of(refund), "COMPLETED");
                }
            }
        }
    }
}
