//! Where backups are kept elsewhere: a bucket of S3's, or of what speaks like it (MinIO, R2, B2, Ceph …).
//!
//! What is sent is signed together with its SHA-256, so a server that got other bytes refuses them; what comes back
//! has the length that was promised, and what is in it is for its own format to prove.

mod error;

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{HttpClient, HttpConnector};
use object_store::path::Path;
use object_store::{ClientOptions, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};

pub use error::BucketError;
use error::Place;

use crate::clock::Time;
use crate::config::Secret;
use crate::http::outgoing;

/// What is sent at a time (bytes), and so what an upload takes of memory. A bucket takes at most 10,000 parts: 160 GB.
const PART: usize = 16 << 20;
/// How long one request may take: a part at 1 Mbit/s is done.
const REQUEST_TIME: Duration = Duration::from_mins(3);
/// How long a question without content may take, with all its tries.
const CALL_TIME: Duration = Duration::from_mins(2);
/// How long may pass between two pieces of what is fetched.
const PIECE_TIME: Duration = Duration::from_mins(1);
/// How often, and for how long, a request is made again that met a busy server or a broken line.
const TRIES: usize = 5;
const TRY_TIME: Duration = Duration::from_mins(4);

/// `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketUrl {
    pub bucket: String,
    /// What all names begin with, without slashes around it; may be empty.
    pub prefix: String,
}

/// Where a bucket is and who asks.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// `None`: AWS.
    pub endpoint: Option<String>,
    pub region: String,
    pub access_key: String,
    pub secret_key: Secret,
    pub session_token: Option<Secret>,
}

/// What is in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Without the bucket's prefix.
    pub name: String,
    /// In bytes.
    pub size: u64,
    pub modified: Time,
}

/// A bucket, from its prefix on.
#[derive(Debug)]
pub struct Bucket {
    store: AmazonS3,
    url: BucketUrl,
    place: Place,
}

impl FromStr for BucketUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<BucketUrl, String> {
        let said = |why: &str| Err(format!("must be s3://BUCKET or s3://BUCKET/PREFIX{why}"));
        let Some(rest) = text.strip_prefix("s3://") else { return said("") };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c);
        if bucket.contains('@') {
            return said("; keys go into backup.s3_access_key and backup.s3_secret_key");
        }
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(is_name) {
            return said(", and a bucket's name has 3 to 63 small letters, digits, dots and hyphens");
        }
        let prefix = prefix.trim_matches('/');
        match Path::parse(prefix) {
            Ok(_) => Ok(BucketUrl { bucket: bucket.into(), prefix: prefix.into() }),
            Err(_) => said(", and the prefix has no empty part, no . or .. and no control characters"),
        }
    }
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "s3://{}{slash}{}", self.bucket, self.prefix)
    }
}

/// Hands over the client that till makes for whatever it asks.
#[derive(Debug)]
struct Ours(reqwest::Client);

impl HttpConnector for Ours {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

impl Bucket {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// Keys that are missing, an endpoint that is no URL.
    pub fn new(url: BucketUrl, settings: S3Settings) -> Result<Bucket, BucketError> {
        let S3Settings { endpoint, region, access_key, secret_key, session_token } = settings;
        let place = Place { bucket: url.bucket.clone(), endpoint: endpoint.clone(), region: region.clone() };
        if access_key.is_empty() || secret_key.reveal().is_empty() {
            return Err(BucketError::NoKeys);
        }
        let client = outgoing().read_timeout(REQUEST_TIME).build();
        let client = client.map_err(|error| BucketError::Other(error.to_string()))?;
        let retry = RetryConfig { max_retries: TRIES, retry_timeout: TRY_TIME, ..RetryConfig::default() };
        // On AWS a bucket has a host of its own, for which there is no certificate if its name has dots. Elsewhere
        // few have that, and all understand the bucket in the path.
        let own_host = endpoint.is_none() && !url.bucket.contains('.');
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&url.bucket)
            .with_region(region)
            .with_access_key_id(access_key)
            .with_secret_access_key(secret_key.reveal())
            .with_virtual_hosted_style_request(own_host)
            // Not everything that speaks like S3 knows how to delete many at once.
            .with_disable_bulk_delete(true)
            .with_retry(retry)
            .with_http_connector(Ours(client));
        if let Some(token) = session_token {
            builder = builder.with_token(token.reveal());
        }
        if let Some(endpoint) = endpoint {
            builder = builder.with_allow_http(endpoint.starts_with("http://")).with_endpoint(endpoint);
        }
        let store = builder.build().map_err(|error| place.refusal("ask", "", &error))?;
        Ok(Bucket { store, url, place })
    }

    /// Where it is.
    pub fn url(&self) -> &BucketUrl {
        &self.url
    }

    /// Puts what `content` brings under `name`, whole or not at all, in place of what was there. `progress` is told
    /// how many bytes are there; returned is how many it were. To break it off let `content` fail: what is dropped in
    /// the middle leaves parts behind, which are paid for.
    ///
    /// # Errors
    /// What the bucket refuses, what `content` fails with. Nothing is left of it then.
    pub async fn put(
        &self,
        name: &str,
        content: impl Stream<Item = io::Result<Bytes>> + Send,
        progress: impl Fn(u64) + Send,
    ) -> Result<u64, BucketError> {
        let path = self.path(name)?;
        let mut parts = Parts { content: Box::pin(content), rest: Bytes::new() };
        let (first, size) = parts.next().await?;
        if size < PART {
            let put = self.store.put(&path, first).await;
            put.map_err(|error| self.place.refusal("put", name, &error))?;
            progress(size as u64);
            return Ok(size as u64);
        }
        let upload = self.store.put_multipart(&path).await;
        let mut upload = upload.map_err(|error| self.place.refusal("put", name, &error))?;
        let sent = self.put_parts(&mut *upload, name, first, parts, progress).await;
        if sent.is_err()
            && let Err(error) = upload.abort().await
        {
            let error = self.place.refusal("abort", name, &error);
            tracing::warn!(name, %error, "parts of an upload that failed may be left in the bucket");
        }
        sent
    }

    async fn put_parts(
        &self,
        upload: &mut dyn MultipartUpload,
        name: &str,
        first: PutPayload,
        mut parts: Parts<'_>,
        progress: impl Fn(u64) + Send,
    ) -> Result<u64, BucketError> {
        let said = |error| self.place.refusal("put", name, &error);
        let (mut part, mut sent) = (first, 0);
        while part.content_length() > 0 {
            let size = part.content_length();
            upload.put_part(part).await.map_err(said)?;
            sent += size as u64;
            progress(sent);
            // All parts but the last are of one size; some servers insist.
            part = if size < PART { PutPayload::new() } else { parts.next().await?.0 };
        }
        upload.complete().await.map_err(said)?;
        Ok(sent)
    }

    /// What is under `name`. A line that breaks is gone on with where it broke.
    ///
    /// # Errors
    /// What the bucket refuses; and while reading, that it could not be gone on with.
    pub async fn get(
        &self,
        name: &str,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + Unpin + use<>, BucketError> {
        let got = limited(self.store.get(&self.path(name)?)).await?;
        let got = got.map_err(|error| self.place.refusal("get", name, &error))?;
        let (place, name) = (self.place.clone(), name.to_owned());
        let pieces = got
            .into_stream()
            .map(move |piece| piece.map_err(|error| io::Error::other(place.refusal("get", &name, &error))));
        Ok(Box::pin(futures_util::stream::unfold(Some(Box::pin(pieces)), |pieces| async {
            let mut pieces = pieces?;
            match tokio::time::timeout(PIECE_TIME, pieces.next()).await {
                Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some(pieces))),
                Ok(Some(Err(error))) => Some((Err(error), None)),
                Ok(None) => None,
                Err(_) => Some((Err(io::Error::new(io::ErrorKind::TimedOut, BucketError::TooLong)), None)),
            }
        })))
    }

    /// What is there, by name; not what has a further slash in its name.
    ///
    /// # Errors
    /// What the bucket refuses.
    pub async fn list(&self) -> Result<Vec<Object>, BucketError> {
        let prefix = self.path("")?;
        let listed = limited(self.store.list_with_delimiter(Some(&prefix))).await?;
        let listed = listed.map_err(|error| self.place.refusal("list", "", &error))?;
        let mut objects: Vec<Object> = listed
            .objects
            .into_iter()
            .filter_map(|object| {
                Some(Object {
                    name: object.location.prefix_match(&prefix)?.next()?.as_ref().to_owned(),
                    size: object.size,
                    modified: Time(object.last_modified.timestamp_millis()),
                })
            })
            .collect();
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(objects)
    }

    /// Removes what is under `name`. Nothing being there is as good.
    ///
    /// # Errors
    /// What the bucket refuses.
    pub async fn delete(&self, name: &str) -> Result<(), BucketError> {
        let deleted = limited(self.store.delete(&self.path(name)?)).await?;
        match deleted.map_err(|error| self.place.refusal("delete", name, &error)) {
            Err(BucketError::NoObject { .. }) => Ok(()),
            other => other,
        }
    }

    fn path(&self, name: &str) -> Result<Path, BucketError> {
        let path = Path::parse(format!("{}/{name}", self.url.prefix));
        path.map_err(|_| BucketError::Other(format!("{name:?} can't be a name in a bucket")))
    }
}

async fn limited<T>(call: impl Future<Output = T>) -> Result<T, BucketError> {
    tokio::time::timeout(CALL_TIME, call).await.map_err(|_| BucketError::TooLong)
}

/// A stream in parts of one size.
struct Parts<'a> {
    content: std::pin::Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send + 'a>>,
    /// What came beyond the last part.
    rest: Bytes,
}

impl Parts<'_> {
    /// The next part and its size, which is less than [`PART`] only at the end.
    async fn next(&mut self) -> io::Result<(PutPayload, usize)> {
        let (mut pieces, mut size) = (Vec::new(), 0);
        while size < PART {
            if self.rest.is_empty() {
                match self.content.next().await {
                    Some(bytes) => self.rest = bytes?,
                    None => break,
                }
            }
            let piece = self.rest.split_to(self.rest.len().min(PART - size));
            size += piece.len();
            pieces.push(piece);
        }
        Ok((pieces.into_iter().collect(), size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_bucket_and_a_prefix() {
        let read =
            |text: &str| text.parse::<BucketUrl>().map(|url| (url.to_string(), url.bucket, url.prefix));
        let good = |shown: &str, bucket: &str, prefix: &str| {
            Ok((shown.to_owned(), bucket.to_owned(), prefix.to_owned()))
        };
        assert_eq!(read("s3://shop-backups"), good("s3://shop-backups", "shop-backups", ""));
        assert_eq!(read("s3://shop-backups/"), good("s3://shop-backups", "shop-backups", ""));
        assert_eq!(read("s3://b.c-1/till/eu/"), good("s3://b.c-1/till/eu", "b.c-1", "till/eu"));
        for (bad, why) in [
            ("", "s3://BUCKET"),
            ("shop-backups", "s3://BUCKET"),
            ("https://s3.amazonaws.com/b", "s3://BUCKET"),
            ("s3://", "3 to 63"),
            ("s3://Shop", "small letters"),
            ("s3://AKIA:secret@shop/x", "backup.s3_secret_key"),
            ("s3://shop/a//b", "no empty part"),
            ("s3://shop/../b", "no . or .."),
        ] {
            let said = read(bad).expect_err(bad);
            assert!(said.contains(why) && !said.contains("AKIA"), "{bad}: {said}");
        }
    }

    #[tokio::test]
    async fn parts_are_of_one_size_however_the_pieces_come() {
        let pieces = [PART + 5, 0, 1, PART - 7, 3].map(|size| Ok(Bytes::from(vec![1; size])));
        let mut parts = Parts { content: Box::pin(futures_util::stream::iter(pieces)), rest: Bytes::new() };
        let mut sizes = Vec::new();
        loop {
            let (part, size) = parts.next().await.expect("it does not fail");
            assert_eq!(part.content_length(), size);
            sizes.push(size);
            if size < PART {
                break;
            }
        }
        assert_eq!(sizes, [PART, PART, 2]);
    }
}
