//! Settings that are URLs. They are shown to whoever looks at the settings, so they hold no secrets.

use reqwest::Url;

use super::Config;
use super::read::Faults;

/// How a URL is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Paths are added to it.
    Base,
    /// It is opened as it is, or something is added to its end.
    Whole,
}

/// Every setting that is a URL, how it is used, and where it has to be said who may.
fn all(config: &Config) -> [(&'static str, &str, Use, &'static str); 11] {
    use Use::{Base, Whole};
    let nobody = "whoever follows it logs in at the shop alone";
    [
        ("server.public_url", &config.server_public_url, Base, nobody),
        ("https.acme_directory", &config.https_acme_directory, Whole, "the shop makes its own account there"),
        (
            "payment.stripe.api_base",
            &config.payment_stripe_api_base,
            Base,
            "payment.stripe.secret_key is for that",
        ),
        (
            "payment.paypal.api_base",
            &config.payment_paypal_api_base,
            Base,
            "payment.paypal.client_secret is for that",
        ),
        ("payment.paypal.return_url", &config.payment_paypal_return_url, Whole, nobody),
        (
            "backup.s3_endpoint",
            &config.backup_s3_endpoint,
            Base,
            "backup.s3_access_key and s3_secret_key are for that",
        ),
        ("mail.order_url", &config.mail_order_url, Whole, nobody),
        ("mail.reset_url", &config.mail_reset_url, Whole, nobody),
        ("mail.verify_url", &config.mail_verify_url, Whole, nobody),
        ("errors.rollbar_url", &config.errors_rollbar_url, Whole, "errors.rollbar_token is for that"),
        ("otlp.endpoint", &config.otlp_endpoint, Base, "otlp.headers is for that (authorization=Basic%20…)"),
    ]
}

/// What one setting's check can't see.
pub(super) fn check(config: &Config, faults: &mut Faults) {
    for (key, text, used, instead) in all(config) {
        // What has a default is needed.
        if !text.is_empty() || !Config::default_of(key).is_empty() {
            faults.of(key, good(text, used, instead));
        }
    }
    let directory = &config.https_acme_directory;
    if directory.starts_with("http://") {
        faults.say("https.acme_directory", "must begin with https://");
    }
}

/// What is said of a URL shows nothing of it: there may be a secret in it.
fn good(text: &str, used: Use, instead: &str) -> Result<(), String> {
    let is_http = text.starts_with("https://") || text.starts_with("http://");
    if !is_http || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be a URL that begins with https:// or http://, of visible ASCII characters".into());
    }
    let url = Url::parse(text).map_err(|error| format!("must be a URL: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("must have no user or password in it, because it is shown; {instead}"));
    }
    if used == Use::Base && (url.query().is_some() || url.fragment().is_some()) {
        return Err("must have no ? and no #: paths are added to it".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Flags, SETTINGS};
    use super::*;

    fn faults(key: &'static str, url: &str) -> Vec<String> {
        let flags = Flags(vec![(key, "--test", url.to_owned())]);
        Config::load(None, [], &flags).err().map(|error| error.0).unwrap_or_default()
    }

    #[test]
    fn no_url_has_a_secret_in_it_and_what_is_wrong_shows_none() {
        for (key, _, _, instead) in all(&Config::defaults()) {
            for url in [
                "https://ann:s3cr3t@example.com",
                "https://s3cr3t@example.com/a",
                "https://:s3cr3t@example.com:8/",
            ] {
                let said = faults(key, url);
                assert_eq!(said.len(), 1, "{key}: {said:?}");
                assert!(
                    said[0].starts_with(&format!("--test: {key}: must have no user or password")),
                    "{said:?}"
                );
                assert!(said[0].contains(instead) && !said[0].contains("s3cr3t"), "{said:?}");
            }
            assert_eq!(faults(key, "https://example.com/a@b"), Vec::<String>::new(), "{key}");
            for url in ["example.com", "ftp://example.com", "https://", "https://a b.example", "https://[::1"]
            {
                let said = faults(key, url);
                assert!(said.len() == 1 && said[0].contains(": must be a URL"), "{key} {url}: {said:?}");
            }
        }
    }

    #[test]
    fn every_setting_that_is_a_url_is_looked_at() {
        let known = all(&Config::defaults()).map(|(key, ..)| key);
        let is_url =
            |key: &str| ["_url", "_base", "endpoint", "_directory"].iter().any(|end| key.ends_with(end));
        let urls = SETTINGS.iter().filter(|setting| !setting.is_secret && is_url(setting.key));
        for setting in urls {
            assert!(known.contains(&setting.key), "{}", setting.key);
        }
    }

    #[test]
    fn what_paths_are_added_to_ends_in_a_path() {
        let said = faults("server.public_url", "https://shop.example.com/?a=b");
        assert!(said[0].contains("no ? and no #"), "{said:?}");
        assert!(faults("mail.reset_url", "https://shop.example.com/#/reset?token=").is_empty());
    }
}
