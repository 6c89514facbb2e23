//! From a basket to an order, in one act.

use std::time::Duration;

use crate::accounts::{self, AccountError};
use crate::address::Address;
use crate::cart::totals::{Charges, LineTotals, Priced};
use crate::cart::{self, CartError};
use crate::catalogue::{self, CatalogueError, Product, Variant};
use crate::id::{OrderId, ProductId, UserId, VariantId};
use crate::inventory::{self, Cause, Short, Want};
use crate::money::{Money, Overflow};
use crate::orders::{self, NewOrder, Order, OrderError, OrderLine, PaymentStatus, Seller};
use crate::payments::NOTHING_TO_PAY;
use crate::promotions::{self, Code};
use crate::store::{Reads, StoreError, WriteTx};

/// What is bought.
#[derive(Clone, Debug)]
pub enum Basket {
    /// The buyer's cart, which is emptied.
    Cart,
    /// These, whatever is in the cart.
    Items(Vec<Item>),
}

#[derive(Clone, Debug)]
pub struct Item {
    pub product: ProductId,
    pub variant: Option<VariantId>,
    pub quantity: u32,
}

/// An order as its buyer wants it.
#[derive(Clone, Debug)]
pub struct Placing {
    pub basket: Basket,
    pub shipping_address: Address,
    pub billing_address: Option<Address>,
    pub note: String,
    /// What the buyer was told that it costs.
    pub total: Option<Money>,
}

/// What the shop's settings say about orders.
#[derive(Clone)]
pub struct Rules {
    pub charges: Charges,
    pub seller: Seller,
    /// How long an unpaid order keeps its stock.
    pub hold: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    #[error("The cart is empty.")]
    CartEmpty,
    #[error("Some of it is not in stock any more; see lines.")]
    ShortStock(Vec<Short>),
    #[error("It costs {now} now.")]
    AmountMismatch { now: Money },
    /// The payment provider can't take just this amount; why.
    #[error("{0}")]
    NotTaken(String),
    #[error("{0}")]
    Account(#[from] AccountError),
    #[error("{0}")]
    Catalogue(#[from] CatalogueError),
    #[error("{0}")]
    Cart(#[from] CartError),
    #[error("{0}")]
    Order(#[from] OrderError),
    #[error("{0}")]
    Overflow(#[from] Overflow),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes the stock, counts the coupon, fixes the prices, writes the order and empties the cart: all of it, or nothing. An order that
/// costs nothing is paid at once; one that costs what `may_cost` is against is refused.
pub fn place(
    tx: &mut WriteTx,
    buyer: UserId,
    placing: &Placing,
    rules: &Rules,
    may_cost: impl Fn(Money) -> Result<(), String>,
) -> Result<(OrderId, Order), PlaceError> {
    let email = accounts::active(tx, buyer)?.email;
    let Wanted { lines, coupon, is_cart } = wanted(tx, buyer, &placing.basket)?;
    let basket: Vec<_> =
        lines.iter().map(|line| Priced::new(&line.product, &line.variant, line.quantity)).collect();
    let sums = cart::price(tx, buyer, &basket, coupon.as_ref(), &rules.charges)?;
    if placing.total.is_some_and(|total| total != sums.total) {
        return Err(PlaceError::AmountMismatch { now: sums.total });
    }
    if !sums.total.is_zero() {
        may_cost(sums.total).map_err(PlaceError::NotTaken)?;
    }
    let wants = wants(&lines);
    let short = inventory::short(tx, &wants)?;
    if !short.is_empty() {
        return Err(PlaceError::ShortStock(short));
    }

    let id = OrderId(tx.next_number("orders")?);
    inventory::take(tx, &wants, &Cause::Order(id), "customer")?;
    if let Some(code) = &coupon {
        promotions::take(tx, code, buyer)?;
    }
    let numbered = lines.into_iter().zip(sums.lines).zip(1..);
    let lines = numbered.map(|((line, sums), id)| line.into_order_line(id, sums)).collect();
    let new = NewOrder {
        user: buyer,
        email,
        lines,
        subtotal: sums.subtotal,
        discount: sums.discount,
        shipping: sums.shipping,
        tax: sums.tax,
        total: sums.total,
        coupon_code: coupon,
        shipping_address: placing.shipping_address.clone(),
        billing_address: placing.billing_address.clone(),
        note: placing.note.clone(),
        hold_until: tx.now().plus(rules.hold),
    };
    let order = orders::place(tx, id, new)?;
    if is_cart {
        cart::clear(tx, buyer)?;
    }
    if !order.total.is_zero() {
        return Ok((id, order));
    }
    orders::record_paid(tx, id, NOTHING_TO_PAY, "system", &rules.seller)?;
    orders::note_payment_status(tx, id, PaymentStatus::Paid)?;
    Ok((id, orders::get(tx, id)?))
}

/// A line that can be bought: what, and how many.
struct Buying {
    product_id: ProductId,
    product: Product,
    variant: Variant,
    quantity: u32,
}

impl Buying {
    fn into_order_line(self, id: u64, sums: LineTotals) -> OrderLine {
        OrderLine {
            id,
            product: self.product_id,
            variant: self.variant.id,
            options: self.product.choices(&self.variant),
            name: self.product.name,
            unit_price: self.variant.price,
            sku: self.variant.sku,
            quantity: self.quantity,
            total: sums.total,
            discount: sums.discount,
            tax: sums.tax,
            restocked: 0,
            withdrawn: 0,
        }
    }
}

/// What is to be bought.
struct Wanted {
    lines: Vec<Buying>,
    coupon: Option<Code>,
    is_cart: bool,
}

fn wanted(tx: &impl Reads, buyer: UserId, basket: &Basket) -> Result<Wanted, PlaceError> {
    let mut coupon = None;
    let wanted: Vec<_> = match basket {
        Basket::Cart => {
            let cart = cart::get(tx, buyer)?;
            coupon = cart.coupon;
            cart.lines.into_iter().map(|l| (l.product, l.variant, l.quantity)).collect()
        }
        Basket::Items(items) => {
            let mut wanted: Vec<(ProductId, VariantId, u32)> = Vec::new();
            for item in items {
                let found = catalogue::sellable(tx, item.product, item.variant)?;
                match wanted.iter_mut().find(|(_, variant, _)| *variant == found.variant) {
                    Some((_, _, quantity)) => *quantity = quantity.saturating_add(item.quantity),
                    None => wanted.push((found.product, found.variant, item.quantity)),
                }
            }
            wanted
        }
    };
    if wanted.is_empty() {
        return Err(PlaceError::CartEmpty);
    }
    let (mut lines, mut gone) = (Vec::new(), Vec::new());
    for (product_id, variant, quantity) in wanted {
        match catalogue::offer(tx, product_id, variant)? {
            Some((product, variant, _)) => lines.push(Buying { product_id, product, variant, quantity }),
            None => gone.push(Short { variant_id: variant, requested: quantity, available: 0 }),
        }
    }
    if gone.is_empty() {
        Ok(Wanted { lines, coupon, is_cart: matches!(basket, Basket::Cart) })
    } else {
        Err(PlaceError::ShortStock(gone))
    }
}

fn wants(lines: &[Buying]) -> Vec<Want> {
    lines.iter().map(|line| Want { variant: line.variant.id, quantity: line.quantity }).collect()
}
