//! `till mail`

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::CliError;
use super::client::{Payload, Shop};
use super::output::{Column, Output, print, text_of};
use super::product::Limit;
use crate::mail::BUILT_IN;

#[derive(Subcommand)]
pub enum Options {
    /// Lists mails, newest first: what each is about, and whether it was sent
    ///
    /// till mail list
    /// till mail list --state given_up
    #[command(verbatim_doc_comment)]
    List(List),
    /// Shows a mail as it would go out now
    ///
    /// till mail show 17
    /// till mail show 17 --html > mail.html
    #[command(verbatim_doc_comment)]
    Show {
        id: u64,
        /// Prints the HTML that mail programs show, and nothing else
        #[arg(long)]
        html: bool,
    },
    /// Sends mails again, whatever became of them
    ///
    /// till mail retry 17 18
    /// till mail retry --given-up
    #[command(verbatim_doc_comment)]
    Retry(Retry),
    /// Sends a trial mail at once, and says what the mail server said
    ///
    /// till mail test --to you@example.com
    #[command(verbatim_doc_comment)]
    Test {
        /// Whom it is to
        #[arg(long, value_name = "ADDRESS")]
        to: String,
    },
    /// Writes the built-in templates into a directory, to change them: then name it in the setting mail.templates
    ///
    /// Templates that stay as they are can be deleted from it. They are Jinja; `till config check` says what is
    /// wrong with them.
    ///
    /// till mail templates --write /etc/till/mails
    #[command(verbatim_doc_comment)]
    Templates(Templates),
}

#[derive(Args)]
pub struct List {
    /// Only those that are waiting, sent, given_up or cancelled
    #[arg(long)]
    state: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Retry {
    /// The mails
    #[arg(value_name = "ID")]
    ids: Vec<u64>,
    /// All that were given up
    #[arg(long)]
    given_up: bool,
}

#[derive(Args)]
pub struct Templates {
    /// Where to; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    write: PathBuf,
    /// Writes over files that are there
    #[arg(long)]
    force: bool,
}

pub async fn run(options: Options, shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
    match options {
        Options::List(List { state, limit }) => {
            let columns = [
                Column("id", "id", true),
                Column("mail", "kind", false),
                Column("about", "about", false),
                Column("state", "state", false),
                Column("tries", "tries", true),
                Column("created", "created_at", false),
                Column("next try", "next_try_at", false),
                Column("ended", "ended_at", false),
                Column("said", "last_said", false),
            ];
            let query = state.map(|state| format!("?state={}", crate::http::input::encode(&state)));
            let path = format!("/api/admin/mails/{}", query.unwrap_or_default());
            limit.show(shop, &path, &columns, out).await?;
        }
        Options::Show { id, html } => {
            let mail = shop.get(&format!("/api/admin/mails/{id}/")).await?;
            if html {
                let html = mail["html"].as_str().ok_or_else(|| CliError::failed(senseless(&mail)))?;
                print(html);
            } else {
                out.document(&mail, people);
            }
        }
        Options::Retry(Retry { ids, given_up }) => {
            let ids = if given_up { all_given_up(shop).await? } else { ids };
            for id in &ids {
                let path = format!("/api/admin/mails/{id}/retry/");
                shop.call(Method::POST, &path, Payload::None).await?;
            }
            let word = if ids.len() == 1 { "mail is" } else { "mails are" };
            out.document(&json!({"retried": ids}), |_| format!("{} {word} due again\n", ids.len()));
        }
        Options::Test { to } => {
            let body = Payload::Json(json!({"to": to}));
            let said = shop.call(Method::POST, "/api/admin/mails/test/", body).await?;
            out.document(&said, |said| {
                format!("The mail server took it for {to}; it said: {}\n", text_of(said, "said"))
            });
        }
        Options::Templates(options) => return templates(&options, out),
    }
    Ok(ExitCode::SUCCESS)
}

async fn all_given_up(shop: &Shop) -> Result<Vec<u64>, CliError> {
    let (mails, _) = shop.list("/api/admin/mails/?state=given_up", 0).await?;
    Ok(mails.iter().filter_map(|mail| mail["id"].as_u64()).collect())
}

fn senseless(mail: &Value) -> String {
    format!("there is nothing to show: {}", text_of(mail, "senseless"))
}

fn people(mail: &Value) -> String {
    let get = |name: &str| text_of(mail, name);
    let mut text = format!("mail {} {} {} ({})\n", get("id"), get("kind"), get("about"), get("state"));
    for (label, name) in [
        ("created", "created_at"),
        ("tries", "tries"),
        ("next try", "next_try_at"),
        ("ended", "ended_at"),
        ("said", "last_said"),
    ] {
        if !mail[name].is_null() && mail[name] != "" {
            text.push_str(&format!("  {label:<9} {}\n", get(name)));
        }
    }
    if mail["text"].is_null() {
        return text + &format!("\n{}\n", senseless(mail));
    }
    text.push('\n');
    for (label, name) in [("From", "from"), ("To", "to"), ("Subject", "subject")] {
        text.push_str(&format!("{label}: {}\n", get(name)));
    }
    for attached in mail["attachments"].as_array().into_iter().flatten() {
        text.push_str(&format!(
            "Attached: {} ({} bytes)\n",
            text_of(attached, "name"),
            text_of(attached, "bytes")
        ));
    }
    text + &format!("\n{}", get("text"))
}

/// Writes the built-in templates.
pub fn templates(options: &Templates, out: &Output) -> Result<ExitCode, CliError> {
    let dir = &options.write;
    fs::create_dir_all(dir).map_err(|error| CliError::failed(format!("{}: {error}", dir.display())))?;
    let there: Vec<_> = BUILT_IN.iter().filter(|(name, _)| dir.join(name).exists()).collect();
    if let (Some((name, _)), false) = (there.first(), options.force) {
        return Err(CliError::failed(format!(
            "{} is there already, and nothing was written; --force writes over what is there",
            dir.join(name).display()
        )));
    }
    for (name, source) in BUILT_IN {
        write(&dir.join(name), source, options.force)?;
    }
    let shown = dir.display().to_string();
    out.document(&json!({"directory": shown, "templates": BUILT_IN.len()}), |_| {
        format!("{} templates are in {shown}; name it in the setting mail.templates\n", BUILT_IN.len())
    });
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, source: &str, force: bool) -> Result<(), CliError> {
    let mut options = OpenOptions::new();
    options.write(true).truncate(true).create(force).create_new(!force);
    let written = options.open(path).and_then(|mut file| file.write_all(source.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => CliError::failed(format!("{} is there already", path.display())),
        _ => CliError::failed(format!("{}: {error}", path.display())),
    })
}
