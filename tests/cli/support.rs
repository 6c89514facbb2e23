//! Running `till`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{LazyLock, Mutex};

use serde_json::Value;
use tempfile::TempDir;

/// As long as the version, and newer.
pub const NEWER: &str = "9.9.9";

/// A till that is the one at hand but for what it says its version is.
pub fn newer(dir: &Path) -> PathBuf {
    let mut bytes = fs::read(env!("CARGO_BIN_EXE_till")).expect("built");
    let found: Vec<_> = memchr::memmem::find_iter(&bytes, env!("CARGO_PKG_VERSION")).collect();
    for at in found {
        bytes[at..at + NEWER.len()].copy_from_slice(NEWER.as_bytes());
    }
    let path = dir.join("newer");
    fs::write(&path, bytes).expect("written");
    path
}

/// A data directory, and commands that work on it.
pub struct Home {
    pub dir: TempDir,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    #[track_caller]
    pub fn ok(self) -> Said {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub fn json(self) -> Value {
        let said = self.ok();
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.out))
    }
}

pub fn till() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_till"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TILL_")) {
        command.env_remove(name);
    }
    command.env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn run(mut command: Command) -> Said {
    said(command.output().expect("it runs"))
}

fn said(output: Output) -> Said {
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

impl Home {
    pub fn new() -> Home {
        Home { dir: tempfile::tempdir().expect("a directory") }
    }

    /// A stopped shop's copy.
    pub fn twin(&self) -> Home {
        let twin = Home::new();
        fs::create_dir(twin.path()).expect("it is new");
        for file in ["till.redb", "signing.key"] {
            fs::copy(self.path().join(file), twin.path().join(file)).expect("it is there");
        }
        twin
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = till();
        command.args(words).arg("--data-dir").arg(self.path()).current_dir(self.dir.path());
        command.env("TILL_PAYMENT__TEST__ENABLED", "true");
        // All of a test comes from one address.
        command.env("TILL_LIMITS__ENABLED", "false");
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, words: &[&str]) -> Said {
        run(self.command(words))
    }

    /// Runs a command that reads `input`.
    pub fn run_with(&self, words: &[&str], input: &str) -> Said {
        let mut command = self.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
        said(child.wait_with_output().expect("it ends"))
    }

    /// Starts the shop on a free port, with the test gateway on.
    pub fn serve(&self) -> Server {
        Server::start(self.command(&["serve", "--listen", "127.0.0.1:0"]))
    }
}

/// A free address that nobody else is given meanwhile: each port once, and none of those that the system gives to
/// whoever asks for any, or to connections that go out.
pub fn free() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    static ENDS: LazyLock<u16> = LazyLock::new(|| {
        let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("Linux says it");
        range.split_whitespace().next().expect("two numbers").parse().expect("a port")
    });
    let span = ENDS.checked_sub(10_000).expect("there are ports below the system's own");
    loop {
        // Each run begins elsewhere.
        let nth = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add((std::process::id() * 97) as u16);
        let address = SocketAddr::from(([127, 0, 0, 1], 10_000 + nth % span));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A shop that runs.
pub struct Server {
    pub child: Child,
    pub base: String,
    out: BufReader<std::process::ChildStdout>,
}

impl Server {
    pub fn start(command: Command) -> Server {
        Server::start_with_log(command, Stdio::null())
    }

    pub fn start_with_log(mut command: Command, log: Stdio) -> Server {
        command.stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("it runs");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        out.read_line(&mut line).expect("it says where it listens");
        let base =
            line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("not {line:?}")).to_owned();
        Server { child, base, out }
    }

    /// Runs a command on this shop as on one elsewhere.
    pub fn run(&self, token: &str, words: &[&str]) -> Said {
        let mut command = till();
        command.args(words).args(["--url", &self.base, "--token", token]);
        said(command.output().expect("it runs"))
    }

    /// The next lines of its stdout, up to one that begins with `end`.
    pub fn lines_to(&mut self, end: &str) -> String {
        let mut text = String::new();
        loop {
            let mut line = String::new();
            assert!(self.out.read_line(&mut line).expect("it says more") > 0, "{text}");
            text.push_str(&line);
            if line.starts_with(end) {
                return text;
            }
        }
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// Ends it as an operator does; its exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.signal("TERM");
        self.child.wait().expect("it ends").code()
    }

    /// Ends it as a power cut does.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A Python that can import `module`, with `packages` from PyPI, made at the first use and kept under `name`.
pub fn python(name: &str, module: &str, packages: &[&str]) -> PathBuf {
    // Tests that share one must not make it twice at a time.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let python = home.join("bin/python");
    let has = |python: &PathBuf| {
        let mut command = Command::new(python);
        command.args(["-c", &format!("import {module}")]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !has(&python) {
        let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home).status();
        assert!(
            made.is_ok_and(|made| made.success()),
            "this test needs python3 with venv (Debian: python3-venv)"
        );
        let install = Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages).status();
        assert!(install.is_ok_and(|done| done.success()), "this test needs {packages:?} from PyPI");
    }
    python
}
