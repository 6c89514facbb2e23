//! What a program says of itself, before it is let near the shop.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use semver::Version;
use serde_json::Value;

use super::super::{CliError, Global};

/// How long it may take to say something.
const PATIENCE: Duration = Duration::from_secs(20);

/// A till, as it says itself.
pub struct Candidate {
    pub version: Version,
    /// The format that it brings the data to.
    pub format: u64,
}

impl Candidate {
    /// Asks the program at `path`; `name` is what the operator calls it.
    ///
    /// # Errors
    /// Why it is no till that runs here.
    pub fn ask(path: &Path, name: &Path) -> Result<Candidate, CliError> {
        let refuse = |said: &str| CliError::failed(format!("{}: {said}", name.display()));
        let said = run(Command::new(path).args(["version", "--json"]))
            .map_err(|said| refuse(&format!("this program does not run on this machine: {said}")))?;
        let said: Value = serde_json::from_str(&said).unwrap_or_default();
        let version = said["version"].as_str().and_then(|version| Version::parse(version).ok());
        match (version, said["format"].as_u64()) {
            (Some(version), Some(format)) => Ok(Candidate { version, format }),
            _ => Err(refuse("this is no till, or one that is older than `till upgrade`")),
        }
    }

    /// Has the program at `path` look at the shop's settings.
    pub fn check_config(path: &Path, global: &Global) -> Result<(), CliError> {
        let mut command = Command::new(path);
        command.args(["config", "check"]);
        if let Some(config) = global.config_file() {
            command.arg("--config").arg(config);
        }
        run(&mut command)
            .map(drop)
            .map_err(|said| CliError::failed(format!("the new till refuses the settings: {said}")))
    }

    /// Whether the program at `path` would write one of these files if it were installed as a service now.
    pub fn would_write(path: &Path, files: &[&str]) -> bool {
        let plan = run(Command::new(path).args(["service", "install", "--dry-run", "--json"]));
        let plan: Value = serde_json::from_str(&plan.unwrap_or_default()).unwrap_or_default();
        let mut steps = plan["steps"].as_array().into_iter().flatten();
        steps.any(|step| {
            step["did"] == "write" && step["what"].as_str().is_some_and(|what| files.contains(&what))
        })
    }
}

/// Runs a command to its end; what it says on stdout.
fn run(command: &mut Command) -> Result<String, String> {
    let told = |error: io::Error| error.to_string();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(told)?;
    let until = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().map_err(told)? {
            Some(status) => break status,
            None if Instant::now() > until => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it has said nothing for {} seconds", PATIENCE.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    // Little enough for a pipe to hold: nothing waits for being read.
    let read = |pipe: Option<&mut dyn Read>| {
        let mut text = String::new();
        let _ = pipe.map(|pipe| pipe.take(64 << 10).read_to_string(&mut text));
        text
    };
    if status.success() {
        Ok(read(child.stdout.as_mut().map(|pipe| pipe as _)))
    } else {
        let said = read(child.stderr.as_mut().map(|pipe| pipe as _));
        let said = said.trim();
        Err(if said.is_empty() { status.to_string() } else { said.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_a_till_would_install_is_asked_of_itself() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("till");
        let of = |says: &str| {
            std::fs::write(&path, format!("#!/bin/sh\n{says}\n")).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("ours");
            Candidate::would_write(&path, &["/a/till.service", "/a/till.socket"])
        };
        let plan = |did: &str, what: &str| {
            format!("echo '{{\"steps\": [{{\"did\": \"{did}\", \"what\": \"{what}\"}}]}}'")
        };
        assert!(of(&plan("write", "/a/till.socket")));
        assert!(!of(&plan("keep", "/a/till.socket")));
        assert!(!of(&plan("write", "/a/config.toml")));
        assert!(!of("echo no such command >&2; exit 2"));
    }
}
