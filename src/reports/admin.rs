//! `/api/admin/stats/`: for staff.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::accounts::{Scope, for_staff};
use crate::catalogue::{self, store::PRODUCTS};
use crate::clock::Time;
use crate::described::Described;
use crate::http::{Answer, ApiError, Req, Routes, get, ok};
use crate::id::{ProductId, VariantId};
use crate::inventory;
use crate::money::{Currency, Money};
use crate::orders::store::{BY_STATUS, ORDERS};
use crate::orders::{Order, Status};
use crate::page::Page;
use crate::store::{Direction, Key, ReadTx, Span, StoreError};
use crate::telemetry::aside;

const DAY: Duration = Duration::from_hours(24);
const DAY_MS: i64 = 24 * 3600 * 1000;
/// How many lines the best sellers and the low stock have at most.
const TOP: usize = 10;
/// Most days that figures are told of.
const MOST_DAYS: u32 = 366;

pub fn routes() -> Routes {
    let op = for_staff(Scope::ShopRead, "The shop's figures: sales by day, best sellers, stock")
        .query::<Days>("days", "Of how many days, today (UTC) among them; 30 if it is not given.")
        .gives::<Stats>();
    Routes::new().at("/api/admin/stats/", get(stats, op))
}

/// So many days.
struct Days(u32);

impl Described for Days {
    fn schema() -> Value {
        json!({"type": "integer", "minimum": 1, "maximum": MOST_DAYS, "default": 30})
    }
}

impl FromStr for Days {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let days = text.parse().ok().filter(|days| (1..=MOST_DAYS).contains(days));
        days.map(Days).ok_or_else(|| format!("must be from 1 to {MOST_DAYS}"))
    }
}

/// The shop's figures. Orders count for the day (UTC) on which they were placed.
#[derive(Serialize, JsonSchema)]
struct Stats {
    from: Time,
    to: Time,
    currency: Currency,
    /// Of the days below.
    total: Figures,
    /// Newest first, every day of the span.
    days: Vec<Day>,
    /// Of all time.
    orders_by_status: BTreeMap<&'static str, u64>,
    /// The ten of which most was sold in these days.
    best_sellers: Vec<Seller>,
    stock: Shelf,
    low_stock: LowStock,
}

/// What is on the shelf, of all products that are not archived.
#[derive(Serialize, JsonSchema)]
struct Shelf {
    variants: u64,
    units: u64,
    /// At today's prices.
    value: Money,
}

/// What was ordered, and what it brought.
#[derive(Serialize, JsonSchema, Clone, Copy)]
struct Figures {
    /// Orders that were placed and not cancelled.
    orders: u64,
    /// Those of them that were paid.
    paid: u64,
    /// What those cost.
    sales: Money,
    /// What was given back of it.
    refunded: Money,
}

/// A day's figures.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DayFigures")]
struct Day {
    /// Such as 2026-11-23, in UTC.
    date: String,
    #[serde(flatten)]
    figures: Figures,
}

/// A variant, and what was sold of it in these days.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BestSeller")]
struct Seller {
    product_id: ProductId,
    variant_id: VariantId,
    sku: Option<String>,
    name: String,
    /// Units.
    quantity: u64,
    /// After discounts, before tax.
    sales: Money,
}

/// What is low, least first.
#[derive(Serialize, JsonSchema)]
struct LowStock {
    /// Of all that is low.
    count: u64,
    /// The first ten.
    items: Vec<Low>,
}

/// A variant that is low.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LowStockLine")]
struct Low {
    product_id: ProductId,
    variant_id: VariantId,
    sku: Option<String>,
    name: String,
    stock_quantity: i64,
}

async fn stats(req: Req) -> Answer {
    req.staff(Scope::ShopRead)?;
    req.query.only(&["days"])?;
    let Days(days) = req.query.word("days")?.unwrap_or(Days(30));
    let (app, now) = (Arc::clone(&req.app), req.now());
    let gathered = aside(move || app.store.read(|tx| gather(tx, now, days, app.currency())));
    Ok(ok(&gathered.await.map_err(ApiError::internal)??))
}

fn gather(tx: &ReadTx, now: Time, days: u32, currency: Currency) -> Result<Stats, StoreError> {
    let today = Time::parse(&now.date()).expect("a date is the time of its first moment");
    let from = today.minus(DAY * (days - 1));
    let none = Figures { orders: 0, paid: 0, sales: currency.zero(), refunded: currency.zero() };
    let mut by_day: Vec<Day> =
        (0..days).map(|n| Day { date: today.minus(DAY * n).date(), figures: none }).collect();
    let mut total = none;
    let mut sold: HashMap<VariantId, Seller> = HashMap::new();
    ORDERS.scan(tx, Span::all(Direction::Down), |_, order| {
        // Orders are numbered as they are placed; a clock that was set back a little is allowed for.
        if order.created_at < from.minus(DAY) {
            return ControlFlow::Break(());
        }
        let ago = (today.plus(DAY).0 - 1 - order.created_at.0).div_euclid(DAY_MS);
        if let Some(day) = usize::try_from(ago).ok().and_then(|ago| by_day.get_mut(ago))
            && order.status != Status::Cancelled
        {
            for figures in [&mut day.figures, &mut total] {
                count(figures, &order);
            }
            if order.paid_at.is_some() {
                sell(&mut sold, &order);
            }
        }
        ControlFlow::Continue(())
    })?;
    let mut best_sellers: Vec<_> = sold.into_values().collect();
    best_sellers.sort_by_key(|seller| (std::cmp::Reverse(seller.quantity), seller.variant_id));
    best_sellers.truncate(TOP);

    let one = Page { number: 1, size: 1 };
    let status = |status: Status| {
        let span = Span::under(status.as_str().to_owned().bytes(), Direction::Up);
        Ok((status.as_str(), BY_STATUS.page(tx, span, one)?.count))
    };
    let low = inventory::low(tx, Page { number: 1, size: TOP as u64 })?;
    let items = low.items.into_iter().map(|(variant, stock)| {
        let named = catalogue::describe(tx, variant)?;
        Ok(Low {
            product_id: stock.product,
            variant_id: variant,
            sku: named.sku,
            name: named.name,
            stock_quantity: stock.quantity,
        })
    });
    Ok(Stats {
        from,
        to: now,
        currency,
        total,
        days: by_day,
        orders_by_status: Status::ALL.into_iter().map(status).collect::<Result<_, StoreError>>()?,
        best_sellers,
        stock: shelf(tx, currency)?,
        low_stock: LowStock { count: low.count, items: items.collect::<Result<_, StoreError>>()? },
    })
}

fn shelf(tx: &ReadTx, currency: Currency) -> Result<Shelf, StoreError> {
    let mut shelf = Shelf { variants: 0, units: 0, value: currency.zero() };
    PRODUCTS.try_each(tx, |_, product| {
        for variant in product.variants.iter().filter(|_| product.archived_at.is_none()) {
            let units = inventory::stock_of(tx, variant.id)?.quantity;
            shelf.variants += 1;
            shelf.units += units.cast_unsigned();
            let value = variant.price.minor.saturating_mul(units);
            shelf.value.minor = shelf.value.minor.saturating_add(value);
        }
        Ok::<_, StoreError>(())
    })?;
    Ok(shelf)
}

fn count(figures: &mut Figures, order: &Order) {
    figures.orders += 1;
    if order.paid_at.is_some() {
        figures.paid += 1;
        figures.sales.minor = figures.sales.minor.saturating_add(order.total.minor);
        figures.refunded.minor = figures.refunded.minor.saturating_add(order.refunded().minor);
    }
}

fn sell(sold: &mut HashMap<VariantId, Seller>, order: &Order) {
    for line in &order.lines {
        let seller = sold.entry(line.variant).or_insert_with(|| Seller {
            product_id: line.product,
            variant_id: line.variant,
            sku: line.sku.clone(),
            name: line.name.clone(),
            quantity: 0,
            sales: order.total.currency.zero(),
        });
        seller.quantity += u64::from(line.quantity);
        seller.sales.minor = seller.sales.minor.saturating_add(line.total.minor - line.discount.minor);
    }
}
