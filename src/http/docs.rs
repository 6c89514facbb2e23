//! The API's description as a page to read and to try it out on: Swagger UI, from inside the binary.
//!
//! Beside this file are its parts of the npm package `swagger-ui-dist`, packed as they are sent. The version is
//! pinned in `tests/contract/node/package.json`; after a change there, `npm run swagger-ui` packs them anew, and a
//! test holds them against the package.

use std::io::Read;
use std::str::FromStr;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderValue, StatusCode, header};

use super::operation::for_everybody;
use super::reply::{Answer, Reply};
use super::request::Req;
use super::routes::{Routes, get};

/// The page loads from this shop, asks this shop, and stands in no other page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/docs/",
            get(page, for_everybody("This description as a page").gives_files(&["text/html"]).tagged()),
        )
        .at(
            "/api/docs/{file}",
            get(
                file,
                for_everybody("A part of that page").gives_files(&["text/javascript", "text/css"]).tagged(),
            ),
        )
}

/// What the page is made of.
enum Asset {
    Start,
    Script,
    Style,
}

impl FromStr for Asset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "init.js" => Ok(Asset::Start),
            "swagger-ui-bundle.js" => Ok(Asset::Script),
            "swagger-ui.css" => Ok(Asset::Style),
            _ => Err("the page has no such part".into()),
        }
    }
}

crate::words!(Asset: ["init.js", "swagger-ui-bundle.js", "swagger-ui.css"]);

/// A file that goes out as it is, or unpacked where a client does not take gzip.
struct Packed {
    gzip: &'static [u8],
    plain: LazyLock<Bytes>,
}

static SCRIPT: Packed = Packed {
    gzip: include_bytes!("docs/swagger-ui-bundle.js.gz"),
    plain: LazyLock::new(|| unpack(SCRIPT.gzip)),
};
static STYLE: Packed =
    Packed { gzip: include_bytes!("docs/swagger-ui.css.gz"), plain: LazyLock::new(|| unpack(STYLE.gzip)) };

fn unpack(gzip: &[u8]) -> Bytes {
    let mut plain = Vec::new();
    GzDecoder::new(gzip).read_to_end(&mut plain).expect("the file was packed by gzip");
    plain.into()
}

async fn page(_: Req) -> Answer {
    let page = include_str!("docs/index.html");
    let reply = Reply::bytes(StatusCode::OK, "text/html; charset=utf-8", page)
        .header(header::CONTENT_SECURITY_POLICY, POLICY)
        .header(header::X_FRAME_OPTIONS, "DENY")
        .header(header::REFERRER_POLICY, "no-referrer");
    Ok(kept(reply))
}

async fn file(req: Req, asset: Asset) -> Answer {
    let packed = |media_type, file: &'static Packed| {
        let reply = if takes_gzip(req.header(header::ACCEPT_ENCODING).unwrap_or_default()) {
            Reply::bytes(StatusCode::OK, media_type, file.gzip).header(header::CONTENT_ENCODING, "gzip")
        } else {
            Reply::bytes(StatusCode::OK, media_type, file.plain.clone())
        };
        reply.header(header::VARY, "Accept-Encoding")
    };
    let script = "text/javascript; charset=utf-8";
    let reply = match asset {
        Asset::Start => Reply::bytes(StatusCode::OK, script, include_str!("docs/init.js")),
        Asset::Script => packed(script, &SCRIPT),
        Asset::Style => packed("text/css; charset=utf-8", &STYLE),
    };
    Ok(kept(reply))
}

/// The files change with the binary: they may be kept, and asked after by their tag each time.
fn kept(mut reply: Reply) -> Reply {
    reply.push(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    reply.tagged()
}

/// Whether an `Accept-Encoding` names gzip, or all, other than to refuse it (RFC 9110, 12.5.3).
fn takes_gzip(accepts: &str) -> bool {
    let weight = |name: &str| {
        accepts.split(',').find_map(|one| {
            let (coding, weight) = one.split_once(';').unwrap_or((one, "q=1"));
            let weight = weight.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok());
            coding.trim().eq_ignore_ascii_case(name).then_some(weight.unwrap_or(0.0))
        })
    };
    weight("gzip").or_else(|| weight("*")).is_some_and(|weight| weight > 0.0)
}

#[cfg(test)]
mod tests {
    use super::takes_gzip;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for accepts in ["gzip", "deflate, GZIP;q=0.5, br", "*", "gzip, *;q=0"] {
            assert!(takes_gzip(accepts), "{accepts}");
        }
        for accepts in ["", "br", "identity", "gzip;q=0", "gzip; q=0.000, *", "*;q=0"] {
            assert!(!takes_gzip(accepts), "{accepts}");
        }
    }
}
