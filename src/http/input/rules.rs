//! What the fields of a body must be. Each rule reads a value, and says as a JSON Schema what it reads.

use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::{Number, Value, json};

use super::{At, Input, body_schema, read_object};
use crate::clock::Time;
use crate::described::Described;
use crate::money::Money;

/// What a field's value must be.
pub trait Rule<T> {
    /// Takes the value; `None` when a fault was noted.
    fn read(&self, value: &Value, at: &mut At<'_>) -> Option<T>;

    /// The JSON Schema of what is read.
    fn schema(&self) -> Value;
}

struct Made<T, R, S>(R, S, PhantomData<fn() -> T>);

impl<T, R: Fn(&Value, &mut At<'_>) -> Option<T>, S: Fn() -> Value> Rule<T> for Made<T, R, S> {
    fn read(&self, value: &Value, at: &mut At<'_>) -> Option<T> {
        self.0(value, at)
    }

    fn schema(&self) -> Value {
        self.1()
    }
}

/// A rule of one's own: what it says it reads, and how it reads it.
pub fn rule<T>(schema: impl Fn() -> Value, read: impl Fn(&Value, &mut At<'_>) -> Option<T>) -> impl Rule<T> {
    Made(read, schema, PhantomData)
}

/// Characters of texts, as regular expressions say it (ECMA-262): any but control characters, line breaks and tabs
/// excepted; those of one line; and what leaves no mark on paper.
const TEXT: &str = r"\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F";
const LINE: &str = r"\u0000-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069";
const BLANK: &str = r"\t\n\r \u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000";

fn characters(but: &str, length: &RangeInclusive<usize>) -> Value {
    let (least, most) = (*length.start(), *length.end());
    let pattern =
        if least == 0 { format!("^[^{but}]*$") } else { format!("^[^{but}]*[^{but}{BLANK}][^{but}]*$") };
    json!({"type": "string", "minLength": least, "maxLength": most, "pattern": pattern})
}

/// A [`text`] of one line, which reads in the order in which it is written: no line breaks, no marks that turn the
/// direction of what follows (Unicode, UAX 9).
pub fn line(length: RangeInclusive<usize>) -> impl Rule<String> {
    let text = text(length.clone());
    rule(
        move || characters(LINE, &length),
        move |value, at| {
            let line = text.read(value, at)?;
            let is_mark = |c| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
            if line.chars().any(|c| c.is_control() || is_mark(c)) {
                return at.fault("must be one line, without control characters");
            }
            Some(line)
        },
    )
}

/// A string of so many characters, without control characters other than line breaks and tabs.
pub fn text(length: RangeInclusive<usize>) -> impl Rule<String> {
    let said = length.clone();
    rule(
        move || characters(TEXT, &said),
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
        },
    )
}

/// A whole number.
pub fn integer(range: RangeInclusive<i64>) -> impl Rule<i64> {
    let (least, most) = (*range.start(), *range.end());
    rule(
        move || json!({"type": "integer", "format": "int64", "minimum": least, "maximum": most}),
        move |value, at| {
            let Value::Number(number) = value else { return at.fault("must be an integer") };
            match exact(number) {
                Some(number) if range.contains(&number) => Some(number),
                _ => at.fault(format!("must be an integer from {least} to {most}")),
            }
        },
    )
}

/// What a JSON number is as a whole one: `110.0` and `1.1e2` are 110 (JSON Schema, 6.1.1). It is never read as a float.
fn exact(number: &Number) -> Option<i64> {
    let text = number.to_string();
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let places = exponent.parse::<i64>().ok()?.checked_sub(fraction.len() as i64)?;
    let digits: i64 = format!("{whole}{fraction}").parse().ok()?;
    if digits == 0 {
        return Some(0);
    }
    let shift = 10_i64.checked_pow(u32::try_from(places.unsigned_abs()).ok()?)?;
    if places >= 0 { digits.checked_mul(shift) } else { (digits % shift == 0).then_some(digits / shift) }
}

/// An id or a quantity.
pub fn whole<T: TryFrom<i64>>(range: RangeInclusive<i64>) -> impl Rule<T> {
    let integer = std::rc::Rc::new(integer(range));
    let said = integer.clone();
    rule(
        move || said.schema(),
        move |value, at| integer.read(value, at).and_then(|number| T::try_from(number).ok()),
    )
}

/// A record's id.
pub fn id<T: From<u64>>() -> impl Rule<T> {
    let range = 1..=i64::MAX;
    rule(
        || json!({"type": "integer", "format": "int64", "minimum": 1, "maximum": i64::MAX}),
        move |value, at| whole::<u64>(range.clone()).read(value, at).map(T::from),
    )
}

pub fn boolean() -> impl Rule<bool> {
    rule(bool::schema, |value, at| value.as_bool().or_else(|| at.fault("must be true or false")))
}

/// An amount of the shop's currency: a decimal string or a JSON number, read exactly.
pub fn money() -> impl Rule<Money> {
    rule(Money::schema, |value, at| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return at.fault("must be a decimal string such as \"19.99\", or a number"),
        };
        at.currency.parse(&text).or_else_fault(at)
    })
}

/// One of a type's words.
pub fn word<T: FromStr<Err = String> + Described>() -> impl Rule<T> {
    rule(T::schema, |value, at| {
        let Value::String(text) = value else { return at.fault("must be a string") };
        text.parse().or_else_fault(at)
    })
}

/// A moment.
pub fn time() -> impl Rule<Time> {
    rule(Time::schema, |value, at| {
        let said = "must be an RFC 3339 time such as 2026-11-23T10:00:00Z, or a date";
        match value {
            Value::String(text) => Time::parse(text.trim()).or_else(|| at.fault(said)),
            _ => at.fault(said),
        }
    })
}

/// An http(s) address.
pub fn url() -> impl Rule<String> {
    let text = text(1..=2000);
    rule(
        || json!({"type": "string", "maxLength": 2000, "pattern": format!("^https?://[^/{LINE}{BLANK}][^{LINE}{BLANK}]*$")}),
        move |value, at| {
            let text = text.read(value, at)?;
            let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            match rest {
                Some(rest)
                    if !rest.is_empty() && !rest.starts_with('/') && !text.contains(char::is_whitespace) =>
                {
                    Some(text)
                }
                _ => at.fault("must be an http or https address"),
            }
        },
    )
}

/// An array of at most `most` such values.
pub fn list<T>(each: impl Rule<T>, most: usize) -> impl Rule<Vec<T>> {
    let each = std::rc::Rc::new(each);
    let said = each.clone();
    rule(
        move || json!({"type": "array", "items": said.schema(), "maxItems": most}),
        move |value, at| {
            let Value::Array(items) = value else { return at.fault("must be an array") };
            if items.len() > most {
                return at.fault(format!("must have at most {most} items"));
            }
            let read: Vec<_> = items
                .iter()
                .enumerate()
                .map(|(n, item)| each.read(item, &mut at.inside(&n.to_string())))
                .collect();
            read.into_iter().collect()
        },
    )
}

/// A [`list`] that is not empty.
pub fn some<T>(each: impl Rule<T>, most: usize) -> impl Rule<Vec<T>> {
    let list = std::rc::Rc::new(list(each, most));
    let said = list.clone();
    let schema = move || {
        let mut schema = said.schema();
        schema["minItems"] = json!(1);
        schema
    };
    rule(schema, move |value, at| match list.read(value, at) {
        Some(items) if items.is_empty() => at.fault("must not be empty; leave it out instead"),
        items => items,
    })
}

/// A nested object.
pub fn object<T: Input>() -> impl Rule<T> {
    rule(body_schema::<T>, |value, at| {
        let Value::Object(object) = value else { return at.fault("must be an object") };
        let before = at.faults.len();
        let input = read_object(object, at.path.clone(), at.currency, at.faults);
        (at.faults.len() == before).then_some(input)
    })
}

/// An object of strings, such as a variant's options.
pub fn text_map(most: usize, length: usize) -> impl Rule<Vec<(String, String)>> {
    rule(
        move || {
            json!({
                "type": "object",
                "maxProperties": most,
                "propertyNames": {"minLength": 1, "maxLength": length, "pattern": r"\S"},
                "additionalProperties": text(1..=length).schema(),
            })
        },
        move |value, at| {
            let Value::Object(object) = value else { return at.fault("must be an object") };
            if object.len() > most {
                return at.fault(format!("must have at most {most} members"));
            }
            let read: Vec<_> = object
                .iter()
                .map(|(name, value)| {
                    let mut at = at.inside(name);
                    if name.trim().is_empty() || name.chars().count() > length {
                        return at.fault(format!("a name must have 1 to {length} characters"));
                    }
                    text(1..=length).read(value, &mut at).map(|value| (name.clone(), value))
                })
                .collect();
            read.into_iter().collect()
        },
    )
}

trait OrFault<T> {
    fn or_else_fault(self, at: &mut At<'_>) -> Option<T>;
}

impl<T> OrFault<T> for Result<T, String> {
    fn or_else_fault(self, at: &mut At<'_>) -> Option<T> {
        self.map_or_else(|said| at.fault(said), Some)
    }
}

#[cfg(test)]
mod tests {
    use super::exact;

    #[test]
    fn a_number_is_whole_however_it_is_written() {
        for (text, whole) in [
            ("110", Some(110)),
            ("110.0", Some(110)),
            ("1.10e2", Some(110)),
            ("-11000E-2", Some(-110)),
            ("0.00001e5", Some(1)),
            ("-0.0", Some(0)),
            ("0e999999999999999999", Some(0)),
            ("9223372036854775807.0", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("1e19", None),
            ("1.5", None),
            ("110e-2", None),
            ("1e-400", None),
            ("1e99999999999999999999", None),
        ] {
            let number = serde_json::from_str(text).expect("a JSON number");
            assert_eq!(exact(&number), whole, "{text}");
        }
    }
}
