//! Amounts as PayPal takes them: decimal strings in the currency's own decimals.

use super::wire::{Refusal, refusal};
use serde_json::{Value, json};

/// The currencies that PayPal takes, and those of them without decimals.
const CURRENCIES: [&str; 24] = [
    "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "JPY", "MXN", "MYR",
    "NOK", "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "TWD", "USD",
];
const WHOLE: [&str; 3] = ["HUF", "JPY", "TWD"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Money {
    pub currency: String,
    pub minor: i64,
}

impl Money {
    /// Reads an amount; refuses a currency or decimals that PayPal would not take.
    pub fn read(sent: &Value) -> Result<Money, Refusal> {
        let currency = sent["currency_code"].as_str().unwrap_or_default();
        if !CURRENCIES.contains(&currency) {
            return Err(refusal("INVALID_CURRENCY_CODE"));
        }
        let (whole, fraction) =
            sent["value"].as_str().map_or(("", ""), |v| v.split_once('.').unwrap_or((v, "")));
        let decimals = decimals(currency);
        if fraction.len() > decimals {
            return Err(refusal(if decimals == 0 { "DECIMALS_NOT_SUPPORTED" } else { "DECIMAL_PRECISION" }));
        }
        let minor = format!("{whole}{fraction:0<decimals$}").parse();
        let minor = minor.map_err(|_| refusal("INVALID_PARAMETER_SYNTAX"))?;
        Ok(Money { currency: currency.to_owned(), minor })
    }

    /// The same, and more than nothing.
    pub fn read_positive(sent: &Value) -> Result<Money, Refusal> {
        let money = Money::read(sent)?;
        if money.minor > 0 { Ok(money) } else { Err(refusal("CANNOT_BE_ZERO_OR_NEGATIVE")) }
    }

    /// As much of the same currency.
    pub fn of(&self, minor: i64) -> Money {
        Money { currency: self.currency.clone(), minor }
    }

    /// What PayPal keeps for a payment: 2.99 % and 49 minor units, but never more than all.
    pub fn fee(&self) -> Money {
        self.of(((self.minor * 299 + 5_000) / 10_000 + 49).min(self.minor))
    }

    pub fn json(&self) -> Value {
        let value = match decimals(&self.currency) {
            0 => self.minor.to_string(),
            _ => format!("{}.{:02}", self.minor / 100, self.minor % 100),
        };
        json!({ "currency_code": self.currency, "value": value })
    }
}

fn decimals(currency: &str) -> usize {
    if WHOLE.contains(&currency) { 0 } else { 2 }
}
