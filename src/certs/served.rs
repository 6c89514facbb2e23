//! What handshakes are answered with: the shop's certificate, or the answer to an authority's question.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};

use super::Certificate;

/// The protocol by which an authority asks (RFC 8737).
pub const ACME_TLS: &[u8] = b"acme-tls/1";

/// Which certificate is served, and what an authority that asks is answered meanwhile.
#[derive(Debug, Default)]
pub struct Served {
    certificate: ArcSwapOption<Certificate>,
    /// TLS-ALPN-01: certificates by domain.
    handshakes: Mutex<HashMap<String, Arc<CertifiedKey>>>,
    /// HTTP-01: key authorizations by token.
    tokens: Mutex<HashMap<String, String>>,
}

impl Served {
    pub fn certificate(&self) -> Option<Arc<Certificate>> {
        self.certificate.load_full()
    }

    /// From now on handshakes are answered with `certificate`. Connections that are open go on.
    pub(super) fn put(&self, certificate: Certificate) {
        self.certificate.store(Some(Arc::new(certificate)));
    }

    /// What to answer on `/.well-known/acme-challenge/{token}`.
    pub fn token(&self, token: &str) -> Option<String> {
        unpoisoned(&self.tokens).get(token).cloned()
    }

    pub(super) fn expect_request(&self, token: &str, authorization: &str) {
        unpoisoned(&self.tokens).insert(token.to_owned(), authorization.to_owned());
    }

    /// Answers handshakes for `domain` with the certificate that proves `digest` (RFC 8737, 3).
    pub(super) fn expect_handshake(&self, domain: &str, digest: &[u8]) -> Result<(), String> {
        let made = || {
            let mut params = CertificateParams::new(vec![domain.to_owned()])?;
            params.distinguished_name = DistinguishedName::new();
            params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
            let key = KeyPair::generate()?;
            Ok::<_, rcgen::Error>((params.self_signed(&key)?, key))
        };
        let (certificate, key) = made().map_err(|error| error.to_string())?;
        // Whoever looks whether the two fit stops at an extension that is meant for the authority alone.
        let key = any_supported_type(&PrivateKeyDer::Pkcs8(key.serialize_der().into()));
        let key = CertifiedKey::new(vec![certificate.der().clone()], key.map_err(|error| error.to_string())?);
        unpoisoned(&self.handshakes).insert(domain.to_owned(), Arc::new(key));
        Ok(())
    }

    /// Nothing more is asked.
    pub(super) fn expect_nothing(&self) {
        unpoisoned(&self.handshakes).clear();
        unpoisoned(&self.tokens).clear();
    }
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ResolvesServerCert for Served {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asks = hello
            .alpn()
            .is_some_and(|mut protocols| protocols.next() == Some(ACME_TLS) && protocols.next().is_none());
        if asks {
            let name = hello.server_name()?.to_ascii_lowercase();
            return unpoisoned(&self.handshakes).get(&name).cloned();
        }
        self.certificate.load().as_ref().map(|certificate| Arc::clone(&certificate.key))
    }
}

pub(super) fn tls(served: Arc<Served>) -> ServerConfig {
    let mut tls = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("the provider has both")
        .with_no_client_auth()
        .with_cert_resolver(served);
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec(), ACME_TLS.to_vec()];
    tls.ticketer = Ticketer::new().expect("the system has random bytes");
    tls
}
