//! The signature of a webhook: HMAC-SHA256 with the endpoint's secret over the time and the raw body.
//! <https://docs.stripe.com/webhooks#verify-manually>

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::clock::Time;
use crate::config::Secret;
use crate::hex::hex;

/// How old a signature may be, as in Stripe's own libraries.
const TOLERANCE: Duration = Duration::from_secs(300);

/// Whether any signature in the header is by any of the secrets, and not old.
///
/// # Errors
/// Why it is not believed.
pub fn verify(header: &str, body: &[u8], secrets: &[Secret], now: Time) -> Result<(), &'static str> {
    let parts: Vec<_> = header.split(',').filter_map(|part| part.trim().split_once('=')).collect();
    let of = |scheme: &'static str| parts.iter().filter(move |part| part.0 == scheme).map(|part| part.1);
    let time = of("t").next().ok_or("the signature has no time")?;
    let seconds: i64 = time.parse().map_err(|_| "the signature's time is no number")?;
    if of("v1").next().is_none() {
        return Err("the signature has no part of scheme v1");
    }
    let signed_by = |secret: &Secret| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()).expect("any length will do");
        mac.update(time.as_bytes());
        mac.update(b".");
        mac.update(body);
        let wanted = hex(&mac.finalize().into_bytes());
        of("v1").fold(false, |found, given| found | bool::from(given.as_bytes().ct_eq(wanted.as_bytes())))
    };
    if !secrets.iter().fold(false, |found, secret| found | signed_by(secret)) {
        return Err(
            "no signature is by this endpoint's secret: is payment.stripe.webhook_secret the one that \
                    Stripe shows for it?",
        );
    }
    // Times to come are fine: Stripe's own libraries accept them, and the secret was right.
    if now.seconds().saturating_sub(seconds) > TOLERANCE.as_secs().cast_signed() {
        return Err("the signature is older than 5 minutes");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::config::Setting;

    /// Vectors that Stripe's own libraries made and judged.
    #[test]
    fn every_vector_gets_its_verdict() {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gateways/stripe-webhook-vectors.json");
        let text = std::fs::read_to_string(path).expect("the vectors are there");
        let file: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(file["tolerance_s"].as_u64(), Some(TOLERANCE.as_secs()));
        let secret = Secret::read(file["secret"].as_str().expect("text")).expect("any text");
        let vectors = file["vectors"].as_array().expect("a list");
        assert!(vectors.len() >= 24);
        for vector in vectors {
            let text = |name: &str| vector[name].as_str().expect("text");
            let now = Time(vector["now"].as_i64().expect("a number") * 1000);
            let verdict =
                verify(text("header"), text("payload").as_bytes(), std::slice::from_ref(&secret), now);
            assert_eq!(verdict.is_ok(), vector["accept"] == true, "{}: {verdict:?}", text("name"));
        }
    }
}
