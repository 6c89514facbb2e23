//! HTTPS: under which names, with whose certificates; and the ways in, which depend on it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::Config;
use super::read::Faults;
use super::value::{Setting, list};
use crate::accounts::Email;
use crate::http::Door;

/// Most names in one certificate, as Let's Encrypt has it.
const MOST_DOMAINS: usize = 100;
/// The port of HTTPS.
const PORT: u16 = 443;

/// Names that the shop answers to, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domains(pub Vec<String>);

impl Setting for Domains {
    fn read(text: &str) -> Result<Self, String> {
        let names: Vec<String> =
            list(text).map(|name| name.trim_end_matches('.').to_ascii_lowercase()).collect();
        if names.is_empty() && !text.is_empty() {
            return Err("has no name in it; leave it empty for plain HTTP".into());
        }
        if names.len() > MOST_DOMAINS {
            return Err(format!("must be at most {MOST_DOMAINS} names"));
        }
        if !names.iter().all(|name| is_domain(name)) {
            return Err(
                "must be names such as shop.example.com, with commas between them: no addresses, no *, \
                        letters of other alphabets as xn--…"
                    .into(),
            );
        }
        Ok(Domains(names))
    }

    fn show(&self) -> String {
        self.0.join(",")
    }
}

fn is_domain(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label) && name.parse::<IpAddr>().is_err()
}

impl Config {
    /// Whether the shop speaks HTTPS by itself.
    pub fn is_https(&self) -> bool {
        !self.https_domain.0.is_empty() || self.certificate_files().is_some()
    }

    /// How the shop's addresses begin.
    pub fn scheme(&self) -> &'static str {
        if self.is_https() { "https" } else { "http" }
    }

    /// The certificate and its key, where they are files of the operator's.
    pub fn certificate_files(&self) -> Option<(PathBuf, PathBuf)> {
        let files = (self.https_cert_file.as_str(), self.https_key_file.as_str());
        (files != ("", "")).then(|| (files.0.into(), files.1.into()))
    }

    /// Where the shop listens.
    pub fn listen(&self) -> SocketAddr {
        if self.is_https() && !self.is_set("server.listen") {
            return SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), PORT);
        }
        self.server_listen
    }

    /// The ways in, each with its setting.
    pub fn doors(&self) -> Vec<(Door, &'static str, SocketAddr)> {
        let shop = if self.is_https() { Door::SecureShop } else { Door::Shop };
        let http = self.https_http_listen.filter(|_| self.is_https());
        let others = [
            (Door::Redirect, "https.http_listen", http),
            (Door::Operations, "server.ops_listen", self.server_ops_listen),
        ];
        let others = others.into_iter().filter_map(|(door, key, address)| Some((door, key, address?)));
        [(shop, "server.listen", self.listen())].into_iter().chain(others).collect()
    }

    /// What customers call the shop, without a slash at the end; empty where nobody said.
    pub fn public_url(&self) -> String {
        match self.https_domain.0.first() {
            Some(domain) if self.server_public_url.is_empty() => format!("https://{domain}"),
            _ => self.server_public_url.trim_end_matches('/').to_owned(),
        }
    }
}

pub(super) fn check(config: &Config, faults: &mut Faults) {
    if config.https_cert_file.is_empty() != config.https_key_file.is_empty() {
        let missing = if config.https_key_file.is_empty() { "https.key_file" } else { "https.cert_file" };
        faults.say(missing, "is missing: a certificate and its key go together");
    }
    let email = &config.https_acme_email;
    if !email.is_empty() {
        faults.of("https.acme_email", email.parse::<Email>().map_err(|said| format!("it {said}")));
    }
    let doors = config.doors();
    let doors: Vec<_> = doors.into_iter().filter(|(_, key, _)| faults.can_judge(key)).collect();
    for (at, (_, key, address)) in doors.iter().enumerate() {
        let is_same = |other: &&(Door, &str, SocketAddr)| address.port() != 0 && other.2 == *address;
        if let Some((_, other, _)) = doors[..at].iter().find(is_same) {
            faults.say(key, format!("is where {other} is; it needs a port of its own"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Flags;
    use super::*;

    fn load(settings: &[(&'static str, &str)]) -> Result<Config, String> {
        let flags = settings.iter().map(|(key, value)| (*key, "test", (*value).to_owned())).collect();
        Config::load(None, [], &Flags(flags)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_domain_makes_a_shop_of_https() {
        let config = load(&[("https.domain", "Shop.Example.com., www.example.com")]).expect("good settings");
        assert_eq!(config.https_domain.0, ["shop.example.com", "www.example.com"]);
        assert_eq!((config.scheme(), config.public_url().as_str()), ("https", "https://shop.example.com"));
        assert_eq!(config.listen().to_string(), "[::]:443");
        let set = [
            ("https.domain", "a.example"),
            ("server.listen", "127.0.0.1:8080"),
            ("server.public_url", "https://b.example/"),
        ];
        let config = load(&set).expect("good settings");
        assert_eq!((config.listen().port(), config.public_url().as_str()), (8080, "https://b.example"));
        let config = load(&[]).expect("good settings");
        assert_eq!((config.scheme(), config.public_url().as_str()), ("http", ""));
        assert_eq!(config.listen().to_string(), "127.0.0.1:8080");
    }

    #[test]
    fn a_list_of_no_names_is_no_wish_for_plain_http() {
        for text in [",", " , ", " "] {
            let said = load(&[("https.domain", text)]).expect_err(text);
            assert!(said.contains("it has no name in it"), "{said}");
        }
        assert!(!load(&[("https.domain", "")]).expect("good settings").is_https());
    }

    #[test]
    fn what_no_certificate_can_be_had_for_is_refused() {
        for name in [
            "192.0.2.1",
            "*.example.com",
            "https://a.example",
            "a..b",
            "-a.example",
            "ä.example",
            "a.example:443",
        ] {
            let said = load(&[("https.domain", name)]).expect_err(name);
            assert!(said.contains("must be names such as"), "{said}");
        }
        let said = load(&[("https.cert_file", "a.pem")]).expect_err("no key");
        assert!(said.contains("https.key_file: is missing"), "{said}");
        let said = load(&[("https.acme_directory", "http://ca.example")]).expect_err("in the clear");
        assert!(said.contains("must begin with https://"), "{said}");
    }
}
