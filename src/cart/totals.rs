//! What a basket costs: lines, discount, shipping, tax. The only place where they are added up.
//!
//! `total = Σ lines − discount + shipping + tax`, each at least zero, in integer minor units (I2). Tax is
//! rounded once per line, after the discount, and comes on top.

use super::model::CartError;
use crate::catalogue::{Product, Variant};
use crate::clock::Time;
use crate::money::{Currency, Money, Overflow, Rate};
use crate::promotions::{self, Claim, Line};

/// What the shop adds to every order.
#[derive(Clone, Debug)]
pub struct Charges {
    pub currency: Currency,
    /// For every order that is sent.
    pub shipping: Money,
    /// From this subtotal on shipping is free; `None`: never.
    pub free_shipping_from: Option<Money>,
    pub tax: Rate,
}

/// A line of a basket, as far as it decides on what the basket costs.
#[derive(Clone, Debug)]
pub struct Priced {
    pub unit_price: Money,
    pub quantity: u32,
    /// A category's slug.
    pub category: Option<String>,
}

impl Priced {
    pub fn new(product: &Product, variant: &Variant, quantity: u32) -> Priced {
        Priced { unit_price: variant.price, quantity, category: product.category.clone() }
    }
}

/// The figures of a basket.
#[derive(Clone, Debug)]
pub struct Totals {
    /// Each line's, in the order of the lines.
    pub lines: Vec<LineTotals>,
    pub subtotal: Money,
    /// What the coupon takes off: positive.
    pub discount: Money,
    pub shipping: Money,
    pub tax: Money,
    pub total: Money,
}

/// The figures of a line.
#[derive(Clone, Copy, Debug)]
pub struct LineTotals {
    /// Before the discount.
    pub total: Money,
    /// Its share of the discount.
    pub discount: Money,
    pub tax: Money,
}

/// Adds up a basket, with what the coupon in the buyer's hand takes off. Whether shipping is free, what it comes to
/// before that decides.
///
/// # Errors
/// [`CartError::Coupon`] when the coupon is not good for this basket at `now`, [`CartError::Overflow`].
pub fn totals(
    basket: &[Priced],
    claim: Option<&Claim>,
    charges: &Charges,
    now: Time,
) -> Result<Totals, CartError> {
    let currency = charges.currency;
    let totals = basket.iter().map(|line| line.unit_price.times(line.quantity));
    let totals = totals.collect::<Result<Vec<_>, _>>()?;
    let subtotal = Money::sum(currency, totals.iter().copied())?;
    let discounts = match claim {
        Some(claim) => {
            let lines = basket.iter().zip(&totals);
            let lines: Vec<_> = lines
                .map(|(line, total)| Line { category: line.category.as_deref(), total: *total })
                .collect();
            promotions::discounts(claim, &lines, now)?
        }
        None => vec![currency.zero(); basket.len()],
    };
    let line = |(total, discount): (Money, Money)| {
        let tax = total.minus(discount)?.at_rate(charges.tax)?;
        Ok(LineTotals { total, discount, tax })
    };
    let lines = totals.into_iter().zip(discounts).map(line).collect::<Result<Vec<_>, Overflow>>()?;
    let discount = Money::sum(currency, lines.iter().map(|line| line.discount))?;
    let tax = Money::sum(currency, lines.iter().map(|line| line.tax))?;
    let is_free = charges.free_shipping_from.is_some_and(|from| subtotal.minor >= from.minor);
    let shipping = if lines.is_empty() || is_free { currency.zero() } else { charges.shipping };
    let total = subtotal.minus(discount)?.plus(shipping)?.plus(tax)?;
    Ok(Totals { lines, subtotal, discount, shipping, tax, total })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::promotions::{Kind, Terms};

    fn usd(minor: i64) -> Money {
        Money { minor, currency: "USD".parse().expect("a known code") }
    }

    fn basket(lines: &[(i64, u32)]) -> Vec<Priced> {
        let priced = |(price, quantity): &(i64, u32)| Priced {
            unit_price: usd(*price),
            quantity: *quantity,
            category: None,
        };
        lines.iter().map(priced).collect()
    }

    fn sums(lines: &[(i64, u32)], claim: Option<&Claim>, charges: &Charges) -> Totals {
        totals(&basket(lines), claim, charges, Time(0)).expect("small sums")
    }

    fn claim(kind: Kind) -> Claim {
        Claim { terms: Terms::new(kind), uses: 0, own_uses: 0 }
    }

    fn charges(shipping: i64, free_from: Option<i64>, tax: &str) -> Charges {
        Charges {
            currency: usd(0).currency,
            shipping: usd(shipping),
            free_shipping_from: free_from.map(usd),
            tax: tax.parse().expect("a rate"),
        }
    }

    #[test]
    fn tax_is_rounded_once_per_line_after_the_discount() {
        let taxes = |sums: &Totals| sums.lines.iter().map(|line| line.tax.minor).collect::<Vec<_>>();
        let full = sums(&[(105, 1), (105, 1)], None, &charges(0, None, "10"));
        assert_eq!((taxes(&full), full.tax, full.total), (vec![11, 11], usd(22), usd(232)));
        let half = claim(Kind::Percent("50".parse().expect("a rate")));
        let half = sums(&[(105, 1), (105, 1)], Some(&half), &charges(0, None, "10"));
        // 105 is halved as 53 and 52, whose tax is 5 (5.2) each.
        assert_eq!((taxes(&half), half.discount, half.total), (vec![5, 5], usd(105), usd(115)));
    }

    #[test]
    fn shipping_is_free_from_its_threshold_on_and_for_an_empty_cart() {
        let rules = charges(490, Some(5000), "0");
        let five = claim(Kind::Amount(usd(500)));
        assert_eq!(sums(&[(4999, 1)], None, &rules).shipping, usd(490));
        assert_eq!(sums(&[(5000, 1)], None, &rules).shipping, usd(0));
        assert_eq!(
            sums(&[(5000, 1)], Some(&five), &rules).shipping,
            usd(0),
            "a coupon does not make it dearer"
        );
        assert_eq!(sums(&[], None, &rules).total, usd(0));
    }

    proptest! {
        #[test]
        fn a_total_is_the_sum_of_its_parts_and_no_part_is_negative(
            lines in proptest::collection::vec((0..=99_999_999_i64, 1..=10_000_u32), 0..20),
            shipping in 0..=100_000_i64,
            free_from in proptest::option::of(0..=1_000_000_i64),
            tax in 0..=100_000_u32,
            off in proptest::option::of(1..=99_999_999_999_i64),
        ) {
            let tax = format!("{}.{:03}", tax / 1000, tax % 1000);
            let claim = off.map(|off| claim(Kind::Amount(usd(off))));
            let charges = charges(shipping, free_from, &tax);
            let sums = match totals(&basket(&lines), claim.as_ref(), &charges, Time(0)) {
                Ok(sums) => sums,
                Err(CartError::Coupon(_)) => {
                    prop_assert!(lines.iter().all(|(price, _)| *price == 0));
                    return Ok(());
                }
                Err(error) => panic!("{error}"),
            };
            let minor = |of: fn(&LineTotals) -> Money| sums.lines.iter().map(|line| of(line).minor).sum::<i64>();
            prop_assert_eq!(minor(|line| line.total), sums.subtotal.minor);
            prop_assert_eq!(minor(|line| line.discount), sums.discount.minor);
            prop_assert_eq!(minor(|line| line.tax), sums.tax.minor);
            prop_assert_eq!(sums.discount.minor, off.map_or(0, |off| off.min(sums.subtotal.minor)));
            let parts = sums.subtotal.minor - sums.discount.minor + sums.shipping.minor + sums.tax.minor;
            prop_assert_eq!(sums.total.minor, parts);
            for line in &sums.lines {
                prop_assert!(line.discount.minor <= line.total.minor);
            }
            for part in [sums.subtotal, sums.discount, sums.shipping, sums.tax, sums.total] {
                prop_assert!(part.minor >= 0);
            }
        }

        #[test]
        fn sums_that_do_not_fit_are_refused(price in i64::MAX / 2..=i64::MAX, quantity in 3..=u32::MAX) {
            let refused = totals(&basket(&[(price, quantity)]), None, &charges(0, None, "0"), Time(0));
            prop_assert!(matches!(refused, Err(CartError::Overflow(Overflow))));
        }
    }
}
