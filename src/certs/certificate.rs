//! A certificate with its chain and key, and what it says of itself.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::CertificateIdentifier;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, InconsistentKeys};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::x509::X509Version;
use zeroize::Zeroizing;

use crate::clock::Time;

/// The largest file that is read (bytes).
const LARGEST: u64 = 1 << 20;

/// A certificate that fits its key.
#[derive(Debug)]
pub struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    /// The names that it is for, in lower case; `*.` stands for one label.
    pub names: Vec<String>,
    pub begins: Time,
    pub ends: Time,
}

impl Certificate {
    /// Reads a chain, the certificate itself first, and its key.
    ///
    /// # Errors
    /// What is wrong with them, without any of the key.
    pub fn read(chain: &[u8], key: &[u8]) -> Result<Certificate, String> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("the certificate is no PEM: {error}"))?;
        let Some(own) = chain.first() else { return Err("there is no certificate in it".into()) };
        let (_, parsed) =
            parse_x509_certificate(own).map_err(|error| format!("the certificate can't be read: {error}"))?;
        if parsed.version() != X509Version::V3 {
            return Err(format!(
                "the certificate is of X.509 version {}, which browsers refuse; have one of version 3 made, with the shop's \
                 name in it as a subjectAltName",
                parsed.version().0 + 1
            ));
        }
        let time = |time: x509_parser::time::ASN1Time| Time(time.timestamp().saturating_mul(1000));
        let (begins, ends) = (time(parsed.validity().not_before), time(parsed.validity().not_after));
        let others = parsed.subject_alternative_name().ok().flatten();
        let others = others.map(|names| names.value.general_names.iter()).into_iter().flatten();
        let names = others.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
        let names = names.collect();
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|_| "there is no private key in it".to_owned())?;
        let key = CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                "the private key is not the certificate's".to_owned()
            }
            Error::InvalidCertificate(CertificateError::BadEncoding) => {
                "the certificate can't be read".to_owned()
            }
            other => format!("the private key is of no kind that is known: {other}"),
        })?;
        Ok(Certificate { key: Arc::new(key), names, begins, ends })
    }

    /// Reads the operator's files.
    ///
    /// # Errors
    /// Which file it is, and what is wrong with it.
    pub fn of_files(certificate: &Path, key: &Path) -> Result<Certificate, String> {
        let read = |path: &Path| {
            let mut bytes = Zeroizing::new(Vec::new());
            let read = File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
            read.map_err(|error| format!("{} can't be read: {error}", path.display()))?;
            Ok::<_, String>(bytes)
        };
        let (chain, secret) = (read(certificate)?, read(key)?);
        let of = |said| format!("{} with {}: {said}", certificate.display(), key.display());
        Certificate::read(&chain, &secret).map_err(of)
    }

    /// Whether it is for `name`, which is in lower case.
    pub fn covers(&self, name: &str) -> bool {
        let parent = name.split_once('.').map(|(_, parent)| parent);
        let fits =
            |own: &String| own == name || own.strip_prefix("*.").is_some_and(|rest| Some(rest) == parent);
        self.names.iter().any(fits)
    }

    /// How long it is good in all.
    pub fn life(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.ends.0 - self.begins.0).unwrap_or(0))
    }

    /// What its authority knows it by (RFC 9773, 4.1); none where it says too little of itself.
    pub(super) fn id(&self) -> Option<CertificateIdentifier<'static>> {
        CertificateIdentifier::try_from(self.key.cert.first()?).ok().map(CertificateIdentifier::into_owned)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// A certificate of one's own for `names`, and its key.
    pub fn pair(names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().expect("a key");
        let made = CertificateParams::new(names).expect("names").self_signed(&key).expect("a certificate");
        (made.pem(), key.serialize_pem())
    }

    #[test]
    fn it_says_what_names_it_is_for() {
        let (chain, key) = pair(&["Shop.example", "*.shop.example"]);
        let made = Certificate::read(chain.as_bytes(), key.as_bytes()).expect("they fit");
        for (name, is_covered) in [
            ("shop.example", true),
            ("www.shop.example", true),
            ("a.www.shop.example", false),
            ("other.example", false),
        ] {
            assert_eq!(made.covers(name), is_covered, "{name}");
        }
        assert!(made.begins < made.ends);
    }

    /// Made by `openssl x509 -req` without extensions.
    const OF_VERSION_1: &str = "-----BEGIN CERTIFICATE-----
MIIBIzCBywIUMCCQY+FDhOTZOTdCz18S7WIOVBkwCgYIKoZIzj0EAwIwFDESMBAG
A1UEAwwJYS5leGFtcGxlMCAXDTI2MTEyMzIzMzk0OFoYDzIxMjYxMDMwMjMzOTQ4
WjAUMRIwEAYDVQQDDAlhLmV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AASyzzVjlIcYWdem+kL2WDot1H9nWokT1wqIvN/Lbf9ldhAYTWdu+5opAdXJkgxF
XJIrs4gE0neuj3iPLRYg95/nMAoGCCqGSM49BAMCA0cAMEQCIApLXxCBvGxLrUJU
yG5gnYB9pZJhxVXM4FLSwSfnP4hnAiBMBvElLcwz+Zxjcls1NMFB1XQ+aIra6gYp
g8QPg90aEw==
-----END CERTIFICATE-----";

    #[test]
    fn what_does_not_fit_is_refused_and_said() {
        let ((chain, key), (_, other)) = (pair(&["a.example"]), pair(&["a.example"]));
        let said = |chain: &str, key: &str| {
            Certificate::read(chain.as_bytes(), key.as_bytes()).expect_err("no good")
        };
        assert_eq!(said(&chain, &other), "the private key is not the certificate's");
        assert_eq!(said("", &key), "there is no certificate in it");
        assert_eq!(said(&chain, ""), "there is no private key in it");
        assert!(said(OF_VERSION_1, &key).starts_with("the certificate is of X.509 version 1, "));
        assert!(said(&chain[..200], &key).starts_with("the certificate is no PEM"));
    }
}
