//! `till token`

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::CliError;
use super::client::{Payload, Shop};
use super::output::{Column, Output, print, text_of};
use super::product::Limit;
use crate::accounts::Scope;
use crate::clock::{Clock, SystemClock, Time};

#[derive(Subcommand)]
pub enum Options {
    /// Makes a token for a script or an app, and prints its secret, this once
    ///
    /// till token create --name "stock sync" --scopes products:read,stock:write --expires 90d
    /// till token create --name laptop --scopes all
    /// till order list --url https://shop.example.com --token till_...
    #[command(verbatim_doc_comment, after_help = scopes())]
    Create(Create),
    /// Lists the tokens, newest first, those too that have ended
    List(Limit),
    /// Ends a token for good
    ///
    /// till token revoke 3
    #[command(verbatim_doc_comment)]
    Revoke {
        /// The token's id
        id: u64,
    },
}

#[derive(Args)]
pub struct Create {
    /// What it is for
    #[arg(long)]
    name: String,
    /// What it may do, by commas
    #[arg(long, value_delimiter = ',', required = true)]
    scopes: Vec<Scope>,
    /// When it ends: after so long (12h, 90d, 52w), or on a date (2027-12-31). Else it does not
    #[arg(long, value_name = "SPAN|DATE", value_parser = expiry)]
    expires: Option<Time>,
}

fn scopes() -> String {
    let lines = Scope::EACH.iter().map(|(scope, says)| format!("  {:<16} {says}", scope.as_str()));
    format!("Scopes (who may write may read):\n{}", lines.collect::<Vec<_>>().join("\n"))
}

fn expiry(text: &str) -> Result<Time, String> {
    if let Some(at) = Time::parse(text) {
        return Ok(at);
    }
    let said = || "must be a span such as 12h, 90d or 52w, or a date such as 2027-12-31".to_owned();
    let unit = text.chars().last().ok_or_else(said)?;
    let count: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| said())?;
    let hours = match unit {
        'h' => 1,
        'd' => 24,
        'w' => 24 * 7,
        _ => return Err(said()),
    };
    let count =
        count.checked_mul(hours).filter(|hours| (1..=24 * 36_500).contains(hours)).ok_or_else(said)?;
    Ok(SystemClock.now().plus(Duration::from_hours(count)))
}

pub async fn run(options: Options, shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
    match options {
        Options::Create(Create { name, scopes, expires }) => {
            let mut wanted = json!({"name": name, "scopes": scopes});
            if let Some(expires) = expires {
                wanted["expires_at"] = json!(expires);
            }
            let made = shop.call(Method::POST, "/api/admin/tokens/", Payload::Json(wanted)).await?;
            if out.quiet && !out.json {
                print(&format!("{}\n", text_of(&made, "secret")));
                return Ok(ExitCode::SUCCESS);
            }
            out.document(&made, |made| {
                let ends = match text_of(made, "expires_at").as_str() {
                    "-" => "does not expire".to_owned(),
                    at => format!("is good until {at}"),
                };
                let [id, name, secret] = ["id", "name", "secret"].map(|member| text_of(made, member));
                let held: Vec<_> =
                    made["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                format!(
                    "token {id} ({name}), {}, {ends}\n{secret}\nKeep the secret: it is not shown again.\n",
                    held.join(", ")
                )
            });
        }
        Options::List(limit) => {
            let columns = [
                Column("id", "id", true),
                Column("name", "name", false),
                Column("secret", "hint", false),
                Column("scopes", "scopes", false),
                Column("by", "created_by", false),
                Column("created", "created_at", false),
                Column("last used", "last_used_at", false),
                Column("expires", "expires_at", false),
                Column("revoked", "revoked_at", false),
            ];
            limit.show(shop, "/api/admin/tokens/", &columns, out).await?;
        }
        Options::Revoke { id } => {
            shop.call(Method::DELETE, &format!("/api/admin/tokens/{id}/"), Payload::None).await?;
            out.document(&json!({"id": id, "revoked": true}), |_| format!("token {id} is revoked\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
