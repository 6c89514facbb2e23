//! The shop's name: where it leads, and whether the shop answers there over HTTPS.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Url;
use tokio::net::lookup_host;

use super::super::client::deepest;
use super::not_asked;
use super::patient::Patient;
use crate::advice::{Advice, error, ok, warning};
use crate::certs::Certificate;
use crate::clock::{Clock, SystemClock, Time};
use crate::http::outgoing;

/// How long the shop may take to answer at its own name.
const PATIENCE: Duration = Duration::from_secs(10);
/// A certificate that ends within this should have been renewed (days), and one that ends within that is nearly over.
const RENEWED: i64 = 21;
const ENDING: i64 = 7;

pub async fn look(patient: &Patient) -> Vec<Advice> {
    let mut found = Vec::from_iter(certificate(patient));
    let mut urls: Vec<String> = patient.url.iter().cloned().collect();
    let more =
        patient.config.iter().flat_map(|config| &config.https_domain.0).map(|name| format!("https://{name}"));
    for url in more {
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    if urls.is_empty() {
        found.push(ok("the shop has no name of its own (https.domain, server.public_url)"));
    } else if patient.is_offline {
        found.extend(not_asked());
    } else {
        let all = join_all(urls.iter().map(|url| named(url, patient))).await;
        found.extend(all.into_iter().flatten());
    }
    found
}

/// The certificate that the shop has of its own.
fn certificate(patient: &Patient) -> Option<Advice> {
    let config = patient.config.as_ref().filter(|config| config.is_https())?;
    if let Some((chain, key)) = config.certificate_files() {
        return Some(match Certificate::of_files(&chain, &key) {
            Ok(certificate) => ending("the shop's certificate", certificate.ends.seconds()),
            Err(said) => error(
                said,
                "put a certificate and its key there that fit, where the shop's user may read them",
            ),
        });
    }
    if !patient.is_running {
        return None;
    }
    let (_, ready) = patient.ready.as_ref()?;
    let https = &ready["https"];
    if let Some(said) = https["failed"]["said"].as_str() {
        let next = https["failed"]["next_at"].as_str().unwrap_or_default();
        return Some(error(
            format!("a new certificate could not be had: {said}"),
            format!(
                "see that the names lead here, and that ports 80 and 443 are reached from outside; the next try is at {next}"
            ),
        ));
    }
    Some(match https["certificate_until"].as_str().and_then(Time::parse) {
        Some(end) => ending("the shop's certificate", end.seconds()),
        None => warning(
            "there is no certificate yet, so nobody gets in by HTTPS",
            "the running shop asks the authority for one; its log says how that goes",
        ),
    })
}

/// What is found at one of the shop's names.
async fn named(url: &str, patient: &Patient) -> Vec<Advice> {
    let Ok(parsed) = Url::parse(url) else {
        return vec![error(format!("{url} is no URL"), "mend server.public_url")];
    };
    let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = parsed.port_or_known_default().unwrap_or(443);
    let addresses: Vec<IpAddr> = match lookup_host((host.as_str(), port)).await {
        Ok(found) => found.map(|address| address.ip()).collect(),
        Err(fault) => {
            return vec![error(
                format!("{host} leads nowhere: {fault}"),
                "add an A record (and AAAA for IPv6) for it at whoever keeps the domain",
            )];
        }
    };
    let mut found = Vec::new();
    let is_here = addresses.iter().any(|address| is_own(*address));
    let to = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if patient.config.is_some() {
        found.push(if is_here {
            ok(format!("{host} leads to this machine"))
        } else {
            ok(format!(
                "{host} leads to {to}, which is none of this machine's own addresses: a proxy's, or NAT's"
            ))
        });
    }
    if patient.is_running {
        found.extend(reached(url, is_here).await);
    } else {
        found.push(ok("whether the shop answers there can be told while it runs"));
    }
    found
}

/// Whether an address is of this machine: only such a one can be bound to.
fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// Whether the shop answers at its name, and until when its certificate is good.
async fn reached(url: &str, is_here: bool) -> Vec<Advice> {
    let client =
        outgoing().timeout(PATIENCE).tls_info(true).redirect(reqwest::redirect::Policy::none()).build();
    let client = match client {
        Ok(client) => client,
        Err(fault) => return vec![error(fault.to_string(), "look at the system's certificate authorities")],
    };
    let answer = match client.get(format!("{url}/healthz")).send().await {
        Ok(answer) => answer,
        Err(fault) => {
            let says = format!("{url} can't be reached from here: {}", deepest(&fault));
            return vec![if is_here || deepest(&fault).contains("certificate") {
                error(
                    says,
                    "see that the shop or the proxy before it listens there, with a certificate for that name, and that no firewall is in between",
                )
            } else {
                warning(
                    says,
                    "look from another machine: some networks let nobody reach them by their own name from within",
                )
            }];
        }
    };
    let mut found = Vec::new();
    let (status, info) = (answer.status(), answer.extensions().get::<reqwest::tls::TlsInfo>().cloned());
    let is_till = answer.bytes().await.is_ok_and(|body| body.starts_with(br#"{"status":"ok""#));
    found.push(if status.is_success() && is_till {
        ok(format!("the shop answers at {url}"))
    } else {
        error(
            format!("not the shop but something else answers at {url} ({status})"),
            "see that the name leads to the shop, and that the proxy before it, if there is one, passes everything on",
        )
    });
    let certificate = info.as_ref().and_then(reqwest::tls::TlsInfo::peer_certificate);
    let end = certificate.and_then(|der| x509_parser::parse_x509_certificate(der).ok());
    found.extend(end.map(|(_, read)| {
        ending(&format!("the certificate of {url}"), read.validity().not_after.timestamp())
    }));
    found
}

/// How long a certificate is good that ends then (seconds since 1970).
fn ending(which: &str, end: i64) -> Advice {
    let days = (end - SystemClock.now().seconds()) / 86_400;
    let says = format!("{which} is good for {days} days");
    let todo = "see why it is not renewed: the log of the shop, or of the proxy before it, says";
    match days {
        RENEWED.. => ok(says),
        ENDING.. => warning(says, todo),
        _ => error(says, todo),
    }
}
