//! `till init`: asks, or takes flags, and writes the settings and the first administrator.

mod administrator;
mod dialogue;
mod questions;
mod trial;

use std::fs::{Permissions, read_to_string, set_permissions};
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::file::OutFile;
use super::output::{Output, one_line};
use super::{CliError, Global, environment};
use crate::advice::Level;
use crate::config::{Config, Flags};
use administrator::Administrator;
use dialogue::{Interruptible, ask, asked, is_yes};
use questions::{Answers, QUESTIONS, Question, good, meant};

/// Writes config.toml and makes the first administrator: asks, or takes flags
///
/// On a terminal, what no flag says is asked for, with a default to accept by Enter, held against what is allowed at
/// once, and tried where you like: mail server, payment keys, place for backups. Secrets are not shown, and nothing is
/// written before you have seen all of it. Elsewhere, and with --yes, the defaults are taken. The file names every
/// other setting too, with its meaning and its default, and is readable by its user alone.
/// Secrets come from files; - is stdin.
///
/// till init
/// till init --name "Corner Shop" --currency EUR --shipping 4.90 --tax 19 --yes
/// till init --domain shop.example.com --admin boss@example.com --stripe-key-file key --try --yes
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// The shop's name, on invoices
    #[arg(long)]
    name: Option<String>,
    /// The seller's address and tax number, on invoices; \n between lines
    #[arg(long)]
    address: Option<String>,
    /// The shop's one currency, such as EUR; it can't be changed later
    #[arg(long)]
    currency: Option<String>,
    /// What sending an order costs
    #[arg(long, value_name = "AMOUNT")]
    shipping: Option<String>,
    /// From which subtotal on sending is free
    #[arg(long, value_name = "AMOUNT")]
    free_shipping_from: Option<String>,
    /// Tax that is added to every line, in percent
    #[arg(long, value_name = "PERCENT")]
    tax: Option<String>,
    /// The shop's domain, such as shop.example.com: certificates and HTTPS come by themselves
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// Where the certificate authority may write to
    #[arg(long, value_name = "EMAIL", requires = "domain")]
    acme_email: Option<String>,
    /// What customers call the shop where it has no domain of its own, such as https://shop.example.com
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Where the shop listens, such as 127.0.0.1:8080
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// The mail server, smtps://USER:PASSWORD@HOST, in a file
    #[arg(long, value_name = "FILE")]
    smtp_url_file: Option<PathBuf>,
    /// Whom mails are from, such as "Ann's Teas <orders@shop.example.com>"
    #[arg(long, value_name = "ADDRESS")]
    mail_from: Option<String>,
    /// Stripe's secret key, sk_… or rk_…, in a file
    #[arg(long, value_name = "FILE")]
    stripe_key_file: Option<PathBuf>,
    /// The secret of Stripe's webhook endpoint, whsec_…, in a file
    #[arg(long, value_name = "FILE")]
    stripe_webhook_secret_file: Option<PathBuf>,
    /// The client id of PayPal's REST application
    #[arg(long, value_name = "ID")]
    paypal_client_id: Option<String>,
    /// The secret that belongs to it, in a file
    #[arg(long, value_name = "FILE")]
    paypal_secret_file: Option<PathBuf>,
    /// The id of its webhook
    #[arg(long, value_name = "ID")]
    paypal_webhook_id: Option<String>,
    /// Where PayPal's API is; https://api-m.sandbox.paypal.com to try things out
    #[arg(long, value_name = "URL")]
    paypal_api: Option<String>,
    /// Whether the built-in test gateway is on, which pays orders with no money at all
    #[arg(long, value_name = "true|false")]
    test_payments: Option<String>,
    /// Where backups are kept: a directory, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "PLACE")]
    backup_to: Option<String>,
    /// When one is made each day, in UTC, such as 03:30
    #[arg(long, value_name = "TIME")]
    backup_at: Option<String>,
    /// Where the bucket is, if not at AWS
    #[arg(long, value_name = "URL")]
    s3_endpoint: Option<String>,
    /// The bucket's region
    #[arg(long, value_name = "REGION")]
    s3_region: Option<String>,
    /// The bucket's access key
    #[arg(long, value_name = "KEY")]
    s3_access_key: Option<String>,
    /// The secret key that belongs to it, in a file
    #[arg(long, value_name = "FILE")]
    s3_secret_key_file: Option<PathBuf>,
    /// What backups are encrypted with, in a file
    #[arg(long, value_name = "FILE")]
    backup_passphrase_file: Option<PathBuf>,
    /// The first administrator's e-mail address: the account is made in the data directory at once, or by the shop that
    /// runs there. Without --admin-password-file a password is made, and printed
    #[arg(long, value_name = "EMAIL")]
    admin: Option<String>,
    /// The administrator's password, in a file
    #[arg(long, value_name = "FILE", requires = "admin")]
    admin_password_file: Option<PathBuf>,
    /// Tries mail server, payment keys and place for backups, and writes nothing where one does not work
    #[arg(long = "try")]
    tries: bool,
    /// The file to write [default: --config, else ./config.toml]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Options {
    /// What the flags say, by setting.
    fn given(&self) -> Result<Answers, CliError> {
        let plain = [
            ("shop.name", &self.name),
            ("shop.address", &self.address),
            ("shop.currency", &self.currency),
            ("shipping.flat", &self.shipping),
            ("shipping.free_from", &self.free_shipping_from),
            ("tax.percent", &self.tax),
            ("https.domain", &self.domain),
            ("https.acme_email", &self.acme_email),
            ("server.public_url", &self.public_url),
            ("server.listen", &self.listen),
            ("mail.from", &self.mail_from),
            ("payment.paypal.client_id", &self.paypal_client_id),
            ("payment.paypal.webhook_id", &self.paypal_webhook_id),
            ("payment.paypal.api_base", &self.paypal_api),
            ("payment.test.enabled", &self.test_payments),
            ("backup.to", &self.backup_to),
            ("backup.daily_at", &self.backup_at),
            ("backup.s3_endpoint", &self.s3_endpoint),
            ("backup.s3_region", &self.s3_region),
            ("backup.s3_access_key", &self.s3_access_key),
        ];
        let secrets = [
            ("mail.smtp_url", &self.smtp_url_file),
            ("payment.stripe.secret_key", &self.stripe_key_file),
            ("payment.stripe.webhook_secret", &self.stripe_webhook_secret_file),
            ("payment.paypal.client_secret", &self.paypal_secret_file),
            ("backup.s3_secret_key", &self.s3_secret_key_file),
            ("backup.passphrase", &self.backup_passphrase_file),
        ];
        let mut given = Answers::default();
        for (key, value) in plain {
            if let Some(value) = value {
                given.set(key, meant(key, value));
            }
        }
        for (key, file) in secrets {
            if let Some(file) = file {
                given.set(key, secret_in(file)?);
            }
        }
        Ok(given)
    }
}

/// A secret in a file, or on stdin: its first line.
fn secret_in(file: &Path) -> Result<String, CliError> {
    let read = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        read_to_string(file)
    };
    let text = read.map_err(|error| CliError::failed(format!("{}: {error}", file.display())))?;
    match text.lines().next().map(str::trim_end).filter(|line| !line.is_empty()) {
        Some(line) => Ok(line.to_owned()),
        None => Err(CliError::failed(format!("{}: its first line must be the secret", file.display()))),
    }
}

pub async fn run(options: &Options, global: &Global, out: &Output) -> Result<ExitCode, CliError> {
    let file = options.out.clone().or_else(|| global.config.clone()).unwrap_or_else(|| "config.toml".into());
    let asks = std::io::stdin().is_terminal() && !global.yes;
    let interruptible = Interruptible::new()?;
    may_write(&file, global.yes, asks)?;
    let mut given = options.given()?;
    if let Some(dir) = &global.data_dir {
        given.set("data.dir", dir.display().to_string());
    }
    let mut administrator = match &options.admin {
        Some(email) => Some(Administrator::given(email, options.admin_password_file.as_deref())?),
        None => None,
    };
    if administrator.is_some() && file == Path::new("-") {
        return Err(CliError::usage("--admin needs settings in a file; --out names it"));
    }
    let mut answers = Answers::default();
    loop {
        answers = collect(&given, asks, &answers, options.tries).await?;
        if !asks {
            break;
        }
        if options.admin.is_none() && file != Path::new("-") {
            administrator = if for_a_service()? { None } else { Administrator::asked()? };
        }
        review(&answers, administrator.as_ref());
        match ask(&format!("Write this to {}? [Y/n/again] ", file.display()))?.to_ascii_lowercase().as_str() {
            "" | "y" | "yes" => break,
            "a" | "again" => {}
            _ => return Err(CliError::failed("nothing was written")),
        }
    }
    // What is begun now is done to its end.
    drop(interruptible);
    let mut to = OutFile::create(&file, true)?;
    to.write_all(Config::written(&answers.0).as_bytes())?;
    to.finish()?;
    if file == Path::new("-") {
        return Ok(ExitCode::SUCCESS);
    }
    hide(&file)?;
    let shown = file.display().to_string();
    let mut document = json!({"file": shown});
    if let Some(administrator) = administrator {
        let email = administrator.email.clone();
        let own = Global { config: Some(file.clone()), ..global.clone() };
        let made = match own.load_config(Flags::default()) {
            Ok(config) => administrator.make(config).await,
            Err(faults) => Err(faults.into()),
        };
        document["administrator"] = made.map_err(|CliError { said, .. }| {
            CliError::failed(format!(
                "{shown} is written, but the administrator can't be made: {said}\nMend that; then \
                 `till user create --email {email} --role admin --generate` makes one"
            ))
        })?;
    }
    out.document(&document, people);
    next_steps(&file, &document, out);
    Ok(ExitCode::SUCCESS)
}

/// Whether the system is to run the shop: it has its data elsewhere, so its administrator is made when that is there.
fn for_a_service() -> Result<bool, CliError> {
    eprintln!("\nThe administrator");
    let is_root = rustix::process::geteuid().is_root();
    is_yes(
        "Will systemd run the shop (till service install)? Then the administrator is made after that.",
        is_root,
    )
}

/// Makes sure that no file is lost that somebody wants to keep.
fn may_write(file: &Path, yes: bool, asks: bool) -> Result<(), CliError> {
    if file.is_dir() {
        return Err(CliError::failed(format!("{} is a directory; --out names a file", file.display())));
    }
    if file.is_file() && !yes {
        let said = format!("{} is there already", file.display());
        if !asks || !is_yes(&format!("{said}; write it anew?"), false)? {
            return Err(CliError::failed(format!(
                "{said}, and stays as it is; --yes writes it anew, --out another one"
            )));
        }
    }
    Ok(())
}

/// The answers to all questions that are worth asking: from the flags, else from whoever is asked. `last` is what was
/// answered the last time.
async fn collect(given: &Answers, asks: bool, last: &Answers, tries: bool) -> Result<Answers, CliError> {
    let mut answers = Answers::default();
    let of_other_flags = given.0.iter().filter(|(key, _)| questions().all(|question| question.key != *key));
    answers.0.extend(of_other_flags.cloned());
    for (heading, questions) in QUESTIONS {
        let mut last = last.clone();
        loop {
            let before = answers.clone();
            let were_asked = answer(questions, heading, given, asks, &last, &mut answers)?;
            if !trial::is_of_use(heading, &answers) || !(tries || were_asked) {
                break;
            }
            if !tries && !is_yes("Try it now?", true)? {
                break;
            }
            let works = try_out(heading, &answers).await?;
            if works || (were_asked && is_yes("Keep it all the same?", false)?) {
                break;
            }
            if !were_asked {
                return Err(CliError::failed("that does not work, and nothing was written"));
            }
            last = answers;
            answers = before;
        }
    }
    // What was answered before a question that made it void is no answer.
    for (key, _) in &given.0 {
        if answers.get(key).is_empty() && !given.get(key).is_empty() {
            let flag = questions().find(|question| question.key == *key).map_or("", |question| question.flag);
            return Err(CliError::usage(format!(
                "{flag} goes with another flag; `till init --help` shows all"
            )));
        }
    }
    Ok(answers)
}

fn questions() -> impl Iterator<Item = &'static Question> {
    QUESTIONS.iter().flat_map(|(_, some)| *some)
}

/// Takes the answers under a heading; whether anything was asked.
fn answer(
    questions: &'static [Question],
    heading: &str,
    given: &Answers,
    asks: bool,
    last: &Answers,
    answers: &mut Answers,
) -> Result<bool, CliError> {
    let mut were_asked = false;
    for question in questions {
        let from_flag = given.get(question.key);
        if !from_flag.is_empty() {
            // Where it is may be said of any shop, and need not be asked of some.
            let is_wanted = (question.when)(answers) || question.key.starts_with("server.");
            good(answers, question.key, from_flag).map_err(|said| {
                let shown = if question.is_secret() { String::new() } else { format!(" {from_flag}") };
                CliError::usage(format!("{}{shown}: {said}", question.flag))
            })?;
            if is_wanted {
                answers.set(question.key, from_flag.to_owned());
            }
        } else if (question.when)(answers) {
            let is_known = question.key == "https.domain" && !given.get("server.public_url").is_empty();
            if asks && !is_known {
                if !were_asked {
                    eprintln!("\n{heading}");
                }
                were_asked = true;
                if let Some(answer) = asked(answers, question, last.get(question.key))? {
                    answers.set(question.key, answer);
                }
            } else if let Some(suggested) = question.suggests {
                answers.set(question.key, suggested.to_owned());
            }
        }
    }
    Ok(were_asked)
}

/// Tries what was answered under a heading, and says how that went; whether it works.
async fn try_out(heading: &str, answers: &Answers) -> Result<bool, CliError> {
    let config = answers.config(environment()).map_err(CliError::failed)?;
    let found = trial::tried(heading, &config).await;
    for advice in &found {
        eprintln!("  {}", one_line(&advice.says));
        if let Some(todo) = &advice.todo {
            eprintln!("  → {}", one_line(todo));
        }
    }
    Ok(found.iter().all(|advice| advice.level < Level::Error))
}

/// Shows what would be written.
fn review(answers: &Answers, administrator: Option<&Administrator>) {
    eprintln!("\nThis is what was said; all else stays at its default:");
    for (key, value) in &answers.0 {
        let is_secret = questions().any(|question| question.key == *key && question.is_secret());
        eprintln!("  {key} = {}", if is_secret { "********" } else { value });
    }
    if let Some(administrator) = administrator {
        eprintln!("  administrator: {}", administrator.email);
    }
}

/// Takes others' right to read a file that was there, now that secrets may be in it.
fn hide(file: &Path) -> Result<(), CliError> {
    let Ok(found) = file.metadata() else { return Ok(()) };
    let mode = found.permissions().mode();
    if found.is_file() && mode & 0o007 != 0 {
        set_permissions(file, Permissions::from_mode(mode & 0o770))?;
    }
    Ok(())
}

fn people(document: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut shown = format!("{} is written\n", text(&document["file"]));
    let administrator = &document["administrator"];
    if administrator.is_object() {
        let how =
            if administrator["was_there"] == true { " was there already, and stays as it is" } else { "" };
        shown.push_str(&format!("administrator {}{how}\n", text(&administrator["email"])));
    }
    if let Some(password) = administrator["password"].as_str() {
        shown.push_str(&format!("password: {password}\n"));
    }
    shown
}

fn next_steps(file: &Path, document: &Value, out: &Output) {
    let flag = if file == Path::new("config.toml") {
        String::new()
    } else {
        format!(" --config {}", file.display())
    };
    let mut steps = vec![format!("till serve{flag}   runs the shop")];
    if document["administrator"].is_null() {
        steps = vec![
            format!("sudo till service install{flag}   has systemd run the shop; or till serve{flag}"),
            "till user create --email YOU --role admin --generate   makes the administrator".into(),
        ];
    }
    steps.push("till product import FILE   brings the products".into());
    steps.push("till doctor   says whether all is well".into());
    let with = if flag.is_empty() { String::new() } else { format!(" (with{flag}, unless it is a service)") };
    out.note(&format!("Next{with}:\n  {}", steps.join("\n  ")));
}
