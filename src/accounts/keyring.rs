//! The keys that the shop signs with: one that signs, and those that it took the place of, for as long as what they
//! signed may be good. Kept in a file of the data directory, or given by the settings.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rand::RngExt;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::clock::Time;
use crate::hex::hex;

/// The shortest key (bytes).
pub const SHORTEST: usize = 32;
/// How many keys may be good at a time: each refresh token and link that is no good is held against all of them.
const MOST: usize = 16;

/// A key.
#[derive(Clone)]
pub struct Key {
    /// Names the key in what it signs, and tells nothing of it.
    pub id: String,
    secret: Zeroizing<Vec<u8>>,
    /// Not known of a key from the settings, or from before this was kept.
    pub made_at: Option<Time>,
    /// None: it signs, or the settings have it verify for as long as it stands in them.
    pub retired: Option<Retired>,
}

/// That another key took its place.
#[derive(Clone, Copy)]
pub struct Retired {
    pub at: Time,
    /// When the last of what it signed runs out.
    pub until: Time,
}

/// All keys, the one that signs first.
#[derive(Clone)]
pub struct Ring(Vec<Key>);

/// No more keys can be good at a time.
pub struct Full;

impl Key {
    fn new(secret: Vec<u8>, made_at: Option<Time>, retired: Option<Retired>) -> Key {
        let mut key = Key { id: String::new(), secret: secret.into(), made_at, retired };
        key.id = hex(&key.mac(&[b"key id"])[..8]);
        key
    }

    fn fresh(now: Time) -> Key {
        let secret: [u8; 32] = rand::make_rng::<StdRng>().random();
        Key::new(secret.to_vec(), Some(now), None)
    }

    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// HMAC-SHA-256 of the parts, one after the other.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("any length of key will do");
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Whether something that is good for `lasts` from when this key signed it can be good now.
    fn verifies(&self, now: Time, lasts: Duration) -> bool {
        self.retired.is_none_or(|retired| now < retired.until.min(retired.at.plus(lasts)))
    }
}

impl Ring {
    /// Keys that the settings give: the one that signs, and those before it.
    pub fn given<'a>(signs: &'a [u8], before: impl IntoIterator<Item = &'a str>) -> Ring {
        let before = before.into_iter().map(str::as_bytes);
        Ring([signs].into_iter().chain(before).map(|secret| Key::new(secret.to_vec(), None, None)).collect())
    }

    /// The key that signs.
    pub fn signing(&self) -> &Key {
        &self.0[0]
    }

    /// The keys, the newest first.
    pub fn keys(&self, now: Time) -> impl Iterator<Item = &Key> {
        self.verifying(now, Duration::MAX)
    }

    /// The keys that may have signed what is good for `lasts`, and is good now.
    pub fn verifying(&self, now: Time, lasts: Duration) -> impl Iterator<Item = &Key> {
        self.0.iter().filter(move |key| key.verifies(now, lasts))
    }

    /// The ring with a new key that signs. Those before it verify for `lasts` from now, or not at all.
    pub fn rotated(&self, now: Time, lasts: Option<Duration>) -> Result<Ring, Full> {
        let mut keys = vec![Key::fresh(now)];
        if let Some(lasts) = lasts {
            keys.extend(self.keys(now).cloned().map(|key| Key {
                retired: key.retired.or(Some(Retired { at: now, until: now.plus(lasts) })),
                ..key
            }));
        }
        if keys.len() > MOST { Err(Full) } else { Ok(Ring(keys)) }
    }

    /// The keys in the file at `path`. Where there is none, one is made.
    pub fn of_file(path: &Path, now: Time) -> io::Result<Ring> {
        match fs::read(path).map(Zeroizing::new) {
            Ok(text) => read(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let ring = Ring(vec![Key::fresh(now)]);
                ring.write(path)?;
                Ring::keep_name(path)?;
                Ok(ring)
            }
            Err(error) => Err(error),
        }
    }

    /// Puts these keys in the place of what `path` has, for this user alone. A crash leaves the one or the other.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let stored = |key: &Key| StoredKey {
            secret: BASE64_STANDARD.encode(key.secret()),
            made_at: key.made_at,
            retired_at: key.retired.map(|retired| retired.at),
            good_until: key.retired.map(|retired| retired.until),
        };
        let stored = Stored { keys: self.0.iter().map(stored).collect() };
        let text = Zeroizing::new(serde_json::to_vec_pretty(&stored).expect("keys are plain data"));
        let new = path.with_extension("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, path)
    }

    /// Has the disk keep what [`Ring::write`] put in place.
    pub fn keep_name(path: &Path) -> io::Result<()> {
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// What the file holds, as JSON.
#[derive(Serialize, Deserialize)]
struct Stored {
    keys: Vec<StoredKey>,
}

#[derive(Serialize, Deserialize)]
struct StoredKey {
    /// Base64.
    secret: String,
    made_at: Option<Time>,
    retired_at: Option<Time>,
    good_until: Option<Time>,
}

/// Reads what the file holds: keys, or the one key of before there were several, which is all that is in it.
fn read(text: &[u8]) -> io::Result<Ring> {
    let broken = |said: &str| io::Error::other(format!("these are no signing keys: {said}"));
    let keys: Vec<Key> = if text.trim_ascii_start().starts_with(b"{") {
        let stored: Stored = serde_json::from_slice(text).map_err(|error| broken(&error.to_string()))?;
        let key = |stored: StoredKey| {
            let secret = BASE64_STANDARD.decode(stored.secret).map_err(|_| broken("no base64"))?;
            let retired = stored.retired_at.zip(stored.good_until);
            let retired = retired.map(|(at, until)| Retired { at, until });
            Ok(Key::new(secret, stored.made_at, retired))
        };
        stored.keys.into_iter().map(key).collect::<io::Result<_>>()?
    } else {
        vec![Key::new(text.to_vec(), None, None)]
    };
    let signing = keys.iter().filter(|key| key.retired.is_none()).count();
    if keys.first().is_none_or(|first| first.retired.is_some()) || signing != 1 {
        return Err(broken("the first must sign, and it alone"));
    }
    if keys.iter().any(|key| key.secret.len() < SHORTEST) {
        return Err(broken(&format!("one has less than {SHORTEST} bytes")));
    }
    Ok(Ring(keys))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);
    const NOW: Time = Time(1_800_000_000_000);

    fn ids(ring: &Ring, now: Time, lasts: Duration) -> Vec<String> {
        ring.verifying(now, lasts).map(|key| key.id.clone()).collect()
    }

    #[test]
    fn an_old_key_verifies_what_it_signed_for_as_long_as_that_lasts() {
        let old = Ring::given(b"an old key of thirty-two bytes or more", []);
        let Ok(ring) = old.rotated(NOW, Some(30 * DAY)) else { panic!("there is room") };
        let (new, old) = (ring.signing().id.clone(), old.signing().id.clone());
        assert_ne!(new, old);
        assert_eq!(ids(&ring, NOW, DAY), [new.clone(), old.clone()]);
        assert_eq!(
            ids(&ring, NOW.plus(DAY), DAY),
            std::slice::from_ref(&new),
            "what lasts a day has run out"
        );
        assert_eq!(ids(&ring, NOW.plus(29 * DAY), 365 * DAY), [new.clone(), old]);
        assert_eq!(ids(&ring, NOW.plus(30 * DAY), 365 * DAY), [new]);
    }

    #[test]
    fn keys_that_ran_out_are_dropped_and_no_more_than_some_are_good_at_a_time() {
        let mut ring = Ring::given(b"an old key of thirty-two bytes or more", []);
        for n in 1..MOST {
            ring = ring.rotated(NOW, Some(DAY)).unwrap_or_else(|Full| panic!("full at {n}"));
        }
        assert!(ring.rotated(NOW, Some(DAY)).is_err());
        assert!(ring.rotated(NOW, None).is_ok_and(|ring| ring.0.len() == 1));
        assert!(ring.rotated(NOW.plus(DAY), Some(DAY)).is_ok_and(|ring| ring.0.len() == 2));
    }

    #[test]
    fn a_file_of_one_raw_key_is_read_as_it_is_and_what_is_written_is_read_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("signing.key");
        let raw = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        fs::write(&path, raw).expect("written");
        let one = Ring::of_file(&path, NOW).expect("a key");
        assert_eq!((one.signing().secret(), one.signing().made_at), (&raw[..], None));
        let Ok(two) = one.rotated(NOW, Some(DAY)) else { panic!("there is room") };
        // What a crash left of an earlier rotation is in nobody's way.
        fs::write(path.with_extension("new"), "{\"keys").expect("written");
        two.write(&path).expect("written");
        let again = Ring::of_file(&path, NOW).expect("keys");
        assert_eq!(ids(&again, NOW, DAY), ids(&two, NOW, DAY));
        assert_eq!(again.0[1].secret(), raw);
        for broken in ["short", "{\"keys\": []}", "{\"keys", "{\"keys\": [{\"secret\": \"c2hvcnQ=\"}]}"] {
            fs::write(&path, broken).expect("written");
            assert!(Ring::of_file(&path, NOW).is_err(), "{broken}");
        }
    }
}
