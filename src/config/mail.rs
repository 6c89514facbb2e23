//! What the settings say about mail.

use std::time::Duration;

use super::read::Faults;
use super::{Config, value};
use crate::accounts::Email;
use crate::mail::{Server, Voice, sender};

/// What one setting's check can't see.
pub(super) fn check(config: &Config, faults: &mut Faults) {
    faults.of("mail.smtp_url", config.mail_server());
    let from = &config.mail_from;
    if !from.is_empty() {
        faults.of("mail.from", sender(from));
    } else if !config.mail_smtp_url.reveal().is_empty() {
        faults.say("mail.from", "is missing: mails must be from somebody");
    }
    faults.of("mail.admin_to", config.admins_by_mail());
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
    fn admins_by_mail(&self) -> Result<Vec<Email>, String> {
        let read = |text: &str| text.parse().map_err(|said| format!("{text}: {said}"));
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
