//! What the settings say about the backups that the shop makes by itself.

use super::Config;
use super::read::Faults;
use super::value::list;
use crate::backup::bucket::BucketUrl;
use crate::backup::crypt::{Lock, Recipient};
use crate::backup::{Keeping, Schedule};

/// What one setting's check can't see.
pub(super) fn check(config: &Config, faults: &mut Faults) {
    faults.of("backup.daily_at", minute_of_day(&config.backup_daily_at));
    faults.of("backup.recipients", recipients(&config.backup_recipients));
    if !config.backup_passphrase.reveal().is_empty() && !config.backup_recipients.is_empty() {
        let said =
            "can't stand beside backup.passphrase: a backup is encrypted with the one or for the others";
        faults.say("backup.recipients", said);
    }
    if let Some(bucket) = bucket(&config.backup_to) {
        faults.of("backup.to", bucket);
    }
    let keeping = config.keeping();
    if keeping.daily + keeping.weekly + keeping.monthly == 0 {
        faults.say("backup.keep_daily", "must not be 0 beside keep_weekly and keep_monthly of 0");
    }
}

/// The bucket that is named, if it is one.
fn bucket(text: &str) -> Option<Result<BucketUrl, String>> {
    text.contains("://").then(|| text.parse())
}

/// Minutes since midnight (UTC); none for an empty text.
fn minute_of_day(text: &str) -> Result<Option<u32>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let number = |text: &str| text.parse::<u32>().ok().filter(|_| text.len() == 2);
    let parts = text.split_once(':').and_then(|(hour, minute)| Some((number(hour)?, number(minute)?)));
    match parts {
        Some((hour, minute)) if hour < 24 && minute < 60 => Ok(Some(60 * hour + minute)),
        _ => Err("must be a time of day in UTC from 00:00 to 23:59, or empty".into()),
    }
}

fn recipients(text: &str) -> Result<Vec<Recipient>, String> {
    list(text).map(str::parse).collect()
}

impl Config {
    /// Which backups are kept.
    fn keeping(&self) -> Keeping {
        let count = |kept: super::Kept| kept.0 as usize;
        Keeping {
            daily: count(self.backup_keep_daily),
            weekly: count(self.backup_keep_weekly),
            monthly: count(self.backup_keep_monthly),
        }
    }

    /// When the shop backs itself up, if it does.
    pub fn schedule(&self) -> Option<Schedule> {
        let minute_of_day = minute_of_day(&self.backup_daily_at).ok().flatten()?;
        Some(Schedule { minute_of_day, keeping: self.keeping() })
    }

    /// What backups are encrypted with, if they are.
    pub fn backup_lock(&self) -> Option<Lock> {
        let recipients = recipients(&self.backup_recipients).unwrap_or_default();
        if !recipients.is_empty() {
            return Some(Lock::Recipients(recipients));
        }
        let passphrase = &self.backup_passphrase;
        (!passphrase.reveal().is_empty()).then(|| Lock::Passphrase(passphrase.clone()))
    }
}
