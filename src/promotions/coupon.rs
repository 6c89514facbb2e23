//! The rule of coupons: what one takes off a basket, line by line, or why nothing.

use super::model::{Kind, Refusal, Terms};
use crate::clock::Time;
use crate::money::Money;

/// A line of a basket, as coupons see it.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// A category's slug.
    pub category: Option<&'a str>,
    pub total: Money,
}

/// A coupon in somebody's hand.
#[derive(Clone, Debug)]
pub struct Claim {
    pub terms: Terms,
    /// How often it was used already, by anybody.
    pub uses: u64,
    /// And by them.
    pub own_uses: u64,
}

/// What the coupon takes off each of `lines` at `now`, or the first reason why it takes nothing off, in this order.
/// It is rounded once, on the sum of the lines that it is for, and shared among these.
///
/// # Panics
/// If the lines' sum does not fit.
pub fn discounts(claim: &Claim, lines: &[Line<'_>], now: Time) -> Result<Vec<Money>, Refusal> {
    let Claim { terms, uses, own_uses } = claim;
    refuse_if(!terms.is_active, Refusal::Inactive)?;
    if let Some(start) = terms.starts_at.filter(|start| now < *start) {
        return Err(Refusal::NotStarted(start));
    }
    refuse_if(terms.ends_at.is_some_and(|end| end <= now), Refusal::Expired)?;
    refuse_if(terms.max_uses.is_some_and(|most| most <= *uses), Refusal::UsedUp)?;
    refuse_if(terms.max_uses_per_user.is_some_and(|most| most <= *own_uses), Refusal::AlreadyUsed)?;

    let eligible: Vec<_> =
        lines.iter().map(|line| if terms.are_for(line) { line.total.minor } else { 0 }).collect();
    let sum: i64 = eligible.iter().sum();
    refuse_if(sum == 0, Refusal::NotApplicable)?;
    if let Some(least) = terms.min_subtotal.filter(|least| sum < least.minor) {
        return Err(Refusal::BelowMinimum(least));
    }
    let currency = lines[0].total.currency;
    let whole = Money { minor: sum, currency };
    let off = match terms.kind {
        Kind::Percent(rate) => whole.at_rate(rate).expect("at most the whole").minor,
        Kind::Amount(amount) => amount.minor.min(sum),
    };
    // What takes nothing off is not to be used up by it.
    refuse_if(off == 0, Refusal::NotApplicable)?;
    Ok(shares(off, &eligible).into_iter().map(|minor| Money { minor, currency }).collect())
}

fn refuse_if(is_so: bool, refusal: Refusal) -> Result<(), Refusal> {
    if is_so { Err(refusal) } else { Ok(()) }
}

impl Terms {
    fn are_for(&self, line: &Line<'_>) -> bool {
        self.categories.is_empty()
            || line.category.is_some_and(|category| self.categories.iter().any(|own| own == category))
    }
}

/// `whole`, shared in proportion to `weights`, of which it is at most the sum: each share is rounded down, and what
/// is left goes, a unit each, to those that lost most by it, the first among equals. No share is above its weight.
fn shares(whole: i64, weights: &[i64]) -> Vec<i64> {
    let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
    let exact = |weight: &i64| i128::from(whole) * i128::from(*weight);
    let floor = |weight: &i64| i64::try_from(exact(weight) / sum).expect("at most the weight");
    let mut shares: Vec<_> = weights.iter().map(floor).collect();
    let left = whole - shares.iter().sum::<i64>();
    let mut by_loss: Vec<_> = (0..weights.len()).collect();
    by_loss.sort_by_key(|n| std::cmp::Reverse(exact(&weights[*n]) % sum));
    for n in by_loss.into_iter().take(usize::try_from(left).expect("less than there are shares")) {
        shares[n] += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::money::Currency;

    fn usd() -> Currency {
        "USD".parse().expect("a known code")
    }

    fn cents(minor: i64) -> Money {
        Money { minor, currency: usd() }
    }

    fn claim(kind: Kind) -> Claim {
        Claim { terms: Terms::new(kind), uses: 0, own_uses: 0 }
    }

    fn percent(text: &str) -> Claim {
        claim(Kind::Percent(text.parse().expect("a rate")))
    }

    fn lines(totals: &[i64]) -> Vec<Line<'static>> {
        totals.iter().map(|total| Line { category: Some("tea"), total: cents(*total) }).collect()
    }

    const NOW: Time = Time(1_000);

    #[test]
    fn it_is_refused_for_the_first_of_these_reasons() {
        // Each takes one reason away from the one before.
        let mut claim = percent("10");
        claim.uses = 5;
        claim.own_uses = 2;
        claim.terms = Terms {
            is_active: false,
            starts_at: Some(Time(1_001)),
            ends_at: Some(NOW),
            max_uses: Some(5),
            max_uses_per_user: Some(2),
            categories: vec!["mugs".into()],
            min_subtotal: Some(cents(1_001)),
            ..claim.terms
        };
        let basket = lines(&[600, 400]);
        let mut wants = |refusal, mend: fn(&mut Claim)| {
            assert_eq!(discounts(&claim, &basket, NOW), Err(refusal));
            mend(&mut claim);
        };
        wants(Refusal::Inactive, |claim| claim.terms.is_active = true);
        wants(Refusal::NotStarted(Time(1_001)), |claim| claim.terms.starts_at = Some(NOW));
        wants(Refusal::Expired, |claim| claim.terms.ends_at = Some(Time(1_001)));
        wants(Refusal::UsedUp, |claim| claim.uses = 4);
        wants(Refusal::AlreadyUsed, |claim| claim.own_uses = 1);
        wants(Refusal::NotApplicable, |claim| claim.terms.categories.push("tea".into()));
        wants(Refusal::BelowMinimum(cents(1_001)), |claim| claim.terms.min_subtotal = Some(cents(1_000)));
        assert_eq!(discounts(&claim, &basket, NOW), Ok(vec![cents(60), cents(40)]));
    }

    #[test]
    fn it_is_for_the_lines_of_its_categories_alone() {
        let mut claim = percent("50");
        claim.terms.categories = vec!["mugs".into()];
        let mut basket = lines(&[300, 501, 700]);
        basket[1].category = Some("mugs");
        basket[2].category = None;
        assert_eq!(discounts(&claim, &basket, NOW), Ok(vec![cents(0), cents(251), cents(0)]));
    }

    #[test]
    fn an_amount_takes_off_no_more_than_there_is() {
        let five = claim(Kind::Amount(cents(500)));
        assert_eq!(discounts(&five, &lines(&[300, 100]), NOW), Ok(vec![cents(300), cents(100)]));
        assert_eq!(discounts(&five, &lines(&[]), NOW), Err(Refusal::NotApplicable));
        assert_eq!(discounts(&five, &lines(&[0]), NOW), Err(Refusal::NotApplicable));
        assert_eq!(
            discounts(&percent("1"), &lines(&[49]), NOW),
            Err(Refusal::NotApplicable),
            "it rounds to nothing"
        );
    }

    #[test]
    fn it_is_rounded_once_and_the_largest_remainders_get_what_is_left() {
        // 10 % of 0.99 is 0.10; each line would have 0.033.
        let thirds = discounts(&percent("10"), &lines(&[33, 33, 33]), NOW).expect("good");
        assert_eq!(thirds, [cents(4), cents(3), cents(3)]);
        let uneven = discounts(&percent("10"), &lines(&[104, 106, 105]), NOW).expect("good");
        assert_eq!(uneven, [cents(10), cents(11), cents(11)]);
    }

    proptest! {
        #[test]
        fn shares_sum_exactly_and_none_is_above_its_line(
            totals in proptest::collection::vec(0..=99_999_999_999_i64, 1..20),
            rate in 1..=100_000_u32,
            amount in 1..=999_999_999_999_i64,
            is_percent: bool,
        ) {
            let rate = format!("{}.{:03}", rate / 1000, rate % 1000);
            let claim = if is_percent { percent(&rate) } else { claim(Kind::Amount(cents(amount))) };
            let sum: i64 = totals.iter().sum();
            let whole = if is_percent {
                cents(sum).at_rate(rate.parse().expect("a rate")).expect("it fits").minor
            } else {
                amount.min(sum)
            };
            match discounts(&claim, &lines(&totals), NOW) {
                Ok(off) => {
                    prop_assert_eq!(off.iter().map(|share| share.minor).sum::<i64>(), whole);
                    for (share, total) in off.iter().zip(&totals) {
                        prop_assert!((0..=*total).contains(&share.minor));
                        // No share is a whole unit from its exact part.
                        let exact = i128::from(whole) * i128::from(*total);
                        prop_assert!((i128::from(share.minor) * i128::from(sum) - exact).abs() < i128::from(sum));
                    }
                }
                Err(refusal) => prop_assert!(refusal == Refusal::NotApplicable && whole == 0),
            }
        }
    }
}
