//! What is asked: each question is a setting, the flag that answers it, and when it is worth asking.

use crate::config::{Config, Flags, SETTINGS};

/// Settings and what was answered, in the order of the questions. What has no answer stays at its default.
#[derive(Clone, Default)]
pub struct Answers(pub Vec<(&'static str, String)>);

impl Answers {
    pub fn get(&self, key: &str) -> &str {
        self.0.iter().find(|(own, _)| *own == key).map_or("", |(_, answer)| answer)
    }

    pub fn set(&mut self, key: &'static str, answer: String) {
        self.0.retain(|(own, _)| *own != key);
        self.0.push((key, answer));
    }

    fn has(&self, key: &str) -> bool {
        !self.get(key).is_empty()
    }

    /// The settings that they make beside what the environment says.
    pub fn config(&self, environment: impl IntoIterator<Item = (String, String)>) -> Result<Config, String> {
        let flags = self.0.iter().map(|(key, value)| (*key, "", value.clone())).collect();
        Config::load(None, environment, &Flags(flags)).map_err(|error| error.to_string())
    }
}

pub struct Question {
    pub key: &'static str,
    pub flag: &'static str,
    pub asks: &'static str,
    /// What is taken when Enter is pressed, where that is not the setting's default.
    pub suggests: Option<&'static str>,
    /// Whether it is worth asking after these answers.
    pub when: fn(&Answers) -> bool,
}

impl Question {
    pub fn is_secret(&self) -> bool {
        SETTINGS.iter().any(|setting| setting.key == self.key && setting.is_secret)
    }
}

fn always(_: &Answers) -> bool {
    true
}

const fn asked(key: &'static str, flag: &'static str, asks: &'static str) -> Question {
    Question { key, flag, asks, suggests: None, when: always }
}

const fn asked_when(
    key: &'static str,
    flag: &'static str,
    asks: &'static str,
    when: fn(&Answers) -> bool,
) -> Question {
    Question { key, flag, asks, suggests: None, when }
}

/// All questions, under the headings that a terminal shows.
pub const QUESTIONS: &[(&str, &[Question])] = &[
    (
        "The shop",
        &[
            asked("shop.name", "--name", "What is the shop called?"),
            asked(
                "shop.address",
                "--address",
                "The seller's address and tax number for invoices, \\n between lines?",
            ),
            asked("shop.currency", "--currency", "Which currency (ISO 4217)? It can't be changed later."),
            asked("shipping.flat", "--shipping", "What does sending an order cost?"),
            asked_when(
                "shipping.free_from",
                "--free-shipping-from",
                "From which subtotal on is sending free (nothing: never)?",
                |so_far| !["", "0"].contains(&so_far.get("shipping.flat")),
            ),
            asked("tax.percent", "--tax", "How much tax is added, in percent?"),
        ],
    ),
    (
        "Where it is",
        &[
            asked(
                "https.domain",
                "--domain",
                "Its domain, such as shop.example.com: certificates and HTTPS come by themselves (nothing: a proxy has them, or not yet)?",
            ),
            asked_when(
                "https.acme_email",
                "--acme-email",
                "Where may the certificate authority, Let's Encrypt, write to (nothing: nowhere)?",
                |so_far| so_far.has("https.domain"),
            ),
            asked_when(
                "server.public_url",
                "--public-url",
                "What do customers call it, such as https://shop.example.com (nothing: not known yet)?",
                |so_far| !so_far.has("https.domain"),
            ),
            asked_when("server.listen", "--listen", "Where does it listen?", |so_far| {
                !so_far.has("https.domain")
            }),
        ],
    ),
    (
        "Mail",
        &[
            asked(
                "mail.smtp_url",
                "--smtp-url-file",
                "The mail server, smtps://USER:PASSWORD@HOST or smtp://…, not shown (nothing: none yet)?",
            ),
            asked_when(
                "mail.from",
                "--mail-from",
                "Whom are mails from, such as Ann's Teas <orders@shop.example.com>?",
                |so_far| so_far.has("mail.smtp_url"),
            ),
        ],
    ),
    (
        "Payments",
        &[
            asked(
                "payment.stripe.secret_key",
                "--stripe-key-file",
                "Stripe's secret key, sk_…, not shown (nothing: no Stripe)?",
            ),
            asked_when(
                "payment.stripe.webhook_secret",
                "--stripe-webhook-secret-file",
                "The secret of Stripe's webhook endpoint, whsec_…, not shown (nothing: not yet)?",
                |so_far| so_far.has("payment.stripe.secret_key"),
            ),
            asked(
                "payment.paypal.client_id",
                "--paypal-client-id",
                "The client id of PayPal's REST application (nothing: no PayPal)?",
            ),
            asked_when(
                "payment.paypal.client_secret",
                "--paypal-secret-file",
                "The secret that belongs to it, not shown?",
                |so_far| so_far.has("payment.paypal.client_id"),
            ),
            asked_when(
                "payment.paypal.webhook_id",
                "--paypal-webhook-id",
                "The id of its webhook (nothing: not yet)?",
                |so_far| so_far.has("payment.paypal.client_id"),
            ),
            asked_when(
                "payment.paypal.api_base",
                "--paypal-api",
                "Where is PayPal's API (https://api-m.sandbox.paypal.com to try things out)?",
                |so_far| so_far.has("payment.paypal.client_id"),
            ),
            asked_when(
                "payment.test.enabled",
                "--test-payments",
                "Switch the test gateway on, to try the shop out without money (true, false)?",
                |so_far| !so_far.has("payment.stripe.secret_key") && !so_far.has("payment.paypal.client_id"),
            ),
        ],
    ),
    (
        "Backups",
        &[
            asked(
                "backup.to",
                "--backup-to",
                "Where are they kept: a directory on another disk, or a bucket, s3://BUCKET/PREFIX (nothing: none)?",
            ),
            Question {
                suggests: Some("03:30"),
                ..asked_when(
                    "backup.daily_at",
                    "--backup-at",
                    "When is one made each day (UTC)?",
                    has_backups,
                )
            },
            asked_when(
                "backup.s3_endpoint",
                "--s3-endpoint",
                "Where is the bucket, such as https://minio.example.com (nothing: at AWS)?",
                has_bucket,
            ),
            asked_when("backup.s3_region", "--s3-region", "In which region?", has_bucket),
            asked_when(
                "backup.s3_access_key",
                "--s3-access-key",
                "Its access key (nothing: from the environment)?",
                has_bucket,
            ),
            asked_when(
                "backup.s3_secret_key",
                "--s3-secret-key-file",
                "The secret key that belongs to it, not shown?",
                |so_far| so_far.has("backup.s3_access_key"),
            ),
            asked_when(
                "backup.passphrase",
                "--backup-passphrase-file",
                "A passphrase to encrypt them with, not shown; keep it elsewhere, too (nothing: not encrypted)?",
                has_backups,
            ),
        ],
    ),
];

fn has_backups(so_far: &Answers) -> bool {
    so_far.has("backup.to")
}

fn has_bucket(so_far: &Answers) -> bool {
    so_far.get("backup.to").starts_with("s3://")
}

/// What stands in for answers that are still to come, where one setting is not good without another.
const STAND_INS: [(&str, (&str, &str)); 3] = [
    ("mail.smtp_url", ("mail.from", "shop@localhost")),
    ("payment.paypal.client_id", ("payment.paypal.client_secret", "still-to-come")),
    ("backup.s3_access_key", ("backup.s3_secret_key", "still-to-come")),
];

/// Holds an answer against what the setting allows, beside the answers before it.
///
/// # Errors
/// What is wrong with it, without the setting's name: the question is known.
pub fn good(so_far: &Answers, key: &'static str, answer: &str) -> Result<(), String> {
    let mut all = so_far.clone();
    for (of, (other, value)) in STAND_INS {
        let is_open = of == key || (so_far.has(of) && other != key);
        if is_open && !so_far.has(other) {
            all.set(other, value.to_owned());
        }
    }
    all.set(key, answer.to_owned());
    let Err(said) = all.config([]) else { return Ok(()) };
    let of_it = said.lines().find_map(|line| {
        let (_, fault) = line.split_once(key)?;
        fault.strip_prefix(": ").or_else(|| fault.split_once("; it ").map(|(_, after)| after))
    });
    Err(of_it.map(str::to_owned).unwrap_or(said))
}

/// An answer as the setting wants it, where it is plain what is meant: 4,50 and 19% and 8081 and yes.
pub fn meant(key: &str, answer: &str) -> String {
    let answer = answer.trim();
    match key {
        "shop.currency" => answer.to_ascii_uppercase(),
        "shipping.flat" | "shipping.free_from" | "tax.percent" => {
            let number = answer.trim_end_matches('%').trim_end();
            let is_comma = number.matches(',').count() == 1 && !number.contains('.');
            if is_comma { number.replace(',', ".") } else { number.to_owned() }
        }
        "server.listen" => {
            let port = answer.strip_prefix(':').unwrap_or(answer);
            if port.parse::<u16>().is_ok() { format!("127.0.0.1:{port}") } else { answer.to_owned() }
        }
        "https.domain" => answer.trim_start_matches("https://").trim_end_matches('/').to_owned(),
        "server.public_url" if !answer.is_empty() => {
            let url = answer.trim_end_matches('/');
            if url.contains("://") { url.to_owned() } else { format!("https://{url}") }
        }
        "payment.test.enabled" => match answer.to_ascii_lowercase().as_str() {
            "y" | "yes" => "true".into(),
            "n" | "no" => "false".into(),
            other => other.to_owned(),
        },
        _ => answer.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_is_about_a_setting_and_asked_once() {
        let all: Vec<_> = QUESTIONS.iter().flat_map(|(_, some)| *some).collect();
        for question in &all {
            assert!(SETTINGS.iter().any(|setting| setting.key == question.key), "{}", question.key);
            assert_eq!(all.iter().filter(|other| other.key == question.key).count(), 1, "{}", question.key);
            assert_eq!(question.is_secret(), question.flag.ends_with("-file"), "{}", question.flag);
            assert_eq!(question.is_secret(), question.asks.contains("not shown"), "{}", question.asks);
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_what_is_still_to_come() {
        let mut so_far = Answers::default();
        so_far.set("mail.smtp_url", "smtps://a:b@mail.example.com".into());
        assert_eq!(good(&Answers::default(), "mail.smtp_url", so_far.get("mail.smtp_url")), Ok(()));
        assert!(
            good(&so_far, "mail.from", "nobody").is_err_and(|said| said.starts_with("must be an address"))
        );
        assert_eq!(good(&so_far, "payment.paypal.client_id", "AbC"), Ok(()));
        so_far.set("payment.paypal.client_id", "AbC".into());
        assert_eq!(good(&so_far, "payment.paypal.client_secret", "s"), Ok(()));
        let said = good(&so_far, "payment.stripe.secret_key", "pk_test_1").expect_err("of the other kind");
        assert!(said.starts_with("is a publishable key"), "{said}");
    }
}
