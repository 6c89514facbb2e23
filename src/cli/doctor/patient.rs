//! Who is looked at: a shop beside its data directory, running or stopped, or one elsewhere.

use http::Method;
use serde_json::Value;

use super::super::client::{Payload, Shop};
use super::super::{CliError, Global, from_env};
use crate::app::{App, DATA_FILE, Parts};
use crate::config::Config;
use crate::http::{find_socket, outgoing};
use crate::store::Upgrade;

pub struct Patient {
    /// Of a shop beside its data directory.
    pub config: Option<Config>,
    pub is_offline: bool,
    /// Whether it runs as far as we can see.
    pub is_running: bool,
    /// The process that serves it, where that is known.
    pub process: Option<i32>,
    /// What customers call it, without a slash at its end, where that is known.
    pub url: Option<String>,
    pub shop: Here,
    /// Status and body of `/readyz`.
    pub ready: Option<(u16, Value)>,
}

/// Whether there is a shop to ask.
pub enum Here {
    /// None was begun yet.
    None,
    Shop(Shop),
    /// Why it can't be opened.
    Closed(String),
}

impl Patient {
    pub async fn near(config: Config, is_offline: bool) -> Patient {
        let (shop, is_running) = match Shop::running(&config.data_dir).await {
            Ok(Some(running)) => (Here::Shop(running), true),
            Ok(None) => (opened(&config), false),
            Err(CliError { said, .. }) => (Here::Closed(said), false),
        };
        let process = if is_running { server_of(&config).await } else { None };
        let url = Some(config.public_url()).filter(|url| !url.is_empty());
        let mut patient =
            Patient { is_offline, is_running, process, url, shop, ready: None, config: Some(config) };
        patient.ready = patient.ask_ready().await;
        patient
    }

    pub fn afar(base: String, global: &Global) -> Result<Patient, CliError> {
        let token = global.token.clone().or_else(|| from_env("TILL_TOKEN"));
        let shop = Here::Shop(Shop::Elsewhere { client: outgoing().build()?, base: base.clone(), token });
        let (config, process, ready) = (None, None, None);
        Ok(Patient { config, is_offline: false, is_running: true, process, url: Some(base), shop, ready })
    }

    /// The settings of a shop that is looked at from beside its data.
    pub fn config(&self) -> &Config {
        self.config.as_ref().expect("what is elsewhere is not looked at by its settings")
    }

    pub fn opened(&self) -> Option<&Shop> {
        if let Here::Shop(shop) = &self.shop { Some(shop) } else { None }
    }

    /// What the shop says of itself.
    pub async fn ask_ready(&self) -> Option<(u16, Value)> {
        let answered = self.opened()?.send(Method::GET, "/readyz", Payload::None).await.ok()?;
        Some((answered.status, answered.json()))
    }
}

/// A stopped shop, opened; an older till's data stays as it is.
fn opened(config: &Config) -> Here {
    match config.data_dir.join(DATA_FILE).try_exists() {
        Ok(true) => {}
        Ok(false) => return Here::None,
        Err(error) => {
            return Here::Closed(format!("{} can't be looked into: {error}", config.data_dir.display()));
        }
    }
    let mut config = config.clone();
    config.data_upgrade = Upgrade::Refuse;
    match Parts::real(config).and_then(App::open) {
        Ok(app) => Here::Shop(Shop::Here(app)),
        Err(error) => Here::Closed(error.to_string()),
    }
}

/// The process at the other end of the operator's socket.
async fn server_of(config: &Config) -> Option<i32> {
    let line = tokio::net::UnixStream::connect(find_socket(&config.data_dir)).await.ok()?;
    line.peer_cred().ok()?.pid()
}
