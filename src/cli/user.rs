//! `till user`

use std::io::Read;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::json;

use super::CliError;
use super::client::{Payload, Shop};
use super::output::{Column, Output, text_of};
use crate::accounts::random_password;

#[derive(Subcommand)]
pub enum Options {
    /// Makes an account
    ///
    /// till user create --email ann@example.com --role admin --generate
    /// pass show till | till user create --email bob@example.com --role staff --password-stdin
    #[command(verbatim_doc_comment)]
    Create(Create),
    /// Lists accounts, oldest first
    List(super::product::Limit),
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
struct Password {
    /// Reads the password from stdin, up to the end of the line
    #[arg(long)]
    password_stdin: bool,
    /// Makes a password, and prints it
    #[arg(long)]
    generate: bool,
}

pub async fn run(options: Options, shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
    match options {
        Options::Create(create) => {
            let made = create.password.generate.then(random_password);
            let password = match &made {
                Some(password) => password.clone(),
                None => from_stdin()?,
            };
            let mut body = json!({"email": create.email, "role": create.role, "password": password});
            if let Some(name) = create.name {
                body["name"] = name.into();
            }
            let mut user = shop.call(Method::POST, "/api/admin/users/", Payload::Json(body)).await?;
            if let Some(password) = made {
                user["password"] = password.into();
            }
            out.document(&user, |user| {
                let mut text = format!(
                    "user {} {} ({})\n",
                    text_of(user, "id"),
                    text_of(user, "email"),
                    text_of(user, "role")
                );
                if let Some(password) = user["password"].as_str() {
                    text.push_str(&format!("password: {password}\n"));
                }
                text
            });
        }
        Options::List(limit) => {
            let columns = [
                Column("id", "id", true),
                Column("e-mail", "email", false),
                Column("name", "name", false),
                Column("role", "role", false),
                Column("active", "is_active", false),
                Column("created", "created_at", false),
                Column("last login", "last_login_at", false),
            ];
            limit.show(shop, "/api/admin/users/", &columns, out).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn from_stdin() -> Result<String, CliError> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let line = text.lines().next().unwrap_or_default().to_owned();
    if line.is_empty() { Err(CliError("there is no password on stdin".into())) } else { Ok(line) }
}
