//! The cart as JSON, with what keeps its lines from being bought.

use serde::Serialize;

use super::model::{CartError, Issue, Line};
use super::ops;
use super::totals::{Charges, totals};
use crate::catalogue::{self, Summary};
use crate::id::{CartLineId, UserId, VariantId};
use crate::money::{Currency, Money};
use crate::store::Reads;

#[derive(Serialize)]
pub struct CartView {
    items: Vec<ItemView>,
    item_count: u64,
    subtotal: Money,
    discount: Money,
    shipping: Money,
    tax: Money,
    total: Money,
    currency: Currency,
    coupon: Option<String>,
    issues: Vec<IssueView>,
}

#[derive(Serialize)]
pub struct ItemView {
    id: CartLineId,
    /// Null when the product is not in the shop any more.
    product: Option<Summary>,
    variant_id: VariantId,
    quantity: u32,
    unit_price: Money,
    total_price: Money,
}

#[derive(Serialize)]
struct IssueView {
    item_id: CartLineId,
    variant_id: VariantId,
    code: Issue,
    #[serde(skip_serializing_if = "Option::is_none")]
    available: Option<i64>,
}

/// What is wrong with a line, and how much of it there is instead.
type Wrong = (Issue, Option<i64>);

/// A line as it is now: today's price, and what is wrong with it.
pub fn item(tx: &impl Reads, line: &Line) -> Result<(ItemView, Option<Wrong>), CartError> {
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
    let view = ItemView {
        id: line.id,
        product: offer
            .map(|(product, variant, stock)| catalogue::summary(line.product, &product, &variant, &stock)),
        variant_id: line.variant,
        quantity: line.quantity,
        unit_price,
        total_price: unit_price.times(line.quantity)?,
    };
    Ok((view, issue))
}

/// The whole cart. What can't be bought any more is listed, but costs nothing.
pub fn cart(tx: &impl Reads, buyer: UserId, charges: &Charges) -> Result<CartView, CartError> {
    let (mut items, mut issues, mut priced) = (Vec::new(), Vec::new(), Vec::new());
    for line in ops::get(tx, buyer)?.lines {
        let (view, issue) = item(tx, &line)?;
        if view.product.is_some() {
            priced.push((view.unit_price, view.quantity));
        }
        items.push(view);
        if let Some((code, available)) = issue {
            issues.push(IssueView { item_id: line.id, variant_id: line.variant, code, available });
        }
    }
    let sums = totals(&priced, charges)?;
    Ok(CartView {
        item_count: items.iter().map(|item| u64::from(item.quantity)).sum(),
        items,
        subtotal: sums.subtotal,
        discount: sums.discount,
        shipping: sums.shipping,
        tax: sums.tax,
        total: sums.total,
        currency: charges.currency,
        coupon: None,
        issues,
    })
}
