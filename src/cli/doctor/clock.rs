//! Whether the machine's clock is right: tokens, certificates and signatures of webhooks go by it.

use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join_all;
use http::header;
use tokio::process::Command;

use super::patient::Patient;
use crate::advice::{Advice, error, ok, warning};
use crate::clock::{Clock, SystemClock, Time};
use crate::http::outgoing;

/// How far the clock may be off before that is said (seconds), and before it does harm.
const OFF: i64 = 5;
const FAR_OFF: i64 = 60;
/// How long somebody else may take to say what time it is.
const PATIENCE: Duration = Duration::from_secs(8);

pub async fn look(patient: &Patient) -> Vec<Advice> {
    let mut found = Vec::new();
    if !patient.is_offline {
        let told = join_all(whom_to_ask(patient).iter().map(|url| asked(url))).await;
        let nearest = told.into_iter().flatten().min_by_key(|(_, off)| off.abs());
        found.extend(nearest.map(|(host, off)| judged(&host, off)));
    }
    if patient.config.is_some() {
        found.extend(synchronised().await);
    }
    if found.is_empty() {
        found.push(ok("nobody was asked what time it is"));
    }
    found
}

fn judged(host: &str, off: i64) -> Advice {
    let says = match off {
        -1..=1 => format!("it agrees with {host}"),
        2.. => format!("it is {off} s ahead of {host}"),
        _ => format!("it is {} s behind {host}", -off),
    };
    let todo = "have the system keep the time: timedatectl set-ntp true";
    match off.abs() {
        FAR_OFF.. => error(says, todo),
        OFF.. => warning(says, todo),
        _ => ok(says),
    }
}

/// Whoever the shop talks to anyway.
fn whom_to_ask(patient: &Patient) -> Vec<String> {
    let Some(config) = &patient.config else { return patient.url.clone().into_iter().collect() };
    let mut all = Vec::new();
    if !config.payment_stripe_secret_key.reveal().is_empty() {
        all.push(config.payment_stripe_api_base.clone());
    }
    if !config.payment_paypal_client_id.is_empty() {
        all.push(config.payment_paypal_api_base.clone());
    }
    if config.backup_to.starts_with("s3://") {
        let endpoint = config.s3().endpoint;
        all.push(endpoint.unwrap_or_else(|| "https://s3.amazonaws.com".into()));
    }
    all
}

/// Who says what time it is, and how far ahead of it we are (seconds). The answer itself does not matter.
async fn asked(url: &str) -> Option<(String, i64)> {
    let client = outgoing().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build().ok()?;
    let before = SystemClock.now();
    let answer = client.head(url).send().await.ok()?;
    let after = SystemClock.now();
    let told = answer.headers().get(header::DATE)?.to_str().ok()?;
    let told = time::OffsetDateTime::parse(told, &time::format_description::well_known::Rfc2822).ok()?;
    let host = answer.url().host_str()?.to_owned();
    // It was written at some moment between the two, and tells whole seconds.
    let told = Time(told.unix_timestamp() * 1000 + 500);
    let off = if told.0 > after.0 { after.0 - told.0 } else { (before.0 - told.0).max(0) };
    Some((host, (off + off.signum() * 500) / 1000))
}

/// What systemd says of it, where there is one.
async fn synchronised() -> Option<Advice> {
    let mut ask = Command::new("timedatectl");
    ask.args(["show", "--property=NTPSynchronized", "--value"]).stdin(Stdio::null()).kill_on_drop(true);
    let said = tokio::time::timeout(Duration::from_secs(3), ask.output()).await.ok()?.ok()?;
    match String::from_utf8_lossy(&said.stdout).trim() {
        "yes" => Some(ok("the system keeps it synchronised")),
        "no" => Some(warning("the system does not keep it synchronised", "timedatectl set-ntp true")),
        _ => None,
    }
}
