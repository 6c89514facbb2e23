//! `till service status`

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::super::CliError;
use super::super::client::Shop;
use super::super::output::{Output, text_of};
use super::hand::run as ask;
use super::unit::{BINARY, CONFIG, SERVICE};
use crate::config::{Config, Flags};

/// What people see of the document: a name, and the member.
const LINES: [(&str, &str); 13] = [
    ("service", "service.state"),
    ("since", "service.since"),
    ("at boot", "service.at_boot"),
    ("restarts", "service.restarts"),
    ("said last", "service.said"),
    ("listens on", "sockets"),
    ("ready", "ready"),
    ("runs", "running"),
    ("installed", "installed"),
    ("last backup", "shop.backup.last_at"),
    ("certificate", "shop.https.certificate_until"),
    ("next try", "shop.https.failed.next_at"),
    ("log", "log"),
];

pub async fn run(out: &Output) -> Result<ExitCode, CliError> {
    if !Path::new(SERVICE).exists() {
        return Err(CliError::failed(
            "there is no such service on this machine; `till service install` makes it",
        ));
    }
    let service = properties("till.service")?;
    let socket = properties("till.socket")?;
    let of = |all: &HashMap<String, String>, name: &str| all.get(name).cloned().unwrap_or_default();
    // Each as `ADDRESS (Stream)`.
    let sockets: Vec<_> = socket
        .get("Listen")
        .iter()
        .flat_map(|listens| listens.lines())
        .map(|listen| listen.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    let installed = ask(&[BINARY, "version", "--json"]).ok();
    let installed: Option<Value> = installed.and_then(|said| serde_json::from_str(&said).ok());
    let ready = match Config::load(Some(Path::new(CONFIG)), [], &Flags::default()) {
        Ok(config) => ready(&config).await,
        Err(_) => None,
    };
    let (status, shop) = ready.unwrap_or((0, Value::Null));
    let is_ready = status == 200;
    let document = json!({
        "service": {
            "state": format!("{} ({})", of(&service, "ActiveState"), of(&service, "SubState")),
            "since": of(&service, "StateChangeTimestamp"),
            "at_boot": of(&service, "UnitFileState") == "enabled",
            "restarts": of(&service, "NRestarts").parse::<u64>().unwrap_or(0),
            "result": of(&service, "Result"),
            "said": of(&service, "StatusText"),
        },
        "socket": of(&socket, "ActiveState"),
        "sockets": sockets,
        "ready": is_ready,
        "running": shop["version"],
        "installed": installed.map(|said| said["version"].clone()),
        "shop": shop,
        "log": "journalctl --unit till --lines 50",
    });
    out.document(&document, |document| {
        let lines = LINES.map(|(name, member)| format!("{name:<12}  {}\n", text_of(document, member)));
        lines.concat()
    });
    Ok(if is_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the shop says of itself on the operator's socket.
async fn ready(config: &Config) -> Option<(u16, Value)> {
    let shop = Shop::running(&config.data_dir).await.ok()??;
    let answered = shop.send(http::Method::GET, "/readyz", super::super::client::Payload::None).await.ok()?;
    Some((answered.status, answered.json()))
}

/// What systemd knows of a unit. A property that comes several times has a line for each.
fn properties(unit: &str) -> Result<HashMap<String, String>, CliError> {
    let mut all: HashMap<String, String> = HashMap::new();
    for line in ask(&["systemctl", "show", unit])?.lines() {
        let Some((name, value)) = line.split_once('=') else { continue };
        let known = all.entry(name.to_owned()).or_default();
        if !known.is_empty() {
            known.push('\n');
        }
        known.push_str(value);
    }
    Ok(all)
}
