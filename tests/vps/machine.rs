//! A container in which systemd is process 1.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::Said;

const SUITE: &str = "bookworm";
const MIRROR: &str = "http://deb.debian.org/debian";
const PACKAGES: &str = "systemd,systemd-sysv,dbus,curl,ca-certificates,procps";

/// A running machine; it is gone when this is dropped.
pub struct Machine {
    nspawn: Child,
    /// Process 1 of it, by its id outside.
    init: String,
    root: TempDir,
}

impl Machine {
    /// Boots a machine on which nothing is yet.
    ///
    /// # Errors
    /// Why that can't be done here.
    pub fn boot() -> Result<Machine, String> {
        if text_of(Command::new("id").arg("-u"))?.trim() != "0" {
            return Err("it takes root's rights".into());
        }
        let base = base()?;
        // Beside the base, where copies can share blocks on file systems that know how.
        let dir = base.parent().expect("it has a directory");
        let root =
            tempfile::Builder::new().prefix("vps-").tempdir_in(dir).map_err(|error| error.to_string())?;
        let copy =
            Command::new("cp").args(["-a", "--reflink=auto"]).arg(base.join(".")).arg(root.path()).status();
        if !copy.is_ok_and(|status| status.success()) {
            return Err("no room for a copy of the base system".into());
        }
        // It has no terminal, and no identity yet.
        let _ = fs::remove_file(root.path().join("etc/machine-id"));
        let console = root.path().join("console");
        let said = File::create(&console).map_err(|error| error.to_string())?;
        let mut nspawn = Command::new("systemd-nspawn");
        nspawn.args([
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--boot",
            "--link-journal=no",
            "--console=pipe",
        ]);
        nspawn.arg("--directory").arg(root.path()).stdin(Stdio::null());
        nspawn.stderr(said.try_clone().map_err(|error| error.to_string())?).stdout(said);
        let mut nspawn = nspawn.spawn().map_err(|error| format!("systemd-nspawn: {error}"))?;
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let pid = nspawn.id();
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            let init = children.split_whitespace().next().unwrap_or_default().to_owned();
            let is_up = !init.is_empty() && {
                let mut asked = inside(&init);
                let state = text_of(asked.args(["systemctl", "is-system-running"]));
                state.is_ok_and(|state| ["running", "degraded"].contains(&state.trim()))
            };
            if is_up {
                return Ok(Machine { nspawn, init, root });
            }
            let ended = nspawn.try_wait().ok().flatten();
            if ended.is_some() || Instant::now() > until {
                let _ = nspawn.kill();
                let _ = nspawn.wait();
                let console = fs::read_to_string(console).unwrap_or_default();
                return Err(format!("the container does not boot: {console}"));
            }
            sleep(Duration::from_millis(100));
        }
    }

    /// A file of the machine, as it is reached from outside.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.root.path().join(inside.trim_start_matches('/'))
    }

    /// Copies a program there.
    pub fn bring(&self, from: &Path, to: &str) {
        fs::copy(from, self.path(to)).expect("it can be copied");
    }

    /// Runs a line of shell as root.
    pub fn run(&self, line: &str) -> Said {
        let mut command = inside(&self.init);
        command.args(["bash", "-euo", "pipefail", "-c", line]).env_clear();
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/");
        let output = command.stdin(Stdio::null()).output().expect("nsenter is there");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// What a line of shell that must succeed says.
    #[track_caller]
    pub fn says(&self, line: &str) -> String {
        let said = self.run(line);
        assert_eq!(said.code, 0, "{line}\n{}{}", said.out, said.err);
        said.out.trim().to_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log =
                self.run("journalctl --no-pager --lines=60 --unit=till.service --unit=till.socket || true");
            println!("{}{}", log.out, log.err);
        }
        let _ = inside(&self.init).args(["systemctl", "poweroff", "--force"]).status();
        let until = Instant::now() + Duration::from_secs(10);
        while matches!(self.nspawn.try_wait(), Ok(None)) && Instant::now() < until {
            sleep(Duration::from_millis(50));
        }
        let _ = self.nspawn.kill();
        let _ = self.nspawn.wait();
    }
}

/// A command that is run inside.
fn inside(init: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", init, "--all", "--root", "--wd=/", "--"]);
    command
}

/// An empty Debian, made at the first use.
fn base() -> Result<PathBuf, String> {
    let base = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("debian-{SUITE}"));
    if base.exists() {
        return Ok(base);
    }
    let making = base.with_extension("making");
    let _ = fs::remove_dir_all(&making);
    let mut make = Command::new("debootstrap");
    make.args(["--variant=minbase", &format!("--include={PACKAGES}"), SUITE]).arg(&making).arg(MIRROR);
    text_of(&mut make)?;
    fs::rename(&making, &base).map_err(|error| error.to_string())?;
    Ok(base)
}

fn text_of(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let ran = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // What is asked inside while it boots may well say no.
    if ran.status.success() || name == "nsenter" {
        Ok(text(&ran.stdout))
    } else {
        Err(format!("{name} failed: {}{}", text(&ran.stdout), text(&ran.stderr)))
    }
}
