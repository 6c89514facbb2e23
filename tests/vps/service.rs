//! The five-minute path, and what comes after it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::Value;

use crate::machine::Machine;
use crate::support::{NEWER, newer, repository};

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
fn an_empty_server_becomes_a_shop_that_sells_and_is_upgraded() {
    let machine = match Machine::boot() {
        Ok(machine) => machine,
        Err(why) => {
            eprintln!("\n*** SKIPPED: no server could be set up here, so the service was not tried: {why}\n");
            return;
        }
    };
    machine.bring(Path::new(env!("CARGO_BIN_EXE_till")), "/opt/till");
    let products = repository().join("tests/fixtures/shopify-apparel.csv");
    machine.bring(&products, "/opt/shopify-apparel.csv");
    // The network is this machine's: an address that nobody else has, and a port that takes rights.
    let address =
        format!("127.{}.{}.77:80", rand::rng().random_range(1..255), rand::rng().random_range(1..255));

    let began = Instant::now();
    machine.says(&format!(
        "cd /opt && ./till init --out shop.toml --listen {address} --test-payments true --yes"
    ));
    let installed = machine.says("cd /opt && ./till service install --config shop.toml");
    for line in ["wrote /usr/local/bin/till", "wrote /etc/systemd/system/till.socket", "made /etc/till"] {
        assert!(installed.contains(line), "{line} in {installed}");
    }
    println!("{installed}");
    pay_for_an_order(&machine, &address);
    println!("from an empty server to a paid order: {:.1?}", began.elapsed());

    is_kept_apart(&machine);
    is_not_taken_by_root(&machine);
    is_installed_again(&machine);
    is_given_other_settings(&machine);
    nobody_is_refused(&machine, &address);
    is_upgraded(&machine, &address);
    let unpaid = machine.run("till check");
    assert_eq!(unpaid.code, 0, "{unpaid:?}");
    is_removed(&machine);
}

/// The README's walk, word for word, but for where things are.
fn pay_for_an_order(machine: &Machine, address: &str) {
    let readme = fs::read_to_string(repository().join("README.md")).expect("there is a README");
    let walk = readme.split("<!-- walk -->").nth(1).expect("the walk is marked");
    let blocks = walk.split("```sh\n").skip(1).map(|block| block.split("```").next().expect("blocks end"));
    let script = blocks
        .collect::<String>()
        .replace("http://127.0.0.1:8080", &format!("http://{address}"))
        .replace("./target/release/till", "till")
        .replace("tests/fixtures", "/opt");
    let said = machine.says(&format!("cd /opt\n{script}"));
    assert!(said.contains("\"stock_quantity\":0"), "{said}");
    assert!(machine.path("/opt/invoice.html").exists());
}

/// The service is what the unit says that it is.
fn is_kept_apart(machine: &Machine) {
    let scored = machine.says("systemd-analyze security --no-pager till.service | tail -1");
    let score: f64 =
        scored.split(": ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).expect("a score");
    println!("{scored}");
    assert!(score < 2.5, "{scored}");
    let pid = machine.says("systemctl show --property=MainPID --value till.service");
    assert_eq!(machine.says(&format!("ps -o user= -p {pid}")), "till");
    let status = machine.says(&format!("cat /proc/{pid}/status"));
    for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{line} in {status}");
    }
    let modes = machine.says(
        "stat -c '%a %U:%G %n' /etc/till /etc/till/config.toml /var/lib/till /var/lib/till/till.redb /usr/local/bin/till",
    );
    let wanted = "750 root:till /etc/till\n640 root:till /etc/till/config.toml\n700 till:till /var/lib/till\n\
                  600 till:till /var/lib/till/till.redb\n755 root:root /usr/local/bin/till";
    assert_eq!(modes, wanted);
    let doctor: Value = serde_json::from_str(&machine.run("till doctor --offline --json").out).expect("JSON");
    // How fast the disk is, and whether the clock is right, is this machine's matter.
    let of_ours = ["settings", "files", "ports", "system", "shop", "data"];
    for finding in doctor["findings"].as_array().expect("findings") {
        let is_ours = of_ours.contains(&finding["subject"].as_str().expect("a subject"));
        assert!(!is_ours || finding["level"] != "error", "{finding}");
    }
    let enabled = machine.says("systemctl is-enabled till.socket till.service");
    assert_eq!(enabled, "enabled\nenabled");
}

/// What root does to a stopped shop must not be root's afterwards.
fn is_not_taken_by_root(machine: &Machine) {
    machine.says("till backup create --out /tmp/shop.backup && systemctl stop till.socket till.service");
    for command in ["keys rotate --yes", "restore --force /tmp/shop.backup"] {
        let refused = machine.run(&format!("till {command}"));
        assert!(refused.code == 1 && refused.err.contains("runuser -u"), "{refused:?}");
    }
    machine.says(
        "chmod 644 /tmp/shop.backup && cd / && runuser -u till -- till restore --force /tmp/shop.backup",
    );
    machine.says("systemctl start till.socket till.service && till payment reconcile --after-restore");
}

fn is_installed_again(machine: &Machine) {
    let pid = machine.says("systemctl show --property=MainPID --value till.service");
    let again: Value = serde_json::from_str(&machine.says("till service install --json")).expect("JSON");
    let steps = again["steps"].as_array().expect("steps");
    assert!(steps.iter().all(|step| ["keep", "run"].contains(&step["did"].as_str().unwrap())), "{again}");
    assert_eq!(
        machine.says("systemctl show --property=MainPID --value till.service"),
        pid,
        "nothing had to be started anew"
    );
    let status: Value = serde_json::from_str(&machine.says("till service status --json")).expect("JSON");
    assert_eq!((&status["ready"], &status["running"]), (&true.into(), &VERSION.into()), "{status}");
    let shown = machine.says("till service status");
    println!("{shown}");
    assert!(shown.contains(&format!("runs          {VERSION}")), "{shown}");
}

/// Settings that others take the place of are not lost.
fn is_given_other_settings(machine: &Machine) {
    let before = machine.says("cat /etc/till/config.toml");
    machine.says("cd /opt && (cat shop.toml; echo '# mine') > other.toml");
    let told = machine.run("cd /opt && till service install --config other.toml");
    assert!(told.out.contains("wrote /etc/till/config.toml.previous"), "{told:?}");
    assert!(told.err.contains("The settings that were there before are in /etc/till/config.toml.previous"));
    assert!(machine.says("cat /etc/till/config.toml").ends_with("# mine"));
    assert_eq!(machine.says("cat /etc/till/config.toml.previous"), before);
    // What replaces nothing leaves that copy alone.
    let told = machine.run("till service install");
    assert!(told.code == 0 && !told.err.contains("previous") && !told.out.contains("previous"), "{told:?}");
    assert_eq!(
        machine.says("cat /etc/till/config.toml.previous; stat -c '%a %U:%G' /etc/till/config.toml.previous"),
        format!("{before}\n640 root:till")
    );
}

/// Customers who come one after the other until they are told to stop.
struct Newcomers {
    is_over: Arc<AtomicBool>,
    came: Arc<AtomicUsize>,
    /// Gives back how long somebody waited at most.
    thread: JoinHandle<Duration>,
}

impl Newcomers {
    fn at(address: &str) -> Newcomers {
        let (is_over, came) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (over, count, address) = (Arc::clone(&is_over), Arc::clone(&came), address.to_owned());
        let thread = spawn(move || {
            let mut longest = Duration::ZERO;
            while !over.load(Ordering::Relaxed) {
                let began = Instant::now();
                let mut stream = TcpStream::connect(&address).expect("nobody is refused");
                stream
                    .write_all(b"GET /healthz HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
                    .expect("sent");
                let mut said = String::new();
                stream.read_to_string(&mut said).expect("everybody is answered");
                assert!(said.starts_with("HTTP/1.1 200"), "{said:?}");
                count.fetch_add(1, Ordering::Relaxed);
                longest = longest.max(began.elapsed());
                sleep(Duration::from_millis(2));
            }
            longest
        });
        Newcomers { is_over, came, thread }
    }

    /// Nobody comes any more: `while_what` so many came.
    fn end(self, while_what: &str) {
        self.is_over.store(true, Ordering::Relaxed);
        let longest = self.thread.join().expect("all were answered");
        println!("{} customers {while_what}; one waited {longest:.1?}", self.came.load(Ordering::Relaxed));
    }
}

fn nobody_is_refused(machine: &Machine, address: &str) {
    let newcomers = Newcomers::at(address);
    for _ in 0..3 {
        machine.says("systemctl restart till.service");
    }
    newcomers.end("came while the shop was started anew three times");
    // Nor is anybody when it is killed, but who was being answered just then.
    machine.says("systemctl kill --signal=KILL till.service");
    let mut stream = TcpStream::connect(address).expect("nobody is refused");
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n").expect("sent");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("it starts again by itself");
    assert!(said.starts_with("HTTP/1.1 200"), "{said:?}");
}

fn is_upgraded(machine: &Machine, address: &str) {
    newer(&machine.path("/opt"));
    let newcomers = Newcomers::at(address);
    let said: Value =
        serde_json::from_str(&machine.says("till upgrade --from /opt/newer --json")).expect("JSON");
    assert_eq!((&said["from"], &said["to"]), (&VERSION.into(), &NEWER.into()), "{said}");
    newcomers.end("came while the shop was upgraded");
    let broken = "#!/bin/sh\ncase $1 in version) echo '{\"version\": \"9.9.10\", \"format\": 99}';; \
                  config) ;; *) exit 1;; esac\n";
    fs::write(machine.path("/opt/broken"), broken).expect("written");
    let newcomers = Newcomers::at(address);
    let refused = machine.run("till upgrade --from /opt/broken");
    newcomers.end("came while a broken upgrade was put in and went back");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains(&format!("The shop runs {NEWER} again")), "{refused:?}");
    let status: Value = serde_json::from_str(&machine.says("till service status --json")).expect("JSON");
    assert_eq!((&status["running"], &status["installed"]), (&NEWER.into(), &NEWER.into()), "{status}");
}

fn is_removed(machine: &Machine) {
    // As one that was cut off between two files leaves it.
    machine.says(
        "systemctl disable --quiet --now till.socket till.service && rm /etc/systemd/system/till.socket",
    );
    let said = machine.run("till service uninstall");
    assert!(said.code == 0 && said.err.contains("What stays"), "{said:?}");
    let left = machine.run("systemctl is-active till.service till.socket; ls /etc/systemd/system/till.*");
    assert!(left.code != 0 && !left.out.contains("/etc") && !left.out.starts_with("active"), "{left:?}");
    assert_eq!(machine.says("ls /var/lib/till/till.redb"), "/var/lib/till/till.redb");
    assert!(machine.run("till service status").err.contains("there is no such service"));
    let again = machine.run("till service uninstall");
    assert!(again.code == 0 && again.err.contains("There is no such service"), "{again:?}");
}

#[test]
fn the_files_for_a_plain_server_are_what_the_service_is_installed_with() {
    let home = crate::support::Home::new();
    let settings = home.dir.path().join("config.toml");
    fs::write(&settings, "").expect("written");
    let planned = crate::support::till()
        .args(["service", "install", "--dry-run", "--json", "--config"])
        .arg(&settings)
        .output()
        .expect("it runs");
    let planned: Value = serde_json::from_slice(&planned.stdout).expect("JSON");
    for (file, path) in [
        ("till.service", "/etc/systemd/system/till.service"),
        ("till.socket", "/etc/systemd/system/till.socket"),
        ("till.sysusers", "/etc/sysusers.d/till.conf"),
    ] {
        let step = planned["steps"].as_array().expect("steps").iter().find(|step| step["what"] == path);
        let text = step.expect("it is planned")["text"].as_str().expect("it is not there yet").to_owned();
        let file = repository().join("deploy/vps").join(file);
        if std::env::var_os("TILL_WRITE_UNITS").is_some() {
            fs::write(&file, &text).expect("written");
        }
        let kept = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(kept, text, "write it anew: TILL_WRITE_UNITS=1 cargo test --test vps files");
    }
}
