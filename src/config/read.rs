//! Gathering values from file, environment and flags.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::{SETTINGS, Setting, Source, bucket};

/// What `server.environment` took the place of.
const RENAMED: [&str; 2] = ["errors.environment", "otlp.environment"];

/// What is wrong with the settings, all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// Values that flags give: setting, flag, value.
#[derive(Default, Clone, Debug)]
pub struct Flags(pub Vec<(&'static str, &'static str, String)>);

/// The last value given for each setting, and where.
pub struct Given {
    values: HashMap<&'static str, (String, Source)>,
    faults: Vec<String>,
    /// What was given and can't be read.
    unread: Vec<&'static str>,
}

impl Given {
    pub fn gather(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &Flags,
    ) -> Result<Given, ConfigError> {
        let mut given = Given { values: HashMap::new(), faults: Vec::new(), unread: Vec::new() };
        if let Some(path) = file {
            given.read_file(path)?;
        }
        let mut environment: Vec<_> = environment.into_iter().collect();
        environment.sort();
        for (name, value) in &environment {
            let source = Source::Environment(name.clone());
            if name == "TILL_DATA_DIR" {
                given.put("data.dir", value.clone(), source);
            } else if let Some(rest) = name.strip_prefix("TILL_").filter(|rest| rest.contains("__")) {
                given.put(&rest.to_lowercase().replace("__", "."), value.clone(), source);
            }
        }
        for (name, key) in bucket::ENDPOINT_AND_REGION {
            given.borrow(&[(name, key)], &environment);
        }
        given.borrow(&bucket::KEYS, &environment);
        given.borrow_port(&environment);
        for (key, flag, value) in &flags.0 {
            given.put(key, value.clone(), Source::Flag(flag));
        }
        Ok(given)
    }

    fn put(&mut self, key: &str, value: String, source: Source) {
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) {
            self.values.insert(setting.key, (value, source));
            return;
        }
        let secret =
            key.strip_suffix("_file").and_then(|own| SETTINGS.iter().find(|s| s.is_secret && s.key == own));
        if let Some(setting) = secret {
            match std::fs::read_to_string(&value) {
                Ok(text) => drop(self.values.insert(setting.key, (text.trim_end().to_owned(), source))),
                Err(error) => self.faults.push(format!("{source}: {key}: {value} can't be read: {error}")),
            }
            return;
        }
        if RENAMED.contains(&key) {
            self.faults.push(format!("{source}: {key} is server.environment now, for errors and OTLP alike"));
            return;
        }
        let nearest = SETTINGS.iter().map(|s| (strsim::jaro_winkler(s.key, key), s.key));
        let nearest = nearest.filter(|(near, _)| *near > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
        let hint = match nearest {
            Some((_, nearest)) => format!("did you mean {nearest}?"),
            None => {
                format!("the settings are {}", SETTINGS.iter().map(|s| s.key).collect::<Vec<_>>().join(", "))
            }
        };
        self.faults.push(format!("{source}: {key} is not a setting; {hint}"));
    }

    /// Takes settings from variables that are not till's own, unless one of these settings is given already.
    fn borrow(&mut self, names: &[(&str, &str)], environment: &[(String, String)]) {
        if names.iter().any(|(_, key)| self.values.contains_key(key)) {
            return;
        }
        for (name, key) in names {
            if let Some((_, value)) = environment.iter().find(|(own, value)| own == name && !value.is_empty())
            {
                self.put(key, value.clone(), Source::Environment((*name).to_owned()));
            }
        }
    }

    /// Listens where a platform has its programs listen, unless it is said where.
    fn borrow_port(&mut self, environment: &[(String, String)]) {
        let port = environment.iter().find(|(name, value)| name == "PORT" && !value.is_empty());
        if let Some((name, port)) = port.filter(|_| !self.values.contains_key("server.listen")) {
            self.put("server.listen", format!("0.0.0.0:{port}"), Source::Environment(name.clone()));
        }
    }

    fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError(vec![format!("{} can't be read: {error}", path.display())]))?;
        let line_of = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        let document = DeTable::parse(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(span.start));
            ConfigError(vec![format!("{}:{line}: {}", path.display(), error.message())])
        })?;
        let mut found = Vec::new();
        flatten("", document.get_ref(), &mut found);
        found.sort_by_key(|(_, _, at)| *at);
        for (key, value, at) in found {
            let source = Source::File { path: path.to_owned(), line: line_of(at) };
            match value {
                Some(value) => self.put(&key, value, source),
                None => {
                    self.faults.push(format!("{source}: {key} must be a string, a number, true or false"));
                }
            }
        }
        Ok(())
    }

    /// The setting's value, or its default; a value that is no good is noted.
    pub fn take<T: Setting>(&mut self, key: &'static str, default: &str) -> (T, Source) {
        let fallback = || T::read(default).expect("defaults are good");
        let Some((text, source)) = self.values.get(key) else { return (fallback(), Source::Default) };
        match T::read(text) {
            Ok(value) => (value, source.clone()),
            Err(said) => {
                let shown = if T::IS_SECRET { "********" } else { text };
                self.faults.push(format!("{source}: {key} is {shown:?}; it {said}"));
                self.unread.push(key);
                (fallback(), Source::Default)
            }
        }
    }

    /// Faults that were found after reading.
    pub fn note(&mut self, faults: Faults) {
        for (key, said) in faults.found {
            let place = self.values.get(key).map(|(_, source)| format!("{source}: ")).unwrap_or_default();
            self.faults.push(format!("{place}{key}: {said}"));
        }
    }

    /// What is to be found by looking at the settings as they were read.
    pub fn faults(&self) -> Faults {
        Faults { found: Vec::new(), unread: self.unread.clone() }
    }

    /// Faults that say themselves what they are about.
    pub fn note_all(&mut self, said: Vec<String>) {
        self.faults.extend(said);
    }

    pub fn finish(self) -> Result<(), ConfigError> {
        if self.faults.is_empty() { Ok(()) } else { Err(ConfigError(self.faults)) }
    }
}

/// What one setting's own check can't see, as it is found.
pub struct Faults {
    found: Vec<(&'static str, String)>,
    unread: Vec<&'static str>,
}

impl Faults {
    pub fn say(&mut self, key: &'static str, said: impl Into<String>) {
        self.found.push((key, said.into()));
    }

    /// Notes what is wrong with a setting, if anything is.
    pub fn of<T>(&mut self, key: &'static str, found: Result<T, impl Into<String>>) {
        if let Err(said) = found {
            self.say(key, said);
        }
    }

    /// Whether a setting is as it was given: its default stands in for what can't be read, and is nobody's fault.
    pub fn can_judge(&self, key: &str) -> bool {
        !self.unread.contains(&key)
    }
}

/// The values of a document by dotted key, with where they stand; `None` for what is no plain value.
fn flatten(path: &str, table: &DeTable<'_>, found: &mut Vec<(String, Option<String>, usize)>) {
    for (name, value) in table {
        let key =
            if path.is_empty() { name.get_ref().to_string() } else { format!("{path}.{}", name.get_ref()) };
        let text = match value.get_ref() {
            DeValue::Table(inner) => {
                flatten(&key, inner, found);
                continue;
            }
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) => Some(number.to_string()),
            DeValue::Float(number) => Some(number.to_string()),
            DeValue::Boolean(flag) => Some(flag.to_string()),
            DeValue::Datetime(_) | DeValue::Array(_) => None,
        };
        found.push((key, text, name.span().start));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("config.toml");
        std::fs::write(&path, text).expect("written");
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let loaded = Config::load(Some(&path), environment, &Flags::default());
        loaded.map_err(|error| {
            let place = format!("{}/", dir.path().display());
            ConfigError(error.0.into_iter().map(|fault| fault.replace(&place, "")).collect())
        })
    }

    #[test]
    fn every_fault_is_said_with_its_place_and_what_is_allowed() {
        let faults = load(
            "[server]\nlisten = \"here\"\n\n[orders]\nhold_minute = 5\n[auth]\naccess_minutes = 0\n",
            &[("TILL_SHOP__CURRENCY", "EURO"), ("TILL_HOME", "unrelated")],
        )
        .expect_err("a bad file")
        .0;
        assert_eq!(
            faults,
            [
                "config.toml:5: orders.hold_minute is not a setting; did you mean orders.hold_minutes?",
                "config.toml:2: server.listen is \"here\"; it must be ADDRESS:PORT, such as 127.0.0.1:8080 or [::]:80",
                "$TILL_SHOP__CURRENCY: shop.currency is \"EURO\"; it must be an ISO 4217 code in capitals, such as USD, EUR or JPY",
                "config.toml:7: auth.access_minutes is \"0\"; it must be an integer from 1 to 1440",
            ]
        );
    }

    #[test]
    fn a_file_that_is_no_toml_is_said_with_its_line() {
        let faults = load("[server]\nlisten = \n", &[]).expect_err("a bad file").0;
        assert!(faults[0].starts_with("config.toml:2: "), "{faults:?}");
    }

    #[test]
    fn the_environment_beats_the_file() {
        let config = load("[shop]\nname = \"File\"\ncurrency = \"EUR\"\n", &[("TILL_SHOP__NAME", "Env")])
            .expect("good");
        assert_eq!((config.shop_name.as_str(), config.shop_currency.code()), ("Env", "EUR"));
    }

    #[test]
    fn a_secret_can_come_from_a_file_and_is_masked() {
        let dir = tempfile::tempdir().expect("a directory");
        let key = dir.path().join("key");
        std::fs::write(&key, "0123456789abcdef0123456789abcdef\n").expect("written");
        let text = format!("[auth]\nsigning_key_file = {:?}\n", key.to_str().expect("UTF-8"));
        let config = load(&text, &[]).expect("good");
        assert_eq!(config.auth_signing_key.reveal(), "0123456789abcdef0123456789abcdef");
        let shown = config.shown();
        let shown = shown.iter().find(|(key, _, _)| *key == "auth.signing_key").expect("it is a setting");
        assert_eq!(shown.1, "********");
        assert!(!format!("{config:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn what_other_tools_call_a_buckets_keys_is_taken_where_there_are_none() {
        let aws = [
            ("AWS_ACCESS_KEY_ID", "AKIAENV"),
            ("AWS_SECRET_ACCESS_KEY", "s3cr3t"),
            ("AWS_SESSION_TOKEN", "t0k3n"),
            ("AWS_REGION", "eu-west-1"),
        ];
        let config = load("", &aws).expect("good");
        let s3 = config.s3();
        assert_eq!((s3.access_key.as_str(), s3.secret_key.reveal()), ("AKIAENV", "s3cr3t"));
        assert_eq!((s3.region.as_str(), s3.endpoint, s3.session_token.is_some()), ("eu-west-1", None, true));
        let shown = format!("{:?}{config:?}", config.shown());
        assert!(!shown.contains("s3cr3t") && !shown.contains("t0k3n"), "{shown}");

        let own = "[backup]\ns3_access_key = \"own\"\ns3_secret_key = \"its\"\ns3_endpoint = \"http://minio:9000/\"\n";
        let s3 = load(own, &aws).expect("good").s3();
        assert_eq!((s3.access_key.as_str(), s3.secret_key.reveal()), ("own", "its"));
        assert!(s3.session_token.is_none(), "a token that belongs to other keys");
        assert_eq!((s3.region.as_str(), s3.endpoint.as_deref()), ("eu-west-1", Some("http://minio:9000")));

        let faults = load("[backup]\ns3_access_key = \"own\"\n", &aws).expect_err("bad").0;
        assert!(
            faults[0].contains("backup.s3_secret_key") && faults[0].contains("go together"),
            "{faults:?}"
        );
    }

    #[test]
    fn a_platforms_port_is_listened_on_where_nobody_says_otherwise() {
        let listen =
            |text, environment: &[_]| load(text, environment).expect("good").server_listen.to_string();
        assert_eq!(listen("", &[("PORT", "10000")]), "0.0.0.0:10000");
        assert_eq!(listen("", &[("PORT", "")]), "127.0.0.1:8080");
        assert_eq!(listen("[server]\nlisten = \"127.0.0.1:9000\"\n", &[("PORT", "10000")]), "127.0.0.1:9000");
        let own = [("PORT", "10000"), ("TILL_SERVER__LISTEN", "[::1]:9000")];
        assert_eq!(listen("", &own), "[::1]:9000");
        let faults = load("", &[("PORT", "http")]).expect_err("no port").0;
        assert!(faults[0].starts_with("$PORT: server.listen is \"0.0.0.0:http\"; it must be"), "{faults:?}");
    }

    #[test]
    fn amounts_are_held_against_the_currency() {
        let faults =
            load("[shop]\ncurrency = \"JPY\"\n[shipping]\nflat = \"4.90\"\n", &[]).expect_err("bad").0;
        assert_eq!(faults, ["config.toml:4: shipping.flat: must have at most 0 decimals in JPY, in JPY"]);
    }
}
