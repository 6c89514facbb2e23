//! I7: coupons against the orders that carry them.

use std::collections::BTreeMap;

use super::model::Code;
use super::store::{COUPONS, USES};
use crate::id::UserId;
use crate::store::{Look, ReadTx, StoreError};

/// Who carries a coupon in how many orders that are not cancelled. Orders' check fills it.
#[derive(Default)]
pub struct Carried(BTreeMap<Code, BTreeMap<UserId, u64>>);

impl Carried {
    pub fn add(&mut self, code: &Code, buyer: UserId) {
        if !self.0.contains_key(code) {
            self.0.insert(code.clone(), BTreeMap::new());
        }
        if let Some(buyers) = self.0.get_mut(code) {
            *buyers.entry(buyer).or_default() += 1;
        }
    }

    /// Holds what is counted against it, and against the limits.
    pub fn check(mut self, tx: &ReadTx, look: &Look<'_>) -> Result<(), StoreError> {
        let fault = |code: &Code, said: String| look.found("I7", format!("coupon {code}"), said);
        let totals: BTreeMap<_, u64> =
            self.0.iter().map(|(code, buyers)| (code.clone(), buyers.values().sum())).collect();
        let mut limits = BTreeMap::new();
        look.begin("coupons", COUPONS.count(tx)?);
        look.each(tx, &COUPONS, |code, coupon| {
            let carried = totals.get(&code).copied().unwrap_or(0);
            if coupon.used != carried {
                fault(
                    &code,
                    format!(
                        "it is counted as used {} times, but {carried} live orders carry it",
                        coupon.used
                    ),
                );
            }
            if let Some(most) = coupon.terms.max_uses.filter(|most| *most < carried) {
                fault(&code, format!("{carried} live orders carry it, and it may be used {most} times"));
            }
            limits.insert(code, coupon.terms.max_uses_per_user);
        })?;
        look.begin("uses of coupons", USES.count(tx)?);
        look.each(tx, &USES, |(code, buyer), one| {
            let carried = self.0.get_mut(&code).and_then(|buyers| buyers.remove(&buyer)).unwrap_or(0);
            if one.times != carried || one.coupon != code {
                let said =
                    format!("user {buyer} is counted as having used it {} times, not {carried}", one.times);
                fault(&code, said);
            }
            if let Some(most) = limits.get(&code).copied().flatten().filter(|most| *most < carried) {
                fault(&code, format!("user {buyer} used it {carried} times, and may {most} times"));
            }
        })?;
        for (code, buyers) in self.0 {
            if !limits.contains_key(&code) {
                fault(&code, "orders carry it, but there is no such coupon".into());
            }
            for (buyer, times) in buyers {
                fault(&code, format!("user {buyer} used it {times} times, which is not counted"));
            }
        }
        Ok(())
    }
}
