//! `till keys`

use std::process::ExitCode;

use clap::Subcommand;
use http::Method;
use serde_json::json;

use super::CliError;
use super::ask::confirm;
use super::client::{Payload, Shop};
use super::output::{Column, Output, text_of};
use super::product::Limit;

#[derive(Subcommand)]
pub enum Options {
    /// Has a new key sign; what the old one signed stays good for its time, so nobody is logged out
    ///
    /// till keys rotate
    /// till keys rotate --revoke
    #[command(verbatim_doc_comment)]
    Rotate {
        /// Has nothing be good any more that was signed before, as when a key became known: everybody logs in again,
        /// and links in mails and to invoices end
        #[arg(long)]
        revoke: bool,
    },
    /// Lists the keys that are good, the one that signs first; the keys themselves are never shown
    List(Limit),
}

pub async fn run(options: Options, shop: &Shop, yes: bool, out: &Output) -> Result<ExitCode, CliError> {
    match options {
        Options::Rotate { revoke } => {
            if revoke {
                confirm(yes, "Log everybody out, and end all links?")?;
            }
            let wanted = Payload::Json(json!({"revoke": revoke}));
            let made = shop.call(Method::POST, "/api/admin/keys/rotate/", wanted).await?;
            out.document(&made, |made| {
                let rest = if revoke {
                    "no other is good any more"
                } else {
                    "`till keys list` shows how long those before it are good"
                };
                format!("key {} signs now; {rest}\n", text_of(made, "id"))
            });
        }
        Options::List(limit) => {
            let columns = [
                Column("id", "id", false),
                Column("signs", "signs", false),
                Column("made", "made_at", false),
                Column("retired", "retired_at", false),
                Column("good until", "good_until", false),
            ];
            limit.show(shop, "/api/admin/keys/", &columns, out).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
