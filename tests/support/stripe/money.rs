//! What amounts Stripe takes in which currency.

use super::refusal::Refusal;
use serde_json::Value;

const TWO_DECIMALS: &str = "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn \
    bzd cad cdf chf cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr \
    ils inr isk jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn \
    nio nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top \
    try ttd twd tzs uah ugx uyu uzs wst xcd yer zar zmw";
const NO_DECIMALS: &str = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf";
const THREE_DECIMALS: &str = "bhd jod kwd omr tnd";
const LARGEST: i64 = 99_999_999;

/// The least that may be charged, where it is not 50.
const LEAST: [(&str, i64); 14] = [
    ("aed", 200),
    ("bgn", 100),
    ("czk", 1500),
    ("dkk", 250),
    ("gbp", 30),
    ("hkd", 400),
    ("huf", 17500),
    ("mxn", 1000),
    ("myr", 200),
    ("nok", 300),
    ("pln", 200),
    ("ron", 200),
    ("sek", 300),
    ("thb", 1000),
];

fn decimals(currency: &str) -> Option<u32> {
    let within = |list: &str| list.split_whitespace().any(|known| known == currency);
    [(TWO_DECIMALS, 2), (NO_DECIMALS, 0), (THREE_DECIMALS, 3)]
        .into_iter()
        .find_map(|(list, decimals)| within(list).then_some(decimals))
}

/// The amount as a person reads it.
pub fn shown(amount: i64, currency: &str) -> String {
    let sign = match currency {
        "usd" => "$",
        "eur" => "€",
        "gbp" => "£",
        _ => "",
    };
    let name = if sign.is_empty() { format!(" {currency}") } else { String::new() };
    let places = decimals(currency).unwrap_or(2);
    let unit = 10_i64.pow(places);
    let (whole, rest) = (amount / unit, amount % unit);
    if places == 0 {
        format!("{sign}{whole}{name}")
    } else {
        format!("{sign}{whole}.{rest:0w$}{name}", w = places as usize)
    }
}

/// A whole number among the parameters.
pub fn integer(parameters: &Value, name: &str) -> Result<Option<i64>, Refusal> {
    let Some(text) = parameters[name].as_str() else { return Ok(None) };
    let number = text.parse().map_err(|_| {
        Refusal::parameter(Some(name), "parameter_invalid_integer", format!("Invalid integer: {text}"))
    })?;
    Ok(Some(number))
}

/// The amount and currency of a new payment.
pub fn charged(parameters: &Value) -> Result<(i64, String), Refusal> {
    let refuse = |code: &str, message: String| Err(Refusal::parameter(Some("amount"), code, message));
    let missing = |name| {
        Refusal::parameter(Some(name), "parameter_missing", format!("Missing required param: {name}."))
    };
    let amount = integer(parameters, "amount")?.ok_or_else(|| missing("amount"))?;
    let currency = parameters["currency"].as_str().ok_or_else(|| missing("currency"))?.to_lowercase();
    let Some(decimals) = decimals(&currency) else {
        let message = format!("Invalid currency: {currency}. Stripe does not currently support it.");
        return Err(Refusal::parameter(Some("currency"), "invalid_currency", message));
    };
    if amount < 1 {
        return refuse(
            "parameter_invalid_integer",
            "This value must be greater than or equal to 1.".to_owned(),
        );
    }
    if decimals == 3 && amount % 10 != 0 {
        return refuse(
            "invalid_charge_amount",
            format!("The last digit of an amount in {currency} must be 0."),
        );
    }
    if ["isk", "ugx"].contains(&currency.as_str()) && amount % 100 != 0 {
        return refuse(
            "invalid_charge_amount",
            format!("An amount in {currency} must be a multiple of 100."),
        );
    }
    let least = LEAST.iter().find(|(known, _)| *known == currency).map_or(50, |(_, least)| *least);
    if amount < least {
        let message = format!("Amount must be at least {}", shown(least, &currency));
        return refuse("amount_too_small", message);
    }
    if amount > LARGEST {
        let message = format!("Amount must be no more than {}", shown(LARGEST, &currency));
        return refuse("amount_too_large", message);
    }
    Ok((amount, currency))
}
