//! Why a bucket can't be used, and what to do.

use std::error::Error;
use std::io;

use object_store::client::HttpError;

/// Why a bucket can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    #[error(
        "there are no keys for the bucket: set backup.s3_access_key and backup.s3_secret_key, or AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY in the environment"
    )]
    NoKeys,
    #[error("the access key is not known {at}: look at backup.s3_access_key")]
    AccessKey { at: String },
    #[error(
        "the secret key does not belong to the access key: look at backup.s3_secret_key, and at the region, {region}"
    )]
    SecretKey { region: String },
    #[error("the session's token is not good any more: get a new one (AWS_SESSION_TOKEN)")]
    SessionToken,
    #[error(
        "this access key may not {act} in the bucket {bucket}: allow it {permission}. (A bucket that does not exist can \
         look so, too)"
    )]
    NotAllowed { act: &'static str, bucket: String, permission: &'static str },
    #[error("there is no bucket {bucket} {at}: make it, or correct its name")]
    NoBucket { bucket: String, at: String },
    #[error("there is no {name} in the bucket {bucket}")]
    NoObject { name: String, bucket: String },
    #[error(
        "the bucket {bucket} is not in the region {region}: set backup.s3_region to the one that it is in"
    )]
    Region { bucket: String, region: String },
    #[error("this machine's clock is wrong by minutes, and requests are signed with the time: set it")]
    Clock,
    #[error("{at} can't be reached: {why}")]
    Unreachable { at: String, why: String },
    #[error("the bucket did not answer in time")]
    TooLong,
    #[error("what was to be put could not be read: {0}")]
    Content(#[from] io::Error),
    #[error("{0}")]
    Other(String),
}

/// What is said of a bucket when it refuses.
#[derive(Clone, Debug)]
pub struct Place {
    pub bucket: String,
    pub endpoint: Option<String>,
    pub region: String,
}

impl Place {
    /// Why it was refused to do `act` (put, get, list, delete, abort) with `name`.
    pub fn refusal(&self, act: &'static str, name: &str, error: &object_store::Error) -> BucketError {
        let (bucket, region) = (self.bucket.clone(), self.region.clone());
        let at = match &self.endpoint {
            Some(endpoint) => format!("at {endpoint}"),
            None => "at AWS".to_owned(),
        };
        let mut causes = std::iter::successors(Some(error as &dyn Error), |error| (*error).source());
        if let Some(lost) = causes.find(|cause| cause.is::<HttpError>()) {
            let whole: Vec<String> = std::iter::successors(Some(lost), |error| (*error).source())
                .map(ToString::to_string)
                .collect();
            return BucketError::Unreachable { at: at.replacen("at ", "", 1), why: whole.join(": ") };
        }
        // The library keeps the server's answer only as text.
        let text = error.to_string();
        let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
        match code.map_or("", |(code, _)| code) {
            "InvalidAccessKeyId" => BucketError::AccessKey { at },
            "SignatureDoesNotMatch" => BucketError::SecretKey { region },
            "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => BucketError::SessionToken,
            "NoSuchBucket" => BucketError::NoBucket { bucket, at },
            "RequestTimeTooSkewed" => BucketError::Clock,
            "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
                BucketError::Region { bucket, region }
            }
            _ => match error {
                object_store::Error::NotFound { .. } => BucketError::NoObject { name: name.into(), bucket },
                object_store::Error::PermissionDenied { .. }
                | object_store::Error::Unauthenticated { .. } => {
                    let permission = match act {
                        "put" => "s3:PutObject",
                        "get" => "s3:GetObject",
                        "list" => "s3:ListBucket",
                        "delete" => "s3:DeleteObject",
                        _ => "s3:AbortMultipartUpload",
                    };
                    BucketError::NotAllowed { act, bucket, permission }
                }
                _ if text.contains("redirect without LOCATION") => BucketError::Region { bucket, region },
                _ => BucketError::Other(text),
            },
        }
    }
}
