//! What the settings say about OTLP.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::read::Faults;
use super::{Config, Setting, value};
use crate::telemetry::otlp::{Settings, Temporality};

/// What one setting's check can't see.
pub(super) fn check(config: &Config, faults: &mut Faults) {
    faults.of("otlp.headers", headers(config));
}

/// As OTEL_EXPORTER_OTLP_HEADERS has them: pairs with commas between them, values as in URLs.
fn headers(config: &Config) -> Result<HeaderMap, String> {
    let said = || "must be NAME=VALUE pairs with commas between them, such as api-key=…".to_owned();
    let mut headers = HeaderMap::new();
    for pair in value::list(config.otlp_headers.reveal()) {
        let (name, value) = pair.split_once('=').ok_or_else(said)?;
        let value = percent_encoding::percent_decode_str(value.trim()).collect::<Vec<_>>();
        let mut value = HeaderValue::from_bytes(&value).map_err(|_| said())?;
        value.set_sensitive(true);
        headers.insert(name.trim().parse::<HeaderName>().map_err(|_| said())?, value);
    }
    Ok(headers)
}

impl Setting for Temporality {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "cumulative" => Ok(Temporality::Cumulative),
            "delta" => Ok(Temporality::Delta),
            _ => Err("must be cumulative or delta".into()),
        }
    }

    fn show(&self) -> String {
        match self {
            Temporality::Cumulative => "cumulative".into(),
            Temporality::Delta => "delta".into(),
        }
    }
}

impl Config {
    /// Where telemetry goes by OTLP, if anywhere.
    pub fn otlp(&self) -> Option<Settings> {
        let seconds = self.otlp_interval_seconds.0;
        (!self.otlp_endpoint.is_empty()).then(|| Settings {
            endpoint: self.otlp_endpoint.clone(),
            headers: headers(self).expect("checked when the settings were read"),
            environment: self.server_environment.0.clone(),
            trace_percent: self.otlp_trace_percent.0,
            follows: self.otlp_follow_callers,
            interval: (seconds > 0).then(|| Duration::from_secs(seconds)),
            temporality: self.otlp_temporality,
        })
    }
}
