//! What the settings say about mail.

use std::time::Duration;

use super::{Config, value};
use crate::accounts::Email;
use crate::mail::{Server, Voice, sender};

/// What one setting's check can't see.
pub(super) fn check(config: &Config) -> Result<(), (&'static str, String)> {
    let server = config.mail_server().map_err(|said| ("mail.smtp_url", said))?;
    let from = &config.mail_from;
    if server.is_some() && from.is_empty() {
        return Err(("mail.from", "is missing: mails must be from somebody".into()));
    }
    if !from.is_empty() {
        sender(from).map_err(|said| ("mail.from", said))?;
    }
    for (key, url) in [
        ("mail.order_url", &config.mail_order_url),
        ("mail.reset_url", &config.mail_reset_url),
        ("mail.verify_url", &config.mail_verify_url),
    ] {
        if !(url.is_empty() || url.starts_with("https://") || url.starts_with("http://")) {
            return Err((key, "must begin with https:// or http://".into()));
        }
    }
    config.admins_by_mail().map(drop)
}

impl Config {
    /// The mail server, if there is one.
    ///
    /// # Errors
    /// What is wrong with its URL, without its password.
    pub fn mail_server(&self) -> Result<Option<Server>, String> {
        let url = self.mail_smtp_url.reveal();
        if url.is_empty() { Ok(None) } else { Server::read(url, self.mail_timeout()).map(Some) }
    }

    /// How long the mail server may take for a step.
    pub fn mail_timeout(&self) -> Duration {
        Duration::from_secs(self.mail_timeout_seconds.0)
    }

    /// Who gets the administrators' mails, where the settings say so.
    fn admins_by_mail(&self) -> Result<Vec<Email>, (&'static str, String)> {
        let read = |text: &str| text.parse().map_err(|said| ("mail.admin_to", format!("{text}: {said}")));
        value::list(&self.mail_admin_to).map(read).collect()
    }

    /// How the shop's mails speak: who they are from, and where their links lead.
    pub fn voice(&self, base: &str) -> Voice {
        let or =
            |given: &str, path: &str| if given.is_empty() { format!("{base}{path}") } else { given.into() };
        Voice {
            seller: self.seller(),
            from: if self.mail_from.is_empty() { "nobody@localhost".into() } else { self.mail_from.clone() },
            admins: self.admins_by_mail().expect("checked when the settings were read"),
            carriers: self.shipping_carriers.clone(),
            shop_url: base.to_owned(),
            order_url: or(&self.mail_order_url, "/orders/"),
            reset_url: or(&self.mail_reset_url, "/reset?token="),
            verify_url: or(&self.mail_verify_url, "/verify?token="),
        }
    }
}
