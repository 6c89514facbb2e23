//! The types that settings have.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::http::Origins;
use crate::money::{Currency, Rate};
use crate::orders::Carriers;
use crate::store::Upgrade;

/// A type that a setting can have. All layers bring text.
pub trait Setting: Sized {
    const IS_SECRET: bool = false;
    const IS_TEXT: bool = true;

    /// # Errors
    /// What is allowed.
    fn read(text: &str) -> Result<Self, String>;
    /// How `till config show` prints it.
    fn show(&self) -> String;
}

/// The parts of a list with commas.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// A value that is never shown.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show())
    }
}

impl Setting for Secret {
    const IS_SECRET: bool = true;

    fn read(text: &str) -> Result<Self, String> {
        Ok(Secret(Zeroizing::new(text.to_owned())))
    }

    fn show(&self) -> String {
        if self.0.is_empty() { String::new() } else { "********".into() }
    }
}

impl Setting for String {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl Setting for Carriers {
    fn read(text: &str) -> Result<Self, String> {
        Carriers::read(text)
    }

    fn show(&self) -> String {
        self.0.iter().map(|one| format!("{}={}", one.name, one.template)).collect::<Vec<_>>().join(",")
    }
}

impl Setting for PathBuf {
    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("must be a path".into()) } else { Ok(text.into()) }
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Setting for Origins {
    fn read(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn show(&self) -> String {
        match self {
            Origins::Every => "*".into(),
            Origins::These(some) => some.join(", "),
        }
    }
}

impl Setting for bool {
    const IS_TEXT: bool = false;

    fn read(text: &str) -> Result<Self, String> {
        match text {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err("must be true or false".into()),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for SocketAddr {
    fn read(text: &str) -> Result<Self, String> {
        let local = text.replace("localhost:", "127.0.0.1:");
        local.parse().map_err(|_| "must be ADDRESS:PORT, such as 127.0.0.1:8080 or [::]:80".into())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for Option<SocketAddr> {
    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { SocketAddr::read(text).map(Some) }
    }

    fn show(&self) -> String {
        self.map(|address| address.to_string()).unwrap_or_default()
    }
}

impl Setting for Currency {
    fn read(text: &str) -> Result<Self, String> {
        Currency::from_str(text).map_err(|said| format!("must be {said}"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for Rate {
    fn read(text: &str) -> Result<Self, String> {
        Rate::from_str(text).map_err(|said| format!("must be {said}"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// What a shop is called among others of its owner's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Environment(pub String);

impl Environment {
    /// Most characters, at Sentry; others take more.
    const LONGEST: usize = 64;
}

impl Setting for Environment {
    fn read(text: &str) -> Result<Self, String> {
        let is_good = |c: char| !c.is_whitespace() && !c.is_control() && c != '/';
        let is_known = (1..=Self::LONGEST).contains(&text.chars().count()) && text.chars().all(is_good);
        // Sentry keeps the word None for itself.
        if is_known && text != "None" {
            return Ok(Environment(text.to_owned()));
        }
        Err(format!("must be a name of 1 to {} characters without spaces and slashes", Self::LONGEST))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// What is logged: a level, or a filter of levels by target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogLevel(pub String);

impl Setting for LogLevel {
    fn read(text: &str) -> Result<Self, String> {
        let level = |text: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&text);
        let good = |part: &str| {
            part.split_once('=').map_or_else(|| level(part), |(target, l)| !target.is_empty() && level(l))
        };
        if text.split(',').all(|part| good(part.trim())) {
            Ok(LogLevel(text.to_owned()))
        } else {
            Err("must be error, warn, info, debug or trace, or a filter such as till=debug,hyper=warn".into())
        }
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// How the log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    Text,
    Json,
}

impl Setting for LogFormat {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("must be text or json".into()),
        }
    }

    fn show(&self) -> String {
        match self {
            LogFormat::Text => "text".into(),
            LogFormat::Json => "json".into(),
        }
    }
}

impl Setting for Upgrade {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "snapshot" => Ok(Upgrade::Snapshot),
            "direct" => Ok(Upgrade::Direct),
            "refuse" => Ok(Upgrade::Refuse),
            _ => Err("must be snapshot, direct or refuse".into()),
        }
    }

    fn show(&self) -> String {
        match self {
            Upgrade::Snapshot => "snapshot".into(),
            Upgrade::Direct => "direct".into(),
            Upgrade::Refuse => "refuse".into(),
        }
    }
}
