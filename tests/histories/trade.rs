//! What shoppers and staff do, and what happens to the machine they do it on.

use http::Method;
use rand::RngExt;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use till::clock::Clock;

use super::disk::End;
use super::shop::{Asked, COUPONS, GOODS, Who, user_of};
use super::world::{KEYS_HOLD, World};

/// How long descriptions are that make an import come in several commits.
const LONG: usize = 15_000;

/// A file that the operator imports.
#[derive(Clone, Debug)]
pub struct Sheet {
    text: String,
    name: String,
    was_sent: bool,
}

pub fn address() -> Value {
    json!({"name": "Ann", "line1": "1 Road", "city": "Leeds", "postal_code": "1", "country": "GB"})
}

impl World<'_> {
    /// One thing happens that is not about money.
    pub fn trade(&mut self) {
        match self.rng.random_range(0..79) {
            0..10 => self.fill_cart(),
            10..17 => self.check_out(),
            17..22 => self.race(),
            22..27 => self.adjust(),
            27..30 => self.reprice(),
            30..34 => self.import(),
            34..39 => self.ask_again(),
            39..42 => self.disk.fill(self.rng.random_range(0..40)),
            42..45 => self.disk.free(),
            45..47 => self.disk.light(self.rng.random_range(1..120)),
            47 => self.crash(End::Killed),
            48 => self.crash(End::PowerCut),
            50..53 => self.compact(),
            53..56 => self.back_up(),
            56..64 => self.apply_coupon(),
            64..66 => self.change_coupon(),
            66..69 => self.rush(),
            69..72 => self.erase(),
            72..75 => self.review(),
            75..77 => self.hide_review(),
            77..79 => self.wish(),
            _ => self.restart(),
        }
    }

    fn review(&mut self) {
        let who = self.some_customer();
        let path = format!("/api/products/{}/reviews/", self.some_product());
        let headers = self.key();
        let body = json!({"rating": self.rng.random_range(1..6)});
        self.request(who, path, body, headers);
    }

    /// Staff hide a review, show one again, or delete one.
    fn hide_review(&mut self) {
        let path = format!("/api/admin/reviews/{}/", self.rng.random_range(1..6));
        let (method, body) = match self.rng.random_range(0..4) {
            0 => (Method::DELETE, Value::Null),
            dice => (Method::PATCH, json!({"is_hidden": dice > 1})),
        };
        self.send(Asked::new(Who::Operator, method, path, &body));
    }

    fn wish(&mut self) {
        let who = self.some_customer();
        let body = json!({"product_id": self.some_product()});
        self.request(who, "/api/wishlist/".into(), body, Vec::new());
    }

    fn fill_cart(&mut self) {
        let who = self.some_customer();
        let body = json!({"product_id": self.some_product(), "quantity": self.rng.random_range(1..4)});
        let headers = self.key();
        self.request(who, "/api/cart/".into(), body, headers);
    }

    /// Somebody who has something in their cart, if nobody emptied it.
    fn with_cart(&mut self) -> Who {
        let carts = self.sent.iter().filter(|(_, asked)| asked.path == "/api/cart/");
        let with_cart: Vec<_> = carts.map(|(_, asked)| asked.who).collect();
        with_cart.choose(&mut self.rng).copied().unwrap_or(Who::Customer(0))
    }

    fn apply_coupon(&mut self) {
        let who = self.with_cart();
        let code = *COUPONS.choose(&mut self.rng).expect("some");
        let headers = self.key();
        self.request(who, "/api/cart/coupon/".into(), json!({"code": code}), headers);
        if self.rng.random() {
            self.order_cart_of(who);
        }
    }

    /// More want to use a coupon at once than may, or one of them more often.
    fn rush(&mut self) {
        let code = *COUPONS.choose(&mut self.rng).expect("some");
        let several: Vec<_> = (0..self.rng.random_range(3..7)).map(|_| self.some_customer()).collect();
        for who in &several {
            let body = json!({"product_id": self.some_product(), "quantity": 1});
            self.request(*who, "/api/cart/".into(), body, Vec::new());
            self.settle_down();
            self.request(*who, "/api/cart/coupon/".into(), json!({"code": code}), Vec::new());
        }
        self.settle_down();
        for who in several {
            self.order_cart_of(who);
        }
    }

    /// Staff change what a coupon is good for; not all of it is taken.
    fn change_coupon(&mut self) {
        let path = format!("/api/admin/coupons/{}/", COUPONS.choose(&mut self.rng).expect("some"));
        let body = match self.rng.random_range(0..4) {
            0 => json!({"max_uses": self.rng.random_range(1..6)}),
            1 => json!({"max_uses_per_user": self.rng.random_range(1..3)}),
            2 => json!({"is_active": self.rng.random_ratio(2, 3)}),
            _ => json!({"min_subtotal": self.rng.random_range(0..9)}),
        };
        self.send(Asked::new(Who::Operator, Method::PATCH, path, &body));
    }

    /// A cart is ordered, or ordered and paid.
    fn check_out(&mut self) {
        let who = self.with_cart();
        self.order_cart_of(who);
    }

    fn order_cart_of(&mut self, who: Who) {
        let path = if self.rng.random() { "/api/orders/" } else { "/api/payment/" };
        let headers = self.key();
        self.request(who, path.into(), json!({"shipping_address": address()}), headers);
    }

    /// Several want the last of something at once.
    pub fn race(&mut self) {
        let product = self.some_product();
        for _ in 0..self.rng.random_range(2..6) {
            let who = self.some_customer();
            let items = json!([{"product_id": product, "quantity": self.rng.random_range(1..4)}]);
            let body = json!({"items": items, "shipping_address": address()});
            let headers = self.key();
            self.request(who, "/api/payment/".into(), body, headers);
        }
    }

    fn some_product(&mut self) -> usize {
        self.rng.random_range(1..=GOODS.len())
    }

    pub fn adjust(&mut self) {
        // Told apart by their reasons, so that none is lost or done twice.
        let reason = format!("adjustment {}", self.tally.requests);
        let mut body = json!({"variant_id": self.some_product(), "reason": reason});
        if self.rng.random() {
            body["delta"] = json!(self.rng.random_range(-3..6));
        } else {
            body["set"] = json!(self.rng.random_range(0..9));
        }
        let headers = self.key();
        self.request(Who::Operator, "/api/admin/inventory/adjust/".into(), body, headers);
    }

    fn reprice(&mut self) {
        let path = format!("/api/products/{}/", self.some_product());
        let mut body =
            json!({"price": format!("{}.{:02}", self.rng.random_range(1..9), self.rng.random_range(0..100))});
        if self.rng.random_ratio(1, 3) {
            body["stock_quantity"] = json!(self.rng.random_range(0..9));
        }
        self.send(Asked::new(Who::Operator, Method::PATCH, path, &body));
    }

    /// New prices and stocks, or new products with much to say about each.
    fn sheet(&mut self) -> Sheet {
        let name = format!("sheet-{}", self.sheets.len());
        let text = if self.rng.random_ratio(4, 5) {
            let mut text = String::from("sku,price,stock_quantity\n");
            for (sku, ..) in GOODS {
                if self.rng.random_ratio(2, 3) {
                    text += &format!(
                        "{sku},{}.25,{}\n",
                        self.rng.random_range(1..9),
                        self.rng.random_range(0..12)
                    );
                }
            }
            text
        } else {
            let mut text = String::from("sku,handle,name,price,stock_quantity,description\n");
            for n in 0..self.rng.random_range(4..11) {
                text += &format!("{name}-{n},{name}-{n},New {n},3.00,{n},{}\n", "words ".repeat(LONG / 6));
            }
            text
        };
        Sheet { text, name, was_sent: false }
    }

    /// A file is imported, or one once more: under the key that it had, or to go on where it stopped.
    pub fn import(&mut self) {
        if self.sheets.is_empty() || self.rng.random() {
            let sheet = self.sheet();
            self.sheets.push(sheet);
        }
        let at = self.rng.random_range(0..self.sheets.len());
        let sheet = self.sheets[at].clone();
        self.sheets[at].was_sent = true;
        let mut asked = Asked::new(Who::Operator, Method::POST, "/api/admin/products/import/", &Value::Null);
        asked.media = "text/csv";
        asked.body = sheet.text;
        if sheet.was_sent && self.rng.random_ratio(1, 3) {
            asked.path += "?resume=true";
        } else {
            asked.headers.push(("idempotency-key", sheet.name));
        }
        if self.is_rough && self.rng.random_ratio(1, 3) {
            self.disk.light(self.rng.random_range(1..150));
        }
        self.send(asked);
    }

    /// Somebody who has an answer, or has none, asks the same again.
    fn ask_again(&mut self) {
        let now = self.clock.now();
        let recent: Vec<_> = self.sent.iter().filter(|(at, _)| at.plus(KEYS_HOLD) > now).collect();
        if let Some((_, asked)) = recent.choose(&mut self.rng).copied().cloned() {
            self.tally.replayed += 1;
            self.send(asked);
        }
    }

    /// The operator erases somebody, who may have something under way, and be doing something.
    fn erase(&mut self) {
        let n = self.rng.random_range(0..self.customers);
        if self.rng.random() {
            let body = json!({"product_id": self.some_product(), "quantity": 1});
            self.request(Who::Customer(n), "/api/cart/".into(), body, Vec::new());
            self.order_cart_of(Who::Customer(n));
        }
        let path = format!("/api/admin/users/{}/erase/", user_of(n));
        self.send(Asked::new(Who::Operator, Method::POST, path, &Value::Null));
    }

    /// A key of its own, one that others have, or none.
    pub fn key(&mut self) -> Vec<(&'static str, String)> {
        match self.rng.random_range(0..8) {
            0..5 => vec![("idempotency-key", format!("key-{}", self.tally.requests))],
            5 => vec![("idempotency-key", format!("k{}", self.rng.random_range(0..5)))],
            _ => Vec::new(),
        }
    }
}
