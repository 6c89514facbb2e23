//! `till backup`

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use futures_util::StreamExt;
use http::{Method, header};
use serde_json::json;

use super::check::{look, shown};
use super::client::{Payload, Shop, broken_off, refusal};
use super::file::OutFile;
use super::output::{Column, Output};
use super::sealed::{Unlock, asked, passphrase_in};
use super::{CliError, Global, stopped};
use crate::backup::crypt::{self, Lock, Recipient, Sealing};

#[derive(Subcommand)]
pub enum Options {
    /// Writes all of the shop's data into one file, while the shop sells
    ///
    /// till backup create
    /// till backup create --out /mnt/usb/shop.backup --encrypt
    /// till --url https://shop.example.com --token till_… backup create
    #[command(verbatim_doc_comment)]
    Create(Create),
    /// Lists the backups that the schedule keeps
    ///
    /// till backup list
    #[command(verbatim_doc_comment)]
    List,
    /// Reads a backup to its end, and runs every check on what is in it
    ///
    /// till backup verify till-20261123T033000Z-4711.backup
    #[command(verbatim_doc_comment)]
    Verify(Verify),
}

#[derive(Args)]
pub struct Create {
    /// Where it goes; - is stdout [default: till-TIME-COMMIT.backup in this directory]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Encrypts it (age format) with a passphrase, which is asked for
    #[arg(long)]
    encrypt: bool,
    /// Encrypts it with the passphrase in this file
    #[arg(long, value_name = "FILE", conflicts_with = "recipient")]
    passphrase_file: Option<PathBuf>,
    /// Encrypts it for somebody's age identity, age1…; may be given several times
    #[arg(long, value_name = "RECIPIENT", conflicts_with = "encrypt")]
    recipient: Vec<Recipient>,
}

#[derive(Args)]
pub struct Verify {
    /// The backup; - is stdin
    pub file: PathBuf,
    /// Looks at every page of what it becomes, too
    #[arg(long)]
    deep: bool,
    #[command(flatten)]
    unlock: Unlock,
}

pub async fn run(options: Options, shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
    match options {
        Options::Create(create) => create.run(shop, out).await,
        Options::List => {
            let columns = [
                Column("NAME", "name", false),
                Column("MADE", "created_at", false),
                Column("COMMIT", "commit", true),
                Column("BYTES", "bytes", true),
                Column("ENCRYPTED", "encrypted", false),
            ];
            let (items, _) = shop.list("/api/admin/backups/", 0).await?;
            out.list(&items, &columns);
            Ok(ExitCode::SUCCESS)
        }
        Options::Verify(_) => unreachable!("it needs no shop"),
    }
}

/// Reads a file that need not be this shop's.
pub fn verify(options: &Verify, global: &Global, out: &Output) -> Result<ExitCode, CliError> {
    let looked = look(&options.file, options.deep, &options.unlock, global, out)?;
    if looked.header.is_none() {
        return Err(CliError(format!("{}: this is no backup of till", options.file.display())));
    }
    Ok(shown(looked, out))
}

impl Create {
    fn lock(&self) -> Result<Option<Lock>, CliError> {
        if !self.recipient.is_empty() {
            return Ok(Some(Lock::Recipients(self.recipient.clone())));
        }
        if let Some(file) = &self.passphrase_file {
            return Ok(Some(Lock::Passphrase(passphrase_in(file)?)));
        }
        if !self.encrypt {
            return Ok(None);
        }
        if !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
            return Err(CliError(
                "--passphrase-file says with what it is encrypted; there is no terminal to ask at".into(),
            ));
        }
        let passphrase = asked("Passphrase: ")?;
        if passphrase.reveal().is_empty() {
            return Err(CliError("the passphrase must not be empty".into()));
        }
        if passphrase.reveal() != asked("Once more: ")?.reveal() {
            return Err(CliError("the two are not the same".into()));
        }
        Ok(Some(Lock::Passphrase(passphrase)))
    }

    async fn run(self, shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
        let lock = self.lock()?;
        let mut answering = shop.open(Method::POST, "/api/admin/backup/", None, Payload::None).await?;
        if answering.status >= 400 {
            let answered = answering.whole().await?;
            return Err(CliError(refusal(&answered.json(), answered.status)));
        }
        let named = answering.headers.get(header::CONTENT_DISPOSITION).and_then(|value| value.to_str().ok());
        let named =
            named.and_then(|value| value.split('"').nth(1)).and_then(|name| Path::new(name).file_name());
        let named = named.unwrap_or("till.backup".as_ref()).to_owned();
        let path = self.out.unwrap_or_else(|| {
            let mut name = named;
            if lock.is_some() {
                name.push(".age");
            }
            name.into()
        });
        let mut to = Target::new(OutFile::create(&path, true)?, lock.as_ref())?;
        let mut progress = out.progress();
        let mut bytes = 0;
        loop {
            let piece = tokio::select! {
                piece = answering.body.next() => piece,
                () = stopped() => {
                    progress.end();
                    return Err(CliError("stopped; no backup was made".into()));
                }
            };
            let Some(piece) = piece else { break };
            let piece = piece.map_err(|said| broken_off(&said))?;
            to.write_all(&piece)?;
            bytes += piece.len() as u64;
            progress.at("backing up", bytes, 0, true);
        }
        progress.end();
        to.finish()?;
        if path != Path::new("-") {
            let said = path.display().to_string();
            out.document(&json!({"file": said, "bytes": bytes}), |_| format!("{said}\n"));
            out.note("till backup verify reads it back; till restore puts it in place");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Where a backup is written to, sealed or not.
enum Target {
    Open(OutFile),
    Sealed(Sealing<OutFile>),
}

impl Target {
    fn new(file: OutFile, lock: Option<&Lock>) -> Result<Target, CliError> {
        Ok(match lock {
            Some(lock) => Target::Sealed(crypt::seal(lock, file)?),
            None => Target::Open(file),
        })
    }

    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Target::Open(file) => file.write_all(bytes),
            Target::Sealed(file) => file.write_all(bytes),
        }
    }

    fn finish(self) -> Result<(), CliError> {
        match self {
            Target::Open(file) => file.finish(),
            Target::Sealed(file) => file.finish()?.finish(),
        }
    }
}
