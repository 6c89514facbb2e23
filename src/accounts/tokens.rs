//! Tokens and signatures, all made with the shop's one signing key.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::model::SessionRecord;
use crate::clock::Time;
use crate::id::{SessionId, UserId};

/// The signing key, ready for use.
pub struct Keys {
    secret: Vec<u8>,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

/// What an access token says: who, in which session, until when. What they may do is not in it.
#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    sid: u64,
    iat: i64,
    exp: i64,
}

/// Why an access token is no good.
pub enum BadToken {
    Invalid,
    Expired,
}

impl Keys {
    pub fn new(secret: &[u8]) -> Keys {
        Keys {
            secret: secret.to_vec(),
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
        }
    }

    pub fn access(&self, user: UserId, session: SessionId, now: Time, expires: Time) -> String {
        let claims =
            Claims { sub: user.to_string(), sid: session.0, iat: now.seconds(), exp: expires.seconds() };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .expect("claims are plain data")
    }

    pub fn read_access(&self, token: &str, now: Time) -> Result<(UserId, SessionId), BadToken> {
        let mut rules = Validation::new(Algorithm::HS256);
        // The shop's own clock says what has expired.
        rules.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &rules)
            .map_err(|_| BadToken::Invalid)?
            .claims;
        let user = claims.sub.parse().map_err(|_| BadToken::Invalid)?;
        if claims.exp <= now.seconds() { Err(BadToken::Expired) } else { Ok((user, SessionId(claims.sid))) }
    }

    /// The refresh token of the session's present generation. It is made, not stored: whoever reads the data
    /// file can't forge one without the key.
    pub fn refresh(&self, id: SessionId, session: &SessionRecord) -> String {
        let mut token = Vec::with_capacity(48);
        token.extend_from_slice(&id.0.to_be_bytes());
        token.extend_from_slice(&session.generation.to_be_bytes());
        token.extend_from_slice(&self.refresh_mac(id, session.generation, &session.nonce));
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
    ) -> bool {
        subtle::ConstantTimeEq::ct_eq(&mac[..], &self.refresh_mac(id, generation, &session.nonce)[..]).into()
    }

    fn refresh_mac(&self, id: SessionId, generation: u64, nonce: &[u8; 16]) -> [u8; 32] {
        self.mac("refresh", &[&id.0.to_be_bytes(), &generation.to_be_bytes(), nonce])
    }

    /// The token of a link to choose a new password.
    pub fn reset(&self, user: UserId, nonce: &[u8; 16]) -> String {
        link(&[&user.0.to_be_bytes(), &self.mac("reset", &[&user.0.to_be_bytes(), nonce])])
    }

    /// Whose link a token claims to be.
    pub fn read_reset(token: &str) -> Option<UserId> {
        let bytes: [u8; 40] = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        Some(UserId(number(&bytes, 0)))
    }

    pub fn is_reset_of(&self, token: &str, user: UserId, nonce: &[u8; 16]) -> bool {
        same(token, &self.reset(user, nonce))
    }

    /// The token of a link that proves an address. Nothing of it is stored.
    pub fn proof(&self, user: UserId, asked_at: Time, email: &str) -> String {
        let (user, asked_at) = (user.0.to_be_bytes(), asked_at.0.to_be_bytes());
        link(&[&user, &asked_at, &self.mac("proof", &[&user, &asked_at, email.as_bytes()])])
    }

    /// Whose link a token claims to be, and when it was asked for.
    pub fn read_proof(token: &str) -> Option<(UserId, Time)> {
        let bytes: [u8; 48] = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        Some((UserId(number(&bytes, 0)), Time(number(&bytes, 8).cast_signed())))
    }

    pub fn is_proof_of(&self, token: &str, user: UserId, asked_at: Time, email: &str) -> bool {
        same(token, &self.proof(user, asked_at, email))
    }

    /// A digest of `parts` that nobody without the key can make or try out.
    pub fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.mac("digest", parts)
    }

    fn mac(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("any length of key will do");
        mac.update(purpose.as_bytes());
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

fn link(parts: &[&[u8]]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(parts.concat())
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// In constant time.
fn same(one: &str, other: &str) -> bool {
    subtle::ConstantTimeEq::ct_eq(one.as_bytes(), other.as_bytes()).into()
}

/// Signs `what` for `purpose`: the code in a link.
pub fn sign(keys: &Keys, purpose: &str, what: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(keys.mac(purpose, &[what.as_bytes()]))
}

/// Whether `code` is the signature of `what` for `purpose`; compared in constant time.
pub fn signed_by(keys: &Keys, purpose: &str, what: &str, code: &str) -> bool {
    same(&sign(keys, purpose, what), code)
}
