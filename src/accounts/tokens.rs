//! Tokens and signatures, all made with the shop's signing keys.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::errors::Error;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::keyring::{Full, Key, Ring};
use super::links;
use super::model::SessionRecord;
use crate::clock::Time;
use crate::id::{SessionId, UserId};

/// The one algorithm that access tokens are signed with; what a token says of it is never followed.
const ALGORITHM: Algorithm = Algorithm::HS256;
/// What kind of token an access token says it is (RFC 9068).
const ACCESS_TYPE: &str = "at+jwt";
/// Whom an access token is for: the shop's API.
const AUDIENCE: &str = "api";
/// How far the clocks of those who sign, when there is more than one machine, may be apart.
const LEEWAY: Duration = Duration::from_secs(30);

/// What something is signed for. What is signed for one purpose is good for no other.
#[derive(Clone, Copy)]
pub struct Purpose {
    pub name: &'static str,
    /// For how long after it was signed it can be good, at most.
    pub lasts: Duration,
}

/// As long as `auth.access_minutes` can be.
const ACCESS: Duration = Duration::from_hours(24);
/// A key is kept for as long as refresh tokens are good.
const REFRESH: Purpose = Purpose { name: "refresh", lasts: Duration::MAX };
const RESET: Purpose = Purpose { name: "reset", lasts: links::RESET_LASTS };
const PROOF: Purpose = Purpose { name: "proof", lasts: links::PROOF_LASTS };
/// As long as an idempotency key is remembered.
const DIGEST: Purpose = Purpose { name: "digest", lasts: Duration::from_hours(24) };

/// The signing keys, ready for use.
pub struct Keys {
    ring: ArcSwap<Ring>,
    /// Where they are kept. None: the settings give them.
    file: Option<PathBuf>,
    /// Whose tokens these are: the shop's own id, which stays what it is when the shop moves.
    issuer: String,
    /// Held while the keys are changed.
    changing: Mutex<()>,
}

/// Where the keys come from.
pub struct KeySource {
    pub ring: Ring,
    /// Where they are kept, when it is not the settings that give them.
    pub file: Option<PathBuf>,
}

/// Why there is no new key.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    #[error(
        "The signing key comes from the settings. Put a new one under auth.signing_key and the present one under \
         auth.signing_keys_old, start the shop anew, and take the old one out again after auth.refresh_days."
    )]
    Configured,
    #[error(
        "Too many keys are good as it is. Wait until one runs out, or let none of them be good any more."
    )]
    Full,
    #[error("{0}")]
    File(#[from] std::io::Error),
}

/// What an access token says: whose, in which session, until when. What they may do is not in it.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    sid: u64,
    /// Each session and generation has one access token.
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// Why an access token is no good.
#[derive(Debug, PartialEq, Eq)]
pub enum BadToken {
    Invalid,
    Expired,
}

impl From<Error> for BadToken {
    fn from(_: Error) -> BadToken {
        BadToken::Invalid
    }
}

impl Keys {
    /// The keys of the shop with the id `shop`.
    pub fn new(source: KeySource, shop: &str) -> Keys {
        let KeySource { ring, file } = source;
        Keys { ring: ArcSwap::from_pointee(ring), file, issuer: shop.to_owned(), changing: Mutex::default() }
    }

    /// The keys as they are now.
    pub fn ring(&self) -> Arc<Ring> {
        self.ring.load_full()
    }

    /// Has a new key sign. What the others signed stays good for its time, refresh tokens for `refresh_lasts`; with
    /// `revoke` none of it is good any more. It waits for the disk.
    pub fn rotate(&self, now: Time, refresh_lasts: Duration, revoke: bool) -> Result<Arc<Ring>, RotateError> {
        let file = self.file.as_ref().ok_or(RotateError::Configured)?;
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let longest =
            [ACCESS, RESET.lasts, PROOF.lasts, DIGEST.lasts].into_iter().fold(refresh_lasts, Duration::max);
        let ring =
            self.ring().rotated(now, (!revoke).then_some(longest)).map_err(|Full| RotateError::Full)?;
        // What is signed with a key is given out after the key is kept.
        ring.write(file)?;
        self.ring.store(Arc::new(ring));
        // What the file has now is what counts, whether or not the disk keeps its name: so it is told after.
        Ring::keep_name(file)?;
        Ok(self.ring())
    }

    /// The access token of a session's present generation.
    pub fn access(&self, id: SessionId, session: &SessionRecord, now: Time, expires: Time) -> String {
        let ring = self.ring.load();
        let key = ring.signing();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: AUDIENCE.into(),
            sub: session.user.to_string(),
            sid: id.0,
            jti: format!("{id}.{}", session.generation),
            iat: now.seconds(),
            nbf: now.seconds(),
            exp: expires.seconds(),
        };
        let (typ, kid) = (Some(ACCESS_TYPE.to_owned()), Some(key.id.clone()));
        let header = Header { typ, kid, ..Header::new(ALGORITHM) };
        let key = EncodingKey::from_secret(key.secret());
        jsonwebtoken::encode(&header, &claims, &key).expect("claims are plain data")
    }

    /// Whose access token this is, and of which session.
    pub fn read_access(&self, token: &str, now: Time) -> Result<(UserId, SessionId), BadToken> {
        let ring = self.ring.load();
        let header = jsonwebtoken::decode_header(token)?;
        let Some(kid) = header.kid else {
            // As it was before there were several keys. Who got it refreshes it, as one that ran out.
            let signed = |key: &Key| verified::<IgnoredAny>(token, key).is_ok();
            let ours = ring.verifying(now, ACCESS).any(signed);
            return Err(if ours { BadToken::Expired } else { BadToken::Invalid });
        };
        let key = ring.verifying(now, ACCESS).find(|key| key.id == kid).ok_or(BadToken::Invalid)?;
        let claims: Claims = verified(token, key)?;
        // Extensions that must be understood are not (RFC 7515, 4.1.11).
        let is_ours = header.typ.as_deref() == Some(ACCESS_TYPE)
            && header.crit.is_none()
            && claims.iss == self.issuer
            && claims.aud == AUDIENCE;
        let user = claims.sub.parse().map_err(|_| BadToken::Invalid)?;
        let (now, leeway) = (now.seconds(), LEEWAY.as_secs().cast_signed());
        if !is_ours || claims.nbf > now + leeway || claims.iat > now + leeway {
            return Err(BadToken::Invalid);
        }
        if claims.exp.saturating_add(leeway) <= now {
            Err(BadToken::Expired)
        } else {
            Ok((user, SessionId(claims.sid)))
        }
    }

    /// The refresh token of the session's present generation. It is made, not stored: whoever reads the data
    /// file can't forge one without the key.
    pub fn refresh(&self, id: SessionId, session: &SessionRecord) -> String {
        let mut token = Vec::with_capacity(48);
        token.extend_from_slice(&id.0.to_be_bytes());
        token.extend_from_slice(&session.generation.to_be_bytes());
        let ring = self.ring.load();
        token.extend_from_slice(&refresh_mac(ring.signing(), id, session.generation, &session.nonce));
        BASE64_URL_SAFE_NO_PAD.encode(token)
    }

    /// The session and generation that a refresh token names. They are a claim until
    /// [`Keys::is_refresh_of`] was asked.
    pub fn read_refresh(token: &str) -> Option<(SessionId, u64, [u8; 32])> {
        let bytes: [u8; 48] = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        let mac = bytes[16..].try_into().expect("thirty-two bytes");
        Some((SessionId(number(&bytes, 0)), number(&bytes, 8), mac))
    }

    pub fn is_refresh_of(
        &self,
        id: SessionId,
        generation: u64,
        mac: &[u8; 32],
        session: &SessionRecord,
        now: Time,
    ) -> bool {
        self.any(REFRESH, now, |key| refresh_mac(key, id, generation, &session.nonce).ct_eq(mac).into())
    }

    /// The token of a link to choose a new password.
    pub fn reset(&self, user: UserId, nonce: &[u8; 16]) -> String {
        reset(self.ring.load().signing(), user, nonce)
    }

    /// Whose link a token claims to be.
    pub fn read_reset(token: &str) -> Option<UserId> {
        let bytes: [u8; 40] = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        Some(UserId(number(&bytes, 0)))
    }

    pub fn is_reset_of(&self, token: &str, user: UserId, nonce: &[u8; 16], now: Time) -> bool {
        self.any(RESET, now, |key| same(token, &reset(key, user, nonce)))
    }

    /// The token of a link that proves an address. Nothing of it is stored.
    pub fn proof(&self, user: UserId, asked_at: Time, email: &str) -> String {
        proof(self.ring.load().signing(), user, asked_at, email)
    }

    /// Whose link a token claims to be, and when it was asked for.
    pub fn read_proof(token: &str) -> Option<(UserId, Time)> {
        let bytes: [u8; 48] = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        Some((UserId(number(&bytes, 0)), Time(number(&bytes, 8).cast_signed())))
    }

    pub fn is_proof_of(&self, token: &str, user: UserId, asked_at: Time, email: &str, now: Time) -> bool {
        self.any(PROOF, now, |key| same(token, &proof(key, user, asked_at, email)))
    }

    /// A digest of `parts` that nobody without the key can make or try out.
    pub fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.digest_for(DIGEST, parts)
    }

    /// [`Keys::digest`] of what is kept for another time than a day.
    pub fn digest_for(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; 32] {
        mac(self.ring.load().signing(), purpose, parts)
    }

    /// What [`Keys::digest`] gave under the keys of before, as far as it can still be asked for.
    pub fn earlier_digests(&self, parts: &[&[u8]], now: Time) -> Vec<[u8; 32]> {
        self.earlier_digests_for(DIGEST, parts, now)
    }

    /// What [`Keys::digest_for`] gave under the keys of before.
    pub fn earlier_digests_for(&self, purpose: Purpose, parts: &[&[u8]], now: Time) -> Vec<[u8; 32]> {
        self.ring.load().verifying(now, purpose.lasts).skip(1).map(|key| mac(key, purpose, parts)).collect()
    }

    /// Signs `what` for `purpose`: the code in a link.
    pub fn sign(&self, purpose: Purpose, what: &str) -> String {
        code(self.ring.load().signing(), purpose, what)
    }

    /// Whether `given` is the signature of `what` for `purpose`.
    pub fn is_signed(&self, purpose: Purpose, what: &str, given: &str, now: Time) -> bool {
        self.any(purpose, now, |key| same(given, &code(key, purpose, what)))
    }

    /// Whether a key that may have signed for `purpose` is the one.
    fn any(&self, purpose: Purpose, now: Time, is_the_one: impl Fn(&Key) -> bool) -> bool {
        self.ring.load().verifying(now, purpose.lasts).any(is_the_one)
    }
}

/// What a JWT says that `key` signed. Its times are held against the shop's own clock, by who reads them.
fn verified<T: DeserializeOwned>(token: &str, key: &Key) -> Result<T, Error> {
    let mut rules = Validation::new(ALGORITHM);
    rules.required_spec_claims.clear();
    (rules.validate_exp, rules.validate_nbf, rules.validate_aud) = (false, false, false);
    jsonwebtoken::decode(token, &DecodingKey::from_secret(key.secret()), &rules).map(|data| data.claims)
}

fn refresh_mac(key: &Key, id: SessionId, generation: u64, nonce: &[u8; 16]) -> [u8; 32] {
    mac(key, REFRESH, &[&id.0.to_be_bytes(), &generation.to_be_bytes(), nonce])
}

fn reset(key: &Key, user: UserId, nonce: &[u8; 16]) -> String {
    link(&[&user.0.to_be_bytes(), &mac(key, RESET, &[&user.0.to_be_bytes(), nonce])])
}

fn proof(key: &Key, user: UserId, asked_at: Time, email: &str) -> String {
    let (user, asked_at) = (user.0.to_be_bytes(), asked_at.0.to_be_bytes());
    link(&[&user, &asked_at, &mac(key, PROOF, &[&user, &asked_at, email.as_bytes()])])
}

fn code(key: &Key, purpose: Purpose, what: &str) -> String {
    link(&[&mac(key, purpose, &[what.as_bytes()])])
}

/// Each part with its length before it, so that no two lists of parts are the same bytes.
fn mac(key: &Key, purpose: Purpose, parts: &[&[u8]]) -> [u8; 32] {
    let lengths: Vec<_> = parts.iter().map(|part| (part.len() as u64).to_be_bytes()).collect();
    let parts = parts.iter().zip(&lengths).flat_map(|(part, length)| [&length[..], part]);
    key.mac(&[purpose.name.as_bytes()].into_iter().chain(parts).collect::<Vec<_>>())
}

fn link(parts: &[&[u8]]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(parts.concat())
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// In constant time.
fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}
