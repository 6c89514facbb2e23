//! `till user`

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::CliError;
use super::ask::confirm;
use super::client::{Payload, Shop};
use super::file::OutFile;
use super::output::{Column, Output, print, text_of};
use crate::accounts::random_password;
use crate::http::input::encode;

#[derive(Subcommand)]
pub enum Options {
    /// Makes an account
    ///
    /// till user create --email ann@example.com --role admin --generate
    /// pass show till | till user create --email bob@example.com --role staff --password-stdin
    #[command(verbatim_doc_comment)]
    Create(Create),
    /// Lists accounts, oldest first
    ///
    /// till user list --search ann
    /// till user list --role admin
    /// till user list --limit 0 --json | jq -r .email
    #[command(verbatim_doc_comment)]
    List(List),
    /// Shows an account
    ///
    /// till user show ann@example.com
    #[command(verbatim_doc_comment)]
    Show {
        /// The e-mail address, or the user's id
        who: String,
    },
    /// Changes what somebody may do; it takes effect at once
    ///
    /// till user set-role ann@example.com staff
    #[command(verbatim_doc_comment)]
    SetRole {
        /// The e-mail address, or the user's id
        who: String,
        /// What they may do from now on
        #[arg(value_parser = ["customer", "staff", "admin"])]
        role: String,
    },
    /// Locks somebody out, at once; nothing of theirs is lost
    ///
    /// till user deactivate ann@example.com
    #[command(verbatim_doc_comment)]
    Deactivate {
        /// The e-mail address, or the user's id
        who: String,
    },
    /// Lets somebody in again
    ///
    /// till user activate ann@example.com
    #[command(verbatim_doc_comment)]
    Activate {
        /// The e-mail address, or the user's id
        who: String,
    },
    /// Sets a new password, and ends all of the user's sessions
    ///
    /// till user reset-password ann@example.com --generate
    #[command(verbatim_doc_comment)]
    ResetPassword {
        /// The e-mail address, or the user's id
        who: String,
        #[command(flatten)]
        password: Password,
    },
    /// Writes all that the shop holds on somebody, as JSON: account, orders, invoices, payments
    ///
    /// till user export ann@example.com --out ann.json
    #[command(verbatim_doc_comment)]
    Export {
        /// The e-mail address, or the user's id
        who: String,
        /// The file; - is stdout
        #[arg(long, short, value_name = "FILE", default_value = "-")]
        out: PathBuf,
    },
    /// Erases somebody for good; invoices and credit notes stay, as the law wants them
    ///
    /// Refused while an order, payment, refund or dispute of theirs is under way. Backups that were made before still
    /// have them; after restoring one, erase them again.
    ///
    /// till user erase ann@example.com
    #[command(verbatim_doc_comment)]
    Erase {
        /// The e-mail address, or the user's id
        who: String,
    },
}

#[derive(Args)]
pub struct List {
    /// Only those with this in their address or name
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only those who may do this
    #[arg(long, value_parser = ["customer", "staff", "admin"])]
    role: Option<String>,
    /// Only those who were locked out
    #[arg(long)]
    deactivated: bool,
    #[command(flatten)]
    limit: super::product::Limit,
}

#[derive(Args)]
pub struct Create {
    /// The e-mail address to log in with
    #[arg(long)]
    email: String,
    /// What they may do
    #[arg(long, value_parser = ["customer", "staff", "admin"])]
    role: String,
    /// What to call them
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    password: Password,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Password {
    /// Reads the password from stdin, one line; on a terminal it is asked for
    #[arg(long)]
    password_stdin: bool,
    /// Makes a password, and prints it
    #[arg(long)]
    generate: bool,
}

pub async fn run(options: Options, shop: &Shop, yes: bool, out: &Output) -> Result<ExitCode, CliError> {
    match options {
        Options::Create(create) => {
            let (password, made) = create.password.read()?;
            let mut body = json!({"email": create.email, "role": create.role, "password": password});
            if let Some(name) = create.name {
                body["name"] = name.into();
            }
            let user = shop.call(Method::POST, "/api/admin/users/", Payload::Json(body)).await?;
            tell(user, made, out);
        }
        Options::List(List { search, role, deactivated, limit }) => {
            let mut path = "/api/admin/users/?".to_owned();
            for (name, value) in [("search", search), ("role", role)] {
                if let Some(value) = value {
                    path.push_str(&format!("&{name}={}", encode(&value)));
                }
            }
            if deactivated {
                path.push_str("&is_active=false");
            }
            let columns = [
                Column("id", "id", true),
                Column("e-mail", "email", false),
                Column("name", "name", false),
                Column("role", "role", false),
                Column("active", "is_active", false),
                Column("created", "created_at", false),
                Column("last login", "last_login_at", false),
            ];
            limit.show(shop, &path, &columns, out).await?;
        }
        Options::Show { who } => {
            let id = find(shop, &who).await?;
            out.document(&shop.get(&format!("/api/admin/users/{id}/")).await?, people);
        }
        Options::SetRole { who, role } => change(shop, out, &who, json!({"role": role})).await?,
        Options::Deactivate { who } => change(shop, out, &who, json!({"is_active": false})).await?,
        Options::Activate { who } => change(shop, out, &who, json!({"is_active": true})).await?,
        Options::ResetPassword { who, password } => {
            let id = find(shop, &who).await?;
            let (password, made) = password.read()?;
            let path = format!("/api/admin/users/{id}/password/");
            shop.call(Method::POST, &path, Payload::Json(json!({"password": password}))).await?;
            let user = shop.get(&format!("/api/admin/users/{id}/")).await?;
            tell(user, made, out);
        }
        Options::Export { who, out: to } => {
            let id = find(shop, &who).await?;
            let all = shop.get(&format!("/api/admin/users/{id}/export/")).await?;
            let mut file = OutFile::create(&to, true)?;
            writeln!(file, "{}", serde_json::to_string_pretty(&all)?)?;
            file.finish()?;
            if to != Path::new("-") {
                out.note(&format!("written to {}", to.display()));
            }
        }
        Options::Erase { who } => {
            let id = find(shop, &who).await?;
            let user = shop.get(&format!("/api/admin/users/{id}/")).await?;
            let [email, name] = ["email", "name"].map(|member| text_of(&user, member));
            confirm(yes, &format!("Erase {email} ({name}) for good?"))?;
            shop.call(Method::POST, &format!("/api/admin/users/{id}/erase/"), Payload::None).await?;
            out.document(&json!({"id": id, "erased": true}), |_| format!("user {id} is erased\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows a user, and the password that was made; the latter alone to a script that wants no more.
fn tell(mut user: Value, made: Option<String>, out: &Output) {
    match made {
        Some(password) if out.quiet && !out.json => print(&format!("{password}\n")),
        Some(password) => {
            user["password"] = password.into();
            out.document(&user, people);
        }
        None => out.document(&user, people),
    }
}

async fn change(shop: &Shop, out: &Output, who: &str, change: Value) -> Result<(), CliError> {
    let id = find(shop, who).await?;
    let user = shop.call(Method::PATCH, &format!("/api/admin/users/{id}/"), Payload::Json(change)).await?;
    out.document(&user, people);
    Ok(())
}

/// The id of the user with this address, or of this id.
async fn find(shop: &Shop, who: &str) -> Result<u64, CliError> {
    if let Ok(id) = who.parse() {
        return Ok(id);
    }
    let (found, _) = shop.list(&format!("/api/admin/users/?email={}", encode(who)), 1).await?;
    let id = found.first().and_then(|user| user["id"].as_u64());
    id.ok_or_else(|| {
        CliError::failed(format!("nobody has the address {who}; `till user list` shows who there is"))
    })
}

fn people(user: &Value) -> String {
    let get = |name: &str| text_of(user, name);
    let state = if user["is_active"] == false { ", deactivated" } else { "" };
    let mut text = format!("user {} {} ({}{state})\n", get("id"), get("email"), get("role"));
    for (label, name) in [("name", "name"), ("created", "created_at"), ("last login", "last_login_at")] {
        text.push_str(&format!("  {label:<10} {}\n", get(name)));
    }
    if let Some(password) = user["password"].as_str() {
        text.push_str(&format!("password: {password}\n"));
    }
    text
}

impl Password {
    /// The password, and again where it was made here and has to be shown.
    fn read(&self) -> Result<(String, Option<String>), CliError> {
        if self.generate {
            let made = random_password();
            return Ok((made.clone(), Some(made)));
        }
        Ok((from_stdin()?, None))
    }
}

/// One line of stdin; on a terminal it is asked for, and not shown.
fn from_stdin() -> Result<String, CliError> {
    let mut line = String::new();
    if std::io::stdin().is_terminal() {
        line = rpassword::prompt_password("Password: ")?;
    } else {
        std::io::stdin().lock().read_line(&mut line)?;
    }
    let line = line.trim_end_matches(['\r', '\n']).to_owned();
    if line.is_empty() { Err(CliError::failed("there is no password on stdin")) } else { Ok(line) }
}
