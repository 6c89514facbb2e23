//! `till upgrade`: what runs is changed for something else under load, and comes back when that is no good.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use rand::RngExt;
use redb::{Database, ReadableTable, TableDefinition};
use serde_json::Value;

use crate::shoppers::{compare, open_shop, seeded};
use crate::support::{Home, NEWER, Said, newer, run, till};

const SOON: Duration = Duration::from_millis(20);
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What runs the shop, as systemd does: it holds the socket, starts the shop again when it ends, and anew on demand.
struct Supervisor {
    home: Home,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Supervisor {
    fn of(home: Home) -> Supervisor {
        let binary = home.dir.path().join("till");
        fs::copy(env!("CARGO_BIN_EXE_till"), &binary).expect("copied");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let stop = Arc::new(AtomicBool::new(false));
        let (data, wanted) = (home.path(), home.dir.path().join("restart"));
        let asked = Arc::clone(&stop);
        let thread = spawn(move || {
            let start = || {
                // Standard input is the one descriptor that a child can be given without more ado.
                let mut shell = Command::new("sh");
                let line = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\"";
                shell.args(["-c", line]).arg(&binary).args(["serve", "--listen", &address.to_string()]);
                shell
                    .arg("--data-dir")
                    .arg(&data)
                    .stdin(OwnedFd::from(listener.try_clone().expect("a copy")));
                for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TILL_")) {
                    shell.env_remove(name);
                }
                shell.env("TILL_PAYMENT__TEST__ENABLED", "true").env("TILL_LIMITS__ENABLED", "false");
                shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
            };
            let mut shop = start();
            loop {
                if asked.load(Ordering::Relaxed) {
                    return end(shop);
                }
                if wanted.exists() {
                    end(shop);
                    shop = start();
                    fs::remove_file(&wanted).expect("it was there");
                } else if shop.try_wait().expect("ours").is_some() {
                    sleep(10 * SOON);
                    shop = start();
                }
                sleep(SOON);
            }
        });
        let supervisor = Supervisor { home, address, stop, thread: Some(thread) };
        supervisor.is_ready_again();
        supervisor
    }

    fn binary(&self) -> PathBuf {
        self.home.dir.path().join("till")
    }

    fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    fn restart(&self) -> String {
        let wanted = self.home.dir.path().join("restart");
        format!("touch {0} && while [ -e {0} ]; do sleep 0.02; done", wanted.display())
    }

    fn upgrade_command(&self, from: &Path, more: &[&str]) -> Command {
        let mut command = self.home.command(&["upgrade"]);
        command.arg("--from").arg(from).arg("--binary").arg(self.binary());
        command.args(["--restart", &self.restart()]).args(more);
        command
    }

    fn upgrade(&self, from: &Path, more: &[&str]) -> Said {
        let output = self.upgrade_command(from, more).output().expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The version that answers, as the operator is told.
    fn version(&self) -> Option<String> {
        let mut stream = UnixStream::connect(self.home.path().join("till.sock")).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n").ok()?;
        let mut said = String::new();
        stream.read_to_string(&mut said).ok()?;
        let (head, body) = said.split_once("\r\n\r\n")?;
        let body: Value = serde_json::from_str(body).ok()?;
        head.starts_with("HTTP/1.1 200").then(|| body["version"].as_str().map(str::to_owned))?
    }

    #[track_caller]
    fn is_ready_again(&self) -> String {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(version) = self.version() {
                return version;
            }
            assert!(Instant::now() < until, "the shop does not come back");
            sleep(SOON);
        }
    }

    /// Waits until the program is a script.
    #[track_caller]
    fn is_changed(&self) {
        let until = Instant::now() + Duration::from_secs(30);
        while self.binary().metadata().is_ok_and(|program| program.len() > 1000) {
            assert!(Instant::now() < until, "the program is not changed");
            sleep(SOON);
        }
    }

    /// Everything is as if nothing had been tried.
    #[track_caller]
    fn is_as_before(&self) {
        assert_eq!(self.is_ready_again(), VERSION);
        assert_eq!(fs::read(self.binary()).unwrap(), fs::read(env!("CARGO_BIN_EXE_till")).unwrap());
        let left = ["till.new", "till.upgrade", "till.failed"];
        assert!(left.iter().all(|name| !self.home.dir.path().join(name).exists()));
        self.home.run(&["check"]).ok();
    }

    /// Ends the shop.
    fn end(mut self) -> Home {
        std::mem::replace(&mut self.home, Home::new())
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

/// Ends a process as systemd does.
fn end(mut child: Child) {
    let _ = Command::new("kill").arg(child.id().to_string()).status();
    let until = Instant::now() + Duration::from_secs(15);
    while child.try_wait().expect("ours").is_none() {
        if Instant::now() > until {
            child.kill().expect("ours");
        }
        sleep(SOON);
    }
}

/// A program that says of itself what a newer till would, and `serves` as the shell does this.
fn script(dir: &Path, format: u32, serves: &str) -> PathBuf {
    let text = format!(
        "#!/bin/sh\ncase $1 in\n\
         version) echo '{{\"version\": \"{NEWER}\", \"format\": {format}}}';;\n\
         config) exit 0;;\n\
         serve) {serves};;\nesac\n"
    );
    let path = dir.join("script");
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    path
}

const FORMAT: u32 = till::store::FORMAT;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_under_load_refuses_nobody_and_loses_nothing() {
    assert_eq!(VERSION.len(), NEWER.len());
    let mut random = seeded();
    let (home, mut clients) = open_shop(&mut random).await;
    let supervisor = Supervisor::of(home);
    let base = supervisor.base();
    // Whoever comes anew, as many as there are.
    let (is_over, came) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (over, count, address) = (Arc::clone(&is_over), Arc::clone(&came), supervisor.address);
    let newcomers = spawn(move || {
        while !over.load(Ordering::Relaxed) {
            let mut stream = TcpStream::connect(address).expect("nobody is refused");
            stream
                .write_all(b"GET /healthz HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
                .expect("sent");
            let mut said = String::new();
            stream.read_to_string(&mut said).expect("everybody is answered");
            assert!(said.starts_with("HTTP/1.1 200"), "{said:?}");
            count.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(2));
        }
    });
    let running: Vec<_> =
        clients.drain(..).map(|client| tokio::spawn(client.shop_until_it_is_gone(base.clone()))).collect();

    let new = newer(supervisor.home.dir.path());
    let supervisor = tokio::task::spawn_blocking(move || {
        let said = supervisor.upgrade(&new, &["--json"]).json();
        assert_eq!((said["from"].as_str(), said["to"].as_str()), (Some(VERSION), Some(NEWER)), "{said}");
        let backup = said["backup"].as_str().expect("one was made").to_owned();
        assert!(supervisor.home.path().join("backups").join(backup).exists());
        supervisor
    })
    .await
    .unwrap();
    assert!(running.iter().all(|client| !client.is_finished()), "somebody was not answered");
    is_over.store(true, Ordering::Relaxed);
    newcomers.join().expect("all were answered");
    assert_eq!(supervisor.version().as_deref(), Some(NEWER));
    let previous = supervisor.home.dir.path().join("till.previous");
    assert_eq!(fs::read(previous).unwrap(), fs::read(env!("CARGO_BIN_EXE_till")).unwrap());
    let trail = supervisor.home.run(&["audit", "list", "--json", "--limit", "0"]).ok().out;
    let entry = trail.lines().find(|line| line.contains("shop.upgrade")).expect("it is noted");
    assert!(entry.contains(VERSION) && entry.contains(NEWER), "{entry}");

    // Then it is gone, and all that was answered is there.
    let home = tokio::task::spawn_blocking(|| supervisor.end()).await.unwrap();
    for client in running {
        clients.push(client.await.unwrap());
    }
    let answered: usize = clients.iter().map(|client| client.answered.len()).sum();
    println!("{} newcomers and {answered} requests were answered", came.load(Ordering::Relaxed));
    let server = home.serve();
    compare(&server.base, &mut clients).await;
}

#[test]
fn what_is_no_better_till_is_refused_before_anything_is_changed() {
    let supervisor = Supervisor::of(Home::new());
    let dir = supervisor.home.dir.path().to_owned();
    let refused = |from: &Path, said: &str| {
        let refused = supervisor.upgrade(from, &[]);
        assert!(refused.code == 1 && refused.err.contains(said), "{refused:?}");
        supervisor.is_as_before();
    };
    refused(Path::new(env!("CARGO_BIN_EXE_till")), "--force takes it all the same");
    refused(Path::new("/bin/true"), "this is no till");
    refused(Path::new("/etc/hostname"), "does not run on this machine");
    refused(&dir.join("nothing"), "No such file");
    let older = script(&dir, FORMAT - 1, "exit 1");
    refused(&older, &format!("can't read data of format {FORMAT}"));
    let itself = supervisor.upgrade(&supervisor.binary(), &["--force"]);
    assert!(itself.code == 2 && itself.err.contains("is the installed program itself"), "{itself:?}");
    supervisor.is_as_before();
    let strict = fs::read_to_string(&older).unwrap().replace("exit 0", "echo no such setting >&2; exit 1");
    fs::write(&older, strict).unwrap();
    refused(&older, "the new till refuses the settings: no such setting");
    assert!(!supervisor.home.path().join("backups").exists(), "no backup was made for nothing");
}

#[test]
fn a_till_that_does_not_get_ready_goes_again() {
    let supervisor = Supervisor::of(Home::new());
    let dir = supervisor.home.dir.path().to_owned();
    for serves in ["exit 1", "exec sleep 100", "sleep 0.5; kill -SEGV $$"] {
        let said = supervisor.upgrade(&script(&dir, FORMAT, serves), &["--wait", "2"]);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains(&format!("The shop runs {VERSION} again")), "{said:?}");
        supervisor.is_as_before();
    }
}

#[test]
fn a_restart_that_restarts_nothing_is_not_the_new_tills_fault() {
    let supervisor = Supervisor::of(Home::new());
    let new = script(supervisor.home.dir.path(), FORMAT, "exit 1");
    let upgrade = |binary: &Path| {
        let mut command = supervisor.home.command(&["upgrade", "--restart", "true", "--wait", "1"]);
        command.arg("--from").arg(&new).arg("--binary").arg(binary);
        run(command)
    };
    let said = upgrade(&supervisor.binary());
    assert!(said.code == 1 && said.err.contains("the shop was not restarted: process "), "{said:?}");
    assert!(
        !said.err.contains("no good") && said.err.contains(&format!("The shop runs {VERSION} again")),
        "{said:?}"
    );
    supervisor.is_as_before();
}

#[test]
fn without_a_shop_there_is_nothing_to_upgrade() {
    let home = Home::new();
    let binary = home.dir.path().join("till");
    fs::copy(env!("CARGO_BIN_EXE_till"), &binary).expect("copied");
    let new = newer(home.dir.path());
    for more in [&[][..], &["--force"]] {
        let mut command = home.command(&["upgrade", "--restart", "true"]);
        command.arg("--from").arg(&new).arg("--binary").arg(&binary).args(more);
        let said = run(command);
        assert!(said.code == 1 && said.err.contains("there is no shop in"), "{said:?}");
        assert!(said.err.contains("copy the new program to"), "{said:?}");
        assert_eq!(fs::read(&binary).unwrap(), fs::read(env!("CARGO_BIN_EXE_till")).unwrap());
    }
}

#[test]
fn an_upgrade_that_is_interrupted_goes_back() {
    let supervisor = Supervisor::of(Home::new());
    let hanging = script(supervisor.home.dir.path(), FORMAT, "exec sleep 100");
    let mut command = supervisor.upgrade_command(&hanging, &[]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs");
    supervisor.is_changed();
    sleep(Duration::from_millis(500));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill").success());
    let said = child.wait_with_output().expect("it ends");
    let said = (said.status.code(), String::from_utf8(said.stderr).expect("UTF-8"));
    assert!(said.0 == Some(1) && said.1.contains("it was interrupted. The shop runs"), "{said:?}");
    supervisor.is_as_before();
}

/// Has a data file say that it is of the next format, and with `ANSWERED` that somebody was answered out of it. A copy is
/// kept, but with `NO_COPY`.
#[test]
#[ignore = "the programs of the tests below run it"]
fn brings_a_data_file_to_the_next_format() {
    let path = std::env::var("TO_NEXT_FORMAT").expect("a data file");
    if std::env::var_os("NO_COPY").is_none() {
        fs::copy(&path, format!("{path}.format-{FORMAT}")).expect("copied");
    }
    let db = Database::open(&path).expect("nobody has it");
    let tx = db.begin_write().expect("it can be written");
    {
        let mut meta = tx.open_table(TableDefinition::<&[u8], &[u8]>::new("meta")).expect("a table");
        let mut next = |wanted: &str| {
            let is_it = |key: &[u8]| memchr::memmem::find(key, wanted.as_bytes()).is_some();
            let rows = meta.iter().expect("readable").map(|row| row.expect("readable"));
            let row = rows.map(|(key, value)| (key.value().to_vec(), value.value().to_vec()));
            let all: Vec<_> = row.filter(|(key, _)| is_it(key)).collect();
            let (key, mut value) = all.into_iter().min_by_key(|(key, _)| key.len()).expect("it is there");
            *value.last_mut().expect("a digit") += 1;
            meta.insert(&key[..], &value[..]).expect("written");
        };
        next("format");
        if std::env::var_os("ANSWERED").is_some() {
            next("answered_format");
        }
    }
    tx.commit().expect("on the disk");
}

/// A program that changes the format of the data, and then ends.
fn changer(supervisor: &Supervisor, how: &str) -> PathBuf {
    let (tests, data) = (std::env::current_exe().unwrap(), supervisor.home.path().join("till.redb"));
    let serves = format!(
        "[ -e {1}.changed ] || {{ touch {1}.changed; TO_NEXT_FORMAT={1} {how} {0} --ignored --exact \
         upgrading::brings_a_data_file_to_the_next_format; }}; exit 1",
        tests.display(),
        data.display()
    );
    script(supervisor.home.dir.path(), FORMAT + 1, &serves)
}

#[test]
fn data_that_was_changed_for_nobody_is_changed_back() {
    let supervisor = Supervisor::of(Home::new());
    supervisor
        .home
        .run(&["user", "create", "--email", "a@example.com", "--role", "staff", "--generate"])
        .ok();
    let said = supervisor.upgrade(&changer(&supervisor, ""), &["--wait", "3"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("with its data as it was"), "{said:?}");
    supervisor.is_as_before();
    let users = supervisor.home.run(&["user", "list", "--json"]).ok().out;
    assert!(users.contains("a@example.com"), "{users}");
}

#[test]
fn data_out_of_which_somebody_was_answered_is_never_changed_back() {
    let supervisor = Supervisor::of(Home::new());
    let new = changer(&supervisor, "ANSWERED=1");
    let said = supervisor.upgrade(&new, &["--wait", "2"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains(&format!("so {NEWER} stays and nothing is lost")), "{said:?}");
    assert_eq!(fs::read(supervisor.binary()).unwrap(), fs::read(new).unwrap());
    let copy = supervisor.home.path().join(format!("till.redb.format-{FORMAT}"));
    assert!(copy.exists() && supervisor.version().is_none());
}

#[test]
fn data_that_was_changed_without_a_copy_keeps_the_till_that_can_read_it() {
    let supervisor = Supervisor::of(Home::new());
    let new = changer(&supervisor, "NO_COPY=1");
    let said = supervisor.upgrade(&new, &["--wait", "2"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains(&format!("so {NEWER} stays and nothing is lost")), "{said:?}");
    assert_eq!(fs::read(supervisor.binary()).unwrap(), fs::read(new).unwrap());
}

#[test]
fn a_shop_whose_till_is_broken_takes_another_by_force() {
    let supervisor = Supervisor::of(Home::new());
    let dir = supervisor.home.dir.path().to_owned();
    let broken = || script(&dir, FORMAT, "exit 1");
    fs::rename(broken(), supervisor.binary()).unwrap();
    let said = supervisor.upgrade(&broken(), &["--force", "--wait", "2"]);
    assert!(said.code == 1 && said.err.contains("failed, too"), "{said:?}");
    let good = Path::new(env!("CARGO_BIN_EXE_till"));
    let said = supervisor.upgrade(good, &["--wait", "2"]);
    assert!(said.code == 1 && said.err.contains("--force goes on"), "{said:?}");
    supervisor.upgrade(good, &["--force"]).ok();
    supervisor.is_as_before();
}

#[test]
fn an_upgrade_that_is_killed_anywhere_leaves_a_shop_that_runs_and_one_that_can_be_upgraded() {
    let mut random = seeded();
    let supervisor = Supervisor::of(Home::new());
    let new = newer(supervisor.home.dir.path());
    let same = PathBuf::from(env!("CARGO_BIN_EXE_till"));
    for round in 0..6 {
        let after = Duration::from_millis(random.random_range(0..5000));
        let from = if round % 2 == 0 { &new } else { &same };
        let mut command = supervisor.upgrade_command(from, &["--force"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
        sleep(after);
        let _ = child.kill();
        let _ = child.wait();
        let version = supervisor.is_ready_again();
        println!("killed after {after:?}: the shop runs {version}");
    }
    supervisor.upgrade(&new, &["--force"]).ok();
    assert_eq!(supervisor.is_ready_again(), NEWER);
    supervisor.home.run(&["check"]).ok();
}

#[test]
fn what_a_killed_upgrade_left_broken_is_mended_by_the_next_one() {
    let supervisor = Supervisor::of(Home::new());
    let dir = supervisor.home.dir.path().to_owned();
    let mut command = supervisor.upgrade_command(&script(&dir, FORMAT, "exit 1"), &[]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    supervisor.is_changed();
    sleep(Duration::from_millis(500));
    child.kill().expect("ours");
    child.wait().expect("ours");
    let said = supervisor.upgrade(&newer(&dir), &[]);
    assert!(said.err.contains("was cut off") && said.err.contains(&format!("back at {VERSION}")), "{said:?}");
    said.ok();
    assert_eq!(supervisor.is_ready_again(), NEWER);
}

#[test]
fn a_socket_that_no_door_takes_is_named_and_closed() {
    let home = Home::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let mut shell = Command::new("sh");
    let line = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\"";
    shell.args(["-c", line]).arg(till().get_program()).args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
    ]);
    shell.arg(home.path()).stdin(OwnedFd::from(listener));
    let log = tempfile::NamedTempFile::new().expect("a file");
    let server = crate::support::Server::start_with_log(shell, log.reopen().expect("ours").into());
    assert!(TcpStream::connect(address).is_err(), "whoever comes there is refused");
    assert_eq!(server.stop(), Some(0));
    let log = fs::read_to_string(log.path()).expect("a log");
    assert!(log.contains(&address.to_string()), "{log}");
}
