//! `till errors`

use std::process::ExitCode;

use clap::Subcommand;
use http::Method;

use super::CliError;
use super::client::{Payload, Shop};
use super::output::{Output, text_of};

#[derive(Subcommand)]
pub enum Options {
    /// Sends a trial report to Sentry and Rollbar, as the settings have it, and says whether it was taken
    ///
    /// till errors test
    #[command(verbatim_doc_comment)]
    Test,
}

pub async fn run(options: Options, shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
    let Options::Test = options;
    let said = shop.call(Method::POST, "/api/admin/errors/test/", Payload::None).await?;
    out.document(&said, |said| {
        let tried = said["results"].as_array().into_iter().flatten();
        let line = |one: &serde_json::Value| {
            let to = text_of(one, "to");
            if one["taken"] == true {
                format!("{to} took a trial report\n")
            } else {
                format!("{to} did not take a trial report: {}\n", text_of(one, "said"))
            }
        };
        tried.map(line).collect()
    });
    let is_refused = said["results"].as_array().into_iter().flatten().any(|one| one["taken"] != true);
    Ok(if is_refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
