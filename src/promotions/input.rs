//! A coupon as staff write it in JSON.

use serde::Serialize;
use serde_json::{Value, json};

use super::model::{Code, Kind, Terms};
use crate::catalogue::slugify;
use crate::clock::Time;
use crate::described::Described;
use crate::http::Faults;
use crate::http::input::{At, Fields, Input, Rule, boolean, list, money, rule, text, time, whole, word};
use crate::money::{Money, Rate};

/// Most uses that a limit can be set to.
const MOST_USES: i64 = 1_000_000_000;
/// Most categories of a coupon.
const MOST_CATEGORIES: usize = 100;

/// Fields that only the shop writes. They may come back as they were read, and are passed over.
const READ_ONLY: [&str; 5] = ["used", "last_used_at", "archived_at", "created_at", "updated_at"];

/// What kind of coupon it is.
#[derive(Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    Percent,
    Amount,
}

impl std::str::FromStr for Word {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "percent" => Ok(Word::Percent),
            "amount" => Ok(Word::Amount),
            _ => Err("must be percent or amount".into()),
        }
    }
}

crate::words!(Word: ["percent", "amount"]);

/// A figure, which is a percentage or an amount: by what the coupon is, or is to be.
#[derive(Clone)]
struct Figure {
    percent: Result<Kind, String>,
    amount: Result<Kind, String>,
}

impl Figure {
    fn read(value: &Value, at: &mut At<'_>) -> Option<Figure> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return at.fault("must be a decimal string such as \"10\", or a number"),
        };
        let percent = text.parse::<Rate>().map_err(|said| format!("must be {said}"));
        let percent =
            percent.and_then(|rate| if rate.is_zero() { Err(above_zero()) } else { Ok(Kind::Percent(rate)) });
        let amount = at.currency.parse(&text);
        let amount =
            amount.and_then(|off| if off.is_zero() { Err(above_zero()) } else { Ok(Kind::Amount(off)) });
        Some(Figure { percent, amount })
    }

    fn of(&self, kind: Word) -> &Result<Kind, String> {
        match kind {
            Word::Percent => &self.percent,
            Word::Amount => &self.amount,
        }
    }
}

fn above_zero() -> String {
    "must be above 0".into()
}

/// The fields of a coupon: all optional, because `PATCH` takes any of them.
#[derive(Clone)]
pub struct Change {
    /// May be repeated, not changed.
    code: Option<Code>,
    kind: Option<Word>,
    value: Option<Figure>,
    min_subtotal: Option<Option<Money>>,
    starts_at: Option<Option<Time>>,
    ends_at: Option<Option<Time>>,
    max_uses: Option<Option<u64>>,
    max_uses_per_user: Option<Option<u64>>,
    categories: Option<Vec<String>>,
    is_active: Option<bool>,
}

/// All of a coupon: what `POST` and `PUT` take.
#[derive(Clone)]
pub struct Whole(pub Change);

/// A new coupon.
#[derive(Clone)]
pub struct New {
    pub code: Code,
    pub coupon: Whole,
}

impl Input for Change {
    fn read(from: &mut Fields<'_>) -> Self {
        from.passes_over(&READ_ONLY);
        from.says_any(|| {
            let of =
                |kind: &str, value: Value| json!({"properties": {"kind": {"const": kind}, "value": value}});
            vec![of("percent", percentage()), of("amount", Money::schema())]
        });
        let change = Change {
            code: from.change("code", word()),
            kind: from.change("kind", word()),
            value: from.change("value", figure()),
            min_subtotal: from.change_or_null("min_subtotal", money()),
            starts_at: from.change_or_null("starts_at", time()),
            ends_at: from.change_or_null("ends_at", time()),
            max_uses: from.change_or_null("max_uses", whole(1..=MOST_USES)),
            max_uses_per_user: from.change_or_null("max_uses_per_user", whole(1..=MOST_USES)),
            categories: from.change("categories", list(category(), MOST_CATEGORIES)),
            is_active: from.change("is_active", boolean()),
        };
        if let (Some(kind), Some(value)) = (change.kind, &change.value)
            && let Err(said) = value.of(kind)
        {
            from.fault("value", said);
        }
        change
    }
}

fn figure() -> impl Rule<Figure> {
    let schema = || {
        json!({
            "description": "Above 0: a percentage with at most 3 decimals, or an amount, by the kind.",
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9.]*[1-9][0-9.]*$"},
                {"type": "number", "exclusiveMinimum": 0},
            ],
        })
    };
    rule(schema, Figure::read)
}

/// The JSON Schema of percentages.
fn percentage() -> Value {
    json!({
        "anyOf": [
            {"type": "string", "pattern": r"^([0-9]{1,2}|0[0-9]{2}|100(?!\.0*[1-9]))(\.[0-9]{1,3})?$"},
            {"type": "number", "maximum": 100, "multipleOf": 0.001},
        ],
    })
}

/// The name of a category, or its slug.
fn category() -> impl Rule<String> {
    const PATTERN: &str = r"^[^\u0000-\u001F\u007F-\u009F]*[A-Za-z0-9][^\u0000-\u001F\u007F-\u009F]*$";
    rule(
        || json!({"type": "string", "maxLength": 200, "pattern": PATTERN}),
        |value, at| {
            let slug = slugify(&text(1..=200).read(value, at)?);
            if slug.is_empty() { at.fault("must have a letter or a digit") } else { Some(slug) }
        },
    )
}

impl Input for Whole {
    fn read(from: &mut Fields<'_>) -> Self {
        from.require(&["kind", "value"]);
        Whole(Change::read(from))
    }
}

impl Input for New {
    fn read(from: &mut Fields<'_>) -> Self {
        from.require(&["code"]);
        let coupon = Whole::read(from);
        New { code: coupon.0.code.clone().unwrap_or_default(), coupon }
    }
}

impl Change {
    /// The terms with these fields in them; `None`: those of a new coupon. `code` is the coupon's own.
    pub fn onto(self, base: Option<&Terms>, code: &Code) -> Result<Terms, Faults> {
        let mut faults = Faults::new();
        let mut fault = |path: &str, said: &str| faults.entry(path.into()).or_default().push(said.to_owned());
        if self.code.is_some_and(|own| own != *code) {
            fault("code", "can't be changed; make another coupon");
        }
        let had = base.map(|terms| match terms.kind {
            Kind::Percent(_) => Word::Percent,
            Kind::Amount(_) => Word::Amount,
        });
        let kind = match (self.kind.or(had), self.value, base) {
            (Some(word), Some(value), _) => value.of(word).clone(),
            (word, None, Some(terms)) if word == had => Ok(terms.kind),
            _ => Err("must be given together with kind".to_owned()),
        };
        let kind = kind.map_err(|said| fault("value", &said)).ok();
        let Some(base) = base.cloned().or(kind.map(Terms::new)) else { return Err(faults) };
        let mut categories = self.categories.unwrap_or(base.categories);
        categories.sort();
        categories.dedup();
        let terms = Terms {
            kind: kind.unwrap_or(base.kind),
            min_subtotal: self.min_subtotal.unwrap_or(base.min_subtotal),
            starts_at: self.starts_at.unwrap_or(base.starts_at),
            ends_at: self.ends_at.unwrap_or(base.ends_at),
            max_uses: self.max_uses.unwrap_or(base.max_uses),
            max_uses_per_user: self.max_uses_per_user.unwrap_or(base.max_uses_per_user),
            categories,
            is_active: self.is_active.unwrap_or(base.is_active),
        };
        if let (Some(start), Some(end)) = (terms.starts_at, terms.ends_at)
            && end <= start
        {
            fault("ends_at", "must be after starts_at");
        }
        if faults.is_empty() { Ok(terms) } else { Err(faults) }
    }
}
