//! What a basket costs: lines, discount, shipping, tax. The only place where they are added up.
//!
//! `total = Σ lines − discount + shipping + tax`, each at least zero, in integer minor units (I2). Tax is
//! rounded once per line, after the discount, and comes on top.

use crate::money::{Currency, Money, Overflow, Rate};

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

/// The figures of a basket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Each line's price.
    pub lines: Vec<Money>,
    /// Each line's tax.
    pub taxes: Vec<Money>,
    pub subtotal: Money,
    /// What is taken off: positive. Nothing takes anything off yet.
    pub discount: Money,
    pub shipping: Money,
    pub tax: Money,
    pub total: Money,
}

/// Adds up lines of unit price and quantity.
pub fn totals(lines: &[(Money, u32)], charges: &Charges) -> Result<Totals, Overflow> {
    let currency = charges.currency;
    let lines =
        lines.iter().map(|(price, quantity)| price.times(*quantity)).collect::<Result<Vec<_>, _>>()?;
    let taxes = lines.iter().map(|line| line.at_rate(charges.tax)).collect::<Result<Vec<_>, _>>()?;
    let subtotal = Money::sum(currency, lines.iter().copied())?;
    let tax = Money::sum(currency, taxes.iter().copied())?;
    let is_free = charges.free_shipping_from.is_some_and(|from| subtotal.minor >= from.minor);
    let shipping = if lines.is_empty() || is_free { currency.zero() } else { charges.shipping };
    let discount = currency.zero();
    let total = subtotal.minus(discount)?.plus(shipping)?.plus(tax)?;
    Ok(Totals { lines, taxes, subtotal, discount, shipping, tax, total })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usd(minor: i64) -> Money {
        Money { minor, currency: "USD".parse().expect("a known code") }
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
    fn tax_is_rounded_once_per_line() {
        let sums = totals(&[(usd(105), 1), (usd(105), 1)], &charges(0, None, "10")).expect("small sums");
        assert_eq!((sums.taxes.as_slice(), sums.tax), (&[usd(11), usd(11)][..], usd(22)));
        assert_eq!(sums.total, usd(232));
    }

    #[test]
    fn shipping_is_free_from_its_threshold_on_and_for_an_empty_cart() {
        let rules = charges(490, Some(5000), "0");
        assert_eq!(totals(&[(usd(4999), 1)], &rules).expect("small sums").shipping, usd(490));
        assert_eq!(totals(&[(usd(5000), 1)], &rules).expect("small sums").shipping, usd(0));
        assert_eq!(totals(&[], &rules).expect("small sums").total, usd(0));
    }

    proptest! {
        #[test]
        fn a_total_is_the_sum_of_its_parts_and_no_part_is_negative(
            lines in proptest::collection::vec((0..=99_999_999_i64, 1..=10_000_u32), 0..20),
            shipping in 0..=100_000_i64,
            free_from in proptest::option::of(0..=1_000_000_i64),
            tax in 0..=100_000_u32,
        ) {
            let tax = format!("{}.{:03}", tax / 1000, tax % 1000);
            let lines: Vec<_> = lines.into_iter().map(|(price, quantity)| (usd(price), quantity)).collect();
            let sums = totals(&lines, &charges(shipping, free_from, &tax)).expect("these fit");
            let minor = |all: &[Money]| all.iter().map(|money| money.minor).sum::<i64>();
            prop_assert_eq!(minor(&sums.lines), sums.subtotal.minor);
            prop_assert_eq!(minor(&sums.taxes), sums.tax.minor);
            let parts = sums.subtotal.minor - sums.discount.minor + sums.shipping.minor + sums.tax.minor;
            prop_assert_eq!(sums.total.minor, parts);
            for part in [sums.subtotal, sums.discount, sums.shipping, sums.tax, sums.total] {
                prop_assert!(part.minor >= 0);
            }
        }

        #[test]
        fn sums_that_do_not_fit_are_refused(price in i64::MAX / 2..=i64::MAX, quantity in 3..=u32::MAX) {
            prop_assert_eq!(totals(&[(usd(price), quantity)], &charges(0, None, "0")), Err(Overflow));
        }
    }
}
