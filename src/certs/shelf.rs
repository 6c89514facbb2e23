//! What is kept beside the data, for this user alone: the certificate with its key, in one file, the account at each
//! authority, and how tries to have the next certificate went. A crash leaves a file as it was or as it is to be.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::acme::Proof;
use super::{Certificate, Failed};
use crate::clock::Time;
use crate::hex::hex;

/// The key and the chain, after a line that says from which directory they are.
const CERTIFICATE: &str = "certificate.pem";
const FROM: &str = "ACME directory: ";

/// There while a certificate is tried for in vain.
const TRIES: &str = "tries.json";

pub struct Shelf(PathBuf);

/// An account, and the e-mail address that the authority has for it.
#[derive(Serialize, Deserialize)]
pub struct Account {
    pub email: String,
    pub credentials: AccountCredentials,
}

/// Tries to have a certificate for the same names from the same authority, since the last that went well. They are kept so
/// that a shop that starts again and again asks no more often than one that runs.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Tries {
    pub domains: Vec<String>,
    pub directory: String,
    /// How the domains are proven the next time.
    pub proof: Proof,
    /// How many failed.
    pub failures: u32,
    /// What became of the last, when, and when the next is made.
    pub said: String,
    pub at: Time,
    pub next_at: Time,
}

impl Tries {
    /// Whether it is too early for the next. A clock that was wrong keeps nobody waiting.
    pub fn are_paused(&self, now: Time) -> bool {
        self.at <= now && now < self.next_at
    }

    pub fn failed(&self) -> Option<Failed> {
        let failed = || Failed { at: self.at, said: self.said.clone(), next_at: self.next_at };
        (self.failures > 0).then(failed)
    }
}

impl Shelf {
    pub fn open(dir: &Path) -> Result<Shelf, String> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| format!("{}: {error}", dir.display()))?;
        Ok(Shelf(dir.to_owned()))
    }

    /// The certificate, and the directory that it is from.
    ///
    /// # Errors
    /// The file can't be read. One that holds no certificate is none: it is replaced.
    pub fn certificate(&self) -> Result<Option<(Certificate, String)>, String> {
        let path = self.0.join(CERTIFICATE);
        let Some(text) = read(&path)? else { return Ok(None) };
        match Certificate::read(&text, &text) {
            Ok(found) => {
                let text = String::from_utf8_lossy(&text);
                let from = text.lines().find_map(|line| line.strip_prefix(FROM)).unwrap_or_default();
                Ok(Some((found, from.to_owned())))
            }
            Err(said) => {
                tracing::warn!("{}: {said}; another is asked for", path.display());
                Ok(None)
            }
        }
    }

    pub fn put_certificate(&self, chain: &str, key: &str, directory: &str) -> Result<(), String> {
        let text = Zeroizing::new(format!("{FROM}{directory}\n{key}{chain}"));
        self.write(&self.0.join(CERTIFICATE), text.as_bytes())
    }

    pub fn account(&self, directory: &str) -> Result<Option<Account>, String> {
        let path = self.account_path(directory);
        let Some(text) = read(&path)? else { return Ok(None) };
        serde_json::from_slice(&text).map(Some).map_err(|error| format!("{}: {error}", path.display()))
    }

    pub fn put_account(&self, account: &Account, directory: &str) -> Result<(), String> {
        let text = Zeroizing::new(serde_json::to_vec(account).expect("an account is plain data"));
        self.write(&self.account_path(directory), &text)
    }

    /// What is known of tries for `domains` at `directory`. What can't be read is no reason not to try.
    pub fn tries(&self, domains: &[String], directory: &str) -> Tries {
        let path = self.0.join(TRIES);
        let found = read(&path).and_then(|text| {
            text.map(|text| serde_json::from_slice::<Tries>(&text))
                .transpose()
                .map_err(|error| error.to_string())
        });
        let found = found.unwrap_or_else(|said| {
            tracing::warn!(
                "{}: {said}; a certificate is asked for as if there had been no tries",
                path.display()
            );
            None
        });
        found.filter(|tries| tries.domains == domains && tries.directory == directory).unwrap_or_else(|| {
            Tries { domains: domains.to_vec(), directory: directory.to_owned(), ..Tries::default() }
        })
    }

    pub fn put_tries(&self, tries: &Tries) -> Result<(), String> {
        let text = serde_json::to_vec(tries).expect("tries are plain data");
        self.write(&self.0.join(TRIES), &text)
    }

    /// The last try went well. A record that stays is one of tries that are over.
    pub fn forget_tries(&self) {
        let _ = fs::remove_file(self.0.join(TRIES));
    }

    fn account_path(&self, directory: &str) -> PathBuf {
        self.0.join(format!("account-{}.json", hex(&Sha256::digest(directory)[..8])))
    }

    fn write(&self, path: &Path, text: &[u8]) -> Result<(), String> {
        let put = || {
            let new = path.with_extension("new");
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(text)?;
            file.sync_all()?;
            fs::rename(&new, path)?;
            File::open(&self.0)?.sync_all()
        };
        put().map_err(|error| format!("{}: {error}", path.display()))
    }
}

fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
    match fs::read(path) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}
