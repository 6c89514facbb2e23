//! The cart as JSON, with what keeps its lines from being bought.

use schemars::JsonSchema;
use serde::Serialize;

use super::model::{CartError, Issue, Line};
use super::ops;
use super::totals::{Charges, Priced};
use crate::catalogue::{self, Summary};
use crate::id::{CartLineId, UserId, VariantId};
use crate::money::{Currency, Money};
use crate::promotions::Code;
use crate::store::Reads;

/// A cart, at today's prices.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Cart")]
pub struct CartView {
    items: Vec<ItemView>,
    item_count: u64,
    subtotal: Money,
    discount: Money,
    shipping: Money,
    tax: Money,
    total: Money,
    currency: Currency,
    coupon: Option<Code>,
    issues: Vec<IssueView>,
}

/// A line of a cart, at today's price.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CartItem")]
pub struct ItemView {
    id: CartLineId,
    /// Null when the product is not in the shop any more.
    product: Option<Summary>,
    variant_id: VariantId,
    quantity: u32,
    unit_price: Money,
    total_price: Money,
}

/// What keeps a line from being bought, or the coupon from taking anything off.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CartIssue")]
#[serde(untagged)]
enum IssueView {
    Line {
        item_id: CartLineId,
        variant_id: VariantId,
        code: Issue,
        #[serde(skip_serializing_if = "Option::is_none")]
        available: Option<i64>,
    },
    Coupon {
        code: &'static str,
        reason: &'static str,
        detail: String,
    },
}

/// What is wrong with a line, and how much of it there is instead.
type Wrong = (Issue, Option<i64>);

/// A line as it is now, at today's price.
pub fn item(tx: &impl Reads, line: &Line) -> Result<ItemView, CartError> {
    Ok(look_at(tx, line)?.0)
}

/// A line as it is now, what it adds to the basket if it can be bought, and what is wrong with it.
fn look_at(tx: &impl Reads, line: &Line) -> Result<(ItemView, Option<Priced>, Option<Wrong>), CartError> {
    let offer = catalogue::offer(tx, line.product, line.variant)?;
    let unit_price = offer.as_ref().map_or(line.price_seen, |(_, variant, _)| variant.price);
    let issue = match &offer {
        None => Some((Issue::Unavailable, None)),
        Some((_, _, stock)) if stock.quantity <= 0 => Some((Issue::OutOfStock, Some(0))),
        Some((_, _, stock)) if stock.quantity < i64::from(line.quantity) => {
            Some((Issue::InsufficientStock, Some(stock.quantity)))
        }
        Some(_) if unit_price != line.price_seen => Some((Issue::PriceChanged, None)),
        Some(_) => None,
    };
    let priced = offer.as_ref().map(|(product, variant, _)| Priced::new(product, variant, line.quantity));
    let view = ItemView {
        id: line.id,
        product: offer
            .map(|(product, variant, stock)| catalogue::summary(line.product, &product, &variant, &stock)),
        variant_id: line.variant,
        quantity: line.quantity,
        unit_price,
        total_price: unit_price.times(line.quantity)?,
    };
    Ok((view, priced, issue))
}

/// The whole cart. What can't be bought any more is listed, but costs nothing; a coupon that is not good any more is
/// named, but takes nothing off.
pub fn cart(tx: &impl Reads, buyer: UserId, charges: &Charges) -> Result<CartView, CartError> {
    let (mut items, mut issues, mut basket) = (Vec::new(), Vec::new(), Vec::new());
    let cart = ops::get(tx, buyer)?;
    for line in &cart.lines {
        let (view, priced, issue) = look_at(tx, line)?;
        items.push(view);
        basket.extend(priced);
        if let Some((code, available)) = issue {
            issues.push(IssueView::Line { item_id: line.id, variant_id: line.variant, code, available });
        }
    }
    let sums = match ops::price(tx, buyer, &basket, cart.coupon.as_ref(), charges) {
        Err(CartError::Coupon(refusal)) => {
            let (reason, detail) = (refusal.reason(), refusal.to_string());
            issues.push(IssueView::Coupon { code: "coupon_invalid", reason, detail });
            ops::price(tx, buyer, &basket, None, charges)?
        }
        sums => sums?,
    };
    Ok(CartView {
        item_count: items.iter().map(|item| u64::from(item.quantity)).sum(),
        items,
        subtotal: sums.subtotal,
        discount: sums.discount,
        shipping: sums.shipping,
        tax: sums.tax,
        total: sums.total,
        currency: charges.currency,
        coupon: cart.coupon,
        issues,
    })
}
