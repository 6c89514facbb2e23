//! Programs of others that run on Node.js.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use crate::support::repository;

/// A directory with the scripts beside the packages that they need, as `package-lock.json` pins these.
pub fn home() -> PathBuf {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (from, home) =
        (repository().join("tests/contract/node"), Path::new(env!("CARGO_TARGET_TMPDIR")).join("node"));
    fs::create_dir_all(&home).expect("target can be written");
    let read = |dir: &Path| fs::read(dir.join("node_modules/.till")).ok();
    let lock = fs::read(from.join("package-lock.json")).expect("it is there");
    for file in fs::read_dir(&from).expect("readable") {
        let file = file.expect("readable");
        if file.file_type().expect("readable").is_file() {
            fs::copy(file.path(), home.join(file.file_name())).expect("target can be written");
        }
    }
    if read(&home).as_ref() != Some(&lock) {
        // No package runs anything while it is installed.
        let mut install = Command::new("npm");
        install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&home);
        let done = install.output().expect("this test needs Node.js and npm (Debian: nodejs npm)");
        assert!(done.status.success(), "this test needs the packages of {}: {done:?}", from.display());
        fs::write(home.join("node_modules/.till"), lock).expect("target can be written");
    }
    home
}

/// Runs a script of the directory, or of a package in it.
pub fn node(script: &str) -> Command {
    let home = home();
    let mut command = Command::new("node");
    command.arg(home.join(script)).current_dir(home);
    command
}

/// What it printed; the test fails with all that it said if it failed.
#[track_caller]
pub fn run(mut command: Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().expect("this test needs Node.js (Debian: nodejs)");
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{out}{err}");
    out.into_owned()
}
