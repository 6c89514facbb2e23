//! Whether what was answered holds, whenever the shop is opened again; and whether, in the end, its books are the
//! gateways' books.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use till::accounts::{Email, User};
use till::id::{OrderId, PaymentId, UserId, VariantId};
use till::inventory::{Cause, Movement, Stock};
use till::orders::{Order, RefundStatus, Status};
use till::payments::{self, Payment, PaymentError, Refund};
use till::promotions::{Code, Coupon};
use till::store::{Key, Record, StoreError};

use super::mirror::Records;
use super::post;
use super::shop::email_of;
use super::world::World;

/// What must be so whenever the shop is opened.
pub fn holds(world: &World) {
    let app = world.app();
    assert_eq!(till::check::check(app).expect("readable"), [], "till check");
    let records = world.mirror.records();
    nothing_is_sold_that_was_not_there(&records);
    no_coupon_is_used_too_often(&records);
    drop(records);
    promises(world);
}

/// The records of a table.
fn table<'a, T: Record>(records: &'a Records, name: &'static str) -> impl Iterator<Item = (&'a [u8], T)> {
    let rows = records.rows.range((name, Vec::new())..).take_while(move |((table, _), _)| *table == name);
    rows.map(|((_, key), value)| (key.as_slice(), T::decode(value).expect("a record")))
}

/// What came in is what is there and what orders hold.
fn nothing_is_sold_that_was_not_there(records: &Records) {
    let mut came_in: BTreeMap<VariantId, i64> = BTreeMap::new();
    for (_, movement) in table::<Movement>(records, "movements") {
        if !matches!(movement.cause, Cause::Order(_) | Cause::Cancellation(_) | Cause::Refund(_)) {
            *came_in.entry(movement.variant).or_default() += movement.delta;
        }
    }
    let mut is_held: BTreeMap<VariantId, i64> = BTreeMap::new();
    for (_, order) in table::<Order>(records, "orders").filter(|(_, order)| order.status != Status::Cancelled)
    {
        for line in &order.lines {
            *is_held.entry(line.variant).or_default() += i64::from(line.quantity) - i64::from(line.restocked);
        }
    }
    for (key, stock) in table::<Stock>(records, "stock") {
        let variant = VariantId::from_bytes(key).expect("a key");
        let [came_in, held] = [&came_in, &is_held].map(|sums| sums.get(&variant).copied().unwrap_or(0));
        assert!(stock.quantity >= 0 && held <= came_in, "variant {variant}: {held} sold, {came_in} came in");
        assert_eq!(stock.quantity + held, came_in, "variant {variant}");
    }
}

/// Of the orders that are not cancelled no more carry a coupon than may, in all and of one person.
fn no_coupon_is_used_too_often(records: &Records) {
    let mut uses: BTreeMap<(Code, UserId), u64> = BTreeMap::new();
    for (_, order) in table::<Order>(records, "orders").filter(|(_, order)| order.status != Status::Cancelled)
    {
        if let Some(code) = order.coupon_code {
            assert!(order.discount.minor > 0, "{code} took nothing off order {}", order.number);
            *uses.entry((code, order.user)).or_default() += 1;
        }
    }
    for (key, Coupon { terms, used, .. }) in table::<Coupon>(records, "coupons") {
        let own = uses.iter().filter(|((code, _), _)| code.bytes() == key).map(|(_, times)| *times);
        let (sum, most) = (own.clone().sum::<u64>(), own.max().unwrap_or(0));
        assert_eq!(used, sum, "{key:?}");
        assert!(terms.max_uses.is_none_or(|limit| sum <= limit), "{key:?}: {sum} uses");
        assert!(terms.max_uses_per_user.is_none_or(|limit| most <= limit), "{key:?}: {most} uses by one");
    }
}

/// What clients were told.
fn promises(world: &World) {
    let (promises, records) = (&world.promises, world.mirror.records());
    let orders: BTreeMap<_, _> = table::<Order>(&records, "orders").collect();
    let order = |id: &u64| orders.get(id.to_be_bytes().as_slice());
    for id in promises.orders.keys() {
        assert!(order(id).is_some(), "order {id} was answered");
    }
    for id in &promises.cancelled {
        let status = order(id).map(|order| order.status);
        assert_eq!(status, Some(Status::Cancelled), "order {id} was answered as cancelled");
    }
    for (id, number) in &promises.parcels {
        let parcels = order(id).map(|order| order.fulfilments.as_slice()).unwrap_or_default();
        let is_there = parcels.iter().any(|parcel| parcel.tracking.number == *number);
        // Whose person was erased has no numbers any more.
        let is_nobodys = order(id).is_some_and(till::orders::is_nobodys);
        assert!(is_there || is_nobodys, "parcel {number} of order {id} was answered");
    }
    let mut adjusted: BTreeMap<String, u32> = BTreeMap::new();
    for (_, movement) in table::<Movement>(&records, "movements") {
        if let Cause::Adjustment { reason } = movement.cause {
            let times = adjusted.entry(reason).or_default();
            *times += 1;
        }
    }
    for (reason, times) in &adjusted {
        assert!(*times == 1 || !reason.starts_with("adjustment "), "{reason} was made {times} times");
    }
    for reason in &promises.adjusted {
        assert!(adjusted.contains_key(reason), "{reason} was answered");
    }
    let users: BTreeMap<_, _> = table::<User>(&records, "users").collect();
    for id in &promises.erased {
        let user = &users[UserId(*id as u64).bytes().as_slice()];
        assert_eq!(user.email, Email::nobodys(UserId(*id as u64)), "user {id} was answered as erased");
    }
    drop(records);
    for id in &promises.succeeded {
        let payment = world
            .app()
            .store
            .read(|tx| payments::get(tx, PaymentId(*id)))
            .expect("what was answered is there");
        assert_eq!(json!(payment.status), "succeeded", "payment {id} was answered as succeeded");
    }
    if world.sheets.is_empty() {
        return;
    }
    let imports = world.look("/api/admin/products/imports/?page_size=100");
    let imports = imports["results"].as_array().expect("a list");
    for import in imports {
        let number = |name: &str| import[name].as_u64().expect("a number");
        // Each entry of these files is a row of its own.
        assert_eq!(number("rows"), number("done"), "each row is counted once: {import}");
        let ends = ["created", "updated", "unchanged", "failed"].map(number);
        assert_eq!(ends.iter().sum::<u64>(), number("rows"), "{import}");
    }
    for (id, rows) in &promises.imported {
        let import = imports.iter().find(|import| import["id"] == *id);
        let import = import.unwrap_or_else(|| panic!("import {id} was answered"));
        assert_eq!((&import["state"], &import["rows"]), (&json!("done"), &json!(rows)), "{import}");
    }
}

/// What a gateway took and gave back with one of its objects, in its own units.
#[derive(Debug, Default, PartialEq, Clone)]
struct Book {
    currency: String,
    taken: i64,
    given_back: i64,
}

/// The gateways' books, by their ids.
fn theirs(world: &World) -> BTreeMap<String, Book> {
    let all = world.net.gateways();
    let mut books = BTreeMap::new();
    for intent in all.stripe.intents() {
        let taken = intent["amount_received"].as_i64().expect("a number");
        let book = Book { currency: text(&intent["currency"]).to_uppercase(), taken, given_back: 0 };
        books.insert(text(&intent["id"]), book);
    }
    for refund in all.stripe.refunds() {
        if refund["status"] == "succeeded" {
            let book = books.get_mut(&text(&refund["payment_intent"])).expect("refunds have an intent");
            book.given_back += refund["amount"].as_i64().expect("a number");
        }
    }
    for order in all.paypal.orders() {
        let unit = &order["purchase_units"][0];
        let cents = |value: &Value| text(value).replace('.', "").parse::<i64>().expect("dollars");
        let took = |capture: &&Value| {
            ["COMPLETED", "REFUNDED", "PARTIALLY_REFUNDED"]
                .contains(&capture["status"].as_str().unwrap_or_default())
        };
        let captures = unit["payments"]["captures"].as_array().into_iter().flatten();
        let taken = captures.filter(took).map(|capture| cents(&capture["amount"]["value"])).sum();
        let refunds = unit["payments"]["refunds"].as_array().into_iter().flatten();
        let given_back = refunds
            .filter(|refund| refund["status"] == "COMPLETED")
            .map(|refund| cents(&refund["amount"]["value"]))
            .sum();
        books.insert(text(&order["id"]), Book { currency: "USD".into(), taken, given_back });
    }
    books.retain(|_, book| book.taken > 0);
    books
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("text, not {value}")).to_owned()
}

/// A refund that we asked for is at its gateway once, whatever was lost on the way.
fn no_refund_is_double(world: &World) {
    let all = world.net.gateways();
    let mut tags = BTreeMap::new();
    for refund in all.stripe.refunds() {
        if let Some(tag) = refund["metadata"]["till_refund"].as_str()
            && refund["status"] != "failed"
        {
            *tags.entry(tag.to_owned()).or_insert(0) += 1;
        }
    }
    for order in all.paypal.orders() {
        let refunds =
            order["purchase_units"][0]["payments"]["refunds"].as_array().cloned().unwrap_or_default();
        for refund in refunds.iter().filter(|refund| refund["status"] == "COMPLETED") {
            // One that was made in the dashboard has the id of what it gives back.
            let is_ours = refund["custom_id"] != order["purchase_units"][0]["custom_id"];
            if let Some(tag) = refund["custom_id"].as_str().filter(|_| is_ours) {
                *tags.entry(tag.to_owned()).or_insert(0) += 1;
            }
        }
    }
    tags.retain(|_, times| *times > 1);
    assert_eq!(tags, BTreeMap::new(), "refunds that were made twice");
}

/// Everything of an order.
struct Whole {
    id: OrderId,
    order: Order,
    payments: Vec<(PaymentId, Payment)>,
    refunds: Vec<Refund>,
}

fn orders(world: &World) -> Vec<Whole> {
    let app = world.app();
    let mut all = Vec::new();
    for id in (1..).map(OrderId) {
        let found = app.store.read(|tx| {
            let Ok(order) = till::orders::get(tx, id) else { return Ok(None) };
            let payments = payments::of_order(tx, id)?;
            let refunds = payments::refunds_of(tx, id)?.into_iter().map(|(_, refund)| refund).collect();
            Ok::<_, StoreError>(Some(Whole { id, order, payments, refunds }))
        });
        match found.expect("readable") {
            Some(order) => all.push(order),
            None => return all,
        }
    }
    unreachable!("ids end")
}

/// The shop's books: what it says was taken and given back with each of the gateways' objects.
fn ours(all: &[Whole]) -> BTreeMap<String, Book> {
    let mut books = BTreeMap::new();
    for Whole { payments, refunds, .. } in all {
        for (id, payment) in payments {
            let Some(reference) = &payment.reference else { continue };
            let back = refunds.iter().filter(|r| r.payment == *id && r.status == RefundStatus::Succeeded);
            let book = Book {
                currency: payment.captured.currency.code().to_owned(),
                taken: payment.captured.minor,
                given_back: back.map(|refund| refund.amount.minor).sum(),
            };
            assert!(books.insert(reference.clone(), book).is_none(), "{reference} is in two payments");
        }
    }
    books.retain(|_, book: &mut Book| book.taken > 0);
    books
}

/// Whether nothing is on its way any more.
pub fn is_at_rest(world: &World) -> bool {
    orders(world).iter().all(Whole::is_at_rest)
}

impl Whole {
    fn is_at_rest(&self) -> bool {
        self.payments.iter().all(|(_, payment)| payment.status.is_final())
            && self.refunds.iter().all(|refund| refund.status != RefundStatus::Pending)
            && self.order.status != Status::Pending
    }
}

/// Not in an answer that is kept for whoever asks again, nor anywhere else.
fn who_was_erased_is_in_papers_only(world: &World) {
    let records = world.mirror.records();
    for id in &world.promises.erased {
        let address = email_of(id - 1);
        for ((table, _), row) in &records.rows {
            let is_in = row.windows(address.len()).any(|part| part == address.as_bytes());
            assert!(!is_in || ["invoices", "credit_notes"].contains(table), "{address} is in {table}");
        }
    }
}

pub fn audit(world: &mut World) {
    world.restart();
    world.settle_down();
    holds(world);
    let (world, app) = (&*world, world.app());
    let all = world.net.gateways();
    assert_eq!(all.stripe.violations(), Vec::<String>::new(), "what Stripe's description refuses");
    assert_eq!(all.paypal.violations(), Vec::<String>::new(), "what PayPal's description refuses");
    drop(all);

    who_was_erased_is_in_papers_only(world);
    post::holds(world);
    assert!(post::is_at_rest(world), "mails wait for ever");
    no_refund_is_double(world);
    let all = orders(world);
    assert_eq!(ours(&all), theirs(world), "the shop's books, and the gateways'");
    for order in &all {
        assert!(
            order.is_at_rest(),
            "order {} is in limbo: {:?} {:?}",
            order.id,
            order.payments,
            order.refunds
        );
    }
    for Whole { id, order, payments, refunds } in &all {
        let kept: Vec<_> = payments
            .iter()
            .map(|(payment_id, payment)| {
                let of = refunds.iter().filter(|refund| refund.payment == *payment_id);
                let back = of.clone().filter(|refund| refund.status == RefundStatus::Succeeded);
                let failed = of.filter(|refund| refund.status == RefundStatus::Failed).count();
                (payment, payment.captured.minor - back.map(|r| r.amount.minor).sum::<i64>(), failed)
            })
            .collect();
        // A bank has taken it.
        let barred = app.store.read(|tx| payments::may_send(tx, *id));
        let is_lost = matches!(barred, Err(PaymentError::Disputed { .. }));
        let is_kept = |(payment, kept, failed): &(&Payment, i64, usize)| {
            // What a bank sent back, or a gateway refused, is a person's: it is seen, and stays.
            let is_homeless = payment.is_surplus || order.status == Status::Cancelled;
            *kept > 0 && *failed == 0 && is_homeless && !is_lost
        };
        assert!(!kept.iter().any(is_kept), "order {id} keeps money that is not its own: {payments:?}");
        let own =
            kept.iter().filter(|(payment, ..)| !payment.is_surplus && payment.captured.minor > 0).count();
        assert!(own <= 1, "order {id} was paid twice: {payments:?}");
        assert!(
            order.paid_at.is_none() || own == 1 || order.total.is_zero(),
            "order {id} is paid with nothing"
        );
    }
}
