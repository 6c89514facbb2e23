//! Backups as commands are given them: files, stdin, encrypted or not.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::pin::Pin;

use bytes::Bytes;
use clap::Args;
use futures_util::{Stream, StreamExt};
use tokio::runtime::Runtime;

use super::{CliError, Global};
use crate::backup::MAGIC;
use crate::backup::bucket::{Bucket, BucketUrl};
use crate::backup::crypt::{self, Keys};
use crate::config::{Flags, Secret, Setting};

/// Enough to tell what a file is (bytes).
const HEAD: u64 = 64;

/// What opens an encrypted backup.
#[derive(Args, Default)]
pub struct Unlock {
    /// Of an encrypted backup: the file that holds its passphrase [else the setting backup.passphrase, or it is asked]
    #[arg(long, value_name = "FILE", conflicts_with = "identity")]
    passphrase_file: Option<PathBuf>,
    /// Of a backup encrypted for recipients: the file with an identity of theirs, AGE-SECRET-KEY-1…
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

impl Unlock {
    fn keys(&self, global: &Global) -> Result<Keys, CliError> {
        if let Some(file) = &self.identity {
            let text = read_text(file)?;
            return Keys::identities(&text)
                .map_err(|said| CliError::failed(format!("{}: {said}", file.display())));
        }
        if let Some(file) = &self.passphrase_file {
            return Ok(Keys::Passphrase(passphrase_in(file)?));
        }
        let configured = global.load_config(Flags::default())?.backup_passphrase;
        if !configured.reveal().is_empty() {
            return Ok(Keys::Passphrase(configured));
        }
        if !io::stdin().is_terminal() {
            let said = "the backup is encrypted; --passphrase-file or --identity says with what it is opened";
            return Err(CliError::failed(said));
        }
        Ok(Keys::Passphrase(asked("Passphrase of the backup: ")?))
    }
}

/// Asks for a secret at the terminal.
pub fn asked(prompt: &str) -> Result<Secret, CliError> {
    Secret::read(&rpassword::prompt_password(prompt)?).map_err(CliError::failed)
}

/// The passphrase in a file: its first line.
pub fn passphrase_in(file: &Path) -> Result<Secret, CliError> {
    let text = read_text(file)?;
    match text.lines().next().filter(|line| !line.trim().is_empty()) {
        Some(line) => Secret::read(line).map_err(CliError::failed),
        None => Err(CliError::failed(format!("{}: its first line must be the passphrase", file.display()))),
    }
}

fn read_text(file: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(file).map_err(|error| CliError::failed(format!("{}: {error}", file.display())))
}

/// A file that is read from its beginning, opened where it is encrypted.
pub struct Source {
    head: io::Cursor<Vec<u8>>,
    rest: Box<dyn Read>,
    /// Whether it is encrypted where it is.
    pub is_sealed: bool,
}

impl Source {
    /// `-` is stdin, `s3://BUCKET/PREFIX/NAME` a bucket's.
    pub fn open(file: &Path, unlock: &Unlock, global: &Global) -> Result<Source, CliError> {
        let said = |error: io::Error| CliError::failed(format!("{}: {error}", file.display()));
        let input: Box<dyn Read> = if file == Path::new("-") {
            Box::new(io::stdin())
        } else if let Some(url) = in_bucket(file) {
            Box::new(Fetched::open(url, global)?)
        } else {
            Box::new(File::open(file).map_err(said)?)
        };
        let source = Source::of(input).map_err(said)?;
        if !crypt::is_sealed(source.head.get_ref()) {
            return Ok(source);
        }
        let keys = unlock.keys(global)?;
        let opened = crypt::open(&keys, source);
        let opened = opened.map_err(|error| CliError::failed(format!("{}: {error}", file.display())))?;
        let source = Source::of(Box::new(opened)).map_err(said)?;
        Ok(Source { is_sealed: true, ..source })
    }

    fn of(mut input: Box<dyn Read>) -> io::Result<Source> {
        let mut head = Vec::new();
        input.by_ref().take(HEAD).read_to_end(&mut head)?;
        Ok(Source { head: io::Cursor::new(head), rest: input, is_sealed: false })
    }

    /// Whether it is a backup, by what it begins with.
    pub fn is_backup(&self) -> bool {
        self.head.get_ref().starts_with(MAGIC)
    }
}

/// A bucket's URL, if it is one.
pub fn in_bucket(file: &Path) -> Option<&str> {
    file.to_str().filter(|text| text.starts_with("s3://"))
}

/// What a bucket has, as it comes.
struct Fetched {
    runtime: Runtime,
    pieces: Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>,
    piece: Bytes,
}

impl Fetched {
    fn open(url: &str, global: &Global) -> Result<Fetched, CliError> {
        let Some((prefix, name)) = url.rsplit_once('/').filter(|(prefix, _)| prefix.len() > "s3://".len())
        else {
            return Err(CliError::failed(format!(
                "{url}: a backup in a bucket is named s3://BUCKET/PREFIX/NAME"
            )));
        };
        let bucket = bucket(prefix, global)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let pieces = runtime.block_on(bucket.get(name))?;
        Ok(Fetched { runtime, pieces: Box::pin(pieces), piece: Bytes::new() })
    }
}

impl Read for Fetched {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.runtime.block_on(self.pieces.next()) {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let count = out.len().min(self.piece.len());
        out[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}

/// A bucket, asked with what the settings say.
pub fn bucket(url: &str, global: &Global) -> Result<Bucket, CliError> {
    let parsed: BucketUrl = url.parse().map_err(|said| CliError::usage(format!("{url} {said}")))?;
    Ok(Bucket::new(parsed, global.load_config(Flags::default())?.s3())?)
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.head.read(out)? {
            0 => self.rest.read(out),
            read => Ok(read),
        }
    }
}
