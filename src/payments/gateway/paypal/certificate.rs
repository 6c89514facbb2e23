//! The signature of a webhook: RSA over what was sent, by a certificate that PayPal shows.
//! <https://developer.paypal.com/api/rest/webhooks/rest/#link-selfverificationmethod>

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Request, Uri};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::super::Unheard;
use super::super::wire::{Wire, call};
use crate::clock::Time;

/// The only way of signing that PayPal uses.
const ALGORITHM: &str = "SHA256withRSA";
/// Below this path PayPal keeps its certificates.
const CERTIFICATES: &str = "/v1/notifications/certs/";
/// How long a certificate that was looked at is used without another look.
const KEPT: Duration = Duration::from_hours(12);
/// Most certificates that are kept.
const MOST: usize = 16;

/// Who is trusted to say that a certificate is PayPal's.
pub enum Trust {
    /// The system's certificate authorities.
    System,
    These(Vec<CertificateDer<'static>>),
}

/// What the headers of a webhook say.
pub struct Transmission {
    pub id: String,
    pub time: String,
    pub signature: String,
    pub certificate: String,
    pub algorithm: String,
}

impl Transmission {
    pub fn read(headers: &HeaderMap) -> Result<Transmission, Unheard> {
        let of = |name: &str| {
            let mut all = headers.get_all(name).iter();
            let first = all.next().and_then(|value| value.to_str().ok());
            match (first, all.next()) {
                (Some(value), None) if value.len() <= 1000 => Ok(value.to_owned()),
                _ => Err(Unheard::Forged(format!("there is not one {name}"))),
            }
        };
        Ok(Transmission {
            id: of("paypal-transmission-id")?,
            time: of("paypal-transmission-time")?,
            signature: of("paypal-transmission-sig")?,
            certificate: of("paypal-cert-url")?,
            algorithm: of("paypal-auth-algo")?,
        })
    }
}

/// PayPal's certificates, as far as they were needed.
pub struct Certificates {
    hosts: Vec<String>,
    trust: Trust,
    system: OnceLock<Vec<CertificateDer<'static>>>,
    /// By URL, with when it was looked at.
    kept: Mutex<HashMap<String, (CertificateDer<'static>, Time)>>,
}

impl Certificates {
    pub fn new(hosts: Vec<String>, trust: Trust) -> Certificates {
        Certificates { hosts, trust, system: OnceLock::new(), kept: Mutex::default() }
    }

    /// Whether the body was signed by PayPal for this webhook.
    ///
    /// # Errors
    /// [`Unheard::Unverified`] when the certificate can't be had, or nobody whom we trust vouches for it.
    pub async fn verify(
        &self,
        wire: &dyn Wire,
        sent: &Transmission,
        webhook: &str,
        body: &[u8],
        now: Time,
    ) -> Result<(), Unheard> {
        let forged = |said: &str| Unheard::Forged(said.to_owned());
        if sent.algorithm != ALGORITHM {
            return Err(forged("it is not signed with SHA256withRSA"));
        }
        if !self.is_paypals(&sent.certificate) {
            return Err(forged(
                "its certificate is not at one of PayPal's hosts (payment.paypal.cert_hosts)",
            ));
        }
        let signature = STANDARD.decode(&sent.signature).map_err(|_| forged("its signature is no base64"))?;
        let leaf = self.certificate(wire, &sent.certificate, now).await?;
        let signed = format!("{}|{}|{webhook}|{}", sent.id, sent.time, crc32fast::hash(body));
        let leaf = EndEntityCert::try_from(&leaf).map_err(|error| Unheard::Unverified(error.to_string()))?;
        leaf.verify_signature(webpki::ring::RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature)
            .map_err(|_| forged("its signature is not PayPal's: is payment.paypal.webhook_id the right one?"))
    }

    /// Over HTTPS, and from a host that we expect it at.
    fn is_paypals(&self, url: &str) -> bool {
        let Ok(uri) = url.parse::<Uri>() else { return false };
        let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        // At PayPal's own hosts certificates have one place, so that nobody makes us fetch anything else.
        let is_elsewhere = host.ends_with(".paypal.com")
            && (uri.port().is_some() || uri.query().is_some() || !uri.path().starts_with(CERTIFICATES));
        uri.scheme_str() == Some("https")
            && !has_user
            && !is_elsewhere
            && self.hosts.iter().any(|known| known.eq_ignore_ascii_case(&host))
    }

    async fn certificate(
        &self,
        wire: &dyn Wire,
        url: &str,
        now: Time,
    ) -> Result<CertificateDer<'static>, Unheard> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(url).cloned();
        if let Some((leaf, _)) = kept.filter(|(_, at)| now < at.plus(KEPT)) {
            return Ok(leaf);
        }
        let unverified = |said: &dyn std::fmt::Display| Unheard::Unverified(said.to_string());
        let request = Request::get(url).body(Vec::new()).map_err(|error| unverified(&error))?;
        let answer = call(wire, request).await.map_err(|error| unverified(&error))?;
        if !answer.status().is_success() {
            return Err(unverified(&format!("its certificate can't be had: {}", answer.status())));
        }
        let chain: Vec<_> = CertificateDer::pem_slice_iter(answer.body())
            .collect::<Result<_, _>>()
            .map_err(|error| unverified(&error))?;
        let leaf = self.vouched(&chain, now)?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST
            && let Some(oldest) = kept.iter().min_by_key(|(_, (_, at))| *at).map(|(url, _)| url.clone())
        {
            kept.remove(&oldest);
        }
        kept.insert(url.to_owned(), (leaf.clone(), now));
        Ok(leaf)
    }

    /// The first certificate of a chain, if the rest leads to somebody whom we trust.
    fn vouched(
        &self,
        chain: &[CertificateDer<'static>],
        now: Time,
    ) -> Result<CertificateDer<'static>, Unheard> {
        let unverified = |error: webpki::Error| Unheard::Unverified(format!("its certificate: {error}"));
        let Some((first, rest)) = chain.split_first() else {
            return Err(Unheard::Unverified("there is no certificate at its URL".into()));
        };
        let roots = match &self.trust {
            Trust::These(roots) => roots,
            Trust::System => self.system.get_or_init(|| rustls_native_certs::load_native_certs().certs),
        };
        // One root that can't be read does not spoil the others.
        let anchors: Vec<_> = roots.iter().filter_map(|root| anchor_from_trusted_cert(root).ok()).collect();
        let seconds = u64::try_from(now.seconds()).unwrap_or_default();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let leaf = EndEntityCert::try_from(first).map_err(unverified)?;
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            rest,
            time,
            KeyUsage::server_auth(),
            None,
            None,
        )
        .map_err(unverified)?;
        Ok(first.clone())
    }
}
