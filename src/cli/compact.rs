//! `till compact`

use std::process::ExitCode;

use clap::Args;

use super::CliError;
use super::client::Shop;
use super::output::Output;

/// Makes the data file as small as what is in it, while the shop sells
///
/// A new file is filled beside the old one, which takes as much room meanwhile; orders wait some milliseconds while
/// the two change places. The metric till_data_used_ratio says when it is worth it.
///
/// till compact
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Options {}

pub async fn run(shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
    let done = shop.follow("/api/admin/compact/", None, out).await?;
    out.document(&done, |done| {
        let [before, after, paused] =
            ["bytes_before", "bytes_after", "paused_ms"].map(|name| done[name].as_u64().unwrap_or(0));
        format!("{before} bytes before, {after} after; writers waited {paused} ms\n")
    });
    Ok(ExitCode::SUCCESS)
}
