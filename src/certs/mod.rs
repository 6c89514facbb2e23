//! The certificate that the shop is known by over HTTPS: where it comes from, how long it is good, and the next one.
//!
//! It is either two files of the operator's, which are read again when they change, or it is had from a certificate
//! authority by ACME (RFC 8555) and kept beside the data. Always true: a good certificate is only ever replaced by a good
//! one, whole, and whatever an authority does, it is served on.

mod acme;
mod certificate;
mod keep;
mod plan;
mod served;
mod shelf;
mod wire;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;

pub use certificate::Certificate;
pub use keep::look_after;
pub use served::{ACME_TLS, Served};

use crate::clock::Time;
use crate::config::Config;
use acme::Authority;
use keep::{Progress, Seen};
use shelf::Shelf;

/// In the data directory.
const DIRECTORY: &str = "https";

/// What a shop with HTTPS has.
pub struct Https {
    /// What handshakes are answered with.
    pub served: Arc<Served>,
    domains: Vec<String>,
    source: Source,
    progress: tokio::sync::Mutex<Progress>,
    failed: Mutex<Option<Failed>>,
}

/// Where certificates come from.
enum Source {
    Files { certificate: PathBuf, key: PathBuf },
    Acme { authority: Box<Authority>, shelf: Shelf },
}

/// Why the last try to have a new certificate failed.
#[derive(Clone, Debug)]
pub struct Failed {
    pub at: Time,
    pub said: String,
    pub next_at: Time,
}

/// How things stand, for whoever watches over the shop.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The names that are configured; with files there may be none.
    pub domains: Vec<String>,
    /// When the certificate that is served ends; none before the first was had.
    pub ends_at: Option<Time>,
    pub failed: Option<Failed>,
}

impl Https {
    /// Whether [`Https::open`] finds all that the settings call for. Nothing is made.
    ///
    /// # Errors
    /// A file that is missing, unreadable, or holds no good certificate, with its key where one is needed.
    pub fn check(config: &Config, now: Time) -> Result<(), String> {
        match config.certificate_files() {
            Some((certificate, key)) => good_files(&certificate, &key, now).map(drop),
            None if config.is_https() => Authority::of(config).map(drop),
            None => Ok(()),
        }
    }

    /// What the settings call for, with the certificate that is there already; none for a shop in plain HTTP. No
    /// authority is asked.
    ///
    /// # Errors
    /// A file that is missing, unreadable, or holds no good certificate with its key.
    pub fn open(config: &Config, now: Time) -> Result<Option<Https>, String> {
        if !config.is_https() {
            return Ok(None);
        }
        let domains = config.https_domain.0.clone();
        let served = Arc::new(Served::default());
        let mut progress = Progress::default();
        let source = if let Some((certificate, key)) = config.certificate_files() {
            let seen = Seen::of(&certificate, &key);
            let found = good_files(&certificate, &key, now)?;
            for domain in domains.iter().filter(|domain| !found.covers(domain)) {
                tracing::warn!(domain, "the certificate is not for this name");
            }
            served.put(found);
            progress.seen = seen;
            Source::Files { certificate, key }
        } else {
            let shelf = Shelf::open(&config.data_dir.join(DIRECTORY))?;
            if let Some((found, directory)) = shelf.certificate()? {
                progress.is_of_other = directory != config.https_acme_directory;
                if found.ends > now {
                    served.put(found);
                }
            }
            progress.tries = shelf.tries(&domains, &config.https_acme_directory);
            Source::Acme { authority: Box::new(Authority::of(config)?), shelf }
        };
        match served.certificate() {
            Some(found) => {
                tracing::info!(names = found.names.join(","), until = %found.ends, "has a certificate");
            }
            None => tracing::warn!(
                domains = domains.join(","),
                "there is no certificate yet: until the authority gives one, HTTPS is refused"
            ),
        }
        let failed = progress.tries.failed();
        if let Some(Failed { at, said, next_at }) = &failed {
            tracing::warn!(%at, next = %next_at, "the last try to have a certificate failed: {said}");
        }
        Ok(Some(Https {
            served,
            domains,
            source,
            progress: tokio::sync::Mutex::new(progress),
            failed: Mutex::new(failed),
        }))
    }

    /// What TLS is spoken with: 1.2 and 1.3, HTTP/2 and HTTP/1.1, sessions resumed.
    ///
    /// # Panics
    /// When the system has no random bytes.
    pub fn tls(&self) -> ServerConfig {
        served::tls(Arc::clone(&self.served))
    }

    /// Whether `host` (without its port) is a name of this shop.
    pub fn answers_to(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.domains.contains(&host) || self.served.certificate().is_some_and(|served| served.covers(&host))
    }

    pub fn standing(&self) -> Standing {
        Standing {
            domains: self.domains.clone(),
            ends_at: self.served.certificate().map(|served| served.ends),
            failed: self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn note(&self, failed: Option<Failed>) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }
}

/// The operator's certificate, which is good now.
fn good_files(certificate: &Path, key: &Path, now: Time) -> Result<Certificate, String> {
    let found = Certificate::of_files(certificate, key)?;
    if found.ends <= now {
        return Err(format!("{}: the certificate has expired, on {}", certificate.display(), found.ends));
    }
    Ok(found)
}
