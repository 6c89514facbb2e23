//! `till backup`

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

use clap::{Args, Subcommand};
use futures_util::StreamExt;
use http::{Method, header};
use serde_json::{Value, json};

use super::check::{look, shown};
use super::client::{Answering, Payload, Shop, broken_off, refusal};
use super::file::OutFile;
use super::output::{Column, Output, text_of};
use super::progress::Progress;
use super::sealed::{Unlock, asked, bucket, in_bucket, passphrase_in};
use super::{CliError, Global, stopped};
use crate::backup::crypt::{self, Lock, Recipient, Sealing};
use crate::backup::shelf::{self, Kept, Shelf};
use crate::config::Flags;

#[derive(Subcommand)]
pub enum Options {
    /// Writes all of the shop's data into one file, while the shop sells
    ///
    /// till backup create
    /// till backup create --out /mnt/usb/shop.backup --encrypt
    /// till backup create --out s3://bucket/prefix
    /// till backup create --keep
    /// till --url https://shop.example.com --token till_… backup create
    #[command(verbatim_doc_comment)]
    Create(Create),
    /// Lists the backups that the shop keeps, or what there is in a directory or bucket
    ///
    /// till backup list
    /// till backup list s3://bucket/prefix
    #[command(verbatim_doc_comment)]
    List {
        /// A directory, or s3://BUCKET/PREFIX [default: where the shop keeps its own]
        from: Option<PathBuf>,
    },
    /// Reads a backup to its end, and runs every check on what is in it
    ///
    /// till backup verify shop.backup
    #[command(verbatim_doc_comment)]
    Verify(Verify),
}

#[derive(Args)]
pub struct Create {
    /// Where it goes; - is stdout, s3://BUCKET/PREFIX a bucket [default: till-SHOP-TIME-COMMIT.backup in this directory]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Has the shop make it, prove it good, and keep it where it keeps those of its schedule
    #[arg(long, conflicts_with_all = ["out", "encrypt", "passphrase_file", "recipient"])]
    keep: bool,
    /// Encrypts it (age format) with a passphrase, which is asked for
    #[arg(long)]
    encrypt: bool,
    /// Encrypts it with the passphrase in this file
    #[arg(long, value_name = "FILE", conflicts_with = "recipient")]
    passphrase_file: Option<PathBuf>,
    /// Encrypts it for somebody's age identity, age1…; may be given several times
    #[arg(long, value_name = "RECIPIENT", conflicts_with = "encrypt")]
    recipient: Vec<String>,
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

pub async fn run(options: Options, shop: &Shop, global: &Global, out: &Output) -> Result<ExitCode, CliError> {
    match options {
        Options::Create(create) if create.keep => {
            let kept = shop.follow("/api/admin/backups/", None, out).await?;
            out.document(&kept, |kept| format!("{}\n", text_of(kept, "name")));
            Ok(ExitCode::SUCCESS)
        }
        Options::Create(create) => create.run(shop, global, out).await,
        Options::List { .. } => {
            let (items, _) = shop.list("/api/admin/backups/", 0).await?;
            listed(&items, out);
            Ok(ExitCode::SUCCESS)
        }
        Options::Verify(_) => unreachable!("it needs no shop"),
    }
}

fn listed(items: &[Value], out: &Output) {
    let columns = [
        Column("name", "name", false),
        Column("made", "created_at", false),
        Column("commit", "commit", true),
        Column("bytes", "bytes", true),
        Column("encrypted", "encrypted", false),
    ];
    out.list(items, &columns);
}

/// What is in a directory or bucket, the newest first.
pub fn kept_in(place: &Path, global: &Global) -> Result<Vec<Kept>, CliError> {
    let shelf = match in_bucket(place) {
        Some(url) => Shelf::Bucket(Box::new(bucket(url, global)?)),
        None => Shelf::Dir(place.to_owned()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(shelf.list())?)
}

/// Lists what is in a directory or bucket, whosever it is.
pub fn list(from: &Path, global: &Global, out: &Output) -> Result<ExitCode, CliError> {
    let kept = kept_in(from, global)?;
    listed(&kept.iter().map(|kept| json!(kept)).collect::<Vec<_>>(), out);
    Ok(ExitCode::SUCCESS)
}

/// Reads a file that need not be this shop's.
pub fn verify(options: &Verify, global: &Global, out: &Output) -> Result<ExitCode, CliError> {
    let looked = look(&options.file, options.deep, &options.unlock, global, out)?;
    if looked.header.is_none() {
        return Err(CliError::failed(format!("{}: this is no backup of till", options.file.display())));
    }
    Ok(shown(looked, out))
}

impl Create {
    fn lock(&self) -> Result<Option<Lock>, CliError> {
        if !self.recipient.is_empty() {
            // Not read by clap, which would print what may be a secret key.
            let parsed = self.recipient.iter().map(|text| text.parse::<Recipient>());
            let parsed = parsed
                .collect::<Result<_, _>>()
                .map_err(|said| CliError::usage(format!("--recipient {said}")))?;
            return Ok(Some(Lock::Recipients(parsed)));
        }
        if let Some(file) = &self.passphrase_file {
            return Ok(Some(Lock::Passphrase(passphrase_in(file)?)));
        }
        if !self.encrypt {
            return Ok(None);
        }
        if !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
            return Err(CliError::failed(
                "--passphrase-file says with what it is encrypted; there is no terminal to ask at",
            ));
        }
        let passphrase = asked("Passphrase: ")?;
        if passphrase.reveal().is_empty() {
            return Err(CliError::failed("the passphrase must not be empty"));
        }
        if passphrase.reveal() != asked("Once more: ")?.reveal() {
            return Err(CliError::failed("the two are not the same"));
        }
        Ok(Some(Lock::Passphrase(passphrase)))
    }

    async fn run(self, shop: &Shop, global: &Global, out: &Output) -> Result<ExitCode, CliError> {
        let lock = self.lock()?;
        // What can't be sent there is better known before anything is read.
        let target = self.out.as_deref().and_then(in_bucket).map(|url| bucket(url, global)).transpose()?;
        let mut answering = shop.open(Method::POST, "/api/admin/backup/", None, Payload::None).await?;
        if answering.status >= 400 {
            let answered = answering.whole().await?;
            return Err(CliError::failed(refusal(&answered.json(), answered.status)));
        }
        let name = file_name(&answering, lock.is_some());
        if let Some(path) = self.out.as_deref().filter(|_| target.is_none()) {
            not_the_shops_own(path, global)?;
        }
        let mut passing = None;
        let path = match (&target, self.out) {
            (Some(_), _) => passing.insert(tempfile::NamedTempFile::new()?).path().to_owned(),
            (None, Some(path)) => path,
            (None, None) if Path::new(&name).exists() => {
                return Err(CliError::failed(format!("{name} is there already; --out names another file")));
            }
            (None, None) => PathBuf::from(&name),
        };
        let mut to = Target::new(OutFile::create(&path, true)?, lock.as_ref())?;
        let mut progress = out.progress();
        let copied = copy(&mut answering, &mut to, &mut progress).await;
        progress.end();
        let bytes = copied?;
        to.finish()?;
        let said = match &target {
            Some(bucket) => {
                let (pieces, size) = (shelf::pieces(File::open(&path)?), path.metadata()?.len());
                let progress = Mutex::new(out.progress());
                let sent =
                    |bytes| progress.lock().expect("no holder panics").at("sending", bytes, size, true);
                let put = bucket.put(&name, pieces, sent).await;
                progress.into_inner().expect("no holder panics").end();
                put?;
                format!("{}/{name}", bucket.url())
            }
            None if path == Path::new("-") => return Ok(ExitCode::SUCCESS),
            None => path.display().to_string(),
        };
        out.document(&json!({"file": said, "bytes": bytes}), |_| format!("{said}\n"));
        out.note("till backup verify proves it good; till restore puts it in place");
        Ok(ExitCode::SUCCESS)
    }
}

/// A file of the data directory must not be written over by its own backup.
fn not_the_shops_own(path: &Path, global: &Global) -> Result<(), CliError> {
    let own = global.load_config(Flags::default())?.data_dir;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_own = match (dir.canonicalize(), own.canonicalize()) {
        (Ok(dir), Ok(own)) => dir == own,
        _ => false,
    };
    if is_own && path.exists() {
        return Err(CliError::failed(format!("{} is the shop's own file; name another", path.display())));
    }
    Ok(())
}

/// What the shop calls the backup that it sends.
fn file_name(answering: &Answering, is_sealed: bool) -> String {
    let said = answering.headers.get(header::CONTENT_DISPOSITION).and_then(|value| value.to_str().ok());
    // A shop elsewhere does not choose which of our files is overwritten.
    let name = said.and_then(|value| value.split('"').nth(1)).filter(|name| Kept::of(name, 0).is_some());
    format!("{}{}", name.unwrap_or("till.backup"), if is_sealed { ".age" } else { "" })
}

/// Takes the backup as it comes; how many bytes it has.
async fn copy(answering: &mut Answering, to: &mut Target, progress: &mut Progress) -> Result<u64, CliError> {
    let mut bytes = 0;
    loop {
        let piece = tokio::select! {
            piece = answering.body.next() => piece,
            () = stopped() => return Err(CliError::failed("stopped; no backup was made")),
        };
        let Some(piece) = piece else { return Ok(bytes) };
        let piece = piece.map_err(|said| broken_off(&said))?;
        to.write_all(&piece)?;
        bytes += piece.len() as u64;
        progress.at("backing up", bytes, 0, true);
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
