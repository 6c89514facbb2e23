//! Requests that till itself makes.

use std::time::Duration;

/// A client for HTTP and HTTPS, with a limit on how long connecting takes.
pub fn outgoing() -> reqwest::ClientBuilder {
    // It fails when a provider is installed already, which then is this one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let name = concat!("till/", env!("CARGO_PKG_VERSION"));
    reqwest::Client::builder().connect_timeout(Duration::from_secs(10)).user_agent(name)
}
