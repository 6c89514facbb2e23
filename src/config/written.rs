//! The settings as a file: commented, each with its value or its default.

use super::{Config, SETTINGS};

impl Config {
    /// The commented example: every setting with its default.
    pub fn example() -> String {
        Config::written(&[])
    }

    /// A commented settings file: these settings with their values, and all others with their defaults.
    pub fn written(values: &[(&'static str, String)]) -> String {
        let mut out = String::from(
            "# till's settings. Every one is optional; what is commented out stands at its default.\n\
             # An environment variable beats the file: TILL_ + section + __ + key, such as TILL_SERVER__LISTEN.\n\
             # A flag beats both. Secrets can come from a file of their own: write its path under key_file.\n",
        );
        let mut section = "";
        for setting in SETTINGS {
            let (own, key) = setting.key.rsplit_once('.').expect("settings have a section");
            if own != section {
                out.push_str(&format!("\n[{own}]\n"));
                section = own;
            }
            for line in setting.doc {
                out.push_str(&format!("#{line}\n"));
            }
            let shown = |value: &str| if setting.is_text { quoted(value) } else { value.to_owned() };
            match values.iter().find(|(key, _)| *key == setting.key) {
                Some((_, value)) => out.push_str(&format!("{key} = {}\n", shown(value))),
                None => out.push_str(&format!("# {key} = {}\n", shown(setting.default))),
            }
        }
        out
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "\""
}
