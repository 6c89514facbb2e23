//! What somebody who looked at something has to say of it: how bad it is, and what to do.

use serde::Serialize;

/// How bad it is, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Ok,
    /// The shop works, and not as well or as safely as it should.
    Warning,
    /// Something does not work, or will soon stop to.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    pub level: Level,
    /// What is so.
    pub says: String,
    /// What to do; nothing where all is well.
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

pub fn ok(says: impl Into<String>) -> Advice {
    Advice { level: Level::Ok, says: says.into(), todo: None }
}

pub fn warning(says: impl Into<String>, todo: impl Into<String>) -> Advice {
    Advice { level: Level::Warning, says: says.into(), todo: Some(todo.into()) }
}

pub fn error(says: impl Into<String>, todo: impl Into<String>) -> Advice {
    Advice { level: Level::Error, says: says.into(), todo: Some(todo.into()) }
}
