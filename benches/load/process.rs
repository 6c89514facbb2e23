//! A server as a process of its own, and what the system says that it used.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A server that runs; it is killed when this is let go of.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
    /// From its start until it said that it listens.
    pub began_in: Duration,
}

/// What a process has used so far.
#[derive(Clone, Copy)]
pub struct Usage {
    /// Processor time, of all threads.
    pub cpu: Duration,
    /// Bytes that it gave to the disk.
    pub written: u64,
}

impl Process {
    /// Runs the till that is measured on this data, with the settings that are the defaults but for limits that let
    /// one machine play a crowd. Its log goes to a file, as a service's does.
    pub fn till(dir: &Path) -> Process {
        let log = fs::File::create(dir.join("log.txt")).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_till"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir)
            .env("TILL_PAYMENT__TEST__ENABLED", "true")
            .env("TILL_AUTH__ACCESS_MINUTES", "1440")
            .env("TILL_LIMITS__REQUESTS", "1000000/minute")
            .env("TILL_LIMITS__USER_REQUESTS", "1000000/minute")
            .env("TILL_LIMITS__LOGINS", "1000000/minute")
            .env("TILL_LIMITS__REGISTRATIONS", "1000000/minute")
            .stderr(log);
        Process::start(command)
    }

    /// Runs this very program as something else.
    pub fn own(words: &[&str]) -> Process {
        let mut command = Command::new(std::env::current_exe().expect("it runs"));
        command.args(words);
        Process::start(command)
    }

    fn start(mut command: Command) -> Process {
        let began = Instant::now();
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it says where");
        let began_in = began.elapsed();
        let address = line.trim().strip_prefix("listening on http://").and_then(|said| said.parse().ok());
        Process { child, address: address.expect("where it listens"), began_in }
    }

    /// Begins a command of the till that is measured, on the shop in `dir`; what it says is in `command.txt` there.
    pub fn command(dir: &Path, words: &[&str]) -> Child {
        let said = fs::File::create(dir.join("command.txt")).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_till"));
        command.args(words).arg("--data-dir").arg(dir).current_dir(dir);
        command.stderr(said.try_clone().expect("a file")).stdout(said).spawn().expect("it runs")
    }

    /// How long the command took.
    ///
    /// # Panics
    /// When it fails, with what it says.
    pub fn done(dir: &Path, words: &[&str]) -> Duration {
        let began = Instant::now();
        let status = Process::command(dir, words).wait().expect("it runs");
        Process::must_be_well(dir, words[0], status);
        began.elapsed()
    }

    /// # Panics
    /// When the command in `dir` failed, with what it says.
    pub fn must_be_well(dir: &Path, name: &str, status: ExitStatus) {
        let said = || fs::read_to_string(dir.join("command.txt")).unwrap_or_default();
        assert!(status.success(), "{name}: {status}\n{}", said());
    }

    pub fn usage(&self) -> Usage {
        let read = |what| fs::read_to_string(format!("/proc/{}/{what}", self.child.id())).expect("it runs");
        let stat = read("stat");
        // After the name, which may have anything in it: user and system time are the 12th and 13th (proc(5)).
        let fields: Vec<_> = stat.rsplit(')').next().expect("it is there").split_whitespace().collect();
        let ticks: u64 = [11, 12].map(|n: usize| fields[n].parse::<u64>().expect("a number")).iter().sum();
        let written = read("io").lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok());
        Usage { cpu: Duration::from_millis(ticks * 10), written: written.unwrap_or(0) }
    }

    /// Megabytes of memory, as `what` of proc(5) counts them: `VmRSS` is now, `VmHWM` the most so far.
    pub fn memory(&self, what: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with(what)).expect("it is told");
        line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("a number") / 1024
    }

    /// Ends it in no good order.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
