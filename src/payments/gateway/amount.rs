//! Amounts as gateways count them.

use crate::money::{Currency, Money};

/// Stripe's zero-decimal currencies.
/// <https://docs.stripe.com/currencies#zero-decimal>
const STRIPE_WHOLE: &str = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF";
/// Stripe's three-decimal currencies: the last digit must be 0.
/// <https://docs.stripe.com/currencies#three-decimal>
const STRIPE_THOUSANDTHS: &str = "BHD JOD KWD OMR TND";
/// Sent as hundredths, of which there must be none.
/// <https://docs.stripe.com/currencies#special-cases>
const STRIPE_WHOLE_AS_HUNDREDTHS: &str = "ISK UGX";

/// The currencies that PayPal takes.
/// <https://developer.paypal.com/api/rest/reference/currency-codes/>
const PAYPAL: &str =
    "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF ILS JPY MXN MYR NOK NZD PHP PLN SEK SGD THB TWD USD";
/// Those of them that it takes whole units of only.
const PAYPAL_WHOLE: &str = "HUF JPY TWD";

fn stripe_decimals(currency: Currency) -> u32 {
    match currency.code() {
        code if STRIPE_WHOLE.contains(code) => 0,
        code if STRIPE_THOUSANDTHS.contains(code) => 3,
        _ => 2,
    }
}

/// An amount in the units that Stripe counts.
///
/// # Errors
/// Stripe can't take just this amount; why.
pub fn to_stripe(amount: Money) -> Result<i64, String> {
    let currency = amount.currency;
    let (ours, theirs) = (currency.decimals(), stripe_decimals(currency));
    let units = if theirs >= ours {
        amount.minor.checked_mul(10_i64.pow(theirs - ours)).ok_or("is too large")?
    } else {
        let step = 10_i64.pow(ours - theirs);
        if amount.minor % step != 0 {
            return Err(format!("{amount} {currency} can't be charged: Stripe takes {theirs} decimals"));
        }
        amount.minor / step
    };
    let step = match currency.code() {
        code if STRIPE_THOUSANDTHS.contains(code) => 10,
        code if STRIPE_WHOLE_AS_HUNDREDTHS.contains(code) => 100,
        _ => 1,
    };
    if units % step != 0 {
        return Err(format!(
            "{amount} {currency} can't be charged: Stripe takes its smallest coin in tens only"
        ));
    }
    Ok(units)
}

/// What Stripe says, as money. `None` if the currency or the amount can't be ours.
pub fn from_stripe(units: i64, code: &str) -> Option<Money> {
    let currency: Currency = code.to_ascii_uppercase().parse().ok()?;
    let (ours, theirs) = (currency.decimals(), stripe_decimals(currency));
    let minor = if theirs > ours {
        let step = 10_i64.pow(theirs - ours);
        (units % step == 0).then_some(units / step)?
    } else {
        units.checked_mul(10_i64.pow(ours - theirs))?
    };
    Some(Money { minor, currency })
}

/// An amount as PayPal's decimal string.
///
/// # Errors
/// PayPal can't take just this amount; why.
pub fn to_paypal(amount: Money) -> Result<String, String> {
    let currency = amount.currency;
    if !PAYPAL.contains(currency.code()) {
        return Err(format!("PayPal does not take {currency}"));
    }
    let text = amount.to_string();
    if !PAYPAL_WHOLE.contains(currency.code()) {
        return Ok(text);
    }
    match text.split_once('.') {
        None => Ok(text),
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => Ok(whole.to_owned()),
        Some(_) => Err(format!("{text} {currency} can't be charged: PayPal takes whole {currency} only")),
    }
}

/// What PayPal says, as money.
pub fn from_paypal(value: &str, code: &str) -> Option<Money> {
    let currency: Currency = code.parse().ok()?;
    currency.parse(value).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn money(text: &str, code: &str) -> Money {
        code.parse::<Currency>().expect("a code").parse(text).expect("an amount")
    }

    #[test]
    fn stripe_counts_by_rules_of_its_own() {
        for (text, code, units) in [
            ("19.99", "USD", 1999),
            ("500", "JPY", 500),
            ("19.990", "KWD", 19_990),
            ("500", "ISK", 50_000),
            ("500", "UGX", 50_000),
            ("100.00", "MGA", 100),
            ("12.50", "HUF", 1250),
            ("7", "XPF", 7),
        ] {
            let amount = money(text, code);
            assert_eq!(to_stripe(amount), Ok(units), "{text} {code}");
            assert_eq!(from_stripe(units, &code.to_lowercase()), Some(amount), "{text} {code}");
        }
        for (text, code) in [("19.995", "KWD"), ("100.50", "MGA")] {
            assert!(to_stripe(money(text, code)).is_err(), "{text} {code}");
        }
        assert_eq!(from_stripe(50_050, "isk"), None, "half a króna");
        assert_eq!(from_stripe(1, "zzz"), None);
    }

    #[test]
    fn paypal_takes_some_currencies_and_their_decimals() {
        for (text, code, value) in
            [("19.99", "EUR", "19.99"), ("500", "JPY", "500"), ("500.00", "HUF", "500"), ("3.00", "TWD", "3")]
        {
            let amount = money(text, code);
            assert_eq!(to_paypal(amount).as_deref(), Ok(value), "{text} {code}");
            assert_eq!(from_paypal(value, code), Some(amount), "{text} {code}");
        }
        for (text, code) in [("500.50", "HUF"), ("5.000", "KWD"), ("5", "ISK")] {
            assert!(to_paypal(money(text, code)).is_err(), "{text} {code}");
        }
    }

    proptest! {
        #[test]
        fn what_stripe_takes_comes_back_the_same(minor in 0..=99_999_999_i64, code in "(USD|JPY|KWD|ISK|MGA|HUF|IQD)") {
            let amount = Money { minor, currency: code.parse().expect("a code") };
            if let Ok(units) = to_stripe(amount) {
                prop_assert_eq!(from_stripe(units, &code), Some(amount));
            }
        }
    }
}
