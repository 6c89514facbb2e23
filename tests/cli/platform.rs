//! Platforms that tell a program its port, and those that empty its disk.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::bucket::Moto;
use crate::support::{Home, Server, free};

fn serve(home: &Home, environment: &[(&str, &str)]) -> Command {
    let mut command = home.command(&["serve"]);
    command.envs(environment.iter().copied());
    command
}

fn refused(mut command: Command) -> String {
    let output = command.output().expect("it runs");
    assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]), "{output:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn the_shop_listens_where_the_platform_says() {
    let home = Home::new();
    let port = free().port().to_string();
    let server = Server::start(serve(&home, &[("PORT", &port)]));
    assert_eq!(server.base, format!("http://0.0.0.0:{port}"));
    assert_eq!(server.stop(), Some(0));
    let server = Server::start(serve(&home, &[("PORT", &port), ("TILL_SERVER__LISTEN", "127.0.0.1:0")]));
    assert!(server.base.starts_with("http://127.0.0.1:"), "{}", server.base);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_disk_that_is_emptied_at_each_start_is_refused_and_said_why() {
    let home = Home::new();
    let said = refused(serve(&home, &[("DYNO", "web.1"), ("PORT", "0")]));
    for word in ["Heroku", "every order", "backup.daily_at", "s3://", "--demo"] {
        assert!(said.contains(word), "{said}");
    }
    assert!(!home.path().exists(), "nothing was made");
    // A directory is no other place.
    let here = [("DYNO", "web.1"), ("TILL_BACKUP__DAILY_AT", "03:00"), ("TILL_BACKUP__TO", "/tmp/backups")];
    assert!(refused(serve(&home, &here)).contains("every order"));

    // Memory is no attached disk.
    let memory = tempfile::tempdir_in("/dev/shm").expect("Linux has it");
    let dir = memory.path().to_str().expect("UTF-8");
    let mut command = crate::support::till();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir", dir]).env("RENDER", "true");
    let said = refused(command);
    assert!(said.contains("add a disk to the service") && said.contains(dir), "{said}");

    let mut demo = home.command(&["serve", "--demo"]);
    demo.envs([("DYNO", "web.1"), ("PORT", "0")]);
    assert_eq!(Server::start(demo).stop(), Some(0));
}

#[test]
fn the_doctor_says_what_the_platform_does_and_what_can_not_be_seen() {
    let home = Home::new();
    let findings = |environment: &[(&str, &str)]| {
        let mut command = home.command(&["doctor", "--offline", "--json"]);
        command.envs(environment.iter().copied());
        let said: Value = serde_json::from_slice(&command.output().expect("it runs").stdout).expect("JSON");
        let all = said["findings"].as_array().expect("a list").clone();
        let of_it = all.into_iter().filter(|finding| finding["subject"] == "platform");
        let text = |finding: Value| (finding["level"].to_string(), finding["says"].to_string());
        of_it.map(text).collect::<Vec<_>>()
    };
    let heroku = findings(&[("DYNO", "web.1"), ("PORT", "5000")]);
    assert_eq!(heroku.len(), 2, "{heroku:?}");
    assert!(
        heroku[0].0.contains("error") && heroku[0].1.contains("does not start a shop there"),
        "{heroku:?}"
    );
    assert!(
        heroku[1].0.contains("warning") && heroku[1].1.contains("another machine of Heroku's"),
        "{heroku:?}"
    );
    let backed_up = [
        ("DYNO", "web.1"),
        ("TILL_BACKUP__DAILY_AT", "03:00"),
        ("TILL_BACKUP__TO", "s3://shop-backups/trial"),
    ];
    let heroku = findings(&backed_up);
    assert!(heroku[0].0.contains("warning") && heroku[0].1.contains("after the last backup"), "{heroku:?}");
}

#[test]
fn with_backups_elsewhere_it_starts_and_never_in_the_place_of_a_shop_that_was_lost() {
    let moto = Moto::start();
    let [key, secret] = moto.key("owner");
    let environment = [
        ("DYNO", "web.1"),
        ("PORT", "0"),
        ("TILL_BACKUP__DAILY_AT", "03:00"),
        ("TILL_BACKUP__TO", "s3://shop-backups/trial"),
        ("TILL_BACKUP__S3_ENDPOINT", moto.base.as_str()),
        ("TILL_BACKUP__S3_ACCESS_KEY", key.as_str()),
        ("TILL_BACKUP__S3_SECRET_KEY", secret.as_str()),
    ];
    let run = |home: &Home, words: &[&str]| {
        let output = home.command(words).envs(environment).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };

    let home = Home::new();
    let log = tempfile::NamedTempFile::new().expect("a file");
    let server = Server::start_with_log(serve(&home, &environment), Stdio::from(log.reopen().unwrap()));
    let said = std::fs::read_to_string(log.path()).expect("UTF-8");
    assert!(said.contains("WARN") && said.contains("IS LOST THEN"), "{said}");
    run(&home, &["user", "create", "--email", "a@example.com", "--role", "admin", "--generate"]);
    run(&home, &["backup", "create", "--keep"]);
    run(&home, &["user", "create", "--email", "b@example.com", "--role", "staff", "--generate"]);
    run(&home, &["backup", "create", "--keep"]);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(Server::start(serve(&home, &environment)).stop(), Some(0), "the disk is still there");

    let next = Home::new();
    let said = refused(serve(&next, &environment));
    assert!(said.contains("`till restore --latest`"), "{said}");
    // A start that names a backup would take the shop back to it at each start.
    let place = "s3://shop-backups/trial";
    let listed = run(&next, &["backup", "list", place, "--json"]);
    let all: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(all.len() > 1, "{listed}");
    let older = format!("{place}/{}", all[all.len() - 1]["name"].as_str().expect("a name"));
    let mut restore = next.command(&["restore", &older]);
    restore.envs(environment);
    let said = refused(restore);
    assert!(said.contains("is not the newest backup there") && !next.path().exists(), "{said}");
    run(&next, &["restore", "--latest"]);
    assert_eq!(Server::start(serve(&next, &environment)).stop(), Some(0));
    let users = run(&next, &["user", "list", "--json"]);
    assert!(["a@example.com", "b@example.com"].iter().all(|email| users.contains(email)), "{users}");
    let nothing = Home::new();
    let mut restore = nothing.command(&["restore", "--latest", "s3://shop-backups/another"]);
    restore.envs(environment);
    assert!(refused(restore).contains("has no backups"));
}
