//! The settings: whether they are good, and what in them is dangerous.

use std::net::IpAddr;
use std::path::Path;

use super::super::Global;
use super::patient::Patient;
use crate::advice::{Advice, error, ok, warning};
use crate::config::{Config, Flags};
use crate::http::Origins;
use crate::mail::Templates;

/// Reads them; each fault is a finding.
pub fn load(global: &Global) -> Result<Config, Vec<Advice>> {
    let said = |fault: String| error(fault, "mend it; `till config example` shows every setting");
    global.load_config(Flags::default()).map_err(|faults| faults.0.into_iter().map(said).collect())
}

pub fn look(patient: &Patient, file: Option<&Path>) -> Vec<Advice> {
    let config = patient.config();
    let mut found = vec![match file {
        Some(file) => ok(format!("{} is good", file.display())),
        None => warning(
            "there is no settings file: the defaults and the environment hold",
            "`till init` asks a few questions and writes one",
        ),
    }];
    found.extend(dangers(config));
    let dir = &config.mail_templates;
    let faults = if dir.is_empty() { Vec::new() } else { Templates::with(Path::new(dir)).1 };
    let bad = |fault| warning(format!("mail.templates: {fault}; the built-in one is used"), "mend it");
    found.extend(faults.into_iter().map(bad));
    found
}

fn dangers(config: &Config) -> Vec<Advice> {
    let mut found = Vec::new();
    let url = &config.public_url();
    let is_public = !url.is_empty() && !is_local(url);
    if config.payment_test_enabled && is_public {
        found.push(error(
            "payment.test.enabled is on in a shop with an address of its own: whoever orders pays with no money at all",
            "switch it off before anybody buys",
        ));
    } else if config.payment_test_enabled {
        found.push(warning(
            "payment.test.enabled is on: orders are paid with no money at all",
            "switch it off before the shop opens",
        ));
    }
    if url.is_empty() {
        found.push(warning(
            "server.public_url is not set: links in mails and at gateways lead to wherever a request was sent to",
            "set it to what customers call the shop, such as https://shop.example.com",
        ));
    } else if is_public && url.starts_with("http://") {
        found.push(warning(
            format!("server.public_url is {url}: passwords travel for everybody to read"),
            "have the shop serve HTTPS, or put a proxy before it that does, and write https:// there",
        ));
    }
    let has_proxy = !config.server_trusted_proxies.0.is_empty();
    let is_seen = !config.listen().ip().is_loopback();
    if is_public && !config.is_https() && !is_seen && !has_proxy {
        found.push(warning(
            "server.trusted_proxies is empty: to the limits, all whom the proxy before the shop speaks for are one client",
            "name the proxy there, such as 127.0.0.1",
        ));
    }
    if is_seen && !config.is_https() && !has_proxy {
        found.push(warning(
            format!(
                "the shop listens on {} in plain HTTP: passwords travel for everybody to read",
                config.listen()
            ),
            "set https.domain, or put a proxy with HTTPS before it and name that in server.trusted_proxies",
        ));
    }
    if config.https_acme_directory.contains("staging") && !config.https_domain.0.is_empty() {
        found.push(warning(
            "https.acme_directory is one for trying things out: no browser trusts its certificates",
            "take the setting out",
        ));
    }
    if !config.limits_enabled {
        found.push(warning(
            "limits.enabled is off: nothing stops who guesses passwords, tries stolen cards or floods the shop",
            "switch it on",
        ));
    }
    if config.server_cors_origins == Origins::Every {
        found.push(warning(
            "server.cors_origins is *: pages of every site may use the API",
            "name the sites of the storefront",
        ));
    }
    let everybody = config.server_trusted_proxies.0.iter().find(|net| net.prefix_len() == 0);
    if let Some(net) = everybody {
        found.push(error(
            format!("server.trusted_proxies has {net}: everybody can give themselves any address, and so has no limits"),
            "name the proxies before the shop alone",
        ));
    }
    if let Some(address) = config.server_ops_listen.filter(|address| !address.ip().is_loopback()) {
        found.push(warning(
            format!("server.ops_listen is {address}: whoever reaches it reads the shop's figures"),
            "see that a firewall lets only the machines through that watch over the shop",
        ));
    }
    if config.shop_address.is_empty() {
        found.push(warning(
            "shop.address is not set: invoices don't say who sells",
            "set it to the seller's address and tax number",
        ));
    }
    found
}

/// Whether a URL leads to this machine alone.
fn is_local(url: &str) -> bool {
    let host = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let host = host.unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}
