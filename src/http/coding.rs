//! Compression of answers (RFC 9110, 8.4 and 12.5.3), for who asks and where it pays.
//!
//! Only what is read, with `GET`, is compressed: what brings a token or a new secret is the answer to a `POST`, and how
//! long it is must not depend on what is in it (BREACH). What else is secret in what is read, such as a payment's
//! `client_secret`, is there for whoever holds the token alone; no other site can have it asked for.

use std::io::{self, Write};
use std::sync::Mutex;

use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{StreamExt, future, stream};
use http::{HeaderValue, StatusCode, header};

use super::reply::{Content, Reply, vary};
use super::request::Body;
use crate::telemetry::aside;

/// A smaller body goes in one packet anyway (bytes).
const SMALLEST: usize = 1024;
/// A larger one is compressed on a thread that may take its time (bytes).
const LARGE: usize = 64 << 10;

/// How answers can be compressed, the one that costs least first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coding {
    Zstd,
    Brotli,
    Gzip,
}

/// Something that compresses what is written to it.
trait Coder: Write + Send {
    /// What has come out so far.
    fn take(&mut self) -> Vec<u8>;
    /// What is left at the end.
    fn end(self: Box<Self>) -> io::Result<Vec<u8>>;
}

impl Coder for GzEncoder<Vec<u8>> {
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.get_mut())
    }

    fn end(self: Box<Self>) -> io::Result<Vec<u8>> {
        self.finish()
    }
}

impl Coder for zstd::Encoder<'static, Vec<u8>> {
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.get_mut())
    }

    fn end(self: Box<Self>) -> io::Result<Vec<u8>> {
        self.finish()
    }
}

impl Coder for CompressorWriter<Vec<u8>> {
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.get_mut())
    }

    fn end(self: Box<Self>) -> io::Result<Vec<u8>> {
        Ok(self.into_inner())
    }
}

impl Coding {
    pub const ALL: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

    pub fn name(self) -> &'static str {
        match self {
            Coding::Zstd => "zstd",
            Coding::Brotli => "br",
            Coding::Gzip => "gzip",
        }
    }

    /// What an `Accept-Encoding` header wants most, if not the answer as it is.
    fn wanted(header: &str) -> Option<Coding> {
        let weights: Vec<(String, f32)> = header
            .split(',')
            .filter_map(|part| {
                let (name, rest) = part.split_once(';').unwrap_or((part, ""));
                let q = rest.trim().strip_prefix("q=").or_else(|| rest.trim().strip_prefix("Q="));
                let q = if rest.trim().is_empty() { 1.0 } else { q?.trim().parse().ok()? };
                Some((name.trim().to_ascii_lowercase(), q))
            })
            .collect();
        let weight = |name: &str| weights.iter().find(|(given, _)| given == name).map(|(_, q)| *q);
        let mut best = (None, weight("identity").unwrap_or(0.0));
        for coding in Coding::ALL {
            let q = weight(coding.name()).or_else(|| weight("*")).unwrap_or(0.0);
            let is_better = if best.0.is_none() { q >= best.1 && q > 0.0 } else { q > best.1 };
            if is_better {
                best = (Some(coding), q);
            }
        }
        best.0
    }

    /// How `reply`, the answer to a `GET`, is to be compressed for who sent this `Accept-Encoding`; says in it that
    /// there are other forms. A compressed form has an entity tag of its own (RFC 9110, 8.8.3.3).
    pub fn chosen(accept: Option<&HeaderValue>, reply: &mut Reply) -> Option<Coding> {
        let pays = match &reply.body {
            Content::Whole(bytes) => bytes.len() >= SMALLEST,
            Content::Stream(_) => true,
        };
        if reply.status != StatusCode::OK || !pays || !is_text(reply) {
            return None;
        }
        vary(&mut reply.headers, "Accept-Encoding");
        let coding = Coding::wanted(accept?.to_str().ok()?)?;
        let tag = reply.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
        if let Some(own) =
            tag.and_then(|tag| tag.strip_suffix('"')).map(|tag| format!("{tag}-{}\"", coding.name()))
        {
            reply.headers.insert(header::ETAG, HeaderValue::from_str(&own).ok()?);
        }
        Some(coding)
    }

    /// Compresses the body of `reply`.
    pub async fn apply(self, mut reply: Reply) -> Result<Reply, io::Error> {
        reply.body = match reply.body {
            Content::Whole(bytes) if bytes.len() > LARGE => {
                let work = aside(move || self.whole(&bytes));
                Content::Whole(work.await.map_err(io::Error::other)??.into())
            }
            Content::Whole(bytes) => Content::Whole(self.whole(&bytes)?.into()),
            Content::Stream(body) => Content::Stream(self.pieces(body)?),
        };
        reply.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(self.name()));
        Ok(reply)
    }

    /// The levels are those beyond which a product list takes twice the time and is less than a tenth smaller: 13 kB become
    /// 2.1, 2.3 and 2.4 kB in a tenth of a millisecond each.
    fn coder(self) -> io::Result<Box<dyn Coder>> {
        Ok(match self {
            Coding::Zstd => Box::new(zstd::Encoder::new(Vec::new(), 1)?),
            Coding::Brotli => Box::new(CompressorWriter::new(Vec::new(), 4096, 1, 18)),
            Coding::Gzip => Box::new(GzEncoder::new(Vec::new(), Compression::new(1))),
        })
    }

    fn whole(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut coder = self.coder()?;
        coder.write_all(bytes)?;
        coder.end()
    }

    /// Each piece goes out as it comes. What broke off has no end that looks like one.
    fn pieces(self, body: Body) -> io::Result<Body> {
        let coder = Mutex::new(Some(self.coder()?));
        let coded = body.map(Some).chain(stream::iter([None])).map(move |piece| {
            let mut held = coder.lock().map_err(|_| "a thread died".to_owned())?;
            let mut coder = held.take().ok_or("the body broke off")?;
            let Some(piece) = piece else {
                return coder.end().map(Bytes::from).map_err(|error| error.to_string());
            };
            let piece = piece?;
            coder.write_all(&piece).and_then(|()| coder.flush()).map_err(|error| error.to_string())?;
            let out = coder.take();
            *held = Some(coder);
            Ok(Bytes::from(out))
        });
        Ok(Box::pin(
            coded.filter(|piece| future::ready(piece.as_ref().map_or(true, |piece| !piece.is_empty()))),
        ))
    }
}

/// An entity tag as it is of the answer that is not compressed.
pub fn plain_tag(tag: &str) -> String {
    let bare = tag.strip_suffix('"').unwrap_or_default();
    let plain = Coding::ALL.iter().find_map(|coding| bare.strip_suffix(coding.name())?.strip_suffix('-'));
    plain.map_or_else(|| tag.to_owned(), |plain| format!("{plain}\""))
}

/// Whether an answer is text that nobody has compressed yet.
fn is_text(reply: &Reply) -> bool {
    let media_type = reply.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    let is_text = media_type.starts_with("text/")
        || media_type.ends_with("+json")
        || ["application/json", "application/x-ndjson", "application/javascript", "image/svg+xml"]
            .contains(&media_type);
    is_text && !reply.headers.contains_key(header::CONTENT_ENCODING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_most_is_taken() {
        use Coding::{Brotli, Gzip, Zstd};
        for (header, wanted) in [
            ("", None),
            ("gzip", Some(Gzip)),
            ("GZIP", Some(Gzip)),
            ("gzip, deflate, br, zstd", Some(Zstd)),
            ("gzip, deflate, br", Some(Brotli)),
            ("gzip;q=1.0, br;q=0.8", Some(Gzip)),
            ("gzip; q=0.5 , br;q=0", Some(Gzip)),
            ("*", Some(Zstd)),
            ("zstd;q=0, *;q=0.1", Some(Brotli)),
            ("*;q=0", None),
            ("identity", None),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip;q=0.5", Some(Gzip)),
            ("identity;q=0, gzip;q=0", None),
            ("deflate", None),
            ("gzip;q=much", None),
            ("gzip;level=3", None),
        ] {
            assert_eq!(Coding::wanted(header), wanted, "{header}");
        }
    }

    #[test]
    fn tags_are_told_from_their_codings() {
        assert_eq!(plain_tag("\"ab-gzip\""), "\"ab\"");
        assert_eq!(plain_tag("\"ab-br\""), "\"ab\"");
        for as_it_is in ["\"ab\"", "\"gzip\"", "*", "", "\"ab-deflate\"", "\"ab-gzip"] {
            assert_eq!(plain_tag(as_it_is), as_it_is);
        }
    }

    #[tokio::test]
    async fn what_broke_off_has_no_end() {
        for coding in Coding::ALL {
            let pieces: [Result<Bytes, String>; 3] = [Ok("one".into()), Err("lost".into()), Ok("two".into())];
            let coded: Vec<_> =
                coding.pieces(Box::pin(stream::iter(pieces))).expect("it begins").collect().await;
            let broken = coded.iter().position(Result::is_err).expect("it is told");
            assert!(coded[broken..].iter().all(Result::is_err), "{coding:?}");
        }
    }
}
