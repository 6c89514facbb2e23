//! The shop's first administrator: the account is made with the settings that were just written.

use std::path::Path;

use http::Method;
use serde_json::{Value, json};

use super::super::CliError;
use super::super::client::{Payload, Shop, refusal};
use super::dialogue::{ask, hidden};
use crate::accounts::{Email, good_password, random_password};
use crate::app::{App, Parts};
use crate::config::Config;

pub struct Administrator {
    pub email: String,
    password: String,
    /// Whether the password was made here and must be shown.
    is_made: bool,
}

impl Administrator {
    pub fn given(email: &str, password: Option<&Path>) -> Result<Administrator, CliError> {
        let email: Email =
            email.parse().map_err(|said| CliError::usage(format!("--admin {email}: {said}")))?;
        let (password, is_made) = match password {
            Some(file) => {
                let password = super::secret_in(file)?;
                good_password(&password).map_err(|said| CliError::usage(format!("the password {said}")))?;
                (password, false)
            }
            None => (random_password(), true),
        };
        Ok(Administrator { email: email.to_string(), password, is_made })
    }

    pub fn asked() -> Result<Option<Administrator>, CliError> {
        let email = loop {
            let answer = ask("The administrator's e-mail address, to log in with (nothing: later)? ")?;
            if answer.is_empty() {
                return Ok(None);
            }
            match answer.parse::<Email>() {
                Ok(email) => break email.to_string(),
                Err(said) => eprintln!("  {said}"),
            }
        };
        loop {
            let password = hidden("Their password, not shown (nothing: one is made)? ")?;
            if password.is_empty() {
                return Ok(Some(Administrator { email, password: random_password(), is_made: true }));
            }
            if let Err(said) = good_password(&password) {
                eprintln!("  it {said}");
            } else if hidden("The same again? ")? == password {
                return Ok(Some(Administrator { email, password, is_made: false }));
            } else {
                eprintln!("  that was another one");
            }
        }
    }

    /// Makes the account, in the shop that runs or in the data directory; one that is there stays as it is.
    pub async fn make(self, config: Config) -> Result<Value, CliError> {
        let shop = match Shop::running(&config.data_dir).await? {
            Some(running) => running,
            None => {
                let app = App::open(Parts::real(config)?)?;
                app.begin_to_answer()?;
                Shop::Here(app)
            }
        };
        let body = json!({"email": self.email, "role": "admin", "password": self.password});
        let answered = shop.send(Method::POST, "/api/admin/users/", Payload::Json(body)).await?;
        let said = answered.json();
        match answered.status {
            409 if said["code"] == "email_taken" => Ok(json!({"email": self.email, "was_there": true})),
            status if status >= 400 => Err(CliError::failed(refusal(&said, status))),
            _ if self.is_made => Ok(json!({"email": self.email, "password": self.password})),
            _ => Ok(json!({"email": self.email})),
        }
    }
}
