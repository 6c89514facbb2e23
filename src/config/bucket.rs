//! What the settings say about where backups go.

use super::read::Faults;
use super::{Config, Secret};
use crate::backup::bucket::S3Settings;

/// What other tools read from the environment, and the settings that it stands for where those are not given.
pub(super) const ENDPOINT_AND_REGION: [(&str, &str); 2] =
    [("AWS_ENDPOINT_URL", "backup.s3_endpoint"), ("AWS_REGION", "backup.s3_region")];
/// These belong together: they are taken all from there or not at all.
pub(super) const KEYS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "backup.s3_access_key"),
    ("AWS_SECRET_ACCESS_KEY", "backup.s3_secret_key"),
    ("AWS_SESSION_TOKEN", "backup.s3_session_token"),
];

/// What one setting's check can't see.
pub(super) fn check(config: &Config, faults: &mut Faults) {
    let (key, secret) = (&config.backup_s3_access_key, config.backup_s3_secret_key.reveal());
    if key.is_empty() != secret.is_empty() {
        let missing = if key.is_empty() { "backup.s3_access_key" } else { "backup.s3_secret_key" };
        faults.say(missing, "is missing: s3_access_key and s3_secret_key go together");
    }
}

impl Config {
    /// How a bucket is asked.
    pub fn s3(&self) -> S3Settings {
        let given = |secret: &Secret| (!secret.reveal().is_empty()).then(|| secret.clone());
        let endpoint = self.backup_s3_endpoint.trim_end_matches('/');
        S3Settings {
            endpoint: (!endpoint.is_empty()).then(|| endpoint.to_owned()),
            region: self.backup_s3_region.clone(),
            access_key: self.backup_s3_access_key.clone(),
            secret_key: self.backup_s3_secret_key.clone(),
            session_token: given(&self.backup_s3_session_token),
        }
    }
}
