//! Reading what clients send: JSON bodies and query strings, with every fault found at once.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::error::{ApiError, Faults};
use crate::clock::Time;
use crate::money::{Currency, Money};

/// A body that can be read from a JSON object.
pub trait Input: Sized {
    /// Takes its fields from `from`. A field that is wrong is noted there, and what is returned then is
    /// dropped.
    fn read(from: &mut Fields<'_>) -> Self;
}

/// The body of a request that says nothing: none at all, or `{}`.
#[derive(Default)]
pub struct Nothing;

impl Input for Nothing {
    fn read(_: &mut Fields<'_>) -> Self {
        Nothing
    }
}

/// The fields of one JSON object, and the faults found so far.
pub struct Fields<'a> {
    object: &'a Map<String, Value>,
    path: String,
    known: HashSet<&'static str>,
    /// The shop's currency, for amounts.
    pub currency: Currency,
    faults: &'a mut Faults,
}

/// What a field's value must be: takes the value, its path and the faults.
pub trait Rule<T>: Fn(&Value, &mut At<'_>) -> Option<T> {}
impl<T, F: Fn(&Value, &mut At<'_>) -> Option<T>> Rule<T> for F {}

/// Where in the body we are.
pub struct At<'a> {
    path: String,
    /// The shop's currency, for amounts.
    pub currency: Currency,
    faults: &'a mut Faults,
}

impl At<'_> {
    pub fn fault<T>(&mut self, said: impl Into<String>) -> Option<T> {
        self.faults.entry(self.path.clone()).or_default().push(said.into());
        None
    }

    fn inside(&mut self, name: &str) -> At<'_> {
        At { path: format!("{}.{name}", self.path), currency: self.currency, faults: self.faults }
    }
}

impl Fields<'_> {
    fn at(&mut self, name: &str) -> At<'_> {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        At { path, currency: self.currency, faults: self.faults }
    }

    /// Whether the field is there at all, null or not.
    pub fn given(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    /// A field that may be absent or null.
    pub fn opt<T>(&mut self, name: &'static str, rule: impl Rule<T>) -> Option<T> {
        self.known.insert(name);
        match self.object.get(name) {
            None | Some(Value::Null) => None,
            Some(value) => rule(value, &mut self.at(name)),
        }
    }

    /// A field that must be there.
    pub fn req<T: Default>(&mut self, name: &'static str, rule: impl Rule<T>) -> T {
        self.known.insert(name);
        match self.object.get(name) {
            None => self.at(name).fault("is required"),
            Some(Value::Null) => self.at(name).fault("must not be null"),
            Some(value) => rule(value, &mut self.at(name)),
        }
        .unwrap_or_default()
    }

    /// A field of a partial change: `None` if absent; a null is refused.
    pub fn change<T>(&mut self, name: &'static str, rule: impl Rule<T>) -> Option<T> {
        if matches!(self.object.get(name), Some(Value::Null)) {
            self.known.insert(name);
            return self.at(name).fault("must not be null");
        }
        self.opt(name, rule)
    }

    /// A field of a partial change that null empties: `None` if absent.
    pub fn change_or_null<T>(&mut self, name: &'static str, rule: impl Rule<T>) -> Option<Option<T>> {
        let given = self.given(name);
        let value = self.opt(name, rule);
        given.then_some(value)
    }

    /// A fault that no single field's rule can see.
    pub fn fault(&mut self, name: &str, said: &str) {
        self.at(name).fault::<()>(said);
    }

    fn finish(self) {
        let unknown: Vec<_> = self.object.keys().filter(|name| !self.known.contains(name.as_str())).collect();
        for name in unknown {
            let path = if self.path.is_empty() { name.clone() } else { format!("{}.{name}", self.path) };
            self.faults.entry(path).or_default().push("is not a field of this request".into());
        }
    }
}

/// Reads a whole body.
///
/// # Errors
/// 400 `malformed_json`, 422 `validation_error`.
pub fn read_json<T: Input>(body: &[u8], currency: Currency) -> Result<T, ApiError> {
    let malformed = |said: String| ApiError::new(400, "malformed_json", said);
    let text = std::str::from_utf8(body).map_err(|_| malformed("The body is not UTF-8.".into()))?;
    read_text(text, currency).map_err(|bad| match bad {
        BadJson::Malformed(said) => malformed(format!("The body is not JSON: {said}.")),
        BadJson::Faults(faults) => ApiError::invalid(faults),
    })
}

/// Why a text is not the JSON that is wanted.
pub enum BadJson {
    Malformed(String),
    Faults(Faults),
}

/// Reads an object from a JSON text.
pub fn read_text<T: Input>(text: &str, currency: Currency) -> Result<T, BadJson> {
    let whole = |said: &str| BadJson::Faults(Faults::from([(String::new(), vec![said.to_owned()])]));
    // What serde_json marks its own values with, which a client could dress an object up as a number with.
    if text.contains("$serde_json::private") {
        return Err(whole("must not have members that begin with $serde_json::private"));
    }
    let value: Value = serde_json::from_str(text).map_err(|error| BadJson::Malformed(error.to_string()))?;
    let Value::Object(object) = &value else { return Err(whole("must be a JSON object")) };
    let mut faults = Faults::new();
    let mut fields =
        Fields { object, path: String::new(), known: HashSet::new(), currency, faults: &mut faults };
    let input = T::read(&mut fields);
    fields.finish();
    if faults.is_empty() { Ok(input) } else { Err(BadJson::Faults(faults)) }
}

/// A [`text`] of one line, which reads in the order in which it is written: no line breaks, no marks that turn the
/// direction of what follows (Unicode, UAX 9).
pub fn line(length: RangeInclusive<usize>) -> impl Rule<String> {
    let text = text(length);
    move |value, at| {
        let line = text(value, at)?;
        let is_mark = |c| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
        if line.chars().any(|c| c.is_control() || is_mark(c)) {
            return at.fault("must be one line, without control characters");
        }
        Some(line)
    }
}

/// A string of so many characters, without control characters other than line breaks and tabs.
pub fn text(length: RangeInclusive<usize>) -> impl Rule<String> {
    move |value, at| {
        let Value::String(text) = value else { return at.fault("must be a string") };
        let (least, most) = (*length.start(), *length.end());
        let count = text.chars().count();
        if count > most {
            return at.fault(format!("must have at most {most} characters"));
        }
        if count < least || (least > 0 && text.trim().is_empty()) {
            return at.fault(if least <= 1 {
                "must not be empty".into()
            } else {
                format!("must have at least {least} characters")
            });
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return at.fault("must not have control characters");
        }
        Some(text.clone())
    }
}

/// A whole number.
pub fn integer(range: RangeInclusive<i64>) -> impl Rule<i64> {
    move |value, at| {
        let Value::Number(number) = value else { return at.fault("must be an integer") };
        let said = format!("must be an integer from {} to {}", range.start(), range.end());
        match number.as_i64() {
            Some(number) if range.contains(&number) => Some(number),
            _ => at.fault(said),
        }
    }
}

/// An id or a quantity.
pub fn whole<T: TryFrom<i64>>(range: RangeInclusive<i64>) -> impl Rule<T> {
    move |value, at| integer(range.clone())(value, at).and_then(|number| T::try_from(number).ok())
}

/// A record's id.
pub fn id<T: From<u64>>() -> impl Rule<T> {
    |value, at| whole::<u64>(1..=i64::MAX)(value, at).map(T::from)
}

pub fn boolean(value: &Value, at: &mut At<'_>) -> Option<bool> {
    value.as_bool().or_else(|| at.fault("must be true or false"))
}

/// An amount of the shop's currency: a decimal string or a JSON number, read exactly.
pub fn money(value: &Value, at: &mut At<'_>) -> Option<Money> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return at.fault("must be a decimal string such as \"19.99\", or a number"),
    };
    at.currency.parse(&text).or_else_fault(at)
}

/// One of a type's words.
pub fn word<T: FromStr<Err = String>>(value: &Value, at: &mut At<'_>) -> Option<T> {
    let Value::String(text) = value else { return at.fault("must be a string") };
    text.parse().or_else_fault(at)
}

/// A moment.
pub fn time(value: &Value, at: &mut At<'_>) -> Option<Time> {
    let said = "must be an RFC 3339 time such as 2026-11-23T10:00:00Z, or a date";
    match value {
        Value::String(text) => Time::parse(text.trim()).or_else(|| at.fault(said)),
        _ => at.fault(said),
    }
}

/// An http(s) address.
pub fn url(value: &Value, at: &mut At<'_>) -> Option<String> {
    let text = text(1..=2000)(value, at)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') && !text.contains(char::is_whitespace) => {
            Some(text)
        }
        _ => at.fault("must be an http or https address"),
    }
}

/// An array of at most `most` such values.
pub fn list<T>(rule: impl Rule<T>, most: usize) -> impl Rule<Vec<T>> {
    move |value, at| {
        let Value::Array(items) = value else { return at.fault("must be an array") };
        if items.len() > most {
            return at.fault(format!("must have at most {most} items"));
        }
        let read: Vec<_> =
            items.iter().enumerate().map(|(n, item)| rule(item, &mut at.inside(&n.to_string()))).collect();
        read.into_iter().collect()
    }
}

/// A nested object.
pub fn object<T: Input>(value: &Value, at: &mut At<'_>) -> Option<T> {
    let Value::Object(object) = value else { return at.fault("must be an object") };
    let before = at.faults.len();
    let mut fields = Fields {
        object,
        path: at.path.clone(),
        known: HashSet::new(),
        currency: at.currency,
        faults: at.faults,
    };
    let input = T::read(&mut fields);
    fields.finish();
    (at.faults.len() == before).then_some(input)
}

/// An object of strings, such as a variant's options.
pub fn text_map(most: usize, length: usize) -> impl Rule<Vec<(String, String)>> {
    move |value, at| {
        let Value::Object(object) = value else { return at.fault("must be an object") };
        if object.len() > most {
            return at.fault(format!("must have at most {most} members"));
        }
        let rule = text(1..=length);
        let read: Vec<_> = object
            .iter()
            .map(|(name, value)| {
                let mut at = at.inside(name);
                if name.trim().is_empty() || name.chars().count() > length {
                    return at.fault(format!("a name must have 1 to {length} characters"));
                }
                rule(value, &mut at).map(|value| (name.clone(), value))
            })
            .collect();
        read.into_iter().collect()
    }
}

trait OrFault<T> {
    fn or_else_fault(self, at: &mut At<'_>) -> Option<T>;
}

impl<T> OrFault<T> for Result<T, String> {
    fn or_else_fault(self, at: &mut At<'_>) -> Option<T> {
        self.map_or_else(|said| at.fault(said), Some)
    }
}

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

/// Holds one cell of a file against the rule of the field that it stands for.
pub fn cell<T>(text: &str, rule: impl Rule<T>, currency: Currency) -> Result<T, String> {
    let mut faults = Faults::new();
    let value =
        rule(&Value::String(text.to_owned()), &mut At { path: String::new(), currency, faults: &mut faults });
    value.ok_or_else(|| faults.into_values().flatten().next().unwrap_or_else(|| "is not right".into()))
}
