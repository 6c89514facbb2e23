//! Money: integer minor units of one currency, with checked arithmetic and one rounding rule
//! (half away from zero). No amount ever passes through a float.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use crate::described::Described;

/// Most integer digits an amount may have in a request.
const MAX_INTEGER_DIGITS: usize = 12;

/// ISO 4217 codes in use whose minor unit is a hundredth.
const TWO_DECIMALS: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD \
    CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG \
    HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK \
    MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS \
    SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG";
/// Those without a minor unit.
const NO_DECIMALS: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF";
/// Those whose minor unit is a thousandth.
const THREE_DECIMALS: &str = "BHD IQD JOD KWD LYD OMR TND";

/// An ISO 4217 currency. The default is the code of "no currency", which no shop can be set to.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The three-letter code, upper case.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("made of ASCII letters only")
    }

    /// How many decimals its amounts are written with: 0, 2 or 3.
    pub fn decimals(self) -> u32 {
        match self.code() {
            code if NO_DECIMALS.contains(code) => 0,
            code if THREE_DECIMALS.contains(code) => 3,
            _ => 2,
        }
    }

    /// Nothing, in this currency.
    pub fn zero(self) -> Money {
        Money { minor: 0, currency: self }
    }

    /// Reads a decimal amount as a person or a client writes it: `19.99`, `5`, `0.5`.
    ///
    /// # Errors
    /// What is wrong, in words: not a plain decimal number, negative, more decimals than the currency has,
    /// or more than 12 integer digits.
    pub fn parse(self, text: &str) -> Result<Money, String> {
        let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if text.starts_with('-') {
            return Err("must not be negative".into());
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if whole.is_empty()
            || !plain(whole)
            || !plain(fraction)
            || (text.contains('.') && fraction.is_empty())
        {
            return Err("must be a decimal number such as \"19.99\"".into());
        }
        if whole.trim_start_matches('0').len() > MAX_INTEGER_DIGITS {
            return Err(format!("must have at most {MAX_INTEGER_DIGITS} digits before the point"));
        }
        let decimals = self.decimals() as usize;
        if fraction.len() > decimals {
            return Err(format!("must have at most {decimals} decimals in {}", self.code()));
        }
        let digits = format!("{whole}{fraction:0<decimals$}");
        let minor = digits.parse().map_err(|_| "is too large".to_owned())?;
        Ok(Money { minor, currency: self })
    }
}

impl Default for Currency {
    fn default() -> Self {
        Currency([b'X'; 3])
    }
}

impl FromStr for Currency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = |list: &str| list.split_ascii_whitespace().any(|code| code == text);
        if !(known(TWO_DECIMALS) || known(NO_DECIMALS) || known(THREE_DECIMALS)) {
            return Err("an ISO 4217 code in capitals, such as USD, EUR or JPY".into());
        }
        Ok(Currency(text.as_bytes().try_into().expect("listed codes have three letters")))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { to.serialize_str(self.code()) } else { self.0.serialize(to) }
    }
}

impl<'de> Deserialize<'de> for Currency {
    /// From a record. Clients' amounts are read by [`Currency::parse`].
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = <[u8; 3]>::deserialize(from)?;
        if bytes.iter().all(u8::is_ascii_uppercase) {
            Ok(Currency(bytes))
        } else {
            Err(serde::de::Error::custom("not a currency code"))
        }
    }
}

/// The sum does not fit. Only absurd quantities and prices get here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the amount is too large")]
pub struct Overflow;

/// An amount in minor units. In records it is its parts, in JSON a decimal string with the currency's
/// own number of decimals.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Money {
    /// Hundredths for USD, whole yen for JPY, thousandths for KWD.
    pub minor: i64,
    pub currency: Currency,
}

impl Money {
    pub fn is_zero(self) -> bool {
        self.minor == 0
    }

    fn with(self, minor: Option<i64>) -> Result<Money, Overflow> {
        minor.map(|minor| Money { minor, ..self }).ok_or(Overflow)
    }

    pub fn plus(self, other: Money) -> Result<Money, Overflow> {
        assert_eq!(self.currency, other.currency, "a shop has one currency");
        self.with(self.minor.checked_add(other.minor))
    }

    pub fn minus(self, other: Money) -> Result<Money, Overflow> {
        assert_eq!(self.currency, other.currency, "a shop has one currency");
        self.with(self.minor.checked_sub(other.minor))
    }

    pub fn times(self, quantity: u32) -> Result<Money, Overflow> {
        self.with(self.minor.checked_mul(i64::from(quantity)))
    }

    /// `self × rate`, rounded once.
    pub fn at_rate(self, rate: Rate) -> Result<Money, Overflow> {
        self.share(i64::from(rate.0), i64::from(Rate::WHOLE))
    }

    /// `self × part / whole`, rounded half away from zero. `whole` must be above zero.
    pub fn share(self, part: i64, whole: i64) -> Result<Money, Overflow> {
        assert!(whole > 0, "a share of nothing");
        let product = i128::from(self.minor) * i128::from(part);
        let half = i128::from(whole) / 2;
        let away = if product < 0 { product - half } else { product + half };
        // With an odd `whole` no value lies exactly at half, so the truncated half rounds right.
        self.with(i64::try_from(away / i128::from(whole)).ok())
    }

    /// The sum of `amounts`; nothing, in `currency`, for none.
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Money>) -> Result<Money, Overflow> {
        amounts.into_iter().try_fold(currency.zero(), Money::plus)
    }
}

impl fmt::Display for Money {
    /// The decimal alone, without the currency: `19.99`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = self.currency.decimals();
        let sign = if self.minor < 0 { "-" } else { "" };
        let (minor, unit) = (self.minor.unsigned_abs(), 10_u64.pow(decimals));
        if decimals == 0 {
            return write!(f, "{sign}{minor}");
        }
        write!(f, "{sign}{}.{:0width$}", minor / unit, minor % unit, width = decimals as usize)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} {}", self.currency)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { to.collect_str(self) } else { (self.minor, self.currency).serialize(to) }
    }
}

impl<'de> Deserialize<'de> for Money {
    /// From a record. Clients' amounts are read by [`Currency::parse`].
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (minor, currency) = Deserialize::deserialize(from)?;
        Ok(Money { minor, currency })
    }
}

/// A percentage, exact to a thousandth of a percent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rate(u32);

impl Rate {
    /// The rate that is 100 %.
    const WHOLE: u32 = 100_000;

    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { to.collect_str(self) } else { self.0.serialize(to) }
    }
}

impl<'de> Deserialize<'de> for Rate {
    /// From a record.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let rate = u32::deserialize(from)?;
        if rate > Rate::WHOLE { Err(serde::de::Error::custom("over 100 %")) } else { Ok(Rate(rate)) }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let said = || "a percentage from 0 to 100 with at most 3 decimals, such as 19 or 8.875".to_owned();
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        if fraction.is_empty() || fraction.len() > 3 || whole.len() > 3 {
            return Err(said());
        }
        let digits = format!("{whole}{fraction:0<3}");
        if !digits.bytes().all(|b| b.is_ascii_digit()) || whole.is_empty() {
            return Err(said());
        }
        let rate = digits.parse().map_err(|_| said())?;
        if rate > Rate::WHOLE { Err(said()) } else { Ok(Rate(rate)) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1000, self.0 % 1000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

crate::answered_as!(Currency: json!({"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217"}));

crate::answered_as!(Money, "Money": Money::answered(Currency::default()));

/// What stands in schemas for [`Money`] that may be in another currency than the shop's.
pub struct AnyMoney;

crate::answered_as!(AnyMoney: json!({
    "type": "string",
    "pattern": "^-?[0-9]+(\\.[0-9]+)?$",
    "description": "A decimal, with its own currency's number of decimals.",
}));

impl Described for Money {
    fn schema() -> Value {
        json!({"$ref": "#/components/schemas/Amount"})
    }
}

impl Money {
    /// The JSON Schema of amounts of `currency` in answers.
    pub fn answered(currency: Currency) -> Value {
        let decimals = currency.decimals();
        let fraction = if decimals == 0 { String::new() } else { format!("\\.[0-9]{{{decimals}}}") };
        json!({
            "type": "string",
            "pattern": format!("^-?[0-9]+{fraction}$"),
            "description": "A decimal, with the currency's own number of decimals.",
        })
    }

    /// The JSON Schema of amounts of `currency` in requests.
    pub fn asked(currency: Currency) -> Value {
        let decimals = currency.decimals();
        let fraction = if decimals == 0 { String::new() } else { format!("(\\.[0-9]{{1,{decimals}}})?") };
        let number = match decimals {
            0 => json!({"type": "integer", "minimum": 0, "maximum": 999_999_999_999_u64}),
            _ => json!({
                "type": "number",
                "minimum": 0,
                "maximum": 999_999_999_999_u64,
                "multipleOf": 10_f64.powi(-decimals.cast_signed()),
            }),
        };
        json!({
            "description": "A decimal, as a string or a number: at most 12 digits before the point, and after it at most \
                as many as the currency has.",
            "anyOf": [{"type": "string", "pattern": format!("^0*[0-9]{{1,{MAX_INTEGER_DIGITS}}}{fraction}$")}, number],
        })
    }
}

crate::answered_as!(Rate: json!({"type": "string", "pattern": "^[0-9]{1,3}(\\.[0-9]{1,3})?$", "description": "Percent."}));

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        code.parse().expect("a known code")
    }

    #[test]
    fn amounts_are_written_with_the_currencys_own_decimals() {
        for (code, text, minor) in [("USD", "19.99", 1999), ("JPY", "1999", 1999), ("KWD", "19.990", 19_990)]
        {
            let money = currency(code).parse(text).expect("a good amount");
            assert_eq!((money.minor, money.to_string().as_str()), (minor, text));
        }
    }

    #[test]
    fn amounts_that_are_not_plain_decimals_are_refused() {
        for bad in
            ["", ".", "1.", ".5", "-1", "+1", "1e3", "NaN", "1.999", " 1", "1,50", "1234567890123", "٣"]
        {
            assert!(currency("USD").parse(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(currency("JPY").parse("1.0").is_err());
        assert!("usd".parse::<Currency>().is_err());
        assert!("US".parse::<Currency>().is_err());
    }

    #[test]
    fn a_half_is_rounded_away_from_zero() {
        let cents = |minor| Money { minor, currency: currency("USD") };
        assert_eq!(cents(5).share(1, 2), Ok(cents(3)));
        assert_eq!(cents(-5).share(1, 2), Ok(cents(-3)));
        assert_eq!(cents(1000).at_rate("8.875".parse().expect("a rate")), Ok(cents(89)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(minor in 0..=999_999_999_999_i64, code in prop_oneof!["USD", "JPY", "KWD"]) {
            let money = Money { minor, currency: currency(&code) };
            prop_assert_eq!(money.currency.parse(&money.to_string()), Ok(money));
        }

        #[test]
        fn a_share_is_off_by_half_a_unit_at_most(minor in any::<i64>(), part in 0..=1_000_000_i64, whole in 1..=1_000_000_i64) {
            let exact = i128::from(minor) * i128::from(part);
            if let Ok(share) = (Money { minor, currency: currency("USD") }).share(part, whole) {
                let off = (i128::from(share.minor) * i128::from(whole) - exact).abs();
                prop_assert!(off * 2 <= i128::from(whole));
            }
        }

        #[test]
        fn sums_never_wrap(a in any::<i64>(), b in any::<i64>(), n in any::<u32>()) {
            let (a, b) = (Money { minor: a, currency: currency("USD") }, Money { minor: b, currency: currency("USD") });
            prop_assert_eq!(a.plus(b).ok().map(|m| m.minor), a.minor.checked_add(b.minor));
            prop_assert_eq!(a.times(n).ok().map(|m| m.minor), a.minor.checked_mul(i64::from(n)));
        }
    }
}
