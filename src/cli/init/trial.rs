//! Whether what was answered works: the mail server, the gateways' keys, the place for backups are tried.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::super::doctor::{place_of_backups, try_to_connect};
use super::questions::Answers;
use crate::advice::{self, Advice, Level};
use crate::app::outside_gateways;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;

/// How long one of them may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What can be tried of the answers under a heading.
pub fn is_of_use(heading: &str, answers: &Answers) -> bool {
    let keys: &[&str] = match heading {
        "Mail" => &["mail.smtp_url"],
        "Payments" => &["payment.stripe.secret_key", "payment.paypal.client_id"],
        "Backups" => &["backup.to"],
        _ => &[],
    };
    keys.iter().any(|key| !answers.get(key).is_empty())
}

/// Tries the answers under a heading: what is fine, or what is wrong.
pub async fn tried(heading: &str, config: &Config) -> Vec<Advice> {
    let trying = async {
        match heading {
            "Mail" => mail(config).await,
            "Payments" => gateways(config).await,
            "Backups" => place_of_backups(config, false).await,
            _ => Vec::new(),
        }
    };
    timeout(PATIENCE, trying).await.unwrap_or_else(|_| {
        vec![advice::error("it does not answer", "look at the network, or try again later")]
    })
}

async fn mail(config: &Config) -> Vec<Advice> {
    match config.mail_server() {
        Ok(Some(server)) => {
            let name = server.name();
            vec![match try_to_connect(server).await {
                Ok(()) => advice::ok(format!("{name} lets the shop in")),
                Err(said) => {
                    advice::error(format!("{name}: {said}"), "look at host, port, user and password")
                }
            }]
        }
        _ => Vec::new(),
    }
}

/// The keys alone: webhooks are set up when the shop can be reached.
async fn gateways(config: &Config) -> Vec<Advice> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut found = Vec::new();
    for gateway in outside_gateways(config, "", &clock).0 {
        let all = gateway.examine(None, clock.now()).await;
        let of_keys = all.into_iter().filter(|advice| advice.level != Level::Warning);
        found.extend(
            of_keys
                .map(|advice| Advice { says: format!("{}: {}", gateway.provider(), advice.says), ..advice }),
        );
    }
    found
}
