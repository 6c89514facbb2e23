//! `/api/admin/payments/report/`: what was taken and given back, by day and provider, held against the orders.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Bound;
use std::str::FromStr;

use ::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::model::{Payment, Refund, Stand};
use super::ops::not_refunded;
use super::store::{CAPTURED, DISPUTES, ENDED, PAYMENTS, REFUNDS, STRAYS};
use crate::accounts::{Scope, for_staff};
use crate::clock::Time;
use crate::described::Described;
use crate::http::{Answer, ApiError, Reply, Req, Routes, get, ok};
use crate::money::{AnyMoney, Currency, Money};
use crate::orders::RefundStatus;
use crate::orders::store::ORDERS;
use crate::store::{Direction, Index, Key, Reads, Record, Span, StoreError, Table};
use crate::telemetry::aside;

/// Milliseconds.
const DAY: i64 = 24 * 3600 * 1000;
/// How many days are summed when nobody says: up to today.
const DAYS: i64 = 30;

pub fn routes() -> Routes {
    let op = for_staff(Scope::PaymentsRead, "What was taken and given back, by day and provider")
        .query::<Day>("from", "The first day; 30 days up to the last if nothing is said.")
        .query::<Day>("to", "The last day; today if nothing is said.")
        .query::<Form>("format", "json if nothing is said.")
        .gives::<Report>()
        .gives_files(&["text/csv"]);
    Routes::new().at("/api/admin/payments/report/", get(show, op))
}

/// A day, by its first moment in UTC.
struct Day(Time);

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let day = Time::parse(text).filter(|_| text.len() == 10);
        day.map(Day).ok_or_else(|| "must be a date such as 2026-11-23".into())
    }
}

impl Described for Day {
    fn schema() -> Value {
        json!({"type": "string", "format": "date"})
    }
}

/// What a report comes as.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Form {
    #[default]
    Json,
    Csv,
}

crate::words!(Form: ["json", "csv"]);

impl FromStr for Form {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Form::Json),
            "csv" => Ok(Form::Csv),
            _ => Err("must be json or csv".into()),
        }
    }
}

/// What a day came to with one provider, in one currency. All in minor units.
#[derive(Clone, Debug, Default)]
struct Sums {
    payments: u64,
    captured: i64,
    /// Of that, what no order wanted: paid twice, too late, or not what it cost.
    surplus: i64,
    refunds: u64,
    refunded: i64,
    /// Of that, surplus.
    surplus_refunded: i64,
    /// Lost disputes.
    charged_back: i64,
    fees: i64,
    /// Payments whose fee the gateway did not say, or not in this currency.
    fees_unknown: u64,
}

impl Sums {
    fn add(&mut self, other: &Sums) {
        self.payments += other.payments;
        self.captured += other.captured;
        self.surplus += other.surplus;
        self.refunds += other.refunds;
        self.refunded += other.refunded;
        self.surplus_refunded += other.surplus_refunded;
        self.charged_back += other.charged_back;
        self.fees += other.fees;
        self.fees_unknown += other.fees_unknown;
    }

    fn row(&self, date: &str, provider: &str, currency: Currency) -> Row {
        let money = |minor| Money { minor, currency };
        Row {
            date: date.to_owned(),
            provider: provider.to_owned(),
            currency,
            payments: self.payments,
            captured: money(self.captured),
            surplus: money(self.surplus),
            refunds: self.refunds,
            refunded: money(self.refunded),
            charged_back: money(self.charged_back),
            fees: money(self.fees),
            fees_unknown: self.fees_unknown,
            net: money(self.captured - self.refunded - self.charged_back - self.fees),
        }
    }
}

/// What a day came to with one provider, in one currency.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PaymentReportRow")]
struct Row {
    /// The day in UTC; empty of the total.
    date: String,
    /// Empty of the total.
    provider: String,
    /// Of the row's amounts.
    currency: Currency,
    payments: u64,
    #[schemars(with = "AnyMoney")]
    captured: Money,
    /// Of that, what no order wanted: paid twice, too late, or not what it cost.
    #[schemars(with = "AnyMoney")]
    surplus: Money,
    refunds: u64,
    #[schemars(with = "AnyMoney")]
    refunded: Money,
    /// Lost disputes.
    #[schemars(with = "AnyMoney")]
    charged_back: Money,
    #[schemars(with = "AnyMoney")]
    fees: Money,
    /// Payments whose fee the gateway did not say, or not in this currency.
    fees_unknown: u64,
    /// What was taken, less what was given back, charged back, and kept by the gateway.
    #[schemars(with = "AnyMoney")]
    net: Money,
}

/// What was taken and given back, held against the orders.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PaymentReport")]
struct Report {
    /// The first and the last day, in UTC.
    from: String,
    to: String,
    currency: Currency,
    days: Vec<Row>,
    /// Of what was taken in the shop's currency.
    total: Row,
    orders: OrdersView,
    balance: Balance,
}

/// What the orders say of the same days.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PaymentReportOrders")]
struct OrdersView {
    paid: u64,
    total: Money,
    refunded: Money,
}

/// What payments and orders differ by: nothing, where all is well.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PaymentReportBalance")]
struct Balance {
    captured: Money,
    refunded: Money,
    /// Surplus that has not gone back.
    surplus: Money,
}

/// What the orders say of the same days.
#[derive(Default)]
struct OfOrders {
    paid: u64,
    total: i64,
    refunded: i64,
}

type Days = BTreeMap<(String, String, String), (Currency, Sums)>;

/// The days that are summed: from the first moment of one to the last of another.
struct Range {
    from: Time,
    /// Excluded.
    to: Time,
}

impl Range {
    fn of(req: &Req) -> Result<Range, ApiError> {
        let today = Time::parse(&req.now().date()).unwrap_or_default();
        let last = req.query.word("to")?.map_or(today, |Day(day)| day);
        let from = req.query.word("from")?.map_or(Time(last.0 - (DAYS - 1) * DAY), |Day(day)| day);
        if from > last {
            return Err(ApiError::field("from", "must not be after to"));
        }
        Ok(Range { from, to: Time(last.0 + DAY) })
    }

    fn has(&self, time: Time) -> bool {
        (self.from..self.to).contains(&time)
    }

    fn each<K: Key, V: Record>(
        &self,
        tx: &impl Reads,
        index: &Index<K, V, Time>,
        table: &Table<K, V>,
        mut visit: impl FnMut(K, Time, V),
    ) -> Result<(), StoreError> {
        let (from, to) = (Bound::Included(self.from.bytes()), Bound::Excluded(self.to.bytes()));
        let mut keys = Vec::new();
        index.scan(tx, Span { from, to, direction: Direction::Up }, |time, key| {
            keys.push((time, key));
            std::ops::ControlFlow::Continue(())
        })?;
        for (time, key) in keys {
            let record = table.expect(tx, &key)?;
            visit(key, time, record);
        }
        Ok(())
    }
}

/// The sums of one day with one provider.
fn sums<'a>(days: &'a mut Days, at: Time, provider: &str, currency: Currency) -> &'a mut Sums {
    let key = (at.date(), provider.to_owned(), currency.code().to_owned());
    &mut days.entry(key).or_insert_with(|| (currency, Sums::default())).1
}

fn gather(tx: &impl Reads, range: &Range) -> Result<(Days, OfOrders), StoreError> {
    let mut days = Days::new();
    range.each(tx, &CAPTURED, &PAYMENTS, |_, at, payment: Payment| {
        let day = sums(&mut days, at, &payment.provider, payment.captured.currency);
        day.payments += 1;
        day.captured += payment.captured.minor;
        if payment.is_surplus {
            day.surplus += payment.captured.minor;
        }
        match payment.fee.filter(|fee| fee.currency == payment.captured.currency) {
            Some(fee) => day.fees += fee.minor,
            None if payment.by_hand.is_some() => {}
            None => day.fees_unknown += 1,
        }
    })?;
    let mut given_back = BTreeSet::new();
    range.each(tx, &ENDED, &REFUNDS, |id, at, refund: Refund| {
        if refund.status == RefundStatus::Succeeded {
            let day = sums(&mut days, at, &refund.provider, refund.amount.currency);
            day.refunds += 1;
            day.refunded += refund.amount.minor;
            if refund.is_surplus {
                day.surplus_refunded += refund.amount.minor;
            } else {
                given_back.insert(id);
            }
        }
    })?;
    STRAYS.each(tx, |(provider, _), stray| {
        if range.has(stray.found_at) {
            let day = sums(&mut days, stray.found_at, &provider, stray.amount.currency);
            day.payments += 1;
            day.captured += stray.amount.minor;
            day.surplus += stray.amount.minor;
            day.fees_unknown += 1;
        }
        if stray.status == RefundStatus::Succeeded && range.has(stray.updated_at) {
            let day = sums(&mut days, stray.updated_at, &provider, stray.amount.currency);
            day.refunds += 1;
            day.refunded += stray.amount.minor;
            day.surplus_refunded += stray.amount.minor;
        }
    })?;
    DISPUTES.try_each(tx, |(provider, _), dispute| {
        if let Some(at) = dispute.ended_at.filter(|at| dispute.stand == Stand::Lost && range.has(*at)) {
            // Where the gateway lists the lost money as given back, it is counted there.
            let payment = PAYMENTS.expect(tx, &dispute.payment)?;
            let left = not_refunded(tx, dispute.payment, &payment).map_or(0, |left| left.minor);
            sums(&mut days, at, &provider, dispute.amount.currency).charged_back +=
                dispute.amount.minor.min(left);
        }
        Ok::<_, StoreError>(())
    })?;
    let mut orders = OfOrders::default();
    ORDERS.each(tx, |_, order| {
        if order.paid_at.is_some_and(|at| range.has(at)) {
            orders.paid += 1;
            orders.total += order.total.minor;
        }
        let back = order.refunds.iter().filter(|refund| given_back.contains(&refund.id));
        orders.refunded += back.map(|refund| refund.amount.minor).sum::<i64>();
    })?;
    Ok((days, orders))
}

async fn show(req: Req) -> Answer {
    req.staff(Scope::PaymentsRead)?;
    req.query.only(&["from", "to", "format"])?;
    let range = Range::of(&req)?;
    let form: Form = req.query.word("format")?.unwrap_or_default();
    let (from, to) = (range.from.date(), Time(range.to.0 - DAY).date());
    let app = std::sync::Arc::clone(&req.app);
    let gathered = aside(move || app.store.read(|tx| gather(tx, &range))).await;
    let (days, orders) = gathered.map_err(ApiError::internal)??;

    let rows: Vec<_> = days
        .iter()
        .map(|((date, provider, _), (currency, sums))| sums.row(date, provider, *currency))
        .collect();
    if form == Form::Csv {
        return Ok(Reply::bytes(StatusCode::OK, "text/csv; charset=utf-8", csv(&rows)));
    }
    let currency = req.app.currency();
    let mut all = Sums::default();
    for (_, sums) in days.values().filter(|(own, _)| *own == currency) {
        all.add(sums);
    }
    let money = |minor| Money { minor, currency };
    let (for_orders, back) = (all.captured - all.surplus, all.refunded - all.surplus_refunded);
    Ok(ok(&Report {
        from,
        to,
        currency,
        days: rows,
        total: all.row("", "", currency),
        orders: OrdersView {
            paid: orders.paid,
            total: money(orders.total),
            refunded: money(orders.refunded),
        },
        balance: Balance {
            captured: money(for_orders - orders.total),
            refunded: money(back - orders.refunded),
            surplus: money(all.surplus - all.surplus_refunded),
        },
    }))
}

fn csv(rows: &[Row]) -> String {
    let mut text = String::from(
        "date,provider,currency,payments,captured,surplus,refunds,refunded,charged_back,fees,fees_unknown,net\r\n",
    );
    for row in rows {
        let _ = write!(
            text,
            "{},{},{},{},{},{},{},{},{},{},{},{}\r\n",
            row.date,
            row.provider,
            row.currency,
            row.payments,
            row.captured,
            row.surplus,
            row.refunds,
            row.refunded,
            row.charged_back,
            row.fees,
            row.fees_unknown,
            row.net
        );
    }
    text
}
