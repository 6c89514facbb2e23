//! Which other sites' pages may use the API from a browser (CORS, fetch.spec.whatwg.org). Who asks says so with a token
//! in a header, never with what a browser sends along by itself, so no credentials are allowed.

use std::str::FromStr;

use http::{HeaderMap, HeaderValue, Uri, header};

use super::reply::{Reply, vary};

/// Headers that other sites' pages may send, and those of answers that they may read, beside the ones that all may.
const SENT: &str = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-Id";
const READ: &str = "ETag, Location, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, X-Request-Id, \
                    Idempotency-Replayed, Content-Disposition, X-Total-Count";
/// How long a browser may go by what it was told, in seconds: as long as any of them does.
const MAX_AGE: &str = "7200";

/// The sites whose pages may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    Every,
    /// As browsers write them, such as `https://www.example.com`. None: no site's.
    These(Vec<String>),
}

impl FromStr for Origins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "*" {
            return Ok(Origins::Every);
        }
        let origins = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let read = |part: &str| {
            let said = || {
                format!(
                    "must be * or origins such as https://www.example.com, with commas between them; {part:?} is none"
                )
            };
            let uri: Uri = part.parse().map_err(|_| said())?;
            let (scheme, host) = uri.scheme_str().zip(uri.authority()).ok_or_else(said)?;
            let origin = format!("{scheme}://{host}").to_lowercase();
            let is_bare = part.to_lowercase() == origin && !host.as_str().contains(['@', '*']);
            if is_bare { Ok(origin) } else { Err(said()) }
        };
        Ok(Origins::These(origins.map(read).collect::<Result<_, _>>()?))
    }
}

impl Origins {
    /// Whether no page of another site may use the API.
    pub fn is_none(&self) -> bool {
        matches!(self, Origins::These(none) if none.is_empty())
    }

    /// The answer to whoever asks, with `OPTIONS`, what a path takes: a browser, on behalf of another site's page.
    pub fn preflight(&self, allow: &str) -> Reply {
        Reply::no_content()
            .header(header::ALLOW, allow)
            .header(header::ACCESS_CONTROL_ALLOW_METHODS, allow)
            .header(header::ACCESS_CONTROL_ALLOW_HEADERS, SENT)
            .header(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE)
    }

    /// Says on an answer, whatever it is, who may read it. `from` is the request's `Origin`.
    pub fn mark(&self, from: Option<&HeaderValue>, headers: &mut HeaderMap) {
        let allowed = match self {
            Origins::Every => Some(HeaderValue::from_static("*")),
            Origins::These(none) if none.is_empty() => return,
            Origins::These(some) => {
                vary(headers, "Origin");
                from.filter(|from| some.iter().any(|origin| origin.as_bytes() == from.as_bytes())).cloned()
            }
        };
        if let Some(allowed) = allowed {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(READ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        let these = |text: &str| match text.parse() {
            Ok(Origins::These(some)) => some,
            other => panic!("{other:?}"),
        };
        assert!(these("").is_empty() && these(" , ").is_empty());
        assert_eq!(
            these("https://A.example.com, http://localhost:3000,capacitor://localhost"),
            ["https://a.example.com", "http://localhost:3000", "capacitor://localhost"]
        );
        assert_eq!("*".parse(), Ok(Origins::Every));
        for bad in [
            "a.example.com",
            "https://a.example.com/",
            "https://a.example.com/x",
            "https://*",
            "null",
            "*, https://a.b",
            "https://u@a.b",
        ] {
            assert!(bad.parse::<Origins>().is_err(), "{bad}");
        }
    }
}
