//! `till healthcheck`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::output::Output;
use super::{CliError, Global};
use crate::config::Flags;
use crate::http::{find_socket, outgoing};

/// Says whether the shop is well: for containers, and whatever else watches it
///
/// Exit code 0: it can read and write. 1: it can't, or does not answer; stderr says why.
/// The shop is asked over the operator's socket in the data directory, and where that is
/// out of reach, at server.listen; with --url, there.
///
/// till healthcheck
/// till healthcheck --live --timeout 2
/// till healthcheck --url https://shop.example.com
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// Asks only whether the process lives: a shop whose disk is full does, and a new start would not mend it
    #[arg(long)]
    live: bool,
    /// How long the answer may take, in seconds (1 to 300)
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout: u64,
}

pub async fn run(options: &Options, global: &Global, out: &Output) -> Result<ExitCode, CliError> {
    let limit = Duration::from_secs(options.timeout);
    let asked = tokio::time::timeout(limit, ask(options, global)).await;
    let (status, said) = asked
        .map_err(|_| CliError::failed(format!("the shop does not answer within {} s", options.timeout)))??;
    let word = said["status"].as_str().unwrap_or("not well");
    if status != 200 {
        let why = said["reason"].as_str().or(said["detail"].as_str()).unwrap_or("the log says why");
        return Err(CliError::failed(format!("the shop is {word} ({status}): {why}")));
    }
    out.document(&said, |_| format!("{word}\n"));
    Ok(ExitCode::SUCCESS)
}

async fn ask(options: &Options, global: &Global) -> Result<(u16, Value), CliError> {
    let path = if options.live { "/healthz" } else { "/readyz" };
    let (client, base) = match global.shop_url() {
        Some(url) => (outgoing(), url),
        None => {
            let config = global.load_config(Flags::default())?;
            let socket = find_socket(&config.data_dir);
            if tokio::net::UnixStream::connect(&socket).await.is_ok() {
                (outgoing().unix_socket(socket), "http://till".into())
            } else {
                // Its certificate is for its name, and not for where it is found from within.
                let client = outgoing().tls_danger_accept_invalid_certs(true);
                (client, format!("{}://{}", config.scheme(), reached_at(config.listen())))
            }
        }
    };
    // What a container's environment says of proxies is not about this.
    let client = client.no_proxy().build()?;
    let unreachable = |error: reqwest::Error| {
        let why = super::client::deepest(&error);
        CliError::failed(format!("the shop at {base} can't be reached: {why}"))
    };
    let answer = client.get(format!("{base}{path}")).send().await.map_err(unreachable)?;
    let status = answer.status().as_u16();
    let body = answer.bytes().await.map_err(unreachable)?;
    Ok((status, serde_json::from_slice(&body).unwrap_or_else(|_| json!({}))))
}

/// Where a shop that listens on all addresses is reached from its own machine.
pub fn reached_at(listen: SocketAddr) -> SocketAddr {
    let here = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(here, listen.port())
}
