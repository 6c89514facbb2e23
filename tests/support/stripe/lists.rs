//! Lists: filters and pages, newest first.

use super::FakeStripe;
use super::money::integer;
use super::refusal::Refusal;
use serde_json::{Value, json};

impl FakeStripe {
    /// A page of the objects of a kind, with filters that ask for a field's value.
    pub(super) fn list(
        &self,
        path: &str,
        prefix: &str,
        parameters: &Value,
        filters: &[&str],
    ) -> Result<Value, Refusal> {
        let asked: Vec<_> = filters.iter().filter_map(|name| Some((*name, parameters.get(*name)?))).collect();
        let chosen = self
            .kind(prefix)
            .rev()
            .filter(|object| asked.iter().all(|(name, value)| object[*name] == **value));
        page(path, chosen.cloned().collect(), parameters)
    }
}

/// The page that is asked for, of all that there is, newest first.
pub fn page(path: &str, all: Vec<Value>, parameters: &Value) -> Result<Value, Refusal> {
    let limit = integer(parameters, "limit")?.unwrap_or(10);
    let limit = usize::try_from(limit).ok().filter(|limit| (1..=100).contains(limit)).ok_or_else(|| {
        Refusal::parameter(Some("limit"), "parameter_invalid_integer", "A limit is between 1 and 100.")
    })?;
    let mut chosen = Vec::new();
    for object in all {
        if created_within(&object, &parameters["created"])? {
            chosen.push(object);
        }
    }
    let place = |name: &str| match parameters[name].as_str() {
        None => Ok(None),
        Some(id) => chosen.iter().position(|object| object["id"] == *id).map(Some).ok_or_else(|| {
            Refusal::parameter(Some(name), "resource_missing", format!("No such object: '{id}'"))
        }),
    };
    let (after, before) = (place("starting_after")?, place("ending_before")?);
    let rest = match (after, before) {
        (Some(_), Some(_)) => {
            let message = "You cannot parameterize both starting_after and ending_before.";
            return Err(Refusal::parameter(None, "parameter_invalid", message));
        }
        (Some(after), None) => &chosen[after + 1..],
        (None, Some(before)) => &chosen[..before],
        (None, None) => &chosen[..],
    };
    let more = rest.len() > limit;
    let data = if before.is_some() {
        &rest[rest.len().saturating_sub(limit)..]
    } else {
        &rest[..limit.min(rest.len())]
    };
    Ok(json!({ "object": "list", "url": path, "has_more": more, "data": data }))
}

/// Whether an object was made when `created`, or `created[gte]` and so on, asks for.
fn created_within(object: &Value, asked: &Value) -> Result<bool, Refusal> {
    let created = object["created"].as_i64().unwrap_or_default();
    if asked.is_string() {
        return Ok(integer(&json!({ "created": asked }), "created")? == Some(created));
    }
    let bound = |name| integer(asked, name);
    Ok(bound("gte")?.is_none_or(|bound| created >= bound)
        && bound("gt")?.is_none_or(|bound| created > bound)
        && bound("lte")?.is_none_or(|bound| created <= bound)
        && bound("lt")?.is_none_or(|bound| created < bound))
}
