//! What the settings say about reporting errors.

use sentry_types::{Dsn, ParseDsnError};

use super::Config;
use super::read::Faults;

/// What one setting's check can't see.
pub(super) fn check(config: &Config, faults: &mut Faults) {
    faults.of("errors.sentry_dsn", config.sentry_dsn());
    let token = config.errors_rollbar_token.reveal();
    if !token.bytes().all(|b| b.is_ascii_graphic()) {
        faults.say("errors.rollbar_token", "must be a token without spaces");
    }
}

impl Config {
    /// The project at Sentry that errors are reported to, if there is one.
    ///
    /// # Errors
    /// What is wrong with its DSN, without its key.
    pub fn sentry_dsn(&self) -> Result<Option<Dsn>, String> {
        let dsn = self.errors_sentry_dsn.reveal();
        if dsn.is_empty() {
            return Ok(None);
        }
        let said = |error: &str| format!("must be a DSN such as https://KEY@HOST/PROJECT: {error}");
        let dsn: Dsn = dsn.parse().map_err(|error: ParseDsnError| said(&error.to_string()))?;
        if !dsn.project_id().value().bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(said("the project is a number"));
        }
        Ok(Some(dsn))
    }
}
