//! Query strings.

use std::fmt::Write as _;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::clock::Time;
use crate::http::error::{ApiError, Faults};
use crate::money::{Currency, Money};

/// A query string, decoded.
#[derive(Debug, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// # Errors
    /// 422 when it is not percent-encoded UTF-8.
    pub fn parse(raw: &str) -> Result<Query, ApiError> {
        let decode = |part: &str| decode(&part.replace('+', " "));
        let mut pairs = Vec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err(ApiError::field("query", "must be percent-encoded UTF-8"));
            };
            pairs.push((name, value));
        }
        Ok(Query { pairs })
    }

    /// The last value given under `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Refuses parameters other than these, where one that is passed over would do harm.
    ///
    /// # Errors
    /// 422, with every other name.
    pub fn only(&self, names: &[&str]) -> Result<(), ApiError> {
        let others = self.pairs.iter().filter(|(name, _)| !names.contains(&name.as_str()));
        let said = format!("is not a parameter of this request; those are {}", names.join(", "));
        let mut faults: Faults = others.map(|(name, _)| (name.clone(), vec![said.clone()])).collect();
        for (n, (name, _)) in self.pairs.iter().enumerate() {
            if self.pairs[..n].iter().any(|(other, _)| other == name) {
                faults.insert(name.clone(), vec!["is given twice".into()]);
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(ApiError::invalid(faults)) }
    }

    /// Reads a value, if it is given and not empty.
    ///
    /// # Errors
    /// 422, with `said` about the value.
    pub fn read<T>(
        &self,
        name: &str,
        said: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        match self.get(name) {
            None | Some("") => Ok(None),
            Some(text) => read(text).map(Some).ok_or_else(|| ApiError::field(name, said)),
        }
    }

    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        self.read(name, "must be true or false", |text| match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    pub fn time(&self, name: &str) -> Result<Option<Time>, ApiError> {
        self.read(name, "must be an RFC 3339 time such as 2026-11-23T10:00:00Z, or a date", Time::parse)
    }

    pub fn money(&self, name: &str, currency: Currency) -> Result<Option<Money>, ApiError> {
        let said = format!("must be an amount in {currency}");
        self.read(name, &said, |text| currency.parse(text).ok())
    }

    pub fn word<T: FromStr<Err = String>>(&self, name: &str) -> Result<Option<T>, ApiError> {
        match self.get(name) {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|said| ApiError::field(name, said)),
        }
    }

    /// The query with `name` set to `value`, encoded again.
    pub fn with(&self, name: &str, value: &str) -> String {
        let others = self.pairs.iter().filter(|(n, _)| n != name).map(|(n, v)| (n.as_str(), v.as_str()));
        let mut out = String::new();
        for (name, value) in others.chain([(name, value)]) {
            let lead = if out.is_empty() { '?' } else { '&' };
            let _ = write!(out, "{lead}{}={}", encode(name), encode(value));
        }
        out
    }
}

/// Percent-decodes; `None` if the result is not UTF-8.
pub fn decode(text: &str) -> Option<String> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

/// Percent-encodes what is not unreserved (RFC 3986, 2.3).
pub fn encode(text: &str) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, ESCAPED).to_string()
}
