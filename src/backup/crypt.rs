//! Sealing and opening in the `age` format (age-encryption.org/v1), as a stream, so that whatever opens `age` files
//! opens till's. What was changed or cut off is noticed, at the latest at its end: nothing that was read is good
//! before the end is.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::str::FromStr;

use age::secrecy::SecretString;
use age::stream::{StreamReader, StreamWriter};
use age::{DecryptError, Decryptor, EncryptError, Encryptor, scrypt, x25519};

use crate::config::Secret;

/// What every binary `age` file begins with.
const MAGIC: &[u8] = b"age-encryption.org/v1\n";
/// scrypt's cost with a passphrase, as a power of two: 128 MiB of memory and some tenths of a second. age's own choice
/// goes by how fast the machine is, and would take 512 MiB and more on a fast one.
const WORK: u8 = if cfg!(test) { 4 } else { 17 };
/// The most that is done for a file of somebody's: 1 GiB and some seconds, more than other tools ask for.
const MOST_WORK: u8 = 20;

/// What a file is sealed with.
#[derive(Clone, Debug)]
pub enum Lock {
    Passphrase(Secret),
    /// Any of them opens it with the identity that belongs to it; at least one.
    Recipients(Vec<Recipient>),
}

/// What a file is opened with.
#[derive(Clone, Debug)]
pub enum Keys {
    Passphrase(Secret),
    Identities(Vec<Identity>),
}

/// Whom a file is sealed for: `age1…`. It is no secret.
#[derive(Clone, Debug)]
pub struct Recipient(x25519::Recipient);

/// What opens a file that was sealed for its recipient: `AGE-SECRET-KEY-1…`.
#[derive(Clone)]
pub struct Identity(x25519::Identity);

/// Why a file can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum CryptError {
    #[error("this is not encrypted in the age format")]
    NotSealed,
    #[error("the passphrase is wrong: it does not open this file")]
    WrongPassphrase,
    #[error("no identity fits: the file was encrypted for other recipients than these identities belong to")]
    NoIdentityFits,
    #[error("the file was encrypted with a passphrase: give the passphrase instead of identities")]
    NeedsPassphrase,
    #[error(
        "the file was encrypted for recipients: give an identity (AGE-SECRET-KEY-1…) instead of a passphrase"
    )]
    NeedsIdentity,
    #[error(
        "the passphrase was stretched with 2^{asked} rounds of scrypt, and till does at most 2^{MOST_WORK}: till did \
         not make this file. Decrypt it with the age command first"
    )]
    TooMuchWork { asked: u8 },
    #[error("the file is damaged: what says how it was encrypted was changed or cut off")]
    Damaged,
    #[error("{0}")]
    Read(#[from] io::Error),
}

/// Whether a file that begins with these bytes is sealed.
pub fn is_sealed(first_bytes: &[u8]) -> bool {
    first_bytes.starts_with(MAGIC)
}

/// Seals what is written to it into `out`. What was not ended with [`Sealing::finish`] can't be opened.
///
/// # Errors
/// What `out` refuses; a lock without recipients.
pub fn seal<W: Write>(lock: &Lock, out: W) -> io::Result<Sealing<W>> {
    let encryptor = match lock {
        Lock::Passphrase(passphrase) => {
            let mut recipient = scrypt::Recipient::new(secret(passphrase));
            recipient.set_work_factor(WORK);
            Encryptor::with_recipients(std::iter::once(&recipient as _))
        }
        Lock::Recipients(recipients) => {
            Encryptor::with_recipients(recipients.iter().map(|recipient| &recipient.0 as _))
        }
    };
    let encryptor = encryptor.map_err(|error| match error {
        EncryptError::Io(error) => error,
        other => io::Error::new(ErrorKind::InvalidInput, other.to_string()),
    })?;
    Ok(Sealing(encryptor.wrap_output(out)?))
}

/// Opens what `input` holds, up to its end.
///
/// # Errors
/// Why it can't be opened. What is damaged or cut off further in is said while it is read, as
/// [`ErrorKind::InvalidData`].
pub fn open<R: Read>(keys: &Keys, mut input: R) -> Result<Opened<R>, CryptError> {
    let mut first = Vec::new();
    input.by_ref().take(MAGIC.len() as u64).read_to_end(&mut first)?;
    if !is_sealed(&first) {
        return Err(CryptError::NotSealed);
    }
    let whole = io::Cursor::new(first).chain(input);
    let decryptor = Decryptor::new(whole).map_err(|error| refusal(error, keys))?;
    match (keys, decryptor.is_scrypt()) {
        (Keys::Passphrase(_), false) => return Err(CryptError::NeedsIdentity),
        (Keys::Identities(_), true) => return Err(CryptError::NeedsPassphrase),
        _ => {}
    }
    let opened = match keys {
        Keys::Passphrase(passphrase) => {
            let mut identity = scrypt::Identity::new(secret(passphrase));
            identity.set_max_work_factor(MOST_WORK);
            decryptor.decrypt(std::iter::once(&identity as _))
        }
        Keys::Identities(identities) => decryptor.decrypt(identities.iter().map(|identity| &identity.0 as _)),
    };
    opened.map(Opened).map_err(|error| refusal(error, keys))
}

fn secret(passphrase: &Secret) -> SecretString {
    SecretString::from(passphrase.reveal().to_owned())
}

fn refusal(error: DecryptError, keys: &Keys) -> CryptError {
    match (error, keys) {
        (DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed, Keys::Passphrase(_)) => {
            CryptError::WrongPassphrase
        }
        (DecryptError::NoMatchingKeys, _) => CryptError::NoIdentityFits,
        (DecryptError::ExcessiveWork { required, .. }, _) => CryptError::TooMuchWork { asked: required },
        (DecryptError::Io(error), _)
            if !matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) =>
        {
            CryptError::Read(error)
        }
        _ => CryptError::Damaged,
    }
}

/// A file that is being sealed.
pub struct Sealing<W: Write>(StreamWriter<W>);

impl<W: Write> Sealing<W> {
    /// Writes the end, which is what tells a whole file from one that was cut off.
    ///
    /// # Errors
    /// What the output refuses.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// What is in a sealed file.
pub struct Opened<R: Read>(StreamReader<io::Chain<io::Cursor<Vec<u8>>, R>>);

impl<R: Read> Read for Opened<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => {
                io::Error::new(ErrorKind::InvalidData, "the encrypted file is cut off: its end is missing")
            }
            ErrorKind::InvalidData => io::Error::new(
                ErrorKind::InvalidData,
                "the encrypted file is damaged: it was changed or cut off after it was made",
            ),
            _ => error,
        })
    }
}

impl FromStr for Recipient {
    type Err = String;

    fn from_str(text: &str) -> Result<Recipient, String> {
        let text = text.trim();
        if text.starts_with("AGE-SECRET-KEY-") {
            return Err(
                "is an identity, which must stay secret; the recipient that belongs to it (age1…) is wanted \
                        here"
                    .into(),
            );
        }
        let said = |why| format!("must be a recipient of age's, age1…: {why}");
        text.parse().map(Recipient).map_err(said)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity of {}", self.recipient())
    }
}

impl Identity {
    pub fn generate() -> Identity {
        Identity(x25519::Identity::generate())
    }

    /// Whom to seal for, so that this opens it.
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }
}

impl Keys {
    /// The identities in a file such as `age-keygen` writes: one a line; empty lines and those that begin with `#`
    /// are passed over.
    ///
    /// # Errors
    /// The line that is none, without what it says; that there are none.
    pub fn identities(text: &str) -> Result<Keys, String> {
        let lines = text.lines().map(str::trim).enumerate();
        let identities =
            lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(|(at, line)| {
                let said = |why| format!("line {} is no identity of age's, AGE-SECRET-KEY-1…: {why}", at + 1);
                line.parse().map(Identity).map_err(said)
            });
        let identities: Vec<_> = identities.collect::<Result<_, _>>()?;
        if identities.is_empty() {
            return Err("there is no identity in it: a line with AGE-SECRET-KEY-1…".into());
        }
        Ok(Keys::Identities(identities))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Setting;

    fn passphrase(text: &str) -> Secret {
        Secret::read(text).expect("any text is one")
    }

    fn sealed(lock: &Lock, content: &[u8]) -> Vec<u8> {
        let mut sealing = seal(lock, Vec::new()).expect("a Vec takes all");
        sealing.write_all(content).expect("a Vec takes all");
        sealing.finish().expect("a Vec takes all")
    }

    fn opened(keys: &Keys, file: &[u8]) -> Result<Vec<u8>, CryptError> {
        let mut content = Vec::new();
        open(keys, file)?.read_to_end(&mut content)?;
        Ok(content)
    }

    fn pairs() -> [(Lock, Keys); 2] {
        let (one, other) = (Identity::generate(), Identity::generate());
        [
            (
                Lock::Passphrase(passphrase("four words of mine")),
                Keys::Passphrase(passphrase("four words of mine")),
            ),
            (
                Lock::Recipients(vec![one.recipient(), other.recipient()]),
                Keys::Identities(vec![Identity::generate(), other]),
            ),
        ]
    }

    /// Sizes around the pieces of 64 KiB that the format has.
    #[test]
    fn what_was_sealed_is_opened_whole() {
        for (lock, keys) in pairs() {
            for size in [0, 1, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, 200_000] {
                let content: Vec<u8> = (0..size).map(|at: u32| at as u8).collect();
                let file = sealed(&lock, &content);
                assert!(is_sealed(&file) && !is_sealed(&content));
                assert_eq!(opened(&keys, &file).expect("it fits"), content);
            }
        }
    }

    #[test]
    fn a_key_that_does_not_fit_is_told_from_one_of_another_kind() {
        let [(by_passphrase, words), (for_recipients, identities)] = pairs();
        let wrong = Keys::Passphrase(passphrase("other words"));
        let stranger = Keys::Identities(vec![Identity::generate()]);
        let (a, b) = (sealed(&by_passphrase, b"tea"), sealed(&for_recipients, b"tea"));
        assert!(matches!(opened(&wrong, &a), Err(CryptError::WrongPassphrase)));
        assert!(matches!(opened(&stranger, &b), Err(CryptError::NoIdentityFits)));
        assert!(matches!(opened(&identities, &a), Err(CryptError::NeedsPassphrase)));
        assert!(matches!(opened(&words, &b), Err(CryptError::NeedsIdentity)));
        for other in [&b""[..], b"age", b"PK\x03\x04 some other file that is longer"] {
            assert!(matches!(opened(&words, other), Err(CryptError::NotSealed)));
        }
    }

    #[test]
    fn no_flipped_bit_and_no_missing_end_goes_unnoticed() {
        for (lock, keys) in pairs() {
            for size in [0, 10, 64 << 10] {
                let file = sealed(&lock, &vec![7; size]);
                // All of a small file, and some of a big one.
                let step = |at: &usize| size == 10 || at.is_multiple_of(997) || *at + 20 > file.len();
                for at in (0..file.len()).filter(step) {
                    let mut flipped = file.clone();
                    flipped[at] ^= 1;
                    assert!(opened(&keys, &flipped).is_err(), "byte {at} of {}", file.len());
                    assert!(opened(&keys, &file[..at]).is_err(), "cut off at {at} of {}", file.len());
                }
                let more = [&file[..], b"x"].concat();
                assert!(opened(&keys, &more).is_err(), "something was added");
            }
        }
        let (lock, keys) = &pairs()[1];
        let file = sealed(lock, &vec![7; 100_000]);
        let said = opened(keys, &file[..90_000]).expect_err("cut off").to_string();
        assert!(said.contains("cut off"), "{said}");
        let said = opened(keys, &file[..60]).expect_err("cut off").to_string();
        assert!(said.contains("damaged"), "{said}");
    }

    #[test]
    fn a_file_that_asks_for_hours_of_work_is_refused_at_once() {
        let mut greedy = scrypt::Recipient::new(SecretString::from("words".to_owned()));
        greedy.set_work_factor(1);
        let encryptor = Encryptor::with_recipients(std::iter::once(&greedy as _)).expect("it is one");
        let file = encryptor.wrap_output(Vec::new()).and_then(StreamWriter::finish).expect("a Vec takes all");
        let head = b"-> scrypt ".len() + MAGIC.len();
        let line_end = head + file[head..].iter().position(|byte| *byte == b'\n').expect("a line");
        let greedy = [&file[..line_end - 1], b"40", &file[line_end..]].concat();
        let keys = Keys::Passphrase(passphrase("words"));
        assert!(matches!(opened(&keys, &greedy), Err(CryptError::TooMuchWork { asked: 40 })));
    }

    #[test]
    fn recipients_and_identities_are_read_as_age_keygen_writes_them() {
        let identity = Identity::generate();
        let recipient = identity.recipient().to_string();
        assert_eq!(recipient.parse::<Recipient>().expect("good").to_string(), recipient);
        let secret = {
            use age::secrecy::ExposeSecret;
            identity.0.to_string().expose_secret().to_owned()
        };
        let text = format!("# created: today\n# public key: {recipient}\n\n {secret}\r\n");
        let keys = Keys::identities(&text).expect("good");
        let file = sealed(&Lock::Recipients(vec![identity.recipient()]), b"tea");
        assert_eq!(opened(&keys, &file).expect("it fits"), b"tea");
        assert!(!format!("{keys:?}").contains(&secret));

        let said = Keys::identities(&format!("{text}AGE-SECRET-KEY-1OOPS\n")).expect_err("bad");
        assert!(said.starts_with("line 5 is no identity") && !said.contains("OOPS"), "{said}");
        assert!(Keys::identities("# nothing\n").expect_err("bad").contains("no identity"));
        assert!(secret.parse::<Recipient>().expect_err("bad").contains("must stay secret"));
        assert!("age1oops".parse::<Recipient>().expect_err("bad").contains("must be a recipient"));
        assert!(seal(&Lock::Recipients(Vec::new()), Vec::new()).is_err());
    }
}
