//! Starting and stopping the shop.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{Home, Server, python, till};

#[tokio::test]
async fn a_shop_starts_on_defaults_and_keeps_its_key_to_itself() {
    let home = Home::new();
    let server = home.serve();
    let client = till::http::outgoing().build().unwrap();
    let ready = client.get(format!("{}/readyz", server.base)).send().await.unwrap();
    assert_eq!(ready.status(), 200);
    let mode = |name: &str| home.path().join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode("signing.key"), mode("till.sock"), mode("till.redb"), mode("")),
        (0o600, 0o600, 0o600, 0o700)
    );
    let key = std::fs::read(home.path().join("signing.key")).unwrap();
    assert_eq!(server.stop(), Some(0));
    assert!(!home.path().join("till.sock").exists());
    let server = home.serve();
    assert_eq!(std::fs::read(home.path().join("signing.key")).unwrap(), key);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_second_till_on_the_same_data_is_told_why_not() {
    let home = Home::new();
    let server = home.serve();
    let second = home.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, 1);
    assert!(second.err.contains("in use by another process"), "{}", second.err);
    let port = server.base.strip_prefix("http://").unwrap().to_owned();
    let other = Home::new().run(&["serve", "--listen", &port]);
    assert!(
        other.code == 1 && other.err.contains("The setting server.listen picks another"),
        "{}",
        other.err
    );
}

#[test]
fn a_socket_path_that_is_too_long_falls_back_to_a_short_one() {
    let home = Home::new();
    let deep = home.dir.path().join("x".repeat(60)).join("y".repeat(60));
    let mut command = till();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&deep);
    let server = Server::start(command);
    let listed = till().args(["user", "list", "--data-dir"]).arg(&deep).output().unwrap();
    assert!(listed.status.success(), "{listed:?}");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn the_demos_lines_work_when_pasted() {
    let home = Home::new();
    let mut command = till();
    command.args(["serve", "--demo", "--listen", "127.0.0.1:0", "--data-dir"]).arg(home.path());
    let mut server = Server::start(command);
    let guide = server.lines_to("The last answer");
    let lines: Vec<_> = guide
        .lines()
        .skip_while(|line| !line.starts_with("SHOP="))
        .take_while(|line| !line.is_empty())
        .collect();
    assert_eq!(lines.len(), 8, "{guide}");
    let pasted =
        Command::new("bash").args(["-c", &lines.join("\n")]).output().expect("bash and curl are there");
    let out = String::from_utf8(pasted.stdout).unwrap();
    let last: serde_json::Value = serde_json::from_str(out.lines().last().unwrap()).expect(&out);
    let order = &last["results"][0];
    assert_eq!(
        (order["status"].as_str(), order["payment_status"].as_str()),
        (Some("processing"), Some("paid")),
        "{out}"
    );
    home.run(&["check"]).ok();
    let products = home.run(&["product", "list", "--limit", "0", "--json"]).ok().out.lines().count();
    assert!(products >= 24, "{products} products");
    assert!(home.run(&["order", "list", "--json"]).ok().out.lines().count() > 10);
    assert_eq!(server.stop(), Some(0));
    // The same directory again is the same shop, with a new password; a real shop is never taken for a demo.
    let mut command = till();
    command.args(["serve", "--demo", "--listen", "127.0.0.1:0", "--data-dir"]).arg(home.path());
    assert_eq!(Server::start(command).stop(), Some(0));
    let real = Home::new();
    real.run(&["user", "create", "--email", "a@example.com", "--role", "admin", "--generate"]).ok();
    let refused = real.run(&["serve", "--demo", "--listen", "127.0.0.1:0"]);
    assert!(refused.code == 1 && refused.err.contains("no demo"), "{}", refused.err);
}

#[tokio::test]
async fn a_log_that_can_not_be_written_does_not_stop_the_shop() {
    let home = Home::new();
    let mut command = till();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(home.path());
    command.env("TILL_PAYMENT__TEST__ENABLED", "true");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
    let server = Server::start_with_log(command, full.into());
    let client = till::http::outgoing().build().unwrap();
    for _ in 0..3 {
        assert_eq!(client.get(format!("{}/healthz", server.base)).send().await.unwrap().status(), 200);
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn one_connection_serves_many_requests_in_either_version_of_http() {
    let home = Home::new();
    let server = home.serve();
    let url = format!("{}/api/products/", server.base);
    let said = |mut command: Command| {
        let said = command.arg(&url).output().expect("it runs");
        String::from_utf8(said.stdout).expect("ASCII")
    };
    let mut curl = Command::new("curl");
    curl.args(["-s", "--http1.1", "-w", "%{http_code} %{http_version} %{num_connects}\n", "-o", "/dev/null"]);
    curl.args([&url, "-o", "/dev/null"]);
    assert_eq!(said(curl), "200 1.1 1\n200 1.1 0\n");
    // curl of Debian 12 can't use a connection of HTTP/2 twice when it was not asked for by TLS.
    let mut httpx = Command::new(python("httpx", "httpx, h2", &["httpx[http2]==0.28.1"]));
    httpx.args(["-c", TWICE]);
    assert_eq!(said(httpx), "200 HTTP/2\n200 HTTP/2\n1 connection\n");
    assert_eq!(server.stop(), Some(0));
}

/// Asks twice in HTTP/2, without asking whether that is spoken.
const TWICE: &str = "
import sys, httpx
with httpx.Client(http1=False, http2=True) as client:
    for _ in range(2):
        answer = client.get(sys.argv[1])
        print(answer.status_code, answer.http_version)
    print(len(client._transport._pool.connections), 'connection')
";
